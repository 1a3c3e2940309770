package ciconfig

import (
	"bytes"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isCache says whether the use only warms a build cache: --cache-from, or a
// pull in a job that builds the same image afterwards.
func (r *run) isCache(u *use) bool {
	if u.lits == nil {
		return false
	}
	if cacheFlag(u) != "" {
		return true
	}
	if !strings.HasSuffix(u.command, " pull") && !strings.Contains(u.command, " pull") {
		return false
	}
	return !slices.ContainsFunc(u.jobs(), func(j *job) bool { // a line that jobs share may be more in one of them
		return !slices.ContainsFunc(r.uses, func(v *use) bool {
			return v.lits != nil && strings.Contains(v.command, " build") && v.tags() && v.ref.name() == u.ref.name() && slices.Contains(v.jobs(), j)
		})
	})
}

// dependable says whether the pipeline that uses an image is sure to have
// pushed it before.
func (r *run) dependable(pushes []*use, u *use) bool {
	return !slices.ContainsFunc(u.jobs(), func(user *job) bool {
		return !slices.ContainsFunc(pushes, func(p *use) bool { // each job with a line that jobs share may be the one
			return slices.ContainsFunc(p.jobs(), func(j *job) bool { return reliesOn(user, j) })
		})
	})
}

// reliesOn says whether a job is sure to have another in its pipeline.
func reliesOn(j, other *job) bool {
	return other == j || other == nil || j != nil && j.asksFor(other) ||
		starts(other, j) && (always(other, j) && !onDemand(other, j) || j != nil && sameRules(other, j))
}

// starts says whether the pipeline of a is sure to be there when that of b is:
// it is the same or one above it, or nothing keeps its trigger jobs out.
func starts(a, b *job) bool {
	var above []*config
	if b != nil {
		for c := b.in; c != nil; c = c.parent {
			above = append(above, c)
		}
	}
	for c := a.in; c != nil && c.trigger != nil && !slices.Contains(above, c); c = c.parent {
		if !always(c.trigger, nil) && !(b != nil && b.in != nil && b.in.trigger != nil && sameRules(c.trigger, b.in.trigger)) {
			return false
		}
	}
	return true
}

// always says whether nothing keeps a job out of a pipeline, but for what keeps another out
// by the same words.
func always(j, other *job) bool {
	for _, k := range []string{"rules", "only", "except"} {
		if t := j.tree.kid(k); t != nil && sometimes(t, 0) && !(k == "rules" && everywhere(t.node)) && !(k == "except" && other != nil && (sameKey(j, other, k) || leavesOut(t, other))) {
			return false
		}
	}
	return !mayNotStart[j.tree.kid("when").value()]
}

// leavesOut says whether the kinds of pipelines that an except: names have another job
// in none of them, either.
func leavesOut(except *tree, other *job) bool {
	refs, all := refsOf(except)
	return all && other.in != nil && !slices.ContainsFunc(refs, func(ref string) bool {
		return refSources[ref] != "" && other.in.in.Project.as(Project{source: refSources[ref]}).runs(other)
	})
}

// mayNotStart are the values of when: with which a job in a pipeline may not be run at all.
// https://docs.gitlab.com/ci/yaml/#when
var mayNotStart = map[string]bool{"manual": true, "never": true, "on_failure": true}

// sourceOf is a pipeline that a schedule or a person starts, in a condition.
var sourceOf = regexp.MustCompile(`["'](schedule|web)["']`)

// sometimes says whether a job's rules leave it out of ordinary pipelines.
func sometimes(t *tree, depth int) bool {
	for k := range t.kids {
		if k == "changes" || k == "exists" {
			return true
		}
	}
	found := false
	for _, n := range items(t.node) {
		n = deref(n)
		if n == nil {
			continue
		}
		if child(n, "changes") != nil || child(n, "exists") != nil {
			found = true
		}
		if w := child(n, "when"); w != nil && w.Value != "never" && mayNotStart[w.Value] {
			found = true
		}
		if n.Value == "schedules" || n.Value == "web" || n.Value == "triggers" {
			found = true
		}
		if c := child(n, "if"); c != nil && sourceOf.MatchString(c.Value) && strings.Contains(c.Value, "==") {
			found = true
		}
	}
	return found
}

// everywhere says whether rules put a job into every pipeline and start it there, whatever
// their conditions say: one without a condition does, and so does each one before it.
func everywhere(rules *yaml.Node) bool {
	for _, n := range items(rules) {
		n = deref(n)
		if n == nil || n.Kind != yaml.MappingNode {
			return false
		}
		if w := child(n, "when"); w != nil && mayNotStart[w.Value] {
			return false
		}
		if !slices.ContainsFunc(entries(n, 0), func(e entry) bool { return !unconditional[e.key.Value] }) {
			return true
		}
	}
	return false
}

// unconditional are the keys of a rule that say nothing of when it holds.
// https://docs.gitlab.com/ci/yaml/#rules
var unconditional = map[string]bool{"when": true, "start_in": true, "allow_failure": true, "variables": true, "needs": true, "interruptible": true}

// sameRules says whether two jobs are in the same pipelines by the same words.
func sameRules(a, b *job) bool {
	return !slices.ContainsFunc([]string{"rules", "only", "except", "when"}, func(k string) bool { return !sameKey(a, b, k) })
}

// sameKey says whether two jobs have the same under a key, or both nothing.
func sameKey(a, b *job, key string) bool {
	x, y := a.tree.kid(key), b.tree.kid(key)
	return (x == nil) == (y == nil) && (x == nil || equal(x.node, y.node, 0))
}

// equal says whether two nodes of rules say the same: a condition may have its strings in
// either quotes, and whether a job may fail is another matter.
func equal(a, b *yaml.Node, depth int) bool {
	a, b = deref(a), deref(b)
	if a == b {
		return true
	}
	if a == nil || b == nil || a.Kind != b.Kind || strings.ReplaceAll(a.Value, `"`, "'") != strings.ReplaceAll(b.Value, `"`, "'") || a.Tag != b.Tag || depth > maxDepth {
		return false
	}
	return slices.EqualFunc(binding(a), binding(b), func(x, y *yaml.Node) bool { return equal(x, y, depth+1) })
}

// binding is what a node of rules holds without the key allow_failure.
func binding(n *yaml.Node) []*yaml.Node {
	if n.Kind == yaml.MappingNode {
		for i := 0; i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == "allow_failure" {
				return slices.Concat(n.Content[:i], n.Content[i+2:])
			}
		}
	}
	return n.Content
}

