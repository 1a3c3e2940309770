package main

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
)

// TestDocumentedSQL runs every query that the documents show.
func TestDocumentedSQL(t *testing.T) {
	t.Parallel()
	pool := postgrestest.New(t)
	query := regexp.MustCompile(`(?m)^select [^;]*;`)
	for path, least := range map[string]int{"../../docs/cli.md": 6, "../../README.md": 4} {
		raw, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		found := query.FindAllString(string(raw), -1)
		if len(found) < least {
			t.Errorf("%s: only %d queries were found", path, len(found))
		}
		for _, q := range found {
			if _, err := pool.Exec(t.Context(), q); err != nil {
				t.Errorf("%s: %v\n%s", path, err, q)
			}
		}
	}
}

// TestDocumentedRetries compares the vocabulary of retries with docs/cli.md.
func TestDocumentedRetries(t *testing.T) {
	t.Parallel()
	want := "| reason | meaning |\n|---|---|\n"
	for _, r := range jobs.RetryReasons {
		want += "| `" + r.Code + "` | " + r.Meaning + " |\n"
	}
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(raw), "<!-- retries: kept equal to package jobs by a test -->\n")
	have, _, ok := strings.Cut(rest, "<!-- /retries -->")
	if !ok || have != want {
		t.Errorf("docs/cli.md, the reasons of retries: between the marks should stand\n%s", want)
	}
}
