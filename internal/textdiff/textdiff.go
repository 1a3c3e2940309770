// Package textdiff compares two texts line by line, for what the rewriter prints, the
// dashboard shows and a rollback takes back.
package textdiff

import "github.com/hexops/gotextdiff"

// Unified is the unified diff of a file; printed with fmt it is what patch reads.
func Unified(from, to, before, after string) gotextdiff.Unified {
	u := gotextdiff.ToUnified(from, to, before, Edits(before, after))
	number(u.Hunks)
	return u
}

// number sets the lines at which hunks begin in the new file: gotextdiff
// forgets the unchanged lines between two changes of one hunk.
func number(hunks []*gotextdiff.Hunk) {
	grown := 0
	for _, h := range hunks {
		h.ToLine = h.FromLine + grown
		for _, l := range h.Lines {
			switch l.Kind {
			case gotextdiff.Insert:
				grown++
			case gotextdiff.Delete:
				grown--
			}
		}
	}
}
