package gitlab

import (
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

func TestBridges(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/lib", Files: map[string]string{".gitlab-ci.yml": "lib: {script: ['print $FROM $CI_PIPELINE_SOURCE', fail script_failure]}\n"}})
	b.seed(Seed{Path: "team/app", Files: map[string]string{"child.yml": "inner: {script: ['print $FROM $CI_PIPELINE_SOURCE']}\n"}})
	b.push("team/app", map[string]string{".gitlab-ci.yml": `
stages: [a, b]
child: {stage: a, variables: {FROM: $CI_PROJECT_NAME}, trigger: {include: child.yml, strategy: depend}}
loose: {stage: a, trigger: {project: team/lib, branch: main}}
other: {stage: a, allow_failure: true, trigger: {project: team/lib, strategy: depend}}
none: {stage: a, allow_failure: true, trigger: team/none}
last: {stage: b, script: [print x]}
`})
	v := b.Pipelines("team/app")[0]
	b.equal(states(v), "success: child=success loose=success other=failed none=failed last=success")
	b.equal(v.Jobs[3].FailureReason, "downstream_bridge_project_not_found")
	b.equal(v.Jobs[2].FailureReason, "downstream_pipeline_failed")
	child := b.newest("team/app")
	b.equal([]any{child.Source, child.Jobs[0].Log}, []any{"parent_pipeline", "app parent_pipeline\n"})
	list, _, err := b.api.Pipelines.ListProjectPipelines("team/app", nil)
	b.must(err)
	b.equal(len(list), 1) // children are not listed
	bridges, _, err := b.api.Jobs.ListPipelineBridges("team/app", v.ID, nil)
	b.must(err)
	b.equal(len(bridges), 4)
	for _, x := range bridges {
		if x.Name == "child" {
			b.equal([]any{x.DownstreamPipeline.ID, x.DownstreamPipeline.Status}, []any{child.ID, "success"})
		}
	}
	jobs, _, err := b.api.Jobs.ListPipelineJobs("team/app", v.ID, nil)
	b.must(err)
	b.equal(len(jobs), 1)
}

func TestDeployments(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": twoStages}})
	first := b.push("team/app", map[string]string{"app.txt": "1"})
	second := b.push("team/app", map[string]string{"app.txt": "2"})
	list := func(o api.ListProjectDeploymentsOptions) (out []string) {
		all, _, err := b.api.Deployments.ListProjectDeployments("team/app", &o)
		b.must(err)
		for _, d := range all {
			out = append(out, d.Environment.Name+" "+d.Status+" "+map[int64]string{first.ID: "1", second.ID: "2"}[d.Deployable.Pipeline.ID])
		}
		return out
	}
	b.equal(list(api.ListProjectDeploymentsOptions{}), []string{"staging success 1", "production created 1", "staging success 2", "production created 2"})
	b.equal(list(api.ListProjectDeploymentsOptions{Environment: api.Ptr("staging"), Status: api.Ptr("success"), OrderBy: api.Ptr("id"), Sort: api.Ptr("desc")}), []string{"staging success 2", "staging success 1"})
	_, _, err := b.api.Deployments.ListProjectDeployments("team/app", &api.ListProjectDeploymentsOptions{UpdatedAfter: api.Ptr(time.Unix(0, 0))})
	b.refused(err, 400, "`updated_at` filter requires `updated_at` sort")

	envs, _, err := b.api.Environments.ListEnvironments("team/app", &api.ListEnvironmentsOptions{Name: api.Ptr("staging")})
	b.must(err)
	b.equal([]any{len(envs), envs[0].LastDeployment == nil, envs[0].ExternalURL, envs[0].Tier}, []any{1, true, "https://staging.example.org", "staging"})
	env, _, err := b.api.Environments.GetEnvironment("team/app", envs[0].ID)
	b.must(err)
	b.equal([]any{env.LastDeployment.SHA, env.LastDeployment.Deployable.Pipeline.ID}, []any{second.SHA, second.ID})
	d, _, err := b.api.Deployments.GetProjectDeployment("team/app", env.LastDeployment.ID)
	b.must(err)
	b.equal(d.Status, "success")

	b.must(b.Play("team/app", "production")) // of the newer pipeline
	b.idle()
	_, _, err = b.api.Jobs.PlayJob("team/app", first.Jobs[2].ID, nil)
	b.must(err)
	b.idle()
	old := b.Pipelines("team/app")[0]
	b.equal([]any{old.Jobs[2].Status, old.Jobs[2].FailureReason}, []any{"failed", "failed_outdated_deployment_job"})
	v, _ := b.Project("team/app")
	b.equal([]any{v.Environments[1].Name, v.Environments[1].PipelineID}, []any{"production", second.ID})
}

func TestStopEnvironment(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	_, err := b.PushFiles("team/app", "Feature/Æ_1", "x", map[string]string{".gitlab-ci.yml": `
review: {script: ["print $CI_COMMIT_REF_SLUG"], environment: {name: review/$CI_COMMIT_REF_NAME, on_stop: stop}}
stop: {script: [print x], when: manual, environment: {name: review/$CI_COMMIT_REF_NAME, action: stop}}
`})
	b.must(err)
	b.idle()
	b.equal(b.newest("team/app").Jobs[0].Log, "feature---1\n")
	state := func() any { v, _ := b.Project("team/app"); return v.Environments[0] }
	b.equal(state().(EnvironmentView).State, "available")
	b.must(b.Play("team/app", "stop"))
	b.idle()
	b.equal(state().(EnvironmentView).State, "stopped")
	v, _ := b.Project("team/app")
	b.equal(v.Environments[0].Name, "review/Feature/Æ_1")
}

func TestVariablesReachJobs(t *testing.T) {
	t.Parallel()
	b := serve(t, func(o *Options) {
		o.Instance = func(p ci.Project) []ci.Variable {
			return []ci.Variable{{Key: "CI_REGISTRY", Value: "old/" + p.Path}, {Key: "CI_REGISTRY_IMAGE", Value: "instance"}}
		}
	})
	b.seed(Seed{Path: "team/app", Variables: []ci.Variable{
		{Key: "CI_REGISTRY_IMAGE", Value: "ecr"}, {Key: "SECRET", Value: "s3cret", Protected: true},
		{Key: "WHERE", Value: "anywhere"}, {Key: "WHERE", Value: "at-staging", EnvironmentScope: "staging"}, {Key: "WHERE", Value: "at-review", EnvironmentScope: "review/*"},
	}})
	config := map[string]string{".gitlab-ci.yml": `
a: {script: ["print $CI_REGISTRY $CI_REGISTRY_IMAGE $SECRET. $WHERE"]}
b: {script: ["print $WHERE"], environment: staging}
c: {script: ["print $WHERE"], environment: review/x}
`}
	v := b.push("team/app", config)
	b.equal(v.Jobs[0].Log+v.Jobs[1].Log+v.Jobs[2].Log, "old/team/app ecr s3cret. anywhere\nat-staging\nat-review\n")
	_, err := b.PushFiles("team/app", "work", "x", map[string]string{"b": "c"})
	b.must(err)
	b.idle()
	b.equal(b.newest("team/app").Jobs[0].Log, "old/team/app ecr . anywhere\n")
}
