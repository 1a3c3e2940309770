package gitlab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

const token = "glpat-0123456789abcdefghij"

// recorder is a server that notes what it was asked.
type recorder struct {
	*httptest.Server
	mu    sync.Mutex
	calls []string // "GET /projects?x=y", path below /api/v4
}

func (r *recorder) seen() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.calls...)
}

// serve starts a server whose routes are "METHOD /path" patterns below /api/v4.
// Requests without our token are refused, and unknown routes are 404.
func serve(t *testing.T, routes map[string]http.HandlerFunc) *recorder {
	t.Helper()
	mux := http.NewServeMux()
	for pattern, h := range routes {
		method, path, _ := strings.Cut(pattern, " ")
		mux.HandleFunc(method+" /api/v4"+path, h)
	}
	r := &recorder{}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		r.calls = append(r.calls, req.Method+" "+strings.TrimPrefix(req.URL.RequestURI(), "/api/v4"))
		r.mu.Unlock()
		if req.Header.Get("Private-Token") != token {
			answer(401, `{"message":"401 Unauthorized"}`)(w, req)
			return
		}
		mux.ServeHTTP(w, req)
	}))
	t.Cleanup(r.Close)
	return r
}

func answer(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

func connect(t *testing.T, url string, change ...func(*Options)) *Client {
	t.Helper()
	o := Options{URL: url, Token: token, RetryWait: time.Millisecond, Patience: 50 * time.Millisecond}
	for _, f := range change {
		f(&o)
	}
	c, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestNewRefuses(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]Options{
		"no token":         {URL: "https://gitlab.example.org"},
		"no URL":           {Token: token},
		"no scheme":        {URL: "gitlab.example.org", Token: token},
		"password in URL":  {URL: "https://me:" + token + "@gitlab.example.org", Token: token},
		"unreadable URL":   {URL: "https://gitlab.example.org:" + token + "/%zz", Token: token},
		"wrong URL scheme": {URL: "ssh://gitlab.example.org", Token: token},
	} {
		_, err := New(o)
		if err == nil {
			t.Errorf("%s: no error", name)
		} else if strings.Contains(err.Error(), token) {
			t.Errorf("%s: the token is in the error: %v", name, err)
		}
	}
}

func TestOnlyIdempotentCallsAreRepeated(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	failures := map[string]int{}
	flaky := func(ok http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			mu.Lock()
			failures[r.Method]++
			n := failures[r.Method]
			mu.Unlock()
			if n <= 2 {
				answer(502, "<html><body>502 Bad Gateway</body></html>")(w, r)
				return
			}
			ok(w, r)
		}
	}
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7":                     flaky(answer(200, `{"id":7,"path_with_namespace":"a/b"}`)),
		"POST /projects/7/repository/commits": flaky(answer(201, `{"id":"abc"}`)),
	})
	c := connect(t, s.URL)

	p, err := c.Project(t.Context(), int64(7))
	if err != nil || p.Path != "a/b" {
		t.Errorf("Project = %+v, %v; want it after two bad gateways", p, err)
	}
	_, err = c.Commit(t.Context(), 7, CommitRequest{Branch: "main", Message: "m", Edits: []Edit{{Path: "f"}}})
	if got, want := fault.ReasonOf(err), ReasonUnavailable; got != want {
		t.Errorf("reason of the commit = %q (%v), want %q", got, err, want)
	}
	if strings.Contains(fmt.Sprint(err), "html") {
		t.Errorf("the proxy's page is in the error: %v", err)
	}
	if got, want := failures["POST"], 1; got != want {
		t.Errorf("the commit was sent %d times, want %d", got, want)
	}
}

func TestOutageIsTransient(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects/7": answer(503, "")})
	_, err := connect(t, s.URL).Project(t.Context(), int64(7))
	if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != ReasonUnavailable {
		t.Errorf("503 for ever: %v (%s), want transient", err, fault.ReasonOf(err))
	}
	if got, want := len(s.seen()), 1+retries; got != want {
		t.Errorf("%d requests, want %d", got, want)
	}

	s.Close()
	_, err = connect(t, s.URL).Project(t.Context(), int64(7))
	if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != ReasonUnavailable {
		t.Errorf("connection refused: %v (%s), want transient", err, fault.ReasonOf(err))
	}
}

