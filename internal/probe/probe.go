// Package probe asks an environment's address whether it answers.
//
// Addresses come from the projects' own configuration, so whoever may write
// there chooses where the worker connects to. One request is made, with no
// credentials and no proxy; redirects are not followed, since a redirect is an
// answer; the body is not read. The address that the name resolves to is looked
// at when the connection is made, so a name that changes its mind in between
// gains nothing. Addresses by which machines find their own credentials are
// never asked, those of private networks only where that was allowed.
package probe

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
	"time"
)

// Timeout bounds one question, from the name's resolution to the answer's head.
const Timeout = 10 * time.Second

// Options say how far a Client may go.
type Options struct {
	// Private allows addresses of this machine and of private networks, and
	// other ports than 80 and 443.
	Private bool
	Timeout time.Duration // Timeout when zero
	// Around, if set, is put around the transport that carries the requests.
	Around func(http.RoundTripper) http.RoundTripper
}

// Client asks addresses. It is safe for concurrent use.
type Client struct {
	http    *http.Client
	private bool
	timeout time.Duration
}

// New returns a client.
func New(o Options) *Client {
	if o.Timeout == 0 {
		o.Timeout = Timeout
	}
	c := &Client{private: o.Private, timeout: o.Timeout}
	dialer := &net.Dialer{Timeout: o.Timeout, Control: c.control}
	var way http.RoundTripper = &http.Transport{
		DialContext:            dialer.DialContext,
		DisableKeepAlives:      true,
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10,
	}
	if o.Around != nil {
		way = o.Around(way)
	}
	c.http = &http.Client{
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport:     way,
	}
	return c
}

// Refusal says that an address was not asked, and why.
type Refusal struct{ why string }

func (r *Refusal) Error() string { return r.why }

// Status returns the HTTP status that the address answers with. A *Refusal is in
// the chain of the error when the address may not be asked; any other error
// means that it did not answer.
func (c *Client) Status(ctx context.Context, address string) (int, error) {
	u, err := url.Parse(address)
	if err != nil {
		return 0, &Refusal{"it is no address"}
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		return 0, &Refusal{"it is no address of a web server"}
	case u.User != nil:
		return 0, &Refusal{"it holds a user name"}
	case !c.private && u.Port() != "" && u.Port() != "80" && u.Port() != "443":
		return 0, &Refusal{"only the ports 80 and 443 are asked"}
	}
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return 0, &Refusal{"it is no address"}
	}
	req.Header.Set("User-Agent", "ecrferry (does the service answer?)")
	resp, err := c.http.Do(req)
	if err != nil {
		if ue, ok := errors.AsType[*url.Error](err); ok {
			err = ue.Err // the caller knows the address
		}
		return 0, err
	}
	resp.Body.Close()
	return resp.StatusCode, nil
}

// control looks at each address before a connection is made to it.
func (c *Client) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil {
		return &Refusal{"it leads to no address of the internet"}
	}
	if why := c.refused(at.Addr().Unmap()); why != "" {
		return &Refusal{fmt.Sprintf("it leads to %s, %s", at.Addr(), why)}
	}
	return nil
}

// never are networks that no service of a project lives in: there machines keep
// their metadata and credentials.
var never = prefixes("169.254.0.0/16", "fe80::/10", "fd00:ec2::/32")

// special are networks that are not of the internet, beside those that netip
// itself knows as private. See the IANA special-purpose address registries.
var special = prefixes(
	"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "fec0::/10",
)

// refused says why an address is not asked, "" if it may be.
func (c *Client) refused(a netip.Addr) string {
	for _, p := range never {
		if p.Contains(a) {
			return "where machines keep their credentials"
		}
	}
	switch {
	case a.IsUnspecified() || a.IsMulticast():
		return "which is no machine's"
	case c.private:
		return ""
	case a.IsLoopback() || a.IsPrivate():
		return "which is not of the internet"
	}
	for _, p := range special {
		if p.Contains(a) {
			return "which is not of the internet"
		}
	}
	return ""
}

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, s := range list {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}
