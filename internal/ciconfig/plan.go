package ciconfig

import (
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// change replaces a run of source bytes.
type change struct {
	span
	with string
	soft bool // other readers of these bytes need not ask for it
}

// The ways to join name and tag. The first leaves the name where it was, joined
// to the tag by a dash: IMAGE=$B:api, $IMAGE-$TAG. The second keeps the
// repository bare and writes the name before the tag: IMAGE=$B,
// $IMAGE:api-$TAG; it is needed where something else wants the bare repository.
// The third puts the name into the tag's own variable: IMAGE=$B, TAG=api-$SHA,
// $IMAGE:$TAG; it is needed where one line serves several images.
const (
	firstStyle = iota
	secondStyle
	thirdStyle
)

// maxUses bounds what is compared with one another. The largest real project
// seen has 1200.
const maxUses = 5000

// plan decides the changes of every use and drops those that contradict each
// other. Where the first way of joining contradicts itself, the next is tried
// for that definition.
func (r *run) plan() []change {
	if len(r.uses) > maxUses {
		r.report("too-many", r.uses[0].at, "")
		return nil
	}
	r.oldPushes()
	style := r.styles()
	was := make([]Code, len(r.uses))
	for i, u := range r.uses {
		was[i] = u.bad
	}
	for round := 0; ; round++ {
		for i, u := range r.uses {
			u.bad, u.changes, u.style, u.unslashed = was[i], nil, firstStyle, false
			if s, _ := u.separator(); s.src != nil {
				u.style = style[s]
			}
			if u.bad == "" && u.ref.own && !u.ref.host && !u.settled {
				r.changesOf(u)
			}
		}
		r.settle()
		r.guardTags()
		r.settle()
		if round == 4 || !r.otherStyle(style) {
			break
		}
	}
	all := r.allTags()
	r.registryCaches()
	r.movingTags()
	r.baseArgs()
	r.notFilled()
	r.pushEach(all)
	return r.collect()
}

// collect puts the changes of all uses together. What was decided later wins
// over what was decided for the same place before.
func (r *run) collect() []change {
	var out []change
	index := map[span]int{}
	put := func(c change) {
		if i, ok := index[c.span]; ok {
			out[i] = c
			return
		}
		index[c.span] = len(out)
		out = append(out, c)
	}
	for _, u := range r.uses {
		if u.bad != "" {
			continue
		}
		for _, c := range u.changes {
			put(c)
		}
	}
	for _, c := range r.after {
		put(c)
	}
	cut := r.cut(r.cuts)
	r.dropped = cut.jobs
	for _, j := range cut.jobs {
		r.report("job-dropped", j.at(r.cfg), j.name)
	}
	for _, u := range r.cuts {
		if u.cmd != nil && cut.asked[u.cmd.call] {
			r.reportWhy(Warning, "tag-dropped", u.place(), u.ref.String(), "the image was built only where none was found under it, and is built in each pipeline now").
				Remedy = "see that this is what you want; an image that few pipelines build can be kept in the GitLab Container Registry"
		}
	}
	out = slices.DeleteFunc(out, func(c change) bool { // what stood behind text that goes, goes
		return c.start == c.end && slices.ContainsFunc(cut.changes, func(k change) bool {
			return k.src == c.src && k.with == "" && k.start < c.start && c.start <= k.end
		})
	})
	out = append(out, cut.changes...)
	out = append(out, r.fillIn(out)...)
	out = append(out, r.nameInLists(out)...)
	for i, c := range out {
		if isMakefile(c.path()) {
			out[i].with = inMakefile(c.with)
		}
	}
	return inQuotes(append(out, r.declarations(out)...))
}

// otherStyle moves the definitions of contradicting uses to their next style.
func (r *run) otherStyle(style map[span]int) bool {
	bump := map[span]bool{}
	for _, u := range r.uses {
		if s, shared := u.separator(); shared && u.bad == "uses-disagree" && style[s] < thirdStyle {
			bump[s] = true
		}
	}
	for s := range bump {
		style[s]++
	}
	return len(bump) > 0
}

// styles finds the definitions that need the second or third way from the start.
func (r *run) styles() map[span]int {
	style := map[span]int{}
	for _, u := range r.uses {
		s, shared := u.separator()
		if u.third && s.src != nil {
			style[s] = thirdStyle
		}
		if u.bad == "all-tags" { // that command is replaced as a whole, or blocks
			continue
		}
		if shared && style[s] != thirdStyle && (u.pair || u.ref.untagged() || u.role == repositoryRole && u.ref.colon < 0 || u.ref.digest >= 0 && u.ref.colon < 0) {
			style[s] = secondStyle
		}
	}
	return style
}

// separator is where the separator before the name is written, and whether that
// is a definition which other uses may share.
func (u *use) separator() (s span, shared bool) {
	ref := u.ref
	if !ref.own || ref.sep < 0 || u.keyed {
		return span{}, false
	}
	s, ok := ref.f.at(ref.sep)
	return s, ok && len(ref.f.via(ref.sep)) > 0
}

// longestName bounds the bytes of a name; docker takes 255 with the registry's.
// https://github.com/distribution/reference/blob/main/reference.go
const longestName = 1000

// changesOf finds the changes that one use needs.
func (r *run) changesOf(u *use) {
	ref := u.ref
	f := ref.f
	if ref.nameEnd-ref.sep > longestName {
		u.bad = "name-unknown"
		return
	}
	slashes := ref.sep >= 0 && strings.Trim(f.s[ref.sep+1:ref.nameEnd], "/") == "" // and nothing else
	if ref.joined || slashes || ref.open && ref.colon < 0 && ref.digest < 0 && u.role != textRole {
		u.bad = "name-unknown"
		if u.lits != nil && stringTools[u.lits[0]] {
			u.bad = "string-operation"
		}
		return
	}
	if ref.colon < 0 && ref.digest < 0 && (ref.sep >= 0 || strings.HasPrefix(u.command, "helm push")) && strings.HasSuffix(f.s[:ref.start], "oci://") {
		u.bad = "chart-push"
		return
	}
	if u.keyed {
		if u.bare {
			u.prefixBare()
		}
		return
	}
	if !r.baseChange(u) {
		return
	}
	if ref.sep < 0 {
		return
	}
	if u.style != firstStyle || u.pair || u.role == repositoryRole && ref.colon < 0 || ref.digest >= 0 && ref.colon < 0 {
		r.prefixAtTag(u)
		return
	}
	base := f.via(ref.base - 1)
	if u.optional(base) || u.led(base) {
		return
	}
	u.replace(ref.sep, ":", base)
	for i := ref.sep + 1; i < ref.nameEnd && u.bad == ""; i++ {
		c := f.s[i]
		if h := f.t[f.piece[i]].hole; c == gap && (branchy(h) || h == unknown && u.shell) {
			r.dashedHole(u, i)
			continue
		}
		if c != '/' && (c < 'A' || c > 'Z') || f.off[i] < 0 {
			continue
		}
		if !above(f.via(i), base) {
			if c == '/' { // no registry takes capitals, so such a value is used elsewhere
				r.dashed(u, i)
			}
			continue
		}
		if c == '/' {
			u.replace(i, "-", base)
		} else {
			u.replace(i, strings.ToLower(string(c)), base)
		}
	}
	switch {
	case u.bare:
		u.prefixBare()
		return
	case ref.colon >= 0:
		if !above(f.via(ref.colon), base) && u.shell && r.wholeBase(base, f.via(ref.colon)) {
			r.dashed(u, ref.colon)
			return
		}
		u.replace(ref.colon, "-", base)
		return
	}
	switch u.role {
	case imageRole:
		u.insertAfter(ref.end-1, "-latest")
	case listRole:
		u.insertAfter(ref.end-1, "-*")
	case unclearRole:
		u.bad = "tag-elsewhere"
	}
}

// baseChange replaces another spelling of the base by $CI_REGISTRY_IMAGE.
func (r *run) baseChange(u *use) bool {
	ref := u.ref
	f := ref.f
	if ref.baseIsVariable {
		return true
	}
	first, last := f.t[f.piece[ref.start]], f.t[f.piece[ref.base-1]]
	literal := false
	for i := ref.start; i < ref.base; i++ {
		literal = literal || f.off[i] >= 0 && f.s[i] != '/'
	}
	if u.threefold {
		if literal || !r.namedByPath() {
			u.bad = "base-composed"
		}
		return u.bad == ""
	}
	from, to := first.at, last.at
	if f.off[ref.start] >= 0 {
		from, _ = f.at(ref.start)
	}
	if f.off[ref.base-1] >= 0 {
		to, _ = f.at(ref.base - 1)
	}
	parts := []span{{from.src, from.start, to.end}}
	if from.src == nil || from.src != to.src || from.start >= to.end || !above(first.via, last.via) || !above(last.via, first.via) || !ref.baseInOne() {
		if !literal && r.namedByPath() {
			return true
		}
		if parts = ref.baseParts(); parts == nil {
			u.bad = "base-composed"
			return false
		}
		from = parts[0]
	}
	if literal && !u.expands && (from.src == u.at.src || !r.visited[from.src.path]) || u.command == fromArgs && !r.hasBase(from.src) {
		u.bad = "literal-in-file"
		return false
	}
	if isHCL(from.path()) && !u.expands {
		u.bad = "base-composed"
		return false
	}
	with := "$CI_REGISTRY_IMAGE"
	at := from
	defines, hosted := r.definesBase(from) // it would be itself
	if !defines {
		at, hosted = r.baseOfJobs(u) // there it is something else
	}
	if at.src != nil {
		with = "$CI_REGISTRY/$CI_PROJECT_PATH"
		switch {
		case hosted, !r.namedByPath():
			u.bad, u.redefined = "base-composed", at
			return false
		case !literal:
			return true
		}
	}
	if strings.Contains(parts[0].text(), "{") || isHCL(from.path()) || r.envsBeside[from.src] != nil { // make may include it, too
		with = namedVariable.ReplaceAllString(with, "$${${1}}")
	}
	if isMakefile(from.path()) {
		with = inMakefile(with)
	}
	if first.single && u.shell && !isMakefile(from.path()) { // make puts its variables in all the same
		with = from.src.encoded(from.start, `'"`+with+`"'`)
	}
	for i, p := range parts {
		if i > 0 {
			with = ""
		}
		u.change(change{span: p, with: with})
	}
	return u.bad == ""
}

// baseInOne says whether the base is written in one place, with nothing but quotes in between:
// printf puts it together of several words.
func (ref *reference) baseInOne() bool {
	level := ref.f.via(ref.start)
	var last span
	for i := ref.start; i < ref.base; i++ {
		s, ok := ref.f.level(i, level)
		switch {
		case !ok || s.src == nil:
			return false
		case last.src == nil || s == last:
		case s.src != last.src || s.start < last.end || strings.Trim(string(s.src.data[last.end:s.start]), `"'\`) != "":
			return false
		}
		last = s
	}
	return true
}

// baseParts are the texts and expansions that make the base where it is put together
// from several places: $REG and /project. It is nil where one of them brings more.
func (ref *reference) baseParts() []span {
	f := ref.f
	level := f.via(ref.start)
	for i := ref.start; i < ref.base; i++ {
		level = commonVia(level, f.via(i))
	}
	part := func(i int) (span, bool) {
		if i < 0 || i >= len(f.s) {
			return span{}, true
		}
		return f.level(i, level)
	}
	var out []span
	for i := ref.start; i < ref.base; i++ {
		s, ok := part(i)
		if !ok || s.src == nil {
			return nil
		}
		last := len(out) - 1
		switch {
		case last >= 0 && out[last] == s:
		case last >= 0 && s.src == out[last].src && s.start == out[last].end && len(f.via(i)) == len(level) && len(f.via(i-1)) == len(level):
			out[last].end = s.end
		default:
			out = append(out, s)
		}
	}
	before, _ := part(ref.start - 1)
	behind, _ := part(ref.base)
	if before == out[0] || behind == out[len(out)-1] {
		return nil
	}
	return out
}

// prefixAtTag is the second way: the name goes, the tag gets the prefix.
func (r *run) prefixAtTag(u *use) {
	ref := u.ref
	f := ref.f
	base := f.via(ref.base - 1)
	var name strings.Builder
	for i := ref.sep; i < ref.nameEnd; {
		p := f.t[f.piece[i]]
		if !above(p.via, base) {
			shared := len(commonVia(p.via, base))
			at := p.via[shared]
			u.change(u.goes(at, i))
			name.WriteString(at.text())
			for i < ref.nameEnd && len(f.via(i)) > shared && above([]span{at}, f.via(i)[shared:]) {
				if f.s[i] == '/' { // it would come into the tag
					u.bad = "name-with-slash"
				}
				i++
			}
			continue
		}
		if p.hole != "" {
			u.change(u.goes(p.at, i))
			name.WriteString(p.at.text())
			i++
			continue
		}
		s, ok := f.at(i)
		if !ok {
			u.bad = "position-unknown"
			return
		}
		gone := change{span: s}
		if i > ref.sep && u.shell && wholeWord(s, ref.nameEnd-i) {
			gone.with = s.src.encoded(s.start, `""`)
		}
		u.change(gone)
		if i > ref.sep {
			name.WriteByte(f.s[i])
		}
		i++
	}
	if u.bad != "" {
		return
	}
	prefix := naming.Prefix(name.String())
	if strings.Contains(name.String(), "$") {
		prefix = strings.ReplaceAll(name.String(), "/", "-")
	}
	switch {
	case u.bare:
		u.prefixBare()
	case ref.colon >= 0 && u.style == thirdStyle:
		u.insertInTag(prefix + "-")
	case u.pair && ref.colon >= 0:
		at := f.t[f.piece[ref.colon]].at
		u.change(change{span: span{at.src, at.end, at.end}, with: prefix + "-"})
	case ref.colon >= 0:
		if at, ok := f.at(ref.colon); ok && above(f.via(ref.colon), base) {
			u.change(change{span: span{at.src, at.end, at.end}, with: prefix + "-"}) // where the colon is written
			break
		}
		u.insertAfter(ref.colon, prefix+"-")
	case ref.digest >= 0:
	case u.role == repositoryRole:
		r.repository(u)
	case u.role == imageRole:
		u.insertAfter(ref.end-1, ":"+prefix+"-latest")
	case u.role == listRole:
		u.insertAfter(ref.end-1, ":"+prefix+"-*")
	case u.role == unclearRole:
		u.bad = "tag-elsewhere"
	}
}

// goes takes out what stands at a place for byte i of the name: a word of its own leaves an empty
// one, as what stands behind it stays where it is: printf %s/%s:%s $B $name $T.
func (u *use) goes(at span, i int) change {
	gone := change{span: at}
	if i > u.ref.sep && u.shell && wholeWord(at, at.end-at.start) {
		gone.with = at.src.encoded(at.start, `""`)
	}
	return gone
}

// wholeWord says whether the text of so many bytes that begins at a place is a word of its own.
func wholeWord(at span, bytes int) bool {
	data, end := at.src.data, at.start+bytes
	return at.start > 0 && blank(data[at.start-1]) && end < len(data) && (blank(data[end]) || data[end] == ')')
}

func commonVia(a, b []span) []span {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return a[:n]
}
