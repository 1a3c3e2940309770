package gitlab

import (
	"cmp"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

var (
	statuses = []string{"created", "waiting_for_resource", "preparing", "waiting_for_callback", "pending", "running", "success", "failed", "canceling", "canceled", "skipped", "manual", "scheduled"}
	origins  = []string{"push", "web", "trigger", "schedule", "api", "external", "pipeline", "chat", "webide", "merge_request_event", "external_pull_request_event", "parent_pipeline", "ondemand_dast_scan", "ondemand_dast_validation", "security_orchestration_policy"}
)

func (c *call) pipelineBasic(x *pipeline) object {
	p := c.s.st.projects[x.ProjectID]
	return object{
		"id": x.ID, "iid": x.IID, "project_id": x.ProjectID, "sha": x.SHA, "ref": x.Ref, "status": x.Status, "source": x.Source,
		"created_at": x.CreatedAt, "updated_at": x.UpdatedAt, "web_url": c.s.URL + "/" + p.Path + "/-/pipelines/" + strconv.FormatInt(x.ID, 10), "name": nil,
	}
}

func (c *call) pipelineEntity(x *pipeline) object {
	o := c.pipelineBasic(x)
	p := c.s.st.projects[x.ProjectID]
	var yamlErrors, duration any
	if x.YAMLErrors != "" {
		yamlErrors = x.YAMLErrors
	}
	if x.StartedAt != nil && x.FinishedAt != nil {
		duration = int(x.FinishedAt.Sub(*x.StartedAt).Seconds())
	}
	add := object{
		"before_sha": x.BeforeSHA, "tag": x.Tag, "yaml_errors": yamlErrors, "user": c.s.basicUser(x.UserID), "started_at": x.StartedAt,
		"finished_at": x.FinishedAt, "committed_at": nil, "duration": duration, "queued_duration": nil, "coverage": nil, "archived": false,
		"detailed_status": object{"icon": "status_" + x.Status, "text": x.Status, "label": x.Status, "group": x.Status, "tooltip": x.Status, "has_details": true,
			"details_path": "/" + p.Path + "/-/pipelines/" + strconv.FormatInt(x.ID, 10), "illustration": nil, "favicon": "/favicon.png"},
	}
	for k, v := range add {
		o[k] = v
	}
	return o
}

func listPipelines(c *call) (int, any, error) {
	status, err1 := c.params.oneOf("status", "", statuses...)
	source, err2 := c.params.oneOf("source", "", origins...)
	scope, err3 := c.params.oneOf("scope", "", "running", "pending", "finished", "branches", "tags")
	by, err4 := c.params.oneOf("order_by", "id", "id", "status", "ref", "updated_at", "user_id")
	sort, err5 := c.params.oneOf("sort", "desc", "asc", "desc")
	broken, err6 := c.params.boolean("yaml_errors", false)
	errs := []error{err1, err2, err3, err4, err5, err6}
	times := map[string]time.Time{}
	for _, name := range []string{"updated_after", "updated_before", "created_after", "created_before"} {
		t, err := c.params.time(name)
		times[name] = t
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	within := func(t time.Time, after, before string) bool {
		return (times[after].IsZero() || t.After(times[after])) && (times[before].IsZero() || t.Before(times[before]))
	}
	ref, sha, username := c.params.str("ref"), c.params.str("sha"), c.params.str("username")
	all := slices.DeleteFunc(slices.Clone(c.project.Pipelines), func(x *pipeline) bool {
		u := c.s.user(x.UserID)
		return source == "" && x.Source == "parent_pipeline" || // children are listed only when asked for
			source != "" && x.Source != source || status != "" && x.Status != status || ref != "" && x.Ref != ref || sha != "" && x.SHA != sha ||
			username != "" && (u == nil || u.Username != username) || c.params.has("yaml_errors") && (x.YAMLErrors != "") != broken ||
			!within(x.UpdatedAt, "updated_after", "updated_before") || !within(x.CreatedAt, "created_after", "created_before") || !inScope(c.project, x, scope)
	})
	order(all, sort == "desc", func(a, b *pipeline) int {
		switch by {
		case "status":
			return cmp.Compare(a.Status, b.Status)
		case "ref":
			return cmp.Compare(a.Ref, b.Ref)
		case "updated_at":
			return a.UpdatedAt.Compare(b.UpdatedAt)
		case "user_id":
			return cmp.Compare(a.UserID, b.UserID)
		}
		return 0
	}, func(x *pipeline) int64 { return x.ID })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, x := range some {
		out = append(out, c.pipelineBasic(x))
	}
	return http.StatusOK, out, err
}

func inScope(p *project, x *pipeline, scope string) bool {
	switch scope {
	case "running", "pending":
		return x.Status == scope
	case "finished":
		return finished(x.Status)
	case "branches":
		_, ok := p.Repo.Branches[x.Ref]
		return ok && !x.Tag
	case "tags":
		return x.Tag
	}
	return true
}

func (c *call) pipeline() (*pipeline, error) {
	id, err := c.number("pipeline")
	if err != nil {
		return nil, err
	}
	if x := c.project.pipeline(id); x != nil {
		return x, nil
	}
	return nil, notFound("")
}

func getPipeline(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.pipelineEntity(x), nil
}

// getLatestPipeline answers for the head commit of the branch only, and with
// 403 where there is none: GitLab asks for the right to read nothing.
func getLatestPipeline(c *call) (int, any, error) {
	ref := c.params.str("ref")
	if ref == "" {
		ref = c.project.DefaultBranch
	}
	head := c.project.Repo.resolve(ref)
	for _, x := range slices.Backward(c.project.Pipelines) {
		if head != nil && x.SHA == head.SHA && x.Ref == ref && x.Source != "parent_pipeline" {
			return http.StatusOK, c.pipelineEntity(x), nil
		}
	}
	return 0, nil, forbidden("")
}

func getPipelineVariables(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	out := []object{}
	for _, v := range x.Variables {
		kind := "env_var"
		if v.File {
			kind = "file"
		}
		out = append(out, object{"variable_type": kind, "key": v.Key, "value": v.Value, "raw": v.Raw})
	}
	return http.StatusOK, out, nil
}

// notCreated is the answer of a model that could not be saved.
func notCreated(problems ...string) error {
	return refuse(http.StatusBadRequest, object{"base": problems})
}

func readVariables(p params, name string) ([]ci.Variable, error) {
	given, err := p.objects(name)
	if err != nil {
		return nil, err
	}
	var out []ci.Variable
	for _, v := range given {
		if v.str("key") == "" {
			return nil, invalid("%s[0][key] is missing", name)
		}
		out = append(out, ci.Variable{Key: v.str("key"), Value: v.str("value"), File: v.str("variable_type") == "file"})
	}
	return out, nil
}

// mayGive says whether the caller may set variables for a pipeline, see
// https://docs.gitlab.com/ci/variables/#restrict-pipeline-variables.
func (c *call) mayGive() bool {
	least, ok := map[string]int{"developer": Developer, "maintainer": Maintainer, "owner": Owner}[c.project.VariablesRole]
	return ok && c.level() >= least
}

// createPipeline follows https://docs.gitlab.com/api/pipelines/#create-a-new-pipeline.
// The checks come in the order of GitLab's own chain.
func createPipeline(c *call) (int, any, error) {
	if err := c.params.required("ref"); err != nil {
		return 0, nil, err
	}
	given, err := readVariables(c.params, "variables")
	if err != nil {
		return 0, nil, err
	}
	ref := c.params.str("ref")
	c.s.mu.Lock()
	p := c.project
	branch, isBranch := p.Repo.Branches[strings.TrimPrefix(ref, "refs/heads/")]
	tag, isTag := p.Repo.Tags[strings.TrimPrefix(ref, "refs/tags/")]
	o := creation{project: p, ref: ref, source: "api", user: c.user.ID, variables: given, sha: branch + tag}
	switch {
	case c.level() < Developer:
		err = forbidden("")
	case isBranch && !c.canPush(ref) && !c.canMerge(ref):
		err = notCreated(fmt.Sprintf("You do not have sufficient permission to run a pipeline on '%s'. Please select a different branch or contact your administrator for assistance.", ref))
	case len(given) > 0 && !c.mayGive():
		err = notCreated(noVariable)
	case isBranch && isTag:
		err = notCreated(ambiguous)
	case !isBranch && !isTag:
		err = notCreated(noRef)
	case isTag:
		o.tag, o.ref = true, strings.TrimPrefix(ref, "refs/tags/")
	default:
		o.ref = strings.TrimPrefix(ref, "refs/heads/")
	}
	c.s.mu.Unlock()
	if err != nil {
		return 0, nil, err
	}
	x, problems := c.s.create(o)
	if x == nil {
		return 0, nil, notCreated(problems...)
	}
	c.s.mu.Lock()
	defer c.s.mu.Unlock()
	return http.StatusCreated, c.pipelineEntity(x), nil
}

func retryPipeline(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	for _, j := range c.project.jobsOf(x.ID, false) {
		if j.Status == "failed" || j.Status == "canceled" {
			c.s.retry(c.project, j, c.user.ID)
		}
	}
	c.s.advance(x)
	return http.StatusCreated, c.pipelineEntity(x), nil
}

func cancelPipeline(c *call) (int, any, error) {
	x, err := c.pipeline()
	if err != nil {
		return 0, nil, err
	}
	for _, x := range append([]*pipeline{x}, c.s.descendants(x)...) {
		for _, j := range c.s.st.projects[x.ProjectID].jobsOf(x.ID, false) {
			c.s.stop(j)
		}
		c.s.settle(c.s.st.projects[x.ProjectID], x)
	}
	return http.StatusOK, c.pipelineEntity(x), nil
}
