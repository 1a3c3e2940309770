package jobs_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestRollBackRun rolls a whole run back: files and variables of each project
// become what they were, and it is proven to run from the old registry; one
// whose owners worked on the same lines is refused with the reason; and what
// another run migrated stays as it is.
func TestRollBackRun(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one-image", "protected-branch", "archived")
	const plain, proposed, refused, apart = "kurs/paamelding", "lonn/utbetaling", "tilbake/endret", "tilbake/annen"
	b.variant("suffix-images", refused, nil)
	was := map[string]state{}
	for _, path := range []string{plain, proposed} {
		view, _ := b.world.GitLab.Project(path)
		was[path] = state{b.files(path, "main"), view.Variables}
	}
	b.start(nil)
	b.all(false)
	run := b.migration(plain).RunID
	other := b.variant("one-image", apart, nil)
	b.put(apart, other, func(*jobs.Policy) {})
	b.expect(apart, store.StateDone, "", "")
	change(b, refused, func(ci string) string { return strings.ReplaceAll(ci, "$CI_REGISTRY_IMAGE:", "${CI_REGISTRY_IMAGE}:") })
	kept := b.files(refused, "main")

	rows, err := b.store.Status(t.Context(), store.Selection{RunID: run})
	b.must(err)
	ordered := map[string]bool{}
	for _, r := range rows {
		written, err := b.store.Written(t.Context(), r.ProjectID)
		b.must(err)
		if !written {
			continue
		}
		b.await("the rollback of "+r.Path+" to be ordered", time.Minute, func() (bool, string) {
			_, err := b.enqueuer.Rollback(t.Context(), b.order(), b.project(r.Path))
			return err == nil, fmt.Sprint(err) // one that waits is at work for a moment whenever it looks
		})
		ordered[r.Path] = true
	}
	if len(ordered) != 3 || !ordered[refused] || ordered[apart] {
		t.Errorf("of run %d %v are rolled back, want %s, %s and %s", run, ordered, plain, proposed, refused)
	}
	for _, path := range []string{plain, proposed} {
		r := b.ended(path)
		if r.Reason != "rolled-back" {
			t.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
			story(b, r)
		}
		b.same(path, was[path].files, was[path].variables)
		if m := b.migration(path); m.Kind != store.Rollback || m.RunID != run {
			t.Errorf("%s: %s of run %d, want a rollback of run %d", path, m.Kind, m.RunID, run)
		}
	}
	// The verdict is on the old state, and from what runs.
	rows2, err := b.store.Evidence(t.Context(), b.migration(plain).ID)
	b.must(err)
	proven := false
	for _, e := range rows2 {
		proven = proven || e.Name == "running" && e.Result == store.Yes && strings.Contains(e.Detail, "old registry")
	}
	if !proven {
		t.Errorf("%s: nothing shows that it runs from the old registry: %+v", plain, rows2)
	}
	b.expect(refused, store.StateAttention, "changed-since", "take the change back by hand in .gitlab-ci.yml")
	view, _ := b.world.GitLab.Project(refused)
	b.same(refused, kept, view.Variables)
	for _, v := range view.Variables {
		if v.Key == "CI_REGISTRY_IMAGE" && !strings.HasPrefix(v.Value, b.world.ECR.Registry) {
			t.Errorf("%s: a refused rollback changed CI_REGISTRY_IMAGE to %s", refused, v.Value)
		}
	}
	if r := b.status(apart); r.State != store.StateDone || b.migration(apart).Kind != store.Migrate {
		t.Errorf("%s: %s: %s", apart, r.State, r.Why)
	}
}

// migration returns a project's latest migration.
func (b *bench) migration(path string) store.Migration {
	b.Helper()
	m, err := b.store.LatestMigration(b.Context(), b.project(path).ID)
	b.must(err)
	return m
}
