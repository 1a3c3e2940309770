package reconcile_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

const (
	oldHost = "registry.example.org"
	ecrHost = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
)

var now = time.Date(2026, 5, 4, 6, 0, 0, 0, time.UTC)

func limits() reconcile.Limits {
	return reconcile.Limits{
		OldHost: oldHost, ECRHost: ecrHost, Now: now,
		MergeRequest: 7 * 24 * time.Hour, Production: 7 * 24 * time.Hour, Failed: 7 * 24 * time.Hour,
	}
}

func digest(n int) string { return fmt.Sprintf("sha256:%064x", n) }

// service is a project that was migrated, and of which everything is as it
// should be.
type service struct {
	reconcile.Project
	reconcile.Expectation
}

// migrated draws such a project.
func migrated(t *rapid.T) *service {
	group := rapid.SampledFrom([]string{"kurs", "lonn/felles", "forskning"}).Draw(t, "group")
	id := rapid.IntRange(1, 9999).Draw(t, "id")
	path := fmt.Sprintf("%s/app%d", group, id)
	s := &service{
		Project: reconcile.Project{
			ID: int64(id), Path: path, DefaultBranch: "main", Pipelines: true, Image: ecrHost + "/" + path,
			ECR:          reconcile.ECR{Repository: path, Exists: true, Tags: map[string]string{}},
			ClusterAsked: rapid.Bool().Draw(t, "cluster"),
		},
		Expectation: reconcile.Expectation{
			Kind: "migrate", State: rapid.SampledFrom([]string{"done", "exceptions"}).Draw(t, "state"), Step: "done",
			Since: now.AddDate(0, 0, -30), StartedAt: now.AddDate(0, 0, -30), Repository: path, PipelineID: 1000,
		},
	}
	for n := range rapid.IntRange(1, 6).Draw(t, "images") {
		repository := path + rapid.SampledFrom([]string{"", "-api", "/worker"}).Draw(t, "name")
		tag := fmt.Sprintf("1.%d", n)
		d := digest(n)
		target := fmt.Sprintf("x-%d", n)
		s.Old = append(s.Old, reconcile.OldTag{Repository: repository, Tag: tag, Digest: d})
		s.Known = append(s.Known, reconcile.OldTag{Repository: repository, Tag: tag, Digest: d})
		s.Images = append(s.Images, reconcile.Image{Old: repository + ":" + tag, Tag: target, Digest: d})
		s.ECR.Tags[target] = d
		s.ECR.Digests = append(s.ECR.Digests, d, digest(1000+n)) // of one platform
	}
	s.Environments = []reconcile.Environment{
		{Name: "staging", Tier: "staging", PipelineID: 1000 + int64(rapid.IntRange(0, 5).Draw(t, "later"))},
		{Name: "production", Tier: "production", PipelineID: 1000},
	}
	if s.ClusterAsked {
		for i, e := range []string{"staging", "production"} {
			n := i % len(s.Images)
			run := s.Images[n].Digest
			if rapid.Bool().Draw(t, "platform") {
				run = digest(1000 + n)
			}
			s.Workloads = append(s.Workloads, reconcile.Workload{Kind: "Deployment", Name: e, Environment: e, Containers: []reconcile.Container{
				{Name: "app", Image: ecrHost + "/" + path + ":" + s.Images[n].Tag, Running: []string{run}},
				{Name: "redis", Image: "redis:8"},
			}})
		}
	}
	return s
}

// drift is something that happens to a project, and the class that it leads to.
type drift struct {
	class reconcile.Class
	needs bool
	// may says whether it can happen to this project.
	may   func(*service) bool
	apply func(*service, *rapid.T)
}

func always(*service) bool { return true }

func asked(s *service) bool { return s.ClusterAsked }

