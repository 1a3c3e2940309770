package deploy

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

const (
	registry = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
	sha      = "9f3c2b1a00000000000000000000000000000000"
	other    = "0000000011111111111111111111111111111111"
	digest   = "sha256:aaaa"
	stale    = "sha256:bbbb"
)

func expectation(environments ...string) Expectation {
	return Expectation{
		Project: "g/p", Registry: registry, Repository: "g/p", OldRegistry: "registry.uninett.no",
		OldBases: []string{"artifactory.example.org/g/p"}, SHA: sha, PipelineID: 11, Environments: environments,
	}
}

// evidence is all that can be wished for.
func evidence(environments ...string) Evidence {
	v := Evidence{
		Pipeline:     &Pipeline{ID: 11, SHA: sha, Status: "success", Downstream: []Downstream{{Job: "child", Status: "success", Pipeline: &Pipeline{ID: 12, SHA: sha, Status: "success"}}}},
		Images:       map[string]string{"main-1": digest, digest: digest, "sha256:amd64": digest},
		ClusterAsked: true,
	}
	for i, environment := range environments {
		v.Deployments = append(v.Deployments,
			Deployment{ID: int64(100 + i), Environment: environment, Status: "success", SHA: sha, PipelineID: 11},
			Deployment{ID: int64(10 + i), Environment: environment, Status: "success", SHA: other, PipelineID: 5},
		)
		v.Workloads = append(v.Workloads, Workload{
			Kind: "Deployment", Name: environment, Environment: environment, Desired: 1, Ready: 1, Complete: true,
			Containers: []Container{
				{Name: "app", Image: registry + "/g/p:main-1", RunningDigests: []string{digest}},
				{Name: "sidecar", Image: "docker.io/library/nginx:1", RunningDigests: []string{"sha256:cccc"}},
			},
		})
	}
	return v
}

