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
		fmt.Fprint(&b, gotextdiff.ToUnified("a/"+e.Path, "b/"+e.Path, before, edits))
	}
	return b.String()
}
