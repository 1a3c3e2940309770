package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// stability says how long a tag keeps its meaning.
type stability int

const (
	unknownTag stability = iota // computed, or from the project's settings
	uniqueTag                   // one for each build
	releaseTag                  // pushed once, by intent
	movingTag                   // pushed again and again
)

var uniqueVariables = map[string]bool{
	"CI_COMMIT_SHA": true, "CI_COMMIT_SHORT_SHA": true, "CI_PIPELINE_ID": true, "CI_PIPELINE_IID": true, "CI_JOB_ID": true,
	"CI_REGISTRY_TAG": true, "CI_COMMIT_TIMESTAMP": true, "CI_PIPELINE_CREATED_AT": true, "CI_BUILD_REF": true, "CI_BUILD_ID": true,
	"CI_COMMIT_BEFORE_SHA": true, "CI_JOB_STARTED_AT": true, "CI_MERGE_REQUEST_DIFF_BASE_SHA": true,
}

var movingVariables = map[string]bool{
	"CI_COMMIT_REF_NAME": true, "CI_COMMIT_REF_SLUG": true, "CI_COMMIT_BRANCH": true, "CI_DEFAULT_BRANCH": true, "CI_ENVIRONMENT_SLUG": true,
	"CI_ENVIRONMENT_NAME": true, "CI_MERGE_REQUEST_IID": true, "CI_MERGE_REQUEST_ID": true, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": true,
	"CI_BUILD_REF_NAME": true, "CI_BUILD_REF_SLUG": true,
	"CI_PROJECT_NAME": true, "CI_PROJECT_PATH_SLUG": true, "CI_JOB_NAME": true, "CI_JOB_NAME_SLUG": true, "CI_JOB_STAGE": true,
}

// refVariables name the git tag in a pipeline for a tag.
var refVariables = map[string]bool{"CI_COMMIT_REF_NAME": true, "CI_COMMIT_REF_SLUG": true, "CI_BUILD_REF_NAME": true, "CI_BUILD_REF_SLUG": true}

// onlyTags says whether a job runs in pipelines for git tags alone.
func onlyTags(j *job) bool {
	if slices.ContainsFunc(j.startedBy(), onlyTags) {
		return true
	}
	if t := j.tree.kid("only"); t != nil {
		refs := t.node
		if t.kids != nil {
			if refs = nil; t.kid("refs") != nil {
				refs = t.kid("refs").node
			}
		}
		list := items(refs)
		for _, n := range list {
			if n = deref(n); n == nil || n.Value != "tags" {
				return false
			}
		}
		return len(list) > 0
	}
	t := j.tree.kid("rules")
	if t == nil {
		return false
	}
	list := items(t.node)
	for _, n := range list {
		if w := child(deref(n), "when"); w != nil && w.Value == "never" {
			continue
		}
		if !tagRule(deref(n)) {
			return false
		}
	}
	return len(list) > 0
}

// tagRule says whether a rule is for pipelines for git tags alone.
func tagRule(n *yaml.Node) bool {
	c := child(n, "if")
	return c != nil && strings.Contains(c.Value, "CI_COMMIT_TAG") && !strings.Contains(c.Value, "null") && !strings.Contains(c.Value, "||")
}

// released says whether only pipelines for git tags have the use: by its job, or by the
// rule that gives it name and tag.
func (u *use) released() bool {
	return u.releasedByRule() || !slices.ContainsFunc(u.jobs(), func(j *job) bool { return j == nil || !onlyTags(j) })
}

// releasedByRule says whether a rule for pipelines for git tags gives name and tag.
func (u *use) releasedByRule() bool {
	for i := u.ref.colon; i < u.ref.tagEnd; i++ {
		if by := u.ref.f.t[u.ref.f.piece[i]].by; by != nil {
			if rule, ok := by.one.(*yaml.Node); ok && tagRule(rule) {
				return true
			}
		}
	}
	return false
}

var release = regexp.MustCompile(`(^|-)v?[0-9]+([.-][0-9]+)*$`)

// shorter are operations that leave a part of a git tag, v1 of v1.2.3, or its parts one by
// one. Many releases share what is left, other than where only a prefix of letters goes.
var shorter = regexp.MustCompile(`\$\{CI_COMMIT_TAG(%|//?[^/}]+/ )|CI_COMMIT_TAG.*\btr\b( +-\w+)* +\S+ +["'\\]*( ["'\\]|\\n)|CI_COMMIT_TAG.*(\bcut\b|\bawk\b|\bgrep\b[^|]* -[a-zA-Z]*o|\bsed\b[^|]*\\[1-9])|(\bcut\b|\bawk\b|\bsed\b[^|]*\\[1-9]).*CI_COMMIT_TAG`)

// shortened says whether an expression may give several git tags one value.
func shortened(expr string) bool { return shorter.MatchString(expr) }

// branchName is a variable that names the branch where there is no git tag.
var branchName = regexp.MustCompile(`CI_COMMIT_(BRANCH|REF_NAME|REF_SLUG)`)

// branchNamed says whether the branch is a part of a piece.
func branchNamed(p piece) bool {
	return branchName.MatchString(p.hole) || p.hole == unknown && branchName.MatchString(p.at.text())
}

// stability of the use's tag; no tag is latest.
func (u *use) stability() stability {
	ref := u.ref
	if ref.digest >= 0 {
		return uniqueTag
	}
	if ref.open {
		return unknownTag
	}
	if ref.colon < 0 {
		return movingTag
	}
	out := movingTag
	released, branched := u.released(), false
	for i := ref.colon + 1; i < ref.tagEnd; i++ {
		if ref.f.off[i] >= 0 {
			continue
		}
		branched = branched || !released && branchNamed(ref.f.t[ref.f.piece[i]])
		h := ref.f.t[ref.f.piece[i]].hole
		whole, _, _ := strings.Cut(h, ":") // of which the beginning is taken
		switch {
		case uniqueVariables[strings.TrimPrefix(whole, "PARENT_")]:
			return uniqueTag
		case h == unknown && shortened(ref.f.t[ref.f.piece[i]].at.text()):
			out = unknownTag
		case h == "CI_COMMIT_TAG", h == unknown && strings.Contains(ref.f.t[ref.f.piece[i]].at.text(), "CI_COMMIT_TAG"),
			refVariables[h] && released:
			if out == movingTag {
				out = releaseTag
			}
		case !movingVariables[h] && out == movingTag:
			out = unknownTag
		}
	}
	if out == releaseTag && branched { // the git tag is empty for a branch
		if strings.Contains(tagOf(u), "$(") {
			return unknownTag
		}
		return movingTag
	}
	if out == movingTag && release.MatchString(ref.f.s[ref.colon+1:ref.tagEnd]) {
		return releaseTag
	}
	return out
}
