package ciconfig

import "mvdan.cc/sh/v3/syntax"

// A loop may push an image under a list of tags: for t in $CI_COMMIT_SHA latest. A tag
// that goes is taken out of the list, with the whole turn that it makes.

// turn is the word of a loop that makes a use, with the space before it, where nothing
// but the drops comes out of it, and other words keep the loop going.
func (c *cutting) turn(u *use, in map[*use]bool) (span, bool) {
	at, ok := u.tagWritten()
	f := u.ref.f
	if !ok || !at.src.editable || f.piece[u.ref.colon+1] != f.piece[u.ref.tagEnd-1] {
		return span{}, false
	}
	if by := f.t[f.piece[u.ref.colon+1]].by; by == nil || !by.turn {
		return span{}, false
	}
	for _, e := range f.via(u.ref.colon + 1) {
		if c.run.readBeside(expandedName(e)) {
			return span{}, false
		}
	}
	stays := false
	for _, v := range c.run.uses {
		if !v.ref.own || in[v] || v.command == "variable" {
			continue
		}
		if v.madeOf(at) {
			return span{}, false
		}
		stays = stays || v.at == u.at
	}
	word, ok := u.cmd.ch.item(at)
	return word, ok && stays
}

// item is the word of a loop's list that is no more than a text, with what parts it from
// the one before.
func (c *chunk) item(at span) (word span, ok bool) {
	if c.shell() == nil {
		return span{}, false
	}
	syntax.Walk(c.shell(), func(n syntax.Node) bool {
		it, is := n.(*syntax.WordIter)
		if !is {
			return true
		}
		end := int(it.InPos.Offset()) + len("in")
		for _, w := range it.Items {
			from := end
			end = int(w.End().Offset())
			if whole := c.span(int(w.Pos().Offset()), end); at.within(whole) && whole.end-whole.start <= at.end-at.start+len(`""`) {
				word, ok = c.span(from, end), true
			}
		}
		return true
	})
	return word, ok
}
