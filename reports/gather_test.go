package reports_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestGather(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	st := store.New(postgrestest.New(t))
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	empty, err := reports.Gather(ctx, st, store.StatusFilter{})
	must(err)
	if empty.Run != nil || len(empty.Projects) != 0 || len(empty.Progress) != 10 {
		t.Errorf("of an empty database: %+v", empty)
	}

	run, err := st.CreateRun(ctx, store.Run{Kind: store.KindAll, Actor: "ola@host"})
	must(err)
	must(st.UpsertProjects(ctx, []store.Project{{ID: 1, Path: "kurs/skjema"}, {ID: 2, Path: "kurs/test"}}))
	m, err := st.CreateMigration(ctx, store.NewMigration{ProjectID: 1, RunID: run.ID, Origin: store.KindAll})
	must(err)
	step, err := st.StartStep(ctx, store.NewStep{MigrationID: m.ID, Name: store.StepCopy, JobID: 3, Worker: "w"})
	must(err)
	_, err = st.FinishStep(ctx, step.ID, store.Finish{Outcome: store.OutcomeFailed, Error: "denied", Reason: "ecr-denied"})
	must(err)
	must(st.SaveImages(ctx, m.ID, []store.Image{
		{SourceRepository: "kurs/skjema-api", SourceTag: "1", SourceDigest: digest, TargetRepository: "kurs/skjema", TargetTag: "api-1", TargetDigest: digest, State: store.ImageCopied, Bytes: 9},
		{SourceRepository: "kurs/skjema-api", SourceDigest: digest, TargetRepository: "kurs/skjema", State: store.ImagePlanned},
	}))
	must(st.ReplaceFindings(ctx, m.ID, store.StepRewrite, []store.Finding{{Code: "literal", Severity: store.Blocking, File: "Dockerfile"}}))
	must(st.ReplaceEvidence(ctx, m.ID, store.StepVerify, []store.Evidence{{Name: "workload-image", Result: store.Unknown}}))
	must(st.AddEvents(ctx, store.Event{Actor: "worker", Kind: "commit", MigrationID: m.ID}))
	m.State, m.Step, m.Reason, m.Message = store.StateFailed, store.StepCopy, "ecr-denied", "not authorized"
	_, err = st.SaveMigration(ctx, m)
	must(err)

	r, err := reports.Gather(ctx, st, store.StatusFilter{})
	must(err)
	if r.Run == nil || r.Run.ID != run.ID || len(r.Projects) != 2 || len(r.Failures) != 1 {
		t.Fatalf("report: %+v", r)
	}
	if p := r.Projects[0]; p.State != "failed" || p.Images.Copied != 1 || p.Findings.Blocking != 1 || p.FindingCodes[0] != "literal" {
		t.Errorf("kurs/skjema: %+v", p)
	}
	// While it copies, the row of the copy says how far it is.
	m.State = store.StateRunning
	m, err = st.SaveMigration(ctx, m)
	must(err)
	c := store.Copying{MigrationID: m.ID, Images: 4, ImagesDone: 1, Bytes: 30 << 20, BytesDone: 10 << 20, Writes: 5, WritesDone: 1, Rate: 2 << 20}
	must(st.SaveCopying(ctx, c, 10*time.Second, true, false))
	running, err := reports.Gather(ctx, st, store.StatusFilter{})
	must(err)
	if p := running.Projects[0]; p.Copy == nil || p.Copy.BytesDone != 10<<20 || !strings.Contains(p.Why, "1 of 4 images, 10.5 MB of 31.5 MB, 2.1 MB/s, about ") {
		t.Errorf("while it copies: %q %+v", p.Why, p.Copy)
	}
	must(st.SaveCopying(ctx, c, 0, false, true))
	ended, err := reports.Gather(ctx, st, store.StatusFilter{})
	must(err)
	if p := ended.Projects[0]; p.Copy != nil || strings.Contains(p.Why, "copying") {
		t.Errorf("afterwards: %q %+v", p.Why, p.Copy)
	}
	s, err := reports.GatherStory(ctx, st, "Kurs/Skjema")
	must(err)
	if len(s.Steps) != 1 || s.Steps[0].Seconds == nil || len(s.Images) != 2 || len(s.Findings) != 1 ||
		len(s.Evidence) != 1 || len(s.Events) != 1 || len(s.Attempts) != 1 {
		t.Errorf("story: %+v", s)
	}
	if got, want := s.Images[0].Source, "kurs/skjema-api@"+digest; got != want {
		t.Errorf("source without a tag is %q, want %q", got, want)
	}
	if _, err := reports.GatherStory(ctx, st, "kurs/none"); !errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), "kurs/none") {
		t.Errorf("story of an unknown project: %v", err)
	}
	never, err := reports.GatherStory(ctx, st, "kurs/test")
	must(err)

	// Lists are never null, so that programs need not ask.
	for name, write := range map[string]func(*bytes.Buffer) error{
		"empty report": func(b *bytes.Buffer) error { return empty.JSON(b) },
		"report":       func(b *bytes.Buffer) error { return r.JSON(b) },
		"story":        func(b *bytes.Buffer) error { return s.JSON(b) },
		"no story":     func(b *bytes.Buffer) error { return never.JSON(b) },
	} {
		var b bytes.Buffer
		must(write(&b))
		var v map[string]any
		must(json.Unmarshal(b.Bytes(), &v))
		for key, value := range v {
			if value == nil && key != "run" {
				t.Errorf("%s: %q is null", name, key)
			}
		}
		if v["schema"] != float64(1) {
			t.Errorf("%s: schema %v", name, v["schema"])
		}
	}
}
