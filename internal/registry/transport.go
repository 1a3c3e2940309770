package registry

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"time"
)

// newTransport returns a transport for one registry. It stays with HTTP/1.1 and
// a wide pool: layers move fastest on connections of their own, while HTTP/2
// would put all of them through one.
func newTransport(host string) *http.Transport {
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.ForceAttemptHTTP2 = false
	t.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	// Connections are opened many at a time: all but the first few can resume.
	t.TLSClientConfig = &tls.Config{ClientSessionCache: tls.NewLRUClientSessionCache(16)}
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 64
	t.ReadBufferSize, t.WriteBufferSize = 32<<10, 32<<10
	t.DisableCompression = true // blobs are addressed by the bytes as they are stored
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := net.Dialer{Timeout: 15 * time.Second, KeepAlive: 30 * time.Second}
		if addr != host && !strings.HasPrefix(addr, host+":") {
			d.Control = refuseLinkLocal
		}
		return d.DialContext(ctx, network, addr)
	}
	return t
}

// refuseLinkLocal keeps a redirect from reaching the metadata service of a
// cloud machine through a name in DNS. It sees the address that was resolved.
func refuseLinkLocal(_, address string, _ syscall.RawConn) error {
	a, err := netip.ParseAddrPort(address)
	if err == nil && a.Addr().Unmap().IsLinkLocalUnicast() {
		return fmt.Errorf("%w to the link-local address %s", errRedirect, address)
	}
	return nil
}

var errRedirect = errors.New("refused redirect")

const maxRedirects = 5

// checkRedirect lets reads follow the registry to its storage, but not to a
// weaker connection nor into the machine we run on.
func (c *Client) checkRedirect(req *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case len(via) > maxRedirects:
		return fmt.Errorf("%w: more than %d in a row", errRedirect, maxRedirects)
	case first.Method != http.MethodGet && first.Method != http.MethodHead:
		return fmt.Errorf("%w of a %s", errRedirect, first.Method)
	case c.base.Scheme == "https" && req.URL.Scheme != "https":
		return fmt.Errorf("%w from https to %s", errRedirect, req.URL.Scheme)
	case isLocal(req.URL.Hostname()) && !isLocal(c.base.Hostname()):
		return fmt.Errorf("%w to the local address %s", errRedirect, req.URL.Host)
	}
	// Storage such as S3 refuses a request that carries the registry's
	// Authorization beside its own signature in the URL.
	if req.URL.Host != c.base.Host {
		req.Header.Del("Authorization")
	} else if a := first.Header.Get("Authorization"); a != "" {
		req.Header.Set("Authorization", a)
	}
	return nil
}

func isLocal(host string) bool {
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	a, err := netip.ParseAddr(host)
	return err == nil && (a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsUnspecified())
}
