package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// No tag has slashes, and a value with slashes may be a path as well: they become dashes
// where the value is put into a name.

// dashed turns the slashes of a value that comes from a variable into dashes
// where the variable is expanded, and the colon if the value brings the tag. The
// variable itself may also be a path, or the name of an image elsewhere.
func (r *run) dashed(u *use, i int) {
	f := u.ref.f
	base := f.via(u.ref.base - 1)
	via := f.via(i)
	n := 0
	for n < len(via) && n < len(base) && via[n] == base[n] {
		n++
	}
	at := via[n]
	if u.replaced(at) {
		return
	}
	if u.shell && r.inScript(at) {
		from := "/"
		if c := u.ref.colon; c >= 0 && !above(f.via(c), base) && f.via(c)[n] == at { // it brings the tag, too
			from = ":/"
		}
		u.change(change{span: at, with: "$(echo " + at.text() + " | tr " + from + " -)", soft: true})
		return
	}
	value, ok := u.brought(at)
	for _, v := range r.uses {
		if was, all := v.brought(at); was != "" {
			ok = ok && all && was == value
		}
	}
	if !ok || u.document || strings.ContainsRune(value, gap) {
		u.bad = "name-with-slash"
		return
	}
	u.change(change{span: at, with: naming.Prefix(value)})
}

// brought is what an expansion brings into the name; ok says that it is written in a
// file and brings nothing else.
func (u *use) brought(at span) (value string, ok bool) {
	f, ref := u.ref.f, u.ref
	under := func(i int) bool { return i >= 0 && i < len(f.s) && slices.Contains(f.via(i), at) }
	var b strings.Builder
	ok = ref.sep >= 0 && !under(ref.sep) && !under(ref.nameEnd)
	for i := max(ref.sep, 0); i < ref.nameEnd; i++ {
		if under(i) {
			b.WriteByte(f.s[i])
			ok = ok && f.t[f.piece[i]].at.src != nil
		}
	}
	return b.String(), ok
}

// wholeBase says whether the base is written beside the expansion that brings the
// tag, or comes out of a variable of the pipeline there, and not out of text that a
// script has taken apart.
func (r *run) wholeBase(base, via []span) bool {
	n := len(commonVia(base, via))
	if n == len(base) {
		return true
	}
	m := expands.FindStringSubmatch(base[n].text())
	return m != nil && r.defined(m[1])
}

// replaced turns the slashes of a value into dashes where HCL puts it into a string.
func (u *use) replaced(at span) bool {
	inner, ok := strings.CutPrefix(at.text(), "${")
	if !ok || !isHCL(at.path()) {
		return false
	}
	inner = strings.TrimSuffix(inner, "}")
	u.change(change{span: at, with: "${replace(" + strings.TrimSpace(inner) + `, "/", "-")}`, soft: true})
	return true
}

// inScript says whether a shell reads what stands at a place. In the variables of
// a CI file nothing runs a command substitution.
func (r *run) inScript(at span) bool {
	if at.src == nil || !isYAML(at.src.path) {
		return true
	}
	for ch := range r.lineOf {
		if s := ch.span(0, len(ch.text)); s.src == at.src && s.start <= at.start && at.end <= s.end {
			return true
		}
	}
	return false
}

// branchy says whether a predefined variable may hold a slash.
func branchy(name string) bool {
	switch name {
	case "CI_COMMIT_REF_NAME", "CI_COMMIT_BRANCH", "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", "CI_MERGE_REQUEST_TARGET_BRANCH_NAME", "CI_BUILD_REF_NAME", "CI_ENVIRONMENT_NAME":
		return true
	}
	return false
}

// dashedHole turns the slashes of a branch name into dashes.
func (r *run) dashedHole(u *use, i int) {
	at, alone := u.holePlace(i)
	switch {
	case u.replaced(at):
		return
	case slugged[u.ref.f.t[u.ref.f.piece[i]].hole] && r.slugs():
		if alone {
			u.change(change{span: at, with: "$CI_COMMIT_REF_SLUG"})
			return
		}
		fallthrough
	case !u.shell, !r.inScript(at):
		u.bad = "name-with-slash"
		return
	}
	if p := u.ref.f.t[u.ref.f.piece[i]]; strings.HasPrefix(at.text(), "$(echo ") || p.hole == unknown && slashless.MatchString(p.at.text()) {
		return
	}
	from := "/"
	if r.mayBringTag(u, i, at) {
		from = ":/"
	}
	u.change(change{span: at, with: "$(echo " + at.text() + " | tr " + from + " -)", soft: true})
}

// mayBringTag says whether the output of a command at byte i ends a reference without a tag,
// wherever it is put in there: it may have one, as the lines of a list of images to mirror.
func (r *run) mayBringTag(u *use, i int, at span) bool {
	ends := func(ref *reference) bool { return ref.colon < 0 && ref.digest < 0 && ref.nameEnd == ref.end }
	if u.ref.f.t[u.ref.f.piece[i]].hole != unknown || i != u.ref.nameEnd-1 || !ends(u.ref) {
		return false
	}
	return !slices.ContainsFunc(r.uses, func(v *use) bool {
		brought, _ := v.brought(at)
		return brought != "" && !ends(v.ref)
	})
}

// slashless is a command whose output has no slash.
var slashless = regexp.MustCompile("^(\\$\\(|`)basename [^|;&]*$")

// slugged are the names of branches that GitLab gives with dashes as $CI_COMMIT_REF_SLUG.
var slugged = map[string]bool{"CI_COMMIT_REF_NAME": true, "CI_COMMIT_BRANCH": true, "CI_BUILD_REF_NAME": true, "CI_MERGE_REQUEST_SOURCE_BRANCH_NAME": true}

// holePlace is where the branch at byte i alone is put into a name. alone says that this
// place brings nothing else, and as it is.
func (u *use) holePlace(i int) (at span, alone bool) {
	p := u.ref.f.t[u.ref.f.piece[i]]
	at = p.at
	if n := len(commonVia(p.via, u.ref.f.via(u.ref.base-1))); n < len(p.via) {
		at = p.via[n]
		value, ok := u.brought(at)
		return at, ok && value == string(gap) && wholeExpansion.MatchString(at.text())
	}
	return at, wholeExpansion.MatchString(at.text())
}

var wholeExpansion = regexp.MustCompile(`^\$(\w+|\{\w+\})$`)

// slugs says whether branches in names are written as their slugs: where one of them
// stands in the variables of a CI file, which run no command. It has to be one way for
// all: a slug has dashes for more than slashes.
func (r *run) slugs() bool {
	if r.slugged == nil {
		found := false
		for _, u := range r.uses {
			for i := u.ref.sep + 1; u.ref.own && u.ref.sep >= 0 && i < u.ref.nameEnd; i++ {
				if p := u.ref.f.t[u.ref.f.piece[i]]; slugged[p.hole] {
					at, alone := u.holePlace(i)
					found = found || alone && (!u.shell || !r.inScript(at))
				}
			}
		}
		r.slugged = &found
	}
	return *r.slugged
}
