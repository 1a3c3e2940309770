package ciconfig

import (
	"regexp"
	"slices"
)

// One tag may have several names: the branch that of its variables, and that which is written
// out; a git tag its own variable and that for the branch. This file puts the uses under one of
// them to the pushes under another.

// branchTags are the variables for the branch as a tag, which say the same but for slashes
// and capitals, in the order in which they are looked for.
var branchTags = []string{"${CI_COMMIT_REF_SLUG}", "${CI_COMMIT_REF_NAME}", "${CI_COMMIT_BRANCH}"}

// joinBranch puts uses of the branch as a tag to the pushes under another variable for it:
// those of a branch that is written out, too, where only pipelines of that branch have them.
func (r *run) joinBranch(groups map[string]*movings) {
	for _, key := range sortedKeys(groups) {
		g := groups[key]
		if len(g.pushes) > 0 || !slices.Contains(branchTags, g.tag) && !r.usedOnBranch(g) {
			continue
		}
		for _, variable := range branchTags {
			if to := groups[g.name+"\x00"+variable]; to != nil && len(to.pushes) > 0 && (slices.Contains(branchTags, g.tag) || r.pushedOnBranch(to, g)) {
				to.all = append(to.all, g.all...)
				g.all = nil
				break
			}
		}
	}
}

// usedOnBranch says whether only pipelines of the branch that is written as a tag have its uses.
func (r *run) usedOnBranch(g *movings) bool {
	kinds := []Project{{branch: unnamed}}
	if g.tag != r.in.Project.defaultBranch() {
		if !branchAsSlug.MatchString(g.tag) {
			return false
		}
		kinds = append(kinds, Project{}, Project{tag: unnamed}, Project{source: mergeRequest, branch: unnamed})
	}
	return !slices.ContainsFunc(g.all, func(u *use) bool {
		return slices.ContainsFunc(r.usedBy(u), func(j *job) bool {
			return j == nil || slices.ContainsFunc(kinds, func(k Project) bool { return r.in.Project.as(k).runs(j) })
		})
	})
}

// pushedOnBranch says whether the pipelines of a branch that have its tag, written out, push
// the image under the variable.
func (r *run) pushedOnBranch(to, g *movings) bool {
	if g.tag == r.in.Project.defaultBranch() {
		return true
	}
	named := r.in.Project.as(Project{branch: g.tag})
	has := func(u *use) bool {
		return slices.ContainsFunc(r.usedBy(u), func(j *job) bool { return j == nil || named.runs(j) })
	}
	return slices.ContainsFunc(g.all, has) && slices.ContainsFunc(to.pushes, has)
}

// branchAsSlug is a branch that its slug says as it is.
var branchAsSlug = regexp.MustCompile("^[a-z0-9-]+$")

// usedBy are the jobs that make a use: of one in a file that jobs fill in, these.
func (r *run) usedBy(u *use) []*job {
	if u.document && u.filled && u.job == nil {
		if by := r.filledBy(u.at.src.path); by != nil {
			return by
		}
	}
	return u.jobs()
}

// joinReleases puts uses of the git tag to those of the name of the branch or the tag, where
// nothing but a job for both pushes the image: what it pushes for a git tag is theirs.
func (r *run) joinReleases(groups map[string]*movings, releases []*use) {
	keyOf := func(u *use) string { // the name of the branch is the git tag here
		tag := tagOf(u)
		if tag == "${CI_COMMIT_TAG}" {
			tag = "${CI_COMMIT_REF_NAME}"
		}
		return u.ref.name() + "\x00" + tag
	}
	pushed, release := map[string][]*use{}, r.in.Project.as(Project{tag: unnamed})
	forTags := func(j *job) bool { return j == nil || release.runs(j) }
	for _, u := range releases {
		if u.push && slices.ContainsFunc(u.jobs(), forTags) {
			pushed[keyOf(u)] = append(pushed[keyOf(u)], u)
		}
	}
	open := openNames(groups)
	if len(open)*len(releases) > maxOpen {
		open = nil
	}
	earlier := map[*use]bool{} // in the order of the script
	for _, u := range releases {
		key := keyOf(u)
		if earlier[u] = true; u.push || slices.ContainsFunc(pushed[key], func(p *use) bool { return u.mayFollow(p, earlier[p]) }) {
			continue
		}
		pushes := func(g *movings) bool {
			return g != nil && slices.ContainsFunc(g.pushes, func(p *use) bool { return slices.ContainsFunc(p.jobs(), forTags) })
		}
		if g := groups[key]; pushes(g) {
			g.all = append(g.all, u)
			continue
		}
		for g, may := range open {
			if g.tag == tagOf(u) && fits(may, u.ref.name()) && pushes(g) {
				g.all = append(g.all, u)
			}
		}
	}
}
