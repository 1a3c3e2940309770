package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// piece is a run of characters with its origin: text that was written
// somewhere, or a hole, a value that is not known before the pipeline runs.
type piece struct {
	text     string // "" for a hole
	hole     string // name of the variable, or unknown
	at       span   // where it is written; for a hole the whole expansion
	via      []span // the expansions that led here, outermost first
	by       *choice
	when     *ways  // under which conditions a script gives it
	split    bool   // from an unquoted expansion: white space separates words
	single   bool   // written between single quotes: no expansion there
	untagged bool   // its tag was taken away, and another may be joined to it
	cut      bool   // a hole that a string operation has made of a text which names the registry
	rebuilt  bool   // such a hole, and a tool may have put something into it
	colon    bool   // a hole that a string operation has made of a text with a colon: it may bring a tag
	behind   *piece // the colon behind which a string operation has found it
}

// unknown is the hole of a value that no variable names, such as the output of
// a command.
const unknown = "?"

// exact says whether each byte of the text was written as itself.
func (p piece) exact() bool {
	return p.hole == "" && p.at.src != nil && p.at.end-p.at.start == len(p.text) && string(p.at.src.data[p.at.start:p.at.end]) == p.text
}

// outer is where the piece enters the text that was evaluated.
func (p piece) outer() span {
	if len(p.via) > 0 {
		return p.via[0]
	}
	return p.at
}

// text is an evaluated string.
type text []piece

// String renders the text with its holes as variables.
func (t text) String() string {
	if len(t) == 1 && t[0].hole == "" {
		return t[0].text
	}
	var b strings.Builder
	n := 0
	for i := range t {
		n += len(t[i].text) + len(t[i].hole) + len("${}")
	}
	b.Grow(n + len("$(…)"))
	for i := range t {
		switch p := &t[i]; {
		case p.hole == unknown:
			b.WriteString("$(…)")
		case p.hole != "":
			b.WriteString("${" + p.hole + "}")
		default:
			b.WriteString(p.text)
		}
	}
	return b.String()
}

// literal is the text when it has no holes.
func (t text) literal() (string, bool) {
	var b strings.Builder
	for _, p := range t {
		if p.hole != "" {
			return "", false
		}
		b.WriteString(p.text)
	}
	return b.String(), true
}

// lone is one value of one piece, in one piece of memory.
func lone(p piece) []text {
	v := &struct {
		vals   [1]text
		pieces [1]piece
	}{pieces: [1]piece{p}}
	v.vals[0] = v.pieces[:]
	return v.vals[:]
}

// has says whether a byte is written in the text.
func (t text) has(c byte) bool {
	for i := range t {
		if strings.IndexByte(t[i].text, c) >= 0 {
			return true
		}
	}
	return false
}

// uncertain says whether nobody knows a part of the text.
func (t text) uncertain() bool {
	return slices.ContainsFunc(t, func(p piece) bool { return p.hole == unknown })
}

// mayBeEmpty says whether nothing may be left of a text: all of it is the output of a command,
// a variable that not every pipeline has, or what a string operation leaves of one.
func (t text) mayBeEmpty() bool {
	return len(t) > 0 && !slices.ContainsFunc(t, func(p piece) bool {
		return p.hole == "" || alwaysSet.MatchString(p.hole) || p.at.src != nil && (hasDefault.MatchString(p.at.text()) || p.hole == unknown && alwaysSet.MatchString(strings.TrimLeft(p.at.text(), "\"${")))
	})
}

// hasDefault is an expansion that something else takes the place of where it would be empty.
var hasDefault = regexp.MustCompile(`^\$\{[A-Za-z_][A-Za-z0-9_]*:-[^}]`)

// alwaysSet are variables of GitLab's that every pipeline has.
// https://docs.gitlab.com/ci/variables/predefined_variables/
var alwaysSet = regexp.MustCompile(`^CI_(COMMIT_(SHA|SHORT_SHA|REF_NAME|REF_SLUG|TIMESTAMP|TITLE)|PIPELINE_|PROJECT_|JOB_|SERVER|REGISTRY|DEFAULT_BRANCH|BUILD)`)

