package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pushedAgain reports tags that two jobs of one pipeline push: an image for one
// platform and then the index under the same tag, or several builds of one commit. In a
// registry where tags can be overwritten the last one won; in ECR it is refused. So it is
// where a job is in pipelines for a branch and for git tags, or in scheduled ones, and its
// tag is the commit.
func (r *run) pushedAgain() {
	gone, all := r.gone(), r.in.Project
	all.all = true
	pushes := map[string][]*job{}
	ofCommit := map[string][]inPipelines{}
	// One line of a template may push for many jobs: one finding names the first of them.
	whys := map[pushedPlace]string{}
	byWay := map[pushedBy]span{}
	named := map[pushedBy]bool{}  // after the branch, which is the default one where another tag has that
	chosen := map[pushedBy]bool{} // by a matrix, which may be that of the job that starts a child
	ifAbsent := map[pushedBy]bool{}
	report := func(u *use, why, remedy string) {
		at := pushedPlace{u.place(), remedy}
		if whys[at] == "" {
			whys[at] = why
		}
		r.reportWhy(Warning, "pushed-again", at.span, u.ref.String(), whys[at]).Remedy = remedy
	}
	for _, u := range slices.Concat(r.uses, r.composePushes()) {
		if !u.push || !u.ref.own || u.ref.host || u.ref.joined || u.bad != "" || gone[u] || u.role == repositoryRole {
			continue
		}
		guarded := r.guarded(u)
		for _, j := range u.jobs() {
			if j == nil || j.hidden {
				continue
			}
			if u.ofTheCommit(true) && !guarded && r.scheduledToo(j) {
				report(u, j.name+" is in scheduled pipelines, which come back to a commit that has been built",
					"put $CI_PIPELINE_ID behind the commit, there and where the image is used")
			}
			switch kinds := r.sameCommit(u, j); {
			case u.optionalTag(), guarded:
			case slices.Contains(kinds, forTags) && u.ofTheCommit(false) && !r.keptGitTag(u):
				report(u, j.name+" is in pipelines for "+forTags+", which may be of one commit",
					"in a pipeline for a git tag push that one in place of the commit: ${CI_COMMIT_TAG:-$CI_COMMIT_SHA} in a script")
			case slices.Contains(kinds, forMerges) && u.ofTheCommit(true):
				report(u, j.name+" is in pipelines for "+forMerges+", which are of one commit",
					"put $CI_PIPELINE_ID in place of the commit, or start no pipeline for a branch with an open merge request")
			}
			if !u.ofTheCommit(true) || u.optionalTag() {
				continue
			}
			to, mine := u.target(), inPipelines{j, r.pipelines(j)}
			for _, k := range ofCommit[to] {
				if k.job == j || k.pipelines == mine.pipelines || ofTheJob.MatchString(to) {
					continue
				}
				first, second := k, mine
				if pair(mine.pipelines, k.pipelines) != "" {
					first, second = mine, k
				}
				switch kinds := pair(first.pipelines, second.pipelines); {
				case kinds == forTags && u.ofTheCommit(false):
					report(u, first.name+" is in pipelines for the default branch and "+second.name+" in those for git tags, which may be of one commit",
						"let "+second.name+" push the git tag alone, or put $CI_PIPELINE_ID in place of the commit")
				case kinds == forMerges:
					report(u, first.name+" is in pipelines for branches and "+second.name+" in those for merge requests, which are of one commit",
						"put $CI_PIPELINE_ID in place of the commit, or start no pipeline for a branch with an open merge request")
				}
			}
			ofCommit[to] = append(ofCommit[to], mine)
		}
		if u.ref.colon < 0 {
			continue
		}
		to := u.target()
		if u.gitTagged {
			to = strings.TrimSuffix(to, u.retagged) + "${CI_COMMIT_TAG}"
		}
		if u.retagged != "" && !u.gitTagged {
			to += " for " + tagOf(u) // what takes the place of different tags is compared by itself
		}
		asks := guarded && u.stability() == movingTag && u.retagged == ""
		if u.released() || asks { // one tag by two names, where the latter is for git tags
			to = strings.ReplaceAll(to, "${CI_COMMIT_REF_NAME}", "${CI_COMMIT_TAG}")
		}
		to, known := u.operatedAlike(to)
		if !known || ofTheJob.MatchString(to) || u.stability() == movingTag && u.retagged == "" && !asks || u.optionalTag() {
			continue
		}
		tags := []string{to}
		if branchVariable.MatchString(to) { // another tag may have the branch written out
			tags = append(tags, branchVariable.ReplaceAllLiteralString(to, r.in.Project.defaultBranch()))
		}
		for _, j := range u.jobs() {
			if j == nil || j.hidden || slices.Contains(pushes[to], j) {
				continue
			}
			if r.repeated(u, j) {
				report(u, j.name+" is several jobs by parallel:, which push one tag", "give the tags of these jobs what tells them from one another, such as a variable of the matrix")
			}
			for _, tag := range tags {
				if i := slices.IndexFunc(pushes[tag], func(k *job) bool {
					if first, same := byWay[pushedBy{tag, k}]; same && first == u.at {
						return false // the script asks by which of its jobs it was started
					}
					by := pushedBy{tag, k}
					if guarded && (ifAbsent[by] || j.follows(k)) || ifAbsent[by] && k.follows(j) {
						return false // what is there is not pushed
					}
					alike := selectAlike(k, j)
					both := alike || all.plainlyTogether(k, j)
					if tag != to || named[pushedBy{tag, k}] {
						both = all.plainly(k) && all.plainly(j)
					}
					return both && (k.in == j.in || !chosen[pushedBy{tag, k}] && !u.chosenAbove(j) && onePlace(k, j, tag)) && (alike || !(selects(k) && selects(j))) && (!strings.Contains(tag, "${CI_COMMIT_TAG}") || r.bothReleased(k, j))
				}); i >= 0 {
					report(u, pushes[tag][i].name+" and "+j.name+" are in one pipeline",
						"give the tags of the two jobs different ends, such as -amd64 for the image that an index lists")
				}
				pushes[tag] = append(pushes[tag], j)
				chosen[pushedBy{tag, j}], named[pushedBy{tag, j}], ifAbsent[pushedBy{tag, j}] = u.chosenAbove(j), tag != to, guarded
				if u.onOneWay() {
					byWay[pushedBy{tag, j}] = u.at
				}
			}
		}
	}
}

