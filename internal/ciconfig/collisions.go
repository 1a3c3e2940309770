package ciconfig

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// collisions reports different old images that would get one new reference:
// a/b and a-b, api:v1-x and api-v1:x. One of them would be pushed over the
// other, or its push refused, and nothing would tell them apart.
func (r *run) collisions() {
	gone := r.gone()
	same := map[string][]*oldImage{}
	uses := slices.Concat(r.uses, r.composePushes())
	for n, u := range uses {
		if !u.ref.own || u.ref.host || u.ref.joined || gone[u] || !u.push && !(u.cmd != nil && u.tags()) || u.role == repositoryRole {
			continue
		}
		to, name, tag := u.target(), u.ref.name(), tagOf(u)
		var mine *oldImage
		first := n
		for _, o := range same[to] {
			if o.name == name && o.tag == tag {
				mine = o
			} else if i := slices.IndexFunc(o.uses, func(v int) bool { return r.meet(u, uses[v]) }); i >= 0 {
				first = min(first, o.uses[i])
			}
		}
		if first < n {
			r.report("tag-collision", u.at, fmt.Sprintf("%s and %s would both be $CI_REGISTRY_IMAGE:%s", uses[first].ref, u.ref, to))
		}
		if mine == nil {
			mine = &oldImage{name: name, tag: tag, seen: map[oldUse]bool{}}
			same[to] = append(same[to], mine)
		}
		if like := (oldUse{u.cluster, u.push, u.job}); !mine.seen[like] {
			mine.seen[like] = true
			mine.uses = append(mine.uses, n)
		}
	}
}

// oldImage is an image under its old name and tag, with its uses by their place in the list of
// all, of those that are alike the first.
type oldImage struct {
	name, tag string
	uses      []int
	seen      map[oldUse]bool
}

// oldUse is what tells the uses of an image from one another.
type oldUse struct {
	cluster int
	push    bool
	job     *job
}

// gone are the uses that are taken out.
func (r *run) gone() map[*use]bool {
	out := make(map[*use]bool, len(r.cuts))
	for _, u := range r.cuts {
		out[u] = true
	}
	return out
}

// meet says whether two uses with one new reference are of different images, or push
// one image twice in a pipeline, under tags that were not the same before.
func (r *run) meet(u, v *use) bool {
	if u.ref.name() != v.ref.name() {
		return true
	}
	if tagOf(u) == tagOf(v) || !u.push || !v.push {
		return false
	}
	if u.cluster == v.cluster {
		return bothPushed(u, v)
	}
	return slices.ContainsFunc(u.jobs(), func(j *job) bool {
		return slices.ContainsFunc(v.jobs(), func(k *job) bool { return r.in.Project.together(j, k) })
	})
}

// jobs are all jobs with the use's line, nil for a file that no job is seen to read.
func (u *use) jobs() []*job { return append([]*job{u.job}, u.also...) }

// target is the tag that the use's reference gets, variables unexpanded.
func (u *use) target() string {
	tag := tagOf(u)
	if u.retagged != "" {
		tag = u.retagged
	}
	if u.bad == "" {
		if p := prefixOf(u.ref.name()); p != "" {
			return p + "-" + tag
		}
		return tag
	}
	if n := u.ref.name(); n != "" {
		return strings.ToLower(n) + ":" + tag // it stays what it was
	}
	return tag
}

// successor is the tag of the build that takes the place of a moving one. Where
// an image has several moving tags, each keeps what tells it from the others:
// dev becomes dev-$CI_COMMIT_SHA, and debug-$CI_COMMIT_REF_SLUG
// debug-$CI_COMMIT_SHA.
func (r *run) successor(g *movings, siblings map[string][]*use) string {
	unique, literal := r.uniqueFor(g, siblings), g.literal()
	switch {
	case literal != "" && r.takenBy(g, unique, siblings): // and pipelines with children have several numbers
		return literal + "-" + unique
	case r.takenBy(g, unique, siblings):
		return g.tag + "-" + unique
	case g.tail:
		return g.tag[:strings.LastIndexByte(g.tag, '$')] + unique
	case g.kept:
		return g.tag + "-" + unique
	case !g.several || literal == "" || literal == "latest" && !g.beside:
		return unique
	}
	return literal + "-" + unique
}

