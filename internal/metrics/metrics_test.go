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

	m.Transferred("ecr-registry", "sent", 40)
	m.Transferred("ecr-registry", "sent", 2)
	m.Copied(7)
	m.Waited("gitlab", 3*time.Second)
	m.Retried("copy", "ecr-throttled")
	m.Retried("copy", "a text: with https://a.host/in it")
	for n := range 2 * mostCauses {
		m.Retried("discover", "reason-"+strings.Repeat("x", n%40)+strings.Repeat("y", n/40))
	}
	m.Queues(func() ([]Depth, error) { return []Depth{{"copy", "available", 5}}, nil })

	rec := httptest.NewRecorder()
	m.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	body, _ := io.ReadAll(rec.Body)
	for _, want := range []string{
		`ecrferry_projects{state="done"} 7`,
		`ecrferry_step_seconds_count{outcome="done",step="copy"} 1`,
		`ecrferry_request_seconds_count{operation="GET /projects/:id",outcome="200",system="gitlab"} 1`,
		`ecrferry_request_seconds_count{operation="PutImage",outcome="error",system="ecr"} 1`,
		`ecrferry_transfer_bytes_total{direction="sent",system="ecr-registry"} 42`,
		"ecrferry_copied_bytes_total 7\n",
		`ecrferry_rate_limit_wait_seconds_sum{limiter="gitlab"} 3`,
		`ecrferry_rate_limit_wait_seconds_count{limiter="gitlab"} 1`,
		`ecrferry_step_retries_total{reason="ecr-throttled",step="copy"} 1`,
		`ecrferry_step_retries_total{reason="other",step="copy"} 1`,
		`ecrferry_queue_jobs{queue="copy",state="available"} 5`,
	} {
		if !strings.Contains(string(body), want) {
			t.Errorf("no %s in:\n%s", want, body)
		}
	}
	if n := strings.Count(string(body), "ecrferry_step_retries_total{"); n > mostCauses+2 {
		t.Errorf("%d series of retries: the reasons have no bound", n)
	}
	var none *Metrics
	none.Copied(1)
	none.Transferred("gitlab", "sent", 1)
	none.Waited("gitlab", time.Second)
	none.Retried("copy", "x")
	none.Queues(nil)
	none.Step("copy", "done", time.Second)
	none.HTTP("gitlab")("GET", "/", 200, time.Second)
	none.AWS()("PutImage", nil, time.Second)
}
