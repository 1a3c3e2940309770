package ciconfig

import (
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/textdiff"
)

// Diff is the edits as a unified diff, files in the order of the input.
func (r *Result) Diff() string {
	var b strings.Builder
	for _, e := range r.Edits {
		fmt.Fprint(&b, textdiff.Unified("a/"+e.Path, "b/"+e.Path, string(e.Before), string(e.After)))
	}
	return b.String()
}
