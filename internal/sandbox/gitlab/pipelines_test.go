package gitlab

import (
	"net/http"
	"strings"
	"testing"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

func jobsIn(stages string) []*job {
	var out []*job
	for _, f := range strings.Fields(stages) {
		j := &job{Status: strings.TrimSuffix(f, "?")}
		j.Spec.AllowFailure = strings.HasSuffix(f, "?")
		out = append(out, j)
	}
	return out
}

func TestComposite(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		jobs  string // ? marks allow_failure
		needs bool
		want  string
	}{
		{"", false, ""},
		{"success success", false, "success"},
		{"success manual?", false, "success"},
		{"success manual", false, "manual"},
		{"success manual created", false, "manual"},
		{"manual? manual?", false, "skipped"},
		{"success failed?", false, "success"},
		{"success failed", false, "failed"},
		{"failed skipped", false, "failed"},
		{"created created", false, "created"},
		{"pending created", false, "pending"},
		{"success pending", false, "running"},
		{"running failed", false, "running"},
		{"success created", false, "running"},
		{"success canceled", false, "canceled"},
		{"failed canceled", false, "failed"},
		{"waiting_for_resource success", false, "waiting_for_resource"},
		{"success skipped", true, "skipped"},
		{"success manual?", true, "skipped"},
		{"success running", true, "pending"},
		{"success success", true, "success"},
	} {
		if got := composite(jobsIn(c.jobs), c.needs); got != c.want {
			t.Errorf("composite(%s, %v) = %s, want %s", c.jobs, c.needs, got, c.want)
		}
	}
}

const twoStages = `
stages: [build, deploy]
build:
  stage: build
  script: ["print building $CI_COMMIT_SHORT_SHA on $CI_COMMIT_BRANCH as $CI_PIPELINE_SOURCE", "dotenv TAG=v1", "artifact out.txt made"]
  artifacts: {paths: [out.txt], reports: {dotenv: env}}
staging:
  stage: deploy
  script: ["print deploying $TAG to $CI_ENVIRONMENT_SLUG of $CI_PROJECT_PATH", "cat out.txt", "cat app.txt"]
  environment: {name: staging, url: "https://$CI_ENVIRONMENT_SLUG.example.org"}
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH}]
production:
  stage: deploy
  script: ["print live"]
  environment: production
  rules: [{if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH, when: manual, allow_failure: true}]
`

func TestPushPipeline(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": twoStages, "app.txt": "content"}})
	b.equal(len(b.Pipelines("team/app")), 0)
	k, _, err := b.api.Commits.CreateCommit("team/app", &api.CreateCommitOptions{Branch: api.Ptr("main"), CommitMessage: api.Ptr("m"),
		Actions: []*api.CommitActionOptions{action1(api.FileUpdate, "app.txt", "changed")}})
	b.must(err)
	b.idle()
	list, _, err := b.api.Pipelines.ListProjectPipelines("team/app", &api.ListProjectPipelinesOptions{SHA: &k.ID, Ref: api.Ptr("main"), Source: api.Ptr("push")})
	b.must(err)
	b.equal(len(list), 1)
	v := b.newest("team/app")
	b.equal(states(v), "success: build=success staging=success production=manual")
	b.equal(v.Jobs[0].Log, "building "+k.ID[:8]+" on main as push\n")
	b.equal(v.Jobs[1].Log, "deploying v1 to staging of team/app\nmade\nchanged\n")

	p, _, err := b.api.Pipelines.GetPipeline("team/app", v.ID)
	b.must(err)
	b.equal([]any{p.Status, p.Source, p.SHA, p.IID, p.FinishedAt != nil}, []any{"success", "push", k.ID, 1, true})
	p, _, err = b.api.Pipelines.GetLatestPipeline("team/app", &api.GetLatestPipelineOptions{Ref: api.Ptr("main")})
	b.must(err)
	b.equal(p.ID, v.ID)
	jobs, _, err := b.api.Jobs.ListPipelineJobs("team/app", v.ID, &api.ListJobsOptions{Scope: &[]api.BuildStateValue{api.Manual}})
	b.must(err)
	b.equal(len(jobs), 1)
	b.equal(jobs[0].Name, "production")
	log, _, err := b.api.Jobs.GetTraceFile("team/app", v.Jobs[0].ID)
	b.must(err)
	text := make([]byte, 8)
	_, _ = log.Read(text)
	b.equal(string(text), "building")
}

