package ciconfig

import (
	"slices"
	"strings"
)

// Two jobs of one pipeline may build an image and push one tag that moves, so that the later one
// won. The tags of the build that take its place are two, and who used it gets one of them.

// onlyOneBuilds is what to do then.
const onlyOneBuilds = "see that this is the image that they are to take, or let only one of the jobs build it"

// builtTwice says what becomes of uses of such a tag where that of the uses is not known to be
// the later one; "" for none.
func (r *run) builtTwice(cluster []*movings, push *use) string {
	for _, g := range cluster {
		if !slices.Contains(g.pushes, push) || strings.Contains(g.name+g.tag, "$(") || ofTheJob.MatchString(g.name+g.tag) {
			continue // or each job may have a name of its own
		}
		for _, v := range r.index().named[g.name] {
			if !v.push { // one line of a template may be that of both jobs
				continue
			}
			for _, j := range push.jobs() {
				for _, k := range v.jobs() {
					if !r.pushInOne(push, v, j, k) {
						continue
					}
					if u := g.takerBeside(j, k, slices.Contains(g.pushes, v)); u != nil {
						return k.name + " and " + j.name + " build it in one pipeline, and the jobs that took what the later one had pushed take " + u.target() + " now"
					}
				}
			}
		}
	}
	return ""
}

// takerBeside is a use in other jobs of what job j pushes, unless j is known to come after k; or,
// where both get the same tag of the build, either is known to.
func (g *movings) takerBeside(j, k *job, alike bool) *use {
	if after := j.follows(k); after != k.follows(j) && (alike || after) {
		return nil
	}
	i := slices.IndexFunc(g.all, func(u *use) bool {
		return !u.push && u.retagged != "" && !slices.Contains(u.jobs(), j) && !slices.Contains(u.jobs(), k)
	})
	if i < 0 {
		return nil
	}
	return g.all[i]
}

// pushInOne says whether a pipeline is known to have two jobs that build an image and push it
// under one tag: by the same words, as a branch by its variable or written out, or as a git tag.
func (r *run) pushInOne(u, v *use, j, k *job) bool {
	if j == nil || k == nil || j == k || j.hidden || k.hidden || !onePlace(j, k, "") {
		return false
	}
	together := false
	switch a, b := tagOf(u), tagOf(v); {
	case a == b:
		together = r.in.Project.plainlyTogether(j, k)
	case r.onBranch(a) == r.onBranch(b):
		together = r.in.Project.plainly(j) && r.in.Project.plainly(k)
	case asGitTag(a) == asGitTag(b):
		together = r.bothReleased(j, k)
	}
	return together && r.buildsOrBakes(j, u.ref.name()) && r.buildsOrBakes(k, u.ref.name())
}

// onBranch is a tag in a pipeline for the default branch.
func (r *run) onBranch(tag string) string {
	return branchVariable.ReplaceAllLiteralString(tag, r.in.Project.defaultBranch())
}

// asGitTag is a tag in a pipeline for a git tag, which has two names.
func asGitTag(tag string) string {
	return strings.ReplaceAll(tag, "${CI_COMMIT_REF_NAME}", "${CI_COMMIT_TAG}")
}

// buildsOrBakes says whether a job builds an image, by bake too.
func (r *run) buildsOrBakes(j *job, name string) bool {
	return r.buildsIn(j, name) || slices.ContainsFunc(r.index().named[name], func(p *use) bool {
		return p.push && isHCL(p.at.path()) && slices.Contains(p.jobs(), j)
	})
}
