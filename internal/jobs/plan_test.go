package jobs_test

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// TestPlan makes a dry run of every sample, shows that the world outside did not
// notice, and then migrates them: what was planned is what happens.
func TestPlan(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	writes, asked := b.world.Writes(), b.world.ECR.Requests()
	plans := b.plan()
	if d := sandbox.Difference(writes, b.world.Writes()); len(d) > 0 {
		t.Errorf("planning changed the world outside: %v", d)
	}
	for request, n := range sandbox.Difference(asked, b.world.ECR.Requests()) {
		if !slices.Contains([]string{"GetAuthorizationToken", "DescribeImages", "DescribeRepositories", "BatchCheckLayerAvailability"}, request) {
			t.Errorf("planning sent ECR %d %s, which is more than looking", n, request)
		}
	}

	count := b.countRequests()
	b.start(nil)
	rows := b.all(false)
	seen := map[string]int{}
	for _, r := range rows {
		p, ok := plans[r.Path]
		if !ok {
			t.Errorf("%s was not planned", r.Path)
			continue
		}
		seen[p.Verdict]++
		b.compare(p, r)
		for system, asked := range count(r.ProjectID) {
			planned := p.Requests[system]
			off := asked > planned+2 || planned > asked+asked/4+3
			if system == "gitlab" { // how long its pipelines take is not known beforehand
				off = 5*planned < 3*asked || 3*planned > 5*asked
			}
			if p.Verdict == reports.Automatic && off {
				t.Errorf("%s: %d requests to %s were forecast, %d made", r.Path, planned, system, asked)
			}
		}
	}
	for _, verdict := range []string{reports.Automatic, reports.NeedsHuman, reports.Blocked, reports.Skip} {
		if seen[verdict] == 0 {
			t.Errorf("no sample was %s: %v", verdict, seen)
		}
	}
}

// looks is how often a pipeline of ten minutes is looked at, with the pauses that
// a worker makes unless it is told otherwise. Here they are far shorter.
const looks = 8

// countRequests counts what the worker asks GitLab and the two registries about each
// project from now on: the same question to GitLab no more often than it would be
// asked in the real world.
func (b *bench) countRequests() func(project int64) map[string]int {
	var mu sync.Mutex
	asked := map[string]map[string]int{}      // by try and question
	about := map[string]string{}              // the project that a try is about
	registries := map[string]map[string]int{} // by try and system
	registry := func(system string) func(*http.Request) (int, string, bool) {
		return func(r *http.Request) (int, string, bool) {
			mu.Lock()
			defer mu.Unlock()
			try := r.Header.Get("X-Request-Id")
			if registries[try] == nil {
				registries[try] = map[string]int{}
			}
			registries[try][system]++
			return 0, "", false
		}
	}
	b.world.Old.Inject(registry("old-registry"))
	b.world.ECR.Inject(registry("ecr"))
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		if !strings.HasPrefix(r.UserAgent(), "ecrferry") {
			return 0, "", false
		}
		mu.Lock()
		defer mu.Unlock()
		try := r.Header.Get("X-Request-Id")
		if asked[try] == nil {
			asked[try] = map[string]int{}
		}
		asked[try][r.Method+" "+r.URL.RequestURI()]++
		rest, _ := strings.CutPrefix(r.URL.Path, "/api/v4/projects/")
		if project, _, _ := strings.Cut(rest, "/"); about[try] == "" {
			if _, err := strconv.ParseInt(project, 10, 64); err == nil {
				about[try] = project
			}
		}
		return 0, "", false
	})
	return func(project int64) map[string]int {
		mu.Lock()
		defer mu.Unlock()
		sum, questions := map[string]int{}, map[string]int{}
		for try, list := range asked {
			if about[try] != strconv.FormatInt(project, 10) {
				continue
			}
			for question, n := range list {
				questions[question] += n
			}
			for system, n := range registries[try] {
				sum[system] += n
			}
		}
		for _, n := range questions {
			sum["gitlab"] += min(n, looks)
		}
		return sum
	}
}

// plan makes a dry run of every project.
func (b *bench) plan() map[string]reports.ProjectPlan {
	b.Helper()
	clients, settings := b.clients()
	planner, err := jobs.NewPlanner(b.Context(), b.store, clients, settings, b.log)
	if err != nil {
		b.Fatal(err)
	}
	if err := planner.Survey(b.Context(), false); err != nil {
		b.Fatal(err)
	}
	projects, err := b.store.Projects(b.Context(), store.Selection{})
	if err != nil {
		b.Fatal(err)
	}
	out := map[string]reports.ProjectPlan{}
	for _, p := range projects {
		plan, err := planner.Project(b.Context(), p, assembly.Policy(b.config))
		if err != nil {
			b.Fatal(err)
		}
		out[plan.Project] = plan
	}
	return out
}

// compare says where a migration went another way than its plan.
func (b *bench) compare(p reports.ProjectPlan, r store.Status) {
	b.Helper()
	want := map[string][]store.State{
		reports.Automatic: {store.StateDone, store.StateExceptions}, reports.NeedsHuman: {store.StateWaiting},
		reports.Blocked: {store.StateAttention}, reports.Skip: {store.StateSkipped},
	}[p.Verdict]
	if !slices.Contains(want, r.State) {
		b.Errorf("%s was planned as %s (%s), but is %s %s: %s", p.Project, p.Verdict, p.Why, r.State, r.Reason, r.Why)
	}
	if len(p.Blockers) > 0 && p.Blockers[0].Cause != r.Reason {
		b.Errorf("%s: planned blocker %s, but %s", p.Project, p.Blockers[0].Cause, r.Reason)
	}
	if p.Verdict == reports.Blocked || p.Verdict == reports.Skip {
		return
	}
	images, err := b.store.Images(b.Context(), r.MigrationID)
	if err != nil {
		b.Fatal(err)
	}
	moved := map[string]string{}
	for _, i := range images {
		if !strings.HasPrefix(i.SourceTag, "@") {
			moved[i.SourceRepository+":"+i.SourceTag] = fmt.Sprint(i.State, " ", i.TargetTag)
		}
	}
	for _, i := range p.Images {
		if !strings.Contains(i.Source, ":") || strings.Contains(i.Source, "@") {
			continue
		}
		_, tag, _ := strings.Cut(i.Target, ":")
		state := i.State
		if state == "planned" {
			state = "copied"
		}
		if got, want := moved[i.Source], state+" "+tag; got != want {
			b.Errorf("%s: %s was planned as %q, but became %q", p.Project, i.Source, want, got)
		}
	}
	steps, err := b.store.Steps(b.Context(), r.MigrationID)
	if err != nil {
		b.Fatal(err)
	}
	for _, s := range steps {
		if s.Name == store.StepRewrite && strings.Contains(string(s.Result), `"diff"`) && p.Diff == "" {
			b.Errorf("%s: its files changed, which was not planned", p.Project)
		}
	}
	if p.Diff != "" && r.CommitSHA == "" && r.MergeRequestURL == "" {
		b.Errorf("%s: a change of its files was planned, but none was made", p.Project)
	}
}