func TestJudge(t *testing.T) {
	t.Parallel()
	type change = func(*Expectation, *Evidence)
	for name, test := range map[string]struct {
		change change
		want   Outcome
		words  string // in the summary
	}{
		"all is well":    {func(*Expectation, *Evidence) {}, Proven, "staging runs from ECR at 9f3c2b1a"},
		"nothing at all": {func(_ *Expectation, v *Evidence) { *v = Evidence{} }, Unproven, "no pipeline"},
		"nothing expected": {func(e *Expectation, v *Evidence) { *e, *v = Expectation{}, Evidence{ClusterAsked: true} },
			Unproven, "no pipeline"},

		// Pipeline.
		"no pipeline":       {func(_ *Expectation, v *Evidence) { v.Pipeline = nil }, Unproven, "no pipeline"},
		"another commit's":  {func(_ *Expectation, v *Evidence) { v.Pipeline.SHA = other }, Refuted, "not of our commit"},
		"another pipeline":  {func(_ *Expectation, v *Evidence) { v.Pipeline.ID = 12 }, Refuted, "not the one"},
		"no sha":            {func(e *Expectation, _ *Evidence) { e.SHA = "" }, Refuted, ""},
		"running":           {func(_ *Expectation, v *Evidence) { v.Pipeline.Status = "running" }, Pending, "is running"},
		"a status of 2030":  {func(_ *Expectation, v *Evidence) { v.Pipeline.Status = "meditating" }, Pending, "meditating"},
		"waits for a human": {func(_ *Expectation, v *Evidence) { v.Pipeline.Status = "manual" }, Proven, ""},
		"skipped":           {func(_ *Expectation, v *Evidence) { v.Pipeline.Status = "skipped" }, Refuted, "no job ran"},
		"failed":            {func(_ *Expectation, v *Evidence) { v.Pipeline.Status = "failed" }, Refuted, "pipeline 11 failed"},
		"failed child": {func(_ *Expectation, v *Evidence) { v.Pipeline.Downstream[0].Pipeline.Status = "failed" },
			Refuted, "started by child: pipeline 12 failed"},
		"running grandchild": {func(_ *Expectation, v *Evidence) {
			v.Pipeline.Downstream[0].Pipeline.Downstream = []Downstream{{Job: "g", Status: "success", Pipeline: &Pipeline{ID: 13, Status: "running"}}}
		}, Pending, "pipeline 13 is running"},
		"child allowed to fail": {func(_ *Expectation, v *Evidence) {
			v.Pipeline.Downstream[0].AllowFailure = true
			v.Pipeline.Downstream[0].Pipeline.Status = "failed"
		}, Proven, ""},
		"child unknown":      {func(_ *Expectation, v *Evidence) { v.Pipeline.Downstream[0].Pipeline = nil }, Unproven, "not known"},
		"trigger not played": {func(_ *Expectation, v *Evidence) { v.Pipeline.Downstream[0] = Downstream{Status: "manual"} }, Proven, ""},
		"trigger failed":     {func(_ *Expectation, v *Evidence) { v.Pipeline.Downstream[0] = Downstream{Job: "t", Status: "failed"} }, Refuted, "trigger job t failed"},

		// Deployment.
		"not deployed, pipeline over": {func(_ *Expectation, v *Evidence) { v.Deployments = v.Deployments[1:] },
			Refuted, "is of 00000000, not of our commit 9f3c2b1a"},
		"not deployed, pipeline waits": {func(_ *Expectation, v *Evidence) { v.Deployments = v.Deployments[1:]; v.Pipeline.Status = "manual" },
			Pending, "not deployed yet"},
		"no deployment at all":    {func(_ *Expectation, v *Evidence) { v.Deployments = nil }, Unproven, "no deployment"},
		"deploying":               {func(_ *Expectation, v *Evidence) { v.Deployments[0].Status = "running" }, Pending, "is running"},
		"blocked":                 {func(_ *Expectation, v *Evidence) { v.Deployments[0].Status = "blocked" }, Pending, "is blocked"},
		"deployment failed":       {func(_ *Expectation, v *Evidence) { v.Deployments[0].Status = "failed" }, Refuted, "failed"},
		"somebody deployed later": {func(_ *Expectation, v *Evidence) { v.Deployments[1].ID = 200 }, Unproven, "judge that one"},
		"somebody else failed to": {func(_ *Expectation, v *Evidence) { v.Deployments[1].ID, v.Deployments[1].Status = 200, "failed" }, Proven, ""},
		"redeployment failed": {func(_ *Expectation, v *Evidence) {
			v.Deployments = append(v.Deployments, Deployment{ID: 300, Environment: "staging", Status: "failed", SHA: sha})
		}, Refuted, "a later deployment of it failed"},
		"other environment's": {func(_ *Expectation, v *Evidence) { v.Deployments[0].Environment = "production" }, Refuted, ""},

		// ECR.
		"ECR not asked":    {func(_ *Expectation, v *Evidence) { v.Images = nil }, Unproven, "ECR was not asked"},
		"ECR empty":        {func(_ *Expectation, v *Evidence) { v.Images = map[string]string{} }, Refuted, "holds no image"},
		"tag not in ECR":   {func(_ *Expectation, v *Evidence) { delete(v.Images, "main-1") }, Refuted, "not in ECR"},
		"platform's image": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Containers[0].RunningDigests[0] = "sha256:amd64" }, Proven, ""},
		"by digest": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Containers[0].Image = registry + "/g/p:gone@" + digest
		},
			Proven, ""},

		// Cluster.
		"cluster not asked": {func(_ *Expectation, v *Evidence) { v.ClusterAsked, v.Workloads = false, nil }, Unproven, "cluster was not asked"},
		"GitLab is enough": {func(e *Expectation, v *Evidence) { v.ClusterAsked, v.Workloads, e.AcceptGitLabOnly = false, nil, true },
			Proven, "on GitLab's word alone"},
		"GitLab is enough, but says no": {func(e *Expectation, v *Evidence) {
			v.ClusterAsked, v.Workloads, e.AcceptGitLabOnly = false, nil, true
			v.Deployments = v.Deployments[1:]
		}, Refuted, ""},
		"GitLab is enough, but the cluster knows better": {func(e *Expectation, v *Evidence) {
			e.AcceptGitLabOnly = true
			v.Workloads[0].Containers[0].RunningDigests[0] = stale
		}, Refuted, ""},
		"no workload":         {func(_ *Expectation, v *Evidence) { v.Workloads = nil }, Unproven, "no workload"},
		"runs something else": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Containers[0].RunningDigests[0] = stale }, Refuted, "runs sha256:bbbb"},
		"one old pod": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Containers[0].RunningDigests = []string{digest, stale}
		},
			Refuted, "runs sha256:bbbb"},
		"one old pod in a rollout": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Containers[0].RunningDigests = []string{digest, stale}
			v.Workloads[0].Complete = false
		}, Pending, ""},
		"rollout goes on": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Complete = false }, Pending, "rollout"},
		"rollout given up": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Complete, v.Workloads[0].Failed = false, "ProgressDeadlineExceeded"
		},
			Refuted, "ProgressDeadlineExceeded"},
		"no pods": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Containers[0].RunningDigests = nil }, Unproven, "no pod"},
		"old registry": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Containers[0].Image = "registry.uninett.no/g/p:1" },
			Refuted, "still names registry.uninett.no/g/p:1"},
		"old base": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Containers[1].Image = "artifactory.example.org/g/p-api:1"
		},
			Refuted, "artifactory"},
		"a name like the old base": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Containers[1].Image = "artifactory.example.org/g/party:1"
		},
			Proven, ""},
		"other repository in ECR": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Containers[0].Image = registry + "/g/p-api:main-1" },
			Unproven, "no workload of this environment names an image"},
		"old registry unnamed": {func(e *Expectation, _ *Evidence) { e.OldRegistry, e.OldBases = "", nil }, Unproven, "what the old registry is called"},
		"production still old": {func(_ *Expectation, v *Evidence) {
			v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "production", Environment: "production", Complete: true,
				Containers: []Container{{Image: "registry.uninett.no/g/p:1"}}})
		}, Proven, ""},
		"a stray from the old registry": {func(_ *Expectation, v *Evidence) {
			v.Workloads = append(v.Workloads, Workload{Kind: "CronJob", Name: "cleanup", Complete: true,
				Containers: []Container{{Image: "registry.uninett.no/g/p:1"}}})
		}, Unproven, "CronJob/cleanup"},
		"no label, but the name": {func(_ *Expectation, v *Evidence) { v.Workloads[0].Environment = "" }, Proven, ""},
		"no label, an older production": {func(_ *Expectation, v *Evidence) {
			v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "production", Complete: true,
				Containers: []Container{{Image: "registry.uninett.no/g/p:1"}}})
		}, Proven, ""},
		"no label, an old worker of ours": {func(_ *Expectation, v *Evidence) {
			v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "staging-worker", Complete: true,
				Containers: []Container{{Image: "registry.uninett.no/g/p:1"}}})
		}, Refuted, "Deployment/staging-worker"},
		"a CronJob that has not run": {func(_ *Expectation, v *Evidence) {
			v.Workloads = append(v.Workloads, Workload{Kind: "CronJob", Name: "nightly", Environment: "staging", Complete: true,
				Containers: []Container{{Image: registry + "/g/p:main-1"}}})
		}, Proven, ""},
		"only a CronJob that has not run": {func(_ *Expectation, v *Evidence) {
			v.Workloads[0].Kind = "CronJob"
			v.Workloads[0].Containers[0].RunningDigests = nil
		}, Unproven, "no pod of this environment has run the image yet"},

		// Address and policy.
		"address answers": {func(_ *Expectation, v *Evidence) {
			v.URLs = map[string]Answer{"staging": {URL: "https://x", Status: 401}}
		}, Proven, ""},
		"address broken": {func(_ *Expectation, v *Evidence) {
			v.URLs = map[string]Answer{"staging": {URL: "https://x", Status: 502}}
		}, Pending, "502"},
		"address silent": {func(_ *Expectation, v *Evidence) { v.URLs = map[string]Answer{"staging": {Error: "no route"}} }, Pending, "no route"},
		"address private": {func(_ *Expectation, v *Evidence) {
			v.URLs = map[string]Answer{"staging": {Error: "it leads to 10.0.0.1", Refused: true}}
		}, Proven, ""},
		"address private, the rest unknown": {func(_ *Expectation, v *Evidence) {
			v.URLs = map[string]Answer{"staging": {Error: "it leads to 10.0.0.1", Refused: true}}
			v.ClusterAsked = false
		}, Unproven, "cluster was not asked"},
		"no environment":  {func(e *Expectation, _ *Evidence) { e.Environments = nil }, Unproven, "no environment"},
		"deploys nothing": {func(e *Expectation, _ *Evidence) { e.Environments, e.DeploysNothing = nil, true }, Proven, "nothing deployed"},
		"deploys nothing and pushed nothing": {func(e *Expectation, v *Evidence) {
			e.Environments, e.DeploysNothing, v.Images = nil, true, map[string]string{}
		}, Refuted, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e, v := expectation("staging"), evidence("staging")
			test.change(&e, &v)
			got := Judge(e, v)
			if got.Outcome != test.want || !strings.Contains(got.Summary, test.words) {
				t.Errorf("%s: %s; want %s: …%s…", got.Outcome, got.Summary, test.want, test.words)
				for _, c := range got.Checks {
					t.Logf("  %-12s %-10s %-8s %s", c.Name, c.Environment, c.Result, c.Detail)
				}
			}
		})
	}
}

