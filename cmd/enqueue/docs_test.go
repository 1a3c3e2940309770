package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// encoded are the values that each command prints as JSON.
var encoded = map[string][]any{
	"enqueue plan":          {reports.Plan{}, reports.PlanDiff{}},
	"enqueue all":           {ordered{}},
	"enqueue project":       {enqueued{}},
	"enqueue failed":        {[]enqueued{}},
	"enqueue status":        {reports.Report{}, reports.Story{}, reports.Comparison{}},
	"enqueue freeze list":   {freezeList{}},
	"enqueue cancel":        {[]acted{}},
	"enqueue promote":       {[]acted{}},
	"enqueue rollback":      {[]acted{}},
	"enqueue pause":         {[]acted{}},
	"enqueue resume":        {[]acted{}},
	"enqueue freeze add":    {[]acted{}},
	"enqueue freeze remove": {[]acted{}},
	"enqueue logs":          {logEntry{}},
	"enqueue reconcile":     {reportOrdered{}, reconcile.Report{}},
	"enqueue report":        {reconcile.Report{}},
	"enqueue report list":   {reportList{}},
	"enqueue report diff":   {reconcile.Changes{}},
	"enqueue report ledger": {reports.Ledger{}},
	"enqueue copy":          {outcome{}},
	"enqueue rewrite":       {rewriteJSON{}},
}

// schemaOf describes the JSON of a type, and adds the objects in it to tables: by
// name, the fields as "name | type".
func schemaOf(t reflect.Type, tables map[string][]string) string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return "time"
	case t == reflect.TypeFor[json.RawMessage]():
		return "any"
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem(), tables) + " or null"
	case reflect.Slice, reflect.Array:
		elem := t.Elem()
		if elem.Kind() == reflect.Pointer { // no list of ours holds null
			elem = elem.Elem()
		}
		return "list of " + schemaOf(elem, tables)
	case reflect.Map:
		return "object of " + schemaOf(t.Elem(), tables)
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "boolean"
	case reflect.Struct:
		name := strings.TrimPrefix(t.String(), "main.")
		if _, seen := tables[name]; !seen {
			tables[name] = []string{} // ends the walk of a type that holds itself
			tables[name] = fieldsOf(t, tables)
		}
		return name
	}
	if t.ConvertibleTo(reflect.TypeFor[float64]()) {
		return "number"
	}
	panic("no JSON is documented for " + t.String())
}

func fieldsOf(t reflect.Type, tables map[string][]string) []string {
	var rows []string
	for f := range t.Fields() {
		tag, tagged := f.Tag.Lookup("json")
		name, options, _ := strings.Cut(tag, ",")
		switch {
		case f.Anonymous && !tagged:
			rows = append(rows, fieldsOf(f.Type, tables)...)
			continue
		case !f.IsExported() || tag == "-":
			continue
		case name == "":
			name = f.Name
		}
		kind := schemaOf(f.Type, tables)
		if strings.Contains(options, "omit") {
			kind += ", may be absent"
		}
		rows = append(rows, name+" | "+kind)
	}
	return rows
}

var (
	heading  = regexp.MustCompile(`^#+ (.+)$`)
	fieldRow = regexp.MustCompile("^\\| `([^`]+)` \\| ([^|]+) \\| (.*) \\|$")
)

// documented reads the sections of docs/cli.md: their text by heading, and the
// field tables in them.
func documented(t *testing.T) (text map[string]string, tables map[string][]string) {
	t.Helper()
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	text, tables = map[string]string{}, map[string][]string{}
	var at string
	for line := range strings.Lines(string(raw)) {
		line = strings.TrimRight(line, "\n")
		if m := heading.FindStringSubmatch(line); m != nil {
			at = strings.Trim(m[1], "`")
			continue
		}
		text[at] += line + "\n"
		if m := fieldRow.FindStringSubmatch(line); m != nil {
			tables[at] = append(tables[at], m[1]+" | "+m[2])
			if strings.TrimSpace(m[3]) == "" {
				t.Errorf("docs/cli.md, %s: the field %s has no meaning", at, m[1])
			}
		}
	}
	return text, tables
}

