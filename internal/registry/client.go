// Package registry reads images from a container registry and writes them to one.
//
// It speaks to the old registry (Bearer tokens) and to the registry door of ECR
// (Basic, with a password that ends after twelve hours). A Client is one
// registry; it is safe for any number of goroutines and should be shared, since
// it holds the connections and tokens.
//
// Where the line to regclient runs: manifests and descriptors are parsed by
// regclient, which knows every format there is. Requests are our own, for what
// regclient does on the wire cannot be told not to do it: an expected 400, 403
// or 503 slows down every later request to that host, by up to 40 s; a PUT that
// failed is repeated as chunked PATCH, which ECR answers and then loses data;
// statuses and error codes are only in its texts; credentials have no callback,
// and ECR costs an anonymous 401 first; tokens are fetched under one lock and
// without a context.
//
// Short blips are repeated here: a lost connection, 408 or 5xx on a request
// that may be sent twice, at most Tries times. What streams a body is tried once,
// and whoever owns both ends repeats it. Every request goes through the limiter
// of its action, which waits out refusals for too many of them, see package pace.
// Errors carry a class and a reason, see errors.go.
package registry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"sync/atomic"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// Options says which registry a Client speaks to. Name and URL are required.
type Options struct {
	// Name is the host by which images are called, such as registry.uninett.no.
	Name string
	// URL is where the registry is reached, such as https://registry.uninett.no.
	// It differs from Name behind a proxy and in tests.
	URL string
	// ECR says that this is ECR although its name does not.
	ECR bool
	// User and Password are sent when the registry asks for them. Without them
	// it is read anonymously.
	User, Password string
	// Credentials, if set, is asked for user and password before each request,
	// and they are sent without being asked for, as Basic. It must be cheap,
	// that is hold a cache, and safe for concurrent use.
	Credentials func(ctx context.Context) (user, password string, err error)
	// Refused, if set, is told that the registry took a password of Credentials
	// for expired, so that Credentials answers with another one.
	Refused func(password string)
	// HTTPClient lends its Transport. Without it a transport of our own is used.
	HTTPClient *http.Client
	// Around, if set, is put around the transport that carries the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Limits hold the requests back; for ECR they are those of its API too. Without
	// them the client has its own, which all who use the registry should share.
	Limits *pace.Limits
	// Tries is how often a small request is sent before giving up; 0 means 4.
	Tries int
	// Timeout bounds a small request and its answer; 0 means 30 s.
	Timeout time.Duration
	// Stall is how long a stream may stand still before it is cut; 0 means 60 s.
	Stall time.Duration
	// Delay is the pause after the first failure; it doubles. 0 means 250 ms.
	Delay time.Duration
	// Log gets a debug line a request. Without it nothing is logged.
	Log *slog.Logger
	// Observe, if set, is called after each request, also in the middle of
	// repetitions. route is the request's path with names replaced, and status
	// is 0 when there was no answer.
	Observe func(method, route string, status int, d time.Duration)
}

// Client is a registry. Make one with New.
type Client struct {
	name    string
	base    *url.URL
	ecr     bool
	http    *http.Client
	auth    *authority
	tries   int
	timeout time.Duration
	stall   time.Duration
	delay   time.Duration
	log     *slog.Logger
	observe func(method, route string, status int, d time.Duration)
	limits  *pace.Limits
	// ownPages: the registry refused our page size once.
	ownPages atomic.Bool
}

// ecrName matches the hosts of ECR, also in China and with dual stack.
var ecrName = regexp.MustCompile(`\.dkr[.-]ecr(-fips)?\.[a-z0-9-]+\.(amazonaws\.com|on\.aws)`)

// New makes a client. Nothing is sent yet.
func New(o Options) (*Client, error) {
	base, err := url.Parse(o.URL)
	switch {
	case o.Name == "":
		return nil, errors.New("registry: no name given")
	case err != nil:
		return nil, fmt.Errorf("registry %s: %w", o.Name, err)
	case (base.Scheme != "https" && base.Scheme != "http") || base.Host == "" || base.User != nil || strings.Trim(base.Path, "/") != "" || base.RawQuery != "":
		return nil, fmt.Errorf("registry %s: the URL must be https://host or http://host", o.Name)
	}
	base.Path = ""
	c := &Client{
		name: o.Name, base: base, ecr: o.ECR || ecrName.MatchString(o.Name),
		tries: or(o.Tries, 4), timeout: or(o.Timeout, 30*time.Second),
		stall: or(o.Stall, time.Minute), delay: or(o.Delay, 250*time.Millisecond),
		log: o.Log, observe: o.Observe, limits: o.Limits,
	}
	switch {
	case c.limits != nil:
	case c.ecr:
		c.limits = pace.New(pace.ECR())
	default:
		c.limits = pace.New(pace.OldRegistry())
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	var transport http.RoundTripper
	if o.HTTPClient != nil {
		transport = o.HTTPClient.Transport
	}
	if transport == nil {
		transport = newTransport(base.Host)
	}
	if o.Around != nil {
		transport = o.Around(transport)
	}
	c.http = &http.Client{Transport: transport, CheckRedirect: c.checkRedirect}
	c.auth = newAuthority(c, o)
	return c, nil
}

// Name returns the host by which the registry's images are called.
func (c *Client) Name() string { return c.name }

// or returns v, or the default if v is zero.
func or[T comparable](v, otherwise T) T {
	var zero T
	if v == zero {
		return otherwise
	}
	return v
}
