package main

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// terminal runs commands as an operator would, on a database of its own.
type terminal struct {
	*testing.T
	env   map[string]string
	store *store.Store
	db    *postgres.DB
}

func newTerminal(t *testing.T, projects ...store.Project) *terminal {
	t.Helper()
	db := postgrestest.Open(t)
	st := store.New(db.Pool)
	if len(projects) > 0 {
		if err := st.UpsertProjects(t.Context(), projects); err != nil {
			t.Fatal(err)
		}
	}
	return &terminal{T: t, store: st, db: db, env: map[string]string{"DATABASE_URL": db.URL, "ECRFERRY_LOG_LEVEL": "ERROR"}}
}

// run returns the exit code and what was printed.
func (tt *terminal) run(args ...string) (code int, out, errs string) {
	tt.Helper()
	var o, e strings.Builder
	code = run(tt.Context(), args, func(k string) string { return tt.env[k] }, &o, &e)
	return code, o.String(), e.String()
}

func TestProjectTwice(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 7, Path: "kurs/skjema"})
	if code, out, errs := tt.run("project", "kurs/skjema"); code != 0 || !strings.Contains(out, "is enqueued: migration 1, attempt 1, from step discover") {
		t.Fatalf("first: exit %d\n%s%s", code, out, errs)
	}
	code, out, errs := tt.run("project", "kurs/skjema")
	if code != exitNothing || !strings.Contains(errs, "is under way already: migration 1, attempt 1, queued at step discover since ") {
		t.Errorf("second: exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = tt.run("project", "Kurs/Skjema", "--json")
	var row enqueued
	if err := json.Unmarshal([]byte(out), &row); err != nil || code != exitNothing || row.Enqueued || row.Migration != 1 {
		t.Errorf("second, as JSON: exit %d, %v\n%s", code, err, out)
	}
	all, err := tt.store.Migrations(t.Context(), 7)
	if err != nil || len(all) != 1 {
		t.Errorf("%d migrations, %v; want 1", len(all), err)
	}

	if code, out, errs := tt.run("cancel", "kurs/skjema", "--note", "next week"); code != 0 || !strings.Contains(out, "is cancelled at step discover") {
		t.Errorf("cancel: exit %d\n%s%s", code, out, errs)
	}
	if code, _, _ := tt.run("cancel", "kurs/skjema"); code != exitNothing {
		t.Errorf("cancelling again: exit %d, want %d", code, exitNothing)
	}
	if code, out, errs := tt.run("project", "kurs/skjema"); code != 0 || !strings.Contains(out, "attempt 2") {
		t.Errorf("after the cancelling: exit %d\n%s%s", code, out, errs)
	}
}

func TestFailed(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/two"}, store.Project{ID: 3, Path: "b/three"})
	if code, _, errs := tt.run("failed"); code != exitNothing {
		t.Errorf("nothing failed: exit %d, want %d: %s", code, exitNothing, errs)
	}
	for id, reason := range map[int64]string{1: "ecr-throttled", 2: "tag-collision", 3: "ecr-throttled"} {
		m, err := tt.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: id, Origin: store.KindAll})
		if err != nil {
			t.Fatal(err)
		}
		m.State, m.Step, m.Reason, m.Message = store.StateFailed, store.StepCopy, reason, "it did not work"
		m.Repository = "a/one"
		if _, err := tt.store.SaveMigration(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	if code, out, _ := tt.run("failed", "--dry-run"); code != 0 || strings.Count(out, "would be enqueued") != 3 {
		t.Errorf("dry run: exit %d\n%s", code, out)
	}
	if code, out, _ := tt.run("failed", "--reason", "ecr-throttled", "--group", "a"); code != 0 || out != "a/one is enqueued from step copy (ecr-throttled)\n" {
		t.Errorf("by reason and group: exit %d\n%s", code, out)
	}
	m, err := tt.store.LatestMigration(t.Context(), 1)
	if err != nil || m.Attempt != 2 || m.Step != store.StepCopy || m.Repository != "a/one" {
		t.Errorf("the new attempt: %+v, %v", m, err)
	}
	if code, out, _ := tt.run("failed", "--from", "discover", "--json"); code != 0 || strings.Count(out, `"step": "discover"`) != 2 {
		t.Errorf("from the start: exit %d\n%s", code, out)
	}
}

func TestAllAndStatus(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"})
	code, out, errs := tt.run("all", "--group", "a", "--limit", "10", "--json")
	if code != 0 || !strings.Contains(out, `"run": 1`) {
		t.Fatalf("all: exit %d\n%s%s", code, out, errs)
	}
	code, out, _ = tt.run("status", "--json")
	var r reports.Report
	if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
		t.Fatalf("status: exit %d, %v\n%s", code, err, out)
	}
	if r.Run == nil || r.Run.State != "queued" || len(r.Projects) != 1 || r.Projects[0].State != "none" {
		t.Errorf("status: %+v", r)
	}
	if code, out, _ := tt.run("status"); code != 0 || !strings.Contains(out, "a/one") {
		t.Errorf("table: exit %d\n%s", code, out)
	}
	if code, out, _ := tt.run("status", "a/one"); code != 0 || !strings.Contains(out, "a/one") {
		t.Errorf("story: exit %d\n%s", code, out)
	}
	if code, _, errs := tt.run("status", "no/such"); code != exitError || !strings.Contains(errs, "is not known") {
		t.Errorf("unknown project: exit %d\n%s", code, errs)
	}
}

