package gitlab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// specification is GitLab's own description of its API as of a server slightly
// older than the stand-in. It is not part of the project.
const specification = "../../../../shared/facts/gitlab-openapi.yaml"

// The faults of that file, each by name. What is not named here must fit.
var (
	// absent are endpoints of GitLab that the file leaves out.
	absent = []string{
		"GET /api/v4/projects/{id}/merge_requests/{iid}/notes",
		"POST /api/v4/projects/{id}/merge_requests/{iid}/notes",
		"PUT /api/v4/projects/{id}/merge_requests/{iid}/notes/{note}",
	}
	// requests are operations whose parameters or body the file gets wrong: a
	// branch is no number, refs is sent as refs[] as for every list, and the
	// commits endpoint takes actions where the file has an uploaded file.
	requests = []string{
		"GET /api/v4/projects/{id}/repository/branches/{branch}",
		"GET /api/v4/projects/{id}/repository/merge_base",
		"POST /api/v4/projects/{id}/repository/commits",
	}
	// statuses are operations that GitLab answers with another status than the
	// file declares: lib/api/commits.rb creates with 201, and
	// lib/api/ci/pipelines.rb sets 200 when it cancels.
	declared = map[string]int{
		"POST /api/v4/projects/{id}/repository/commits":             200,
		"POST /api/v4/projects/{id}/pipelines/{pipeline_id}/cancel": 201,
	}
	// lists are operations whose answer the file gives as a single element.
	lists = []string{
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/commits",
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/diffs",
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/pipelines",
		"GET /api/v4/projects/{id}/repository/tree",
		"GET /api/v4/projects/{id}/variables",
	}
	// shapes are operations whose answer the file gives as that of another form:
	// without simple=true projects are listed as fully as one is shown.
	shapes = map[string]string{"GET /api/v4/projects": "API_Entities_ProjectWithAccess"}
	// mistyped are properties that the file makes strings or single objects for
	// want of a type, with the type that GitLab's entities give them.
	mistyped = map[string]string{
		"approvals_before_merge": "integer", "assignees": "array", "blocking_discussions_resolved": "boolean", "can_merge": "boolean",
		"changes": "array", "ci_job_token_scope_enabled": "boolean", "downvotes": "integer", "draft": "boolean", "first_contribution": "boolean",
		"force_remove_source_branch": "boolean", "has_conflicts": "boolean", "imported": "boolean", "labels": "array",
		"merge_when_pipeline_succeeds": "boolean", "mirror": "boolean", "overflow": "boolean", "project_access": "object",
		"rebase_in_progress": "boolean", "reviewers": "array", "should_remove_source_branch": "boolean", "source_project_id": "integer",
		"squash": "boolean", "squash_on_merge": "boolean", "subscribed": "boolean", "target_project_id": "integer",
		"task_completion_status": "object", "upvotes": "integer", "user_notes_count": "integer", "work_in_progress": "boolean",
	}
	// dates are properties that the file takes for times.
	dates = map[string]string{"API_Entities_PersonalAccessTokenWithLastUsedIps": "expires_at"}
	// further are properties of today's answers that the file does not have.
	further = map[string][]string{
		"API_Entities_CurrentUser": {"bot", "can_create_project", "commit_email", "created_at", "external", "is_admin", "locked", "state", "web_url"},
	}
)

// checker validates what passes through it.
type checker struct {
	doc  *openapi3.T
	mu   sync.Mutex
	seen map[string]bool
	bad  map[string]bool
}

func (c *checker) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad[fmt.Sprintf(format, args...)] = true
}

// route finds the operation of a request; literal parts of a path win over
// parameters.
func (c *checker) route(r *http.Request) (*routers.Route, map[string]string) {
	got := strings.Split(r.URL.EscapedPath(), "/")
	var best *routers.Route
	var bestParams map[string]string
	literals := -1
	for path, item := range c.doc.Paths.Map() {
		want := strings.Split(path, "/")
		operation := item.GetOperation(r.Method)
		if len(want) != len(got) || operation == nil {
			continue
		}
		params, n, ok := map[string]string{}, 0, true
		for i := range want {
			if strings.HasPrefix(want[i], "{") && strings.HasSuffix(want[i], "}") {
				params[strings.Trim(want[i], "{}")] = got[i]
			} else if want[i] == got[i] {
				n++
			} else {
				ok = false
				break
			}
		}
		if ok && n > literals {
			best, bestParams, literals = &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: operation}, params, n
		}
	}
	return best, bestParams
}

func (c *checker) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.check(r, sent, answer, body)
	return answer, nil
}

