package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestProjectList(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		text string
		want []string
		err  string
	}{
		"plain":            {"a/one\nb/two\n", []string{"a/one", "b/two"}, ""},
		"first column":     {"a/one,x\n# not this\n\"b/two\",\"y, z\"\n", []string{"a/one", "b/two"}, ""},
		"heading":          {"\xef\xbb\xbfOwner;Project\nola;a/one\nkari;/b/two/\n", []string{"a/one", "b/two"}, ""},
		"windows":          {"project\r\na/one\r\n", []string{"a/one"}, ""},
		"unknown heading":  {"owner,path\nola,a/one\n", nil, `line 1: "owner" is no project path`},
		"a hole":           {"project,owner\na/one,x\n,y\n", nil, `line 3: "" is no project path`},
		"nothing":          {"\n", nil, "names no project"},
		"only the heading": {"project\n", nil, "names no project"},
	} {
		got, err := projectList(strings.NewReader(tc.text))
		if tc.err == "" && (err != nil || !slices.Equal(got, tc.want)) {
			t.Errorf("%s: %v, %v, want %v", name, got, err, tc.want)
		}
		if tc.err != "" && (err == nil || !strings.Contains(err.Error(), tc.err)) {
			t.Errorf("%s: %v, %v, want %s", name, got, err, tc.err)
		}
	}
}

