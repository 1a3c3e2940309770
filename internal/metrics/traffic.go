package metrics

import (
	"regexp"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// traffic counts what goes over the wire, and what keeps it from going.
type traffic struct {
	bytes   *prometheus.CounterVec
	copied  prometheus.Counter
	waits   *prometheus.SummaryVec
	retries *prometheus.CounterVec

	mu     sync.Mutex
	causes map[string]bool
}

func newTraffic() *traffic {
	return &traffic{
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecrferry_transfer_bytes_total",
			Help: "Bytes in the bodies of HTTP requests to (sent) and answers from (received) systems outside, by system.",
		}, []string{"system", "direction"}),
		copied: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ecrferry_copied_bytes_total",
			Help: "Bytes of image layers and configurations that have been brought to ECR, each once it is there.",
		}),
		waits: prometheus.NewSummaryVec(prometheus.SummaryOpts{
			Name: "ecrferry_rate_limit_wait_seconds",
			Help: "Waits for a rate limit: of requests for their turn at an action (limiter such as \"ecr PutImage\" or \"old-registry manifests\"), of requests and jobs after a system's refusal (gitlab, old-registry, ecr), of requests for our own pace (cluster), of jobs for the fleet's budget (pipelines).",
		}, []string{"limiter"}),
		retries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ecrferry_step_retries_total",
			Help: "Tries of steps that failed and are tried again, by step and reason.",
		}, []string{"step", "reason"}),
		causes: map[string]bool{},
	}
}

// Transferred counts bytes to ("sent") or from ("received") a system.
func (m *Metrics) Transferred(system, direction string, n int) {
	if m != nil && n > 0 {
		m.traffic.bytes.WithLabelValues(system, direction).Add(float64(n))
	}
}

// Copied counts the bytes of a blob that has been brought to ECR.
func (m *Metrics) Copied(n int64) {
	if m != nil {
		m.traffic.copied.Add(float64(n))
	}
}

// Waited counts a wait for a rate limit.
func (m *Metrics) Waited(limiter string, d time.Duration) {
	if m != nil {
		m.traffic.waits.WithLabelValues(limiter).Observe(d.Seconds())
	}
}

// Waits returns an observer of the waits for a limiter.
func (m *Metrics) Waits(limiter string) func(time.Duration) {
	return func(d time.Duration) { m.Waited(limiter, d) }
}

// Retried counts a try that is followed by another.
func (m *Metrics) Retried(step, reason string) {
	if m != nil {
		m.traffic.retries.WithLabelValues(step, m.traffic.cause(reason)).Inc()
	}
}

// mostCauses bounds the values of the label: there are fewer reason codes in the
// program, so that more means that a text came in where a code belongs.
const mostCauses = 100

var code = regexp.MustCompile(`^[a-z][a-z0-9-]{0,47}$`)

// cause returns the reason as a label, or "other".
func (t *traffic) cause(reason string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !code.MatchString(reason) || len(t.causes) >= mostCauses && !t.causes[reason] {
		return "other"
	}
	t.causes[reason] = true
	return reason
}

// Depth is how many jobs of a queue are in a state.
type Depth struct {
	Queue, State string
	Jobs         int
}

// Queues adds the depths of the queues, asked for at each scrape.
func (m *Metrics) Queues(ask func() ([]Depth, error)) {
	if m != nil {
		m.registry.MustRegister(queues{ask})
	}
}

type queues struct{ ask func() ([]Depth, error) }

var depth = prometheus.NewDesc("ecrferry_queue_jobs", "Jobs in the queues that are not ended, by queue and state.", []string{"queue", "state"}, nil)

// Describe implements prometheus.Collector.
func (queues) Describe(ch chan<- *prometheus.Desc) { ch <- depth }

// Collect implements prometheus.Collector.
func (q queues) Collect(ch chan<- prometheus.Metric) {
	depths, err := q.ask()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(depth, err)
		return
	}
	for _, d := range depths {
		ch <- prometheus.MustNewConstMetric(depth, prometheus.GaugeValue, float64(d.Jobs), d.Queue, d.State)
	}
}