func (c *checker) check(r *http.Request, sent []byte, answer *http.Response, body []byte) {
	route, params := c.route(r)
	if route == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen["absent "+r.Method+" "+r.URL.Path] = true
		return
	}
	name := r.Method + " " + route.Path
	c.mu.Lock()
	c.seen[name] = true
	c.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{Request: again, PathParams: params, Route: route, QueryParams: r.URL.Query(), Options: &openapi3filter.Options{
		ExcludeRequestBody: len(sent) == 0 || string(sent) == "null", AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil && !slices.Contains(requests, name) {
		c.fault("%s: request: %v", name, firstLine(err))
	}
	status := answer.StatusCode
	if status >= 400 {
		return
	}
	if other, known := declared[name]; known {
		status = other
	}
	response := route.Operation.Responses.Status(status)
	if response == nil {
		c.fault("%s: answers %d, declared are %v", name, status, statusesOf(route.Operation))
		return
	}
	content := response.Value.Content.Get("application/json")
	if content == nil || content.Schema == nil || r.Method == http.MethodHead || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		return
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		c.fault("%s: answer: %v", name, err)
		return
	}
	schema := content.Schema
	if shape := shapes[name]; shape != "" {
		schema.Value.Items = &openapi3.SchemaRef{Ref: "#/components/schemas/" + shape, Value: c.doc.Components.Schemas[shape].Value}
	}
	if slices.Contains(lists, name) {
		schema = &openapi3.SchemaRef{Value: openapi3.NewArraySchema()}
		schema.Value.Items = content.Schema
	}
	value = withoutNulls(value)
	c.compare(name, schema, value)
	if err := schema.Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
		for line := range strings.SplitSeq(err.Error(), "Error at ") {
			if line = firstLine(errors.New(line)); line != "" {
				c.fault("%s: answer: %s", name, line)
			}
		}
	}
}

func statusesOf(o *openapi3.Operation) (out []string) {
	for k := range o.Responses.Map() {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "\nSchema:", " |Schema:"), "|Schema:")
	return strings.Join(strings.Fields(line), " ")
}

// withoutNulls drops empty fields: the file says of none that it may be null.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x != nil {
				out[k] = withoutNulls(x)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, withoutNulls(x))
		}
		return out
	}
	return v
}

// compare reports fields of the answer that the schema does not have: nearly
// all of the file's fields are optional, so a misspelt one would pass otherwise.
func (c *checker) compare(at string, schema *openapi3.SchemaRef, v any) {
	if schema == nil || schema.Value == nil {
		return
	}
	name := strings.TrimPrefix(schema.Ref, "#/components/schemas/")
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			c.compare(at, schema.Value.Items, x)
		}
	case map[string]any:
		if len(schema.Value.Properties) == 0 {
			return
		}
		for k, x := range v {
			p, ok := schema.Value.Properties[k]
			if !ok && !slices.Contains(further[name], k) {
				c.fault("%s: %s has no field %s", at, name, k)
			}
			c.compare(at, p, x)
		}
	}
}

func loadSpecification(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(specification))
	if err != nil {
		t.Skipf("GitLab's OpenAPI file is not here, so requests and answers are not compared with it: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, property := range dates {
		doc.Components.Schemas[name].Value.Properties[property].Value.Format = "date"
	}
	done := map[*openapi3.Schema]bool{}
	for _, schema := range doc.Components.Schemas {
		retype(schema, done)
	}
	return doc
}

// retype gives the mistyped properties their type, in nested objects too.
func retype(s *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if s == nil || s.Value == nil || done[s.Value] {
		return
	}
	done[s.Value] = true
	for name, p := range s.Value.Properties {
		if kind := mistyped[name]; kind != "" && (p.Value.Type.Is("string") || p.Value.Type.Is("object")) {
			s.Value.Properties[name] = &openapi3.SchemaRef{Value: &openapi3.Schema{Type: &openapi3.Types{kind}}}
			continue
		}
		retype(p, done)
	}
	retype(s.Value.Items, done)
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	c := &checker{doc: loadSpecification(t), seen: map[string]bool{}, bad: map[string]bool{}}
	b := serve(t)
	var err error
	b.api, err = api.NewClient(BotToken, api.WithBaseURL(b.URL), api.WithoutRetries(), api.WithCustomLimiter(unlimited{}), api.WithHTTPClient(&http.Client{Transport: c}))
	b.must(err)
	b.everything()
	for _, r := range b.routes() {
		request := httpRequest(t, r.pattern)
		route, _ := c.route(request)
		switch {
		case route == nil && !slices.Contains(absent, r.pattern):
			t.Errorf("the file knows no %s", r.pattern)
		case route != nil && !c.seen[request.Method+" "+route.Path]:
			t.Errorf("%s was not called", r.pattern)
		}
	}
	var bad []string
	for f := range c.bad {
		bad = append(bad, f)
	}
	slices.Sort(bad)
	for _, f := range bad {
		t.Error(f)
	}
}

// httpRequest makes a request that fits a route's pattern.
func httpRequest(t *testing.T, pattern string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "1"
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+strings.Join(parts, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// everything calls every endpoint once with a good answer.
func (b *bench) everything() {
	lib := b.seed(Seed{Path: "team/lib", Files: map[string]string{".gitlab-ci.yml": "lib: {script: [print x]}\n"}})
	_ = lib
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