// TestSelection chooses among the same projects by every flag, through a command
// that shows whom it means.
func TestSelection(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t,
		store.Project{ID: 1, Path: "a/one", Topics: []string{"Java"}}, store.Project{ID: 2, Path: "a/sub/two", Topics: []string{"go", "web"}},
		store.Project{ID: 3, Path: "b/three", Topics: []string{"java"}}, store.Project{ID: 4, Path: "b/four"}, store.Project{ID: 5, Path: "b/five"})
	run, err := tt.store.CreateRun(t.Context(), store.Run{Kind: store.KindAll, Actor: "x", Wave: "Canary"})
	if err != nil {
		t.Fatal(err)
	}
	for id, reason := range map[int64]string{1: "ecr-throttled", 2: "tag-collision", 3: "ecr-throttled", 5: ""} {
		m, err := tt.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: id, Origin: store.KindAll, RunID: run.ID * (id % 2)})
		if err != nil {
			t.Fatal(err)
		}
		if m.State, m.Step, m.Reason, m.Message = store.StateFailed, store.StepCopy, reason, "it did not work"; reason == "" {
			m.State, m.Step = store.StateDone, store.StepDone
		}
		if _, err := tt.store.SaveMigration(t.Context(), m); err != nil {
			t.Fatal(err)
		}
	}
	list := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(list, []byte("project,owner\nB/three,x\na/one,y\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for flags, want := range map[string]string{
		"--group a":                       "a/one a/sub/two",
		"--topic java":                    "a/one b/three",
		"--topic java,web --group a":      "a/one a/sub/two",
		"--match a/*":                     "a/one",
		"--match a/** --exclude **/t*":    "a/one",
		"--state failed,none":             "a/one a/sub/two b/four b/three",
		"--cause ecr-throttled":           "a/one b/three",
		"--reason ecr-throttled":          "a/one b/three", // what it was called first
		"--wave canary":                   "a/one b/five b/three",
		"--wave canary --state done":      "b/five",
		"--run 1 --limit 2":               "a/one b/five",
		"--from-file " + list:             "a/one b/three",
		"--from-file " + list + " b/five": "a/one b/five b/three",
		"b/four":                          "b/four",
	} {
		args := append([]string{"status", "--json"}, strings.Fields(flags)...)
		if flags == "b/four" {
			args = append(args, "--limit", "9", "--exclude", "none/*")
		}
		code, out, errs := tt.run(args...)
		var r struct{ Projects []struct{ Path, Wave string } }
		if err := json.Unmarshal([]byte(out), &r); err != nil || code != 0 {
			t.Errorf("%s: exit %d, %v %s", flags, code, err, errs)
			continue
		}
		var got []string
		for _, p := range r.Projects {
			got = append(got, p.Path)
			if strings.Contains(flags, "canary") && p.Wave != "Canary" {
				t.Errorf("%s: wave %q of %s", flags, p.Wave, p.Path)
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", flags, got, want)
		}
	}

	// Nothing is done by half: one unknown name, and nothing happens to the others.
	if err := os.WriteFile(list, []byte("a/one\nno/such\nnor/this\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, command := range []string{"failed", "pause", "cancel", "promote", "rollback", "status"} {
		code, out, errs := tt.run(command, "--from-file", list)
		if code != exitError || !strings.Contains(errs, "no/such\n  nor/this") || out != "" {
			t.Errorf("%s with unknown projects: exit %d\n%s%s", command, code, out, errs)
		}
	}
	if m, err := tt.store.LatestMigration(t.Context(), 1); err != nil || m.Attempt != 1 {
		t.Errorf("a/one has attempt %d, %v", m.Attempt, err)
	}
	for _, command := range []string{"cancel", "promote", "rollback", "pause"} {
		if code, _, errs := tt.run(command); code != exitUsage || !strings.Contains(errs, "name projects") {
			t.Errorf("%s of nobody: exit %d %s", command, code, errs)
		}
	}
	if code, out, _ := tt.run("failed", "--wave", "canary", "--cause", "ecr-throttled", "--fresh"); code != 0 || out != "a/one is enqueued from step discover (ecr-throttled)\nb/three is enqueued from step discover (ecr-throttled)\n" {
		t.Errorf("by cause: exit %d\n%s", code, out)
	}
	// A new attempt still belongs to the wave.
	if code, out, _ := tt.run("cancel", "--wave", "canary", "--state", "queued"); code != 0 || strings.Count(out, "is cancelled") != 2 {
		t.Errorf("cancelling by wave: exit %d\n%s", code, out)
	}
}

func TestWave(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"})
	code, out, errs := tt.run("all", "--wave", "canary", "--limit", "10", "--failure-share", "5", "--failure-count", "2", "--state", "none", "--json")
	var o ordered
	if err := json.Unmarshal([]byte(out), &o); err != nil || code != 0 || o.Wave != "canary" || o.Budget != (store.Budget{Share: .05, Count: 2, Least: 20}) || o.Paused {
		t.Fatalf("exit %d, %v: %s%s", code, err, out, errs)
	}
	run, err := tt.store.Run(t.Context(), o.Run)
	if err != nil {
		t.Fatal(err)
	}
	var sel jobs.RunSelection
	if err := json.Unmarshal(run.Selection, &sel); err != nil || sel.Limit != 10 || !slices.Equal(sel.States, []store.State{store.StateNone}) || run.Wave != "canary" || run.Budget != o.Budget {
		t.Errorf("the run: %+v, %v", run, err)
	}
	if code, _, errs := tt.run("all", "--failure-share", "101"); code != exitUsage {
		t.Errorf("a share of 101 %%: exit %d %s", code, errs)
	}
	if code, out, errs := tt.run("pause", "--all", "--note", "lunch"); code != 0 {
		t.Fatalf("pause: %s%s", out, errs)
	}
	if code, _, errs := tt.run("project", "a/one"); code != 0 || !strings.Contains(errs, "the intake is paused (paused by") {
		t.Errorf("a project while the intake is paused: exit %d %s", code, errs)
	}
}

func TestCompletion(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/sub/two"}, store.Project{ID: 3, Path: "b/three"})
	for args, want := range map[string][]string{
		"status a":              {"a/one", "a/sub/two"},
		"project b":             {"b/three"},
		"cancel a/one a":        {"a/sub/two"},
		"all --group a":         {"a", "a/sub"},
		"failed --from r":       {"discover", "configure", "copy", "rewrite", "pipeline", "verify"}, // the shell filters
		"failed --cause x":      nil,
		"status --wave nothing": nil,
	} {
		code, out, errs := tt.run(append([]string{"__complete"}, strings.Fields(args)...)...)
		lines := strings.Fields(strings.Split(out, ":")[0])
		if code != 0 || !slices.Equal(lines, want) && len(lines)+len(want) > 0 {
			t.Errorf("%s: exit %d %v, want %v %s", args, code, lines, want, errs)
		}
	}
	if code, out, _ := tt.run("completion", "bash"); code != 0 || !strings.Contains(out, "__start_enqueue") {
		t.Errorf("the script for bash: exit %d, %d bytes", code, len(out))
	}
}
