package jobs_test

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	difference "github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

const forward, back = "ecrferry/move-images-to-ecr", "ecrferry/move-images-back"

// TestMergeRequests walks a project whose branch is closed to us there and back:
// the merge request is rebuilt when the head changes the same lines, its owners
// merge it, work on, and merge its inverse. The worker dies after each act of
// the way back, and GitLab answers 502 to what it carried out.
func TestMergeRequests(t *testing.T) {
	t.Parallel()
	b := newBench(t, "protected-branch")
	const path = "lonn/utbetaling"
	files := b.files(path, "main")
	view, _ := b.world.GitLab.Project(path)
	variables := view.Variables
	var mu sync.Mutex
	died := map[store.StepName]bool{}
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			mu.Lock()
			defer mu.Unlock()
			was := died[step]
			died[step] = was || m.Kind == store.Rollback
			return died[step] && !was
		}
	})
	b.all(false)
	iid := b.open(path, forward)

	// Its owners change the very lines that the merge request changes.
	for _, name := range []string{".gitlab-ci.yml", "deployment.yaml"} {
		files[name] = strings.ReplaceAll(files[name], "-server:", "-tjener:")
	}
	_, err := b.world.GitLab.PushFiles(path, "main", "Another name", map[string]string{
		".gitlab-ci.yml": files[".gitlab-ci.yml"], "deployment.yaml": files["deployment.yaml"],
	})
	b.must(err)
	b.await("the merge request to be rebuilt", time.Minute, func() (bool, string) {
		ci, _ := b.world.GitLab.File(path, forward, ".gitlab-ci.yml")
		return strings.Contains(ci, "$CI_REGISTRY_IMAGE:tjener-"), ci
	})
	if again := b.open(path, forward); again != iid {
		t.Errorf("merge request !%d, want !%d to be rebuilt in place", again, iid)
	}
	if n := b.ours(path, forward); n != 1 {
		t.Errorf("%d commits of ours on the branch, want 1", n)
	}
	b.merge(path, iid)
	b.await("the project to be proven", time.Minute, func() (bool, string) {
		r := b.status(path)
		return !r.State.Active(), string(r.State) + " " + r.Why
	})
	if r := b.status(path); r.State != store.StateDone {
		t.Fatalf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
	}

	// Others work on, elsewhere; then the way back is ordered.
	b.push(path, "A comment", func(ci string) string { return ci + "# the end\n" })
	files[".gitlab-ci.yml"] += "# the end\n"
	b.must(b.world.GitLab.WaitIdle(t.Context()))
	pipelines := len(b.world.GitLab.Pipelines(path))
	b.world.GitLab.InjectAfter(actedThen502(`POST .*/repository/commits$`, `POST .*/merge_requests$`, `DELETE .*/variables/`))
	_, err = b.enqueuer.Rollback(t.Context(), b.order(), b.project(path))
	b.must(err)
	b.await("the merge request of the way back", time.Minute, func() (bool, string) {
		r := b.status(path)
		return r.Reason == "merge-request", string(r.State) + " " + r.Why
	})
	iid = b.open(path, back)
	if n := b.ours(path, back); n != 2 {
		t.Errorf("%d commits of ours on the way back, want the merged one and its inverse", n)
	}
	b.merge(path, iid)
	b.await("the rollback", time.Minute, func() (bool, string) {
		r := b.status(path)
		return !r.State.Active(), string(r.State) + " " + r.Why
	})
	r := b.status(path)
	if r.State != store.StateDone || r.Reason != "rolled-back" {
		t.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
		story(b, r)
	}
	b.same(path, files, variables)
	onMain := 0
	for _, p := range b.world.GitLab.Pipelines(path)[pipelines:] {
		if p.Ref == "main" {
			onMain++
		}
	}
	if onMain != 1 {
		t.Errorf("%d pipelines of the way back, want one", onMain)
	}
	mu.Lock()
	defer mu.Unlock()
	for _, step := range store.RollbackOrder {
		if !died[step] {
			t.Errorf("the worker did not die at %s", step)
		}
	}
}

// open returns the number of the open merge request from a branch, of which
// there is one only.
func (b *bench) open(path, branch string) int64 {
	b.Helper()
	view, _ := b.world.GitLab.Project(path)
	var iid int64
	n := 0
	for _, m := range view.MergeRequests {
		if m.Source == branch && m.State == "opened" {
			iid = m.IID
			n++
		}
	}
	if n != 1 {
		b.Fatalf("%s: %d open merge requests from %s, want 1: %+v", path, n, branch, view.MergeRequests)
	}
	return iid
}

// merge merges a merge request as the project's owners do.
func (b *bench) merge(path string, iid int64) {
	b.Helper()
	clients, _ := b.clients()
	b.await("the merge request to be mergeable", time.Minute, func() (bool, string) {
		_, err := clients.GitLab.AcceptMergeRequest(b.Context(), b.project(path).ID, iid, gitlab.Acceptance{})
		if err != nil {
			return false, err.Error()
		}
		return true, ""
	})
}

// files returns all files of a branch.
func (b *bench) files(path, branch string) map[string]string {
	b.Helper()
	clients, _ := b.clients()
	view, _ := b.world.GitLab.Project(path)
	tree, err := clients.GitLab.Tree(b.Context(), view.ID, branch)
	b.must(err)
	out := map[string]string{}
	for _, e := range tree {
		if e.Type == "blob" {
			out[e.Path], err = b.world.GitLab.File(path, branch, e.Path)
			b.must(err)
		}
	}
	return out
}

// same compares a project's files and variables with what they are to be, byte by byte.
func (b *bench) same(path string, files map[string]string, variables []ci.Variable) {
	b.Helper()
	view, _ := b.world.GitLab.Project(path)
	if d := difference.Diff(files, b.files(path, view.DefaultBranch)); d != "" {
		b.Errorf("%s: the files differ (-before +after the rollback):\n%s", path, d)
	}
	byKey := func(a, b ci.Variable) int { return cmp.Compare(a.Key+a.EnvironmentScope, b.Key+b.EnvironmentScope) }
	before, after := slices.SortedFunc(slices.Values(variables), byKey), slices.SortedFunc(slices.Values(view.Variables), byKey)
	if d := difference.Diff(before, after); d != "" {
		b.Errorf("%s: the variables differ (-before +after the rollback):\n%s", path, d)
	}
}