func TestTwoEnvironments(t *testing.T) {
	t.Parallel()
	e, v := expectation("staging", "production"), evidence("staging", "production")
	if got := Judge(e, v); got.Outcome != Proven || !strings.Contains(got.Summary, "staging and production") {
		t.Errorf("%s: %s", got.Outcome, got.Summary)
	}
	v.Workloads[1].Containers[0].Image = "registry.uninett.no/g/p:1"
	if got := Judge(e, v); got.Outcome != Refuted || !strings.Contains(got.Summary, "production: ") {
		t.Errorf("%s: %s", got.Outcome, got.Summary)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	for image, want := range map[string]string{
		"a/b:1":                "a/b 1",
		"a/b":                  "a/b latest",
		"localhost:5000/a/b":   "localhost:5000/a/b latest",
		"localhost:5000/a/b:1": "localhost:5000/a/b 1",
		"h/a@sha256:1":         "h/a sha256:1",
		"h:1/a:tag@sha256:1":   "h:1/a sha256:1",
		"":                     " latest",
	} {
		name, reference := cut(image)
		if got := name + " " + reference; got != want {
			t.Errorf("cut(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestHome(t *testing.T) {
	t.Parallel()
	e := Expectation{Environments: []string{"staging", "staging-2", "review/Fix_this", "Prod EU"}}
	for _, test := range []struct{ label, name, want string }{
		{"staging", "x", "staging"},
		{"production", "staging", "production"},
		{"review-fix-this-a1b2c3", "x", "review/Fix_this"},
		{"review/Fix_this", "x", "review/Fix_this"},
		{"elsewhere", "staging", "elsewhere"},
		{"", "staging", "staging"},
		{"", "staging-2", "staging-2"},
		{"", "staging-2-worker", "staging-2"},
		{"", "staging-worker", "staging"},
		{"", "web-production", "production"},
		{"", "prod-eu", "Prod EU"},
		{"", "review-fix-this-a1b2c3", "review/Fix_this"},
		{"", "redis", ""},
		{"", "stagingx", ""},
	} {
		if got := home(e, Evidence{}, Workload{Environment: test.label, Name: test.name}); got != test.want {
			t.Errorf("home of %q named %q = %q, want %q", test.label, test.name, got, test.want)
		}
	}
}

var rank = map[Outcome]int{Proven: 0, Unproven: 1, Pending: 2, Refuted: 3}

// negatives are findings that speak against the service; each may come on top
// of any evidence.
var negatives = map[string]func(*Evidence, string){
	"failed pipeline": func(v *Evidence, _ string) {
		if v.Pipeline != nil {
			v.Pipeline.Status = "failed"
		}
	},
	"wrong pipeline": func(v *Evidence, _ string) {
		if v.Pipeline != nil {
			v.Pipeline.SHA = other
		}
	},
	"failed child": func(v *Evidence, _ string) {
		if v.Pipeline != nil {
			v.Pipeline.Downstream = append(v.Pipeline.Downstream, Downstream{Job: "x", Status: "success", Pipeline: &Pipeline{ID: 99, Status: "failed"}})
		}
	},
	"failed redeployment": func(v *Evidence, environment string) {
		v.Deployments = append(v.Deployments, Deployment{ID: int64(1000 + len(v.Deployments)), Environment: environment, Status: "failed", SHA: sha})
	},
	"old workload": func(v *Evidence, environment string) {
		v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "old", Environment: environment, Complete: true,
			Containers: []Container{{Image: "registry.uninett.no/g/p:1", RunningDigests: []string{stale}}}})
	},
	"stray old workload": func(v *Evidence, _ string) {
		v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "stray", Complete: true,
			Containers: []Container{{Image: "registry.uninett.no/g/p:1"}}})
	},
	"unfinished workload": func(v *Evidence, environment string) {
		v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "slow", Environment: environment, Desired: 1,
			Containers: []Container{{Image: registry + "/g/p:main-1"}}})
	},
	"workload with a lost image": func(v *Evidence, environment string) {
		v.Workloads = append(v.Workloads, Workload{Kind: "Deployment", Name: "lost", Environment: environment, Complete: true,
			Containers: []Container{{Image: registry + "/g/p:lost", RunningDigests: []string{stale}}}})
	},
	"one more pod of another image": func(v *Evidence, environment string) {
		for i := range v.Workloads {
			if w := &v.Workloads[i]; w.Environment == environment && w.Complete && len(w.Containers[0].RunningDigests) > 0 {
				w.Containers[0].RunningDigests = append(w.Containers[0].RunningDigests, stale)
				return
			}
		}
	},
	"broken address": func(v *Evidence, environment string) {
		if v.URLs == nil {
			v.URLs = map[string]Answer{}
		}
		v.URLs[environment] = Answer{URL: "https://x", Error: "no answer"}
	},
}

