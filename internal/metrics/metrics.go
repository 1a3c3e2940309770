// Package metrics counts what a worker does, for Prometheus.
package metrics

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics is a set of counters. Its methods return observers for the rooms,
// which know nothing of Prometheus. A nil *Metrics counts nothing.
type Metrics struct {
	registry *prometheus.Registry
	steps    *prometheus.HistogramVec
	requests *prometheus.HistogramVec
	traffic  *traffic
}

// Progress is the number of projects by state, asked for at each scrape.
type Progress func() (map[string]float64, error)

// New makes the counters. Progress may be nil.
func New(progress Progress) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		traffic:  newTraffic(),
		steps: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ecrferry_step_seconds",
			Help:    "Duration of the tries of migration steps, by step and outcome.",
			Buckets: []float64{.1, .3, 1, 3, 10, 30, 100, 300, 1000, 3000},
		}, []string{"step", "outcome"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name:    "ecrferry_request_seconds",
			Help:    "Duration of requests to systems outside, by system, operation and outcome (HTTP status, or ok and error).",
			Buckets: []float64{.01, .03, .1, .3, 1, 3, 10, 30, 100},
		}, []string{"system", "operation", "outcome"}),
	}
	m.registry.MustRegister(m.steps, m.requests, m.traffic.bytes, m.traffic.copied, m.traffic.waits, m.traffic.retries,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	if progress != nil {
		m.registry.MustRegister(fleet{progress})
	}
	return m
}

// Handler serves the counters in Prometheus' text format.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Step observes a finished try of a step.
func (m *Metrics) Step(step, outcome string, d time.Duration) {
	if m != nil {
		m.steps.WithLabelValues(step, outcome).Observe(d.Seconds())
	}
}

// HTTP returns an observer of HTTP requests to a system.
func (m *Metrics) HTTP(system string) func(method, route string, status int, d time.Duration) {
	return func(method, route string, status int, d time.Duration) {
		if m != nil {
			m.requests.WithLabelValues(system, method+" "+route, strconv.Itoa(status)).Observe(d.Seconds())
		}
	}
}

// AWS returns an observer of calls of the ECR API.
func (m *Metrics) AWS() func(operation string, err error, d time.Duration) {
	return func(operation string, err error, d time.Duration) {
		if m == nil {
			return
		}
		outcome := "ok"
		if err != nil {
			outcome = "error"
		}
		m.requests.WithLabelValues("ecr", operation, outcome).Observe(d.Seconds())
	}
}

// fleet reports where the projects are.
type fleet struct{ progress Progress }

var projects = prometheus.NewDesc("ecrferry_projects", "Projects by the state of their latest migration.", []string{"state"}, nil)

func (fleet) Describe(ch chan<- *prometheus.Desc) { ch <- projects }

func (f fleet) Collect(ch chan<- prometheus.Metric) {
	counts, err := f.progress()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(projects, err)
		return
	}
	for state, n := range counts {
		ch <- prometheus.MustNewConstMetric(projects, prometheus.GaugeValue, n, state)
	}
}
