package gitlab

import (
	"fmt"
	"net/http"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// everything calls every endpoint once with a good answer.
func (b *bench) everything() {
	b.seed(Seed{Path: "team/lib", Files: map[string]string{".gitlab-ci.yml": "lib: {script: [print x]}\n"}})
	id := b.seed(Seed{Path: "team/app", Topics: []string{"go"}, Files: map[string]string{"README.md": "x", "src/a.go": "a", ".gitlab-ci.yml": twoStages + "\nother: {stage: build, trigger: {project: team/lib}}\n"}})
	ok := func(_ any, _ *api.Response, err error) { b.Helper(); b.must(err) }
	done := func(_ *api.Response, err error) { b.Helper(); b.must(err) }
	ref := api.Ptr("main")
	get := func(path string) {
		b.Helper()
		r, err := b.api.NewRequest(http.MethodGet, path, nil, nil)
		b.must(err)
		done(b.api.Do(r, nil))
	}

	u, r, err := b.api.Users.CurrentUser()
	ok(u, r, err)
	v, r, err := b.api.Version.GetVersion()
	ok(v, r, err)
	m, r, err := b.api.Metadata.GetMetadata()
	ok(m, r, err)
	k, r, err := b.api.PersonalAccessTokens.GetSinglePersonalAccessToken()
	ok(k, r, err)
	all, r, err := b.api.Projects.ListProjects(&api.ListProjectsOptions{ListOptions: api.ListOptions{Pagination: "keyset", OrderBy: "id", Sort: "asc", PerPage: 100}, Archived: api.Ptr(false)})
	ok(all, r, err)
	all, r, err = b.api.Projects.ListProjects(&api.ListProjectsOptions{Simple: api.Ptr(true)})
	ok(all, r, err)
	p, r, err := b.api.Projects.GetProject("team/app", nil)
	ok(p, r, err)

	members, r, err := b.api.ProjectMembers.ListAllProjectMembers(id, nil)
	ok(members, r, err)

	i, r, err := b.api.Issues.CreateIssue(id, &api.CreateIssueOptions{Title: api.Ptr("One"), Description: api.Ptr("the mark")})
	ok(i, r, err)
	i, r, err = b.api.Issues.UpdateIssue(id, i.IID, &api.UpdateIssueOptions{StateEvent: api.Ptr("close")})
	ok(i, r, err)
	issues, r, err := b.api.Issues.ListProjectIssues(id, &api.ListProjectIssuesOptions{Search: api.Ptr("mark"), In: api.Ptr("description")})
	ok(issues, r, err)
	if len(issues) != 1 || issues[0].State != "closed" {
		b.Errorf("issues: %+v", issues)
	}

	tree, r, err := b.api.Repositories.ListTree("team/app", &api.ListTreeOptions{Recursive: api.Ptr(true), Ref: ref})
	ok(tree, r, err)
	file, r, err := b.api.RepositoryFiles.GetFile(id, "src/a.go", &api.GetFileOptions{Ref: ref})
	ok(file, r, err)
	file, r, err = b.api.RepositoryFiles.GetFileMetaData(id, "src/a.go", &api.GetFileMetaDataOptions{Ref: ref})
	ok(file, r, err)
	text, r, err := b.api.RepositoryFiles.GetRawFile(id, "src/a.go", &api.GetRawFileOptions{Ref: ref})
	ok(text, r, err)
	blob, r, err := b.api.Repositories.Blob(id, file.BlobID)
	ok(blob, r, err)
	blob, r, err = b.api.Repositories.RawBlobContent(id, file.BlobID)
	ok(blob, r, err)

	change := func(branch, content string) *api.Commit {
		a := action1(api.FileUpdate, "src/a.go", content)
		c, r, err := b.api.Commits.CreateCommit(id, &api.CreateCommitOptions{Branch: &branch, StartBranch: ref, CommitMessage: api.Ptr("Change\n\nBy: me"), Actions: []*api.CommitActionOptions{a}})
		ok(c, r, err)
		b.idle()
		return c
	}
	made := change("work", "b")
	commits, r, err := b.api.Commits.ListCommits(id, &api.ListCommitsOptions{RefName: ref})
	ok(commits, r, err)
	made, r, err = b.api.Commits.GetCommit(id, made.ID, nil)
	ok(made, r, err)
	diff, r, err := b.api.Commits.GetCommitDiff(id, made.ID, nil)
	ok(diff, r, err)
	refs, r, err := b.api.Commits.GetCommitRefs(id, made.ID, nil)
	ok(refs, r, err)
	compared, r, err := b.api.Repositories.Compare(id, &api.CompareOptions{From: ref, To: api.Ptr("work")})
	ok(compared, r, err)
	base, r, err := b.api.Repositories.MergeBase(id, &api.MergeBaseOptions{Ref: &[]string{"main", "work"}})
	ok(base, r, err)

	branch, r, err := b.api.Branches.CreateBranch(id, &api.CreateBranchOptions{Branch: api.Ptr("gone"), Ref: ref})
	ok(branch, r, err)
	branch, r, err = b.api.Branches.GetBranch(id, "gone")
	ok(branch, r, err)
	branches, r, err := b.api.Branches.ListBranches(id, nil)
	ok(branches, r, err)
	done(b.api.Branches.DeleteBranch(id, "gone"))
	b.must(b.AddTag("team/app", "v1", "main"))
	tags, r, err := b.api.Tags.ListTags(id, nil)
	ok(tags, r, err)
	rules, r, err := b.api.ProtectedBranches.ListProtectedBranches(id, nil)
	ok(rules, r, err)
	rule, r, err := b.api.ProtectedBranches.GetProtectedBranch(id, "main")
	ok(rule, r, err)

	mr := b.open("work")
	mrs, r, err := b.api.MergeRequests.ListProjectMergeRequests(id, &api.ListProjectMergeRequestsOptions{State: api.Ptr("opened")})
	ok(mrs, r, err)
	mr, r, err = b.api.MergeRequests.UpdateMergeRequest(id, mr.IID, &api.UpdateMergeRequestOptions{Description: api.Ptr("x")})
	ok(mr, r, err)
	get(fmt.Sprintf("projects/%d/merge_requests/1/commits", id))
	get(fmt.Sprintf("projects/%d/merge_requests/1/changes", id))
	get(fmt.Sprintf("projects/%d/merge_requests/1/diffs", id))
	get(fmt.Sprintf("projects/%d/merge_requests/1/pipelines", id))
	note, r, err := b.api.Notes.CreateMergeRequestNote(id, 1, &api.CreateMergeRequestNoteOptions{Body: api.Ptr("x")})
	ok(note, r, err)
	note, r, err = b.api.Notes.UpdateMergeRequestNote(id, 1, note.ID, &api.UpdateMergeRequestNoteOptions{Body: api.Ptr("y")})
	ok(note, r, err)
	notes, r, err := b.api.Notes.ListMergeRequestNotes(id, 1, nil)
	ok(notes, r, err)
	b.mergeable(1)
	mr, r, err = b.api.MergeRequests.AcceptMergeRequest(id, 1, nil)
	ok(mr, r, err)
	b.idle()

	lint, r, err := b.api.Validate.ProjectLint(id, &api.ProjectLintOptions{DryRun: api.Ptr(true), IncludeJobs: api.Ptr(true)})
	ok(lint, r, err)
	lint, r, err = b.api.Validate.ProjectNamespaceLint(id, &api.ProjectNamespaceLintOptions{Content: api.Ptr("x: {script: [y]}")})
	ok(lint, r, err)

	b.must(b.SetVariable("team/app", ci.Variable{Key: "A", Value: "b"}))
	one, r, err := b.api.ProjectVariables.CreateVariable(id, &api.CreateProjectVariableOptions{Key: api.Ptr("B"), Value: api.Ptr("c")})
	ok(one, r, err)
	one, r, err = b.api.ProjectVariables.GetVariable(id, "B", nil)
	ok(one, r, err)
	one, r, err = b.api.ProjectVariables.UpdateVariable(id, "B", &api.UpdateProjectVariableOptions{Value: api.Ptr("d")})
	ok(one, r, err)
	vars, r, err := b.api.ProjectVariables.ListVariables(id, nil)
	ok(vars, r, err)
	done(b.api.ProjectVariables.RemoveVariable(id, "B", nil))

	run, r, err := b.api.Pipelines.CreatePipeline(id, &api.CreatePipelineOptions{Ref: ref, Variables: &[]*api.PipelineVariableOptions{{Key: api.Ptr("K"), Value: api.Ptr("v")}}})
	ok(run, r, err)
	b.idle()
	runs, r, err := b.api.Pipelines.ListProjectPipelines(id, &api.ListProjectPipelinesOptions{Source: api.Ptr("api"), Ref: ref, SHA: &run.SHA})
	ok(runs, r, err)
	run, r, err = b.api.Pipelines.GetPipeline(id, run.ID)
	ok(run, r, err)
	latest, r, err := b.api.Pipelines.GetLatestPipeline(id, nil)
	ok(latest, r, err)
	given, r, err := b.api.Pipelines.GetPipelineVariables(id, run.ID)
	ok(given, r, err)
	jobs, r, err := b.api.Jobs.ListPipelineJobs(id, run.ID, &api.ListJobsOptions{IncludeRetried: api.Ptr(true)})
	ok(jobs, r, err)
	jobs, r, err = b.api.Jobs.ListProjectJobs(id, nil)
	ok(jobs, r, err)
	bridges, r, err := b.api.Jobs.ListPipelineBridges(id, run.ID, nil)
	ok(bridges, r, err)
	for _, j := range jobs {
		if j.Pipeline.ID != run.ID {
			continue
		}
		j, r, err := b.api.Jobs.GetJob(id, j.ID)
		ok(j, r, err)
		log, r, err := b.api.Jobs.GetTraceFile(id, j.ID)
		ok(log, r, err)
		switch j.Name {
		case "production":
			j, r, err = b.api.Jobs.PlayJob(id, j.ID, nil)
		case "staging":
			j, r, err = b.api.Jobs.RetryJob(id, j.ID, nil)
		}
		ok(j, r, err)
	}
	b.idle()
	again, r, err := b.api.Pipelines.RetryPipelineBuild(id, run.ID)
	ok(again, r, err)
	_, err = b.PushFiles("team/app", "stuck", "x", map[string]string{".gitlab-ci.yml": "a: {script: [x], tags: [none]}\nb: {script: [x], tags: [none]}\n"})
	b.must(err)
	b.idle()
	stuck := b.newest("team/app")
	j, r, err := b.api.Jobs.CancelJob(id, stuck.Jobs[0].ID)
	ok(j, r, err)
	again, r, err = b.api.Pipelines.CancelPipelineBuild(id, stuck.ID)
	ok(again, r, err)

	envs, r, err := b.api.Environments.ListEnvironments(id, nil)
	ok(envs, r, err)
	env, r, err := b.api.Environments.GetEnvironment(id, envs[0].ID)
	ok(env, r, err)
	deployments, r, err := b.api.Deployments.ListProjectDeployments(id, &api.ListProjectDeploymentsOptions{OrderBy: api.Ptr("updated_at"), Sort: api.Ptr("desc"), UpdatedAfter: api.Ptr(time.Unix(0, 0).UTC())})
	ok(deployments, r, err)
	deployment, r, err := b.api.Deployments.GetProjectDeployment(id, deployments[0].ID)
	ok(deployment, r, err)
}