func TestCutAnswerIsTransient(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7": answer(200, `{"id":7,"path_with`),
		"GET /projects/8": answer(200, `<html>Sign in</html>`),
	})
	for _, id := range []int64{7, 8} {
		_, err := connect(t, s.URL).Project(t.Context(), id)
		if fault.ClassOf(err) != fault.Transient {
			t.Errorf("project %d: class %q of %v, want transient", id, fault.ClassOf(err), err)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()

	t.Run("short ones are sat out, also for a POST", func(t *testing.T) {
		t.Parallel()
		n := 0
		var refused time.Time
		var waited time.Duration
		s := serve(t, map[string]http.HandlerFunc{"POST /projects/7/pipeline": func(w http.ResponseWriter, r *http.Request) {
			if n++; n == 1 {
				refused = time.Now()
				w.Header().Set("Retry-After", "1")
				answer(429, "Retry later")(w, r)
				return
			}
			waited = time.Since(refused)
			answer(201, `{"id":3,"status":"created"}`)(w, r)
		}})
		c := connect(t, s.URL, func(o *Options) { o.Patience = 2 * time.Second })
		p, err := c.CreatePipeline(t.Context(), 7, "main", nil)
		if err != nil || p.ID != 3 {
			t.Errorf("CreatePipeline = %+v, %v", p, err)
		}
		if waited < time.Second {
			t.Errorf("tried again after %v, asked for was a second", waited)
		}
	})

	t.Run("long ones come back at once and silence the client", func(t *testing.T) {
		t.Parallel()
		s := serve(t, map[string]http.HandlerFunc{"GET /projects/7": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", "120")
			answer(429, "Retry later")(w, r)
		}, "GET /projects/8": answer(200, `{"id":8}`)})
		c := connect(t, s.URL)
		_, err := c.Project(t.Context(), int64(7))
		if fault.ClassOf(err) != fault.Transient || fault.ReasonOf(err) != ReasonThrottled {
			t.Fatalf("%v (%s), want transient and throttled", err, fault.ReasonOf(err))
		}
		if got, want := fault.RetryAfter(err), 2*time.Minute; got != want {
			t.Errorf("RetryAfter = %v, want %v", got, want)
		}
		_, err = c.Project(t.Context(), int64(8))
		if fault.ReasonOf(err) != ReasonThrottled || fault.RetryAfter(err) <= 0 {
			t.Errorf("another call in the pause: %v, want throttled", err)
		}
		if got := s.seen(); len(got) != 1 {
			t.Errorf("requests %v, want only the first", got)
		}
	})

	t.Run("maintenance", func(t *testing.T) {
		t.Parallel()
		s := serve(t, map[string]http.HandlerFunc{"GET /projects/7": func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Retry-After", time.Now().Add(10*time.Minute).UTC().Format(http.TimeFormat))
			answer(503, "")(w, r)
		}})
		_, err := connect(t, s.URL).Project(t.Context(), int64(7))
		if fault.ReasonOf(err) != ReasonUnavailable {
			t.Errorf("reason %q of %v, want %q", fault.ReasonOf(err), err, ReasonUnavailable)
		}
		if d := fault.RetryAfter(err); d < 9*time.Minute || d > 10*time.Minute {
			t.Errorf("RetryAfter = %v, want nearly ten minutes", d)
		}
	})
}

func TestRetryAfterHeader(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_700_000_000, 0)
	for name, test := range map[string]struct {
		status int
		header map[string]string
		want   time.Duration
	}{
		"none":              {429, nil, 0},
		"seconds":           {429, map[string]string{"Retry-After": "7"}, 7 * time.Second},
		"negative":          {429, map[string]string{"Retry-After": "-7"}, 0},
		"date":              {503, map[string]string{"Retry-After": now.Add(time.Minute).UTC().Format(http.TimeFormat)}, time.Minute},
		"nonsense":          {429, map[string]string{"Retry-After": "soon"}, 0},
		"reset":             {429, map[string]string{"RateLimit-Reset": "1700000030"}, 30 * time.Second},
		"reset in the past": {429, map[string]string{"RateLimit-Reset": "1600000030"}, 0},
		"reset on success":  {200, map[string]string{"RateLimit-Reset": "1700000030"}, 0},
		"header over reset": {429, map[string]string{"Retry-After": "2", "RateLimit-Reset": "1700000030"}, 2 * time.Second},
	} {
		h := http.Header{}
		for k, v := range test.header {
			h.Set(k, v)
		}
		if got := retryAfter(&http.Response{StatusCode: test.status, Header: h}, now); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestContextEnds(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects/7": answer(200, `{"id":7}`)})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := connect(t, s.URL).Project(ctx, int64(7))
	if !errors.Is(err, context.Canceled) || fault.ClassOf(err) != fault.Unclassified {
		t.Errorf("%v (%s), want a plain cancellation", err, fault.ClassOf(err))
	}
}

func TestTokenStaysOnItsHost(t *testing.T) {
	t.Parallel()
	leaked := make(chan string, 1)
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		leaked <- r.Header.Get("Private-Token")
	}))
	defer other.Close()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/api/v4/projects/7", http.StatusFound)
		},
		"POST /projects/7/pipeline": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "/api/v4/projects/8/pipeline", http.StatusMovedPermanently)
		},
	})
	c := connect(t, s.URL)
	if _, err := c.Project(t.Context(), int64(7)); fault.ReasonOf(err) != ReasonMoved {
		t.Errorf("a redirect to another host: %v (%s), want %s", err, fault.ReasonOf(err), ReasonMoved)
	}
	select {
	case got := <-leaked:
		t.Errorf("another host was asked with the token %q", got)
	default:
	}
	if _, err := c.CreatePipeline(t.Context(), 7, "main", nil); fault.ReasonOf(err) != ReasonMoved {
		t.Errorf("a redirected POST: %v (%s), want %s", err, fault.ReasonOf(err), ReasonMoved)
	}
}

func TestMovedProjectIsFollowed(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/{path}": func(w http.ResponseWriter, r *http.Request) {
			if r.PathValue("path") == "old/name" {
				http.Redirect(w, r, "/api/v4/projects/7", http.StatusMovedPermanently)
				return
			}
			answer(200, `{"id":7,"path_with_namespace":"new/name"}`)(w, r)
		},
	})
	p, err := connect(t, s.URL).Project(t.Context(), "old/name")
	if err != nil || p.Path != "new/name" || p.ID != 7 {
		t.Errorf("Project = %+v, %v", p, err)
	}
	if got, want := s.seen()[0], "GET /projects/old%2Fname"; got != want {
		t.Errorf("asked for %s, want %s", got, want)
	}
}

func TestObservation(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7/repository/branches/{name}": func(w http.ResponseWriter, r *http.Request) {
			answer(404, `{"message":"404 Branch Not Found"}`)(w, r)
		},
	})
	var log bytes.Buffer
	var seen []string
	c := connect(t, s.URL, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		o.Observe = func(method, route string, status int, d time.Duration) {
			if d <= 0 {
				t.Errorf("duration %v", d)
			}
			seen = append(seen, fmt.Sprint(method, " ", route, " ", status))
		}
	})
	_, err := c.Branch(t.Context(), 7, "feature/x")
	if !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), "404 Branch Not Found") {
		t.Errorf("error %v, want GitLab's own words in it", err)
	}
	if got, want := strings.Join(seen, ";"), "GET /projects/:id/repository/branches/:id 404"; got != want {
		t.Errorf("observed %q, want %q", got, want)
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("%d log lines, want 1: %s", n, log.String())
	}
	if strings.Contains(log.String(), token) || !strings.Contains(log.String(), "feature%2Fx") {
		t.Errorf("log line %s", log.String())
	}
}
