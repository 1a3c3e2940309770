package main

import (
	"context"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestLogs tells a project's story although River's rows are gone.
func TestLogs(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"})
	if code, _, errs := tt.run("project", "a/one", "--note", "first"); code != 0 {
		t.Fatal(errs)
	}
	try, err := tt.store.StartStep(t.Context(), store.NewStep{MigrationID: 1, Name: store.StepDiscover, JobID: 1, Worker: "w"})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tt.store.FinishStep(t.Context(), try.ID, store.Finish{Outcome: store.OutcomeRetry, Error: "GitLab \x1b[2J is down"}); err != nil {
		t.Fatal(err)
	}
	if err := tt.store.ReplaceFindings(t.Context(), 1, store.StepDiscover, []store.Finding{
		{Code: "pipeline-disk-full", Severity: store.Warning, File: "https://gitlab.example.org/j/1", Text: "$ make\nno space \x1b[2J left", Message: "the disk is full", Retry: "later"},
		{Code: "tag-moving", Severity: store.Note, Message: "of no failed job"},
	}); err != nil {
		t.Fatal(err)
	}
	err = tt.store.InTx(t.Context(), func(ctx context.Context, tx *store.Store) error {
		_, err := tx.Tx().Exec(ctx, `DELETE FROM river.river_job`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	code, out, errs := tt.run("logs", "a/one")
	if code != 0 || strings.Count(out, "\n") != 5 || !strings.Contains(out, "discover try 1: retry (w) GitLab  [2J is down") || !strings.Contains(out, "enqueue-project") ||
		!strings.Contains(out, "pipeline-disk-full (w) the disk is full https://gitlab.example.org/j/1\n    | $ make\n    | no space  [2J left\n") {
		t.Errorf("exit %d\n%q%s", code, out, errs)
	}
	if _, out, _ := tt.run("logs", "a/one", "--step", "discover", "--json"); strings.Count(out, "\n") != 2 || !strings.Contains(out, `"what":"retry"`) || !strings.Contains(out, `"excerpt":"$ make\n`) {
		t.Errorf("one step as JSON: %q", out)
	}
	if code, _, errs := tt.run("logs", "no/such"); code != exitError || !strings.Contains(errs, "is not known") {
		t.Errorf("unknown: exit %d %s", code, errs)
	}
}