// uniqueFor is what makes a moving tag one of the build. Where the image is pushed under
// that tag already, or in several pipelines of one commit, the number of the pipeline
// takes its place.
func (r *run) uniqueFor(g *movings, siblings map[string][]*use) string {
	unique := r.uniqueName()
	again := r.takenBy(g, unique, siblings) ||
		ofACommit.MatchString(unique) && slices.ContainsFunc(g.pushes, func(p *use) bool {
			return slices.ContainsFunc(p.jobs(), func(j *job) bool {
				if j == nil || j.hidden {
					return false
				}
				kinds := r.sameCommit(p, j)
				return r.scheduledToo(j) || slices.Contains(kinds, forMerges) || slices.Contains(kinds, forTags) && !r.keepsGitTag(g, unique) ||
					slices.ContainsFunc(pushers(g.pushes), func(k *job) bool { return k != j && pair(r.pipelines(j), r.pipelines(k)) != "" })
			})
		})
	if again && len(r.cfg.kids) == 0 {
		return "$CI_PIPELINE_ID"
	}
	return unique
}

// takenBy says whether an image with a moving tag is pushed under another tag, too, or one
// that may have its name.
func (r *run) takenBy(g *movings, tag string, siblings map[string][]*use) bool {
	tag = braces(tag)
	taken := func(s *use) bool { return tagOf(s) == tag && mayBeSame(s.ref.name(), g.name) }
	for _, list := range siblings {
		if slices.ContainsFunc(list, taken) {
			return true
		}
	}
	return slices.ContainsFunc(r.composePushes(), taken)
}

// pushers are the jobs that make some pushes.
func pushers(pushes []*use) (out []*job) {
	for _, p := range pushes {
		for _, j := range p.jobs() {
			if j != nil && !j.hidden && !slices.Contains(out, j) {
				out = append(out, j)
			}
		}
	}
	return out
}

// literal is what is written out of a moving tag, without its variables.
func (g *movings) literal() string {
	var out []string
	for _, w := range strings.Split(g.tag, "-") {
		if w != "" && !strings.Contains(w, "$") {
			out = append(out, w)
		}
	}
	return strings.Join(out, "-")
}

// severalTags marks the images that are pushed under more than one moving tag
// in places that do not hang together.
func severalTags(all [][]*movings) {
	type seen struct {
		cluster int
		several bool
		beside  bool
	}
	names := map[string]*seen{}
	each := func(f func(i int, g *movings)) {
		for i, c := range all {
			for _, g := range c {
				if len(g.pushes) > 0 {
					f(i, g)
				}
			}
		}
	}
	each(func(i int, g *movings) {
		s := names[g.name]
		if s == nil {
			s = &seen{cluster: i}
			names[g.name] = s
		}
		s.several = s.several || s.cluster != i
		s.beside = s.beside || g.literal() == ""
	})
	each(func(i int, g *movings) { g.several, g.beside = names[g.name].several, names[g.name].beside })
	open := map[string]*regexp.Regexp{}
	for name := range names {
		if may := mayBeNamed(name); may != nil { // a name that may be another's
			open[name] = may
		}
	}
	if len(open)*len(names) > maxOpen {
		return
	}
	each(func(i int, g *movings) {
		if open[g.name] == nil {
			return
		}
		each(func(k int, o *movings) {
			if i != k && g.tag != o.tag && (fits(open[g.name], o.name) || fits(open[o.name], g.name)) {
				g.several, o.several = true, true
				g.beside, o.beside = g.beside || o.literal() == "", o.beside || g.literal() == ""
			}
		})
	})
}
