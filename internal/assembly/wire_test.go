package assembly

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
)

// TestWire sends real requests through a wire and reads what is counted.
func TestWire(t *testing.T) {
	t.Parallel()
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		if r.Header.Get("X-Request-Id") != "" {
			t.Error("a request that belongs to no try has an id")
		}
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	}))
	t.Cleanup(far.Close)
	var lines bytes.Buffer
	log := slog.New(slog.NewTextHandler(&lines, &slog.HandlerOptions{Level: slog.LevelDebug}))
	m := metrics.New(nil)
	for _, path := range []string{"/services/secret?signature=secret", "/apis/apps/v1/namespaces/a/deployments", "/api/v1/namespaces/b/other-things"} {
		client := &http.Client{Transport: around("cluster", log, m)(http.DefaultTransport)}
		resp, err := client.Post(far.URL+path, "text/plain", strings.NewReader("hello"))
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
	}
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	for _, want := range []string{
		`ecrferry_transfer_bytes_total{direction="sent",system="cluster"} 15`,
		`ecrferry_transfer_bytes_total{direction="received",system="cluster"} 27`,
		`ecrferry_request_seconds_count{operation="POST deployments",outcome="429",system="cluster"} 1`,
		`ecrferry_request_seconds_count{operation="POST other",outcome="429",system="cluster"} 2`,
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("no %s", want)
		}
	}
	if got := lines.String(); !strings.Contains(got, "system=cluster") || !strings.Contains(got, "status=429") || strings.Contains(got, "secret") {
		t.Errorf("the log is %s", got)
	}
}
