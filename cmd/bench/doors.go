package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// door is TLS in front of a stand-in: it counts, and it is far away.
type door struct {
	host    string
	inner   http.Handler
	replace *strings.Replacer // of the stand-in's own address in headers
	latency time.Duration
	server  *http.Server

	requests, throttled atomic.Int64
	in, out             atomic.Int64 // bytes of bodies of blobs

	trace *trace // if wanted
	side  string // what the trace calls this door
}

type newConn struct{}

func openDoor(cert tls.Certificate, inner http.Handler, address string, latency time.Duration) (*door, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	d := &door{host: l.Addr().String(), inner: inner, latency: latency}
	d.replace = strings.NewReplacer(address, "https://"+d.host, "http://"+d.host, "https://"+d.host)
	d.server = &http.Server{
		Handler: d, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{cert}},
		// HTTP/1.1 for all, so that a round trip means the same to each tool.
		TLSNextProto: map[string]func(*http.Server, *tls.Conn, http.Handler){},
		ConnContext: func(ctx context.Context, _ net.Conn) context.Context {
			return context.WithValue(ctx, newConn{}, new(atomic.Bool))
		},
	}
	go func() { _ = d.server.ServeTLS(l, "", "") }()
	return d, nil
}

func (d *door) close() { _ = d.server.Close() }

func (d *door) reset() {
	for _, n := range []*atomic.Int64{&d.requests, &d.throttled, &d.in, &d.out} {
		n.Store(0)
	}
}

func (d *door) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.requests.Add(1)
	wait := d.latency
	if used, ok := r.Context().Value(newConn{}).(*atomic.Bool); ok && !used.Swap(true) {
		wait += 2 * d.latency
	}
	start := time.Now()
	defer func() { d.trace.note(d.side, r, wait > d.latency, start) }()
	time.Sleep(wait)
	blob := strings.Contains(r.URL.Path, "/blobs/")
	if blob {
		r.Body = &countedBody{r.Body, &d.in}
	}
	d.inner.ServeHTTP(&answer{ResponseWriter: w, door: d, blob: blob}, r)
}

type countedBody struct {
	io.ReadCloser
	n *atomic.Int64
}

func (c *countedBody) Read(p []byte) (int, error) {
	n, err := c.ReadCloser.Read(p)
	c.n.Add(int64(n))
	return n, err
}

// answer puts the door's address into headers, and counts.
type answer struct {
	http.ResponseWriter
	door *door
	blob bool
	done bool
}

func (a *answer) WriteHeader(status int) {
	if !a.done {
		a.done = true
		if status == http.StatusTooManyRequests {
			a.door.throttled.Add(1)
		}
		for _, h := range []string{"Location", "Www-Authenticate"} {
			for i, v := range a.Header()[h] {
				a.Header()[h][i] = a.door.replace.Replace(v)
			}
		}
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(p []byte) (int, error) {
	if !a.done {
		a.WriteHeader(http.StatusOK)
	}
	n, err := a.ResponseWriter.Write(p)
	if a.blob {
		a.door.out.Add(int64(n))
	}
	return n, err
}

// certificate makes a certificate for this machine, which is its own authority.
func certificate() (cert tls.Certificate, authority []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return cert, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "bench"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 1, 0),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return cert, nil, err
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), nil
}