// uniqueName is the tag that takes the place of a moving one: the platform's,
// where its templates or the project itself set it.
func (r *run) uniqueName() string {
	if len(r.cfg.kids) > 0 {
		return "$CI_COMMIT_SHA" // the same in every child pipeline
	}
	if r.platform() {
		return "$CI_REGISTRY_TAG"
	}
	for _, f := range r.in.Files {
		if bytes.Contains(f.Content, []byte("CI_REGISTRY_TAG")) {
			return "$CI_REGISTRY_TAG"
		}
	}
	return "$CI_COMMIT_SHA"
}

// platform says whether the platform's templates are included.
func (r *run) platform() bool {
	return slices.ContainsFunc(r.cfg.includes(), func(inc Include) bool { return platformTemplate(inc, "") })
}

// platformComponent is where the platform's components are: right below the host, or in
// its group there. Other groups have projects of that name, too.
var platformComponent = regexp.MustCompile(`^[^/]+/(platon/)?ci-components/(.*)`)

// platformTemplate says whether an include is one of the platform's: its helpers, or a
// component whose name begins as given.
func platformTemplate(inc Include, component string) bool {
	m := platformComponent.FindStringSubmatch(inc.Component)
	return inc.Kind == "project" && strings.HasSuffix(inc.Project, "gitlab-ci-helpers") || m != nil && strings.HasPrefix(m[2], component)
}

// tagChange replaces the tag of a use where name and tag are joined. HCL, Dockerfiles and the
// templates of charts know no variables but their own.
func (u *use) tagChange(with string) (change, bool) {
	c, ok := u.tagPlace(with)
	return c, ok && !isHCL(c.path()) && !isDockerfile(c.path()) && !(u.command == "chart" && c.src == u.at.src)
}

