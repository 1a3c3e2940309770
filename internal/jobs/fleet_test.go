package jobs_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestFleet migrates every sample and compares the outcomes, walks again and
// shows that nothing changes outside, and that what was copied is what was there.
func TestFleet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	was := b.snapshot()
	seen := b.arrive()
	b.start(nil)
	checkOutcomes(b, b.all(false))
	checkMeters(b, seen)
	checkImages(b)

	before := b.world.Writes()
	checkOutcomes(b, b.all(true))
	if d := sandbox.Difference(before, b.world.Writes()); len(d) > 0 {
		t.Errorf("the second walk changed the world outside: %v", d)
	}
	checkImages(b)
	rollBackFleet(b, was)
}

// snapshot returns the files and variables of every sample by path.
func (b *bench) snapshot() map[string]state {
	b.Helper()
	all, err := samples.All()
	b.must(err)
	out := map[string]state{}
	for _, s := range all {
		if s.Empty {
			continue
		}
		view, _ := b.world.GitLab.Project(s.FinalPath())
		out[s.FinalPath()] = state{b.files(s.FinalPath(), view.DefaultBranch), view.Variables}
	}
	return out
}

// state is what a rollback has to restore of a project.
type state struct {
	files     map[string]string
	variables []ci.Variable
}

// rollBackFleet takes every sample back to which something was written, and
// compares all of them, byte by byte, with what they were.
func rollBackFleet(b *bench, was map[string]state) {
	b.Helper()
	all, err := samples.All()
	if err != nil {
		b.Fatal(err)
	}
	var back []string
	for _, s := range all {
		path := s.FinalPath()
		var err error
		b.await("the rollback of "+path+" to be ordered", 3*time.Minute, func() (bool, string) {
			// One that waits is at work for a moment whenever it looks.
			_, err = b.enqueuer.Rollback(b.Context(), b.order(), b.project(path))
			_, busy := errors.AsType[*store.ActiveError](err)
			return !busy, "it is under way"
		})
		if errors.Is(err, jobs.ErrNothingWritten) {
			continue
		}
		if err != nil {
			b.Errorf("rolling %s back: %v", path, err)
			continue
		}
		back = append(back, path)
	}
	if len(back) < 8 {
		b.Errorf("only %v were rolled back", back)
	}
	b.settle()
	for _, path := range back {
		r := b.status(path)
		if r.Reason != "rolled-back" && r.Reason != "production" {
			b.Errorf("%s: %s %q after the rollback: %s", path, r.State, r.Reason, r.Why)
			story(b, r)
		}
		view, _ := b.world.GitLab.Project(path)
		for _, m := range view.MergeRequests {
			if m.State == "opened" {
				b.Errorf("%s still has the merge request !%d", path, m.IID)
			}
		}
	}
	for path, s := range was {
		if path == "dokumentasjon/dokument" {
			// It was in ECR before we came, with variables of a path where AWS lets
			// nobody push any more: those were repaired, which is not taken back.
			view, _ := b.world.GitLab.Project(path)
			s.variables = view.Variables
		}
		b.same(path, s.files, s.variables)
	}
}

func checkOutcomes(b *bench, rows []store.Status) {
	b.Helper()
	all, err := samples.All()
	if err != nil {
		b.Fatal(err)
	}
	found := map[string]store.Status{}
	for _, r := range rows {
		found[r.Path] = r
	}
	for _, s := range all {
		r := found[s.FinalPath()]
		if string(r.State) != s.Expect.State || r.Reason != s.Expect.Reason {
			b.Errorf("%s (%s): %s %q, want %s %q: %s; next: %s", s.Name, s.Shows, r.State, r.Reason, s.Expect.State, s.Expect.Reason, r.Why, r.Next)
			story(b, r)
		}
	}
}

// story prints what happened to a project, for a failed test.
func story(b *bench, r store.Status) {
	b.Helper()
	steps, _ := b.store.Steps(b.Context(), r.MigrationID)
	for _, s := range steps {
		b.Logf("  %s try %d: %s %s %s", s.Name, s.Try, s.Outcome, s.Reason, s.Error)
	}
	findings, _ := b.store.Findings(b.Context(), r.MigrationID)
	for _, f := range findings {
		b.Logf("  finding %s %s %s:%d %q %s", f.Severity, f.Code, f.File, f.Line, f.Text, f.Message)
	}
	evidence, _ := b.store.Evidence(b.Context(), r.MigrationID)
	for _, e := range evidence {
		b.Logf("  evidence %s %s %s: %s %s", e.Name, e.Environment, e.Subject, e.Result, e.Detail)
	}
	images, _ := b.store.Images(b.Context(), r.MigrationID)
	for _, i := range images {
		b.Logf("  image %s:%s -> %s %s %s", i.SourceRepository, i.SourceTag, i.TargetTag, i.State, i.Reason)
	}
	for _, p := range b.world.GitLab.Pipelines(r.Path) {
		for _, j := range p.Jobs {
			b.Logf("  pipeline %d %s job %s: %s %s", p.ID, p.Status, j.Name, j.Status, j.FailureReason)
		}
	}
}

