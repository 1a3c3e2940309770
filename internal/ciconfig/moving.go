package ciconfig

import (
	"regexp"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Tags in ECR are immutable: a second pipeline that pushes latest, a branch
// name or another constant fails. This file finds such tags and decides, image
// by image, what becomes of them; drop.go takes commands out of scripts.
//
//   - Beside a tag that is unique to the build the moving one is dropped: its
//     tag, push, pull and --cache-from. Who uses it gets the unique one.
//   - Where it is the only tag, a unique one takes its place everywhere.
//   - Git tags and release numbers stay: they are pushed once.
//
// Where not every use is known, the tag stays and a finding says so.

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
	"CI_PROJECT_NAME": true, "CI_PROJECT_PATH_SLUG": true, "CI_JOB_NAME": true, "CI_JOB_NAME_SLUG": true, "CI_JOB_STAGE": true,
}

// refVariables name the git tag in a pipeline for a tag.
var refVariables = map[string]bool{"CI_COMMIT_REF_NAME": true, "CI_COMMIT_REF_SLUG": true}

// onlyTags says whether a job runs in pipelines for git tags alone.
func onlyTags(j *job) bool {
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
		c := child(deref(n), "if")
		if c == nil || !strings.Contains(c.Value, "CI_COMMIT_TAG") || strings.Contains(c.Value, "null") || strings.Contains(c.Value, "||") {
			return false
		}
	}
	return len(list) > 0
}

var release = regexp.MustCompile(`(^|-)v?[0-9]+([.-][0-9]+)*$`)

// stability of the use's tag; no tag is latest.
func (u *use) stability() stability {
	ref := u.ref
	if ref.digest >= 0 {
		return uniqueTag
	}
	if ref.colon < 0 {
		return movingTag
	}
	out := movingTag
	for i := ref.colon + 1; i < ref.tagEnd; i++ {
		if ref.f.off[i] >= 0 {
			continue
		}
		switch h := ref.f.t[ref.f.piece[i]].hole; {
		case uniqueVariables[h]:
			return uniqueTag
		case h == "CI_COMMIT_TAG", refVariables[h] && u.job != nil && onlyTags(u.job):
			out = releaseTag
		case !movingVariables[h] && out == movingTag:
			out = unknownTag
		}
	}
	if out == movingTag && release.MatchString(ref.f.s[ref.colon+1:ref.tagEnd]) {
		return releaseTag
	}
	return out
}

// movings are the uses of one image under one moving tag.
type movings struct {
	name, tag string
	all       []*use
	pushes    []*use
	sibling   *use // a push of the same image with a unique tag
}

// movingTags decides what becomes of each moving tag and adds the changes.
func (r *run) movingTags() {
	groups := map[string]*movings{}
	var order []string
	siblings := map[string][]*use{}
	for _, u := range r.uses {
		if !u.ref.own || u.ref.host || u.ref.joined || u.settled || u.role == repositoryRole {
			continue
		}
		if u.role == textRole && u.ref.colon < 0 || u.role == unclearRole && u.ref.colon < 0 {
			continue
		}
		name := u.ref.name()
		st := u.stability()
		if u.push && (st == uniqueTag || st == unknownTag) {
			siblings[name] = append(siblings[name], u)
		}
		if st != movingTag {
			continue
		}
		key := name + "\x00" + tagOf(u)
		g := groups[key]
		if g == nil {
			g = &movings{name: name, tag: tagOf(u)}
			groups[key] = g
			order = append(order, key)
		}
		g.all = append(g.all, u)
		if u.push {
			g.pushes = append(g.pushes, u)
		}
	}
	for _, cluster := range clusters(groups, order) {
		pushed := false
		for _, g := range cluster {
			pushed = pushed || len(g.pushes) > 0
		}
		if !pushed || r.settleMoving(cluster, siblings) {
			continue
		}
		for _, g := range cluster {
			for _, p := range g.pushes {
				r.report("moving-tag", p.at, p.ref.String())
			}
		}
	}
}

