package ciconfig

import "slices"

// Who uses an image under a tag that moves may find what an earlier pipeline has pushed; under a
// tag of the build there is only what its own pipeline has pushed before. This file says whether
// there is such a push: in each kind of pipeline, before the use, whatever a script decides.

// reaches says whether a use finds the tag of the build. A file that no job fills in is
// told to take it, whatever its pipelines are: the tag that moves is gone for it, too.
func (r *run) reaches(pushes []*use, u *use) bool {
	pushes = certain(pushes, u)
	if u.command == "chart" && slices.ContainsFunc(r.chartJobs(u.at.src.path), func(j *job) bool { return r.missed(pushes, &use{ref: u.ref, job: j}) }) {
		return false
	}
	if u.applied == nil {
		if u.document && u.filled && u.job == nil && slices.ContainsFunc(r.filledBy(u.at.src.path), func(j *job) bool { return r.missed(pushes, &use{ref: u.ref, job: j}) }) {
			return false
		}
		return u.document && !u.filled || r.dependable(pushes, u) && !r.missed(pushes, u)
	}
	return !slices.ContainsFunc(u.jobs(), func(j *job) bool {
		beside := slices.DeleteFunc(slices.Clone(pushes), func(p *use) bool { return !r.in.Project.alongside(p.job, j) || !j.follows(p.job) })
		return !r.dependable(beside, &use{job: j})
	})
}

// pushedBefore says whether another job, which comes before, pushes what a build takes its
// cache from: it is there under the tag of the build, too.
func (r *run) pushedBefore(pushes []*use, u *use) bool {
	return !slices.ContainsFunc(pushes, func(p *use) bool {
		return slices.ContainsFunc(p.jobs(), func(j *job) bool { return slices.Contains(u.jobs(), j) })
	}) && r.reaches(pushes, u)
}

// maxNames bounds the branches that the rules of a job may name: with more of them a tag that
// moves stays. Each is a kind of pipeline, of which all rules are asked.
const maxNames = 100

// missed says whether a pipeline of the default branch, of another, for a git tag or a merge
// request has a use, and nothing that pushes the image before: what it finds is of another one.
func (r *run) missed(pushes []*use, u *use) bool {
	if u.printed() { // a message finds nothing
		return false
	}
	kinds := []Project{{}, {branch: unnamed}, {tag: unnamed}, {source: mergeRequest, branch: unnamed}}
	var makers []*job // without whose push there is no pipeline
	for _, p := range pushes {
		if !slices.ContainsFunc(kinds, func(q Project) bool {
			return !r.in.Project.as(q).comesTo(p) || !r.in.Project.as(q).gives(p) || q.tag != "" && r.byDefault(p)
		}) {
			makers = append(makers, p.jobs()...)
		}
	}
	return slices.ContainsFunc(u.jobs(), func(j *job) bool {
		if j == nil || slices.ContainsFunc(makers, func(m *job) bool { return m == nil || m != j && j.asksFor(m) }) {
			return false
		}
		kinds := slices.Clip(kinds)
		names := refNames(j)
		if len(names) > maxNames {
			return true
		}
		for _, name := range names {
			kinds = append(kinds, Project{branch: name})
		}
		if j.in != nil && j.in.schedules() {
			kinds = append(kinds, Project{source: "schedule"})
		}
		for _, q := range kinds {
			kind := r.in.Project.as(q)
			if q.tag != "" && r.byDefault(u) {
				continue // it has the git tag there
			}
			if kind.runs(j) && kind.comesTo(u) && kind.gives(u) && !slices.ContainsFunc(pushes, func(p *use) bool {
				return (q.tag == "" || !r.byDefault(p)) && !u.becomes(p) && slices.ContainsFunc(p.jobs(), func(m *job) bool {
					return m != nil && m.tree.kid("when").value() != "on_failure" && kind.runs(m) && kind.gives(p) && j.follows(m) && (kind.comesTo(p) || m == j && r.buildsIn(j, u.ref.name())) // docker has what it has built
				})
			}) {
				return true
			}
		}
		return false
	})
}

// becomes says whether one command makes what it pushes of an image under the same tag.
func (u *use) becomes(push *use) bool {
	return u.cmd != nil && push.cmd != nil && u.cmd.call == push.cmd.call && !u.push && !u.tags() && u.ref.String() == push.ref.String()
}

// byDefault says whether a use has its tag only where there is no git tag: ${CI_COMMIT_TAG:-latest},
// or the same by an if.
func (r *run) byDefault(u *use) bool {
	released := func(p piece) bool { return p.hole == "CI_COMMIT_TAG" }
	if slices.ContainsFunc(u.tagPieces(), released) {
		return false
	}
	other := r.alternative(u)
	return other != nil && slices.ContainsFunc(other.tagPieces(), released)
}

// before says whether a job reads the tag of an earlier pipeline, to push it anew
// afterwards: crane tag $B:stable old; crane tag $B:main stable.
func (r *run) before(g *movings, u *use) bool {
	if u.cmd == nil || u.push || u.tags() || u.job == nil || u.role == textRole { // a message reads nothing
		return false
	}
	for _, v := range g.all { // in the order of the script
		if v == u {
			break
		}
		if (v.push || v.cmd != nil && v.tags()) && v.sharesJob(u) && comesTo(u.arms, v.arms) {
			return false
		}
	}
	others := slices.DeleteFunc(slices.Clone(g.pushes), func(p *use) bool { return p.sharesJob(u) })
	return len(others) == 0 || r.missed(others, u)
}

// certain are the pushes that a use in another job can build on: those that no open
// condition keeps from being made, unless what is run else pushes the image too.
func certain(pushes []*use, u *use) []*use {
	if u.role == textRole {
		return pushes
	}
	return slices.DeleteFunc(slices.Clone(pushes), func(p *use) bool {
		return slices.ContainsFunc(p.arms, func(a arm) bool { return a.open && !otherwise(pushes, a) }) &&
			!slices.ContainsFunc(p.jobs(), func(j *job) bool { return slices.Contains(u.jobs(), j) })
	})
}

// otherwise says whether one of the pushes is made where the condition of an arm comes out
// the other way.
func otherwise(pushes []*use, a arm) bool {
	return slices.ContainsFunc(pushes, func(p *use) bool {
		return slices.ContainsFunc(p.arms, func(b arm) bool {
			return a.among != nil && a.among == b.among && a.one != b.one ||
				a.asked != "" && a.asked != b.asked && len(a.asked) == len(b.asked) && a.asked[:len(a.asked)-2] == b.asked[:len(b.asked)-2]
		})
	})
}

// mayFollow says whether a use may find what a push has left, and is not what that is made of;
// earlier says whether the push is the earlier one in the script that has both.
func (u *use) mayFollow(push *use, earlier bool) bool {
	if !u.sharesJob(push) {
		return slices.ContainsFunc(u.jobs(), func(j *job) bool { return slices.ContainsFunc(push.jobs(), j.follows) })
	}
	return u.cmd == nil || push.cmd == nil || u.tags() || earlier && u.cmd.call != push.cmd.call
}