// losses take away a piece without which nothing is proven.
var losses = map[string]func(*Evidence, string){
	"pipeline":        func(v *Evidence, _ string) { v.Pipeline = nil },
	"pipeline status": func(v *Evidence, _ string) { v.Pipeline.Status = "" },
	"pipeline sha":    func(v *Evidence, _ string) { v.Pipeline.SHA = "" },
	"deployments": func(v *Evidence, environment string) {
		v.Deployments = slices.DeleteFunc(v.Deployments, func(d Deployment) bool { return d.Environment == environment })
	},
	"our deployment": func(v *Evidence, environment string) {
		v.Deployments = slices.DeleteFunc(v.Deployments, func(d Deployment) bool { return d.Environment == environment && d.SHA == sha })
	},
	"success": func(v *Evidence, environment string) {
		for i := range v.Deployments {
			if v.Deployments[i].Environment == environment {
				v.Deployments[i].Status = "running"
			}
		}
	},
	"images": func(v *Evidence, _ string) { v.Images = nil },
	"tag":    func(v *Evidence, _ string) { delete(v.Images, "main-1") },
	"workloads": func(v *Evidence, environment string) {
		v.Workloads = slices.DeleteFunc(v.Workloads, func(w Workload) bool { return w.Environment == environment })
	},
	"pods": func(v *Evidence, environment string) {
		for i := range v.Workloads {
			if v.Workloads[i].Environment == environment {
				v.Workloads[i].Containers[0].RunningDigests = nil
			}
		}
	},
	"completeness": func(v *Evidence, environment string) {
		for i := range v.Workloads {
			if v.Workloads[i].Environment == environment {
				v.Workloads[i].Complete = false
			}
		}
	},
	"label and name": func(v *Evidence, environment string) {
		for i := range v.Workloads {
			if v.Workloads[i].Environment == environment {
				v.Workloads[i].Environment, v.Workloads[i].Name = "", "website"
			}
		}
	},
	"cluster": func(v *Evidence, _ string) { v.ClusterAsked, v.Workloads = false, nil },
}

