// Package oldregistry is the registry that projects leave: a real Distribution
// registry with token login, as registry.uninett.no looks from outside.
//
// Everybody who has logged in may pull everything, and public/* needs no login.
// A project's pipelines may push below the project's own path, "-suffix" names
// included. Only the worker may list the catalog. Lists come in small pages
// with a Link header. Tags move as clients wish.
package oldregistry

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci/distribution"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
)

// Options of the registry.
type Options struct {
	Dir       string        // state goes on where an earlier registry in it ended; "" keeps it in memory
	Addr      string        // to listen on; "" means 127.0.0.1:0
	Page      int           // entries of a catalog or tags page at most; 0 means 20
	Delete    bool          // allow the worker to delete manifests and blobs
	TokenLife time.Duration // of a bearer token, by the clock; 0 means 5 minutes
	Clock     *clock.Clock
	Log       *slog.Logger
}

// Server is a running registry.
type Server struct {
	URL  string // base URL
	Name string // what image references call it

	options  Options
	registry *distribution.Registry
	access   *access
	http     *http.Server
	saver    *state.Saver
	closing  func() error

	mu     sync.Mutex
	kept   kept
	asked  map[string]int
	inject func(*http.Request) (status int, body string, ok bool)
	pulls  atomic.Int64
}

// kept is what survives a restart.
type kept struct {
	Secret string              `json:"secret"` // passwords derive from it
	Writes map[string]int      `json:"writes"`
	Grants map[string][]string `json:"grants"` // project path to further bases that it may push to
}

// Start starts a registry.
func Start(o Options) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Page <= 0 {
		o.Page = 20
	}
	if o.TokenLife <= 0 {
		o.TokenLife = 5 * time.Minute
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		asked: map[string]int{},
		Name:  "registry.uninett.no", options: o,
		kept: kept{Secret: rand.Text(), Writes: map[string]int{}, Grants: map[string][]string{}},
	}
	file, blobs := "", ""
	if o.Dir != "" {
		file, blobs = filepath.Join(o.Dir, "registry.json"), filepath.Join(o.Dir, "blobs")
	}
	if err := state.Load(file, &s.kept); err != nil {
		return nil, err
	}
	s.saver = state.NewSaver(file, o.Log, func() ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return json.Marshal(s.kept)
	})
	// Passwords must be the same after a kill, so the secret is kept at once.
	if err := s.saver.Save(); err != nil {
		return nil, err
	}
	s.closing = sync.OnceValue(s.close)
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + listener.Addr().String()
	if s.access, err = newAccess(s); err == nil {
		s.registry, err = distribution.New(distribution.Options{
			Dir: blobs, Delete: o.Delete, MaxTags: o.Page,
			Auth: controllerName, AuthOptions: map[string]any{"access": s.access},
		})
	}
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("old registry ended", "error", err)
		}
	}()
	return s, nil
}

// Close stops the server and saves its state. A second call does nothing.
func (s *Server) Close() error { return s.closing() }

func (s *Server) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
	return errors.Join(s.registry.Close(), s.saver.Close())
}

// Worker returns the login of the migration: it may list and pull everything.
func (s *Server) Worker() (user, password string) { return workerUser, s.password(workerUser) }

// Pipeline returns the login of a project's pipelines.
func (s *Server) Pipeline(project string) (user, password string) {
	user = pipelinePrefix + project
	return user, s.password(user)
}

// Grant lets a project's pipelines push to a further base, such as
// public/kart, and to base-* and base/*.
func (s *Server) Grant(project, base string) {
	s.mu.Lock()
	if !slices.Contains(s.kept.Grants[project], base) {
		s.kept.Grants[project] = append(s.kept.Grants[project], base)
	}
	s.mu.Unlock()
	s.saver.Changed()
}

// Inject lets f answer requests in the registry's place where it returns ok:
// outages, slow answers, throttling. Nil ends that.
func (s *Server) Inject(f func(*http.Request) (status int, body string, ok bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inject = f
}

// Writes counts what clients changed: manifests, layers, deletions.
func (s *Server) Writes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.kept.Writes)
}

// Requests counts the requests since the start by what is asked for: "GET token",
// "GET tags/list", "GET manifests", "HEAD manifests", "GET blobs", "GET referrers"
// and so on, refused ones and those that Inject answers too.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.asked)
}

var asks = regexp.MustCompile(`^/v2/(?:.+/)?(manifests|blobs/uploads|blobs|referrers|tags/list|_catalog)(?:/|$)`)

// kindOf names what a request asks for.
func kindOf(r *http.Request) string {
	if r.URL.Path == tokenPath {
		return r.Method + " token"
	}
	if m := asks.FindStringSubmatch(r.URL.Path); m != nil {
		return r.Method + " " + m[1]
	}
	return r.Method + " " + r.URL.Path
}

// Pulls counts the manifests that clients have read since the start; a HEAD is none.
func (s *Server) Pulls() int { return int(s.pulls.Load()) }

func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.asked[kindOf(r)]++
	inject := s.inject
	s.mu.Unlock()
	if inject != nil {
		if status, body, ok := inject(r); ok {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
			return
		}
	}
	if r.URL.Path == tokenPath {
		s.access.serveToken(w, r)
		return
	}
	if r.Method == http.MethodGet && (r.URL.Path == "/v2/_catalog" || strings.HasSuffix(r.URL.Path, "/tags/list")) {
		r = s.paged(r)
	}
	recorder := &recorder{ResponseWriter: w, status: http.StatusOK}
	s.registry.ServeHTTP(recorder, r)
	s.count(r, recorder.status)
}

// paged bounds the page that a list request asks for. Distribution itself
// gives up to 1000 entries, and all tags when no page size is named; a server
// may give less than asked for as long as it links to the rest.
func (s *Server) paged(r *http.Request) *http.Request {
	q := r.URL.Query()
	if n, err := strconv.Atoi(q.Get("n")); q.Has("n") && (err != nil || n <= s.options.Page || n > 1000) {
		return r
	}
	q.Set("n", strconv.Itoa(s.options.Page))
	r = r.Clone(r.Context())
	r.URL.RawQuery = q.Encode()
	return r
}

// count notes a request that changed something.
func (s *Server) count(r *http.Request, status int) {
	noun := ""
	switch {
	case r.Method == http.MethodPut && status == http.StatusCreated && strings.Contains(r.URL.Path, "/manifests/"):
		noun = "manifests"
	case (r.Method == http.MethodPut || r.Method == http.MethodPost) && status == http.StatusCreated:
		noun = "layers"
	case r.Method == http.MethodDelete && status == http.StatusAccepted:
		noun = "deletions"
	case r.Method == http.MethodGet && status == http.StatusOK && strings.Contains(r.URL.Path, "/manifests/"):
		s.pulls.Add(1)
		return
	default:
		return
	}
	s.mu.Lock()
	s.kept.Writes[noun]++
	s.mu.Unlock()
	s.saver.Changed()
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// Unwrap gives http.ResponseController the writer below.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (s *Server) String() string { return fmt.Sprintf("old registry %s at %s", s.Name, s.URL) }
