package gitlab

import (
	"errors"
	"net/http"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// noContent is what lint says of a repository without a configuration.
const noContent = "Please provide content of .gitlab-ci.yml"

// lintRepository checks the configuration as it is in the repository, see
// https://docs.gitlab.com/api/lint/#validate-a-projects-cicd-configuration.
func lintRepository(c *call) (int, any, error) {
	at := c.params.str("content_ref")
	if at == "" {
		at = c.params.str("sha")
	}
	on := c.params.str("dry_run_ref")
	if on == "" {
		on = c.params.str("ref")
	}
	return lint(c, at, on, nil)
}

// lintContent checks given text in the project's place, see
// https://docs.gitlab.com/api/lint/#validate-sample-cicd-configuration.
func lintContent(c *call) (int, any, error) {
	if !c.params.has("content") {
		return 0, nil, invalid("content is missing")
	}
	return lint(c, "", c.params.str("ref"), []byte(c.params.str("content")))
}

// lint compiles the configuration at a commit as a push to a ref would; an
// invalid one is no error of the request.
func lint(c *call, at, on string, content []byte) (int, any, error) {
	dry, err1 := c.params.boolean("dry_run", false)
	jobs, err2 := c.params.boolean("include_jobs", false)
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("dry_run, include_jobs is invalid")
	}
	s, p := c.s, c.project
	s.mu.Lock()
	k := c.commitAt(at)
	if p.Repo.empty() || k == nil {
		s.mu.Unlock()
		if p.Repo.empty() {
			return 0, nil, notFound("Repository")
		}
		return 0, nil, notFound("Commit")
	}
	if on == "" {
		on = p.DefaultBranch
	}
	_, branch := p.Repo.Branches[on]
	_, tag := p.Repo.Tags[on]
	if dry && !branch && !tag {
		s.mu.Unlock()
		return http.StatusOK, answerLint(nil, []string{noRef}), nil
	}
	x := &pipeline{ProjectID: p.ID, Ref: on, Tag: tag && !branch, SHA: k.SHA, BeforeSHA: zeroSHA, Source: "push", UserID: c.user.ID, CreatedAt: s.now()}
	project, trigger := s.ciProject(p), s.trigger(p, x)
	settings := ci.Settings{Project: scoped(p.Variables, "", trigger.ProtectedRef)}
	predefined := s.predefined(p, x)
	s.mu.Unlock()

	instance, group := s.outside(project)
	settings.Instance, settings.Group = append(predefined, instance...), group
	compiled, err := s.compile(project, trigger, settings, sources{s}, content)
	var refused *ci.ConfigError
	switch {
	case errors.Is(err, ci.ErrNoConfig):
		return http.StatusOK, answerLint(nil, []string{noContent}), nil
	case errors.As(err, &refused):
		return http.StatusOK, answerLint(nil, refused.Messages), nil
	case err != nil:
		return 0, nil, err
	}
	var problems []string
	if dry && (compiled.Filtered || len(compiled.Jobs) == 0) {
		problems = []string{noJobs}
	}
	o := answerLint(compiled, problems)
	o["includes"] = includes(s, p, k, compiled.Includes)
	if jobs {
		o["jobs"] = lintJobs(compiled.Jobs)
	}
	return http.StatusOK, o, nil
}

func answerLint(compiled *ci.Pipeline, problems []string) object {
	o := object{"valid": len(problems) == 0, "errors": problems, "warnings": []string{}, "merged_yaml": nil, "includes": []object{}}
	if problems == nil {
		o["errors"] = []string{}
	}
	if compiled != nil {
		o["merged_yaml"] = compiled.MergedYAML
		if compiled.Warnings != nil {
			o["warnings"] = compiled.Warnings
		}
	}
	return o
}

func includes(s *Server, p *project, k *commit, locations []string) []object {
	out := []object{}
	for _, l := range locations {
		kind := "local"
		switch {
		case strings.Contains(l, "://"):
			kind = "remote"
		case strings.Contains(l, "@"):
			kind = "component"
		case p.inclusion(k, l) == "":
			kind = "file"
		}
		out = append(out, object{
			"type": kind, "location": l, "blob": s.URL + "/" + p.Path + "/-/blob/" + k.SHA + "/" + strings.TrimPrefix(l, "/"),
			"raw": s.URL + "/" + p.Path + "/-/raw/" + k.SHA + "/" + strings.TrimPrefix(l, "/"), "extra": object{}, "context_project": p.Path, "context_sha": k.SHA,
		})
	}
	return out
}

// inclusion is the blob of an included file of the project itself, if it is one.
func (p *project) inclusion(k *commit, location string) string {
	return k.Files[strings.TrimPrefix(location, "/")].Blob
}

func lintJobs(jobs []ci.Job) []object {
	texts := func(s []string) []string {
		if s == nil {
			return []string{}
		}
		return s
	}
	out := []object{}
	for _, j := range jobs {
		var environment any
		if j.Environment != nil {
			environment = j.Environment.Name
		}
		var needs any
		if j.HasNeeds {
			list := []object{}
			for _, n := range j.Needs {
				list = append(list, object{"name": n.Job, "artifacts": n.Artifacts, "optional": n.Optional})
			}
			needs = list
		}
		out = append(out, object{
			"name": j.Name, "stage": j.Stage, "before_script": texts(j.BeforeScript), "script": texts(j.Script), "after_script": texts(j.AfterScript),
			"tag_list": texts(j.Tags), "only": nil, "except": nil, "environment": environment, "when": j.When, "allow_failure": j.AllowFailure, "needs": needs,
		})
	}
	return out
}
