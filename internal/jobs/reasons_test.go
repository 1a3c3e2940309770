package jobs_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestReasons gives each way in which a pipeline can fail to come, or to show
// what became of it, a project of its own.
func TestReasons(t *testing.T) {
	t.Parallel()
	b := newBench(t, "one-image")
	const (
		off        = "grunn/av"          // CI/CD switched off while the migration runs
		forbidden  = "grunn/variabler"   // variables forbidden, as GitLab says it
		refused    = "grunn/uten-rett"   // pipelines of the branch forbidden to us
		downstream = "grunn/nedstroms"   // another project's pipeline fails behind a green one
		hidden     = "grunn/skjult"      // another project's pipeline that we may not see
		hiddenRed  = "grunn/skjult-feil" // the same, and GitLab tells that it failed
		depends    = "grunn/avhengig"    // another project's pipeline that passes
		closed     = "grunn/lukket"      // nobody may set variables of a pipeline: we set none
		barred     = "grunn/sperret"     // nobody may push to the branch, nor merge into it
	)
	trigger := func(project string) func(*samples.Sample) {
		return ciFile(more("other:\n  stage: test\n  trigger: {project: " + project + "}\n"))
	}
	fails, passes := "broken:\n  image: alpine:3.22\n  script: [test -f there-is-no-such-file]\n", "fine:\n  image: alpine:3.22\n  script: [\"true\"]\n"
	for path, ci := range map[string]string{"felles/feiler": fails, "felles/skjult": passes, "felles/skjult-feil": fails, "felles/gaar": passes} {
		_, err := b.world.GitLab.AddProject(gitlab.Seed{Path: path, Files: map[string]string{".gitlab-ci.yml": ci}})
		b.must(err)
	}
	ids := map[int64]string{}
	for path, alter := range map[string]func(*samples.Sample){
		off: nil, forbidden: nil, refused: nil,
		downstream: trigger("felles/feiler"), hidden: trigger("felles/skjult"), hiddenRed: trigger("felles/skjult-feil"), depends: trigger("felles/gaar"),
	} {
		ids[b.variant("one-image", path, func(s *samples.Sample) {
			if s.Pipeline = new(bool); alter != nil {
				alter(s)
			}
		})] = path
	}
	answers := map[string]string{
		forbidden: `{"message":{"base":["Insufficient permissions to set pipeline variables"]}}`,
		refused:   `{"message":{"base":["You do not have sufficient permission to run a pipeline on 'main'. Please select a different branch or contact your administrator for assistance."]}}`,
	}
	for id, path := range ids {
		if body, ok := answers[path]; ok {
			answers[fmt.Sprintf("/api/v4/projects/%d/pipeline", id)] = body
		}
	}
	b.world.GitLab.Inject(func(r *http.Request) (int, string, bool) {
		body, ok := answers[r.URL.Path]
		return http.StatusBadRequest, body, ok && r.Method == http.MethodPost
	})
	// Their files need no change, so their pipelines have to be asked for.
	for path, seed := range map[string]gitlab.Seed{
		closed: {VariablesMinimumRole: "no_one_allowed"},
		barred: {ProtectedBranches: []gitlab.ProtectedBranch{{Name: "main", Push: gitlab.NoAccess, Merge: gitlab.NoAccess}}},
	} {
		seed.Path, seed.Files = path, sampleFiles(b, "one-image")
		_, err := b.world.GitLab.AddProject(seed)
		b.must(err)
	}
	unseen := map[string]string{hidden: "felles/skjult", hiddenRed: "felles/skjult-feil"}
	b.start(func(o *jobs.Options) {
		o.Crash = func(step store.StepName, m store.Migration) bool {
			path := ids[m.ProjectID]
			if step == store.StepRewrite && path == off {
				if err := b.world.GitLab.SwitchCI(path, false); err != nil {
					t.Error(err)
				}
			}
			if other, ok := unseen[path]; ok && step == store.StepRewrite {
				// Its pipeline is triggered by one of the owners, and not shown to us.
				b.world.GitLab.SetRole("ecrferry", other, gitlab.NoAccess)
				b.push(path, "Go on", func(ci string) string { return "# more\n" + ci })
			}
			return false
		}
	})
	b.all(false)
	for path, want := range map[string]struct{ state, reason, says string }{
		off:        {"attention", "ci-disabled", "switch CI/CD on"},
		forbidden:  {"attention", "variables-forbidden", "set pipeline variables"},
		refused:    {"attention", "pipeline-not-allowed", "run pipelines on main"},
		downstream: {"attention", "script-failure", "correct the job"},
		hidden:     {"attention", "downstream-unknown", "give the account access"},
		hiddenRed:  {"attention", "downstream-failed", "look at the pipelines"},
		depends:    {"done", "", ""},
		closed:     {"done", "", ""},
		barred:     {"attention", "pipeline-not-allowed", "run pipelines on main"},
	} {
		r := b.status(path)
		if string(r.State) != want.state || r.Reason != want.reason || !strings.Contains(r.Next, want.says) {
			t.Errorf("%s: %s %q: %s; next %s; want %s %q with %q", path, r.State, r.Reason, r.Why, r.Next, want.state, want.reason, want.says)
			story(b, r)
		}
	}
	if n := len(b.world.GitLab.Pipelines(barred)); n != 0 {
		t.Errorf("%s: %d pipelines where nobody may run one", barred, n)
	}
}

