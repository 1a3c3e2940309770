package gitlab

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

const (
	// longestPause bounds how long one answer may silence the whole client: a
	// proxy that says "a day" is asked again after a minute.
	longestPause = time.Minute
	// longestHint bounds the wait that is handed on to the caller.
	longestHint = time.Hour
	// errorBody is how much of a failed answer's body is kept.
	errorBody = 8 << 10
)

// note collects what the transport saw of a call, because client-go keeps
// neither the body of a 404 nor the wait that the far side asked for.
type note struct {
	method, route string
	status        int
	after         time.Duration
	body          []byte
}

type noteKey struct{}

type tallyKey struct{}

// Counting returns a context and what counts the requests that are sent to GitLab
// under it, each page and each repetition included.
func Counting(ctx context.Context) (context.Context, func() int) {
	n := new(atomic.Int64)
	return context.WithValue(ctx, tallyKey{}, n), func() int { return int(n.Load()) }
}

func withNote(ctx context.Context, n *note) context.Context {
	return context.WithValue(ctx, noteKey{}, n)
}

// transport is the one place through which requests leave. It measures and logs
// each exchange, keeps what errors are made from, and holds all requests of the
// client back while the server asks for a pause.
type transport struct {
	next     http.RoundTripper
	log      *slog.Logger
	observe  func(method, route string, status int, d time.Duration)
	waited   func(time.Duration)
	patience time.Duration
	now      func() time.Time

	mu    sync.Mutex
	until time.Time // no request leaves before
}

// pausedError says that the server asked for a longer pause than we sit out.
// It leaves through RoundTrip as an error, which keeps client-go from trying
// again: of the waiting that servers ask for it knows only RateLimit-Reset.
type pausedError struct{ after time.Duration }

func (e *pausedError) Error() string {
	return fmt.Sprintf("the server asked to wait %v", e.after.Round(time.Second))
}

// RoundTrip sends the request, or refuses to while the server wants a pause.
func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx := req.Context()
	n, _ := ctx.Value(noteKey{}).(*note)
	if n == nil {
		n = &note{}
	}
	*n = note{method: req.Method, route: route(req)}

	if err := t.wait(ctx, n); err != nil {
		return nil, err
	}
	if n, ok := ctx.Value(tallyKey{}).(*atomic.Int64); ok {
		n.Add(1)
	}
	start := t.now()
	resp, err := t.next.RoundTrip(req)
	d := t.now().Sub(start)
	if resp != nil {
		n.status = resp.StatusCode
	}
	t.report(ctx, req, resp, n, d, err)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	n.after = min(retryAfter(resp, t.now()), longestHint)
	n.body = peek(resp)
	if n.after > 0 && (resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode == http.StatusServiceUnavailable) {
		t.pause(n.after)
		if n.after > t.patience {
			_ = resp.Body.Close()
			return nil, &pausedError{after: n.after}
		}
	}
	return resp, nil
}

// wait holds the request while a pause lasts, or refuses when that is too long.
func (t *transport) wait(ctx context.Context, n *note) error {
	t.mu.Lock()
	left := t.until.Sub(t.now())
	t.mu.Unlock()
	if left <= 0 {
		return nil
	}
	if left > t.patience {
		n.after = left
		return &pausedError{after: left}
	}
	timer := time.NewTimer(left)
	defer timer.Stop()
	if t.waited != nil {
		t.waited(left)
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}

// pause silences the client, at most for a minute. It never shortens a pause.
func (t *transport) pause(d time.Duration) {
	until := t.now().Add(min(d, longestPause))
	t.mu.Lock()
	defer t.mu.Unlock()
	if until.After(t.until) {
		t.until = until
	}
}

func (t *transport) report(ctx context.Context, req *http.Request, resp *http.Response, n *note, d time.Duration, err error) {
	if t.observe != nil {
		t.observe(n.method, n.route, n.status, d)
	}
	if !t.log.Enabled(ctx, slog.LevelDebug) {
		return
	}
	attrs := []slog.Attr{
		slog.String("method", n.method),
		slog.String("path", req.URL.EscapedPath()),
		slog.Int("status", n.status),
		slog.Duration("duration", d),
	}
	if resp != nil {
		if id := resp.Header.Get("X-Request-Id"); id != "" {
			attrs = append(attrs, slog.String("answer", id))
		}
	}
	if err != nil {
		attrs = append(attrs, slog.String("error", err.Error()))
	}
	t.log.LogAttrs(ctx, slog.LevelDebug, "gitlab call", attrs...)
}

// route names what was called without the identifiers, as a metric's label.
func route(req *http.Request) string {
	_, path, ok := strings.Cut(req.URL.EscapedPath(), "/api/v4/")
	if !ok && strings.HasSuffix(req.URL.EscapedPath(), "/api/graphql") {
		return "/api/graphql"
	}
	if !ok {
		return "other"
	}
	if r, ok := api.MatchRoute(path); ok {
		return r.String()
	}
	return "other"
}

// peek reads the beginning of a failed answer's body and puts it back.
func peek(resp *http.Response) []byte {
	head, err := io.ReadAll(io.LimitReader(resp.Body, errorBody))
	if err != nil {
		return head
	}
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(head), resp.Body), resp.Body}
	return head
}

// retryAfter returns how long the answer asks to wait, or zero: Retry-After in
// seconds or as a date (RFC 9110, 10.2.3), else GitLab's RateLimit-Reset, a Unix
// time, which means something only when the limit is used up.
func retryAfter(resp *http.Response, now time.Time) time.Duration {
	if v := strings.TrimSpace(resp.Header.Get("Retry-After")); v != "" {
		if s, err := strconv.ParseInt(v, 10, 32); err == nil {
			return max(0, time.Duration(s)*time.Second)
		}
		if at, err := http.ParseTime(v); err == nil {
			return max(0, at.Sub(now))
		}
	}
	if resp.StatusCode != http.StatusTooManyRequests {
		return 0
	}
	if s, err := strconv.ParseInt(resp.Header.Get("RateLimit-Reset"), 10, 64); err == nil && s > 0 {
		return max(0, time.Unix(s, 0).Sub(now))
	}
	return 0
}
