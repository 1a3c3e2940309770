package ci

import (
	"cmp"
	"crypto/sha256"
	"math/big"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// predefined are the variables that GitLab gives every pipeline.
// See https://docs.gitlab.com/ci/variables/predefined_variables/.
func predefined(p Project, t Trigger) []Variable {
	var out []Variable
	add := func(key, value string) { out = append(out, Variable{Key: key, Value: value}) }
	server, host, fqdn, port, scheme := serverOf(p)

	add("CI", "true")
	add("GITLAB_CI", "true")
	add("CI_SERVER", "yes")
	add("CI_SERVER_NAME", "GitLab")
	add("CI_SERVER_URL", server)
	add("CI_SERVER_HOST", host)
	add("CI_SERVER_FQDN", fqdn)
	add("CI_SERVER_PORT", port)
	add("CI_SERVER_PROTOCOL", scheme)
	add("CI_API_V4_URL", server+"/api/v4")
	add("CI_API_GRAPHQL_URL", server+"/api/graphql")
	add("CI_CONFIG_PATH", cmp.Or(p.ConfigPath, ".gitlab-ci.yml"))
	add("CI_DEFAULT_BRANCH", p.DefaultBranch)
	add("CI_PROJECT_ID", strconv.FormatInt(p.ID, 10))
	add("CI_PROJECT_NAME", path.Base(p.Path))
	add("CI_PROJECT_TITLE", path.Base(p.Path))
	add("CI_PROJECT_PATH", p.Path)
	add("CI_PROJECT_PATH_SLUG", slug(p.Path))
	add("CI_PROJECT_NAMESPACE", strings.TrimSuffix(path.Dir(p.Path), "."))
	add("CI_PROJECT_ROOT_NAMESPACE", strings.SplitN(p.Path, "/", 2)[0])
	add("CI_PROJECT_URL", server+"/"+p.Path)
	add("CI_REPOSITORY_URL", server+"/"+p.Path+".git")
	add("CI_BUILDS_DIR", "/builds")
	add("CI_PROJECT_DIR", "/builds/"+p.Path)

	add("CI_PIPELINE_ID", strconv.FormatInt(t.PipelineID, 10))
	add("CI_PIPELINE_IID", strconv.FormatInt(t.PipelineIID, 10))
	add("CI_PIPELINE_SOURCE", t.Source)
	add("CI_PIPELINE_URL", server+"/"+p.Path+"/-/pipelines/"+strconv.FormatInt(t.PipelineID, 10))
	if !t.CreatedAt.IsZero() {
		add("CI_PIPELINE_CREATED_AT", t.CreatedAt.UTC().Format(time.RFC3339))
		add("CI_COMMIT_TIMESTAMP", t.CreatedAt.UTC().Format(time.RFC3339))
	}
	add("CI_COMMIT_SHA", t.SHA)
	add("CI_COMMIT_SHORT_SHA", t.SHA[:min(8, len(t.SHA))])
	add("CI_COMMIT_BEFORE_SHA", cmp.Or(t.BeforeSHA, strings.Repeat("0", 40)))
	add("CI_COMMIT_REF_NAME", t.Ref)
	add("CI_COMMIT_REF_SLUG", slug(t.Ref))
	add("CI_COMMIT_REF_PROTECTED", strconv.FormatBool(t.ProtectedRef))
	title, description, _ := strings.Cut(t.CommitMessage, "\n")
	add("CI_COMMIT_MESSAGE", t.CommitMessage)
	add("CI_COMMIT_TITLE", title)
	add("CI_COMMIT_DESCRIPTION", strings.TrimPrefix(description, "\n"))
	switch {
	case t.Tag:
		add("CI_COMMIT_TAG", t.Ref)
	case t.Source != "merge_request_event":
		add("CI_COMMIT_BRANCH", t.Ref)
	}
	if m := t.MergeRequest; m != nil && t.Source == "merge_request_event" {
		add("CI_MERGE_REQUEST_IID", strconv.FormatInt(m.IID, 10))
		add("CI_MERGE_REQUEST_TITLE", m.Title)
		add("CI_MERGE_REQUEST_EVENT_TYPE", "detached")
		add("CI_MERGE_REQUEST_PROJECT_PATH", p.Path)
		add("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", p.Path)
		add("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", m.SourceBranch)
		add("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", m.TargetBranch)
	}
	add("GITLAB_USER_LOGIN", t.User)
	add("GITLAB_USER_NAME", t.User)
	return out
}

// serverOf takes the address of GitLab from the project's own.
func serverOf(p Project) (server, host, fqdn, port, scheme string) {
	u, err := url.Parse(p.WebURL)
	if err != nil || u.Host == "" {
		u = &url.URL{Scheme: "https", Host: "gitlab.sikt.no"}
	}
	port = u.Port()
	if port == "" {
		port = "443"
		if u.Scheme == "http" {
			port = "80"
		}
	}
	return u.Scheme + "://" + u.Host, u.Hostname(), u.Host, port, u.Scheme
}

func jobVariables(p Project, job Job, id int64) []Variable {
	out := []Variable{
		{Key: "CI_JOB_NAME", Value: job.Name},
		{Key: "CI_JOB_NAME_SLUG", Value: slug(job.Name)},
		{Key: "CI_JOB_STAGE", Value: job.Stage},
		{Key: "CI_NODE_TOTAL", Value: strconv.Itoa(max(1, job.NodeTotal))},
	}
	if job.NodeIndex > 0 {
		out = append(out, Variable{Key: "CI_NODE_INDEX", Value: strconv.Itoa(job.NodeIndex)})
	}
	if job.Group != "" && job.Group != job.Name {
		out = append(out, Variable{Key: "CI_JOB_GROUP_NAME", Value: job.Group})
	}
	if job.When == "manual" {
		out = append(out, Variable{Key: "CI_JOB_MANUAL", Value: "true"})
	}
	if id > 0 {
		server, _, _, _, _ := serverOf(p)
		n := strconv.FormatInt(id, 10)
		out = append(out,
			Variable{Key: "CI_JOB_ID", Value: n},
			Variable{Key: "CI_JOB_URL", Value: server + "/" + p.Path + "/-/jobs/" + n})
	}
	return out
}

func environmentVariables(name string) []Variable {
	return []Variable{
		{Key: "CI_ENVIRONMENT_NAME", Value: name},
		{Key: "CI_ENVIRONMENT_SLUG", Value: EnvironmentSlug(name)},
	}
}

var notSlug = regexp.MustCompile(`[^a-z0-9]+`)

// slug is how GitLab makes CI_COMMIT_REF_SLUG of a name.
func slug(s string) string {
	s = strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return '-'
	}, strings.ToLower(s))
	return strings.Trim(s[:min(63, len(s))], "-")
}

// EnvironmentSlug is GitLab's CI_ENVIRONMENT_SLUG of an environment's name: at
// most 24 characters, with a suffix from a hash when the name had to be changed.
func EnvironmentSlug(name string) string {
	s := notSlug.ReplaceAllString(strings.ToLower(name), "-")
	if s == "" || s[0] < 'a' || s[0] > 'z' {
		s = strings.ReplaceAll("env-"+s, "--", "-")
	}
	if len(s) <= 24 && s == name {
		return s
	}
	sum := sha256.Sum256([]byte(name))
	hash := new(big.Int).SetBytes(sum[:]).Text(36)
	s = s[:min(17, len(s))]
	if !strings.HasSuffix(s, "-") {
		s += "-"
	}
	return s + hash[len(hash)-6:]
}