// drifts can be applied in any combination; each shows in a class of its own.
var drifts = []drift{
	{reconcile.NewPush, true, always, func(s *service, t *rapid.T) {
		switch rapid.IntRange(0, 2).Draw(t, "push") {
		case 0:
			s.Old = append(s.Old, reconcile.OldTag{Repository: s.Project.Path, Tag: "new", Digest: digest(5000)})
		case 1: // an image name that there was not
			s.Old = append(s.Old, reconcile.OldTag{Repository: s.Project.Path + "-new", Tag: "1.0"})
		default:
			s.Old[0].Digest = digest(5001)
		}
	}},
	{reconcile.Expired, false, func(s *service) bool { return unused(s) >= 0 }, func(s *service, _ *rapid.T) {
		i := unused(s)
		delete(s.ECR.Tags, s.Images[i].Tag)
		s.ECR.Digests = slices.DeleteFunc(s.ECR.Digests, func(d string) bool { return d == s.Images[i].Digest })
	}},
	{reconcile.Lost, true, asked, func(s *service, _ *rapid.T) { // it is in the old registry still
		_, tag, _ := strings.Cut(s.Workloads[0].Containers[0].Image, ":")
		delete(s.ECR.Tags, tag)
	}},
	{reconcile.DigestDiffers, false, func(s *service) bool { return s.ClusterAsked }, func(s *service, _ *rapid.T) {
		s.Workloads = append(s.Workloads, reconcile.Workload{Kind: "Deployment", Name: "staging-worker", Containers: []reconcile.Container{
			{Name: "app", Image: ecrHost + "/" + s.Repository + ":later", Running: []string{digest(7000)}},
		}})
		s.ECR.Tags["later"] = digest(7001)
		s.ECR.Digests = append(s.ECR.Digests, digest(7001))
	}},
	{reconcile.NamesOld, true, always, func(s *service, _ *rapid.T) {
		s.OldNames = append(s.OldNames, ".gitlab-ci.yml:3 "+oldHost+"/"+s.Project.Path)
	}},
	{reconcile.RunsOld, true, always, func(s *service, _ *rapid.T) {
		if !s.ClusterAsked { // GitLab says that a pipeline from before was deployed again
			s.Environments[0].PipelineID = 900
			return
		}
		s.Workloads = append(s.Workloads, reconcile.Workload{Kind: "CronJob", Name: "staging-nightly", Containers: []reconcile.Container{
			{Name: "job", Image: oldHost + "/" + s.Repository + ":1.0"},
		}})
	}},
	{reconcile.Unconfigured, false, func(s *service) bool { return s.Project.Path == s.Repository }, func(s *service, t *rapid.T) {
		s.Image = rapid.SampledFrom([]string{ecrHost + "/other/app", ecrHost + "/" + s.Repository + "-x"}).Draw(t, "image")
	}},
	{reconcile.Moved, false, func(s *service) bool { return s.Image == ecrHost+"/"+s.Project.Path }, func(s *service, _ *rapid.T) {
		s.Project.Path = "moved/" + s.Project.Path
	}},
}

// unused returns an image that was copied and that nothing runs, -1 for none.
func unused(s *service) int {
	for i := len(s.Images) - 1; i >= 0; i-- {
		used := slices.ContainsFunc(s.Workloads, func(w reconcile.Workload) bool {
			return strings.HasSuffix(w.Containers[0].Image, ":"+s.Images[i].Tag)
		})
		if _, there := s.ECR.Tags[s.Images[i].Tag]; !used && there {
			return i
		}
	}
	return -1
}

// TestNamesExactlyTheDrift builds a world, applies random drift to random
// projects, and finds exactly the drift applied, in every project.
func TestNamesExactlyTheDrift(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		for range rapid.IntRange(1, 5).Draw(t, "projects") {
			s := migrated(t)
			want, needs := []reconcile.Class{}, false
			for _, d := range rapid.SliceOfNDistinct(rapid.SampledFrom(indices(drifts)), 0, 4, rapid.ID[int]).Draw(t, "drift") {
				if d := drifts[d]; d.may(s) {
					d.apply(s, t)
					want = append(want, d.class)
					needs = needs || d.needs
				}
			}
			if len(want) == 0 {
				want = append(want, reconcile.InSync)
			}
			got := reconcile.Judge(s.Project, s.Expectation, limits())
			if diff := cmp.Diff(sorted(want), sorted(classes(got))); diff != "" {
				t.Fatalf("classes (-applied +found):\n%s\n%+v\n%+v", diff, s, got)
			}
			gotNeeds := slices.ContainsFunc(got, func(f reconcile.Finding) bool { return f.NeedsOld })
			if gotNeeds != needs {
				t.Fatalf("needs the old registry: %v, want %v: %+v", gotNeeds, needs, got)
			}
			for _, f := range got {
				if f.Detail == "" || f.Severity != reconcile.OK && f.Severity != reconcile.Note && f.Remedy == "" {
					t.Fatalf("a finding that explains nothing: %+v", f)
				}
			}
		}
	})
}

func indices[T any](s []T) []int {
	var out []int
	for i := range s {
		out = append(out, i)
	}
	return out
}

