// Package webhook posts JSON to an address that is itself a secret, as chat
// systems hand them out. A failure is classified (see internal/fault) and never
// repeats the address.
package webhook

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Client posts to one address.
type Client struct {
	url  string
	http *http.Client
}

// New returns a client. The address needs a scheme and a host. A nil way is
// the usual transport.
func New(address string, way http.RoundTripper) (*Client, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" {
		return nil, errors.New("webhook: the address must look like https://hooks.example.org/…")
	}
	return &Client{url: address, http: &http.Client{
		Transport: way, Timeout: 30 * time.Second,
		// The address is a secret that is meant for this host alone.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

// Host is the part of the address that may be shown.
func (c *Client) Host() string {
	u, err := url.Parse(c.url)
	if err != nil {
		return ""
	}
	return u.Host
}

// Post sends v as JSON. It may arrive twice: an answer can be lost.
func (c *Client) Post(ctx context.Context, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fault.New(fault.Permanent, "webhook-refused", "%w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url, bytes.NewReader(body))
	if err != nil {
		return fault.New(fault.Permanent, "webhook-refused", "the address cannot be used")
	}
	req.Header.Set("Content-Type", "application/json; charset=utf-8")
	resp, err := c.http.Do(req)
	if err != nil {
		if wrapped, ok := errors.AsType[*url.Error](err); ok {
			err = wrapped.Err // without the address
		}
		return fault.New(fault.Transient, "webhook-unavailable", "posting to %s: %w", c.Host(), err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 512))
	said := fmt.Errorf("%s answered %s: %s", c.Host(), resp.Status, strings.TrimSpace(strings.ToValidUTF8(string(text), "")))
	switch {
	case resp.StatusCode/100 == 2:
		return nil
	case resp.StatusCode == http.StatusTooManyRequests, resp.StatusCode == http.StatusRequestTimeout, resp.StatusCode >= 500:
		seconds, _ := strconv.Atoi(resp.Header.Get("Retry-After"))
		return fault.New(fault.Transient, "webhook-unavailable", "%w", said).WithRetryAfter(time.Duration(seconds) * time.Second)
	}
	return fault.New(fault.Permanent, "webhook-refused", "%w", said).
		WithRemedy("make a new webhook there, and set ECRFERRY_REPORT_WEBHOOK")
}