// clusters puts the groups together that meet in a word of a script, such as
// the images of a loop: they change together or not at all.
func clusters(groups map[string]*movings, order []string) [][]*movings {
	owner := map[span]int{}
	parent := make([]int, len(order))
	var find func(i int) int
	find = func(i int) int {
		if parent[i] != i {
			parent[i] = find(parent[i])
		}
		return parent[i]
	}
	for i, key := range order {
		parent[i] = i
		for _, u := range groups[key].all {
			if k, ok := owner[u.at]; ok {
				parent[find(i)] = find(k)
			} else {
				owner[u.at] = i
			}
		}
	}
	var out [][]*movings
	at := map[int]int{}
	for i, key := range order {
		root := find(i)
		k, ok := at[root]
		if !ok {
			k = len(out)
			at[root] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], groups[key])
	}
	return out
}

func tagOf(u *use) string {
	if u.ref.colon < 0 {
		return "latest"
	}
	return u.ref.tag()
}

// settleMoving decides a cluster. It changes nothing unless all uses can be
// changed.
func (r *run) settleMoving(cluster []*movings, siblings map[string][]*use) bool {
	var changes []change
	var drops, all []*use
	for _, g := range cluster {
		all = append(all, g.all...)
		for _, u := range g.all {
			if u.bad != "" {
				return false
			}
		}
		var sibling *use
		for _, s := range siblings[g.name] {
			if s.bad == "" && s.stability() == uniqueTag && sameImage(g, s) {
				sibling = s
				break
			}
		}
		var ok bool
		var c []change
		var d []*use
		switch {
		case sibling != nil:
			c, d, ok = r.dropMoving(g, sibling)
		case len(siblings[g.name]) == 0 && !prefixed(g): // a tag that nobody can judge would be there else
			c, d, ok = r.replaceMoving(g)
		}
		if !ok {
			return false
		}
		changes, drops = append(changes, c...), append(drops, d...)
	}
	cut, ok := r.droppable(drops)
	if !ok || !r.free(changes, all) {
		return false
	}
	r.after = append(r.after, changes...)
	r.cuts = append(r.cuts, cut...)
	return true
}

// prefixed says whether a tag of the nameless image looks like that of a named
// one which has its prefix already: api-latest.
func prefixed(g *movings) bool { return g.name == "" && strings.Contains(g.tag, "-") }

// sameImage says whether a push with a unique tag is of the same image. Where
// names are prefixes already, that is the text before what makes it unique.
func sameImage(g *movings, s *use) bool {
	if g.name != "" {
		return true
	}
	prefix, _, _ := strings.Cut(s.ref.tag(), "$")
	rest, ok := strings.CutPrefix(g.tag, prefix)
	return ok && !strings.Contains(rest, "-")
}

// replaceMoving puts a unique tag in the place of the only one.
func (r *run) replaceMoving(g *movings) (changes []change, drops []*use, ok bool) {
	for _, u := range g.all {
		if r.isCache(u) {
			drops = append(drops, u)
			continue
		}
		c, ok := u.tagChange(r.uniqueName())
		if !ok || !r.dependable(g.pushes, u) {
			return nil, nil, false
		}
		changes = append(changes, c)
	}
	return changes, drops, true
}

// dropMoving drops a tag that is pushed beside a unique one.
func (r *run) dropMoving(g *movings, sibling *use) (changes []change, drops []*use, ok bool) {
	for _, p := range g.pushes { // who builds the image must push it under another tag
		if r.buildsIn(p.job, g.name) && !r.pushesUnique(p.job, g) {
			return nil, nil, false
		}
	}
	with, portable := sibling.tagSource()
	for _, u := range g.all {
		if r.isCache(u) || u.push || u.cmd != nil && u.tags() {
			drops = append(drops, u)
			continue
		}
		if u.role == textRole {
			continue // printed only
		}
		c, ok := u.tagChange(with)
		if !ok || !portable || !r.dependable([]*use{sibling}, u) {
			return nil, nil, false
		}
		changes = append(changes, c)
	}
	return changes, drops, true
}

// buildsIn says whether a job builds an image.
func (r *run) buildsIn(j *job, name string) bool {
	for _, u := range r.uses {
		if u.job != j || !u.ref.own || u.cmd == nil || !u.tags() || u.ref.name() != name {
			continue
		}
		if strings.Contains(u.command, " build") || !r.fromSame(u) {
			return true
		}
	}
	return false
}

// fromSame says whether a docker tag only gives another tag to the same image.
func (r *run) fromSame(u *use) bool {
	for _, v := range r.uses {
		if v != u && v.cmd != nil && v.cmd.call == u.cmd.call && v.ref.own && v.ref.name() == u.ref.name() && !v.tags() {
			return true
		}
	}
	return false
}

