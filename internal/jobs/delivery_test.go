package jobs_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// actedThen502 lets each kind of request that matches act once, and answers 502
// all the same.
func actedThen502(patterns ...string) func(*http.Request) (int, string, bool) {
	var mu sync.Mutex
	left := map[*regexp.Regexp]bool{}
	for _, p := range patterns {
		left[regexp.MustCompile(p)] = true
	}
	return func(r *http.Request) (int, string, bool) {
		mu.Lock()
		defer mu.Unlock()
		for p, once := range left {
			if once && p.MatchString(r.Method+" "+r.URL.Path) {
				left[p] = false
				return http.StatusBadGateway, "GitLab is not responding", true
			}
		}
		return 0, "", false
	}
}

// ours counts the commits of a branch that carry our trailer.
func (b *bench) ours(path, branch string) int {
	b.Helper()
	messages, err := b.world.GitLab.Messages(path, branch)
	if err != nil {
		b.Fatal(err)
	}
	n := 0
	for _, m := range messages {
		if strings.Contains(m, "Ecrferry-Migration:") {
			n++
		}
	}
	return n
}

// finding says whether a migration has a finding of this code.
func (b *bench) finding(r store.Status, code string) bool {
	b.Helper()
	findings, err := b.store.Findings(b.Context(), r.MigrationID)
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range findings {
		if f.Code == code {
			return true
		}
	}
	return false
}

// events counts a project's events of a kind.
func (b *bench) events(path, kind string) int {
	b.Helper()
	es, err := b.store.Events(b.Context(), store.EventFilter{ProjectID: b.project(path).ID, Kind: kind})
	if err != nil {
		b.Fatal(err)
	}
	return len(es)
}

// TestActedThen502 lets GitLab carry out a commit, a merge request, a pipeline
// and a play and answer 502 each time: one of each there is, production is
// promoted, and then all of it is rolled back.
func TestActedThen502(t *testing.T) {
	t.Parallel()
	b := newBench(t, "suffix-images", "one-image", "protected-branch", "manual-production")
	b.world.GitLab.InjectAfter(actedThen502(
		`POST .*/projects/\d+/repository/commits$`, `POST .*/merge_requests$`, `POST .*/pipeline$`, `POST .*/play$`))
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		return http.StatusForbidden, `{"message":"403 Forbidden"}`, strings.HasSuffix(r.URL.Path, "/ci/lint")
	})
	var mu sync.Mutex
	died := map[string]bool{}
	b.start(func(o *jobs.Options) {
		// The way back is interrupted between every step's act and its record.
		o.Crash = func(step store.StepName, m store.Migration) bool {
			mu.Lock()
			defer mu.Unlock()
			key := fmt.Sprint(m.ProjectID, step)
			if m.Kind != store.Rollback || died[key] {
				return false
			}
			died[key] = true
			return true
		}
	})
	b.all(false)
	const pushed, created, proposed, manual = "kurs/skjema", "kurs/paamelding", "lonn/utbetaling", "kurs/kalender"
	if n := b.ours(pushed, "main"); n != 1 {
		t.Errorf("%d commits of ours in %s, want 1", n, pushed)
	}
	if !b.finding(b.status(pushed), "lint-not-permitted") {
		t.Error("that GitLab could not be asked about the configuration is not told")
	}
	for _, path := range []string{created, manual} {
		if n := len(b.world.GitLab.Pipelines(path)); n != 2 {
			t.Errorf("%s has %d pipelines, want the one from before and ours", path, n)
		}
	}
	view, _ := b.world.GitLab.Project(proposed)
	if len(view.MergeRequests) != 1 || b.ours(proposed, "ecrferry/move-images-to-ecr") != 1 {
		t.Errorf("merge requests %+v with %d commits, want 1 with 1", view.MergeRequests, b.ours(proposed, "ecrferry/move-images-to-ecr"))
	}
	mergeRequestInPlace(b, proposed)
	promoteOnce(b, manual)
	for _, path := range []string{pushed, created, manual} {
		rollBackAndProve(b, path)
		if n := len(b.world.GitLab.Pipelines(path)); n != 3 {
			t.Errorf("%s has %d pipelines, want the one from before, ours, and the rollback's", path, n)
		}
	}
	if n := b.ours(pushed, "main"); n != 2 {
		t.Errorf("%d commits of ours in %s, want the rewrite and its inverse", n, pushed)
	}
	mu.Lock()
	defer mu.Unlock()
	if len(died) < 8 {
		t.Errorf("only %d deaths on the way back: %v", len(died), died)
	}
}

