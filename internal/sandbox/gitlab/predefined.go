package gitlab

import (
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

var notSlug = regexp.MustCompile(`[^a-z0-9]`)

// slug is what CI_COMMIT_REF_SLUG holds: lower case, everything else a dash, at
// most 63 characters, no dash at the ends.
func slug(s string) string {
	s = notSlug.ReplaceAllString(strings.ToLower(s), "-")
	if len(s) > 63 {
		s = s[:63]
	}
	return strings.Trim(s, "-")
}

// variables collects plain variables in order.
type variables []ci.Variable

func (v *variables) add(pairs ...string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		*v = append(*v, ci.Variable{Key: pairs[i], Value: pairs[i+1], Raw: true})
	}
}

// predefined are the variables of a pipeline, see
// https://docs.gitlab.com/ci/variables/predefined_variables/. s.mu is held.
func (s *Server) predefined(p *project, x *pipeline) []ci.Variable {
	k := p.Repo.Commits[x.SHA]
	title, rest, _ := strings.Cut(k.Message, "\n")
	ref := x.Ref
	m := p.merge(x.MR)
	if m != nil {
		ref = m.Source
	}
	id := strconv.FormatInt(p.ID, 10)
	web := s.URL + "/" + p.Path
	root, _, _ := strings.Cut(p.Path, "/")
	_, port, _ := strings.Cut(strings.TrimPrefix(s.URL, "http://"), ":")
	protected := len(p.protections(ref)) > 0 && !x.Tag
	var v variables
	v.add("CI", "true", "GITLAB_CI", "true", "CI_SERVER", "yes", "CI_SERVER_NAME", "GitLab", "CI_SERVER_VERSION", version,
		"CI_SERVER_HOST", s.opt.Host, "CI_SERVER_FQDN", s.opt.Host, "CI_SERVER_PORT", port, "CI_SERVER_PROTOCOL", "http", "CI_SERVER_URL", s.URL,
		"CI_API_V4_URL", s.URL+"/api/v4", "CI_PROJECT_ID", id, "CI_PROJECT_NAME", p.name(), "CI_PROJECT_TITLE", p.name(),
		"CI_PROJECT_PATH", p.Path, "CI_PROJECT_PATH_SLUG", slug(p.Path), "CI_PROJECT_NAMESPACE", p.namespace(),
		"CI_PROJECT_NAMESPACE_SLUG", slug(p.namespace()), "CI_PROJECT_ROOT_NAMESPACE", root, "CI_PROJECT_URL", web,
		"CI_PROJECT_VISIBILITY", p.Visibility, "CI_DEFAULT_BRANCH", p.DefaultBranch, "CI_DEFAULT_BRANCH_SLUG", slug(p.DefaultBranch),
		"CI_CONFIG_PATH", configPath(p), "CI_REPOSITORY_URL", web+".git", "CI_BUILDS_DIR", "/builds", "CI_PROJECT_DIR", "/builds/"+p.Path,
		"CI_PIPELINE_ID", strconv.FormatInt(x.ID, 10), "CI_PIPELINE_IID", strconv.FormatInt(x.IID, 10), "CI_PIPELINE_SOURCE", x.Source,
		"CI_PIPELINE_URL", web+"/-/pipelines/"+strconv.FormatInt(x.ID, 10), "CI_PIPELINE_CREATED_AT", x.CreatedAt.Format(time.RFC3339),
		"CI_COMMIT_SHA", k.SHA, "CI_COMMIT_SHORT_SHA", k.SHA[:8], "CI_COMMIT_BEFORE_SHA", x.BeforeSHA, "CI_COMMIT_REF_NAME", ref,
		"CI_COMMIT_REF_SLUG", slug(ref), "CI_COMMIT_REF_PROTECTED", strconv.FormatBool(protected), "CI_COMMIT_TITLE", title,
		"CI_COMMIT_MESSAGE", k.Message, "CI_COMMIT_DESCRIPTION", strings.TrimPrefix(rest, "\n"), "CI_COMMIT_AUTHOR", k.Author.Name+" <"+k.Author.Email+">",
		"CI_COMMIT_TIMESTAMP", k.Committer.When.Format(time.RFC3339))
	switch {
	case m != nil:
		v.add("CI_MERGE_REQUEST_ID", strconv.FormatInt(m.ID, 10), "CI_MERGE_REQUEST_IID", strconv.FormatInt(m.IID, 10), "CI_MERGE_REQUEST_TITLE", m.Title,
			"CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", m.Source, "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", m.Target, "CI_MERGE_REQUEST_PROJECT_PATH", p.Path,
			"CI_MERGE_REQUEST_PROJECT_ID", id, "CI_MERGE_REQUEST_REF_PATH", m.ref(), "CI_MERGE_REQUEST_EVENT_TYPE", "detached")
	case x.Tag:
		v.add("CI_COMMIT_TAG", x.Ref)
	default:
		v.add("CI_COMMIT_BRANCH", x.Ref)
		for _, m := range p.MRs {
			if m.State == "opened" && m.Source == x.Ref {
				v.add("CI_OPEN_MERGE_REQUESTS", p.Path+"!"+strconv.FormatInt(m.IID, 10))
				break
			}
		}
	}
	if u := s.user(x.UserID); u != nil {
		v.add("GITLAB_USER_ID", strconv.FormatInt(u.ID, 10), "GITLAB_USER_LOGIN", u.Username, "GITLAB_USER_NAME", u.Name, "GITLAB_USER_EMAIL", u.email())
	}
	return v
}

