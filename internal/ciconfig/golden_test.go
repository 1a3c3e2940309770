package ciconfig

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/tools/txtar"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A golden file holds the project in the comment ("project: group/name",
// "old-base: ...", "variable: NAME=value", then free text), the files before,
// and behind them want/PATH for each changed file and want.findings.
func TestGolden(t *testing.T) {
	t.Parallel()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(cases) == 0 {
		t.Fatalf("no golden files: %v", err)
	}
	for _, file := range cases {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txtar"), func(t *testing.T) {
			t.Parallel()
			ar, err := txtar.ParseFile(file)
			if err != nil {
				t.Fatal(err)
			}
			in, want := split(ar)
			res, err := Rewrite(in)
			if err != nil {
				t.Fatal(err)
			}
			invariants(t, in, res)
			var got []txtar.File
			for _, e := range res.Edits {
				got = append(got, txtar.File{Name: "want/" + e.Path, Data: e.After})
			}
			var b bytes.Buffer
			for _, f := range res.Findings {
				fmt.Fprintf(&b, "%s %s %s:%d: %s%s\n", f.Severity, f.Code, f.File, f.Line, f.Text, also(f))
			}
			for _, p := range res.PushedTags {
				fmt.Fprintf(&b, "pushes %s\n", p)
			}
			got = append(got, txtar.File{Name: "want.findings", Data: b.Bytes()})
			if *update {
				before := ar.Files[:len(ar.Files)-len(want)]
				ar.Files = append(before, got...)
				if err := os.WriteFile(file, txtar.Format(ar), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if d := cmp.Diff(render(got), render(want)); d != "" {
				t.Errorf("got (-), want (+):\n%s", d)
			}
		})
	}
}

func also(f Finding) string {
	if len(f.Also) == 0 {
		return ""
	}
	return " (also " + strings.Join(f.Also, " ") + ")"
}

func render(files []txtar.File) string { return string(txtar.Format(&txtar.Archive{Files: files})) }

// split parts a golden file into input and expectation.
func split(ar *txtar.Archive) (Input, []txtar.File) {
	ru := rule{Project: "group/project"}
	vars := map[string]string{}
	for _, l := range strings.Split(string(ar.Comment), "\n") {
		key, value, _ := strings.Cut(l, ": ")
		switch key {
		case "project":
			ru.Project = value
		case "old-base":
			ru.OldBases = append(ru.OldBases, value)
		case "variable":
			n, v, _ := strings.Cut(value, "=")
			vars[n] = v
		}
	}
	var files []File
	var want []txtar.File
	for _, f := range ar.Files {
		if strings.HasPrefix(f.Name, "want") {
			want = append(want, f)
			continue
		}
		files = append(files, File{Path: f.Name, Content: f.Data})
	}
	in := input(files, ru)
	in.Project.Variables = vars
	return in, want
}

// invariants hold for every rewrite.
func invariants(t testing.TB, in Input, res *Result) {
	t.Helper()
	after := in
	after.Files = append([]File(nil), in.Files...)
	for _, e := range res.Edits {
		for i, f := range after.Files {
			if f.Path == e.Path {
				if !bytes.Equal(f.Content, e.Before) {
					t.Errorf("%s: the edit does not start from the file's content", e.Path)
				}
				if bytes.Equal(e.Before, e.After) {
					t.Errorf("%s: an edit without a change", e.Path)
				}
				if endsLine(e.Before) != endsLine(e.After) {
					t.Errorf("%s: the final line break changed", e.Path)
				}
				if !bytes.Contains(e.Before, []byte("\r\n")) && bytes.Contains(e.After, []byte("\r")) && !bytes.Contains(e.Before, []byte("\r")) {
					t.Errorf("%s: carriage returns appeared", e.Path)
				}
				after.Files[i].Content = e.After
			}
		}
	}
	for _, f := range res.Findings {
		if _, ok := vocabulary[f.Code]; !ok || f.Message == "" || f.Remedy == "" {
			t.Errorf("finding %q has no meaning", f.Code)
		}
	}
	if res.Blocked() {
		return // a person acts first; nothing is written
	}
	for _, m := range Missing(after) {
		after.Included = append(after.Included, Included{Include: m, Missing: "not available here"})
	}
	again, err := Rewrite(after)
	if err != nil {
		t.Errorf("rewriting the result: %v", err)
		return
	}
	if len(again.Edits) > 0 {
		t.Errorf("rewriting twice changes more than once:\n%s", again.Diff())
	}
}

func endsLine(b []byte) bool { return len(b) == 0 || b[len(b)-1] == '\n' }

// goldenInputs are the golden cases by their names.
func goldenInputs(t *testing.T) map[string]Input {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]Input{}
	for _, f := range files {
		ar, err := txtar.ParseFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[strings.TrimSuffix(filepath.Base(f), ".txtar")], _ = split(ar)
	}
	return out
}
