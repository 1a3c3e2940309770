package gitlab

import (
	"context"
	"fmt"
	"net/http"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// LintRequest asks for a judgement on a CI configuration.
type LintRequest struct {
	Content string
	// Ref is the branch in whose context includes and rules are read; "" means
	// the default branch.
	Ref string
	// DryRun creates the pipeline in thought, with rules as a push to Ref would
	// see them. It needs the right to create pipelines.
	DryRun bool
}

// Lint is GitLab's judgement. MergedYAML is the configuration with includes and
// extends resolved, as this account may read them.
type Lint struct {
	Valid      bool
	Errors     []string
	Warnings   []string
	MergedYAML string
	Includes   []LintInclude
	Jobs       []LintJob
}

// LintInclude is a file that the configuration includes.
type LintInclude struct {
	Type     string // local, file, remote, template, component
	Location string
	Project  string // of the file, as a path
	SHA      string
}

// LintJob is a job of the configuration.
type LintJob struct {
	Name        string
	Stage       string
	Environment string // unexpanded; "" when the job deploys nothing
	When        string
}

// Lint judges the content as the CI configuration of the project, includes and
// all. An invalid configuration is a Lint, not an error.
// https://docs.gitlab.com/api/lint/#validate-sample-cicd-configuration
func (c *Client) Lint(ctx context.Context, project int64, r LintRequest) (Lint, error) {
	// client-go's result has no jobs, so the request is made by hand. The
	// project endpoint always returns merged_yaml.
	body := map[string]any{"content": r.Content, "include_jobs": true}
	if r.DryRun {
		body["dry_run"] = true
	}
	if r.Ref != "" {
		body["ref"] = r.Ref
	}
	type answer struct {
		Valid      bool          `json:"valid"`
		Errors     []string      `json:"errors"`
		Warnings   []string      `json:"warnings"`
		MergedYAML string        `json:"merged_yaml"`
		Includes   []api.Include `json:"includes"`
		Jobs       []struct {
			Name        string `json:"name"`
			Stage       string `json:"stage"`
			Environment any    `json:"environment"`
			When        string `json:"when"`
		} `json:"jobs"`
	}
	a, err := call(ctx, Developer, fmt.Sprintf("checking the CI configuration of project %d", project), func(opts ...api.RequestOptionFunc) (answer, *api.Response, error) {
		var a answer
		req, err := c.api.NewRequest(http.MethodPost, fmt.Sprintf("projects/%d/ci/lint", project), body, opts)
		if err != nil {
			return a, nil, err
		}
		resp, err := c.api.Do(req, &a)
		return a, resp, err
	})
	if err != nil {
		return Lint{}, err
	}
	l := Lint{Valid: a.Valid, Errors: a.Errors, Warnings: a.Warnings, MergedYAML: a.MergedYAML}
	for _, i := range a.Includes {
		l.Includes = append(l.Includes, LintInclude{Type: i.Type, Location: i.Location, Project: i.ContextProject, SHA: i.ContextSHA})
	}
	for _, j := range a.Jobs {
		job := LintJob{Name: j.Name, Stage: j.Stage, When: j.When}
		// A string in GitLab's documentation, an object in newer answers.
		switch e := j.Environment.(type) {
		case string:
			job.Environment = e
		case map[string]any:
			job.Environment, _ = e["name"].(string)
		}
		l.Jobs = append(l.Jobs, job)
	}
	return l, nil
}
