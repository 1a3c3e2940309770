package reports_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func TestCompare(t *testing.T) {
	t.Parallel()
	two, half := 2.0, 0.5
	was := reports.Results{
		Steps: []reports.Step{
			{Name: "copy", Try: 1, Outcome: "retry", Seconds: &two, Reason: "ecr-throttled", Error: "rate exceeded"},
			{Name: "copy", Try: 2, Outcome: "done", Seconds: &half},
			{Name: "pipeline", Try: 1, Outcome: "failed", Seconds: &half, Reason: "push-not-authorized"},
		},
		Findings: []reports.Finding{
			{Step: "rewrite", Code: "moving-tag", File: "ci.yml", Line: 3, Text: "x"},
			{Step: "rewrite", Code: "twice", File: "ci.yml", Line: 4, Text: "y"},
			{Step: "rewrite", Code: "twice", File: "ci.yml", Line: 9, Text: "y"},
			{Step: "pipeline", Code: "pipeline-push-not-authorized"},
		},
		Images: []reports.Image{
			{Source: "a:1", SourceDigest: "d1", Target: "r:1", State: "copied", Bytes: 7},
			{Source: "a:2", SourceDigest: "d2", Target: "r:2", State: "failed", Reason: "cut off"},
			{Source: "a:3", SourceDigest: "d3", Target: "r:3", State: "left_out"},
		},
		Evidence: []reports.Evidence{{Step: "verify", Name: "running", Environment: "staging", Result: "no"}},
	}
	is := reports.Results{
		Steps: []reports.Step{{Name: "pipeline", Try: 1, Outcome: "done", Seconds: &two}, {Name: "verify", Try: 1, Outcome: "running"}},
		Findings: []reports.Finding{
			{Step: "rewrite", Code: "moving-tag", File: "ci.yml", Line: 5, Text: "x"}, // only moved
			{Step: "rewrite", Code: "twice", File: "ci.yml", Line: 4, Text: "y"},
			{Step: "verify", Code: "environment-left", Text: "qa"},
		},
		Images: []reports.Image{
			{Source: "a:1", SourceDigest: "d1", Target: "r:1", State: "present", Bytes: 7}, // there is there
			{Source: "a:2", SourceDigest: "d2b", Target: "r:2", State: "copied", Bytes: 9},
			{Source: "a:4", SourceDigest: "d4", Target: "r:4", State: "copied"},
		},
		Evidence: []reports.Evidence{{Step: "verify", Name: "running", Environment: "staging", Result: "yes"}},
	}
	c := reports.Compare(reports.Side{}, reports.Side{}, was, is)
	if d := cmp.Diff([]reports.StepChange{
		{Name: "copy", Before: &reports.StepTotal{Tries: 2, Seconds: 2.5, Outcome: "done", Reason: "ecr-throttled", Error: "rate exceeded"}},
		{Name: "pipeline", Before: &reports.StepTotal{Tries: 1, Seconds: 0.5, Outcome: "failed", Reason: "push-not-authorized"}, After: &reports.StepTotal{Tries: 1, Seconds: 2, Outcome: "done"}},
		{Name: "verify", After: &reports.StepTotal{Tries: 1, Outcome: "running"}},
	}, c.Steps); d != "" {
		t.Errorf("steps (-want +got):\n%s", d)
	}
	var findings, images []string
	for _, f := range c.Findings {
		findings = append(findings, f.Change+" "+f.Code)
	}
	for _, i := range c.Images {
		images = append(images, i.Change+" "+i.Source)
	}
	if d := cmp.Diff([]string{"gone twice", "gone pipeline-push-not-authorized", "new environment-left"}, findings); d != "" {
		t.Errorf("findings (-want +got):\n%s", d)
	}
	if d := cmp.Diff([]string{"changed a:2", "gone a:3", "new a:4"}, images); d != "" {
		t.Errorf("images (-want +got):\n%s", d)
	}
	if len(c.Evidence) != 1 || c.Evidence[0].Change != "changed" || c.Evidence[0].After.Result != "yes" {
		t.Errorf("evidence %+v", c.Evidence)
	}
	if c.Same != (reports.Same{Findings: 2, Images: 1}) {
		t.Errorf("same: %+v", c.Same)
	}
	// The second attempt began behind the copy: what stands as copied in its rows
	// is the first one's doing.
	if c.Before.BytesCopied != 7 || c.After.BytesCopied != 0 || c.Before.Tries != 3 || c.Before.Worked != 3 {
		t.Errorf("before %+v, after %+v", c.Before, c.After)
	}
	none := reports.Compare(reports.Side{}, reports.Side{}, was, was)
	if len(none.Findings)+len(none.Images)+len(none.Evidence) != 0 || none.Same.Findings != 4 {
		t.Errorf("an attempt differs from itself: %+v", none)
	}
}

