package ciconfig

import (
	"regexp"
)

// quoted finds the names of branches and other values that conditions compare with.
var quoted = regexp.MustCompile(`"([^"]*)"|'([^']*)'`)

// together says whether one pipeline may have both jobs. Two that exclude each other by
// their rules, only: or except: never meet: one is for the default branch, the other
// for all but that.
func (p Project) together(a, b *job) bool {
	if a == nil || b == nil || a.in != b.in {
		return true
	}
	kinds := []Project{{tag: unnamed}, {source: mergeRequest, branch: unnamed}, {source: "schedule"}, {}, {branch: unnamed}}
	for _, j := range []*job{a, b} {
		for _, name := range refNames(j) {
			kinds = append(kinds, Project{branch: name})
		}
	}
	for _, k := range kinds {
		q := p
		q.source, q.branch, q.tag = k.source, k.branch, k.tag
		if q.runs(a) && q.runs(b) {
			return true
		}
	}
	return false
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
	if t := j.tree.kid("rules"); t != nil {
		for _, n := range items(t.node) {
			if c := child(deref(n), "if"); c != nil {
				for _, m := range quoted.FindAllStringSubmatch(c.Value, -1) {
					out = append(out, m[1]+m[2])
				}
			}
		}
	}
	return out
}
