package reports

import (
	"bytes"
	"flag"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// golden compares what render writes with testdata/name.
func golden(t *testing.T, name string, render func(io.Writer) error) {
	t.Helper()
	var got bytes.Buffer
	if err := render(&got); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, got.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got.String()); diff != "" {
		t.Errorf("%s (go test ./reports -update writes it anew):\n%s", path, diff)
	}
}

var (
	noon = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	soon = noon.Add(5 * time.Minute)
)

func before(d time.Duration) time.Time   { return noon.Add(-d) }
func beforeP(d time.Duration) *time.Time { t := before(d); return &t }

// hostile is a text from outside that tries to be more than text.
const hostile = "\x1b[31mred\x1b[0m | <script> @everybody\n# head `x` \u202e"

func someReport() Report {
	return Report{
		Schema: schema, At: noon,
		Run: &Run{ID: 3, Kind: "all", Actor: "ola@host", State: "enqueued", Seen: 4, Enrolled: 3, LeftOut: 1,
			CreatedAt: before(3 * time.Hour), FinishedAt: beforeP(2 * time.Hour)},
		Progress: []Progress{
			{State: "none"},
			{State: "waiting", Projects: 1, Oldest: beforeP(90 * time.Second)},
			{State: "done", Projects: 1, Oldest: beforeP(49 * time.Hour), Images: Images{Copied: 12, Present: 1, LeftOut: 30, BytesCopied: 1_234_567_890}},
			{State: "failed", Projects: 1, Oldest: beforeP(time.Hour), Images: Images{Planned: 4, Problems: 1}},
		},
		Projects: []Project{
			{ID: 1, Path: "kurs/påmelding", URL: "https://gitlab/kurs/påmelding", MigrationID: 7, Attempt: 1, State: "done", Step: "done",
				Since: before(49 * time.Hour), Images: Images{Copied: 12, Present: 1, LeftOut: 30, BytesCopied: 1_234_567_890},
				Findings: Findings{Warnings: 1, Notes: 2}, FindingCodes: []string{"literal", "template"}, Why: "staging runs from ECR"},
			{ID: 2, Path: "kurs/skjema", MigrationID: 8, Attempt: 2, State: "waiting", Step: "pipeline", Since: before(90 * time.Second),
				WaitingFor: "pipeline 77", NextLookAt: &soon, DeadlineAt: &soon, PipelineURL: "https://gitlab/p/77", FindingCodes: []string{}},
			{ID: 3, Path: "kurs/test", MigrationID: 9, Attempt: 1, State: "failed", Step: "copy", Since: before(time.Hour), Reason: "ecr-denied",
				ErrorClass: "permanent", Why: hostile, Next: strings.Repeat("ask the platform ", 12), Images: Images{Planned: 4, Problems: 1}, FindingCodes: []string{}},
		},
		Failures: []Failure{{Reason: "ecr-denied", Class: "permanent", State: "failed", Step: "copy", Projects: 7, Oldest: before(time.Hour),
			Examples: []string{"kurs/test", "kurs/b", "kurs/c", "kurs/d", "kurs/e"}, Why: "not authorized", Remedy: "ask the platform"}},
	}
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := someReport()
	golden(t, "report.txt", r.Text)
	golden(t, "report.md", r.Markdown)
	golden(t, "report.json", r.JSON)
	empty := Report{Schema: schema, At: noon, Progress: []Progress{}, Projects: []Project{}, Failures: []Failure{}}
	golden(t, "empty.txt", empty.Text)
	golden(t, "empty.json", empty.JSON)
}