func TestBadNewsNeverHelps(t *testing.T) {
	t.Parallel()
	names := keys(negatives)
	lost := append(keys(losses), "")
	rapid.Check(t, func(t *rapid.T) {
		environments := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"staging", "production", "review/x"}), 1, 3, rapid.ID[string]).Draw(t, "environments")
		e, v := expectation(environments...), evidence(environments...)
		e.AcceptGitLabOnly = rapid.Bool().Draw(t, "accept")
		where := func() string { return rapid.SampledFrom(environments).Draw(t, "environment") }
		if l := rapid.SampledFrom(lost).Draw(t, "loss"); l != "" {
			losses[l](&v, where())
		}
		before := Judge(e, v)
		for _, n := range rapid.SliceOfN(rapid.SampledFrom(names), 1, 5).Draw(t, "negatives") {
			negatives[n](&v, where())
			after := Judge(e, v)
			if rank[after.Outcome] < rank[before.Outcome] {
				t.Fatalf("%s improved the verdict from %s (%s) to %s (%s)", n, before.Outcome, before.Summary, after.Outcome, after.Summary)
			}
			before = after
		}
	})
}

func TestEveryPieceIsNeeded(t *testing.T) {
	t.Parallel()
	for _, name := range keys(losses) {
		for _, environment := range []string{"staging", "production"} {
			e, v := expectation("staging", "production"), evidence("staging", "production")
			losses[name](&v, environment)
			if got := Judge(e, v); got.Outcome == Proven {
				t.Errorf("proven without %s of %s: %s", name, environment, got.Summary)
			}
		}
	}
	for _, name := range keys(negatives) {
		e, v := expectation("staging", "production"), evidence("staging", "production")
		negatives[name](&v, "production")
		if got := Judge(e, v); got.Outcome == Proven {
			t.Errorf("proven despite a %s: %s", name, got.Summary)
		}
	}
}