func TestPushesWithoutAUsualPipeline(t *testing.T) {
	t.Parallel()
	const valid = "build: {script: [print x]}\n"
	for _, c := range []struct{ name, config, message, want string }{
		{"skip ci", valid, "x [skip ci]", "skipped:"},
		{"CI_SKIP", valid, "x [CI-SKIP]", "skipped:"},
		{"not quite", valid, "x skip ci", "success: build=success"},
		{"bad yaml", "build: {stage: nowhere, script: [x]}\n", "x", "failed:"},
		{"filtered", "build: {script: [x], rules: [{when: never}]}\n", "x", ""},
		{"no config", "", "x", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := serve(t)
			b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1"}})
			_, err := b.PushFiles("team/app", "", c.message, map[string]string{"a": "2", ".gitlab-ci.yml": c.config})
			b.must(err)
			b.idle()
			all := b.Pipelines("team/app")
			if c.want == "" {
				b.equal(len(all), 0)
				return
			}
			b.equal(states(all[0]), c.want)
			b.equal(all[0].YAMLErrors != "", c.name == "bad yaml")
			_, _, err = b.api.Pipelines.GetPipeline("team/app", all[0].ID)
			b.must(err)
		})
	}
}

func TestCreatePipeline(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.AddToken("glpat-dev", "dev", Developer)
	b.AddToken("glpat-reporter", "reporter", Reporter)
	config := map[string]string{".gitlab-ci.yml": "build: {script: ['print $GIVEN $CI_PIPELINE_SOURCE']}\n"}
	b.seed(Seed{Path: "team/app", Files: config})
	b.seed(Seed{Path: "team/strict", Files: config, VariablesMinimumRole: "no_one_allowed"})
	b.seed(Seed{Path: "team/none"})
	b.seed(Seed{Path: "team/off", Files: config, CIDisabled: true})
	b.seed(Seed{Path: "team/filtered", Files: map[string]string{".gitlab-ci.yml": "build: {script: [x], rules: [{if: '$CI_PIPELINE_SOURCE == \"push\"'}]}\n"}})
	b.seed(Seed{Path: "team/bad", Files: map[string]string{".gitlab-ci.yml": "build: {}\n"}})
	given := &[]*api.PipelineVariableOptions{{Key: api.Ptr("GIVEN"), Value: api.Ptr("hello")}}
	for name, c := range map[string]struct {
		token, path, ref string
		variables        *[]*api.PipelineVariableOptions
		status           int
		text             string
	}{
		"no config":    {BotToken, "team/none", "main", nil, 400, `{"message":{"base":["Missing CI config file"]}}`},
		"disabled":     {BotToken, "team/off", "main", nil, 403, "403 Forbidden"},
		"filtered":     {BotToken, "team/filtered", "main", nil, 400, `{"message":{"base":["Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the pipeline."]}}`},
		"no ref":       {BotToken, "team/app", "none", nil, 400, `"Reference not found"`},
		"bad":          {BotToken, "team/bad", "main", nil, 400, `jobs build config should implement`},
		"variables":    {BotToken, "team/strict", "main", given, 400, `"Insufficient permissions to set pipeline variables"`},
		"protected":    {"glpat-dev", "team/app", "main", nil, 400, `You do not have sufficient permission to run a pipeline on 'main'`},
		"reporter":     {"glpat-reporter", "team/app", "main", nil, 403, `403 Forbidden`},
		"ref is empty": {BotToken, "team/app", "", nil, 400, "ref is empty"},
	} {
		_, _, err := client(t, b.Server, c.token).Pipelines.CreatePipeline(c.path, &api.CreatePipelineOptions{Ref: &c.ref, Variables: c.variables})
		t.Run(name, func(t *testing.T) { (&bench{T: t}).refused(err, c.status, c.text) })
	}
	b.equal(len(b.Pipelines("team/bad")), 0)
	b.equal(b.Writes()["pipelines"], 0)

	p, answer, err := b.api.Pipelines.CreatePipeline("team/app", &api.CreatePipelineOptions{Ref: api.Ptr("main"), Variables: given})
	b.must(err)
	b.equal([]any{answer.StatusCode, p.Source}, []any{201, "api"})
	b.idle()
	b.equal(b.newest("team/app").Jobs[0].Log, "hello api\n")
	vars, _, err := b.api.Pipelines.GetPipelineVariables("team/app", p.ID)
	b.must(err)
	b.equal(vars[0].Value, "hello")
	b.equal(b.Writes()["pipelines"], 1)
	_, err = b.PushFiles("team/app", "", "newer", map[string]string{"a": "b"})
	b.must(err)
	b.idle()
	latest, _, err := b.api.Pipelines.GetLatestPipeline("team/app", nil)
	b.must(err)
	b.equal(latest.Source, "push")
	_, _, err = b.api.Pipelines.GetLatestPipeline("team/none", nil)
	b.refused(err, http.StatusForbidden, "403")
}

