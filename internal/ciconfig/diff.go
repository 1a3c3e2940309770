package ciconfig

import (
	"fmt"
	"strings"

	"github.com/hexops/gotextdiff"
	"github.com/hexops/gotextdiff/myers"
	uri "github.com/hexops/gotextdiff/span"
)

// Diff is the edits as a unified diff, files in the order of the input.
func (r *Result) Diff() string {
	var b strings.Builder
	for _, e := range r.Edits {
		before, after := string(e.Before), string(e.After)
		edits := myers.ComputeEdits(uri.URIFromPath(e.Path), before, after)
		u := gotextdiff.ToUnified("a/"+e.Path, "b/"+e.Path, before, edits)
		number(u.Hunks)
		fmt.Fprint(&b, u)
	}
	return b.String()
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
