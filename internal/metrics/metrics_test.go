package metrics

import (
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	m := New(func() (map[string]float64, error) { return map[string]float64{"done": 7}, nil })
	m.Step("copy", "done", 2*time.Second)
	m.HTTP("gitlab")("GET", "/projects/:id", 200, time.Second)
	m.AWS()("PutImage", errors.New("x"), time.Second)

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	for _, want := range []string{
		`ecrferry_projects{state="done"} 7`,
		`ecrferry_step_seconds_count{outcome="done",step="copy"} 1`,
		`ecrferry_request_seconds_count{operation="GET /projects/:id",outcome="200",system="gitlab"} 1`,
		`ecrferry_request_seconds_count{operation="PutImage",outcome="error",system="ecr"} 1`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	var none *Metrics
	none.Step("copy", "done", time.Second)
	none.HTTP("gitlab")("GET", "/", 200, time.Second)
	none.AWS()("PutImage", nil, time.Second)
}
