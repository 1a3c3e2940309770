package textdiff

import (
	"fmt"
	"math/rand/v2"
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

// TestLongTexts: a diff of long texts is right, needs little memory and is not longer
// than the change.
func TestLongTexts(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	block := strings.Repeat("an inserted line\nand another one\n", 170)
	for _, c := range []struct {
		name          string
		before, after func(i int) string
		most          int // lines of the diff
	}{
		{"blocks between lines", func(i int) string { return fmt.Sprintf("job %d:\n  script: make\n", i) },
			func(i int) string { return fmt.Sprintf("job %d:\n%s", i, block) }, 100*(340+1+6) + 100},
		{"lines that are nowhere else", func(i int) string { return fmt.Sprintf("old %d\n", i) }, func(i int) string { return strings.Repeat(fmt.Sprintf("new %d\n", i), 30) }, 3200},
		{"the same lines again and again", func(int) string { return "x\n" }, func(int) string { return strings.Repeat("x\ny\n", 15) }, 3200},
		{"anything", func(int) string { return fmt.Sprintf("%d\n", random.IntN(300)) }, func(int) string { return strings.Repeat(fmt.Sprintf("%d\n", random.IntN(300)), 25) }, 3200},
	} {
		var before, after strings.Builder
		for i := range 100 {
			before.WriteString(c.before(i))
			after.WriteString(c.after(i))
		}
		a := lines(before.String())
		var got []string
		at := 0
		for _, e := range Edits(before.String(), after.String()) {
			from, to := e.Span.Start().Line()-1, e.Span.End().Line()-1
			got = append(append(got, a[at:from]...), e.NewText)
			at = to
		}
		if got = append(got, a[at:]...); strings.Join(got, "") != after.String() {
			t.Errorf("%s: the edits make another text", c.name)
		}
		if n := strings.Count(fmt.Sprint(Unified("a", "b", before.String(), after.String())), "\n"); n > c.most {
			t.Errorf("%s: the diff has %d lines, want at most %d", c.name, n, c.most)
		}
	}
}
