package registry

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// request is what to send. A body may be given as bytes, which can be sent
// again, or as a stream, which cannot.
type request struct {
	method string
	url    *url.URL
	route  string // for logs and metrics
	scope  string
	header http.Header
	body   []byte
	stream io.Reader
	length int64 // of stream
}

// actions names what ECR counts a request of its registry door as: the quotas
// are those of the API.
var actions = map[string]string{
	"GET manifests": "BatchGetImage", "HEAD manifests": "BatchGetImage", "PUT manifests": "PutImage",
	"GET blobs": "GetDownloadUrlForLayer", "HEAD blobs": "BatchCheckLayerAvailability",
	"POST blobs/uploads": "InitiateLayerUpload", "PUT blobs/uploads/put": "CompleteLayerUpload",
	"GET tags/list": "ListImages", "GET referrers": "ListImageReferrers", "GET _catalog": "DescribeRepositories",
}

// limiter is the one of the requests to a route.
func (c *Client) limiter(method, route string) *pace.Limiter {
	if action := actions[method+" "+route]; c.ecr && action != "" {
		return c.limits.Of(action)
	}
	return c.limits.Of(route)
}

// send sends a request once, and once more if only the authorization was stale.
// The answer is a success, or else an error with a class.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) {
	answered, err := c.auth.ahead(ctx)
	if err != nil {
		return nil, err
	}
	defer answered()
	authorization, err := c.auth.header(ctx, r.scope)
	if err != nil {
		return nil, err
	}
	for renewed := false; ; renewed = true {
		resp, err := c.exchange(ctx, r, authorization)
		if err != nil {
			return nil, c.classifyTransport(ctx, err)
		}
		if resp.StatusCode != http.StatusUnauthorized {
			answered()
		}
		if resp.StatusCode >= 200 && resp.StatusCode < 300 {
			return resp, nil
		}
		failure := statusError(resp)
		resp.Body.Close()
		refused := failure.Status == http.StatusUnauthorized || failure.tokenExpired()
		// A challenge of the storage behind a redirect is not for us to answer.
		if !refused || renewed || resp.Request.URL.Host != c.base.Host {
			if renewed && invalidToken(resp) {
				return nil, fault.New(fault.Transient, c.reason("token-expired"), "%s: a fresh token is refused: %w", c.name, failure).
					WithRemedy("wait; if it stays, compare the clocks of " + c.name + " and of the server of its tokens")
			}
			return nil, c.classify(failure)
		}
		used := authorization
		// From here on the others can go: each has a token to fetch, or shares one.
		kind := c.auth.learn(resp, used, r.scope)
		answered()
		authorization, err = c.auth.renew(ctx, resp, failure, kind, used, r.scope)
		if err != nil {
			return nil, err
		}
		if authorization == "" {
			return nil, c.denied(failure)
		}
		if r.stream != nil {
			return nil, fault.New(fault.Transient, c.reason("token-expired"), "%s: %w", c.name, &kinded{kind: ErrStale, err: failure})
		}
	}
}

// denied is for a refusal that a fresh token did not cure.
func (c *Client) denied(e *StatusError) error {
	return fault.New(fault.Attention, "registry-denied", "%s: %w", c.name, e).
		WithRemedy("check the user, its password and its permissions at " + c.name)
}

func (c *Client) exchange(ctx context.Context, r request, authorization string) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, r.method, r.url.String(), nil)
	if err != nil {
		return nil, err
	}
	switch {
	case r.stream != nil:
		req.Body, req.ContentLength = io.NopCloser(r.stream), r.length
	case len(r.body) > 0:
		req.Body, req.ContentLength = io.NopCloser(bytes.NewReader(r.body)), int64(len(r.body))
	}
	for k, v := range r.header {
		req.Header[k] = v
	}
	req.Header.Set("User-Agent", "ecrferry")
	// Uploads may be sent to a storage of another host; the registry's
	// password is for the registry alone.
	if authorization != "" && r.url.Host == c.base.Host {
		req.Header.Set("Authorization", authorization)
	}
	start := time.Now()
	resp, err := c.http.Do(req)
	c.seen(ctx, r.method, r.route, resp, start)
	return resp, err
}

func (c *Client) seen(ctx context.Context, method, route string, resp *http.Response, start time.Time) {
	pace.Sent(ctx, method+" "+route)
	status, d := 0, time.Since(start)
	if resp != nil {
		status = resp.StatusCode
	}
	c.log.LogAttrs(ctx, slog.LevelDebug, "registry request", slog.String("registry", c.name), slog.String("method", method),
		slog.String("route", route), slog.Int("status", status), slog.Duration("duration", d))
	if c.observe != nil {
		c.observe(method, route, status, d)
	}
}

// small sends a request that may be repeated, and reads its whole answer of at
// most limit bytes.
func (c *Client) small(ctx context.Context, r request, limit int64) (header http.Header, body []byte, err error) {
	err = c.again(ctx, c.limiter(r.method, r.route), func() error {
		once, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
		defer cancel()
		resp, err := c.send(once, r)
		if err == nil {
			defer resp.Body.Close()
			header = resp.Header
			body, err = io.ReadAll(io.LimitReader(resp.Body, limit+1))
			if err != nil {
				err = c.classifyTransport(once, err)
			} else if int64(len(body)) > limit {
				return fault.New(fault.Permanent, "answer-too-large", "%s: %s %s: the answer is larger than %d bytes", c.name, r.method, r.url.Path, limit)
			}
		}
		if ctx.Err() == nil && errors.Is(err, errTimeout) {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: %s %s: no answer within %v", c.name, r.method, r.url.Path, c.timeout)
		}
		return err
	})
	return header, body, err
}

var errTimeout = errors.New("timeout")

// longestWait is how long a request is held back for a registry that does not
// answer as it should. One that asks for more gets a rest by the caller, who can
// give up its place meanwhile.
const longestWait = 10 * time.Second

// again calls act, at the pace of its limiter, until it succeeds, fails for good
// or has had its tries. Refusals for too many requests are no tries.
func (c *Client) again(ctx context.Context, limiter *pace.Limiter, act func() error) error {
	for try := 1; ; try++ {
		err := limiter.Do(ctx, act)
		if err == nil || try >= c.tries || ctx.Err() != nil || fault.ClassOf(err) != fault.Transient ||
			errors.Is(err, pace.ErrThrottled) || errors.Is(err, ErrNoLogin) {
			return err
		}
		wait := c.delay << (try - 1)
		wait += rand.N(wait/2 + 1)
		if after := fault.RetryAfter(err); after > longestWait {
			return err
		} else if after > wait {
			wait = after
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(wait):
		}
	}
}

// at returns the address of a path below /v2/.
func (c *Client) at(path string) *url.URL {
	u := *c.base
	u.Path = "/v2/" + path
	return &u
}

func withQuery(u *url.URL, key, value string) *url.URL {
	v := *u
	q := v.Query()
	q.Set(key, value)
	v.RawQuery = q.Encode()
	return &v
}

func pageSize(n int) string { return strconv.Itoa(n) }
