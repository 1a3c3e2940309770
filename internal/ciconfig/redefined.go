package ciconfig

import (
	"regexp"
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// Files may give values of their own to what GitLab predefines, such as the old host
// to $CI_REGISTRY, or the written out repository to $CI_REGISTRY_IMAGE.

// namedByPath says whether the repository in ECR has the path of the project for its
// name, so that $CI_REGISTRY/$CI_PROJECT_PATH is $CI_REGISTRY_IMAGE there, too.
func (r *run) namedByPath() bool {
	name, err := naming.RepositoryName(r.in.Project.Path)
	return err == nil && name == r.in.Project.Path
}

var (
	namedVariable = regexp.MustCompile(`\$\{?(\w+)\}?`)
	ownBase       = regexp.MustCompile(`(^|[^\w$])CI_REGISTRY_IMAGE["']?[ \t]*[:?]{0,2}[:=][ \t]*["']?$`)
)

// definesBase says whether a place is the beginning of a value that a file gives to
// $CI_REGISTRY_IMAGE, and whether a job that gets it gets another $CI_REGISTRY, too.
func (r *run) definesBase(at span) (defines, hosted bool) {
	if r.baseValues == nil {
		r.baseValues = map[span]bool{}
		for _, e := range r.everyone().jobs {
			for _, d := range e.defs["CI_REGISTRY_IMAGE"] {
				if ch := r.cfg.scalar(d.doc, d.node); ch != nil {
					s := ch.span(0, len(ch.text))
					r.baseValues[s] = r.baseValues[s] || len(e.defs["CI_REGISTRY"]) > 0
				}
			}
		}
	}
	for s, host := range r.baseValues {
		if at.within(s) {
			return true, host
		}
	}
	from, _ := at.src.line(at.start)
	return ownBase.Match(at.src.data[from:at.start]), false
}

// baseOfJobs is the value that files give to $CI_REGISTRY_IMAGE in a job of a use, none where
// GitLab's own holds, and whether they give it another $CI_REGISTRY, too.
func (r *run) baseOfJobs(u *use) (at span, hosted bool) {
	if u.rebased {
		return u.at, false
	}
	if len(r.baseValues) == 0 || u.document {
		return span{}, false
	}
	for _, j := range u.jobs() {
		if j == nil {
			continue
		}
		e := r.cfg.env(j.tree)
		for _, d := range e.defs["CI_REGISTRY_IMAGE"] {
			if ch := r.cfg.scalar(d.doc, d.node); ch != nil {
				at, hosted = ch.span(0, len(ch.text)), hosted || len(e.defs["CI_REGISTRY"]) > 0
			}
		}
	}
	return at, hosted
}

// rebased says whether a script has given $CI_REGISTRY_IMAGE a value that is none of ours.
func (sh *shell) rebased() bool {
	vals, ok := sh.vars.get("CI_REGISTRY_IMAGE")
	return ok && len(vals) > 0 && !slices.ContainsFunc(vals, sh.run.mentions) && !slices.ContainsFunc(vals, text.uncertain)
}
