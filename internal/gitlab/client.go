// Package gitlab speaks to GitLab's REST API v4 for the rest of the program.
//
// It is a thin room around client-go: it offers the calls that a migration
// needs, in our nouns, and turns every failure into a classified error (see
// internal/fault) at this one place. Absence is [ErrNotFound]. A refusal that
// GitLab explains only in words becomes a reason code such as
// [ReasonPushNotAllowed]; the words are matched in reasons.go and nowhere else.
//
// Nothing here decides whether a call is repeated. Short blips are sat out
// inside a call, and only for methods that may be sent twice: a POST that was
// answered with 502 may have been carried out, so the caller has to look before
// it tries again. A far side that asks for a long pause gets one: the call
// fails at once with the pause as hint.
package gitlab

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
	"golang.org/x/time/rate"
)

// Defaults of Options.
const (
	defaultPatience  = 5 * time.Second
	defaultRetryWait = 700 * time.Millisecond
	// retries after the first try of a call; with the default wait they sit out
	// about four seconds of 5xx. Longer outages belong to the caller's queue.
	retries = 3
	// answers of a list call; the largest page GitLab gives.
	pageSize = 100
)

// Options configure a Client. URL and Token are required.
type Options struct {
	// URL is the address of the instance, such as https://gitlab.example.org.
	URL string
	// Token is a personal, group or project access token with scope api.
	Token string
	// HTTPClient carries the requests; nil means one of our own. Its redirect
	// policy is replaced by one that never leaves the host, because Go hands
	// the token's header on to wherever a redirect points.
	HTTPClient *http.Client
	// Log gets one debug line an HTTP exchange; nil means no log.
	Log *slog.Logger
	// Observe is told of every HTTP exchange; status is 0 when there was no
	// answer. Routes have placeholders for identifiers.
	Observe func(method, route string, status int, d time.Duration)
	// Around, if set, is put around the transport that carries the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Waited, if set, is told of each wait for a rate limit.
	Waited func(time.Duration)
	// PerSecond bounds the requests of this client; 0 means no bound.
	PerSecond float64
	// Patience is the longest Retry-After that a call sits out by itself.
	// 0 means 5 seconds.
	Patience time.Duration
	// RetryWait is the unit by which waits between tries grow. 0 means 700 ms.
	RetryWait time.Duration
}

// Client is a connection to one GitLab instance. It is safe for concurrent use.
type Client struct {
	api  *api.Client
	name atomic.Pointer[string] // of our account, once it was asked for
}

// New returns a client. It does not talk to the server yet.
func New(o Options) (*Client, error) {
	if o.Token == "" {
		return nil, errors.New("gitlab: no token given")
	}
	u, err := url.Parse(o.URL)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("gitlab: the URL must look like https://gitlab.example.org")
	}
	if u.User != nil {
		return nil, errors.New("gitlab: the URL must not hold a user or password; give the token separately")
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Patience == 0 {
		o.Patience = defaultPatience
	}
	if o.RetryWait == 0 {
		o.RetryWait = defaultRetryWait
	}
	// client-go's own limiter is set up from the first answer while other
	// requests read it, and splits a budget that is not ours alone; a limiter
	// given here switches that off.
	limiter := rate.NewLimiter(rate.Inf, 0)
	if o.PerSecond > 0 {
		limiter = rate.NewLimiter(rate.Limit(o.PerSecond), max(1, int(o.PerSecond)))
	}
	c, err := api.NewClient(o.Token,
		api.WithBaseURL(strings.TrimSuffix(o.URL, "/")),
		api.WithHTTPClient(httpClient(o)),
		api.WithOnlyIdempotentRetries(),
		api.WithCustomRetryMax(retries),
		api.WithCustomBackoff(backoff(o.RetryWait, o.Waited)),
		api.WithCustomLimiter(limiter),
		api.WithUserAgent("ecrferry"),
		api.WithURLWarningLogger(slog.New(slog.DiscardHandler)),
	)
	if err != nil {
		return nil, fmt.Errorf("gitlab: %w", err)
	}
	return &Client{api: c}, nil
}

// httpClient returns a copy of the given client, or one of our own, with our
// transport around its transport.
func httpClient(o Options) *http.Client {
	hc := &http.Client{}
	if o.HTTPClient != nil {
		*hc = *o.HTTPClient
	}
	next := hc.Transport
	if next == nil {
		t := http.DefaultTransport.(*http.Transport).Clone()
		t.MaxIdleConnsPerHost = 32
		// A hung server must not hold a call for ever; the body of a large job
		// log may take its time, so the whole exchange has no limit of its own.
		t.ResponseHeaderTimeout = time.Minute
		next = t
	}
	if o.Around != nil {
		next = o.Around(next)
	}
	hc.Transport = &transport{
		next:     next,
		log:      o.Log,
		observe:  o.Observe,
		waited:   o.Waited,
		patience: o.Patience,
		now:      time.Now,
	}
	hc.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0]
		// Go repeats a redirected POST as a GET, which would read as success.
		safe := first.Method == http.MethodGet || first.Method == http.MethodHead
		if !safe || req.URL.Host != first.URL.Host || req.URL.Scheme != first.URL.Scheme || len(via) > 5 {
			return http.ErrUseLastResponse
		}
		return nil
	}
	return hc
}

// backoff returns the wait before the next try: what the far side asked for,
// or a growing, jittered one.
func backoff(unit time.Duration, waited func(time.Duration)) func(lo, hi time.Duration, try int, resp *http.Response) time.Duration {
	return func(_, _ time.Duration, try int, resp *http.Response) time.Duration {
		wait := unit * time.Duration(try+1)
		jitter := time.Duration(rand.Int64N(int64(unit)/4 + 1))
		if resp != nil {
			// The transport has already refused what is longer than our patience.
			wait = max(wait, retryAfter(resp, time.Now()))
			if waited != nil && resp.StatusCode == http.StatusTooManyRequests {
				waited(wait + jitter)
			}
		}
		return wait + jitter
	}
}

// call runs one API method and classifies its error. role is the role that the
// method needs, for the remedy of a refusal; doing says what is being done.
func call[T any](ctx context.Context, role Role, doing string, f func(opts ...api.RequestOptionFunc) (T, *api.Response, error)) (T, error) {
	n := &note{}
	v, _, err := f(api.WithContext(withNote(ctx, n)))
	if err != nil {
		var zero T
		return zero, classify(ctx, n, role, doing, err)
	}
	return v, nil
}

// collect runs a paged API method to its end, or to limit answers when limit
// is positive.
func collect[T, U any](ctx context.Context, role Role, doing string, limit int, convert func(T) U, f func(opts ...api.RequestOptionFunc) ([]T, *api.Response, error)) ([]U, error) {
	var all []U
	n := &note{}
	opt := api.WithContext(withNote(ctx, n))
	for v, err := range api.Scan2(func(page api.PaginationOptionFunc) ([]T, *api.Response, error) {
		return f(opt, page)
	}) {
		if err != nil {
			return nil, classify(ctx, n, role, doing, err)
		}
		all = append(all, convert(v))
		if limit > 0 && len(all) == limit {
			break
		}
	}
	return all, nil
}

// stamp returns the time that t points to, or the zero time.
func stamp(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// page returns the options of a list call that wants at most limit answers, or
// all when limit is not positive.
func page(limit int) api.ListOptions {
	if limit > 0 && limit < pageSize {
		return api.ListOptions{PerPage: int64(limit)}
	}
	return api.ListOptions{PerPage: pageSize}
}
