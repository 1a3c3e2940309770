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
	ref := u.ref
	f := ref.f
	if ref.colon+1 >= ref.tagEnd || len(f.via(ref.colon+1)) <= len(f.via(ref.colon)) {
		u.bad = "uses-disagree" // the tag is written right here
		return
	}
	p := f.t[f.piece[ref.colon+1]]
	at := p.at
	if s, ok := f.at(ref.colon + 1); ok {
		at = s
	}
	if at.src == nil {
		u.bad = "in-template"
		return
	}
	u.change(change{span: span{at.src, at.start, at.start}, with: text})
}
