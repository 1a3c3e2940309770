package jobs_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// world is a migrated fleet in which things happen, and what they should lead to.
type world struct {
	*bench
	rnd      *rand.Rand
	want     map[string]map[reconcile.Class]bool // by subject
	happened map[string]int                      // how often each kind of drift did
	archived map[string]bool                     // nothing can be pushed to these any more
}

// kind is something that may happen to a project; do says whether it could.
type kind struct {
	name string
	do   func(*world, store.Project, store.Migration) bool
	rare bool // it can happen to few projects only
}

var kinds = []kind{
	{"lose", (*world).lose, true}, {"replace what runs", (*world).replaceRunning, true}, {"drop the repository", (*world).drop, true},
	{"push over one platform", (*world).pushPlatform, true}, {"replace one platform", (*world).replacePlatform, true}, {"revert", (*world).revert, true},
	{"push", (*world).push, false}, {"push over", (*world).pushOver, false}, {"expire", (*world).expire, false}, {"replace", (*world).replace, false},
	{"name the old registry", (*world).nameOld, false}, {"manifest", (*world).manifest, false}, {"Dockerfile", (*world).dockerfile, false},
	{"another configuration", (*world).reconfigure, false}, {"configuration of another project", (*world).template, false},
	{"run from the old registry", (*world).runOld, false}, {"unconfigure", (*world).unconfigure, false}, {"unset", (*world).unset, false}, {"variable", (*world).variable, false},
	{"retire", (*world).retire, false}, {"archive", (*world).archive, false}, {"stop an environment", (*world).stopEnvironment, false},
	{"move", (*world).move, false}, {"rename", (*world).rename, false},
}

// services adds projects to which each kind can happen: an image that runs, some
// that nothing runs, and one for two platforms.
func (b *bench) services(n int) {
	b.Helper()
	all, err := samples.All()
	if err != nil {
		b.Fatal(err)
	}
	one := all[slices.IndexFunc(all, func(s samples.Sample) bool { return s.Name == "one-image" })]
	for i := range n {
		one.Path = fmt.Sprintf("tjenester/nr%d", i)
		one.Images = []samples.Image{{Repository: one.Path, Tag: "1.0"}, {Repository: one.Path + "-cron", Tag: "1.0"}}
		if _, err := b.world.PushOldIndex(b.Context(), one.Path, "multi", one.Path, one.Path); err != nil {
			b.Fatal(err)
		}
		if err := b.world.SeedSample(b.Context(), one); err != nil {
			b.Fatal(err)
		}
	}
}

