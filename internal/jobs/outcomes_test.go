package jobs_test

import (
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestOutcomes provokes, each in a project of its own, a pipeline that the rules
// leave no job, one that no runner takes and that is cancelled then, and a child
// pipeline that fails behind a green one.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one-image", "built-image-job", "manual-production", "suffix-images")
	const filtered, stuck, child, delivered = "kurs/paamelding", "eksamen/sensur", "kurs/kalender", "kurs/skjema"
	change(b, filtered, func(ci string) string {
		return "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"web\"\n\n" + ci
	})
	change(b, stuck, func(ci string) string {
		return ci + "\nslow:\n  stage: build\n  tags: [no-such-runner]\n  script: [\"true\"]\n"
	})
	change(b, child, func(ci string) string {
		return ci + "\nchild:\n  stage: test\n  rules:\n    - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH\n  trigger: {include: [child.yml]}\n"
	}, "child.yml", "broken:\n  image: alpine:3.22\n  script: [test -f there-is-no-such-file]\n")
	view, _ := b.world.GitLab.Project(delivered)
	if err := b.store.UpsertProjects(t.Context(), []store.Project{{ID: view.ID, Path: delivered, CIEnabled: true}}); err != nil {
		t.Fatal(err)
	}
	order := b.order()
	order.Policy.Delivery = "merge-request+auto-merge"
	if _, err := b.enqueuer.Project(t.Context(), order, b.project(delivered), ""); err != nil {
		t.Fatal(err)
	}
	b.start(func(o *jobs.Options) {
		o.Settings.RunnerDeadline = time.Second
		o.Settings.ProductionPoll = 200 * time.Millisecond
		// Somebody pushes an image between the copy and the rewrite.
		o.Crash = func(step store.StepName, m store.Migration) bool {
			if step == store.StepCopy && m.ProjectID == b.project(delivered).ID {
				pushOld(b, "kurs/skjema-api", "9.9")
			}
			return false
		}
	})
	b.all(false)

	for path, want := range map[string]string{filtered: "no-pipeline-by-rules", stuck: "no-runner", child: "script-failure"} {
		if r := b.status(path); r.Reason != want {
			t.Errorf("%s: %s %q, want %q: %s", path, r.State, r.Reason, want, r.Why)
			story(b, r)
		}
	}
	autoMergedWithDelta(b, delivered)

	clients, _ := b.clients()
	pipelines := b.world.GitLab.Pipelines(stuck)
	if _, err := clients.GitLab.CancelPipeline(t.Context(), b.project(stuck).ID, pipelines[len(pipelines)-1].ID); err != nil {
		t.Fatal(err)
	}
	if _, err := b.enqueuer.Project(t.Context(), b.order(), b.project(stuck), ""); err != nil {
		t.Fatal(err)
	}
	if r := b.one(stuck); r.Reason != "pipeline-canceled" {
		t.Errorf("%s: %s %q, want pipeline-canceled: %s", stuck, r.State, r.Reason, r.Why)
	}
	refused(b, delivered)
}

// change rewrites a project's CI file as its owners would; more are further files.
func change(b *bench, path string, edit func(string) string, more ...string) {
	b.Helper()
	ci, err := b.world.GitLab.File(path, "main", ".gitlab-ci.yml")
	if err != nil {
		b.Fatal(err)
	}
	files := map[string]string{".gitlab-ci.yml": edit(ci)}
	for i := 0; i < len(more); i += 2 {
		files[more[i]] = more[i+1]
	}
	if _, err := b.world.GitLab.PushFiles(path, "main", "Change the pipeline [skip ci]", files); err != nil {
		b.Fatal(err)
	}
	if err := b.world.GitLab.WaitIdle(b.Context()); err != nil {
		b.Fatal(err)
	}
}

