package registry

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// authority knows what to put into Authorization. Which scheme a registry wants
// is learned from its first challenge and then remembered, so that only the
// first request to it is ever sent twice.
// https://distribution.github.io/distribution/spec/auth/token/
type authority struct {
	client         *Client
	user, password string
	credentials    func(context.Context) (string, string, error)
	refused        func(password string)

	// first is held by the request that goes ahead to learn the scheme: the
	// others would only learn the same by a refusal each.
	first   chan struct{}
	learned atomic.Bool

	mu             sync.Mutex
	scheme         string // "", "basic" or "bearer"
	realm, service string
	tokens         map[string]bearer // by scope
	flights        singleflight.Group
}

type bearer struct {
	value   string
	expires time.Time
}

func newAuthority(c *Client, o Options) *authority {
	a := &authority{client: c, user: o.User, password: o.Password, credentials: o.Credentials, refused: o.Refused, tokens: make(map[string]bearer)}
	a.first = make(chan struct{}, 1)
	if o.Credentials != nil {
		a.scheme = "basic"
		a.learned.Store(true)
	}
	return a
}

// ahead lets one request go first while nothing is known of the registry.
// What it returns is called when that request has been answered.
func (a *authority) ahead(ctx context.Context) (answered func(), err error) {
	if a.learned.Load() {
		return func() {}, nil
	}
	select {
	case a.first <- struct{}{}:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if a.learned.Load() {
		<-a.first
		return func() {}, nil
	}
	return sync.OnceFunc(func() {
		a.learned.Store(true)
		<-a.first
	}), nil
}

// login returns user and password; both are empty for an anonymous reader.
func (a *authority) login(ctx context.Context) (user, password string, err error) {
	if a.credentials == nil {
		return a.user, a.password, nil
	}
	user, password, err = a.credentials(ctx)
	if err != nil && ctx.Err() == nil {
		err = &kinded{kind: ErrNoLogin, err: err}
	}
	return user, password, err
}

// Login fetches the credentials that the next request will need, so that it
// does not have to wait for them. What goes wrong is left to that request.
func (c *Client) Login(ctx context.Context) {
	if c.auth.credentials != nil {
		_, _, _ = c.auth.login(ctx)
	}
}

// header returns the Authorization for a request of this scope, or "" when
// nothing is known yet or nothing is needed.
func (a *authority) header(ctx context.Context, scope string) (string, error) {
	a.mu.Lock()
	scheme, token := a.scheme, a.tokens[scope]
	a.mu.Unlock()
	switch {
	case scheme == "basic":
		user, password, err := a.login(ctx)
		if err != nil || user == "" {
			return "", err
		}
		return basic(user, password), nil
	case scheme == "bearer" && token.value != "" && time.Now().Before(token.expires):
		return "Bearer " + token.value, nil
	case scheme == "bearer":
		return a.fetch(ctx, scope)
	}
	return "", nil
}

// learn takes note of the scheme that a refusal asks for, and forgets the token
// that was refused. It returns the scheme, or "".
func (a *authority) learn(resp *http.Response, used, scope string) (kind string) {
	kind, params := challenge(resp.Header.Values("WWW-Authenticate"))
	a.mu.Lock()
	defer a.mu.Unlock()
	switch kind {
	case "bearer":
		a.scheme, a.realm, a.service = kind, params["realm"], params["service"]
		if used == "Bearer "+a.tokens[scope].value {
			delete(a.tokens, scope)
		}
	case "basic":
		a.scheme = kind
	}
	return kind
}

// renew looks at a refusal of a request that was sent with the header used. It
// answers with another header if the request is worth sending again, and with
// "" if the refusal is meant.
func (a *authority) renew(ctx context.Context, resp *http.Response, e *StatusError, kind, used, scope string) (string, error) {
	switch {
	case kind == "bearer":
		_, params := challenge(resp.Header.Values("WWW-Authenticate"))
		if strings.HasPrefix(used, "Bearer ") && strings.Contains(params["error"], "insufficient_scope") {
			return "", nil // a fresh token would say the same
		}
		return a.fetch(ctx, scope)
	case kind == "" && !e.tokenExpired():
		return "", nil
	}
	if a.refused != nil {
		if _, password, ok := parseBasic(used); ok {
			a.refused(password)
		}
	}
	user, password, err := a.login(ctx)
	if err != nil || user == "" {
		return "", err
	}
	if fresh := basic(user, password); fresh != used {
		return fresh, nil
	}
	return "", nil
}

// invalidToken tells a refusal of the token itself, as opposed to what it
// allows. Of a fresh one it comes from clocks that differ, or from a registry of
// several machines of which one has started anew: it may pass.
// https://datatracker.ietf.org/doc/html/rfc6750#section-3.1
func invalidToken(resp *http.Response) bool {
	_, params := challenge(resp.Header.Values("WWW-Authenticate"))
	return resp.StatusCode == http.StatusUnauthorized && params["error"] == "invalid_token"
}

// fetch gets a token for a scope, once for all who wait for it.
func (a *authority) fetch(ctx context.Context, scope string) (string, error) {
	// One waiter that gives up must not take the others along.
	ch := a.flights.DoChan(scope, func() (any, error) {
		c := a.client
		own, cancel := context.WithTimeoutCause(context.WithoutCancel(ctx), c.timeout,
			fault.New(fault.Transient, c.reason("unavailable"), "%s: no token within %v", c.name, c.timeout))
		defer cancel()
		return a.request(own, scope)
	})
	select {
	case <-ctx.Done():
		return "", context.Cause(ctx)
	case r := <-ch:
		if r.Err != nil {
			return "", r.Err
		}
		return "Bearer " + r.Val.(string), nil
	}
}

// request asks the realm for a token.
func (a *authority) request(ctx context.Context, scope string) (string, error) {
	c := a.client
	a.mu.Lock()
	realm, service := a.realm, a.service
	a.mu.Unlock()
	u, err := c.base.Parse(realm)
	if err != nil || u.Host == "" || (u.Scheme != "https" && c.base.Scheme == "https") {
		return "", fault.New(fault.Attention, "registry-denied", "%s asks for tokens from %q, which is not a safe address", c.name, realm)
	}
	q := u.Query()
	if service != "" {
		q.Set("service", service)
	}
	if scope != "" {
		q.Set("scope", scope)
	}
	user, password, err := a.login(ctx)
	if err != nil {
		return "", err
	}
	if user != "" {
		q.Set("account", user)
	}
	u.RawQuery = q.Encode()

	var answer struct {
		Token       string    `json:"token"`
		AccessToken string    `json:"access_token"`
		ExpiresIn   int       `json:"expires_in"`
		IssuedAt    time.Time `json:"issued_at"`
	}
	err = c.again(ctx, c.limiter(http.MethodGet, "token"), func() error {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
		if err != nil {
			return err
		}
		if user != "" {
			req.SetBasicAuth(user, password)
		}
		start := time.Now()
		resp, err := c.http.Do(req)
		c.seen(ctx, req.Method, "token", resp, start)
		if err != nil {
			return c.classifyTransport(ctx, err)
		}
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusUnauthorized || resp.StatusCode == http.StatusForbidden {
			return fault.New(fault.Attention, "registry-denied", "%s: %w", c.name, error(statusError(resp))).
				WithRemedy("check the configured user and password of " + c.name)
		}
		if resp.StatusCode != http.StatusOK {
			return c.classify(statusError(resp))
		}
		if err := json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&answer); err != nil && ctx.Err() == nil {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: the token server's answer is not readable: %w", c.name, err)
		}
		return ctx.Err()
	})
	if err != nil {
		return "", err
	}
	value := answer.Token
	if value == "" {
		value = answer.AccessToken
	}
	if value == "" {
		return "", fault.New(fault.Transient, c.reason("unavailable"), "%s: the token server answered without a token", c.name)
	}
	// Without expires_in a token lives for 60 s. The server's clock is not
	// ours, so its age counts from now; a few seconds are left for the journey.
	life := time.Duration(max(answer.ExpiresIn, 60)) * time.Second
	a.mu.Lock()
	a.tokens[scope] = bearer{value: value, expires: time.Now().Add(life - life/10)}
	a.mu.Unlock()
	return value, nil
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func parseBasic(header string) (user, password string, ok bool) {
	r := http.Request{Header: http.Header{"Authorization": {header}}}
	return r.BasicAuth()
}

var challengeParam = regexp.MustCompile(`([a-zA-Z_]+)=(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))`)

// challenge takes the first Basic or Bearer challenge apart.
func challenge(headers []string) (kind string, params map[string]string) {
	for _, h := range headers {
		scheme, rest, _ := strings.Cut(strings.TrimSpace(h), " ")
		scheme = strings.ToLower(scheme)
		if scheme != "basic" && scheme != "bearer" {
			continue
		}
		params = make(map[string]string)
		for _, m := range challengeParam.FindAllStringSubmatch(rest, -1) {
			params[strings.ToLower(m[1])] = strings.ReplaceAll(m[2], `\`, "") + m[3]
		}
		return scheme, params
	}
	return "", nil
}

// scopes of the token protocol
func pull(repository string) string { return "repository:" + repository + ":pull" }
func push(repository string) string { return "repository:" + repository + ":pull,push" }

const catalog = "registry:catalog:*"
