package ciconfig

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// samePlain compares what readPlainYAML makes of a file, if it takes it, with what the
// parser does. It returns whether it was taken.
func samePlain(t *testing.T, data []byte) bool {
	t.Helper()
	got, ok := readPlainYAML(data)
	if !ok {
		return false
	}
	want, err := decodeYAML(data)
	if err != nil {
		t.Fatalf("taken, and the parser says %v:\n%s", err, data)
	}
	if len(got) != len(want) {
		t.Fatalf("%d documents, the parser has %d:\n%s", len(got), len(want), data)
	}
	for i := range got {
		if err := sameNode(got[i], want[i], map[*yaml.Node]bool{}); err != nil {
			t.Fatalf("%v:\n%s", err, data)
		}
	}
	return true
}

func sameNode(got, want *yaml.Node, seen map[*yaml.Node]bool) error {
	if (got == nil) != (want == nil) {
		return fmt.Errorf("%v, the parser has %v", got, want)
	}
	if got == nil || seen[got] {
		return nil
	}
	seen[got] = true
	if got.Kind != want.Kind || got.Style != want.Style || got.ShortTag() != want.ShortTag() || got.Value != want.Value || got.Anchor != want.Anchor || got.Line != want.Line || got.Column != want.Column || len(got.Content) != len(want.Content) || merges(got) != merges(want) {
		return fmt.Errorf("%+v, the parser has %+v", *got, *want)
	}
	if err := sameNode(got.Alias, want.Alias, seen); err != nil {
		return err
	}
	for i := range got.Content {
		if err := sameNode(got.Content[i], want.Content[i], seen); err != nil {
			return err
		}
	}
	return nil
}

// plainSamples are files with all that is read without the parser, and nearly so.
var plainSamples = []string{
	"a: b\n", "---\na: b\n---\n- c\n", "a:\n- b\n-  c: d\n   e: f\n- - g\n  -\n- |\n  x\n\n  y\n",
	"a: &x\n  b: c\nd:\n  <<: *x\n  e: [f, 'g''h', \"i\\n\", *x, !reference [.a, b], {j: k, l: [m]}]\n",
	"a: |-\n  x\n   y\n\n\nb: >\n  one\n  two\n\n  three\n    four\n  five\nc: >+\n  a\n\nd: |+\n  a\n\n\n",
	"a: one\n  two\n\n  three: four\nb: c # d\n# e\nf:   # g\n  - h\n", "a: one\n  two\n\n  -- three\n  #no\n",
	"é: ü # ö\nb: {é: \"ü\", c: d}\n\"x y\": z\n'k' : v\n", "a: [b,\n  c,\n]\nd:\ne: ''\n", "a: $[[ inputs.x ]]\nb: a:b#c\nc: - d\n",
	"- &a b\n- *a\n- &c\n  d: e\n- !reference [a, b]\n", "a:\n  - b\n c: d\n", "a: b: c\n", "a: \"b\n  c\"\n", "a: 'b' c\n", "a:\tb\n", "a: b\r\n", "? a\n: b\n",
	"a: {b, c: d}\n", "a: [b: c]\n", "a: |2\n   x\n", "a: *b\n", "a: !!str b\n", "a: @b\n", "%YAML 1.1\n---\na: b\n", "a: b\n...\n", "a: |\n\n  \n    x\n  y\n", "a: |\nb: c\n", "a: |\n  x", "- a\n-b\n", "a: b\n\n\n", "  a: b\n  c: d\n", "a: [b]c\n", "a: [b #c\n]\n", "&a b: c\n", "a: &b c: d\n", "- &a b: c\n", "a: b #c\n  d\n", "a: <<\n  b\n", "<<: {a: b}\n\"<<\": c\n",
	"a: ~\nb: 0x1f\nc: 1.5\nd: true\ne: 2001-01-01\nf: null\n", "a: -\n", "a: -1\nb: --c\nc: ?d\n", "a: [-1, -, - b]\n", "a: [http://b:80/c, d:e]\n", "a:: b\n", "a: b:\n", ": a\n", "a: 'it''s'\nb: \"q\\\"q\\\\\"\nc: \"\\x41\"\n", "a:\n\n  # c\n\n  b: c\n",
}

// TestPlainYAML: files read without the parser give what it gives, and most real ones are.
func TestPlainYAML(t *testing.T) {
	t.Parallel()
	for _, s := range plainSamples {
		samePlain(t, []byte(s))
	}
	taken, all := 0, 0
	look := func(p string, data []byte) {
		if isYAML(p) {
			if all++; samePlain(t, data) {
				taken++
			}
		}
	}
	goldens, _ := filepath.Glob("testdata/*.txtar")
	for _, g := range goldens {
		ar, err := txtar.ParseFile(g)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range ar.Files {
			look(f.Name, f.Data)
		}
	}
	err := filepath.WalkDir(shared(t, "corpus/ci"), func(p string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(p)
		look(p, data)
		if os.Getenv("PLAIN") != "" && isYAML(p) {
			if _, ok := readPlainYAML(data); !ok {
				t.Log(p)
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if t.Logf("%d of %d files", taken, all); taken*10 < all*7 {
		t.Errorf("only %d of %d files", taken, all)
	}
}

// FuzzPlainYAML: what is read without the parser is what it reads.
func FuzzPlainYAML(f *testing.F) {
	for _, s := range plainSamples {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) { samePlain(t, data) })
}
