package store_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

const digest = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestImages(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	one := store.Image{
		SourceRepository: "group/p1-api", SourceTag: "1", SourceDigest: digest, Name: "api",
		TargetRepository: "group/p1", TargetTag: "api-1", MediaType: "application/x", Bytes: 42, State: store.ImagePlanned,
	}
	two := one
	two.SourceRepository, two.State, two.Reason = "group/p1/api", store.ImageCollision, "two digests want api-1"
	b.must(b.SaveImages(b.ctx, m.ID, []store.Image{one, two}))
	b.must(b.SaveImages(b.ctx, m.ID, nil))

	// Both claim the tag: refused, and nothing of it is stored.
	clash := two
	clash.State, clash.Reason = store.ImagePlanned, ""
	third := one
	third.SourceTag, third.TargetTag = "3", "api-3"
	err := b.SaveImages(b.ctx, m.ID, []store.Image{third, clash})
	if _, ok := errors.AsType[*store.TagTakenError](err); !ok {
		t.Errorf("two images under one tag: %v", err)
	}
	got, err := b.Images(b.ctx, m.ID)
	b.must(err)
	one.MigrationID, two.MigrationID = m.ID, m.ID
	ignore := cmpopts.IgnoreFields(store.Image{}, "ID", "CreatedAt", "UpdatedAt")
	if diff := cmp.Diff([]store.Image{one, two}, got, ignore); diff != "" {
		t.Error(diff)
	}

	// The tag changes hands in one call, whatever the order.
	two.State, two.Reason, two.TargetDigest = store.ImageCopied, "", digest
	one.State, one.Reason = store.ImageLeftOut, "the other one"
	b.must(b.SaveImages(b.ctx, m.ID, []store.Image{two, one}))
	again, err := b.Images(b.ctx, m.ID)
	b.must(err)
	if diff := cmp.Diff([]store.Image{one, two}, again, ignore); diff != "" {
		t.Error(diff)
	}
	if again[0].ID != got[0].ID || !again[0].UpdatedAt.After(got[0].UpdatedAt) || !again[0].CreatedAt.Equal(got[0].CreatedAt) {
		t.Errorf("stored anew, not updated: %+v, before %+v", again[0], got[0])
	}
	two.TargetDigest = strings.Replace(digest, "9f", "00", 1)
	if err := b.SaveImages(b.ctx, m.ID, []store.Image{two}); constraintOf(err) != "images_verified" {
		t.Errorf("copied with another digest: %v", err)
	}
}

// Referrers have no tag: each digest is an image of its own, and none takes a tag.
func TestImagesWithoutTag(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	var want []store.Image
	for _, end := range []string{"0", "1"} {
		d := digest[:len(digest)-1] + end
		want = append(want, store.Image{MigrationID: m.ID, SourceRepository: "r", SourceDigest: d, TargetDigest: d, State: store.ImageCopied})
	}
	for range 2 { // the second time it updates
		b.must(b.SaveImages(b.ctx, m.ID, want))
		got, err := b.Images(b.ctx, m.ID)
		b.must(err)
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Image{}, "ID", "CreatedAt", "UpdatedAt")); diff != "" {
			t.Error(diff)
		}
		want[0].Bytes = 7
	}
}

