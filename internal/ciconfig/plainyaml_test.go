package ciconfig

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// likeLibrary says in what the nodes of a text differ from the library's, "" if in nothing
// or where they are the library's.
func likeLibrary(text string) string {
	if !utf8.ValidString(text) { // parseYAML looks at that
		return ""
	}
	mine, ok := plainYAML([]byte(text))
	if !ok {
		return ""
	}
	theirs, err := libraryYAML([]byte(text))
	if err != nil {
		return "the library says " + err.Error()
	}
	if len(mine) != len(theirs) {
		return fmt.Sprintf("%d documents, not %d", len(mine), len(theirs))
	}
	other := map[*yaml.Node]*yaml.Node{}
	for i := range mine {
		if why := sameNodes(mine[i], theirs[i], other); why != "" {
			return why
		}
	}
	return ""
}

func sameNodes(a, b *yaml.Node, other map[*yaml.Node]*yaml.Node) string {
	if a.Kind != b.Kind || a.Style != b.Style || a.Tag != b.Tag || a.Value != b.Value || a.Anchor != b.Anchor || a.Line != b.Line || a.Column != b.Column || len(a.Content) != len(b.Content) || other[a.Alias] != b.Alias {
		return fmt.Sprintf("%d:%d kind %d style %d %s %q, not %d:%d kind %d style %d %s %q", a.Line, a.Column, a.Kind, a.Style, a.Tag, a.Value, b.Line, b.Column, b.Kind, b.Style, b.Tag, b.Value)
	}
	other[a] = b
	for i := range a.Content {
		if why := sameNodes(a.Content[i], b.Content[i], other); why != "" {
			return why
		}
	}
	return ""
}

// yamlTexts are the YAML files of the golden cases and of the real projects.
func yamlTexts(t testing.TB) (out []string) {
	t.Helper()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, c := range cases {
		b, err := os.ReadFile(c)
		if err != nil {
			t.Fatal(err)
		}
		for _, x := range txtar.Parse(b).Files {
			if isYAML(x.Name) {
				out = append(out, string(x.Data))
			}
		}
	}
	return out
}

// breakYAML changes a few bytes of a text, mostly where they make a difference.
func breakYAML(r *rand.Rand, text string) string {
	parts := []string{" ", "  ", "\n", "\n\n", "\n  ", "- ", "-", ":", ": ", "#", " #", "'", "\"", "\\", "|", ">", "[", "]", "{", "}", ",", "&a ", "*a", "!b ", "? ", "---\n", "...\n", "%", "\t", "\r", "é", "@", "<<: *a\n", "|-", ">+", "|2", "''", "\\n", "a: b\n", "- a\n", "~", "12"}
	lines := strings.SplitAfter(text, "\n")
	if from := r.IntN(len(lines)); len(lines) > 12 { // a piece of it is quicker
		lines = lines[from:min(len(lines), from+2+r.IntN(25))]
	}
	text = strings.Join(lines, "")
	for range 1 + r.IntN(3) {
		i := r.IntN(len(text) + 1)
		j := min(len(text), i+r.IntN(4))
		switch r.IntN(4) {
		case 0:
			text = text[:i] + text[j:]
		case 1:
			text = text[:i] + parts[r.IntN(len(parts))] + text[j:]
		case 2:
			text = text[:i] + parts[r.IntN(len(parts))] + text[i:]
		case 3: // at the beginning of a line
			i = strings.LastIndexByte(text[:i], '\n') + 1
			text = text[:i] + parts[r.IntN(len(parts))] + text[i:]
		}
	}
	return text
}

// TestPlainYAML: what is read without the library is what the library reads, also of files
// in which something is wrong.
func TestPlainYAML(t *testing.T) {
	t.Parallel()
	texts := yamlTexts(t)
	plain := 0
	for _, text := range texts {
		if why := likeLibrary(text); why != "" {
			t.Errorf("%s\n%s", why, text)
		}
		if _, ok := plainYAML([]byte(text)); ok {
			plain++
		}
	}
	if plain < len(texts)*9/10 {
		t.Errorf("only %d of %d files are read without the library", plain, len(texts))
	}
	r := rand.New(rand.NewPCG(uint64(*firstSeed), 1))
	for range 50 * *projects {
		text := breakYAML(r, texts[r.IntN(len(texts))])
		if why := likeLibrary(text); why != "" {
			t.Fatalf("%s\n%q\n%s", why, text, text)
		}
	}
}

// FuzzPlainYAML looks for more of what only one of the two reads.
func FuzzPlainYAML(f *testing.F) {
	for _, text := range yamlTexts(f) {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if why := likeLibrary(text); why != "" && len(text) < 20_000 {
			t.Fatalf("%s\n%s", why, text)
		}
	})
}
