package ecr

import (
	"math"

	"golang.org/x/time/rate"
)

// Rate is a quota of an operation: a token bucket. PerSecond may be math.Inf(1).
type Rate struct {
	PerSecond float64
	Burst     int
}

// quotas are the defaults of an account and region. Both doors, all
// repositories and all principals share them. See
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html.
var quotas = map[string]Rate{
	"PutImage":                    {10, 10},
	"InitiateLayerUpload":         {100, 100},
	"UploadLayerPart":             {500, 500},
	"CompleteLayerUpload":         {100, 100},
	"BatchCheckLayerAvailability": {1000, 1000},
	"BatchGetImage":               {2000, 2000},
	"GetDownloadUrlForLayer":      {3000, 3000},
	"GetAuthorizationToken":       {500, 500},
}

// limits are the buckets by operation. They run on real time: moving the
// sandbox's clock does not let more requests through.
type limits map[string]*rate.Limiter

func newLimits(changed map[string]Rate) limits {
	l := limits{}
	for operation, q := range quotas {
		if c, ok := changed[operation]; ok {
			q = c
		}
		if math.IsInf(q.PerSecond, 1) {
			q.PerSecond = math.MaxFloat64
		}
		l[operation] = rate.NewLimiter(rate.Limit(q.PerSecond), q.Burst)
	}
	return l
}

// admit counts a request and decides whether quota and role let it through.
func (s *Server) admit(p principal, operation, repository string) *failure {
	s.mu.Lock()
	s.requests[operation]++
	s.mu.Unlock()
	if l := s.limits[operation]; l != nil && !l.Allow() {
		return throttled()
	}
	return s.authorize(p, operation, repository)
}

// Raise gives an operation another quota, as AWS does when it is asked to.
func (s *Server) Raise(operation string, to Rate) {
	if l := s.limits[operation]; l != nil {
		l.SetLimit(rate.Limit(to.PerSecond))
		l.SetBurst(to.Burst)
	}
}