func classes(fs []reconcile.Finding) []reconcile.Class {
	out := []reconcile.Class{}
	for _, f := range fs {
		out = append(out, f.Class)
	}
	return out
}

func sorted(cs []reconcile.Class) []reconcile.Class { return slices.Sorted(slices.Values(cs)) }

// TestStates judges projects by where their migration is.
func TestStates(t *testing.T) {
	t.Parallel()
	old := []reconcile.OldTag{{Repository: "kurs/app", Tag: "1", Digest: digest(1)}}
	long, lately := now.AddDate(0, 0, -20), now.AddDate(0, 0, -2)
	for _, tt := range []struct {
		name  string
		p     reconcile.Project
		e     reconcile.Expectation
		want  reconcile.Class
		needs bool
	}{
		{"new, with images", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{}, reconcile.NewProject, true},
		{"new, with nothing", reconcile.Project{ClusterAsked: true}, reconcile.Expectation{}, reconcile.NewProject, false},
		{"new, archived, runs nothing", reconcile.Project{Archived: true, ClusterAsked: true, Old: old}, reconcile.Expectation{}, reconcile.NewProject, false},
		{"new, archived, cluster not asked", reconcile.Project{Archived: true, Old: old}, reconcile.Expectation{}, reconcile.NewProject, true},
		{"skipped", reconcile.Project{ClusterAsked: true}, reconcile.Expectation{Kind: "migrate", State: "skipped", Reason: "archived"}, reconcile.InSync, false},
		{"skipped and yet in use", reconcile.Project{ClusterAsked: true, Archived: true, Old: old, Workloads: []reconcile.Workload{
			{Kind: "Deployment", Name: "staging", Containers: []reconcile.Container{{Image: oldHost + "/kurs/app:1"}}},
		}}, reconcile.Expectation{Kind: "migrate", State: "skipped", Reason: "archived"}, reconcile.NewProject, true},
		{"failed lately", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{Kind: "migrate", State: "failed", Step: "copy", Since: lately}, reconcile.Failed, true},
		{"failed and forgotten", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{Kind: "migrate", State: "attention", Step: "copy", Since: long}, reconcile.Forgotten, true},
		{"cancelled and forgotten", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{Kind: "migrate", State: "cancelled", Step: "copy", Since: long}, reconcile.Forgotten, true},
		{"under way", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{Kind: "migrate", State: "running", Step: "copy", Since: lately}, reconcile.UnderWay, true},
		{"merge request young", reconcile.Project{Pipelines: true, Old: old, MergeRequest: &reconcile.Request{IID: 3, State: "opened", CreatedAt: lately}},
			reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "rewrite", Reason: "merge-request", Since: long}, reconcile.UnderWay, true},
		{"merge request old", reconcile.Project{Pipelines: true, Old: old, MergeRequest: &reconcile.Request{IID: 3, State: "opened", CreatedAt: long}},
			reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "rewrite", Reason: "merge-request", Since: lately}, reconcile.MergeRequest, true},
		{"merge request closed", reconcile.Project{Pipelines: true, Old: old, OldNames: []string{"x"}, MergeRequest: &reconcile.Request{IID: 3, State: "closed", CreatedAt: lately}},
			reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "rewrite", Reason: "merge-request", Since: lately}, reconcile.Closed, true},
		{"merge request closed, and the worker knows", reconcile.Project{Pipelines: true, Old: old, OldNames: []string{"x"}, MergeRequest: &reconcile.Request{IID: 3, State: "closed", CreatedAt: lately}},
			reconcile.Expectation{Kind: "migrate", State: "attention", Step: "rewrite", Reason: "merge-request-closed", Since: long}, reconcile.Closed, true},
		{"merge request closed, its change came by hand", reconcile.Project{Pipelines: true, Old: old, MergeRequest: &reconcile.Request{IID: 3, State: "closed", CreatedAt: lately}},
			reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "rewrite", Reason: "merge-request", Since: lately}, reconcile.UnderWay, true},
		{"merge request merged meanwhile", reconcile.Project{Pipelines: true, Old: old, MergeRequest: &reconcile.Request{IID: 3, State: "merged", CreatedAt: long}},
			reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "rewrite", Reason: "merge-request", Since: long}, reconcile.UnderWay, true},
		{"rolled back", reconcile.Project{Pipelines: true, Old: old}, reconcile.Expectation{Kind: "rollback", State: "done", Since: long}, reconcile.RolledBack, true},
		{"gone", reconcile.Project{Gone: true}, reconcile.Expectation{Kind: "migrate", State: "done", Since: long}, reconcile.Gone, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			tt.p.Path = "kurs/app"
			got := reconcile.Judge(tt.p, tt.e, limits())
			if len(got) != 1 || got[0].Class != tt.want || got[0].NeedsOld != tt.needs {
				t.Errorf("got %+v, want %s, needs %v", got, tt.want, tt.needs)
			}
		})
	}
}

