package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// One job of a CI file may be several in a pipeline: those of parallel:matrix, or as many as
// parallel: says. What does not have their values in its tag, all of them push.
// https://docs.gitlab.com/ci/yaml/#parallel

// repeated says whether several of the jobs that parallel: makes of one push the same. Where a
// script has conditions, they may say which of them does, unless they ask for the pipeline.
func (r *run) repeated(u *use, j *job) bool {
	if slices.ContainsFunc(u.arms, func(a arm) bool { return !a.ofThePipeline() }) || ofTheJob.MatchString(u.ref.String()) || u.open() {
		return false
	}
	t := j.tree.kid("parallel")
	if t.kid("matrix") == nil {
		n := t.value()
		return n != "" && n != "1" && digits(n)
	}
	rows := items(t.kid("matrix").node)
	var by []*choice // an empty value has no part in a reference, but others of the same word have
	for _, v := range append(r.usesAt(u.at), u) {
		if v.push && slices.Contains(v.jobs(), j) {
			by = append(by, v.chosenBy()...)
		}
	}
	several := len(rows)
	for _, row := range rows {
		if row = deref(row); row == nil || row.Kind != yaml.MappingNode {
			return false
		}
		if slices.ContainsFunc(by, func(c *choice) bool { return c.is(row) }) {
			several = 1
		}
	}
	if several > 1 { // no value of an entry is a part of it
		return true
	}
	for _, row := range rows {
		row = deref(row)
		if len(rows) > 1 && !slices.ContainsFunc(by, func(c *choice) bool { return c.is(row) }) {
			continue
		}
		for _, x := range entries(row, 0) {
			if len(items(x.value)) > 1 && !slices.ContainsFunc(by, func(c *choice) bool { return c.is(row) && c.name == x.key.Value }) {
				return true
			}
		}
	}
	return false
}

// ofThePipeline says whether a branch is taken by all jobs of a pipeline or by none.
func (a arm) ofThePipeline() bool {
	vars := variableNames.FindAllString(a.asked, -1)
	return !a.open && len(vars) == strings.Count(a.asked, "$") && len(vars) > 0 && !slices.ContainsFunc(vars, func(v string) bool { return !ofAllJobs.MatchString(v) })
}

var (
	variableNames = regexp.MustCompile(`\$\{?\w+`)
	ofAllJobs     = regexp.MustCompile(`^\$\{?CI_(COMMIT_|PIPELINE_|MERGE_REQUEST_|PROJECT_|REGISTRY|DEFAULT_BRANCH$)`)
)

// open says whether a part of the use's reference is neither known nor one of GitLab's
// variables: it may differ from job to job.
func (u *use) open() bool {
	return slices.ContainsFunc(u.pieces(), func(p piece) bool { return p.hole != "" && !strings.HasPrefix(p.hole, "CI_") })
}

// pieces are those of a use's reference.
func (u *use) pieces() (out []piece) {
	for i := u.ref.start; i < max(u.ref.end, u.ref.tagEnd); i++ {
		if k := u.ref.f.piece[i]; len(out) == 0 || k != u.ref.f.piece[i-1] {
			out = append(out, u.ref.f.t[k])
		}
	}
	return out
}

// chosenBy are the alternatives that a use's reference is a part of.
func (u *use) chosenBy() (out []*choice) {
	for _, p := range u.pieces() {
		if p.by != nil {
			out = append(out, p.by)
		}
	}
	return out
}

// chosenAbove says whether a matrix that is not the job's own has given a part of a use's
// reference: that of the job that starts its pipeline.
func (u *use) chosenAbove(j *job) bool {
	var own any
	if t := j.tree.kid("parallel").kid("matrix"); t != nil {
		own = t.node
	}
	return slices.ContainsFunc(u.chosenBy(), func(c *choice) bool { return c.name != "" && !c.way() && !c.byRule() && c.among != own })
}