// chunk is a text that stands in a file as it is, but for the indentation of its
// lines. It is nil for any other: one with a hole, without its escapes or put
// together from several places.
func (t text) chunk() *chunk {
	if len(t) == 0 {
		return nil
	}
	ch, b := &chunk{src: t[0].at.src}, []byte(nil)
	for i, p := range t {
		if p.hole != "" || p.at.src != ch.src || ch.src == nil || i > 0 && (p.at.start < t[i-1].at.end || strings.TrimSpace(string(ch.src.data[t[i-1].at.end:p.at.start])) != "") {
			return nil
		}
		ch.add(&b, p.text, p.at.start, p.at.end)
	}
	ch.text = string(b)
	return ch
}

// through is the text as it appears where an expansion at s brings it in.
func (t text) through(s span, split bool) text {
	vias := 0
	for i := range t {
		vias += len(t[i].via)
	}
	if vias > maxVias {
		return t.blot()
	}
	out := make(text, len(t))
	copy(out, t)
	for i := range out {
		p := &out[i]
		if i > 0 && sameVia(t[i-1].via, p.via) {
			p.via = out[i-1].via
		} else {
			via := make([]span, 0, len(p.via)+1)
			p.via = append(append(via, s), p.via...)
		}
		p.split = split
		p.single = false
	}
	return out
}

// sameVia says whether two chains are one, as those of neighbours mostly are.
func sameVia(a, b []span) bool {
	return len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0])
}

// key identifies a text with its origin.
func (t text) key() string {
	var b strings.Builder
	b.Grow(48 * len(t))
	place := func(s span) {
		b.WriteByte(0)
		writeInt(&b, s.start)
		writeInt(&b, s.end)
	}
	for _, p := range t {
		if p.at.src != nil {
			b.WriteString(p.at.src.path)
		}
		for _, s := range p.via {
			place(s)
		}
		place(p.at)
		b.WriteByte(0)
		b.WriteString(p.text)
		b.WriteString(p.hole)
	}
	return b.String()
}

func writeInt(b *strings.Builder, n int) {
	for ; n > 0; n >>= 7 {
		b.WriteByte(byte(n&127) | 128)
	}
	b.WriteByte('.')
}

// most is how many values of one expression are followed. Beyond it the value
// is a hole: a bound on time, reported where it matters.
const most = 48

// longest is how many pieces a text may have. A variable that doubles another
// that doubles another would have no end.
const longest = 1000

// maxVias bounds the expansions that a text may have come through: a variable that is put
// before itself again and again.
const maxVias = 50_000

// blot is a text that is not followed any further: one hole.
func (t text) blot() text {
	if len(t) == 0 {
		return t
	}
	return text{{hole: unknown, at: t[0].outer()}}
}

// product joins every left value with every right value.
func product(left, right []text) []text {
	switch {
	case len(left) == 0, len(left) == 1 && len(left[0]) == 0 && len(right) <= most && (len(right) != 1 || len(right[0]) <= longest):
		return slices.Clone(right)
	case len(right) == 1 && len(right[0]) == 0:
		return left
	}
	if len(right) == 1 {
		for i := range left {
			if len(left[i])+len(right[0]) > longest {
				right = []text{right[0].blot()}
			}
		}
		for i := range left {
			if len(left[i]) > longest {
				continue
			}
			left[i] = append(left[i][:len(left[i]):len(left[i])], right[0]...)
		}
		return left
	}
	pairs := together(left, right)
	if len(pairs) > most {
		return product(left, []text{right[0].blot()})
	}
	out := make([]text, len(pairs))
	for i, p := range pairs {
		out[i] = append(p[0][:len(p[0]):len(p[0])], p[1]...)
	}
	return out
}

// strand is the values of a string that is being put together. Nobody else holds
// them yet, so what follows may be written behind them.
type strand []text

// with is product where one value, as nearly always, follows.
func (s strand) with(right ...text) strand {
	if len(right) != 1 {
		s = product(s, right)
		for i := range s {
			s[i] = slices.Clip(s[i]) // somebody else's, perhaps
		}
		return s
	}
	r := right[0]
	for _, t := range s {
		if len(t)+len(r) > longest {
			r = r.blot()
		}
	}
	for i := range s {
		if len(s[i]) <= longest {
			s[i] = append(s[i], r...)
		}
	}
	return s
}