// TestProductionWaits judges a project whose staging runs from ECR and whose
// production nobody has played.
func TestProductionWaits(t *testing.T) {
	t.Parallel()
	wait := func(since time.Time, job string, production string) []reconcile.Class {
		p := reconcile.Project{
			Path: "kurs/app", Pipelines: true, ClusterAsked: true, Image: ecrHost + "/kurs/app",
			ECR:        reconcile.ECR{Repository: "kurs/app", Exists: true, Tags: map[string]string{"x": digest(1)}, Digests: []string{digest(1)}},
			Production: &reconcile.Job{Name: "production", Status: job},
			Workloads: []reconcile.Workload{
				{Kind: "Deployment", Name: "staging", Environment: "staging", Containers: []reconcile.Container{{Image: ecrHost + "/kurs/app:x", Running: []string{digest(1)}}}},
				{Kind: "Deployment", Name: "production", Environment: "production", Containers: []reconcile.Container{{Image: production}}},
			},
		}
		e := reconcile.Expectation{Kind: "migrate", State: "waiting", Step: "verify", Reason: "production", Since: since, Repository: "kurs/app"}
		return classes(reconcile.Judge(p, e, limits()))
	}
	old := oldHost + "/kurs/app:1"
	if got := wait(now.AddDate(0, 0, -20), "manual", old); !slices.Equal(got, []reconcile.Class{reconcile.Production}) {
		t.Errorf("for long: %v", got)
	}
	if got := wait(now.AddDate(0, 0, -2), "manual", old); !slices.Equal(got, []reconcile.Class{reconcile.UnderWay}) {
		t.Errorf("for a short time: %v", got)
	}
	// Somebody played it, and our row does not know yet.
	if got := wait(now.AddDate(0, 0, -20), "success", ecrHost+"/kurs/app:x"); !slices.Equal(got, []reconcile.Class{reconcile.UnderWay}) {
		t.Errorf("played meanwhile: %v", got)
	}
}

// TestAfterwards says of a migrated project no more than what holds today.
func TestAfterwards(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		change func(*reconcile.Project)
		class  reconcile.Class
		says   string
		needs  bool
	}{
		"as it should be": {func(*reconcile.Project) {}, reconcile.InSync, "builds in and runs from ECR", false},
		"archived":        {func(p *reconcile.Project) { p.Archived = true }, reconcile.InSync, "is archived now", false},
		"without CI":      {func(p *reconcile.Project) { p.Pipelines = false }, reconcile.InSync, "builds nothing any more", false},
		"an environment from before": {func(p *reconcile.Project) {
			p.ClusterAsked, p.Environments = false, []reconcile.Environment{{Name: "staging", State: "available", PipelineID: 9}}
		}, reconcile.RunsOld, "by GitLab's word", true},
		"one that is stopped": {func(p *reconcile.Project) {
			p.ClusterAsked, p.Environments = false, []reconcile.Environment{{Name: "staging", State: "stopped", PipelineID: 9}}
		}, reconcile.InSync, "builds in and runs from ECR", false},
		"a variable of its own": {func(p *reconcile.Project) { p.OldVariables = []string{"BASE_IMAGE"} },
			reconcile.NamesOld, "CI/CD variables name the old registry: BASE_IMAGE", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := reconcile.Project{
				ID: 1, Path: "g/app", Pipelines: true, Image: ecrHost + "/g/app", ClusterAsked: true,
				ECR: reconcile.ECR{Repository: "g/app", Exists: true, Tags: map[string]string{}},
			}
			tt.change(&p)
			got := reconcile.Judge(p, reconcile.Expectation{Kind: "migrate", State: "done", Step: "done", Repository: "g/app", PipelineID: 10}, limits())
			if len(got) != 1 || got[0].Class != tt.class || !strings.Contains(got[0].Detail, tt.says) || got[0].NeedsOld != tt.needs {
				t.Errorf("got %+v, want %s with %q", got, tt.class, tt.says)
			}
		})
	}
}
