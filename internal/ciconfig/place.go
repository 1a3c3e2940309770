package ciconfig

// Where the changes of a use go: at a byte that is written in a file of the
// repository, seen from the text that joins name and tag.

// replace asks for another character at byte i of the flattened text.
func (u *use) replace(i int, with string, base []span) {
	s, ok := u.ref.f.at(i)
	if !ok {
		u.bad = "position-unknown"
		return
	}
	if !above(u.ref.f.via(i), base) {
		u.bad = "joined-elsewhere"
		return
	}
	for k := u.ref.start; k < u.ref.base; k++ {
		if o, ok := u.ref.f.at(k); ok && o == s {
			u.bad = "uses-disagree" // one separator for this place and for the base
			return
		}
	}
	u.change(change{span: s, with: with})
}

func (u *use) change(c change) {
	if c.src == nil || !c.src.editable {
		u.bad = "in-template"
		return
	}
	for s := range c.src.bare {
		if c.within(s) {
			u.bad = "joined-elsewhere" // a name or a call, behind which no text can stand
			return
		}
	}
	if c.with == ":" && c.src.makesKey(c.end) {
		u.bad = "joined-elsewhere" // a colon there is the end of a key
		return
	}
	u.changes = append(u.changes, c)
}

// insertAfter puts text behind byte i, at the outermost place.
func (u *use) insertAfter(i int, text string) {
	s, why := u.behind(i)
	if why != "" {
		u.bad = why
		return
	}
	u.change(change{span: span{s.src, s.end, s.end}, with: text})
}

// behind is what stands at byte i, seen from the outermost place: text can be put
// behind it. why says that there is no such place, or that more comes out of the same
// expansion.
func (u *use) behind(i int) (s span, why Code) {
	f := u.ref.f
	s = f.t[f.piece[i]].outer()
	if len(f.via(i)) == 0 && f.off[i] >= 0 && s.start < s.end {
		at, ok := f.at(i)
		if !ok {
			return s, "position-unknown"
		}
		return at, ""
	}
	switch {
	case s.src == nil:
		return s, "in-template"
	case i+1 < len(f.s) && f.t[f.piece[i+1]].outer() == s, u.fieldBehind(s):
		return s, "uses-disagree"
	}
	return s, ""
}

// fieldBehind says whether an expansion gives the word behind the use's, too.
func (u *use) fieldBehind(s span) bool {
	if u.cmd == nil || u.index+1 >= len(u.cmd.args) {
		return false
	}
	c, k := u.cmd, u.index+1
	return c.words[k] == c.words[u.index] && c.alt[k] == c.alt[u.index] && len(c.args[k]) > 0 && c.args[k][0].outer() == s
}

// insertInTag puts text before the tag, in the variable that holds the tag.
func (u *use) insertInTag(text string) {
	at, ok := u.tagStart()
	switch {
	case !ok:
		u.insertAfter(u.ref.colon, text) // the tag is written right here
	case at.src == nil:
		u.bad = "in-template"
	default:
		u.change(change{span: at, with: text})
	}
}

// tagStart is the place, of no width, before the tag's first character in the variable
// that brings the tag in.
func (u *use) tagStart() (at span, ok bool) {
	ref, f := u.ref, u.ref.f
	if ref.colon+1 >= ref.tagEnd || len(f.via(ref.colon+1)) <= len(f.via(ref.colon)) {
		return span{}, false
	}
	at = f.t[f.piece[ref.colon+1]].at
	if s, exact := f.at(ref.colon + 1); exact {
		at = s
	}
	return span{at.src, at.start, at.start}, true
}