func TestWrongUse(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"})
	for _, args := range [][]string{
		{"project"},
		{"project", "a/one", "--from", "nowhere"},
		{"project", "a/one", "--delivery", "pigeon"},
		{"all", "--images", "some"},
		{"all", "extra"},
		{"status", "--state", "happy"},
		{"status", "--nonsense"},
	} {
		if code, out, errs := tt.run(args...); code != exitUsage || errs == "" {
			t.Errorf("%v: exit %d, want %d\n%s%s", args, code, exitUsage, out, errs)
		}
	}
	if code, _, errs := tt.run("project", "un/known"); code != exitError || !strings.Contains(errs, "ECRFERRY_GITLAB_TOKEN") {
		t.Errorf("a project that is not known, without a token: exit %d\n%s", code, errs)
	}
}

// TestHelp lets every command explain itself: a text, examples that are right, and
// the same words for the same flag.
func TestHelp(t *testing.T) {
	t.Parallel()
	words := map[string]string{}
	var check func(cmd *cobra.Command)
	check = func(cmd *cobra.Command) {
		path := cmd.CommandPath()
		if cmd.Short == "" || cmd.Long == "" || cmd.Example == "" {
			t.Errorf("%s lacks a text or an example", path)
		}
		for line := range strings.Lines(cmd.Example) {
			_, line, ok := strings.Cut(line, "enqueue ")
			if !ok {
				t.Errorf("%s: no example: %s", path, line)
				continue
			}
			exampleWorks(t, path, line)
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if before := words[f.Name]; f.Name == "json" && before != "" && before != f.Usage {
				t.Errorf("%s: --json is %q here and %q elsewhere", path, f.Usage, before)
			}
			if words[f.Name] = f.Usage; f.Usage == "" {
				t.Errorf("%s: --%s says nothing", path, f.Name)
			}
		})
		for _, sub := range cmd.Commands() {
			check(sub)
		}
	}
	check(root(&environment{}))
}

// exampleWorks parses a command line as cobra would.
func exampleWorks(t *testing.T, path, line string) {
	t.Helper()
	for _, end := range []string{" #", " |", "   "} { // a remark, a pipe, a remark in a column
		line, _, _ = strings.Cut(line, end)
	}
	var args []string
	for _, word := range regexp.MustCompile(`"[^"]*"|'[^']*'|\S+`).FindAllString(line, -1) {
		args = append(args, strings.Trim(word, `'"`))
	}
	cmd, rest, err := root(&environment{}).Find(args)
	if err == nil {
		err = cmd.ParseFlags(rest)
	}
	if err == nil {
		err = cmd.Args(cmd, cmd.Flags().Args())
	}
	if err != nil {
		t.Errorf("%s: the example %q is wrong: %v", path, line, err)
	}
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/two"}, store.Project{ID: 3, Path: "b/three"})
	for _, step := range []struct {
		args string
		code int
		says string
	}{
		{"pause", exitUsage, "say --all for the intake"},
		{"pause a/one --all", exitUsage, "say --all for the intake"},
		{"pause --all --until 2099-01-01", exitUsage, "ECRFERRY_FREEZES"},
		{"pause --all --note upgrade", 0, "those under way go on"},
		{"pause --all", exitNothing, "paused already since"},
		{"resume --all", 0, "open again"},
		{"resume --all", exitNothing, "is not paused"},
		{"pause a/one no/such", exitError, "project no/such is not known"},
		{"resume a/one", exitNothing, "is not paused"}, // the order above did nothing by half
		{"pause --group a --until 2099-01-01 --note exams", 0, "a/two is paused"},
		{"pause b/three --until tomorrow", exitUsage, "write a date"},
		{"resume a/one a/two b/three", 0, "a/one goes on\na/two goes on\n"},
	} {
		code, out, errs := tt.run(strings.Fields(step.args)...)
		if code != step.code || !strings.Contains(out+errs, step.says) {
			t.Errorf("%s: exit %d, want %d and %q\n%s%s", step.args, code, step.code, step.says, out, errs)
		}
	}
	if holds, err := tt.store.Holds(t.Context()); err != nil || len(holds) != 0 {
		t.Errorf("holds left: %v, %v", holds, err)
	}
}