// TestGatherComparison compares attempts from the database, and reads them as
// people and programs do.
func TestGatherComparison(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	st := store.New(postgrestest.New(t))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(st.UpsertProjects(ctx, []store.Project{{ID: 1, Path: "kurs/skjema"}}))
	compare := func(before, after int) (reports.Comparison, error) {
		return reports.GatherComparison(ctx, st, "kurs/skjema", before, after)
	}
	if _, err := compare(0, 0); err == nil || !strings.Contains(err.Error(), "never enqueued") {
		t.Errorf("without an attempt: %v", err)
	}
	attempt := func(state store.State, reason string, findings ...store.Finding) {
		t.Helper()
		m, err := st.CreateMigration(ctx, store.NewMigration{ProjectID: 1, Origin: store.KindProject})
		must(err)
		step, err := st.StartStep(ctx, store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: m.ID, Worker: "w"})
		must(err)
		_, err = st.FinishStep(ctx, step.ID, store.Finish{Outcome: store.OutcomeDone})
		must(err)
		must(st.ReplaceFindings(ctx, m.ID, store.StepRewrite, findings))
		m.State, m.Reason, m.Step, m.Message = state, reason, store.StepPipeline, "so it ended"
		_, err = st.SaveMigration(ctx, m)
		must(err)
	}
	broken := store.Finding{Code: "moving-tag", Severity: store.Warning, File: ".gitlab-ci.yml", Line: 7, Message: "a tag\x1b[2J that moves"}
	attempt(store.StateFailed, "tag-immutable", broken)
	if _, err := compare(0, 0); err == nil || !strings.Contains(err.Error(), "one attempt only") {
		t.Errorf("with one attempt: %v", err)
	}
	attempt(store.StateFailed, "script-failure", broken)
	attempt(store.StateDone, "")
	c, err := compare(0, 0)
	must(err)
	if c.Before.Attempt.Attempt != 2 || c.After.Attempt.Attempt != 3 || len(c.Attempts) != 3 || len(c.Findings) != 1 {
		t.Errorf("the latest two: %+v", c)
	}
	var none *reports.NoAttemptError
	if _, err := compare(1, 9); !errors.As(err, &none) || none.Attempt != 9 {
		t.Errorf("an attempt that is not there: %v", err)
	}
	if c, err = compare(1, 2); err != nil || c.Before.Reason != "tag-immutable" || c.Same.Findings != 1 {
		t.Errorf("1 and 2: %+v, %v", c, err)
	}
	c, err = compare(1, 3)
	must(err)
	for name, write := range map[string]func(*bytes.Buffer) error{
		"text":     func(b *bytes.Buffer) error { return c.Text(b) },
		"markdown": func(b *bytes.Buffer) error { return c.Markdown(b) },
		"json":     func(b *bytes.Buffer) error { return c.JSON(b) },
	} {
		var b bytes.Buffer
		must(write(&b))
		for _, want := range []string{"kurs/skjema", "moving", "gone", "immutable"} {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s lacks %q:\n%s", name, want, b.String())
			}
		}
		if strings.Contains(b.String(), "\x1b") || strings.Contains(b.String(), ": null,\n  \"findings") {
			t.Errorf("%s:\n%s", name, b.String())
		}
	}
	if _, err := reports.GatherComparison(ctx, st, "kurs/none", 0, 0); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an unknown project: %v", err)
	}
}
