package probe

import (
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

func TestStatus(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	var elsewhere atomic.Bool
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Store(true) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		for _, h := range []string{"Authorization", "Cookie", "Private-Token"} {
			if r.Header.Get(h) != "" {
				t.Errorf("%s was sent", h)
			}
		}
		switch r.URL.Path {
		case "/login":
			http.Redirect(w, r, other.URL+"/secret", http.StatusFound)
		case "/down":
			w.WriteHeader(http.StatusServiceUnavailable)
		case "/endless":
			_, _ = io.Copy(w, neverEnding{})
		case "/slow":
			<-r.Context().Done()
		}
	}))
	defer server.Close()

	private := New(Options{Private: true, Timeout: 30 * time.Second})
	for path, want := range map[string]int{"/": 200, "/login": 302, "/down": 503, "/endless": 200} {
		if got, err := private.Status(t.Context(), server.URL+path); err != nil || got != want {
			t.Errorf("%s: %d, %v; want %d", path, got, err, want)
		}
	}
	if elsewhere.Load() {
		t.Error("a redirect was followed")
	}
	impatient := New(Options{Private: true, Timeout: 50 * time.Millisecond})
	if got, err := impatient.Status(t.Context(), server.URL+"/slow"); err == nil {
		t.Errorf("a server that does not answer: %d", got)
	}
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	_, err = private.Status(t.Context(), "http://"+closed.Addr().String())
	if _, refused := errors.AsType[*Refusal](err); err == nil || refused {
		t.Errorf("nobody there: %v; want an error that is no refusal", err)
	}

	before := asked.Load()
	public := New(Options{})
	port := server.URL[strings.LastIndexByte(server.URL, ':'):]
	for _, address := range []string{
		server.URL,          // a port of its own
		"http://127.0.0.1/", // loopback, by number
		"http://localhost/", // and by name
		"https://[::1]/",    //
		"http://[::ffff:127.0.0.1]/",
		"http://10.0.0.1/", "http://192.168.1.1/", "http://172.16.0.1/", "http://100.64.0.1/", "http://[fd00::1]/",
		"http://169.254.169.254/latest/meta-data/", "http://[fe80::1]/", "http://0.0.0.0/",
		"file:///etc/passwd", "gopher://example.org/", "http://user:password@example.org/", "http://", "::",
		"http://localhost" + port,
	} {
		got, err := public.Status(t.Context(), address)
		if _, refused := errors.AsType[*Refusal](err); !refused {
			t.Errorf("%s: %d, %v; want a refusal", address, got, err)
		}
	}
	for _, address := range []string{"http://169.254.169.254/", "http://[fd00:ec2::254]/", "http://[fe80::1]/"} {
		if _, err := private.Status(t.Context(), address); !strings.Contains(err.Error(), "credentials") {
			t.Errorf("%s, private networks allowed: %v; want a refusal", address, err)
		}
	}
	if asked.Load() != before {
		t.Error("a refused address was asked")
	}
}

// TestRefused checks that the internet's own addresses are not refused.
func TestRefused(t *testing.T) {
	t.Parallel()
	c := New(Options{})
	for address, want := range map[string]bool{
		"158.38.0.1": false, "2001:700:0:4::1": false, "1.1.1.1": false, "172.32.0.1": false, "100.128.0.1": false,
		"64:ff9b::7f00:1": true, "2002:7f00:1::": true, "224.0.0.1": true, "255.255.255.255": true, "198.19.0.1": true,
	} {
		if got := c.refused(netip.MustParseAddr(address)) != ""; got != want {
			t.Errorf("%s refused = %v, want %v", address, got, want)
		}
	}
}

type neverEnding struct{}

func (neverEnding) Read(b []byte) (int, error) { return len(b), nil }
