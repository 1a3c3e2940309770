package textdiff

import (
	"fmt"
	"strings"
	"testing"
)

// TestNumbers: a hunk after one with two separate changes begins at the right
// line on both sides.
func TestNumbers(t *testing.T) {
	t.Parallel()
	var lines []string
	for i := 1; i <= 40; i++ {
		lines = append(lines, fmt.Sprintf("line %d\n", i))
	}
	before := strings.Join(lines, "")
	lines[4], lines[8], lines[30] = "five\nand more\n", "", "thirty-one\n"
	got := fmt.Sprint(Unified("a/x", "b/x", before, strings.Join(lines, "")))
	for _, want := range []string{"--- a/x\n+++ b/x\n", "@@ -2,11 +2,11 @@", "@@ -28,7 +28,7 @@"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
}
