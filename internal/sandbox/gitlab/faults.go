package gitlab

import (
	"net/http"
	"strconv"
	"sync"
	"time"
)

// Fault looks at a request and may answer in the server's place.
type Fault func(*http.Request) (status int, body string, ok bool)

// faults are the troubles that tests switch on.
type faults struct {
	mu            sync.Mutex
	before, after Fault
	limit         int // requests a period; 0 is off
	period        time.Duration
	windowEnd     time.Time
	used          int
}

// Inject lets f answer requests before they are looked at: a 502 of the load
// balancer in front, a server under maintenance. Nil takes it away.
func (s *Server) Inject(f Fault) { s.faults.mu.Lock(); defer s.faults.mu.Unlock(); s.faults.before = f }

// InjectAfter lets f replace answers after the request was carried out: the
// effect is there, but the client sees a 502.
func (s *Server) InjectAfter(f Fault) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.after = f
}

// Limit switches rate limiting on: so many requests a period over all users,
// then 429 as Rack::Attack answers it. Zero switches it off.
// See https://docs.gitlab.com/administration/settings/user_and_ip_rate_limits/.
func (s *Server) Limit(requests int, period time.Duration) {
	s.faults.mu.Lock()
	defer s.faults.mu.Unlock()
	s.faults.limit, s.faults.period, s.faults.used, s.faults.windowEnd = requests, period, 0, time.Time{}
}

// throttled counts the request; it answers and reports true when it is one too many.
func (f *faults) throttled(w http.ResponseWriter, now time.Time) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.limit == 0 {
		return false
	}
	if !now.Before(f.windowEnd) {
		f.windowEnd, f.used = now.Add(f.period), 0
	}
	f.used++
	h := w.Header()
	h.Set("RateLimit-Name", "throttle_authenticated_api")
	h.Set("RateLimit-Limit", strconv.Itoa(f.limit))
	h.Set("RateLimit-Observed", strconv.Itoa(f.used))
	h.Set("RateLimit-Remaining", strconv.Itoa(max(0, f.limit-f.used)))
	// Whole seconds, rounded up: a client that waits so long is let in again.
	reset := f.windowEnd.Add(time.Second - time.Nanosecond).Truncate(time.Second)
	h.Set("RateLimit-Reset", strconv.FormatInt(reset.Unix(), 10))
	if f.used <= f.limit {
		return false
	}
	h.Set("RateLimit-ResetTime", reset.UTC().Format(http.TimeFormat))
	h.Set("Retry-After", strconv.Itoa(int((reset.Sub(now)+time.Second-1)/time.Second)))
	h.Set("Content-Type", "text/plain")
	w.WriteHeader(http.StatusTooManyRequests)
	_, _ = w.Write([]byte("Retry later\n"))
	return true
}

func answerFault(w http.ResponseWriter, f Fault, r *http.Request) bool {
	if f == nil {
		return false
	}
	status, body, ok := f(r)
	if ok {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(status)
		_, _ = w.Write([]byte(body))
	}
	return ok
}

// faulty wraps the API with what tests have switched on.
func (s *Server) faulty(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.faults.mu.Lock()
		before, after := s.faults.before, s.faults.after
		s.faults.mu.Unlock()
		if answerFault(w, before, r) || s.faults.throttled(w, s.now()) {
			return
		}
		if after == nil {
			next.ServeHTTP(w, r)
			return
		}
		held := &heldAnswer{header: http.Header{}, status: http.StatusOK}
		next.ServeHTTP(held, r)
		if answerFault(w, after, r) {
			return
		}
		for k, v := range held.header {
			w.Header()[k] = v
		}
		w.WriteHeader(held.status)
		_, _ = w.Write(held.body)
	})
}

// heldAnswer keeps an answer back until it is known whether it may be seen.
type heldAnswer struct {
	header http.Header
	status int
	body   []byte
}

func (h *heldAnswer) Header() http.Header         { return h.header }
func (h *heldAnswer) WriteHeader(status int)      { h.status = status }
func (h *heldAnswer) Write(b []byte) (int, error) { h.body = append(h.body, b...); return len(b), nil }