// pushesUnique says whether a job pushes the image under a tag of the build.
func (r *run) pushesUnique(j *job, g *movings) bool {
	for _, u := range r.uses {
		if u.job == j && u.ref.own && u.push && u.ref.name() == g.name && u.stability() == uniqueTag && sameImage(g, u) {
			return true
		}
	}
	return false
}

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
	for _, v := range r.uses {
		if v.job == u.job && v.lits != nil && strings.Contains(v.command, " build") && v.tags() && v.ref.name() == u.ref.name() {
			return true
		}
	}
	return false
}

// dependable says whether the pipeline that uses an image is sure to have
// pushed it before.
func (r *run) dependable(pushes []*use, u *use) bool {
	for _, p := range pushes {
		if p.job == u.job || p.job == nil || always(p.job) || u.job != nil && sameRules(p.job, u.job) {
			return true
		}
	}
	return false
}

// always says whether nothing keeps a job out of a pipeline.
func always(j *job) bool {
	for _, k := range []string{"rules", "only", "except"} {
		if t := j.tree.kid(k); t != nil && sometimes(t, 0) {
			return false
		}
	}
	w := j.tree.kid("when").value()
	return w != "manual" && w != "never"
}

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
		if w := child(n, "when"); w != nil && w.Value == "manual" {
			found = true
		}
		if n.Value == "schedules" || n.Value == "web" || n.Value == "triggers" {
			found = true
		}
		if c := child(n, "if"); c != nil && (strings.Contains(c.Value, `"schedule"`) || strings.Contains(c.Value, `"web"`)) && strings.Contains(c.Value, "==") {
			found = true
		}
	}
	return found
}

// sameRules says whether two jobs are in the same pipelines by the same words.
func sameRules(a, b *job) bool {
	for _, k := range []string{"rules", "only", "except", "when"} {
		x, y := a.tree.kid(k), b.tree.kid(k)
		if (x == nil) != (y == nil) || x != nil && !equal(x.node, y.node, 0) {
			return false
		}
	}
	return true
}

// equal says whether two nodes say the same.
func equal(a, b *yaml.Node, depth int) bool {
	a, b = deref(a), deref(b)
	if a == b {
		return true
	}
	if a == nil || b == nil || a.Kind != b.Kind || a.Value != b.Value || a.Tag != b.Tag || len(a.Content) != len(b.Content) || depth > maxDepth {
		return false
	}
	for i := range a.Content {
		if !equal(a.Content[i], b.Content[i], depth+1) {
			return false
		}
	}
	return true
}

// uniqueName is the tag that takes the place of a moving one: the platform's,
// where its templates or the project itself set it.
func (r *run) uniqueName() string {
	if r.platform() {
		return "$CI_REGISTRY_TAG"
	}
	for _, f := range r.in.Files {
		if strings.Contains(string(f.Content), "CI_REGISTRY_TAG") {
			return "$CI_REGISTRY_TAG"
		}
	}
	return "$CI_COMMIT_SHA"
}

// platform says whether the platform's templates are included.
func (r *run) platform() bool {
	for _, inc := range append(r.cfg.wanted(), r.cfg.missing...) {
		if strings.HasSuffix(inc.Project, "gitlab-ci-helpers") || strings.Contains(inc.Component, "/ci-components/") {
			return true
		}
	}
	return false
}

// tagChange replaces the tag of a use where name and tag are joined.
func (u *use) tagChange(with string) (change, bool) {
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
		s := f.t[f.piece[ref.end-1]].outer()
		if len(f.via(ref.end-1)) == 0 && f.off[ref.end-1] >= 0 {
			s, _ = f.at(ref.end - 1)
		}
		if s.src == nil || !s.src.editable {
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
// variables and literals only.
func (u *use) tagSource() (string, bool) {
	ref, f := u.ref, u.ref.f
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
		if b.Len() == 0 && i == ref.tagEnd-1 {
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
	for _, u := range r.uses {
		if !u.ref.own || inGroup[u] || u.settled {
			continue
		}
		if len(list.read(u.ref)) > 0 {
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
	for i := u.ref.start; i < u.ref.end; i++ {
		for _, v := range u.ref.f.via(i) {
			if v.within(s) {
				return true
			}
		}
		if p := u.ref.f.t[u.ref.f.piece[i]]; p.hole != "" && p.at.within(s) {
			return true
		}
	}
	return false
}
