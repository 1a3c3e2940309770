package main

import (
	"flag"
	"os"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/config"
)

var update = flag.Bool("update", false, "write the README's table of settings anew")

// TestReadme keeps the README's table of settings equal to package config.
func TestReadme(t *testing.T) {
	const path, begin, end = "../../README.md", "a test -->\n", "\n<!-- /settings -->"
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	head, rest, ok := strings.Cut(string(raw), begin)
	table, tail, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatal("the README has lost the marks around its table of settings")
	}
	want := strings.TrimRight(config.Markdown(), "\n")
	if table == want {
		return
	}
	if *update {
		if err := os.WriteFile(path, []byte(head+begin+want+end+tail), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	t.Error("the README's table of settings is out of date; run go test ./cmd/worker -run TestReadme -update")
}
