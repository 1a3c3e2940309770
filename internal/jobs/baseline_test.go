package jobs_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

const ownTest = "own-test:\n  stage: build\n  script: [test -f there-is-no-such-file]\n"

// TestBaseline lets projects turn red, by their owners' doing, while the
// migration is on its way, and compares whom each failing job is laid to.
func TestBaseline(t *testing.T) {
	t.Parallel()
	b := newBench(t, "red-before")
	const (
		red   = "grunnlag/red"   // its owners broke it before our commit
		both  = "grunnlag/both"  // and another job after it
		later = "grunnlag/later" // broken after our commit only
		left  = "grunnlag/left"  // an environment is no longer deployed
	)
	ids := map[int64]string{}
	for _, path := range []string{red, both, later} {
		ids[b.variant("suffix-images", path, func(s *samples.Sample) { s.Images = nil })] = path
	}
	const qa = "\nqa:\n  extends: .staging\n  stage: staging\n  environment: {name: qa}\n  script: [deploy deployment.yaml]\n"
	b.variant("one-image", left, func(s *samples.Sample) {
		s.Files[".gitlab-ci.yml"] += qa
		s.Files["deployment.yaml"] = strings.ReplaceAll(s.Files["deployment.yaml"], "paamelding", "$CI_ENVIRONMENT_SLUG")
	})
	change(b, left, func(ci string) string { return strings.Replace(ci, qa, "", 1) })

	var mu sync.Mutex
	done := map[string]bool{}
	once := func(path string, step store.StepName) bool {
		mu.Lock()
		defer mu.Unlock()
		key := path + string(step)
		was := done[key]
		done[key] = true
		return !was
	}
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			path := ids[m.ProjectID]
			switch {
			case step == store.StepCopy && (path == red || path == both) && once(path, step):
				b.push(path, "Test the model", func(ci string) string { return ci + "\n" + ownTest })
				if err := b.world.GitLab.WaitIdle(t.Context()); err != nil {
					t.Error(err)
				}
			case step == store.StepRewrite && (path == both || path == later) && once(path, step):
				b.push(path, "Push more", func(ci string) string {
					return ci + "\nmore:\n  stage: build\n  extends: .docker\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE-more:1 api/\n    - docker push $CI_REGISTRY_IMAGE-more:1\n"
				})
			}
			return false
		}
	})
	b.all(false)

	for path, want := range map[string]struct {
		state        store.State
		reason, says string
		codes        []string
	}{
		red:                 {store.StateAttention, "already-broken", "own-test failed as it had in pipeline", []string{"failed-before"}},
		both:                {store.StateFailed, "push-not-authorized", "own-test had failed before", []string{"failed-before", "pipeline-push-not-authorized"}},
		later:               {store.StateFailed, "push-not-authorized", "job more failed", []string{"pipeline-push-not-authorized"}},
		left:                {store.StateExceptions, "", "qa was not deployed", []string{"environment-left"}},
		"forskning/analyse": {store.StateAttention, "already-broken", "had failed before we came (test)", nil},
	} {
		r := b.status(path)
		if r.State != want.state || r.Reason != want.reason || !strings.Contains(r.Why, want.says) {
			t.Errorf("%s: %s %q: %s; want %s %q with %q", path, r.State, r.Reason, r.Why, want.state, want.reason, want.says)
			story(b, r)
		}
		for _, code := range want.codes {
			if !b.finding(r, code) {
				t.Errorf("%s: no finding %s", path, code)
			}
		}
		if want.reason == "already-broken" && b.events(path, "pipeline-retried") != 0 {
			t.Errorf("%s was tried again", path)
		}
	}
	if b.finding(b.status(later), "failed-before") {
		t.Errorf("%s: a job that passed before counts as broken before", later)
	}

	// What was stored before anything was changed.
	base := b.baseline("forskning/analyse")
	if p := base.Pipeline; p == nil || p.Status != "failed" || len(p.Failed) != 1 || p.Failed[0].Name != "test" || !p.Failed[0].Lasting {
		t.Errorf("the baseline of a red project: %+v", base.Pipeline)
	}
	base = b.baseline(left)
	deployed := map[string]jobs.BaselineDeployment{}
	for _, e := range base.Environments {
		deployed[e.Environment] = e
	}
	if base.Pipeline == nil || base.Pipeline.Status != "success" || len(deployed) != 2 || deployed["qa"].ID == 0 || deployed["qa"].SHA != base.Pipeline.SHA || deployed["staging"].PipelineID != base.Pipeline.ID {
		t.Errorf("the baseline of %s: %+v", left, base)
	}
}

// baseline returns what was stored of a project before it was changed.
func (b *bench) baseline(path string) jobs.Baseline {
	b.Helper()
	m, err := b.store.MigrationByID(b.Context(), b.status(path).MigrationID)
	b.must(err)
	var base jobs.Baseline
	b.must(json.Unmarshal(m.Baseline, &base))
	return base
}
