package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Reconciliation is what the latest report found, and where its schedule stands.
type Reconciliation struct {
	Last, Next  time.Time // zero for none
	Overdue     bool
	Differs     bool // this worker is configured for another schedule than holds
	NeedingOld  int
	Unobserved  int
	Undelivered int
	// Findings counts them by class; classes that nothing is in are there with 0.
	Findings map[string]int
}

// Reconciliation adds the figures of the latest report, asked for at each scrape.
func (m *Metrics) Reconciliation(ask func() (Reconciliation, error)) {
	if m != nil {
		m.registry.MustRegister(latest{ask})
	}
}

type latest struct {
	ask func() (Reconciliation, error)
}

var (
	lastReport  = prometheus.NewDesc("ecrferry_reconciliation_last_timestamp_seconds", "When the latest reconciliation of all projects was finished; 0 for never.", nil, nil)
	nextReport  = prometheus.NewDesc("ecrferry_reconciliation_next_timestamp_seconds", "When the next reconciliation is due; 0 without a schedule.", nil, nil)
	overdue     = prometheus.NewDesc("ecrferry_reconciliation_overdue", "1 if the reconciliation that was due is missing although its time is up, else 0.", nil, nil)
	differs     = prometheus.NewDesc("ecrferry_reconciliation_schedule_differs", "1 if this worker is configured for another schedule of the reconciliation than the one that others keep, else 0.", nil, nil)
	findings    = prometheus.NewDesc("ecrferry_reconciliation_findings", "Projects and old repositories in the latest reconciliation, by class.", []string{"class"}, nil)
	needingOld  = prometheus.NewDesc("ecrferry_reconciliation_needing_old", "Projects that still need the old registry, by the latest reconciliation.", nil, nil)
	unobserved  = prometheus.NewDesc("ecrferry_reconciliation_unobserved", "Projects that the latest reconciliation could not look at.", nil, nil)
	undelivered = prometheus.NewDesc("ecrferry_report_deliveries_failing", "Deliveries of reports that have failed, and are tried again or were given up.", nil, nil)
)

// Describe implements prometheus.Collector.
func (latest) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{lastReport, nextReport, overdue, differs, findings, needingOld, unobserved, undelivered} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (l latest) Collect(ch chan<- prometheus.Metric) {
	r, err := l.ask()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(lastReport, err)
		return
	}
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(lastReport, unix(r.Last))
	gauge(nextReport, unix(r.Next))
	late := 0.0
	if r.Overdue {
		late = 1
	}
	gauge(overdue, late)
	other := 0.0
	if r.Differs {
		other = 1
	}
	gauge(differs, other)
	gauge(needingOld, float64(r.NeedingOld))
	gauge(unobserved, float64(r.Unobserved))
	gauge(undelivered, float64(r.Undelivered))
	for class, n := range r.Findings {
		gauge(findings, float64(n), class)
	}
}

func unix(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