// union is the values of both, each once.
func union(a, b []text) []text {
	if len(a) == 0 {
		return b
	}
	if len(b) == 0 || &a[0] == &b[0] && len(a) == len(b) {
		return a
	}
	out := make([]text, 0, min(len(a)+len(b), most))
	for _, list := range [][]text{a, b} {
		for _, t := range list {
			if i := slices.IndexFunc(out, t.same); i >= 0 {
				out[i] = out[i].either(t)
				continue
			}
			if len(out) == most {
				out[most-1] = text{{hole: unknown}}
				return out
			}
			out = append(out, t)
		}
	}
	return out
}

// either is a text that two alternatives have: it goes with what each of them has.
func (t text) either(u text) text {
	cloned := false
	for i := range t {
		by, when := t[i].by.or(u[i].by), t[i].when.or(u[i].when)
		if by == t[i].by && when == t[i].when {
			continue
		}
		if !cloned {
			t, cloned = slices.Clone(t), true
		}
		t[i].by, t[i].when = by, when
	}
	return t
}

// same says whether two texts have one content and one origin. It is asked more
// often than anything else; most answers are found in the last piece, which
// differs where the beginning is a common base.
func (t text) same(u text) bool {
	if len(t) != len(u) {
		return false
	}
	for i := len(t) - 1; i >= 0; i-- {
		p, q := &t[i], &u[i]
		if p.at.start != q.at.start || p.at.end != q.at.end || p.text != q.text || p.hole != q.hole || len(p.via) != len(q.via) || p.at.path() != q.at.path() {
			return false
		}
		for k := range p.via {
			if p.via[k].start != q.via[k].start || p.via[k].end != q.via[k].end {
				return false
			}
		}
	}
	return true
}

// identical says whether two lists of values are the same in all that pieces tell.
func identical(a, b []text) bool {
	if len(a) == len(b) && (len(a) == 0 || &a[0] == &b[0]) {
		return true
	}
	return slices.EqualFunc(a, b, func(t, u text) bool {
		return slices.EqualFunc(t, u, func(p, q piece) bool {
			return p.text == q.text && p.hole == q.hole && p.at == q.at && p.by == q.by && p.when == q.when && p.split == q.split && p.single == q.single &&
				p.untagged == q.untagged && p.cut == q.cut && p.rebuilt == q.rebuilt && p.colon == q.colon && slices.Equal(p.via, q.via)
		})
	})
}

// blanks are what the shell cuts unquoted expansions at where no script says otherwise.
const blanks = " \t\r\n"

// splits says whether there is a separator in an unquoted expansion of a text.
func (t text) splits(seps string) bool {
	for i := range t {
		if t[i].split && strings.ContainsAny(t[i].text, seps) {
			return true
		}
	}
	return false
}

// fields splits a text at the separators in unquoted expansions.
func (t text) fields(seps string) []text {
	if !t.splits(seps) {
		return []text{t}
	}
	var out []text
	var cur text
	for _, p := range t {
		if !p.split {
			cur = append(cur, p)
			continue
		}
		rest, off := p.text, 0
		if p.hole != "" {
			cur = append(cur, p)
			continue
		}
		for rest != "" {
			i := strings.IndexAny(rest, seps)
			if i < 0 {
				i = len(rest)
			}
			if i > 0 {
				cur = append(cur, p.slice(off, off+i))
			}
			if i < len(rest) {
				if len(cur) > 0 {
					out = append(out, cur)
				}
				cur = nil
				i++
			}
			off += i
			rest = rest[i:]
		}
	}
	if len(cur) > 0 {
		out = append(out, cur)
	}
	return out
}

// slice is the part of a text piece from i to j.
func (p piece) slice(i, j int) piece {
	if p.exact() {
		p.at = span{p.at.src, p.at.start + i, p.at.start + j}
	}
	p.text = p.text[i:j]
	return p
}
