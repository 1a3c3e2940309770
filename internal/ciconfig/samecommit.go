package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Pipelines of one commit push one tag, if it is that of the commit: in ECR the second
// push fails. This file finds the jobs that are in two such pipelines.

// Kinds of pipelines that may be of one commit.
const (
	forTags   = "the default branch and for git tags"
	forMerges = "branches and for their merge requests"
)

// A branch with an open merge request, and that.
var (
	ofBranch = Project{branch: unnamed}
	ofMerge  = Project{branch: unnamed, source: mergeRequest}
)

// surely says whether it is known that a pipeline of a kind has a job, where all has changed
// that rules may ask for.
func (r *run) surely(j *job, kind Project) bool {
	p := r.in.Project.as(kind)
	p.open, p.all = kind.source == "" && kind.branch != "", true
	return p.plainly(j)
}

// sameCommit says for what the two pipelines of one commit are in which a job makes a use.
// Rules may give the use another tag in one of them.
func (r *run) sameCommit(u *use, j *job) (kinds []string) {
	both := func(a, b Project) bool {
		a, b = r.in.Project.as(a), r.in.Project.as(b)
		return a.gives(u) && r.givesTarget(u, b) || r.givesTarget(u, a) && b.gives(u)
	}
	for _, kind := range r.twoOfOneCommit(j) {
		switch {
		case kind == forTags && (r.otherwiseReleased(u) || !both(Project{}, Project{tag: unnamed})):
		case kind == forMerges && !slices.ContainsFunc(r.mergedBranches(j), func(name string) bool {
			return both(Project{branch: name}, Project{branch: name, source: mergeRequest})
		}):
		default:
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// givesTarget says whether a pipeline gives a use its value, or another one with the same image,
// also one that becomes the same tag of the build, or has.
func (r *run) givesTarget(u *use, p Project) bool {
	return p.gives(u) || slices.ContainsFunc(r.usesAt(u.at), func(v *use) bool {
		moves := u.retagged == "" && u.stability() == movingTag && v.stability() == movingTag && v.ref.name() == u.ref.name()
		return v != u && v.push == u.push && v.arg == u.arg && v.sharesJob(u) && (moves || v.ref.String() == u.ref.String() || u.retagged != "" && v.target() == u.target()) && p.gives(v)
	})
}

// twoOfOneCommit says the same for all that a job does.
func (r *run) twoOfOneCommit(j *job) []string {
	kinds, known := r.ofCommits[j]
	if known {
		return kinds
	}
	if r.surely(j, Project{}) && j.in != nil && r.releases(j.in) && r.surely(j, Project{tag: unnamed}) {
		kinds = append(kinds, forTags)
	}
	if slices.ContainsFunc(r.mergedBranches(j), func(name string) bool {
		return r.surely(j, Project{branch: name}) && r.surely(j, Project{branch: name, source: mergeRequest})
	}) {
		kinds = append(kinds, forMerges)
	}
	if r.ofCommits == nil {
		r.ofCommits = map[*job][]string{}
	}
	r.ofCommits[j] = kinds
	return kinds
}

// lastBranch are branches from which nobody makes merge requests, or names that one file has
// for the default branch of many projects.
var lastBranch = regexp.MustCompile(`^(main|master|trunk|prod|production|live|stable|release)$`)

// mergedBranches are those from which merge requests are made, as far as rules tell them apart:
// any, and those that they name, such as develop.
func (r *run) mergedBranches(j *job) []string {
	names := refNames(j)
	if j.in != nil {
		names = append(names, ruleNames(j.in.workflowRules())...)
	}
	names = slices.DeleteFunc(names, func(name string) bool {
		return name == r.in.Project.DefaultBranch || lastBranch.MatchString(name)
	})
	slices.Sort(names)
	names = slices.Compact(names)
	return append(names[:min(len(names), most):min(len(names), most)], unnamed)
}

// pair says of which two pipelines of one commit the one has job a and the other job b, "" for
// none: those for a branch and a git tag, or for a branch and its merge request.
func pair(a, b pipelines) string {
	switch {
	case !a.known || !b.known:
	case b.releases && a.standard && !a.release && b.release && !b.standard:
		return forTags
	case a.branch && !b.branch && b.merge && !a.merge:
		return forMerges
	}
	return ""
}

// pipelines are those that may have a job, of the kinds that may be of one commit: for the
// default branch and a git tag; and, where that is known, for a branch with an open merge
// request and that.
type pipelines struct {
	known, releases   bool
	standard, release bool
	branch, merge     bool
}

func (r *run) pipelines(j *job) pipelines {
	if j.in == nil {
		return pipelines{}
	}
	release := r.in.Project
	release.tag = unnamed
	return pipelines{true, r.releases(j.in), r.in.Project.runs(j), release.runs(j), r.surely(j, ofBranch), r.surely(j, ofMerge)}
}

// otherwiseReleased says whether rules of its job give a use another tag in pipelines for git
// tags. Another job for them may have the same line of a template.
func (r *run) otherwiseReleased(u *use) bool {
	return slices.ContainsFunc(r.usesAt(u.at), func(v *use) bool {
		return v != u && v.push && v.ref.colon >= 0 && v.sharesJob(u) && v.released() && !u.otherTurn(v)
	})
}

// releases says whether there are pipelines for git tags too: the rules of jobs ask for them,
// or scripts do, as ${CI_COMMIT_TAG:-latest} does.
func (r *run) releases(c *config) bool {
	for above := c; above != nil; above = above.parent {
		if above.releases() || slices.ContainsFunc(above.docs, (*document).givenGitTag) {
			return true
		}
	}
	if r.gitTags == maybe {
		r.gitTags = no
		for ch := range r.lineOf {
			if asksForTag.MatchString(ch.text) {
				r.gitTags = yes
			}
		}
		for p := range r.visited {
			if s := r.files[p]; s != nil && !isYAML(p) && len(s.data) <= maxFile && asksForTag.Match(s.data) {
				r.gitTags = yes
			}
		}
	}
	return r.gitTags == yes
}

// givenGitTag says whether the scripts of a file get such a text by an input.
func (d *document) givenGitTag() bool {
	for _, values := range d.inputs {
		if slices.ContainsFunc(values, func(g given) bool { return asksForTag.MatchString(g.value.String()) }) {
			return true
		}
	}
	return false
}

// asksForTag is how a script, or a Makefile, asks whether its pipeline is for a git tag.
var asksForTag = regexp.MustCompile(`\$\{CI_COMMIT_TAG(:?[-+]|[#%/])|-[nz] +["']?\$\$?\{?CI_COMMIT_TAG\b|ifn?def +CI_COMMIT_TAG\b|(ifn?eq +\(|\$[({](if|or) +)\$[({]CI_COMMIT_TAG[)}]`)

// releases says whether the pipelines are for git tags too: the workflow, or the rules or
// only: of a job, ask for them, or except: leaves them out.
func (c *config) releases() bool {
	return c.asksFor(&c.released, forGitTags, func(j *job) bool { return asksForTags(j) || refuses(j, "tags", tagRule) })
}

// asksFor says, once found out, whether a rule of the workflow or a job asks for a kind of
// pipelines.
func (c *config) asksFor(known *answer, rule func(*yaml.Node) bool, job func(*job) bool) bool {
	if *known == maybe {
		*known = no
		if t := c.workflowRules(); t != nil && slices.ContainsFunc(items(t.node), rule) || slices.ContainsFunc(c.jobs(), job) {
			*known = yes
		}
	}
	return *known == yes
}

// forGitTags says whether a rule lets a job into pipelines for git tags.
func forGitTags(n *yaml.Node) bool {
	n = deref(n)
	when := child(n, "when")
	return tagRule(n) && (when == nil || when.Value != "never")
}

// ofEachPipeline are variables that tell jobs of one pipeline from one another, and are the
// same in the next one.
var ofEachPipeline = regexp.MustCompile(`^CI_(NODE_INDEX|NODE_TOTAL|JOB_NAME|JOB_NAME_SLUG)$`)

// ofTheCommit says whether a tag is that of the commit alone, whatever the pipeline is; or
// of the commit on its branch. A name with the branch is another one for a git tag.
func (u *use) ofTheCommit(branch bool) bool {
	for i := u.ref.start; i < u.ref.nameEnd && !branch; i++ {
		if h := u.ref.f.t[u.ref.f.piece[i]].hole; refVariables[h] || h == "CI_COMMIT_BRANCH" {
			return false
		}
	}
	if u.retagged != "" {
		return ofACommit.MatchString(u.retagged)
	}
	found := false
	for i := u.ref.colon + 1; u.ref.colon >= 0 && i < u.ref.tagEnd; i++ {
		switch h := u.ref.f.t[u.ref.f.piece[i]].hole; {
		case h == "", ofEachPipeline.MatchString(h):
		case ofACommit.MatchString(h):
			found = true
		case !branch || !refVariables[h] && h != "CI_COMMIT_BRANCH":
			return false
		}
	}
	return found
}

// keptGitTag says whether another tag takes the place of the commit in a pipeline for a
// git tag: ${CI_COMMIT_TAG:-$CI_COMMIT_SHA}, or that of a rule.
func (r *run) keptGitTag(u *use) bool {
	if u.gitTagged {
		return true
	}
	asTag := ofACommit.ReplaceAllString(u.ref.f.show(0, u.ref.end), "CI_COMMIT_TAG")
	return slices.ContainsFunc(r.uses, func(v *use) bool {
		return v != u && v.push && v.at == u.at && v.arg == u.arg && v.job == u.job && !u.otherTurn(v) && u.inPlaceOf(v) && (v.ref.f.show(0, v.ref.end) == asTag || v.ref.colon >= 0 && v.releasedByRule())
	})
}

// inPlaceOf says whether the tags of two uses in one word are alternatives, and no elements of a
// list with commas: one expansion brings them, or they are written in one place.
func (u *use) inPlaceOf(v *use) bool {
	a, b := u.tagPieces(), v.tagPieces()
	return len(a) == 0 || len(b) == 0 || a[0].outer().start == b[0].outer().start
}

// ofACommit are variables that each pipeline of a commit has alike.
var ofACommit = regexp.MustCompile(`\bCI_(COMMIT(_SHORT)?_SHA|BUILD_REF)\b`)

// asksForTags says whether a job's rules, or only:, name pipelines for git tags.
func asksForTags(j *job) bool {
	if t := j.tree.kid("rules"); t != nil {
		return slices.ContainsFunc(items(t.node), forGitTags)
	}
	t := j.tree.kid("only")
	if t == nil {
		return false
	}
	refs, _ := refsOf(t)
	return slices.ContainsFunc(refs, ofKind("tags"))
}

// refuses says whether a job's except: names a kind of pipelines, or a rule with never asks
// for it: there are such.
func refuses(j *job, kind string, rule func(*yaml.Node) bool) bool {
	if t := j.tree.kid("rules"); t != nil {
		return slices.ContainsFunc(items(t.node), func(n *yaml.Node) bool {
			when := child(deref(n), "when")
			return when != nil && when.Value == "never" && rule(deref(n))
		})
	}
	t := j.tree.kid("except")
	if t == nil {
		return false
	}
	refs, _ := refsOf(t)
	return slices.ContainsFunc(refs, ofKind(kind))
}

// ofKind says whether a ref of only: means a kind of pipelines, perhaps those of one project:
// tags@group/project.
func ofKind(kind string) func(ref string) bool {
	return func(ref string) bool {
		name, _, _ := strings.Cut(ref, "@")
		return name == kind
	}
}

// scheduledToo says whether a job is in scheduled pipelines: its rules ask for them, or those
// of any other job show that there are some, and nothing keeps it out.
func (r *run) scheduledToo(j *job) bool {
	if asksForSchedules(j) {
		return true
	}
	above := j.in
	for above != nil && !above.schedules() {
		above = above.parent // whose pipelines start the job's
	}
	if above == nil {
		return false
	}
	p := r.in.Project
	p.source, p.all = "schedule", true
	return p.plainly(j)
}

// schedules says whether there are scheduled pipelines: the workflow, or a job, asks for them.
func (c *config) schedules() bool {
	return c.asksFor(&c.scheduled, schedules, func(j *job) bool { return asksForSchedules(j) || refuses(j, "schedules", scheduleRule) })
}

// schedules says whether a rule lets a job into scheduled pipelines.
func schedules(n *yaml.Node) bool {
	n = deref(n)
	when := child(n, "when")
	return scheduleRule(n) && (when == nil || when.Value != "never")
}

// scheduleRule says whether a rule is for scheduled pipelines.
func scheduleRule(n *yaml.Node) bool {
	c := child(n, "if")
	return c != nil && scheduled.MatchString(c.Value)
}

// asksForSchedules says whether a job's rules, or only:, name scheduled pipelines, or those
// of the job that starts its pipeline.
func asksForSchedules(j *job) bool {
	if slices.ContainsFunc(j.startedBy(), asksForSchedules) {
		return true
	}
	if t := j.tree.kid("rules"); t != nil {
		return slices.ContainsFunc(items(t.node), schedules)
	}
	t := j.tree.kid("only")
	if t == nil {
		return false
	}
	refs, _ := refsOf(t)
	return slices.ContainsFunc(refs, ofKind("schedules"))
}

// scheduled is the condition of a rule for scheduled pipelines.
var scheduled = regexp.MustCompile(`\$CI_PIPELINE_SOURCE\s*==\s*["']schedule["']`)
