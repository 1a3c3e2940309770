// Package paas is the platform's cluster: namespaces with workloads, the pods
// they run, and the part of the Kubernetes API through which they are looked at.
//
// A manifest given to Apply changes the cluster only if every container image
// in it can be pulled with the cluster's own credentials. Otherwise the rollout
// fails in the words of the kubelet and what ran before keeps running, as after
// the roll-back that the platform's deploy script does.
//
// The HTTP side is read-only and answers the unmodified k8s.io/client-go:
// deployments, statefulsets, daemonsets, replicasets, cronjobs, jobs, pods and
// namespaces. Watching is not served.
package paas

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
)

// Puller fetches an image of one of the platform's registries with the cluster's
// credentials and returns the digest of what the reference names, which is a tag
// or a digest. Errors carry the registry's words.
type Puller func(ctx context.Context, host, repository, reference string) (digest string, err error)

// Options are the settings of Start.
type Options struct {
	Dir   string // where the state is kept; "" keeps it in memory
	Addr  string // listen address; "" is a free loopback port
	Token string // bearer token of the API; "" makes one up (kept in Dir)

	// Hosts are the registries whose images are pulled through Pull. Images of
	// all other hosts count as public and available.
	Hosts []string
	Pull  Puller

	Clock *clock.Clock
	Log   *slog.Logger
}

// Server is a running cluster.
type Server struct {
	URL   string
	Token string

	opts Options
	http *http.Server

	mu    sync.Mutex // guards state and watch; never held while an image is pulled
	state state
	watch func(*http.Request)

	rollout sync.Mutex // one rollout at a time, so that two of them do not mix
}

// Start brings the cluster up with what Options.Dir holds.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	st, err := load(o.file())
	if err != nil {
		return nil, err
	}
	if o.Token != "" {
		st.Token = o.Token
	}
	if st.Token == "" {
		b := make([]byte, 24)
		rand.Read(b)
		st.Token = hex.EncodeToString(b)
	}
	if len(st.Identity.Key) == 0 {
		if st.Identity, err = newIdentity(); err != nil {
			return nil, err
		}
	}
	config, err := st.Identity.config()
	if err != nil {
		return nil, fmt.Errorf("certificate of the cluster: %w", err)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{URL: "https://" + listener.Addr().String(), Token: st.Token, opts: o, state: st}
	s.http = &http.Server{
		Handler: s.handler(), TLSConfig: config, ReadHeaderTimeout: 10 * time.Second,
		ErrorLog: slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug),
	}
	go s.http.ServeTLS(listener, "", "")
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.save(); err != nil {
		s.http.Close()
		return nil, err
	}
	return s, nil
}

// Watch shows every request to f before it is answered; nil ends that.
func (s *Server) Watch(f func(*http.Request)) { s.mu.Lock(); defer s.mu.Unlock(); s.watch = f }

// Close stops the API. The state is already saved.
func (s *Server) Close() error { return s.http.Close() }

// Kubeconfig returns a configuration file for kubectl and client-go.
func (s *Server) Kubeconfig() []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
  - name: sandbox
    cluster:
      server: %s
      certificate-authority-data: %s
contexts:
  - name: sandbox
    context:
      cluster: sandbox
      user: reader
current-context: sandbox
users:
  - name: reader
    user:
      token: "%s"
`, s.URL, base64.StdEncoding.EncodeToString(s.state.Identity.Certificate), s.Token)
}

// InUse returns every image that the workloads run, both as the manifests name
// it and by digest (host/repository@sha256:…), sorted and without repetition.
func (s *Server) InUse() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	used := map[string]bool{}
	for _, w := range s.state.Workloads {
		for _, c := range w.Containers {
			used[c.Image] = true
			used[c.ImageID] = true
		}
	}
	return slices.Sorted(maps.Keys(used))
}

// Workloads returns the workloads of a namespace, sorted by kind and name.
func (s *Server) Workloads(namespace string) []Workload {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []Workload
	for _, w := range s.state.Workloads {
		if w.Namespace == namespace {
			out = append(out, w.clone())
		}
	}
	slices.SortFunc(out, func(a, b Workload) int {
		return strings.Compare(a.Kind+"/"+a.Name, b.Kind+"/"+b.Name)
	})
	return out
}

// Writes counts changes by kind since the cluster was first started.
func (s *Server) Writes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]int{"workloads": s.state.Writes}
}
