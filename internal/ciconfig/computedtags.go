package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// computedTags reports the pushes whose tag the output of a command decides,
// such as a version out of package.json: two releases may carry the same one. So
// does a variable of which nobody knows the value, but for pipelines for git tags,
// where it may be the release, and no word beside it says otherwise, as latest-$FLAVOUR
// does. A release number that is written down is one that each pipeline pushes,
// until somebody writes the next.
func (r *run) computedTags() {
	for _, u := range r.composePushes() {
		if u.push && u.ref.own && !u.ref.host && u.bad == "" && u.ref.colon >= 0 && r.writtenDown(u) {
			r.report("moving-tag", u.place(), u.ref.String())
		}
	}
	for _, u := range r.uses {
		ref := u.ref
		if !u.push || !ref.own || ref.host || ref.joined || u.settled || u.bad != "" || ref.colon < 0 || ref.end == ref.colon+1 && ref.end == len(ref.f.s) {
			continue
		}
		st := u.stability()
		if (st == releaseTag || st == unknownTag) && r.guarded(u) {
			continue
		}
		if r.writtenDown(u) {
			r.report("moving-tag", u.place(), ref.String())
		}
		if st != unknownTag {
			continue
		}
		released := !r.onDefault(u) && r.forGitTags(u)
		if released && !strings.Contains(tagOf(u), "$(…)") && !shortened(u.lit()) && !movingWord.MatchString(tagOf(u)) {
			continue
		}
		if f := r.report("tag-computed", u.place(), ref.String()); released {
			f.Remedy = "leave out what several releases have in common, as 1 and 1.2 out of 1.2.3; a tag that each release has for itself may stay"
		}
	}
}

// writtenDown says whether a push has a release number for its tag that each of its pipelines has,
// or that others have pushed before.
func (r *run) writtenDown(u *use) bool {
	if u.stability() != releaseTag || strings.ContainsRune(u.ref.f.s[u.ref.colon+1:u.ref.tagEnd], gap) {
		return false
	}
	again := func(u *use) bool { return r.onDefault(u) || slices.ContainsFunc(u.jobs(), r.comesBack) }
	return again(u) || slices.ContainsFunc(r.index().named[u.ref.name()], func(v *use) bool {
		return v.push && v != u && v.ref.String() == u.ref.String() && again(v)
	})
}

// movingWord is a word in a tag that many versions have, one after the other.
var movingWord = regexp.MustCompile(`(?i)(^|[-_.])(latest|edge|stable|nightly|dev|main|master|current|staging|production|prod)([-_.$]|$)`)

// forGitTags says whether a job with this use may run in a pipeline for a git tag.
func (r *run) forGitTags(u *use) bool {
	tags := r.in.Project
	tags.tag = unnamed
	return slices.ContainsFunc(u.jobs(), func(j *job) bool { return j != nil && tags.runs(j) })
}

// comesBack says whether a job is in pipelines for merge requests, for other branches than the
// default one, or in scheduled ones.
func (r *run) comesBack(j *job) bool {
	if j == nil || j.hidden {
		return false
	}
	return r.scheduledToo(j) || slices.ContainsFunc([]Project{{branch: unnamed}, {source: mergeRequest, branch: unnamed}}, func(q Project) bool {
		return r.in.Project.as(q).runs(j)
	})
}
