package ciconfig

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestFindingsDoc keeps docs/findings.md and the vocabulary one.
func TestFindingsDoc(t *testing.T) {
	t.Parallel()
	const doc = "../../docs/findings.md"
	want := findingsDoc()
	if *update {
		if err := os.WriteFile(doc, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s does not say what vocabulary.go says; run: go test ./internal/ciconfig -run TestFindingsDoc -update", doc)
	}
}

func findingsDoc() string {
	var b strings.Builder
	b.WriteString(`# Findings of the CI rewriter

What the rewriter cannot change safely it reports, with file, line, column, the
text that stands there, what is wrong and what to do. The vocabulary is closed.
This page is generated from internal/ciconfig/vocabulary.go and checked by a test.

- **blocking**: nothing is written to the project before somebody has acted.
- **blocking or warning**: it only warns where the pipeline neither pushes the image
  nor has another reference to it that is rewritten; the place stays as it is.
- **note or warning**: it warns where a command or a job is going to fail, or releases lose a name.
- **warning**: the rewrite stands; somebody should act, or something will fail later.
- **note**: for information.

The owner is who can remedy it: the project, the platform, or the owner of an
included template.

| code | severity | owner |
| --- | --- | --- |
`)
	for _, code := range sortedKeys(vocabulary) {
		k := vocabulary[code]
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", code, code, severityOf(code), k.owner)
	}
	for _, code := range sortedKeys(vocabulary) {
		k := vocabulary[code]
		fmt.Fprintf(&b, "\n## %s\n\n%s, %s. %s.\n\nExample:\n\n    %s\n\nWhat to do: %s.\n",
			code, severityOf(code), k.owner, upper(k.meaning), strings.ReplaceAll(k.example, "\n", "\n    "), k.remedy)
	}
	return b.String()
}

func severityOf(c Code) string {
	if alone[c] {
		return "blocking or warning"
	}
	switch c {
	case "tag-dropped", "service-started", "login-kept", "registry-unseen":
		return "note or warning"
	}
	return string(vocabulary[c].severity)
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// TestVocabulary: every code is complete and is reported somewhere.
func TestVocabulary(t *testing.T) {
	t.Parallel()
	entries, err := os.ReadDir(".")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), ".go") && !strings.HasSuffix(e.Name(), "_test.go") && e.Name() != "vocabulary.go" {
			b, err := os.ReadFile(e.Name())
			if err != nil {
				t.Fatal(err)
			}
			code.Write(b)
		}
	}
	for c, k := range vocabulary {
		if k.meaning == "" || k.example == "" || k.remedy == "" || k.owner == "" || k.severity == "" {
			t.Errorf("%s is not described", c)
		}
		if !strings.Contains(code.String(), `"`+string(c)+`"`) {
			t.Errorf("%s is never reported", c)
		}
	}
}
