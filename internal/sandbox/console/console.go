// Package console is the platform's console, as far as its button "Update
// configuration" goes: it gives a project its ECR repository, points the
// project's CI/CD variables to it and lets pipelines of the project's present
// path push there.
//
// What a pipeline may do depends on the path that was registered last. A project
// that was moved or renamed since then cannot log in until the configuration is
// updated again.
//
// The real console's API is not known. Here it is
// POST /api/projects/{id}/update-configuration with a bearer token.
package console

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
)

// ErrNoProject is what Options.Path returns for a project that does not exist.
var ErrNoProject = errors.New("project not found")

// Options are the settings of Start. The functions reach the other systems.
type Options struct {
	Dir   string // where registrations are kept; "" keeps them in memory
	Addr  string // listen address; "" is a free loopback port
	Token string // bearer token that may configure every project; "" makes one up

	// Members are further tokens, each with the projects it may configure.
	Members map[string][]int64

	Registry string // host of the ECR registry, for CI_REGISTRY

	// Path returns the present path of a project in GitLab, or ErrNoProject.
	Path func(ctx context.Context, project int64) (string, error)
	// Variables lists a project's CI/CD variables, SetVariable creates or updates one.
	Variables   func(ctx context.Context, project int64) ([]ci.Variable, error)
	SetVariable func(ctx context.Context, project int64, v ci.Variable) error
	// CreateRepository makes an ECR repository unless it is there.
	CreateRepository func(ctx context.Context, name string) (created bool, err error)

	Clock *clock.Clock
	Log   *slog.Logger
}

// Server is a running console.
type Server struct {
	URL   string
	Token string

	opts Options
	http *http.Server

	update sync.Mutex // one configuration at a time
	mu     sync.Mutex // guards what follows
	state  state
	watch  func(*http.Request)
}

// Start brings the console up with the registrations of Options.Dir.
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
		st.Token = "console-" + hex.EncodeToString(b)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	s := &Server{URL: "http://" + listener.Addr().String(), Token: st.Token, opts: o, state: st}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /api/projects/{id}/update-configuration", s.serve)
	s.http = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		watch := s.watch
		s.mu.Unlock()
		if watch != nil {
			watch(r)
		}
		mux.ServeHTTP(w, r)
	}), ReadHeaderTimeout: 10 * time.Second}
	go s.http.Serve(listener)
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

// Close stops the endpoint. The state is already saved.
func (s *Server) Close() error { return s.http.Close() }

// Registered returns the path and repository with which a project was
// configured last. The path may no longer be the project's.
func (s *Server) Registered(project int64) (path, repository string, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, ok := s.state.Projects[project]
	return r.Path, r.Repository, ok
}

// Writes counts the updates that changed something.
func (s *Server) Writes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return map[string]int{"configurations": s.state.Writes}
}