func (u *use) tagPlace(with string) (change, bool) {
	ref, f := u.ref, u.ref.f
	if u.style == thirdStyle {
		return change{}, false
	}
	if ref.colon < 0 { // "-latest" was going to be put in
		for _, c := range u.changes {
			if c.start == c.end && strings.HasSuffix(c.with, "-latest") {
				c.with = strings.TrimSuffix(c.with, "latest") + with
				return c, true
			}
		}
		if ref.sep >= 0 {
			return change{}, false
		}
		s, why := u.behind(ref.end - 1)
		if why != "" || !s.src.editable {
			return change{}, false
		}
		return change{span: span{s.src, s.end, s.end}, with: ":" + with}, true
	}
	if ref.tagEnd <= ref.colon+1 {
		return change{}, false
	}
	level := f.via(ref.colon)
	from, ok := f.level(ref.colon+1, level)
	to, fine := f.level(ref.tagEnd-1, level)
	if !ok || !fine || from.src != to.src || from.start >= to.end || !from.src.editable {
		return change{}, false
	}
	if strings.Contains(span{from.src, from.start, to.end}.text(), "{") && strings.HasPrefix(with, "$") && !strings.HasPrefix(with, "${") && !strings.ContainsAny(with[1:], "$-.{") {
		with = "${" + with[1:] + "}"
	}
	return change{span: span{from.src, from.start, to.end}, with: with}, true
}

// level is where byte i is written, or expanded, seen from the text that the
// chain leads to.
func (f *flat) level(i int, chain []span) (span, bool) {
	via := f.via(i)
	if !above(chain, via) {
		return span{}, false
	}
	if len(via) > len(chain) {
		return via[len(chain)], true
	}
	if f.off[i] < 0 {
		return f.t[f.piece[i]].at, f.t[f.piece[i]].at.src != nil
	}
	return f.at(i)
}

// tagSource is a tag as text that means the same everywhere: predefined
// variables and literals only; and the beginning of one, or one beside the git tag, which only
// a shell takes.
func (u *use) tagSource() (string, bool) {
	ref, f := u.ref, u.ref.f
	switch {
	case u.gitTagged:
		return "${CI_COMMIT_TAG:-$" + strings.Trim(u.retagged, "${}") + "}", true
	case u.retagged != "":
		return u.retagged, true
	}
	if ref.colon < 0 {
		return "", false
	}
	var b strings.Builder
	for i := ref.colon + 1; i < ref.tagEnd; i++ {
		if f.off[i] >= 0 {
			b.WriteByte(f.s[i])
			continue
		}
		h := f.t[f.piece[i]].hole
		if !strings.HasPrefix(h, "CI_") {
			return "", false
		}
		if b.Len() == 0 && i == ref.tagEnd-1 && !strings.Contains(h, ":") {
			b.WriteString("$" + h)
		} else {
			b.WriteString("${" + h + "}")
		}
	}
	return b.String(), true
}

// free says whether changes of tags meet no other reader: the bytes belong to
// references of this group alone.
func (r *run) free(changes []change, group []*use) bool {
	wanted := map[span]map[string]bool{}
	for _, c := range changes {
		if wanted[c.span] == nil {
			wanted[c.span] = map[string]bool{}
		}
		wanted[c.span][c.with] = true
		if len(wanted[c.span]) > 1 {
			return false
		}
	}
	inGroup := map[*use]bool{}
	for _, u := range group {
		inGroup[u] = true
	}
	list := byPlace(wanted)
	for _, u := range r.index().meeting(changes) {
		if inGroup[u] || u.settled {
			continue
		}
		if len(list.readBy(u)) > 0 {
			return false
		}
		for _, c := range changes {
			if u.readsThrough(c.span) {
				return false
			}
		}
	}
	return true
}

// readsThrough says whether an expansion that lies in s brought in a part of
// the use's tag.
func (u *use) readsThrough(s span) bool {
	f := u.ref.f
	for i := u.ref.start; i < u.ref.end; i++ {
		if i > u.ref.start && f.piece[i] == f.piece[i-1] {
			continue
		}
		p := &f.t[f.piece[i]]
		if p.hole != "" && p.at.within(s) || slices.ContainsFunc(p.via, func(v span) bool { return v.within(s) }) {
			return true
		}
	}
	return false
}
