package ciconfig

import (
	"bytes"
	"slices"
	"strings"
)

// A loop may push an image under a list of tags: for t in $CI_COMMIT_SHA latest. A tag
// that goes is taken out of the list, with the whole turn that it makes.

// turn is the word of a loop that makes a use, where nothing but the drops comes out of
// it, and other words keep the loop going.
func (c *cutting) turn(u *use, in map[*use]bool) (span, bool) {
	at, ok := u.tagWritten()
	f := u.ref.f
	if !ok || !at.src.editable || !lonely(at) {
		return span{}, false
	}
	by := f.t[f.piece[u.ref.colon+1]].by
	if by == nil || !by.turn || f.piece[u.ref.colon+1] != f.piece[u.ref.tagEnd-1] {
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
	before := bytes.TrimRight(at.src.data[:at.start], " \t\r\n\\")
	return span{at.src, len(before), at.end}, stays
}

// lonely says whether a text stands between spaces, as a word of a list behind another.
func lonely(at span) bool {
	data := at.src.data
	return at.start > 0 && data[at.start-1] == ' ' && (at.end == len(data) || strings.IndexByte(" ;\r\n", data[at.end]) >= 0) &&
		!slices.Contains(data[at.start:at.end], ' ')
}
