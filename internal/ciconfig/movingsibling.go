package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// A tag that moves goes where the same image has one beside it that is pushed once: its sibling.

// takesTag is the change by which a use gets the tag of a sibling, which is the one or the
// other where it has alternatives.
func (u *use) takesTag(with string, sibling *use) (change, bool) {
	c, ok := u.tagChange(with)
	switch u.retagged = braces(with); {
	case sibling.gitTagged:
		u.retagged, u.gitTagged = sibling.retagged, true
	case defaultsTag.MatchString(with):
		u.retagged = bracedTail(tagOf(sibling))
	}
	return c, ok
}

// defaultsTag is the git tag, and in other pipelines a tag of the build.
var defaultsTag = regexp.MustCompile(`^\$\{CI_COMMIT_TAG:?-\$\{?CI_\w+\}?\}$`)

// tagOfSibling is the tag of a sibling as text, what pushes it, and where the text means the
// same: what the sibling has in some pipelines only is not what others have.
func (r *run) tagOfSibling(sibling *use) (with string, there []*use, portable func(u *use, at change) bool) {
	with, ok := sibling.tagSource()
	read := func(u *use, at change) bool { return u.cmd != nil && u.shell && !u.document && r.inScript(at.span) }
	other := r.alternative(sibling)
	if sibling.gitTagged {
		return with, []*use{sibling}, read
	}
	if other == nil {
		return with, []*use{sibling}, func(u *use, at change) bool { return ok && (!strings.Contains(with, ":") || read(u, at)) }
	}
	if c, found := sibling.tagPlace(""); found && sibling.shell && r.inScript(c.span) && defaultsTag.MatchString(c.text()) {
		return c.text(), []*use{sibling, other}, read
	}
	return with, []*use{sibling}, func(u *use, _ change) bool { return ok && u.job == sibling.job && u.at == sibling.at }
}

// alternative is another tag that a push has in its place, in other pipelines or on another
// way through the script.
func (r *run) alternative(u *use) *use {
	for _, v := range r.usesAt(u.at) {
		if v != u && v.push == u.push && (v.arg == u.arg || u.ofOneElement(v)) && v.sharesJob(u) && v.ref.own && v.ref.name() == u.ref.name() && tagOf(v) != tagOf(u) && !u.otherTurn(v) {
			return v
		}
	}
	return nil
}

// ofOneElement says whether two tags in a word that is an array are written in one place there.
func (u *use) ofOneElement(v *use) bool {
	if u.cmd == nil || v.cmd == nil || u.cmd.call != v.cmd.call || !isArray(u.cmd.words[u.index]) || !isArray(v.cmd.words[v.index]) {
		return false
	}
	written := func(u *use) span {
		pieces := u.tagPieces()
		if len(pieces) == 0 || len(pieces[0].via) == 0 {
			return span{}
		}
		return pieces[0].under(pieces[0].via[:1])
	}
	at := written(u)
	return at.src != nil && at == written(v)
}

// sharesJob says whether one job has both uses.
func (u *use) sharesJob(v *use) bool {
	return u.job == v.job || (len(u.also) > 0 || len(v.also) > 0) && slices.ContainsFunc(v.jobs(), func(j *job) bool { return slices.Contains(u.jobs(), j) })
}

// otherTurn says whether two uses are of two turns of a loop, which takes both. A rule's value
// does not show its turn.
func (u *use) otherTurn(v *use) bool {
	a, b := u.turn(), v.turn()
	return a != nil && b != nil && a.among == b.among && a.differs(b) || (a == nil) != (b == nil)
}

// turn is the turn of a loop that gives a use its tag, nil for none.
func (u *use) turn() *choice {
	for _, p := range u.tagPieces() {
		if p.by != nil && p.by.turn {
			return p.by
		}
	}
	return nil
}

// begets says whether a docker tag, or a copy, makes the sibling out of the moving tag: the
// sibling is not there yet.
func (r *run) begets(u, sibling *use) bool {
	for _, v := range r.uses {
		if v != u && v.cmd != nil && u.cmd != nil && v.cmd.call == u.cmd.call && (v.tags() || v.push) && v.ref.own && v.ref.name() == sibling.ref.name() && tagOf(v) == tagOf(sibling) {
			return true
		}
	}
	return false
}

// sibling is a push of the same image under a tag that every pipeline pushes
// once: one of the build, or, where only pipelines for git tags push the moving
// one, the git tag.
func (r *run) sibling(g *movings, pushes []*use) *use {
	home := pushers(g.pushes)
	builds := slices.ContainsFunc(g.pushes, func(p *use) bool { return r.mayBuildIn(p.job, g.name) })
	var found *use
	for _, s := range pushes {
		if r.never(g, s) || builds && !slices.ContainsFunc(s.jobs(), func(j *job) bool { return j == nil || j.hidden || slices.Contains(home, j) }) {
			continue // another image, of another job, or none
		}
		if s.bad == "" && s.stability() == uniqueTag && sameImage(g, s) && !r.partOf(g, s) && (found == nil || r.overrules(s.job, found.job)) {
			found = s
		}
	}
	if found != nil {
		return found
	}
	if s := r.copied(g); s != nil {
		return s
	}
	if !g.released() {
		return nil
	}
	for _, s := range r.index().named[g.name] {
		if s.push && s.bad == "" && s.lasts(g) && sameImage(g, s) && !r.partOf(g, s) {
			return s
		}
	}
	return nil
}

// overrules says whether what a job pushes under a moving tag comes after, and so in place of,
// what another one of the same pipeline does.
func (r *run) overrules(j, other *job) bool {
	return j != nil && other != nil && j != other && j.in == other.in && j.follows(other) && !other.follows(j) && r.in.Project.plainlyTogether(j, other)
}

// copied is the use that a command copies a moving tag from, when that is the
// same image under a tag of the build: crane tag $B/api:$CI_COMMIT_SHA latest; or under one
// that has become a tag of the build and is pushed itself: docker tag $B:$CI_COMMIT_REF_SLUG $B:latest.
func (r *run) copied(g *movings) *use {
	for _, p := range g.all {
		if p.cmd == nil || !p.push && !p.tags() {
			continue
		}
		for _, u := range r.index().calls[p.cmd.call] {
			if u == p || u.push || u.bad != "" || !u.ref.own || u.ref.name() != g.name || u.tags() || !sameImage(g, u) || r.partOf(g, u) {
				continue
			}
			if p.push && u.stability() == uniqueTag || !p.push && u.retagged != "" {
				return u
			}
		}
	}
	return nil
}

// sameImage says whether a push with a unique tag is of the same image: one build
// gives it both. Where names are prefixes already, the image is the text before
// what makes the tag unique.
func sameImage(g *movings, s *use) bool {
	if g.name != "" || slices.ContainsFunc(g.all, func(u *use) bool { return u.builtWith(s) }) {
		return true
	}
	prefix, _, _ := strings.Cut(s.ref.tag(), "$")
	rest, ok := strings.CutPrefix(g.tag, prefix)
	return ok && !strings.Contains(rest, "-")
}

// builtWith says whether one build gives an image the tags of both uses.
func (u *use) builtWith(s *use) bool {
	return u.cmd != nil && s.cmd != nil && u.cmd.call == s.cmd.call && strings.Contains(u.command, " build") && u.tags() && s.tags() && u.ref.name() == s.ref.name()
}