// operatedAlike is a tag with what a string operation does to a variable that each job of the
// pipeline has alike: ${CI_COMMIT_TAG#v}. known is false for other commands.
func (u *use) operatedAlike(tag string) (out string, known bool) {
	if !strings.Contains(tag, "$(") {
		return tag, true
	}
	for _, p := range u.ref.f.t {
		if p.hole != unknown {
			continue
		}
		if !operatedVariable.MatchString(p.at.text()) {
			return tag, false
		}
		tag += " by " + p.at.text()
	}
	return tag, true
}

// operatedVariable is an operation of the shell on a variable that is the same for each job.
var operatedVariable = regexp.MustCompile(`^\$\{CI_(COMMIT|PIPELINE|MERGE_REQUEST)_\w+[#%/:]`)

// inPipelines is a job with the pipelines that may have it.
type inPipelines struct {
	*job
	pipelines
}

// onePlace says whether a tag means the same to two jobs: each child pipeline has an ID of its own.
func onePlace(a, b *job, tag string) bool {
	return a.in == b.in || a.in != nil && b.in != nil && !strings.Contains(tag, "CI_PIPELINE_")
}

// bothReleased says whether it is known that a pipeline for a git tag may have both jobs.
func (r *run) bothReleased(a, b *job) bool {
	release := r.in.Project.as(Project{tag: unnamed})
	return release.plainly(a) && release.plainly(b)
}

// pushedPlace is a place that pushes a tag again, and what to do there.
type pushedPlace struct {
	span
	remedy string
}

// pushedBy is a tag and a job that pushes it.
type pushedBy struct {
	tag string
	job *job
}

// ofTheJob are variables that differ from job to job.
var ofTheJob = regexp.MustCompile(`\$\{CI_(JOB|NODE|RUNNER)_`)

// optionalTag says whether the use has one of several tags, of which rules or inputs
// choose one: which of them two jobs have in common is not known. A job with a matrix has
// each of them, and a script that sets a variable on one of its ways may take it.
func (u *use) optionalTag() bool {
	for i := u.ref.start; i < u.ref.tagEnd; i++ {
		if by := u.ref.f.t[u.ref.f.piece[i]].by; by != nil && by.name == "" && !by.way() {
			return true
		}
	}
	return false
}