// predefinedJob are the further variables of one job. s.mu is held.
func (s *Server) predefinedJob(p *project, j *job) []ci.Variable {
	var v variables
	id := strconv.FormatInt(j.ID, 10)
	v.add("CI_JOB_ID", id, "CI_JOB_NAME", j.Spec.Name, "CI_JOB_NAME_SLUG", slug(j.Spec.Name), "CI_JOB_STAGE", j.Spec.Stage, "CI_JOB_STATUS", "running",
		"CI_JOB_URL", s.URL+"/"+p.Path+"/-/jobs/"+id, "CI_JOB_TOKEN", "glcbt-sandbox-"+id, "CI_JOB_STARTED_AT", s.now().Format(time.RFC3339))
	if j.Spec.When == "manual" {
		v.add("CI_JOB_MANUAL", "true")
	}
	if j.Spec.Image != nil {
		v.add("CI_JOB_IMAGE", j.Spec.Image.Name)
	}
	if j.Environment != "" {
		v.add("CI_ENVIRONMENT_NAME", j.Environment, "CI_ENVIRONMENT_SLUG", ci.EnvironmentSlug(j.Environment), "CI_ENVIRONMENT_ACTION", action(j), "CI_ENVIRONMENT_TIER", tier(j.Environment))
		if u := j.Spec.Environment.URL; u != "" {
			v = append(v, ci.Variable{Key: "CI_ENVIRONMENT_URL", Value: u})
		}
	}
	return v
}

func configPath(p *project) string {
	if p.ConfigPath == "" {
		return ".gitlab-ci.yml"
	}
	return p.ConfigPath
}

// scoped chooses a project's variables for a job: protected ones only on
// protected refs, and of one key the one whose environment scope is closest.
func scoped(all []*variable, environment string, protected bool) []ci.Variable {
	best := map[string]ci.Variable{}
	var keys []string
	for _, v := range all {
		exact, any := v.EnvironmentScope == environment, v.EnvironmentScope == "*"
		if v.Protected && !protected || !exact && !any && (environment == "" || !wildcard(v.EnvironmentScope, environment)) {
			continue
		}
		old, known := best[v.Key]
		if !known {
			keys = append(keys, v.Key)
		}
		if !known || exact || old.EnvironmentScope != environment && len(v.EnvironmentScope) > len(old.EnvironmentScope) {
			best[v.Key] = v.Variable
		}
	}
	slices.Sort(keys)
	out := make([]ci.Variable, 0, len(keys))
	for _, k := range keys {
		out = append(out, best[k])
	}
	return out
}

// protectedRef says whether protected variables are given to the pipeline.
func (p *project) protectedRef(x *pipeline) bool {
	return !x.Tag && x.MR == 0 && len(p.protections(x.Ref)) > 0
}
