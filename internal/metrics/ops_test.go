package metrics_test

import (
	"encoding/json"
	"log/slog"
	"maps"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"

	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
)

var promQL = parser.NewParser(parser.Options{})

// TestRules reads the alert rules as Prometheus does when it starts: their
// expressions, the templates in them, and no field that it does not know.
func TestRules(t *testing.T) {
	t.Parallel()
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			if r.Annotations["summary"] == "" || r.Annotations["description"] == "" {
				t.Errorf("%s does not say what is wrong and what to do", r.Alert)
			}
			if !slices.Contains([]string{"critical", "warning", "info"}, r.Labels["severity"]) {
				t.Errorf("%s has the severity %q", r.Alert, r.Labels["severity"])
			}
		}
	}
	// The check itself notices what is wrong.
	for _, wrong := range []string{
		"groups: [{name: x, rules: [{alert: A, expr: 'sum(x'}]}]",
		"groups: [{name: x, rules: [{alert: A, expr: x, annotations: {summary: '{{ $value '}}]}]",
		"groups: [{name: x, rules: [{alert: A, expr: x, until: 5m}]}]",
	} {
		if _, errs := rulefmt.Parse([]byte(wrong), false, model.LegacyValidation, promQL, slog.New(slog.DiscardHandler)); len(errs) == 0 {
			t.Errorf("%s passes for rules", wrong)
		}
	}
}

func rules(t *testing.T) *rulefmt.RuleGroups {
	t.Helper()
	groups, errs := rulefmt.Parse(read(t, "../../ops/alerts.yml"), false, model.LegacyValidation, promQL, slog.New(slog.DiscardHandler))
	if len(errs) > 0 {
		t.Fatalf("ops/alerts.yml: %v", errs)
	}
	return groups
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// served returns the metrics that a worker serves, with the labels of each.
func served(t *testing.T) (all map[string][]string, text string) {
	t.Helper()
	m := metrics.New(func() (map[string]float64, error) { return map[string]float64{"done": 3}, nil })
	m.Step("copy", "done", time.Second)
	m.HTTP("gitlab")("GET", "projects/:id", 200, time.Second)
	m.Transferred("ecr-registry", "sent", 1)
	m.Copied(1)
	m.Waited("gitlab", time.Second)
	m.Retried("copy", "ecr-throttled")
	m.Queues(func() ([]metrics.Depth, error) {
		return []metrics.Depth{{Queue: "copy", State: "available", Jobs: 1}}, nil
	})
	m.Reconciliation(func() (metrics.Reconciliation, error) {
		return metrics.Reconciliation{Last: time.Unix(1_700_000_000, 0), Overdue: true, Findings: map[string]int{"lost": 2}}, nil
	})
	answer := httptest.NewRecorder()
	m.Handler().ServeHTTP(answer, httptest.NewRequest("GET", "/metrics", nil))
	text = answer.Body.String()
	p := expfmt.NewTextParser(model.LegacyValidation)
	families, err := p.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	all = map[string][]string{"up": {}} // Prometheus' own
	for name, f := range families {
		labels := []string{}
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		all[name] = labels
		if f.Metric[0].Histogram != nil {
			all[name+"_bucket"] = append(slices.Clone(labels), "le")
		}
		if f.Metric[0].Histogram != nil || f.Metric[0].Summary != nil {
			all[name+"_sum"], all[name+"_count"] = labels, labels
		}
	}
	return all, text
}

// TestOps holds what the dashboard and the alert rules ask for against what is
// served: the metrics, their labels, and the labels in legends and sentences.
func TestOps(t *testing.T) {
	t.Parallel()
	all, text := served(t)
	for _, want := range []string{
		"ecrferry_reconciliation_last_timestamp_seconds 1.7e+09\n", "ecrferry_reconciliation_overdue 1\n",
		"ecrferry_reconciliation_next_timestamp_seconds 0\n", `ecrferry_reconciliation_findings{class="lost"} 2` + "\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr, LegendFormat string }
		}
	}
	if err := json.Unmarshal(read(t, "../../ops/grafana.json"), &board); err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked++
			// Grafana's own words stand for a duration.
			check(t, "panel "+p.Title, all, strings.ReplaceAll(target.Expr, "$__rate_interval", "5m"), target.LegendFormat)
		}
	}
	for _, g := range rules(t).Groups {
		for _, r := range g.Rules {
			asked++
			check(t, "alert "+r.Alert, all, r.Expr, strings.Join(slices.Collect(maps.Values(r.Annotations)), " "))
		}
	}
	if asked < 20 {
		t.Fatalf("only %d expressions were found", asked)
	}
}

// scraped are the labels that Prometheus adds.
var scraped = []string{"job", "instance"}

var named = regexp.MustCompile(`\{\{ *(?:\$labels\.)?([a-z_]+) *\}\}`)

// check parses an expression and looks for its metrics, and for the labels that it
// and the words beside it name.
func check(t *testing.T, who string, all map[string][]string, text, words string) {
	t.Helper()
	e, err := promQL.ParseExpr(text)
	if err != nil {
		t.Errorf("%s: %v\n%s", who, err, text)
		return
	}
	var known, grouped []string // labels of its metrics, and those that an aggregation leaves
	aggregated := false
	parser.Inspect(e, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			labels, ok := all[n.Name]
			if !ok {
				t.Errorf("%s names %s, which is not served", who, n.Name)
			}
			known = append(append(known, labels...), scraped...)
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel && !slices.Contains(append(slices.Clone(labels), scraped...), m.Name) {
					t.Errorf("%s: %s has no label %s", who, n.Name, m.Name)
				}
			}
		case *parser.AggregateExpr:
			aggregated = true
			grouped = append(grouped, n.Grouping...)
		}
		return nil
	})
	for _, g := range grouped {
		if !slices.Contains(known, g) {
			t.Errorf("%s sums by %s, which no metric in it has", who, g)
		}
	}
	for _, m := range named.FindAllStringSubmatch(words, -1) {
		if aggregated && !slices.Contains(grouped, m[1]) || !slices.Contains(known, m[1]) {
			t.Errorf("%s: its words name the label %s, which its answer has not", who, m[1])
		}
	}
}
