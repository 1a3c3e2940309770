// Package ecr is a stand-in for Amazon ECR (a private registry), as strict as
// the real one where strictness hurts.
//
// One listener has two doors to one state. POST / is the JSON 1.1 API that the
// AWS SDK speaks, signatures checked. /v2/ is the registry door that docker and
// its kin speak, with layers and manifests kept by a real Distribution
// registry. What ECR adds is kept in an index of our own: repositories,
// immutable tags, times of push and pull, permissions, 12-hour tokens, rates,
// and the platform's clean-up of images that nothing runs.
//
// Error codes and texts follow what clients have reported of ECR; see
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/.
package ecr

import (
	"cmp"
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
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci/distribution"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/state"
)

// Options of the stand-in.
type Options struct {
	Dir        string        // state goes on where an earlier one in it ended; "" keeps it in memory
	Addr       string        // to listen on; "" means 127.0.0.1:0
	Account    string        // "" means 123456789012
	Region     string        // "" means eu-north-1
	TokenLife  time.Duration // of a login, by the clock; 0 means 12 hours
	SweepEvery time.Duration // by the clock; 0 means that only Sweep cleans up
	// Rates replaces the default quota of operations such as PutImage.
	Rates map[string]Rate
	// InUse lists the images that the PaaS runs: "[host/]repository:tag" or
	// "…@digest". It is called without locks held.
	InUse func() []string
	Clock *clock.Clock
	Log   *slog.Logger
}

// Server is a running stand-in.
type Server struct {
	URL      string // where both doors are
	Registry string // what image references call it

	options Options
	backend backend
	http    *http.Server
	saver   *state.Saver
	limits  limits
	stop    chan struct{}
	closing func() error
	stopped sync.WaitGroup

	// mu guards everything below, and the order of writes to the backend.
	mu       sync.Mutex
	kept     kept
	parts    map[string]*parts   // uploads through the API
	chunked  map[string]*chunked // uploads through the door that got a chunk
	requests map[string]int
	inject   func(*http.Request) (status int, body string, ok bool)
}

// kept is what survives a restart.
type kept struct {
	Secret       string                 `json:"secret"` // tokens, keys and URLs derive from it
	Epoch        int64                  `json:"epoch"`  // tokens of earlier ones have expired
	Writes       map[string]int         `json:"writes"`
	Settings     map[string]string      `json:"settings"`
	Keys         map[string]principal   `json:"keys"` // by access key
	Repositories map[string]*repository `json:"repositories"`
}

// Start starts a stand-in.
func Start(o Options) (*Server, error) {
	o.Addr = cmp.Or(o.Addr, "127.0.0.1:0")
	o.Account = cmp.Or(o.Account, "123456789012")
	o.Region = cmp.Or(o.Region, "eu-north-1")
	o.TokenLife = cmp.Or(o.TokenLife, 12*time.Hour)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{
		Registry: fmt.Sprintf("%s.dkr.ecr.%s.amazonaws.com", o.Account, o.Region),
		options:  o, limits: newLimits(o.Rates), stop: make(chan struct{}),
		kept: kept{
			Secret: rand.Text(), Writes: map[string]int{}, Settings: map[string]string{},
			Keys: map[string]principal{}, Repositories: map[string]*repository{},
		},
		parts: map[string]*parts{}, chunked: map[string]*chunked{}, requests: map[string]int{},
	}
	file, blobs := "", ""
	if o.Dir != "" {
		file, blobs = filepath.Join(o.Dir, "ecr.json"), filepath.Join(o.Dir, "blobs")
	}
	if err := state.Load(file, &s.kept); err != nil {
		return nil, err
	}
	s.saver = state.NewSaver(file, o.Log, func() ([]byte, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return json.Marshal(s.kept)
	})
	// Keys must be the same after a kill, so the secret is kept at once.
	if err := s.saver.Save(); err != nil {
		return nil, err
	}
	registry, err := distribution.New(distribution.Options{Dir: blobs, Delete: true})
	if err != nil {
		return nil, err
	}
	s.backend = backend{registry}
	s.closing = sync.OnceValue(s.close)
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, err
	}
	s.URL = "http://" + listener.Addr().String()
	s.http = &http.Server{Handler: s, ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			o.Log.Error("ecr ended", "error", err)
		}
	}()
	if o.SweepEvery > 0 {
		s.stopped.Go(s.sweepRegularly)
	}
	return s, nil
}

// Close stops the server and saves its state. A second call does nothing.
func (s *Server) Close() error { return s.closing() }

func (s *Server) close() error {
	close(s.stop)
	s.stopped.Wait()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		_ = s.http.Close()
	}
	return errors.Join(s.backend.Close(), s.saver.Close())
}

// ServeHTTP answers at both doors.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
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
	switch {
	case r.URL.Path == "/v2" || strings.HasPrefix(r.URL.Path, "/v2/"):
		s.serveDoor(w, r)
	case strings.HasPrefix(r.URL.Path, layersPath):
		s.serveLayer(w, r)
	case r.URL.Path == "/" && r.Method == http.MethodPost:
		s.serveAPI(w, r)
	default:
		http.NotFound(w, r)
	}
}

// Inject lets f answer requests in the service's place where it returns ok:
// outages, slow answers, refusals. Nil ends that.
func (s *Server) Inject(f func(*http.Request) (status int, body string, ok bool)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inject = f
}

// CreateRepository makes a repository with immutable tags, as the platform's
// console does, and tells whether it did not exist before.
func (s *Server) CreateRepository(name string) (created bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, f := s.createRepository(name, "IMMUTABLE", nil)
	switch {
	case f == nil:
		return true, nil
	case f.exception == "RepositoryAlreadyExistsException":
		return false, nil
	}
	return false, f
}

// Tags returns the tags of a repository and the digests they name.
func (s *Server) Tags(repository string) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.kept.Repositories[repository]; r != nil {
		return maps.Clone(r.Tags)
	}
	return nil
}

// Writes counts what came in through the two doors: repositories, manifests,
// layers, policies (and other settings), deletions.
func (s *Server) Writes() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.kept.Writes)
}

// Requests counts the requests of both doors by API operation since the start.
func (s *Server) Requests() map[string]int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return maps.Clone(s.requests)
}

// wrote counts a write from outside; the caller holds the lock.
func (s *Server) wrote(noun string) {
	s.kept.Writes[noun]++
	s.saver.Changed()
}

func (s *Server) now() time.Time { return s.options.Clock.Now() }

// arn names a repository; "*" names all.
func (s *Server) arn(repository string) string {
	return fmt.Sprintf("arn:aws:ecr:%s:%s:repository/%s", s.options.Region, s.options.Account, repository)
}

// Remove deletes the image behind a tag, with all its tags, as the platform's
// administrators can. It tells whether there was one.
func (s *Server) Remove(repository, tag string) (bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.kept.Repositories[repository]
	if r == nil || r.Images[r.Tags[tag]] == nil {
		return false, nil
	}
	return true, s.remove(r, r.Images[r.Tags[tag]])
}

// Pulls returns when each image was last recorded as pulled, by repository@digest.
func (s *Server) Pulls() map[string]time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	pulls := map[string]time.Time{}
	for name, r := range s.kept.Repositories {
		for digest, img := range r.Images {
			pulls[name+"@"+digest] = img.Pulled
		}
	}
	return pulls
}