func TestJobOrder(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, config, want string }{
		{"a failure stops later stages", "stages: [a, b]\na: {stage: a, script: [fail script_failure]}\nb: {stage: b, script: [x]}\nc: {stage: b, script: [x], when: on_failure}\nd: {stage: b, script: [x], when: always}\n",
			"failed: a=failed b=skipped c=success d=success"},
		{"a failure that may be", "stages: [a, b]\na: {stage: a, script: [fail script_failure], allow_failure: true}\nb: {stage: b, script: [x]}\n", "success: a=failed b=success"},
		{"blocking manual", "stages: [a, b]\na: {stage: a, script: [x], rules: [{when: manual}]}\nb: {stage: b, script: [x]}\n", "manual: a=manual b=created"},
		{"optional manual", "stages: [a, b]\na: {stage: a, script: [x], when: manual}\nb: {stage: b, script: [x]}\n", "success: a=manual b=success"},
		{"needs passes stages", "stages: [a, b]\na: {stage: a, script: [fail script_failure]}\na2: {stage: a, script: [x]}\nb: {stage: b, needs: [a2], script: [x]}\nb2: {stage: b, needs: [a], script: [x]}\n",
			"failed: a=failed a2=success b=success b2=skipped"},
		{"no runner", "a: {script: [x], tags: [windows]}\n", "pending: a=pending"},
		{"exit codes", "a: {script: [fail script_failure], allow_failure: {exit_codes: [1]}}\n", "success: a=failed"},
		{"retry", "a: {script: [fail runner_system_failure], retry: 1}\n", "failed: a=failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			b := serve(t)
			b.seed(Seed{Path: "team/app"})
			v := b.push("team/app", map[string]string{".gitlab-ci.yml": c.config})
			b.equal(states(v), c.want)
			if c.name == "retry" {
				b.equal(len(v.Jobs), 2)
			}
		})
	}
}

