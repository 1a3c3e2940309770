package gitlab

import (
	"context"
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

// BotToken is the token of the bot that every new server knows: a Maintainer of
// all projects.
const BotToken = "glpat-sandbox-ecrferry-bot" //nolint:gosec // a stand-in's token, worth nothing elsewhere

// Options say how a Server is to run. The zero value gives a server in memory
// on a free port of the loopback interface, without a runner.
type Options struct {
	Dir   string // where the state is kept; "" keeps it in memory
	Addr  string // "127.0.0.1:0" when empty
	Clock *clock.Clock
	Log   *slog.Logger

	Executor ci.Executor                    // runs jobs; without one they stay pending
	Instance func(ci.Project) []ci.Variable // instance-level variables such as CI_REGISTRY
	Group    func(ci.Project) []ci.Variable // variables of the project's groups

	PushDelay  time.Duration // between a push and its pipeline; 20 ms when zero
	CheckDelay time.Duration // how long a merge request stays "checking"; 30 ms when zero
	Runners    int           // jobs at the same time; 4 when zero
	RunnerTags []string      // what the runners are tagged with; {"docker"} when nil
	Host       string        // what CI_SERVER_HOST says; "gitlab.sikt.no" when empty
}

// Server is a running stand-in.
type Server struct {
	URL string // http://127.0.0.1:port, without /api/v4

	opt     Options
	log     *slog.Logger
	compile func(ci.Project, ci.Trigger, ci.Settings, ci.Files, []byte) (*ci.Pipeline, error)
	http    *http.Server
	saver   *saver
	faults  faults

	ctx    context.Context
	cancel context.CancelFunc
	tasks  sync.WaitGroup // job runs, pipeline creations, timers

	mu      sync.Mutex // guards everything below
	changed *sync.Cond // signalled whenever pipelines moved
	st      state
	active  map[int64]context.CancelFunc // running jobs
	queue   []int64                      // pending jobs, oldest first
	busy    int                          // timers and pipeline creations under way
	closed  bool
	jobs    map[int64]*job      // every job of every project
	pipes   map[int64]*pipeline // every pipeline of every project
}

// Start opens the state, listens and goes on with unfinished pipelines.
func Start(o Options) (*Server, error) { return start(o, ci.Compile) }

func start(o Options, compile func(ci.Project, ci.Trigger, ci.Settings, ci.Files, []byte) (*ci.Pipeline, error)) (*Server, error) {
	if o.Addr == "" {
		o.Addr = "127.0.0.1:0"
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.PushDelay == 0 {
		o.PushDelay = 20 * time.Millisecond
	}
	if o.CheckDelay == 0 {
		o.CheckDelay = 30 * time.Millisecond
	}
	if o.Runners == 0 {
		o.Runners = 4
	}
	if o.RunnerTags == nil {
		o.RunnerTags = []string{"docker"}
	}
	if o.Host == "" {
		o.Host = "gitlab.sikt.no"
	}
	s := &Server{opt: o, log: o.Log, compile: compile, active: map[int64]context.CancelFunc{}}
	s.changed = sync.NewCond(&s.mu)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	if err := s.load(); err != nil {
		return nil, fmt.Errorf("gitlab stand-in: %w", err)
	}
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("gitlab stand-in: %w", err)
	}
	s.URL = "http://" + listener.Addr().String()
	s.saver = newSaver(s)
	s.http = &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() {
		if err := s.http.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			s.log.Error("gitlab stand-in stopped serving", "error", err)
		}
	}()
	s.mu.Lock()
	s.resume()
	s.mu.Unlock()
	return s, nil
}

// Close stops serving, stops running jobs without recording an outcome for
// them, and saves the state.
func (s *Server) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return nil
	}
	s.closed = true
	s.changed.Broadcast()
	s.mu.Unlock()

	ctx, stop := context.WithTimeout(context.Background(), 2*time.Second)
	defer stop()
	err := s.http.Shutdown(ctx)
	if errors.Is(err, context.DeadlineExceeded) {
		err = s.http.Close()
	}
	s.cancel()
	s.tasks.Wait()
	return errors.Join(err, s.saver.close())
}

func (s *Server) now() time.Time { return s.opt.Clock.Now() }

// spawn runs f beside the caller unless the server is closing; until f is done
// the server is not idle. s.mu is held by the caller, not by f.
func (s *Server) spawn(f func()) {
	if s.closed {
		return
	}
	s.tasks.Add(1)
	s.busy++
	go func() {
		defer s.tasks.Done()
		f()
		s.mu.Lock()
		s.busy--
		s.changed.Broadcast()
		s.mu.Unlock()
	}()
}

// after runs f once the delay has passed. s.mu is held.
func (s *Server) after(d time.Duration, f func()) {
	s.spawn(func() {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-s.ctx.Done():
		case <-timer.C:
			f()
		}
	})
}
