// Package console is a thin room around the PaaS console's "Update
// configuration": the act that creates a project's ECR repository and points
// its CI/CD variables there.
//
// The console's API is not public, so address, method and token come from the
// configuration. All that is relied on is HTTP's meaning of the status code;
// whether the act had its effect is checked at GitLab and ECR by the caller.
package console

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"text/template"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Options says how to reach the console.
type Options struct {
	// URL is a text/template with .ID and .Path (the latter escaped by {{urlquery .Path}}).
	URL    string
	Method string // POST when empty
	Token  string // sent as a bearer token when not empty
	HTTP   *http.Client
}

// Client calls the console.
type Client struct {
	url    *template.Template
	method string
	token  string
	http   *http.Client
}

// New checks the options and returns a client.
func New(o Options) (*Client, error) {
	t, err := template.New("console URL").Option("missingkey=error").Parse(o.URL)
	if err != nil {
		return nil, fmt.Errorf("the console's URL is not a valid template: %w", err)
	}
	c := &Client{url: t, method: o.Method, token: o.Token, http: o.HTTP}
	if c.method == "" {
		c.method = http.MethodPost
	}
	if c.http == nil {
		c.http = &http.Client{Timeout: 2 * time.Minute}
	}
	return c, nil
}

// UpdateConfiguration asks the console to bring the configuration of one
// project up to date. It may be called again: the console's act is idempotent.
func (c *Client) UpdateConfiguration(ctx context.Context, id int64, path string) (err error) {
	defer fault.Wrap(&err, "updating the configuration of %s at the console", path)
	var address strings.Builder
	if err := c.url.Execute(&address, struct {
		ID   int64
		Path string
	}{id, path}); err != nil {
		return fault.New(fault.Permanent, "console-misconfigured", "building the URL: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, c.method, address.String(), nil)
	if err != nil {
		return fault.New(fault.Permanent, "console-misconfigured", "%w", err)
	}
	if c.token != "" {
		req.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return fault.New(fault.Transient, "console-unavailable", "%w", err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 2048))
	if resp.StatusCode/100 == 2 {
		return nil
	}
	return classify(resp, strings.TrimSpace(string(body)))
}

func classify(resp *http.Response, body string) error {
	said := fmt.Errorf("%s: %s", resp.Status, body)
	switch {
	case resp.StatusCode == http.StatusTooManyRequests || resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return fault.New(fault.Transient, "console-unavailable", "%w", said).
			WithRetryAfter(time.Duration(seconds) * time.Second)
	case resp.StatusCode == http.StatusUnauthorized, resp.StatusCode == http.StatusForbidden:
		return fault.New(fault.Attention, "console-denied", "%w", said).
			WithRemedy("give the worker a console token that may update this project (ECRFERRY_CONSOLE_TOKEN)")
	case resp.StatusCode == http.StatusNotFound:
		return fault.New(fault.Attention, "console-unknown-project", "%w", said).
			WithRemedy("register the project at the console, then enqueue it again")
	default:
		return fault.New(fault.Permanent, "console-refused", "%w", said).
			WithRemedy("run Update configuration for the project in the console by hand, then enqueue it again")
	}
}
