package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// autoTemplate is a template of GitLab that builds or deploys the image
// $CI_APPLICATION_REPOSITORY, which is $CI_REGISTRY_IMAGE/$CI_COMMIT_REF_SLUG where
// nobody sets it.
// https://docs.gitlab.com/topics/autodevops/customize/#custom-container-image
var autoTemplate = regexp.MustCompile(`^(Auto-DevOps|Jobs/Build|Jobs/Deploy)(\.latest)?\.gitlab-ci\.yml$`)

// recordAutoDeploy remembers a call of the tool by which Auto DevOps deploys.
func (r *run) recordAutoDeploy(c *command, lits []string) {
	if lits[0] == "auto-deploy" && slices.Contains(lits[1:], "deploy") {
		r.autoDeploys = append(r.autoDeploys, c.at)
	}
}

// autoDevOps reports templates and tools of Auto DevOps that name the image
// themselves.
func (r *run) autoDevOps() {
	if _, set := r.in.Project.Variables[applicationRepository]; set || r.defined(applicationRepository) {
		return
	}
	missing := r.cfg.missing
	for _, got := range r.in.Included {
		if got.Missing != "" {
			missing = append(missing[:len(missing):len(missing)], got.Include)
		}
	}
	for _, inc := range missing {
		if inc.Kind == "template" && autoTemplate.MatchString(inc.File) {
			r.report("auto-devops", r.includedAt(inc.File), inc.File)
		}
	}
	for _, at := range r.autoDeploys {
		r.report("auto-devops", at, "")
	}
}

// includedAt is where a CI file names an include.
func (r *run) includedAt(file string) span {
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if i := strings.Index(string(s.data), file); i >= 0 && isYAML(f.Path) && r.visited[f.Path] {
			return span{s, i, i + len(file)}
		}
	}
	return span{}
}

// scanTemplate is a template of GitLab that scans $CI_APPLICATION_REPOSITORY.
var scanTemplate = regexp.MustCompile(`Container-Scanning`)

// applicationRepository and applicationTag are the variables that GitLab's templates
// join by a colon.
const (
	applicationRepository = "CI_APPLICATION_REPOSITORY"
	applicationTag        = "CI_APPLICATION_TAG"
)

// application looks at the image that a template makes of the two variables. The
// repository stays bare, and the tag gets the name.
func (r *run) application(e *env, ch *chunk, repository text, j *job) {
	at := ch.span(0, len(ch.text))
	u := use{at: at, command: "variable " + applicationRepository, role: unclearRole, expands: true, job: j}
	vals := []text{repository} // what it is joined with is not seen
	if tags, ok := e.lookup(applicationTag); ok {
		colon := at
		colon.start = colon.end
		vals = product(product(expanded(vals, "", at, false), []text{{{text: ":", at: colon}}}), expanded(tags, "", at, false))
		u.role, u.pair, u.third = imageRole, true, true
	}
	for _, v := range vals {
		for _, ref := range r.references(v) {
			joined := u
			joined.ref = ref
			r.add(&joined)
		}
	}
}

// readsApplication says whether a template may read CI_APPLICATION_REPOSITORY: one of
// those that build, deploy or scan by it, or one that could not be read.
func (r *run) readsApplication() bool {
	read := map[Include]bool{}
	for _, g := range r.in.Included {
		read[g.Include] = g.Missing == ""
	}
	return slices.ContainsFunc(r.cfg.includes(), func(inc Include) bool {
		if inc.Kind == "template" {
			return autoTemplate.MatchString(inc.File) || scanTemplate.MatchString(inc.File)
		}
		return !read[inc] && !platformTemplate(inc, "")
	})
}
