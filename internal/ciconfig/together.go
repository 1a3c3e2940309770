package ciconfig

import (
	"regexp"
	"slices"
)

// quoted finds the names of branches and other values that conditions compare with.
var quoted = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)

// together says whether one pipeline may have both jobs. Two that exclude each other by
// their rules, only: or except: never meet: one is for the default branch, the other
// for all but that.
func (p Project) together(a, b *job) bool {
	return a == nil || b == nil || a.in != b.in ||
		slices.ContainsFunc(p.kinds(a, b), func(q Project) bool { return q.runs(a) && q.runs(b) })
}

// plainlyTogether says whether it is known that one pipeline may have both jobs.
func (p Project) plainlyTogether(a, b *job) bool {
	return slices.ContainsFunc(p.kinds(a, b), func(q Project) bool { return q.plainly(a) && q.plainly(b) })
}

// alongside says whether each pipeline that may have job b may have a, too.
func (p Project) alongside(a, b *job) bool {
	return a == nil || b == nil ||
		!slices.ContainsFunc(p.kinds(a, b), func(q Project) bool { return q.runs(b) && !q.runs(a) })
}

// before says whether each pipeline of the default branch, and for a git tag, that may have
// job b may have a, too.
func (p Project) before(a, b *job) bool {
	if a == nil || b == nil {
		return true
	}
	release := p
	release.tag = unnamed
	return (!p.runs(b) || p.runs(a)) && (!release.runs(b) || release.runs(a))
}

// kinds are pipelines that differ in what the rules of jobs ask for.
func (p Project) kinds(jobs ...*job) []Project {
	out := []Project{{tag: unnamed}, {source: mergeRequest, branch: unnamed}, {source: "schedule"}, {}, {branch: unnamed}}
	for _, j := range jobs {
		for _, name := range refNames(j) {
			out = append(out, Project{branch: name})
		}
	}
	for i, k := range out {
		out[i] = p.as(k)
	}
	return out
}

// as is the project in a pipeline of another kind.
func (p Project) as(kind Project) Project {
	p.source, p.branch, p.tag = kind.source, kind.branch, kind.tag
	return p
}

// refNames are the names that a job's rules, only: and except: spell out.
func refNames(j *job) []string {
	var out []string
	for _, k := range []string{"only", "except"} {
		if t := j.tree.kid(k); t != nil {
			refs, _ := refsOf(t)
			out = append(out, refs...)
		}
	}
	return append(out, ruleNames(j.tree.kid("rules"))...)
}

// ruleNames are the names that rules spell out.
func ruleNames(t *tree) (out []string) {
	if t == nil {
		return nil
	}
	for _, n := range items(t.node) {
		if c := child(deref(n), "if"); c != nil {
			for _, m := range quoted.FindAllStringSubmatch(c.Value, -1) {
				out = append(out, m[1]+m[2])
			}
		}
	}
	return out
}