// Whatever the evidence, a verdict can be read, and proven means that no check
// was left open.
func TestEveryVerdictCanBeRead(t *testing.T) {
	t.Parallel()
	// Words that mean something, so that the pieces sometimes fit together.
	word := rapid.SampledFrom([]string{
		"", "success", "failed", "running", "manual", "staging", "production", sha, other, digest, stale, "Deployment", "CronJob",
		registry, "g/p", registry + "/g/p:main-1", "registry.uninett.no", "registry.uninett.no/g/p", "main-1",
	})
	words := map[reflect.Kind]*rapid.Generator[any]{reflect.String: word.AsAny()}
	flat := rapid.Custom(func(t *rapid.T) *Pipeline {
		return &Pipeline{ID: rapid.Int64Range(0, 2).Draw(t, "id"), SHA: word.Draw(t, "sha"), Status: word.Draw(t, "status")}
	})
	tree := rapid.Custom(func(t *rapid.T) *Pipeline {
		if rapid.Bool().Draw(t, "none") {
			return nil
		}
		p := flat.Draw(t, "pipeline")
		if rapid.Bool().Draw(t, "child") {
			p.Downstream = []Downstream{{Status: word.Draw(t, "status"), AllowFailure: rapid.Bool().Draw(t, "allow"), Pipeline: flat.Draw(t, "child")}}
		}
		return p
	})
	config := rapid.MakeConfig{Kinds: words, Types: map[reflect.Type]*rapid.Generator[any]{reflect.TypeFor[*Pipeline](): tree.AsAny()}}
	expectations, evidences := rapid.MakeCustom[Expectation](config), rapid.MakeCustom[Evidence](config)
	rapid.Check(t, func(t *rapid.T) {
		e, v := expectations.Draw(t, "expectation"), evidences.Draw(t, "evidence")
		got := Judge(e, v)
		if got.Summary == "" || len(got.Checks) == 0 || rank[got.Outcome] == 0 && got.Outcome != Proven {
			t.Fatalf("%+v", got)
		}
		for _, c := range got.Checks {
			if c.Name == "" || c.Detail == "" && c.Result != Yes {
				t.Fatalf("a check without words: %+v", c)
			}
			if got.Outcome == Proven && c.Result != Yes && !c.Accepted {
				t.Fatalf("proven with an open check: %+v", c)
			}
		}
	})
}

func keys[V any](m map[string]V) []string {
	var all []string
	for k := range m {
		all = append(all, k)
	}
	slices.Sort(all)
	return all
}

func ExampleJudge() {
	v := Judge(
		Expectation{Registry: "ecr.example", Repository: "g/p", OldRegistry: "old.example", SHA: "9f3c2b1a", Environments: []string{"staging"}},
		Evidence{
			Pipeline:    &Pipeline{ID: 11, SHA: "9f3c2b1a", Status: "success"},
			Deployments: []Deployment{{ID: 1, Environment: "staging", Status: "success", SHA: "9f3c2b1a"}},
			Images:      map[string]string{"1": "sha256:aaaa"},
		},
	)
	fmt.Println(v.Outcome, "-", v.Summary)
	// Output: unproven - not proven: staging: the cluster was not asked which image runs
}
