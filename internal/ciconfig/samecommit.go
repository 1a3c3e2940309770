package ciconfig

import (
	"slices"

	"go.yaml.in/yaml/v3"
)

// Pipelines of one commit push one tag, if it is that of the commit: in ECR the second
// push fails. This file finds the jobs that are in two such pipelines.

// Kinds of pipelines that may be of one commit.
const (
	forTags   = "the default branch and for git tags"
	forMerges = "branches and for their merge requests"
)

// sameCommit says for what the two pipelines are in which a job makes a use, "" where it
// is one. Rules may give the use another tag for git tags.
func (r *run) sameCommit(u *use, j *job) string {
	if !plainly(j) {
		return ""
	}
	in := func(source, branch, tag string) bool {
		p := r.in.Project
		p.source, p.branch, p.tag, p.open = source, branch, tag, source == "" && branch != ""
		return p.runs(j)
	}
	home := in("", "", "")
	switch {
	case home && !r.otherwiseReleased(u) && j.in != nil && j.in.releases() && in("", "", unnamed):
		return forTags
	case in("", unnamed, "") && in(mergeRequest, unnamed, ""):
		return forMerges
	}
	return ""
}

// otherwiseReleased says whether rules give a use another tag in pipelines for git tags.
func (r *run) otherwiseReleased(u *use) bool {
	return slices.ContainsFunc(r.usesAt(u.at), func(v *use) bool { return v != u && v.push && v.ref.colon >= 0 && v.released() })
}

// releases says whether the pipelines are for git tags too: the workflow, or the rules or
// only: of a job, ask for them.
func (c *config) releases() bool {
	if c.released == maybe {
		c.released = no
		if t := c.root.kid("workflow").kid("rules"); t != nil && slices.ContainsFunc(items(t.node), forGitTags) || slices.ContainsFunc(c.jobs(), asksForTags) {
			c.released = yes
		}
	}
	return c.released == yes
}

// forGitTags says whether a rule lets a job into pipelines for git tags.
func forGitTags(n *yaml.Node) bool {
	n = deref(n)
	when := child(n, "when")
	return tagRule(n) && (when == nil || when.Value != "never")
}