func TestAttempts(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 7, Path: "kurs/skjema"})
	if code, _, errs := tt.run("status", "kurs/skjema", "--attempts"); code != exitNothing || !strings.Contains(errs, "never enqueued") {
		t.Errorf("without an attempt: exit %d, %s", code, errs)
	}
	for range 2 {
		tt.run("project", "kurs/skjema")
		tt.run("cancel", "kurs/skjema")
	}
	if code, out, errs := tt.run("status", "kurs/skjema", "--attempts"); code != 0 || !strings.Contains(out, "kurs/skjema: attempt 1 ended cancelled at discover (cancelled), attempt 2 cancelled at discover") {
		t.Errorf("the latest two: exit %d\n%s%s", code, out, errs)
	}
	code, out, _ := tt.run("status", "kurs/skjema", "--attempts=2,1", "--json")
	var c reports.Comparison
	if err := json.Unmarshal([]byte(out), &c); err != nil || code != 0 || c.Before.Attempt.Attempt != 2 || c.After.Attempt.Attempt != 1 {
		t.Errorf("as JSON: exit %d, %v\n%s", code, err, out)
	}
	for args, want := range map[string]int{
		"status --attempts": exitUsage, "status kurs/skjema --attempts=1": exitUsage, "status kurs/skjema --attempts=0,1": exitUsage,
		"status kurs/skjema --attempts=1,3": exitError, "status kurs/none --attempts": exitError, "status kurs/skjema --attempts --watch": exitUsage,
	} {
		if code, _, errs := tt.run(strings.Fields(args)...); code != want || errs == "" {
			t.Errorf("%s: exit %d, want %d: %s", args, code, want, errs)
		}
	}
}

func TestFreeze(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t)
	for _, c := range []struct {
		args string
		code int
		says string
	}{
		{"freeze list", 0, "nothing is on the freeze list"},
		{"freeze add kurs/**", exitUsage, "write it with --note"},
		{"freeze add kurs/** --note exams --until 2001-01-01", exitUsage, "has passed"},
		{"freeze add kurs/** hr/lonn --note exams --until 2099-01-11", 0, "hr/lonn is on the freeze list"},
		{"freeze add hr/lonn --note gone", 0, "in the place of"},
		{"freeze list", 0, "2099-01-"},
		{"freeze remove none/such", exitNothing, "not on the freeze list"},
		{"freeze remove hr/lonn none/such", 0, "hr/lonn is off the freeze list"},
		{"freeze add", exitUsage, "--help"},
	} {
		if code, out, errs := tt.run(strings.Fields(c.args)...); code != c.code || !strings.Contains(out+errs, c.says) {
			t.Errorf("%s: exit %d, want %d with %q\n%s%s", c.args, code, c.code, c.says, out, errs)
		}
	}
	_, out, _ := tt.run("freeze", "list", "--json")
	var list freezeList
	if err := json.Unmarshal([]byte(out), &list); err != nil || len(list.Freezes) != 1 || list.Freezes[0].Note != "exams" || list.Freezes[0].Until == nil || list.Freezes[0].Actor == "" {
		t.Errorf("as JSON: %v\n%s", err, out)
	}
}