// TestDocumentedFields compares the JSON of all commands with docs/cli.md, both ways.
func TestDocumentedFields(t *testing.T) {
	t.Parallel()
	want := map[string][]string{}
	for _, values := range encoded {
		for _, v := range values {
			schemaOf(reflect.TypeOf(v), want)
		}
	}
	_, have := documented(t)
	for name, fields := range want {
		for _, f := range fields {
			if !slices.Contains(have[name], f) {
				t.Errorf("docs/cli.md, section %s, lacks the row %s", name, f)
			}
		}
	}
	for name, fields := range have {
		for _, f := range fields {
			if !slices.Contains(want[name], f) {
				t.Errorf("docs/cli.md, section %s: no command prints %s any more", name, f)
			}
		}
	}
}

// TestDocumentedCommands demands a section for each command, and in it the names
// of what it prints as JSON.
func TestDocumentedCommands(t *testing.T) {
	t.Parallel()
	text, _ := documented(t)
	prints := 0
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if !strings.Contains(text[path], "Exit codes:") {
			t.Errorf("docs/cli.md has no section %q that names its exit codes", path)
		}
		if format := cmd.Flags().Lookup("format"); cmd.Flags().Lookup("json") != nil || format != nil && strings.Contains(format.Usage, "json") {
			prints++
			if len(encoded[path]) == 0 {
				t.Errorf("%s prints JSON that this test does not know", path)
			}
		}
		for _, v := range encoded[path] {
			if name := schemaOf(reflect.TypeOf(v), map[string][]string{}); !strings.Contains(text[path], "`"+name+"`") {
				t.Errorf("docs/cli.md, section %s, does not say that the JSON is `%s`", path, name)
			}
		}
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	for _, cmd := range root(&environment{}).Commands() {
		check(cmd)
	}
	if prints != len(encoded) {
		t.Errorf("%d commands print JSON, the test knows %d", prints, len(encoded))
	}
}

// TestPrintedFields holds what commands really print against the types that are
// documented: the same fields at the top, and none unknown below.
func TestPrintedFields(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/two"})
	for _, c := range []struct {
		args string
		want any
	}{
		{"project a/one --json", enqueued{}},
		{"all --json", ordered{}},
		{"status --json", reports.Report{}},
		{"status a/one --json", reports.Story{}},
		{"status a/one --attempts --json", reports.Comparison{}},
		{"logs a/one --json", logEntry{}},
		{"freeze list --json", freezeList{}},
		{"pause a/one --json", []acted{}},
		{"resume a/one a/two --json", []acted{}},
		{"pause --all --note now --json", []acted{}},
		{"resume --all --json", []acted{}},
		{"promote a/one --json", []acted{}},
		{"rollback a/one --json", []acted{}},
		{"cancel a/one a/two --json", []acted{}},
		{"freeze add a/** --note exams --json", []acted{}},
		{"freeze remove a/** b/** --json", []acted{}},
		{"failed --dry-run --json", []enqueued{}},
		{"reconcile --json", reportOrdered{}},
		{"report list --json", reportList{}},
		{"report ledger --format json", reports.Ledger{}},
	} {
		if strings.Contains(c.args, "--attempts") {
			tt.run("cancel", "a/one")
			tt.run("project", "a/one")
		}
		_, out, errs := tt.run(strings.Fields(c.args)...)
		d := json.NewDecoder(strings.NewReader(out))
		d.DisallowUnknownFields()
		into := reflect.New(reflect.TypeOf(c.want))
		if err := d.Decode(into.Interface()); err != nil {
			t.Errorf("%s: %v\n%s%s", c.args, err, out, errs)
			continue
		}
		if into.Elem().Kind() != reflect.Struct {
			continue
		}
		var printed map[string]json.RawMessage
		if err := json.NewDecoder(strings.NewReader(out)).Decode(&printed); err != nil {
			t.Error(c.args, err)
		}
		for _, row := range fieldsOf(into.Elem().Type(), map[string][]string{}) {
			name, kind, _ := strings.Cut(row, " | ")
			if _, ok := printed[name]; !ok && !strings.Contains(kind, "absent") {
				t.Errorf("%s prints no %s:\n%s", c.args, name, fmt.Sprintf("%.500s", out))
			}
		}
	}
}
