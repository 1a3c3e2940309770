package jobs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// world is a migrated fleet in which things happen, and what they should lead to.
type world struct {
	*bench
	rnd  *rand.Rand
	want map[string]map[reconcile.Class]bool // by subject
}

// TestDrift migrates the samples, lets random things happen to random projects
// through the stand-ins' own doors, round by round, and finds in each report
// exactly what has happened so far, with nothing changed by looking.
func TestDrift(t *testing.T) {
	b := newBench(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{bench: b, rnd: rand.New(rand.NewPCG(seed, 1)), want: map[string]map[reconcile.Class]bool{}}
	b.start(nil)
	b.all(false)
	b.await("the old registry's tags to be kept", 2*time.Minute, func() (bool, string) {
		var n int
		err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE kind = 'snapshot' AND state <> 'completed'`).Scan(&n)
		return n == 0 && err == nil, fmt.Sprint(n, err)
	})
	for _, s := range w.look().Subjects {
		for _, f := range s.Findings {
			w.expect(s.Path, f.Class)
		}
	}
	for round := range 3 {
		w.happen(round)
		r := w.look()
		got := map[string]map[reconcile.Class]bool{}
		for _, s := range r.Subjects {
			got[s.Path] = map[reconcile.Class]bool{}
			for _, f := range s.Findings {
				got[s.Path][f.Class] = true
			}
		}
		if diff := cmp.Diff(w.want, got); diff != "" {
			for _, s := range r.Subjects {
				t.Logf("%s %+v", s.Path, s.Findings)
			}
			t.Fatalf("round %d of seed %d (-happened +found):\n%s", round, seed, diff)
		}
	}
}

// look makes a report, and sees to it that looking leaves no trace.
func (w *world) look() reconcile.Report {
	w.Helper()
	if err := w.world.GitLab.WaitIdle(w.Context()); err != nil {
		w.Fatal(err)
	}
	writes, pulls, asked, old := w.world.Writes(), w.world.ECR.Pulls(), w.world.ECR.Requests(), w.world.Old.Pulls()
	r := w.reconcile()
	if d := sandbox.Difference(writes, w.world.Writes()); len(d) > 0 {
		w.Errorf("looking changed the world: %v", d)
	}
	if diff := cmp.Diff(pulls, w.world.ECR.Pulls()); diff != "" {
		w.Errorf("looking counts as using: %s", diff)
	}
	if n := w.world.Old.Pulls() - old; n != 0 {
		w.Errorf("looking pulled %d manifests from the old registry", n)
	}
	for operation := range sandbox.Difference(asked, w.world.ECR.Requests()) {
		if !slices.Contains([]string{"DescribeImages", "DescribeRepositories", "GetAuthorizationToken"}, operation) {
			w.Errorf("looking asked ECR to %s", operation)
		}
	}
	return r
}

// expect notes that a subject is in a class from now on.
func (w *world) expect(path string, c reconcile.Class) {
	if w.want[path] == nil {
		w.want[path] = map[reconcile.Class]bool{}
	}
	if c != reconcile.InSync {
		delete(w.want[path], reconcile.InSync)
	}
	w.want[path][c] = true
}

// happen lets something happen to about half of the projects that are in sync.
func (w *world) happen(round int) {
	w.Helper()
	for _, path := range slices.Sorted(maps.Keys(w.want)) {
		p, err := w.store.Project(w.Context(), path)
		if err != nil || !w.want[path][reconcile.InSync] || w.rnd.IntN(2) == 0 {
			continue
		}
		m, err := w.store.LatestMigration(w.Context(), p.ID)
		if err != nil || m.State == store.StateSkipped {
			continue
		}
		kinds := []func(store.Project, store.Migration) bool{w.push, w.pushOver, w.lose, w.expire, w.replace, w.nameOld, w.runOld, w.unconfigure, w.variable, w.retire, w.move}
		for _, i := range w.rnd.Perm(len(kinds)) {
			if kinds[i](p, m) {
				break
			}
		}
	}
	path := fmt.Sprintf("nytt/prosjekt-%d", round)
	w.must(w.world.GitLab.AddProject(gitlab.Seed{Path: path, Files: map[string]string{"README.md": "new\n"}}))
	w.expect(path, reconcile.NewProject)
	repository := fmt.Sprintf("ingen/eier-%d", round)
	w.must(w.world.PushOld(w.Context(), repository, "1", "nobody's"))
	w.expect(repository, reconcile.Nobody)
}

// must takes what a door answers and fails the test on its error.
func (w *world) must(_ any, err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) tell(p store.Project, c reconcile.Class, what string) bool {
	w.Logf("%s: %s", p.Path, what)
	w.expect(p.Path, c)
	return true
}

// push: a pipeline of another branch still builds in the old registry.
func (w *world) push(p store.Project, _ store.Migration) bool {
	repository := strings.ToLower(p.Path) + []string{"", "-new", "/new"}[w.rnd.IntN(3)]
	w.must(w.world.PushOld(w.Context(), repository, "new", "built late"))
	return w.tell(p, reconcile.NewPush, "push of "+repository+":new")
}

// pushOver: a tag that was there moves on to another image.
func (w *world) pushOver(p store.Project, m store.Migration) bool {
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	for _, i := range w.rnd.Perm(len(images)) {
		if v := images[i]; v.SourceTag != "" && v.State != store.ImageGone && !strings.HasPrefix(v.SourceTag, "sha256-") {
			w.must(w.world.PushOld(w.Context(), v.SourceRepository, v.SourceTag, "built again"))
			return w.tell(p, reconcile.NewPush, "push over "+v.SourceRepository+":"+v.SourceTag+" ("+string(v.State)+")")
		}
	}
	return false
}

// running returns a tag of the project's repository that something runs, and what.
func (w *world) running(p store.Project, m store.Migration) (tag, workload, namespace string) {
	namespace = w.namespace(p)
	for _, v := range w.world.PaaS.Workloads(namespace) {
		for _, c := range v.Containers {
			if t, ok := strings.CutPrefix(c.Image, m.RepositoryURI+":"); ok && v.Kind == "Deployment" {
				return t, v.Name, namespace
			}
		}
	}
	return "", "", ""
}

func (w *world) namespace(p store.Project) string {
	view, _ := w.world.GitLab.Project(p.Path)
	for _, v := range view.Variables {
		if v.Key == "KUBE_NAMESPACE" {
			return v.Value
		}
	}
	return strings.ReplaceAll(strings.ToLower(p.Path), "/", "-")
}

// lose: what runs is no longer in ECR.
func (w *world) lose(p store.Project, m store.Migration) bool {
	tag, _, _ := w.running(p, m)
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	lost := w.world.ECR.Tags(m.Repository)[tag]
	if tag == "" || slices.ContainsFunc(images, func(i store.Image) bool { return i.TargetTag != tag && i.TargetDigest == lost }) {
		return false // a copied tag of the same image would be cleaned up with it
	}
	w.must(w.world.ECR.Remove(m.Repository, tag))
	return w.tell(p, reconcile.Lost, "loss of "+tag)
}

// unused returns a copied image that nothing runs.
func (w *world) unused(p store.Project, m store.Migration) (store.Image, bool) {
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	held := w.world.ECR.Tags(m.Repository)
	used := map[string]bool{}
	for _, v := range w.world.PaaS.Workloads(w.namespace(p)) {
		for _, c := range v.Containers {
			used[held[strings.TrimPrefix(c.Image, m.RepositoryURI+":")]] = true
		}
	}
	for _, i := range w.rnd.Perm(len(images)) {
		v := images[i]
		copied := v.State == store.ImageCopied || v.State == store.ImagePresent
		if copied && v.TargetTag != "" && held[v.TargetTag] == v.TargetDigest && !used[v.TargetDigest] {
			return v, true
		}
	}
	return store.Image{}, false
}

// expire: the platform cleans up what nothing runs.
func (w *world) expire(p store.Project, m store.Migration) bool {
	v, ok := w.unused(p, m)
	if ok {
		w.must(w.world.ECR.Remove(m.Repository, v.TargetTag))
		w.tell(p, reconcile.Expired, "clean-up of "+v.TargetTag)
	}
	return ok
}

// replace: somebody deletes an image and pushes another one under its tag.
func (w *world) replace(p store.Project, m store.Migration) bool {
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	v, ok := w.unused(p, m)
	shared := slices.ContainsFunc(images, func(o store.Image) bool { return o.TargetTag != v.TargetTag && o.TargetDigest == v.TargetDigest })
	if !ok || shared { // whose other tags would be cleaned up with it
		return false
	}
	w.must(w.world.ECR.Remove(m.Repository, v.TargetTag))
	w.must(w.world.PushECR(w.Context(), p.Path, m.Repository, v.TargetTag, "another image"))
	return w.tell(p, reconcile.DigestDiffers, "replacement of "+v.TargetTag)
}

// nameOld: the owners bring the old registry back into their configuration.
func (w *world) nameOld(p store.Project, _ store.Migration) bool {
	file, err := w.world.GitLab.File(p.Path, p.DefaultBranch, ".gitlab-ci.yml")
	w.must(nil, err)
	file += "\nrelic:\n  script:\n    - docker pull " + w.world.Old.Name + "/" + strings.ToLower(p.Path) + ":1.0\n"
	w.must(w.world.GitLab.PushFiles(p.Path, p.DefaultBranch, "Bring it back [skip ci]", map[string]string{".gitlab-ci.yml": file}))
	return w.tell(p, reconcile.NamesOld, "the old name in .gitlab-ci.yml")
}

// runOld: somebody deploys an image of the old registry by hand.
func (w *world) runOld(p store.Project, m store.Migration) bool {
	_, workload, namespace := w.running(p, m)
	repositories, err := w.store.RepositoriesOf(w.Context(), p.ID)
	w.must(nil, err)
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	if workload == "" || len(repositories) == 0 {
		return false
	}
	for _, v := range images {
		if v.SourceTag != "" && v.State != store.ImageGone && !strings.HasPrefix(v.SourceTag, "sha256-") {
			w.must(nil, w.world.PaaS.SetImage(w.Context(), namespace, "Deployment", workload, "*", w.world.Old.Name+"/"+v.SourceRepository+":"+v.SourceTag))
			return w.tell(p, reconcile.RunsOld, "deployment of "+v.SourceRepository+":"+v.SourceTag)
		}
	}
	return false
}

// unconfigure: the variable points elsewhere.
func (w *world) unconfigure(p store.Project, m store.Migration) bool {
	w.must(nil, w.world.GitLab.SetVariable(p.Path, ci.Variable{Key: "CI_REGISTRY_IMAGE", Value: m.RepositoryURI + "-elsewhere"}))
	return w.tell(p, reconcile.Unconfigured, "another CI_REGISTRY_IMAGE")
}

// variable: the owners point a variable of their own to the old registry.
func (w *world) variable(p store.Project, _ store.Migration) bool {
	w.must(nil, w.world.GitLab.SetVariable(p.Path, ci.Variable{Key: "BASE_IMAGE", Value: w.world.Old.Name + "/" + strings.ToLower(p.Path) + ":1"}))
	return w.tell(p, reconcile.NamesOld, "the old name in a variable")
}

// retire: the owners switch CI/CD off, which is as it should be.
func (w *world) retire(p store.Project, _ store.Migration) bool {
	w.must(nil, w.world.GitLab.SwitchCI(p.Path, false))
	return w.tell(p, reconcile.InSync, "the end of its pipelines")
}

// move: the project is renamed; its old repositories are nobody's then.
func (w *world) move(p store.Project, _ store.Migration) bool {
	repositories, err := w.store.RepositoriesOf(w.Context(), p.ID)
	w.must(nil, err)
	to := "flyttet/" + strings.ReplaceAll(p.Path, "/", "-")
	w.must(nil, w.world.GitLab.Transfer(p.Path, to))
	delete(w.want, p.Path)
	p.Path = to
	for _, r := range repositories {
		w.expect(r.Name, reconcile.Nobody)
	}
	return w.tell(p, reconcile.Moved, "the move to "+to)
}