// pushOld pushes an image to the old registry.
func pushOld(b *bench, repository, tag string) {
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return b.world.Old.URL, true },
		Credentials: func(string) (string, string, bool) { u, p := b.world.Old.Pipeline(repository); return u, p, true },
	}
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"late": tag}}, Created: time.Now()})
	if err := remote.Push(b.Context(), b.world.Old.Name, repository, tag, image); err != nil {
		b.Errorf("pushing to the old registry: %v", err)
	}
}

// autoMergedWithDelta looks at a project that was delivered by auto-merge, and
// for the image that came between copy and rewrite.
func autoMergedWithDelta(b *bench, path string) {
	b.Helper()
	b.await("the merge request to be merged and proven", 3*time.Minute, func() (bool, string) {
		r := b.status(path)
		return !r.State.Active(), string(r.State) + " " + r.Why
	})
	r := b.status(path)
	view, _ := b.world.GitLab.Project(path)
	if r.State != store.StateDone || len(view.MergeRequests) != 1 || view.MergeRequests[0].State != "merged" {
		b.Errorf("%s: %s %q %s, merge requests %+v", path, r.State, r.Reason, r.Why, view.MergeRequests)
		story(b, r)
	}
	images, err := b.store.Images(b.Context(), r.MigrationID)
	if err != nil {
		b.Fatal(err)
	}
	found := false
	for _, i := range images {
		found = found || i.SourceTag == "9.9" && i.State == store.ImageCopied
	}
	if !found || b.events(path, "copy-delta") == 0 {
		b.Errorf("the image that came after the copy was not copied: %+v", images)
	}
}

// refused changes a line that the migration had changed, and orders a rollback:
// nothing is written.
func refused(b *bench, path string) {
	b.Helper()
	change(b, path, func(ci string) string { return strings.ReplaceAll(ci, "$CI_REGISTRY_IMAGE:", "${CI_REGISTRY_IMAGE}:") })
	before := b.world.Writes()
	if _, err := b.enqueuer.Rollback(b.Context(), b.order(), b.project(path)); err != nil {
		b.Fatal(err)
	}
	if r := b.one(path); r.Reason != "changed-since" {
		b.Errorf("%s: %s %q, want changed-since: %s", path, r.State, r.Reason, r.Why)
	}
	if after := b.world.Writes(); after["gitlab commits"] != before["gitlab commits"] || after["gitlab variables"] != before["gitlab variables"] {
		b.Errorf("a refused rollback wrote: %v, before %v", after, before)
	}
}

// TestProductionsImages lets the clean-up remove an image that production still
// needs while it waits to be played: it is copied again.
func TestProductionsImages(t *testing.T) {
	t.Parallel()
	b := newBench(t, "manual-production")
	// The next pipeline builds another commit, so it will not push production's tag.
	change(b, "kurs/kalender", func(ci string) string { return "# changed\n" + ci }, "kalender", "#!/bin/sh\necho 2\n")
	b.start(func(o *jobs.Options) { o.Settings.ProductionPoll = 200 * time.Millisecond })
	b.all(false)
	const path = "kurs/kalender"
	r := b.status(path)
	images, err := b.store.Images(t.Context(), r.MigrationID)
	if err != nil {
		t.Fatal(err)
	}
	var tag string
	for _, i := range images {
		if i.State == store.ImageCopied && strings.Contains(i.Reason, "runs as") {
			tag = i.TargetTag
		}
	}
	if tag == "" {
		t.Fatalf("no image of production's was copied: %+v", images)
	}
	b.world.Clock.Advance(25 * time.Hour)
	b.world.ECR.Sweep() // by now, if its own schedule has not been faster
	b.await("the image to be copied again", 3*time.Minute, func() (bool, string) {
		_, there := b.world.ECR.Tags(path)[tag]
		return there && b.finding(b.status(path), "image-copied-again"), b.status(path).Why
	})
	if n := b.events(path, "copy-again"); n != 1 {
		t.Errorf("copied again %d times, want once", n)
	}
}
