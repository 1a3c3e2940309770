package assembly

import (
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
)

// wire is the way out to one system. It ties each request to the try of the job
// that sends it, and counts the bytes in both directions.
type wire struct {
	system string
	next   http.RoundTripper
	meters *metrics.Metrics
	// log and observe are set for rooms that do neither themselves.
	log     *slog.Logger
	observe func(method, route string, status int, d time.Duration)
}

// around returns a function that puts a wire around the transport of a room.
// With a log, the wire logs and times the requests too.
func around(system string, log *slog.Logger, m *metrics.Metrics) func(http.RoundTripper) http.RoundTripper {
	return func(next http.RoundTripper) http.RoundTripper {
		w := &wire{system: system, next: next, meters: m, log: log}
		if log != nil {
			w.observe = m.HTTP(system)
		}
		return w
	}
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	out := req.Clone(ctx)
	if id := jobs.RequestID(ctx); id != "" {
		out.Header.Set("X-Request-Id", id)
	}
	if req.Body != nil && req.Body != http.NoBody {
		out.Body = w.counted(req.Body, "sent")
		if again := req.GetBody; again != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := again()
				if err != nil {
					return nil, err
				}
				return w.counted(body, "sent"), nil
			}
		}
	}
	start := time.Now()
	resp, err := w.next.RoundTrip(out)
	d, status := time.Since(start), 0
	if err == nil {
		status = resp.StatusCode
		if resp.Body != nil && resp.Body != http.NoBody {
			resp.Body = w.counted(resp.Body, "received")
		}
	}
	if w.log != nil {
		// Neither path nor query: a webhook's are a secret.
		w.log.LogAttrs(ctx, slog.LevelDebug, "outside call", slog.String("system", w.system), slog.String("method", req.Method),
			slog.String("host", req.URL.Host), slog.Int("status", status), slog.Duration("duration", d))
		w.observe(req.Method, collection(w.system, req.URL.Path), status, d)
	}
	return resp, err
}

// collection names what the cluster was asked for, as a label of few values;
// the other systems have one address each.
func collection(system, path string) string {
	if system != "cluster" {
		return "/"
	}
	switch last := path[strings.LastIndexByte(path, '/')+1:]; last {
	case "deployments", "statefulsets", "daemonsets", "replicasets", "cronjobs", "jobs", "pods":
		return last
	}
	return "other"
}

func (w *wire) counted(body io.ReadCloser, direction string) io.ReadCloser {
	return &countedBody{ReadCloser: body, count: func(n int) { w.meters.Transferred(w.system, direction, n) }}
}

type countedBody struct {
	io.ReadCloser
	count func(int)
}

func (b *countedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	b.count(n)
	return n, err
}
