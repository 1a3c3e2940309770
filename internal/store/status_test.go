package store_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// image returns an image in a state, with a tag of its own.
func image(tag string, state store.ImageState, bytes int64) store.Image {
	i := store.Image{SourceRepository: "r", SourceTag: tag, SourceDigest: digest, TargetTag: tag, State: state, Bytes: bytes}
	switch state {
	case store.ImageCopied, store.ImagePresent:
		i.TargetDigest = digest
	case store.ImagePlanned:
	default:
		i.Reason = "for a reason"
	}
	return i
}

// fleet makes seven projects: 1 never enqueued, 2 done after a failed attempt,
// 3 waiting, 4 and 5 failed alike, 6 needing attention, 7 gone and never enqueued.
func fleet(b *bench) {
	b.projects(7)
	began, err := b.Now(b.ctx)
	b.must(err)
	b.projects(1, 2, 3, 4, 5, 6)
	_, err = b.MarkGone(b.ctx, began)
	b.must(err)

	failed := b.migration(2)
	b.must(b.SaveImages(b.ctx, failed.ID, []store.Image{image("old", store.ImageCopied, 1000)}))
	b.end(failed, store.StateFailed, "ecr-throttled")
	done := b.migration(2)
	b.must(b.SaveImages(b.ctx, done.ID, []store.Image{
		image("1", store.ImageCopied, 10), image("2", store.ImageCopied, 20), image("3", store.ImagePresent, 40),
		image("4", store.ImageLeftOut, 80), image("5", store.ImageConflict, 1), image("6", store.ImageGone, 1),
	}))
	b.must(b.ReplaceFindings(b.ctx, done.ID, store.StepRewrite, []store.Finding{
		{Code: "a", Severity: store.Warning}, {Code: "b", Severity: store.Warning}, {Code: "c", Severity: store.Note, Line: 1}, {Code: "c", Severity: store.Note, Line: 2},
	}))
	done.RepositoryURI, done.PipelineURL = "ecr/group/p2", "https://gitlab/p/1"
	b.end(done, store.StateExceptions, "images")

	waiting := b.migration(3)
	b.must(b.SaveImages(b.ctx, waiting.ID, []store.Image{image("1", store.ImagePlanned, 5)}))
	waiting.State, waiting.WaitingFor, waiting.Step = store.StateWaiting, "pipeline 9", store.StepPipeline
	_, err = b.SaveMigration(b.ctx, waiting)
	b.must(err)

	for _, p := range []int64{4, 5} {
		m := b.migration(p)
		m.NextAction, m.ErrorClass, m.Step = "ask the platform", "permanent", store.StepCopy
		b.end(m, store.StateFailed, "ecr-denied")
	}
	m := b.migration(6)
	b.must(b.ReplaceFindings(b.ctx, m.ID, store.StepRewrite, []store.Finding{{Code: "x", Severity: store.Blocking}}))
	m.Step = store.StepRewrite
	b.end(m, store.StateAttention, "findings")
}

func TestStatus(t *testing.T) {
	b := open(t)
	fleet(b)
	all, err := b.Status(b.ctx, store.StatusFilter{})
	b.must(err)
	var lines []string
	for _, s := range all {
		lines = append(lines, s.Path+" "+string(s.State)+" "+string(s.Step)+" "+s.Reason)
	}
	want := []string{
		"group/p1 none  ", "group/p2 exceptions discover images", "group/p3 waiting pipeline ",
		"group/p4 failed copy ecr-denied", "group/p5 failed copy ecr-denied", "group/p6 attention rewrite findings",
	}
	if diff := cmp.Diff(want, lines); diff != "" {
		t.Fatal(diff)
	}
	p2 := all[1]
	counts := store.ImageCounts{Copied: 2, Present: 1, LeftOut: 1, Problems: 2, BytesCopied: 30}
	if diff := cmp.Diff(counts, p2.ImageCounts); diff != "" {
		t.Errorf("images of the latest attempt: %s", diff)
	}
	if p2.Attempt != 2 || p2.FindingsWarnings != 2 || p2.FindingsNotes != 2 || p2.FindingsBlocking != 0 ||
		p2.RepositoryURI == "" || p2.PipelineURL == "" || p2.Why != "because of images" || p2.FinishedAt == nil {
		t.Errorf("p2: %+v", p2)
	}
	if diff := cmp.Diff([]string{"a", "b", "c"}, p2.FindingCodes); diff != "" {
		t.Error(diff)
	}
	if all[0].FindingCodes == nil || all[0].MigrationID != 0 || all[0].Attempt != 0 || all[0].CreatedAt != nil || all[0].Since.IsZero() {
		t.Errorf("p1: %+v", all[0])
	}
	if all[2].Planned != 1 || all[2].BytesPlanned != 5 || all[2].WaitingFor != "pipeline 9" || all[5].FindingsBlocking != 1 {
		t.Errorf("p3: %+v\np6: %+v", all[2], all[5])
	}
	for _, tt := range []struct {
		name string
		f    store.StatusFilter
		want int
	}{
		{"paths", store.StatusFilter{Paths: []string{"Group/P3", "x"}}, 1},
		{"states", store.StatusFilter{States: []store.State{store.StateFailed, store.StateAttention}}, 3},
		{"group", store.StatusFilter{Group: "group"}, 6},
		{"other group", store.StatusFilter{Group: "grou"}, 0},
		{"limit", store.StatusFilter{Limit: 2}, 2},
		{"run", store.StatusFilter{RunID: 1}, 0},
	} {
		got, err := b.Status(b.ctx, tt.f)
		b.must(err)
		if len(got) != tt.want {
			t.Errorf("%s: %d rows, want %d", tt.name, len(got), tt.want)
		}
	}
}

func TestProgressAndFailures(t *testing.T) {
	b := open(t)
	fleet(b)
	progress, err := b.Progress(b.ctx)
	b.must(err)
	want := []store.Progress{
		{State: store.StateNone, Projects: 1}, {State: store.StateQueued}, {State: store.StateRunning},
		{State: store.StateWaiting, Projects: 1, ImageCounts: store.ImageCounts{Planned: 1}},
		{State: store.StateDone},
		{State: store.StateExceptions, Projects: 1, ImageCounts: store.ImageCounts{Copied: 2, Present: 1, LeftOut: 1, Problems: 2, BytesCopied: 30}},
		{State: store.StateSkipped}, {State: store.StateAttention, Projects: 1},
		{State: store.StateFailed, Projects: 2}, {State: store.StateCancelled},
	}
	if diff := cmp.Diff(want, progress, cmpopts.IgnoreFields(store.Progress{}, "Oldest")); diff != "" {
		t.Error(diff)
	}
	for _, p := range progress {
		if (p.Oldest != nil) != (p.Projects > 0) {
			t.Errorf("%s: oldest %v of %d", p.State, p.Oldest, p.Projects)
		}
	}
	failures, err := b.Failures(b.ctx)
	b.must(err)
	wantFailures := []store.Failure{
		{Reason: "ecr-denied", Class: "permanent", State: store.StateFailed, Step: store.StepCopy, Projects: 2,
			Examples: []string{"group/p5", "group/p4"}, Why: "because of ecr-denied", Remedy: "ask the platform"},
		{Reason: "findings", State: store.StateAttention, Step: store.StepRewrite, Projects: 1,
			Examples: []string{"group/p6"}, Why: "because of findings"},
	}
	if diff := cmp.Diff(wantFailures, failures, cmpopts.IgnoreFields(store.Failure{}, "Oldest")); diff != "" {
		t.Error(diff)
	}
}