// checkImages compares the rows of copied images with what ECR holds.
func checkImages(b *bench) {
	b.Helper()
	rows, err := b.store.Status(b.Context(), store.StatusFilter{})
	if err != nil {
		b.Fatal(err)
	}
	copied := 0
	for _, r := range rows {
		images, err := b.store.Images(b.Context(), r.MigrationID)
		if err != nil {
			b.Fatal(err)
		}
		for _, i := range images {
			if i.State != store.ImageCopied && i.State != store.ImagePresent {
				continue
			}
			copied++
			if i.TargetTag == "" {
				continue
			}
			if got := b.world.ECR.Tags(i.TargetRepository)[i.TargetTag]; got != i.SourceDigest {
				b.Errorf("%s:%s is %s in ECR, want %s", i.TargetRepository, i.TargetTag, got, i.SourceDigest)
			}
		}
	}
	if copied < 5 {
		b.Errorf("only %d images were copied", copied)
	}
}

// TestNothingDoubled lets the worker die between the act of every step and its
// record, once a project and step, and compares what came of it with an
// undisturbed run: the same commits, merge requests, pipelines and pushes.
func TestNothingDoubled(t *testing.T) {
	t.Parallel()
	names := []string{"suffix-images", "one-image", "moved", "protected-branch", "manual-production"}
	undisturbed := newBench(t, names...)
	undisturbed.start(nil)
	want := undisturbed.all(false)

	b := newBench(t, names...)
	type point struct {
		project int64
		step    store.StepName
	}
	var mu sync.Mutex
	died := map[point]bool{}
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			mu.Lock()
			defer mu.Unlock()
			p := point{m.ProjectID, step}
			if died[p] {
				return false
			}
			died[p] = true
			return true
		}
	})
	got := b.all(false)
	mu.Lock()
	if len(died) < 4*len(names) {
		t.Errorf("only %d deaths", len(died))
	}
	mu.Unlock()
	if diff := cmp.Diff(outcomes(want), outcomes(got)); diff != "" {
		t.Errorf("outcomes differ (-undisturbed +disturbed):\n%s", diff)
	}
	if diff := cmp.Diff(undisturbed.world.Writes(), b.world.Writes()); diff != "" {
		t.Errorf("writes to the outside differ (-undisturbed +disturbed):\n%s", diff)
	}
	for _, r := range got {
		if r.MigrationID == 0 {
			continue
		}
		if n := len(b.world.GitLab.Pipelines(r.Path)); n > 2 {
			t.Errorf("%s has %d pipelines, want one from before and one of ours at most", r.Path, n)
		}
	}
}

func outcomes(rows []store.Status) map[string]string {
	out := map[string]string{}
	for _, r := range rows {
		out[r.Path] = string(r.State) + " " + r.Reason
	}
	return out
}

// TestReenqueue repairs what was wrong, enqueues again, and sees the project go
// on where it had stopped.
func TestReenqueue(t *testing.T) {
	t.Parallel()
	b := newBench(t, "red-before")
	b.start(nil)
	b.all(false)
	const path = "forskning/analyse"
	if r := b.one(path); r.Reason != "already-broken" {
		t.Fatalf("reason %q, want already-broken: %s", r.Reason, r.Why)
	}
	// Its owners repair the test.
	if _, err := b.world.GitLab.PushFiles(path, "main", "Add the model", map[string]string{"model.bin": "x\n"}); err != nil {
		t.Fatal(err)
	}
	if err := b.world.GitLab.WaitIdle(t.Context()); err != nil {
		t.Fatal(err)
	}
	m, err := b.enqueuer.Project(t.Context(), b.order(), b.project(path), "")
	if err != nil {
		t.Fatal(err)
	}
	if m.Attempt != 2 {
		t.Errorf("attempt %d, want 2", m.Attempt)
	}
	if r := b.one(path); r.State != store.StateDone {
		t.Errorf("state %s %s: %s", r.State, r.Reason, r.Why)
		story(b, r)
	}
	// Done projects can be enqueued again, too, on the same day.
	if _, err := b.enqueuer.Project(t.Context(), b.order(), b.project(path), ""); err != nil {
		t.Errorf("enqueueing a done project again: %v", err)
	}
	if r := b.one(path); r.State != store.StateDone || r.Attempt != 3 {
		t.Errorf("third attempt: attempt %d, %s %s: %s", r.Attempt, r.State, r.Reason, r.Why)
	}
}

// TestTransientOutside sends a project through while GitLab answers one in
// four requests with 502, as it does when it is being upgraded.
func TestTransientOutside(t *testing.T) {
	t.Parallel()
	b := newBench(t, "suffix-images")
	b.world.GitLab.Inject(badGateway())
	b.start(nil)
	b.all(false)
	if r := b.one("kurs/skjema"); r.State != store.StateDone {
		t.Errorf("state %s %s: %s", r.State, r.Reason, r.Why)
		story(b, r)
	}
	messages, err := b.world.GitLab.Messages("kurs/skjema", "main")
	if err != nil {
		t.Fatal(err)
	}
	ours := 0
	for _, m := range messages {
		if strings.Contains(m, "Ecrferry-Migration:") {
			ours++
		}
	}
	if ours != 1 {
		t.Errorf("%d commits of ours, want 1: %q", ours, messages)
	}
}
