package metrics_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"

	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
)

// TestRules lets Prometheus' own tool read the alert rules.
func TestRules(t *testing.T) {
	t.Parallel()
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed (Debian package prometheus)")
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", "../../ops/alerts.yml").CombinedOutput(); err != nil {
		t.Errorf("promtool check rules: %v\n%s", err, out)
	}
}

// TestOps compares the metrics that the dashboard and the alert rules name with
// those that are served.
func TestOps(t *testing.T) {
	t.Parallel()
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
	served := map[string]bool{}
	for line := range strings.Lines(answer.Body.String()) {
		if name := regexp.MustCompile(`^[a-z_]+`).FindString(line); name != "" {
			served[name] = true
		}
	}
	for _, want := range []string{
		"ecrferry_reconciliation_last_timestamp_seconds 1.7e+09\n", "ecrferry_reconciliation_overdue 1\n",
		"ecrferry_reconciliation_next_timestamp_seconds 0\n", `ecrferry_reconciliation_findings{class="lost"} 2` + "\n",
	} {
		if !strings.Contains(answer.Body.String(), want) {
			t.Errorf("/metrics lacks %q", want)
		}
	}
	read := func(path string) []byte {
		t.Helper()
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	var rules struct {
		Groups []struct {
			Rules []struct{ Alert, Expr string }
		}
	}
	if err := yaml.Unmarshal(read("../../ops/alerts.yml"), &rules); err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Title   string
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(read("../../ops/grafana.json"), &board); err != nil {
		t.Fatal(err)
	}
	asked := map[string]string{} // expression to who asks
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			asked[r.Expr] = "alert " + r.Alert
		}
	}
	for _, p := range board.Panels {
		for _, target := range p.Targets {
			asked[target.Expr] = "panel " + p.Title
		}
	}
	if len(asked) < 20 {
		t.Fatalf("only %d expressions were found", len(asked))
	}
	for expr, who := range asked {
		for _, name := range regexp.MustCompile(`\b(ecrferry|process|go)_[a-z_]+`).FindAllString(expr, -1) {
			if !served[name] {
				t.Errorf("%s names %s, which is not served", who, name)
			}
		}
	}
}