// TestAddresses asks the environments' own addresses: one answers at last, one
// leads to where the worker does not go, and ECR's record of pulls is a hint.
func TestAddresses(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	var asked atomic.Int32
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.Header.Get("X-Request-Id")) < 20 {
			t.Error("the question carries no id")
		}
		if asked.Add(1) < 3 {
			w.WriteHeader(http.StatusBadGateway) // it has just been deployed
		}
	}))
	t.Cleanup(service.Close)
	const answers, credentials = "adresse/svarer", "adresse/metadata"
	for path, address := range map[string]string{answers: service.URL + "/helse", credentials: "http://169.254.169.254/latest/"} {
		b.variant("one-image", path, ciFile(func(ci string) string {
			return strings.Replace(ci, "  extends: .staging\n", "  extends: .staging\n  environment: {name: staging, url: \""+address+"\"}\n", 1)
		}))
	}
	b.config.CheckURLs = "any"
	b.start(nil)
	b.all(false)
	for path, want := range map[string]struct {
		result store.Answer
		detail string
	}{
		answers:     {store.Yes, "status 200"},
		credentials: {store.Unknown, "where machines keep their credentials"},
	} {
		r := b.status(path)
		if r.State != store.StateDone {
			t.Errorf("%s: %s %q: %s", path, r.State, r.Reason, r.Why)
			story(b, r)
		}
		rows, err := b.store.Evidence(t.Context(), r.MigrationID)
		b.must(err)
		found := map[string]store.Evidence{}
		for _, e := range rows {
			found[e.Name] = e
		}
		if e := found["url"]; e.Result != want.result || !strings.Contains(e.Detail, want.detail) {
			t.Errorf("%s: the address: %+v; want %s with %q", path, e, want.result, want.detail)
		}
		if e := found["ecr-pull"]; e.Result != store.Yes || !strings.Contains(e.Detail, "hint") {
			t.Errorf("%s: the pull: %+v; want yes, as a hint", path, e)
		}
	}
	if asked.Load() < 3 {
		t.Errorf("the address was asked %d times, want until it answers", asked.Load())
	}
}

// TestMovedByHalf moves a project whose owners set the variables for the new
// path themselves: GitLab and ECR agree, and only AWS knows better. Its refusal
// leads to Update configuration; where the worker may not run that, it asks.
func TestMovedByHalf(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	const former, path = "gammel/tavle", "ny/tavle"
	id := b.variant("one-image", former, func(s *samples.Sample) { s.Configured, s.Pipeline = true, new(bool) })
	b.must(b.world.GitLab.Transfer(former, path))
	_, err := b.world.ECR.CreateRepository(path)
	b.must(err)
	view, _ := b.world.GitLab.Project(path)
	for _, v := range view.Variables {
		if v.Key == "CI_REGISTRY_IMAGE" {
			v.Value = b.world.ECR.Registry + "/" + path
			b.must(b.world.GitLab.SetVariable(path, v))
		}
	}
	var mu sync.Mutex
	configure := "check"
	stop := b.start(func(o *jobs.Options) { o.Settings.Configure = configure })
	b.all(false)
	if r := b.status(path); r.Reason != "project-moved" || r.ProjectID != id {
		t.Fatalf("%s: %s %q: %s, want AWS to refuse it", path, r.State, r.Reason, r.Why)
	}
	again := func() store.Status {
		_, err := b.enqueuer.Failed(t.Context(), b.order(), b.project(path), "")
		b.must(err)
		b.settle()
		return b.status(path)
	}
	before := b.world.Writes()
	if r := again(); r.Reason != "update-configuration" || !strings.Contains(r.Why, "by another path") || !strings.Contains(r.Next, "console") {
		t.Errorf("where it may only check: %s %q: %s; next %s; want it to ask for Update configuration", r.State, r.Reason, r.Why, r.Next)
	}
	if d := sandbox.Difference(before, b.world.Writes()); len(d) > 0 {
		t.Errorf("asking changed the world: %v", d)
	}
	stop()
	mu.Lock()
	configure = "console"
	mu.Unlock()
	// Somebody else's refusal stands between: the order is given anew.
	_, err = b.enqueuer.Failed(t.Context(), b.order(), b.project(path), store.StepPipeline)
	b.must(err)
	b.start(nil)
	b.settle()
	if r := b.status(path); r.Reason != "project-moved" {
		t.Fatalf("%s: %s %q: %s, want AWS to refuse it once more", path, r.State, r.Reason, r.Why)
	}
	if r := again(); r.State != store.StateDone || b.events(path, "update-configuration") != 1 {
		t.Errorf("where it may: %s %q: %s; %d updates, want done after one", r.State, r.Reason, r.Why, b.events(path, "update-configuration"))
		story(b, r)
	}
}
