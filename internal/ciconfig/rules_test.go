package ciconfig

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/tools/txtar"
)

// TestRules holds the golden files to the worked examples of the rules: each
// example stands in the file that the table names, before and after.
func TestRules(t *testing.T) {
	t.Parallel()
	table, err := os.ReadFile("testdata/rules.txt")
	if err != nil {
		t.Fatal(err)
	}
	shown := map[string]bool{}
	for i, l := range strings.Split(strings.TrimSpace(string(table)), "\n") {
		if strings.HasPrefix(l, "#") {
			continue
		}
		row := strings.Split(l, " | ")
		if len(row) != 4 && strings.Count(l, " | tr / -)") == 1 { // a pipe of the shell's own
			row = append(row[:3], strings.Join(row[3:], " | "))
		}
		if len(row) != 4 {
			t.Fatalf("rules.txt:%d has %d columns", i+1, len(row))
		}
		shown[row[0]] = true
		ar, err := txtar.ParseFile(filepath.Join("testdata", row[1]+".txtar"))
		if err != nil {
			t.Errorf("rules.txt:%d: %v", i+1, err)
			continue
		}
		if why := shows(ar, row[2], row[3]); why != "" {
			t.Errorf("rules.txt:%d: %s %s", i+1, row[1], why)
		}
	}
	for n := 1; n <= 18; n++ {
		if rule := "R" + strconv.Itoa(n); !shown[rule] {
			t.Errorf("no golden file shows %s", rule)
		}
	}
	rules, err := os.ReadFile("../../../shared/ci-rewriting.md")
	if err != nil {
		t.Logf("only the rules known here were looked for: %v", err)
		return
	}
	for _, m := range regexp.MustCompile(`(?m)^\*\*(R\d+) `).FindAllSubmatch(rules, -1) {
		if !shown[string(m[1])] {
			t.Errorf("no golden file shows %s", m[1])
		}
	}
}

// shows says in what a golden file does not show an example.
func shows(ar *txtar.Archive, before, after string) string {
	var in, out, findings string
	files := map[string]string{}
	for _, f := range ar.Files {
		switch path, want := strings.CutPrefix(f.Name, "want/"); {
		case f.Name == "want.findings":
			findings = string(f.Data)
		case want:
			files[path] = string(f.Data)
		default:
			files[f.Name] = string(f.Data)
			in += string(f.Data)
		}
	}
	for _, content := range files { // as they are in the end
		out += content
	}
	if !strings.Contains(in, before) {
		return "does not have " + before
	}
	code, finding := strings.CutPrefix(after, "!")
	switch {
	case finding && !slices.ContainsFunc(strings.Split(findings, "\n"), func(l string) bool { return strings.Contains(l, " "+code+" ") }):
		return "does not report " + code
	case finding:
	case after == "-" && strings.Contains(out, before):
		return "keeps " + before
	case after == "-":
	case after == "=" && !strings.Contains(out, before):
		return "changes " + before
	case after == "=":
	case !strings.Contains(out, after) || strings.Contains(in, after):
		return "does not come to " + after
	}
	return ""
}