func someStory() Story {
	r := someReport()
	seconds := 61.5
	return Story{
		Schema: schema, At: noon, Project: r.Projects[1],
		Attempts: []Attempt{
			{MigrationID: 8, Attempt: 2, State: "waiting", Step: "pipeline", CreatedAt: before(time.Hour)},
			{MigrationID: 4, Attempt: 1, State: "failed", Step: "copy", Reason: "gitlab-unavailable", Why: "502", CreatedAt: before(time.Hour * 30), FinishedAt: beforeP(time.Hour * 29)},
		},
		Steps: []Step{
			{Name: "copy", Try: 1, Outcome: "retry", StartedAt: before(time.Hour), Seconds: &seconds, Worker: "w1", JobID: 5, Request: "J7VZQ3CK2MXWB5TDLAHN4RYPEG", Reason: "ecr-throttled", Class: "transient", Error: "Rate exceeded", Result: []byte(`{}`)},
			{Name: "pipeline", Try: 1, Outcome: "running", StartedAt: before(90 * time.Second), Worker: "w2", JobID: 6, Result: []byte(`{"looked": 1}`)},
		},
		Images: []Image{
			{Source: "kurs/skjema-api:1.2", SourceDigest: "sha256:aa", Target: "kurs/skjema:api-1.2", TargetDigest: "sha256:aa", Bytes: 52_400_000, State: "copied"},
			{Source: "kurs/skjema:latest", State: "left-out", Reason: "the next pipeline pushes latest"},
		},
		Findings: []Finding{{Step: "rewrite", Code: "literal", Severity: "warning", File: "Dockerfile", Line: 3, Column: 6, Text: "FROM registry.uninett.no/x", Message: "names the old registry", Remedy: "use upstream", Owner: "project"}},
		Evidence: []Evidence{{Step: "verify", Name: "workload-image", Environment: "staging", Subject: "Deployment/web", Result: "unknown", Detail: "not asked yet", ObservedAt: noon}},
		Events:   []Event{{At: before(time.Hour), Actor: "worker", Kind: "commit", System: "gitlab", MigrationID: 8, Detail: "changed .gitlab-ci.yml", URL: "https://gitlab/c/1", Data: []byte(`{"sha":"abc"}`)}},
	}
}

func TestStory(t *testing.T) {
	t.Parallel()
	s := someStory()
	golden(t, "story.txt", s.Text)
	golden(t, "story.md", s.Markdown)
	golden(t, "story.json", s.JSON)
}

// What comes from outside stays text, on a terminal and in Markdown.
func TestHostileText(t *testing.T) {
	t.Parallel()
	var text, markdown bytes.Buffer
	r := someReport()
	if err := r.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := r.Markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{"\x1b", "\u202e"} {
		if strings.Contains(text.String()+markdown.String(), bad) {
			t.Errorf("%q gets through", bad)
		}
	}
	for _, bad := range []string{"<script", "@everybody", " | <", "# head"} {
		if strings.Contains(markdown.String(), bad) {
			t.Errorf("%q gets into Markdown", bad)
		}
	}
	for _, url := range []string{"javascript:alert(1)", "https://x/) [evil](https://y", `https://x/"`} {
		if got := link("t", url); got != "t" {
			t.Errorf("link to %q is %q", url, got)
		}
	}
}

func TestUnits(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0 B", 999: "999 B", 1000: "1.0 kB", 999_949: "999.9 kB", 999_950: "1.0 MB", 52_400_000: "52.4 MB", 7_000_000_000_000: "7.0 TB"} {
		if got := size(n); got != want {
			t.Errorf("size(%d) = %q, want %q", n, got, want)
		}
	}
	for d, want := range map[time.Duration]string{-time.Second: "0s", 250 * time.Millisecond: "250ms", 59 * time.Second: "59s", 61 * time.Second: "1m", 47 * time.Hour: "47h", 49 * time.Hour: "2d"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %q, want %q", d, got, want)
		}
	}
}

// TestWaits folds the looks of a wait, and nothing else.
func TestWaits(t *testing.T) {
	t.Parallel()
	s := someStory()
	at := s.At.Add(-time.Hour)
	s.Steps = nil
	for i, outcome := range []string{"retry", "retry", "waiting", "waiting", "waiting", "done"} {
		s.Steps = append(s.Steps, Step{Name: "rewrite", Try: i + 1, Outcome: outcome, StartedAt: at.Add(time.Duration(i) * time.Minute), Reason: "merge-request"})
	}
	s.Steps = append(s.Steps, Step{Name: "pipeline", Try: 1, Outcome: "waiting", StartedAt: at}, Step{Name: "verify", Try: 1, Outcome: "waiting", StartedAt: at})
	var text strings.Builder
	if err := s.Text(&text); err != nil {
		t.Fatal(err)
	}
	for try, lines := range map[string]int{"rewrite +1 +retry": 1, "rewrite +2 +retry": 1, "rewrite +3-5 +waiting": 1, "rewrite +4": 0, "rewrite +6 +done": 1, "pipeline +1 +waiting": 1, "verify +1 +waiting": 1} {
		if n := len(regexp.MustCompile(`(?m)^`+try).FindAllString(text.String(), -1)); n != lines {
			t.Errorf("%d lines %q, want %d:\n%s", n, try, lines, text.String())
		}
	}
}