func TestPlayAndRetry(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	v := b.push("team/app", map[string]string{".gitlab-ci.yml": "stages: [a, b, c]\na: {stage: a, script: [x]}\nb: {stage: b, script: [x], rules: [{when: manual}]}\nc: {stage: c, script: [x]}\n"})
	b.equal(states(v), "manual: a=success b=manual c=created")
	_, _, err := b.api.Jobs.PlayJob("team/app", v.Jobs[0].ID, nil)
	b.refused(err, 400, "Unplayable Job")
	_, _, err = b.api.Jobs.RetryJob("team/app", v.Jobs[1].ID, nil)
	b.refused(err, 403, "Job is not retryable")
	_, answer, err := b.api.Jobs.PlayJob("team/app", v.Jobs[1].ID, nil)
	b.must(err)
	b.equal(answer.StatusCode, 200)
	b.idle()
	b.equal(states(b.newest("team/app")), "success: a=success b=success c=success")

	again, _, err := b.api.Jobs.PlayJob("team/app", v.Jobs[1].ID, nil) // playing a finished job runs it once more
	b.must(err)
	if again.ID == v.Jobs[1].ID {
		t.Error("the finished job itself was run again")
	}
	b.idle()
	b.equal(b.Writes()["plays"], 2)
	jobs, _, err := b.api.Jobs.ListPipelineJobs("team/app", v.ID, nil)
	b.must(err)
	b.equal(len(jobs), 3)
	jobs, _, err = b.api.Jobs.ListPipelineJobs("team/app", v.ID, &api.ListJobsOptions{IncludeRetried: api.Ptr(true)})
	b.must(err)
	b.equal(len(jobs), 4)
	_, _, err = b.api.Jobs.RetryJob("team/app", v.Jobs[1].ID, nil)
	b.refused(err, 403, "")
}

func TestRetryRevivesWhatWasSkipped(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.toy.failOnce = "a"
	b.seed(Seed{Path: "team/app"})
	v := b.push("team/app", map[string]string{".gitlab-ci.yml": `
stages: [a, b]
a: {stage: a, script: [print x]}
b: {stage: b, script: [print x]}
c: {stage: b, needs: [b], script: [print x]}
`})
	b.equal(states(v), "failed: a=failed b=skipped c=skipped")
	n, answer, err := b.api.Jobs.RetryJob("team/app", v.Jobs[0].ID, nil)
	b.must(err)
	b.equal([]any{answer.StatusCode, n.Name}, []any{201, "a"})
	b.idle()
	b.equal(states(b.newest("team/app")), "success: b=success c=success a=success")
}

func TestCancel(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	_, err := b.PushFiles("team/app", "", "x", map[string]string{".gitlab-ci.yml": "stages: [a, b]\na: {stage: a, script: [wait for-ever]}\nb: {stage: b, script: [x]}\n"})
	b.must(err)
	b.until("a runs", func() bool { return b.toy.order() == "a" })
	v := b.newest("team/app")
	p, _, err := b.api.Pipelines.CancelPipelineBuild("team/app", v.ID)
	b.must(err)
	b.equal(p.Status, "canceled")
	b.idle()
	b.equal(states(b.newest("team/app")), "canceled: a=canceled b=canceled")
	b.toy.open("for-ever")
	p, _, err = b.api.Pipelines.RetryPipelineBuild("team/app", v.ID)
	b.must(err)
	b.idle()
	b.equal(states(b.newest("team/app")), "success: a=success b=success")
	b.equal(b.Writes()["retries"], 1)
	_ = p
}

func TestRunnersAndResourceGroups(t *testing.T) {
	t.Parallel()
	b := serve(t, func(o *Options) { o.Runners = 2 })
	b.seed(Seed{Path: "team/app"})
	_, err := b.PushFiles("team/app", "", "x", map[string]string{".gitlab-ci.yml": `
a: {script: [wait a], resource_group: one}
b: {script: [print x], resource_group: one}
c: {script: [wait c]}
d: {script: [print x]}
`})
	b.must(err)
	b.until("two run", func() bool { return len(b.toy.order()) == 3 })
	b.equal(states(b.newest("team/app")), "running: a=running b=waiting_for_resource c=running d=pending")
	b.toy.open("a")
	b.until("the others end", func() bool {
		return states(b.newest("team/app")) == "running: a=success b=success c=running d=success"
	})
	b.toy.open("c")
	b.idle()
	b.equal(b.newest("team/app").Status, "success")
}