// mergeRequestInPlace moves the head, then lets a human commit to our branch.
func mergeRequestInPlace(b *bench, path string) {
	b.Helper()
	const branch = "ecrferry/move-images-to-ecr"
	file, err := b.world.GitLab.File(path, "main", ".gitlab-ci.yml")
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.world.GitLab.PushFiles(path, "main", "Say more", map[string]string{".gitlab-ci.yml": "# pipeline\n" + file}); err != nil {
		b.Fatal(err)
	}
	b.await("the merge request to follow the head", 3*time.Minute, func() (bool, string) {
		f, _ := b.world.GitLab.File(path, branch, ".gitlab-ci.yml")
		return strings.HasPrefix(f, "# pipeline\n") && !strings.Contains(f, "CI_REGISTRY_IMAGE-server"), f
	})
	if _, err := b.world.GitLab.PushFiles(path, branch, "I know better", map[string]string{"NOTES.md": "mine\n"}); err != nil {
		b.Fatal(err)
	}
	file, _ = b.world.GitLab.File(path, "main", ".gitlab-ci.yml")
	if _, err := b.world.GitLab.PushFiles(path, "main", "Say even more", map[string]string{".gitlab-ci.yml": "# the\n" + file}); err != nil {
		b.Fatal(err)
	}
	b.await("the finding about a human's commit", 3*time.Minute, func() (bool, string) {
		return b.finding(b.status(path), "merge-request-edited"), "no finding merge-request-edited"
	})
	view, _ := b.world.GitLab.Project(path)
	if len(view.MergeRequests) != 1 || !strings.Contains(view.MergeRequests[0].Description, "left as it is") {
		b.Errorf("merge requests %+v, want one that says the branch is left as it is", view.MergeRequests)
	}
	if notes, _ := b.world.GitLab.File(path, branch, "NOTES.md"); notes != "mine\n" {
		b.Errorf("the human's file is %q", notes)
	}
	if f, _ := b.world.GitLab.File(path, branch, ".gitlab-ci.yml"); strings.HasPrefix(f, "# the\n") {
		b.Error("the branch was written to although a human's commit is on it")
	}
}

// promoteOnce orders production to be played, twice.
func promoteOnce(b *bench, path string) {
	b.Helper()
	if _, err := b.enqueuer.Promote(b.Context(), jobs.Order{Actor: "kari", Note: "agreed"}, b.project(path)); err != nil {
		b.Fatal(err)
	}
	b.await("production to be proven", 3*time.Minute, func() (bool, string) {
		r := b.status(path)
		return !r.State.Active(), string(r.State) + " " + r.Why
	})
	r := b.status(path)
	if r.State != store.StateDone || !strings.Contains(r.Why, "production") {
		b.Errorf("after the promotion: %s %s: %s", r.State, r.Reason, r.Why)
		story(b, r)
	}
	if _, err := b.enqueuer.Promote(b.Context(), jobs.Order{Actor: "kari"}, b.project(path)); err == nil {
		b.Error("a finished project was promoted again")
	}
	plays := 0
	for _, p := range b.world.GitLab.Pipelines(path)[1:] {
		for _, j := range p.Jobs {
			if j.Name == "production" && j.Status == "success" {
				plays++
			}
		}
	}
	if plays != 1 {
		b.Errorf("production ran %d times, want once", plays)
	}
}

// rollBackAndProve rolls a project back and compares files, variables and
// workloads with what they were.
func rollBackAndProve(b *bench, path string) {
	b.Helper()
	if _, err := b.enqueuer.Rollback(b.Context(), b.order(), b.project(path)); err != nil {
		b.Fatal(err)
	}
	var r store.Status
	b.await("the rollback of "+path, time.Minute, func() (bool, string) {
		r = b.status(path)
		return !r.State.Active() || r.Reason == "production", string(r.State) + " " + r.Why
	})
	if r.Reason != "rolled-back" && r.Reason != "production" {
		b.Errorf("%s: %s %s: %s", path, r.State, r.Reason, r.Why)
		story(b, r)
	}
	view, _ := b.world.GitLab.Project(path)
	for _, v := range view.Variables {
		if strings.HasPrefix(v.Key, "CI_REGISTRY") {
			b.Errorf("%s still has the variable %s=%s", path, v.Key, v.Value)
		}
	}
	staging := 0
	for _, w := range b.world.PaaS.Workloads(strings.ReplaceAll(path, "/", "-")) {
		for _, c := range w.Containers {
			switch {
			case w.Environment == "production":
			case strings.HasPrefix(c.Image, b.world.Old.Name+"/"):
				staging++
			default:
				b.Errorf("%s: %s still runs %s", path, w.Name, c.Image)
			}
		}
	}
	if staging == 0 {
		b.Errorf("%s: nothing of staging runs from the old registry", path)
	}
}

func (b *bench) status(path string) store.Status {
	b.Helper()
	rows, err := b.store.Status(b.Context(), store.StatusFilter{Paths: []string{path}})
	if err != nil || len(rows) != 1 {
		b.Fatalf("status of %s: %v, %d rows", path, err, len(rows))
	}
	return rows[0]
}

// TestPipelineBudget gives the fleet one pipeline an hour: the second project
// waits for it without holding a slot.
func TestPipelineBudget(t *testing.T) {
	t.Parallel()
	b := newBench(t, "suffix-images", "one-image")
	b.start(func(o *jobs.Options) { o.Settings.PipelinesPerHour = 1; o.Workers = 1 })
	if _, err := b.enqueuer.All(t.Context(), b.order(), jobs.RunSelection{}); err != nil {
		t.Fatal(err)
	}
	b.await("one project to be done and one to wait", 3*time.Minute, func() (bool, string) {
		rows, err := b.store.Status(t.Context(), store.StatusFilter{Group: "kurs"})
		if err != nil {
			t.Fatal(err)
		}
		said := map[string]int{}
		for _, r := range rows {
			said[string(r.State)+" "+r.Reason]++
		}
		return said["done "] == 1 && said["waiting pipeline-budget"] == 1, fmt.Sprint(said)
	})
}
