package jobs_test

import (
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

var commits = regexp.MustCompile(`/projects/(\d+)/repository/commits$`)

// TestMovingBranch lets owners push to the very file that is about to be
// committed, between our look and our commit: twice to one project, four times
// to another, and once more in between pipeline and verdict.
func TestMovingBranch(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	const twice, often, overtaken = "flytt/to", "flytt/fire", "flytt/forbi"
	ids := map[string]string{} // project id to path
	left := map[string]int{twice: 2, often: 4}
	for _, path := range []string{twice, often, overtaken} {
		ids[fmt.Sprint(b.variant("suffix-images", path, nil))] = path
	}
	var mu sync.Mutex
	asked := map[string]int{}
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		m := commits.FindStringSubmatch(r.URL.Path)
		if r.Method != http.MethodPost || m == nil {
			return 0, "", false
		}
		mu.Lock()
		path := ids[m[1]]
		asked[path]++
		n := asked[path]
		push := n <= left[path]
		mu.Unlock()
		if push {
			b.push(path, fmt.Sprintf("Meanwhile, %d", n), func(ci string) string { return fmt.Sprintf("# %d\n", n) + ci })
		}
		return 0, "", false
	})
	passed := false
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			if ids[fmt.Sprint(m.ProjectID)] != overtaken || step != store.StepPipeline {
				return false
			}
			ps := b.world.GitLab.Pipelines(overtaken)
			mu.Lock()
			defer mu.Unlock()
			if passed || len(ps) < 2 || ps[len(ps)-1].Status != "success" {
				return false
			}
			passed = true
			b.push(overtaken, "Deploy something else", func(ci string) string { return "# newer\n" + ci })
			if err := b.world.GitLab.WaitIdle(t.Context()); err != nil {
				t.Error(err)
			}
			return false
		}
	})
	b.all(false)

	for path, want := range map[string]struct{ asked, tries int }{twice: {3, 1}, often: {5, 2}, overtaken: {1, 1}} {
		r := b.status(path)
		if r.State != store.StateDone {
			t.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
			story(b, r)
		}
		if asked[path] != want.asked {
			t.Errorf("%s: %d commits asked for, want %d: no more than three a try", path, asked[path], want.asked)
		}
		steps, err := b.store.Steps(t.Context(), r.MigrationID)
		b.must(err)
		tries := 0
		for _, s := range steps {
			if s.Name == store.StepRewrite {
				tries++
			}
		}
		if tries != want.tries {
			t.Errorf("%s: %d tries of the rewrite, want %d", path, tries, want.tries)
		}
		if n := b.ours(path, "main"); n != 1 {
			t.Errorf("%s: %d commits of ours, want 1", path, n)
		}
		ci, _ := b.world.GitLab.File(path, "main", ".gitlab-ci.yml")
		for n := 1; n <= left[path]; n++ {
			if !strings.Contains(ci, fmt.Sprintf("# %d\n", n)) {
				t.Errorf("%s: the owners' change %d is lost:\n%s", path, n, ci)
			}
		}
		if strings.Contains(ci, "CI_REGISTRY_IMAGE-") || strings.Contains(ci, "CI_REGISTRY_IMAGE}-") {
			t.Errorf("%s: the file still has names of the old form:\n%s", path, ci)
		}
	}
	// What was proven is what the later push deployed.
	view, _ := b.world.GitLab.Project(overtaken)
	m, err := b.store.MigrationByID(t.Context(), b.status(overtaken).MigrationID)
	b.must(err)
	if !passed || m.CommitSHA != view.Branches["main"] {
		t.Errorf("%s: proven at %.8s, but %.8s is deployed", overtaken, m.CommitSHA, view.Branches["main"])
	}
}