func TestFindings(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	first := []store.Finding{
		{Code: "note", Severity: store.Note, File: "a"},
		{Code: "literal", Severity: store.Blocking, File: "b", Line: 9, Column: 3, Text: "x", Message: "m", Remedy: "r", Owner: "project"},
		{Code: "literal", Severity: store.Blocking, File: "b", Line: 2},
	}
	// What two steps find alike is one finding, the later step's.
	b.must(b.ReplaceFindings(b.ctx, m.ID, store.StepDiscover, first[1:]))
	b.must(b.ReplaceFindings(b.ctx, m.ID, store.StepRewrite, append(first, first[0])))
	b.must(b.ReplaceFindings(b.ctx, m.ID, store.StepCopy, []store.Finding{{Code: "w", Severity: store.Warning}}))
	got, err := b.Findings(b.ctx, m.ID)
	b.must(err)
	for i := range first {
		first[i].MigrationID, first[i].Step = m.ID, store.StepRewrite
	}
	want := []store.Finding{first[2], first[1], {MigrationID: m.ID, Step: store.StepCopy, Code: "w", Severity: store.Warning}, first[0]}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Finding{}, "ID")); diff != "" {
		t.Error(diff)
	}
	// A bad one leaves what was there.
	if err := b.ReplaceFindings(b.ctx, m.ID, store.StepRewrite, []store.Finding{{Code: "x", Severity: "odd"}}); err == nil {
		t.Error("an unknown severity was taken")
	}
	b.must(b.ReplaceFindings(b.ctx, m.ID, store.StepCopy, nil))
	if got, _ := b.Findings(b.ctx, m.ID); len(got) != 3 {
		t.Errorf("%d findings are left, want 3", len(got))
	}
}

func TestEvidence(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	want := []store.Evidence{
		{Name: "workload-image", Environment: "staging", Subject: "Deployment/app", Result: store.Yes, Detail: "d"},
		{Name: "cluster-asked", Result: store.Unknown},
	}
	b.must(b.ReplaceEvidence(b.ctx, m.ID, store.StepVerify, []store.Evidence{{Name: "old", Result: store.No}}))
	b.must(b.ReplaceEvidence(b.ctx, m.ID, store.StepVerify, want))
	got, err := b.Evidence(b.ctx, m.ID)
	b.must(err)
	for i := range want {
		want[i].MigrationID, want[i].Step = m.ID, store.StepVerify
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Evidence{}, "ID", "ObservedAt")); diff != "" {
		t.Error(diff)
	}
}

func TestEvents(t *testing.T) {
	b := open(t)
	b.projects(1)
	m := b.migration(1)
	b.must(b.AddEvents(b.ctx))
	b.must(b.AddEvents(b.ctx,
		store.Event{Actor: "ola@host", Kind: "enqueue"},
		store.Event{Actor: "worker", Kind: "commit", System: "gitlab", ProjectID: 1, MigrationID: m.ID, Detail: "d", URL: "u", Data: []byte(`{"sha": "x"}`)},
		store.Event{Actor: "worker", Kind: "turn", MigrationID: m.ID},
	))
	read := func(f store.EventFilter) string {
		t.Helper()
		es, err := b.Events(b.ctx, f)
		b.must(err)
		var kinds []string
		for _, e := range es {
			kinds = append(kinds, e.Kind)
		}
		return strings.Join(kinds, " ")
	}
	all, err := b.Events(b.ctx, store.EventFilter{})
	b.must(err)
	for _, tt := range []struct {
		f    store.EventFilter
		want string
	}{
		{store.EventFilter{}, "enqueue commit turn"},
		{store.EventFilter{MigrationID: m.ID}, "commit turn"},
		{store.EventFilter{ProjectID: 1}, "commit turn"},
		{store.EventFilter{System: "gitlab"}, "commit"},
		{store.EventFilter{Kind: "turn"}, "turn"},
		{store.EventFilter{Limit: 2}, "commit turn"},
		{store.EventFilter{After: all[1].ID}, "turn"},
	} {
		if got := read(tt.f); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.f, got, tt.want)
		}
	}
	for _, sql := range []string{
		`UPDATE ferry.events SET detail = 'better'`,
		`DELETE FROM ferry.events`,
		`TRUNCATE ferry.events`,
	} {
		if _, err := b.pool.Exec(b.ctx, sql); err == nil || !strings.Contains(err.Error(), "append only") {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if got := read(store.EventFilter{}); got != "enqueue commit turn" {
		t.Errorf("after all that: %q", got)
	}
}
