package main

import (
	"encoding/json"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// newWorld is a terminal before stand-ins that hold the named samples. It sets
// the environment that the AWS SDK reads, so its test does not run in parallel.
func newWorld(t *testing.T, names ...string) (*terminal, *sandbox.World) {
	t.Helper()
	w, err := sandbox.Start(sandbox.Options{Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	all, err := samples.All()
	if err != nil {
		t.Fatal(err)
	}
	all = slices.DeleteFunc(all, func(s samples.Sample) bool { return !slices.Contains(names, s.Name) })
	if len(all) != len(names) {
		t.Fatalf("of the samples %v there are only %d", names, len(all))
	}
	if err := w.Seed(t.Context(), all); err != nil {
		t.Fatal(err)
	}
	tt := newTerminal(t)
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, w.PaaS.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	for k, v := range w.Env(kubeconfig) {
		if strings.HasPrefix(k, "AWS_") {
			t.Setenv(k, v)
		}
		tt.env[k] = v
	}
	return tt, w
}

func TestPlan(t *testing.T) {
	tt, w := newWorld(t, "suffix-images", "archived", "name-collision")
	before := w.Writes()
	page := filepath.Join(t.TempDir(), "plan.html")
	code, out, errs := tt.run("plan", "--all", "--html", page, "--json", "--note", "first look")
	var p reports.Plan
	if err := json.Unmarshal([]byte(out), &p); err != nil || code != 0 {
		t.Fatalf("exit %d, %v\n%s%s", code, err, out, errs)
	}
	if d := sandbox.Difference(before, w.Writes()); len(d) > 0 {
		t.Errorf("planning changed the world outside: %v", d)
	}
	verdicts := map[string]string{}
	var moving reports.ProjectPlan
	for _, q := range p.Projects {
		if verdicts[q.Project] = q.Verdict; q.Verdict == reports.Automatic {
			moving = q
		}
	}
	if p.ID != 1 || p.Totals.Share != .5 || p.Totals.Verdicts[reports.Automatic] != 1 || p.Totals.Verdicts[reports.Blocked] != 1 || p.Totals.Bytes.Move <= 0 {
		t.Errorf("totals %+v of %v", p.Totals, verdicts)
	}
	if len(p.Totals.Blockers) != 1 || p.Totals.Blockers[0].Cause != "tag-collision" || p.Totals.Blockers[0].Remedy == "" {
		t.Errorf("blockers: %+v", p.Totals.Blockers)
	}
	if len(moving.Images) == 0 || !strings.Contains(moving.Diff, "+++") || moving.Seconds <= 0 || moving.Requests["ecr"] == 0 {
		t.Errorf("plan of %s: %+v", moving.Project, moving)
	}
	html, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{moving.Project, moving.Images[0].Target, `<span class="add">`, "50 %", "first look"} {
		if !strings.Contains(string(html), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	for _, outside := range []string{"<script", "<link", "src=", "url(", "@import"} {
		if strings.Contains(string(html), outside) {
			t.Errorf("the page is not self-contained: %s", outside)
		}
	}

	// One project, as text; and compared with what was stored.
	code, out, errs = tt.run("plan", moving.Project)
	if code != 0 || !strings.Contains(out, "Nothing was written.") || !strings.Contains(out, "Change of its files\n---") {
		t.Errorf("one project: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs = tt.run("plan", "--show", "1", "--diff", "last")
	if code != 0 || !strings.Contains(out, "Plan 1 compared with plan 2") || strings.Count(out, "not in the earlier plan") != len(p.Projects)-1 {
		t.Errorf("differences: exit %d\n%s%s", code, out, errs)
	}
	// The same once more: nothing is different.
	code, out, _ = tt.run("plan", "--all", "--diff", "1", "--json")
	var d reports.PlanDiff
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || len(d.Changes) != 0 || d.Before != 1 || d.After != 3 {
		t.Errorf("the same once more: exit %d, %v\n%s", code, err, out)
	}
	for _, wrong := range []string{"plan", "plan --all --show 1", "plan --show first", "plan --all a/b"} {
		if code, _, errs := tt.run(strings.Fields(wrong)...); code != exitUsage {
			t.Errorf("%s: exit %d %s", wrong, code, errs)
		}
	}
	if code, _, errs := tt.run("plan", "--show", "77"); code != exitError || !strings.Contains(errs, "no plan 77") {
		t.Errorf("a plan that is not there: exit %d %s", code, errs)
	}
	if code, _, errs := tt.run("plan", "no/such", "nor/this"); code != exitError || !strings.Contains(errs, "no/such\n  nor/this") {
		t.Errorf("unknown projects: exit %d %s", code, errs)
	}
}