// branchVariable is the branch in a tag.
var branchVariable = regexp.MustCompile(`\$\{CI_COMMIT_(BRANCH|REF_NAME|REF_SLUG)\}`)

// onOneWay says whether only one way through a script gives the use its value.
func (u *use) onOneWay() bool {
	for i := u.ref.start; i < u.ref.tagEnd; i++ {
		if by := u.ref.f.t[u.ref.f.piece[i]].by; by != nil && by.way() && !by.turn {
			return true
		}
	}
	return false
}

// gitVariable is a variable of conditions that are understood.
var gitVariable = regexp.MustCompile(`^CI_(COMMIT_(BRANCH|TAG|REF_NAME|REF_PROTECTED)|DEFAULT_BRANCH|PIPELINE_SOURCE|MERGE_REQUEST_\w+)$`)

// plainly says whether it is known that a pipeline may have a job. A rule with other
// variables, or one for changes, does not let it in for sure; but for a git tag all has changed.
func (p Project) plainly(j *job) bool {
	if !p.runs(j) {
		return false
	}
	if j.in != nil && j.in.trigger != nil {
		if !p.plainly(j.in.trigger) {
			return false
		}
		p.source = "parent_pipeline"
	}
	for _, k := range []string{"only", "except"} {
		if t := j.tree.kid(k); t != nil {
			if k == "only" && p.all && changesAlone(t) && p.source != mergeRequest {
				continue
			}
			if refs, all := refsOf(t); !all || t.kids != nil && t.kid("refs") == nil || slices.ContainsFunc(refs, func(s string) bool { return strings.Contains(s, "/") }) {
				return false
			}
		}
	}
	rules := j.tree.kid("rules")
	if rules == nil {
		return true
	}
	list := items(rules.node)
	for i := 0; i < len(list); i++ {
		rule := deref(list[i])
		if rule == nil || rule.Kind != yaml.MappingNode {
			if rule == nil || rule.Kind != yaml.SequenceNode || rule.Tag == "!reference" || len(list) > maxRules {
				return false
			}
			list = slices.Concat(list[:i+1], rule.Content, list[i+1:])
			continue
		}
		holds, plain := yes, p.all || (p.tag != "" || child(rule, "changes") == nil) && child(rule, "exists") == nil
		if c := child(rule, "if"); c != nil {
			holds = p.condition(c.Value)
			for _, m := range laterVariable.FindAllStringSubmatch(c.Value, -1) {
				plain = plain && gitVariable.MatchString(m[1]+m[2])
			}
		}
		if holds == no {
			continue
		}
		w := child(rule, "when")
		switch never := w != nil && w.Value == "never"; {
		case plain && !never:
			return true
		case plain && holds == yes:
			return false
		}
	}
	return false
}

// changesAlone says whether only: asks for nothing but changed files. The job is for branches
// and git tags then, as one without only:, and for a git tag whatever has changed.
// https://docs.gitlab.com/ci/yaml/deprecated_keywords/#onlychanges--exceptchanges
func changesAlone(only *tree) bool {
	return len(only.kids) == 1 && only.kid("changes") != nil
}

// selectAlike says whether the rules of two jobs of one pipeline ask the same of the pipeline
// alone, such as a pattern: both are in it or neither.
func selectAlike(a, b *job) bool {
	t := a.tree.kid("rules")
	return t != nil && a.in == b.in && sameRules(a, b) && !slices.ContainsFunc(items(t.node), func(n *yaml.Node) bool {
		c := child(deref(n), "if")
		return c == nil || slices.ContainsFunc(laterVariable.FindAllStringSubmatch(c.Value, -1), func(m []string) bool { return !gitVariable.MatchString(m[1] + m[2]) })
	})
}

// selects says whether a job's rules ask for a pattern, which two of them may do so that
// they never meet.
func selects(j *job) bool {
	t := j.tree.kid("rules")
	return t != nil && slices.ContainsFunc(items(t.node), func(n *yaml.Node) bool {
		c := child(n, "if")
		return c != nil && strings.Contains(c.Value, "~")
	})
}