// TestDrift migrates the samples, lets random things happen to random projects
// through the stand-ins' own doors, round by round, and finds in each report
// exactly what has happened so far, with nothing changed by looking.
func TestDrift(t *testing.T) {
	b := newBench(t)
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	w := &world{bench: b, rnd: rand.New(rand.NewPCG(seed, 1)), want: map[string]map[reconcile.Class]bool{}, happened: map[string]int{}, archived: map[string]bool{}}
	b.services(8)
	b.start(nil)
	// Where so many pipelines push at once, ECR's quota fails some of them.
	for rows, left := b.all(false), 1; left > 0; rows = b.settle() {
		left = 0
		for _, r := range rows {
			if r.State == store.StateFailed && r.Reason == "rate-limited" {
				left++
				if _, err := b.enqueuer.Failed(t.Context(), b.order(), b.project(r.Path), ""); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	b.await("the old registry's tags to be kept", 2*time.Minute, func() (bool, string) {
		var n int
		err := b.pool.QueryRow(t.Context(), `SELECT count(*) FROM river.river_job WHERE kind = 'snapshot' AND state <> 'completed'`).Scan(&n)
		return n == 0 && err == nil, fmt.Sprint(n, err)
	})
	for _, s := range w.look().Subjects {
		for _, f := range s.Findings {
			w.expect(s.Path, f.Class)
			if f.Class != reconcile.InSync {
				w.Logf("%s begins %s: %s", s.Path, f.Class, f.Detail)
			}
		}
	}
	for round := range 3 {
		w.happen(round)
		r := w.look()
		got := map[string]map[reconcile.Class]bool{}
		for _, s := range r.Subjects {
			// Who can act on what is the owners' is named: the one person in this GitLab.
			for _, f := range s.Findings {
				if owners := f.Owner == reconcile.ProjectOwner && f.Remedy != "" && f.Class != reconcile.NotObserved; owners && s.Acts(f) != "Kari Nordmann (kari.nordmann)" {
					t.Errorf("%s, %s: %q can act", s.Path, f.Class, s.Acts(f))
				}
			}
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
	if len(w.happened) < 15 { // the others in another run: the order is random
		t.Errorf("only %d of %d kinds of drift have happened: %v", len(w.happened), len(kinds), w.happened)
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

// closeMergeRequest: the owners do not want the change. Whether the worker has seen
// that by the time of the look makes no difference.
func (w *world) closeMergeRequest() {
	const path = "lonn/utbetaling"
	p := w.project(path)
	m, err := w.store.LatestMigration(w.Context(), p.ID)
	w.must(nil, err)
	w.must(nil, w.world.GitLab.CloseMergeRequest(path, m.MergeRequestIID))
	delete(w.want, path)
	w.tell(p, reconcile.Closed, "the end of its merge request")
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

// happen lets something happen to some of the projects that are in sync, to all in
// the last round; what has happened least comes first.
func (w *world) happen(round int) {
	w.Helper()
	for _, path := range slices.Sorted(maps.Keys(w.want)) {
		p, err := w.store.Project(w.Context(), path)
		if err != nil || !w.want[path][reconcile.InSync] || w.archived[path] || round < 2 && w.rnd.IntN(3) > 0 {
			continue
		}
		m, err := w.store.LatestMigration(w.Context(), p.ID)
		if err != nil || m.State == store.StateSkipped {
			continue
		}
		least := slices.Clone(kinds)
		w.rnd.Shuffle(len(least), func(i, j int) { least[i], least[j] = least[j], least[i] })
		slices.SortStableFunc(least, func(a, b kind) int {
			if d := w.happened[a.name] - w.happened[b.name]; d != 0 || a.rare == b.rare {
				return d
			}
			if a.rare {
				return -1
			}
			return 1
		})
		for _, k := range least {
			if k.do(w, p, m) {
				w.happened[k.name]++
				break
			}
		}
	}
	if round == 1 {
		w.closeMergeRequest()
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

// index returns a tag of an index that is copied, and that nothing runs.
func (w *world) index(m store.Migration) (store.Image, bool) {
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	i := slices.IndexFunc(images, func(v store.Image) bool {
		return v.SourceTag == "multi" && v.State == store.ImageCopied && w.world.ECR.Tags(m.Repository)[v.TargetTag] == v.TargetDigest
	})
	if i < 0 {
		return store.Image{}, false
	}
	return images[i], true
}

// pushPlatform: the old registry's index gets another child for one platform.
func (w *world) pushPlatform(p store.Project, m store.Migration) bool {
	v, ok := w.index(m)
	if ok {
		w.must(w.world.PushOldIndex(w.Context(), v.SourceRepository, v.SourceTag, p.Path, "built again"))
		w.tell(p, reconcile.NewPush, "push over one platform of "+v.SourceTag)
	}
	return ok
}

// replacePlatform: somebody pushes an index whose child for one platform is another
// under the tag of a copied one.
func (w *world) replacePlatform(p store.Project, m store.Migration) bool {
	v, ok := w.index(m)
	if ok {
		w.must(w.world.ECR.Remove(m.Repository, v.TargetTag))
		w.must(w.world.PushECRIndex(w.Context(), p.Path, m.Repository, v.TargetTag, p.Path, "another"))
		w.tell(p, reconcile.DigestDiffers, "replacement of one platform of "+v.TargetTag)
	}
	return ok
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

// old is a configuration that builds in the old registry.
func (w *world) old(p store.Project) string {
	return "relic:\n  script:\n    - docker push " + w.world.Old.Name + "/" + strings.ToLower(p.Path) + ":1.0\n"
}

// reconfigure: the owners let GitLab read another file of the repository.
func (w *world) reconfigure(p store.Project, _ store.Migration) bool {
	w.must(w.world.GitLab.PushFiles(p.Path, p.DefaultBranch, "Build as before [skip ci]", map[string]string{"build/pipeline.yml": w.old(p)}))
	w.must(nil, w.world.GitLab.SetConfigPath(p.Path, "build/pipeline.yml"))
	return w.tell(p, reconcile.NamesOld, "another ci_config_path")
}

// template: the owners let GitLab read a file of another project.
func (w *world) template(p store.Project, _ store.Migration) bool {
	path := "maler/" + strings.ReplaceAll(p.Path, "/", "-")
	w.must(w.world.GitLab.AddProject(gitlab.Seed{Path: path, Files: map[string]string{"ci/all.yml": w.old(p)}}))
	w.must(nil, w.world.GitLab.SetConfigPath(p.Path, "ci/all.yml@"+path+":main"))
	w.expect(path, reconcile.NewProject)
	return w.tell(p, reconcile.NamesOld, "the ci_config_path of "+path)
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

// unset: somebody deletes the variable, and the instance's own names the old registry.
func (w *world) unset(p store.Project, _ store.Migration) bool {
	w.must(nil, w.world.GitLab.DropVariable(p.Path, "CI_REGISTRY_IMAGE"))
	return w.tell(p, reconcile.Unconfigured, "the end of CI_REGISTRY_IMAGE")
}

// revert: the owners take the rewrite back.
func (w *world) revert(p store.Project, m store.Migration) bool {
	changes, err := w.store.Changes(w.Context(), m.ID)
	w.must(nil, err)
	if len(changes) == 0 {
		return false
	}
	files := map[string]string{}
	for _, c := range changes {
		files[c.Path] = string(c.Before)
	}
	w.must(w.world.GitLab.PushFiles(p.Path, p.DefaultBranch, "Revert the move [skip ci]", files))
	return w.tell(p, reconcile.NamesOld, "the revert of the rewrite")
}

// manifest: what is deployed is named in full, and so is the old registry.
func (w *world) manifest(p store.Project, _ store.Migration) bool {
	text := "apiVersion: v1\nkind: Pod\nmetadata: {name: relic}\nspec:\n  containers:\n    - name: app\n      image: " + w.world.Old.Name + "/" + strings.ToLower(p.Path) + ":1.0\n"
	w.must(w.world.GitLab.PushFiles(p.Path, p.DefaultBranch, "One more [skip ci]", map[string]string{"k8s/relic.yaml": text}))
	return w.tell(p, reconcile.NamesOld, "the old name in k8s/relic.yaml")
}

// dockerfile: an image is built on one of the old registry.
func (w *world) dockerfile(p store.Project, _ store.Migration) bool {
	w.must(w.world.GitLab.PushFiles(p.Path, p.DefaultBranch, "Another base [skip ci]", map[string]string{"tools/Dockerfile": "FROM " + w.world.Old.Name + "/public/jessie:minbase\n"}))
	return w.tell(p, reconcile.NamesOld, "the old registry in tools/Dockerfile")
}

// replaceRunning: somebody pushes another image under the tag that runs.
func (w *world) replaceRunning(p store.Project, m store.Migration) bool {
	tag, _, _ := w.running(p, m)
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	lost := w.world.ECR.Tags(m.Repository)[tag]
	if tag == "" || slices.ContainsFunc(images, func(i store.Image) bool { return i.TargetDigest == lost }) {
		return false // a copied tag of the same image would be cleaned up with it
	}
	w.must(w.world.ECR.Remove(m.Repository, tag))
	w.must(w.world.PushECR(w.Context(), p.Path, m.Repository, tag, "not what runs"))
	return w.tell(p, reconcile.DigestDiffers, "replacement of "+tag+", which runs")
}

// drop: somebody deletes the repository with all its images.
func (w *world) drop(p store.Project, m store.Migration) bool {
	tag, _, _ := w.running(p, m)
	if tag == "" {
		return false
	}
	w.must(w.world.ECR.DeleteRepository(m.Repository))
	w.expect(p.Path, reconcile.Lost)
	return w.tell(p, reconcile.Unconfigured, "the end of the repository")
}

// archive: the owners archive the project, which goes on running from ECR.
func (w *world) archive(p store.Project, _ store.Migration) bool {
	w.must(nil, w.world.GitLab.Archive(p.Path, true))
	w.archived[p.Path] = true
	return w.tell(p, reconcile.InSync, "the archive")
}

// retire: the owners switch CI/CD off, which is as it should be.
func (w *world) retire(p store.Project, _ store.Migration) bool {
	w.must(nil, w.world.GitLab.SwitchCI(p.Path, false))
	return w.tell(p, reconcile.InSync, "the end of its pipelines")
}

// stopEnvironment: the owners stop an environment, and nothing of it runs any more.
func (w *world) stopEnvironment(p store.Project, m store.Migration) bool {
	_, workload, namespace := w.running(p, m)
	images, err := w.store.Images(w.Context(), m.ID)
	w.must(nil, err)
	view, _ := w.world.GitLab.Project(p.Path)
	i := slices.IndexFunc(view.Environments, func(e gitlab.EnvironmentView) bool { return e.State == "available" && e.Name == "staging" })
	if i < 0 || workload == "" || len(images) == 0 {
		return false
	}
	w.must(nil, w.world.GitLab.StopEnvironment(p.Path, "staging"))
	w.must(w.world.PaaS.DeleteEnvironment(namespace, "staging"))
	return w.tell(p, reconcile.InSync, "the end of staging")
}

// move: the project goes to another group; its old repositories are nobody's then.
func (w *world) move(p store.Project, _ store.Migration) bool {
	return w.transfer(p, "flyttet/"+strings.ReplaceAll(p.Path, "/", "-"))
}

// rename: the project gets another name in its group.
func (w *world) rename(p store.Project, _ store.Migration) bool {
	return w.transfer(p, path.Dir(p.Path)+"/nytt-"+path.Base(p.Path))
}

func (w *world) transfer(p store.Project, to string) bool {
	repositories, err := w.store.RepositoriesOf(w.Context(), p.ID)
	w.must(nil, err)
	w.must(nil, w.world.GitLab.Transfer(p.Path, to))
	delete(w.want, p.Path)
	p.Path = to
	for _, r := range repositories {
		w.expect(r.Name, reconcile.Nobody)
	}
	return w.tell(p, reconcile.Moved, "the move to "+to)
}
