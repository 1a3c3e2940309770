package gitlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	sandbox "gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
)

const config = `
stages: [build, staging, production]
build: {stage: build, script: [make]}
staging: {stage: staging, script: [deploy], environment: {name: staging}}
production: {stage: production, script: [deploy], environment: {name: production}, when: manual, allow_failure: true}
`

// runner makes every job succeed but those with "fail" in their script.
type runner struct{}

func (runner) Execute(_ context.Context, e ci.Execution, trace io.Writer) ci.Result {
	fmt.Fprintf(trace, "$ %s\n", strings.Join(e.Job.Script, "; "))
	if strings.Contains(strings.Join(e.Job.Script, ";"), "fail") {
		fmt.Fprintln(trace, "ERROR: Job failed: exit code 1")
		return ci.Result{Status: "failed", FailureReason: "script_failure", ExitCode: 1}
	}
	return ci.Result{Status: "success"}
}

// world is a stand-in GitLab with one project and our client.
type world struct {
	*testing.T
	server  *sandbox.Server
	client  *Client
	project int64
}

func start(t *testing.T, seed sandbox.Seed) *world {
	t.Helper()
	s, err := sandbox.Start(sandbox.Options{Executor: runner{}, PushDelay: time.Millisecond, CheckDelay: time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if seed.Path == "" {
		seed.Path = "g/p"
	}
	if seed.Files == nil {
		seed.Files = map[string]string{".gitlab-ci.yml": config, "api/Dockerfile": "FROM scratch\n", "run.sh": "#!/bin/sh\n"}
	}
	id, err := s.AddProject(seed)
	if err != nil {
		t.Fatal(err)
	}
	c, err := New(Options{URL: s.URL, Token: sandbox.BotToken, RetryWait: time.Millisecond, Patience: 50 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	return &world{T: t, server: s, client: c, project: id}
}

// until asks again until the answer is there.
func until[V any](w *world, what string, ask func() (V, bool, error)) V {
	w.Helper()
	deadline := time.Now().Add(time.Minute)
	for {
		v, ok, err := ask()
		if err != nil {
			w.Fatalf("%s: %v", what, err)
		}
		if ok {
			return v
		}
		if time.Now().After(deadline) {
			w.Fatalf("%s did not come; last %+v", what, v)
		}
		time.Sleep(2 * time.Millisecond)
	}
}

func (w *world) want(err error, reason string) {
	w.Helper()
	if fault.ReasonOf(err) != reason {
		w.Errorf("reason %q of %v, want %q", fault.ReasonOf(err), err, reason)
	}
}

func TestSandboxReads(t *testing.T) {
	t.Parallel()
	w := start(t, sandbox.Seed{})
	ctx, c := t.Context(), w.client
	for i := range 120 {
		if _, err := w.server.AddProject(sandbox.Seed{Path: fmt.Sprintf("many/p%d", i)}); err != nil {
			t.Fatal(err)
		}
	}
	count, last := 0, int64(0)
	for p, err := range c.Projects(ctx) {
		if err != nil {
			t.Fatal(err)
		}
		if p.ID <= last {
			t.Fatalf("project %d after %d", p.ID, last)
		}
		count, last = count+1, p.ID
	}
	if count != 121 {
		t.Errorf("%d projects, want 121", count)
	}
	p, err := c.Project(ctx, "g/p")
	if err != nil || p.ID != w.project || p.DefaultBranch != "main" || p.Empty || p.Archived || p.CIDisabled {
		t.Errorf("Project = %+v, %v", p, err)
	}
	tree, err := c.Tree(ctx, w.project, "main")
	if err != nil || len(tree) != 4 {
		t.Errorf("Tree = %+v, %v", tree, err)
	}
	f, err := c.File(ctx, w.project, "", ".gitlab-ci.yml")
	if err != nil || string(f.Content) != config || f.LastCommitID == "" || f.BlobID == "" {
		t.Errorf("File = %+v, %v", f, err)
	}
	b, err := c.Branch(ctx, w.project, "main")
	if err != nil || b.SHA != f.LastCommitID || !b.Protected {
		t.Errorf("Branch = %+v, %v", b, err)
	}
	commits, err := c.Commits(ctx, w.project, "main", 5)
	if err != nil || len(commits) != 1 || commits[0].SHA != b.SHA {
		t.Errorf("Commits = %+v, %v", commits, err)
	}
	l, err := c.Lint(ctx, w.project, LintRequest{Content: config, Ref: "main"})
	if err != nil || !l.Valid || !strings.Contains(l.MergedYAML, "production") {
		t.Errorf("Lint = %+v, %v", l, err)
	}
	if l, err = c.Lint(ctx, w.project, LintRequest{Content: "build: {stage: nowhere, script: x}"}); err != nil || l.Valid || len(l.Errors) == 0 {
		t.Errorf("Lint of nonsense = %+v, %v", l, err)
	}
	for name, err := range map[string]error{
		"project": second(c.Project(ctx, "g/none")),
		"file":    second(c.File(ctx, w.project, "", "none")),
		"branch":  second(c.Branch(ctx, w.project, "none")),
		"latest":  second(c.LatestPipeline(ctx, w.project, "main")),
		"deploy":  second(c.LatestDeployment(ctx, w.project, "staging")),
	} {
		if !errors.Is(err, ErrNotFound) {
			t.Errorf("an absent %s: %v", name, err)
		}
	}
}

func second[V any](_ V, err error) error { return err }

func TestSandboxCommitPipelineDeployment(t *testing.T) {
	t.Parallel()
	w := start(t, sandbox.Seed{ProtectedBranches: []sandbox.ProtectedBranch{}})
	ctx, c := t.Context(), w.client
	f, err := c.File(ctx, w.project, "main", ".gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	edit := Edit{Path: f.Path, Content: append([]byte("# changed\n"), f.Content...), LastCommitID: f.LastCommitID}
	sha, err := c.Commit(ctx, w.project, CommitRequest{Branch: "main", Message: "change", Edits: []Edit{edit, {Path: "new", Content: []byte{0, 255}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Commit(ctx, w.project, CommitRequest{Branch: "main", Message: "again", Edits: []Edit{edit}})
	w.want(err, ReasonFileChanged)
	_, err = c.Commit(ctx, w.project, CommitRequest{Branch: "main", Message: "again", Edits: []Edit{{Path: "new"}}})
	w.want(err, ReasonFileExists)

	p := until(w, "the push pipeline", func() (Pipeline, bool, error) {
		all, err := c.Pipelines(ctx, w.project, PipelineQuery{SHA: sha, Ref: "main", Source: "push"})
		if err != nil || len(all) == 0 {
			return Pipeline{}, false, err
		}
		p, err := c.Pipeline(ctx, w.project, all[0].ID)
		return p, Finished(p.Status), err
	})
	if p.Status != "success" || p.SHA != sha {
		t.Errorf("pipeline %+v", p)
	}
	d, err := c.LatestDeployment(ctx, w.project, "staging")
	if err != nil || d.SHA != sha || d.PipelineID != p.ID || d.JobName != "staging" || d.Environment != "staging" {
		t.Errorf("deployment %+v, %v", d, err)
	}
	jobs, err := c.Jobs(ctx, w.project, p.ID)
	if err != nil || len(jobs) != 3 {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	var manual, built Job
	for _, j := range jobs {
		switch j.Name {
		case "production":
			manual = j
		case "build":
			built = j
		}
	}
	if manual.Status != "manual" || built.Status != "success" || built.PipelineID != p.ID {
		t.Errorf("jobs %+v", jobs)
	}
	log, err := c.JobLog(ctx, w.project, built.ID, 1000)
	if err != nil || !strings.Contains(string(log), "$ make") {
		t.Errorf("log %q, %v", log, err)
	}
	if _, err = c.PlayJob(ctx, w.project, manual.ID); err != nil {
		t.Fatal(err)
	}
	d = until(w, "the deployment to production", func() (Deployment, bool, error) {
		d, err := c.LatestDeployment(ctx, w.project, "production")
		if errors.Is(err, ErrNotFound) {
			return d, false, nil
		}
		return d, true, err
	})
	if d.SHA != sha {
		t.Errorf("deployment %+v", d)
	}
	_, err = c.PlayJob(ctx, w.project, manual.ID)
	w.want(err, ReasonJobUnplayable)
	environments, err := c.Environments(ctx, w.project)
	if err != nil || len(environments) != 2 {
		t.Errorf("environments %+v, %v", environments, err)
	}
}

func TestSandboxMergeRequest(t *testing.T) {
	t.Parallel()
	// Nobody but Maintainers pushes to main; the bot of this project is none.
	w := start(t, sandbox.Seed{ProtectedBranches: []sandbox.ProtectedBranch{{Name: "main", Push: sandbox.NoAccess, Merge: sandbox.Developer}}})
	ctx, c := t.Context(), w.client
	f, err := c.File(ctx, w.project, "main", ".gitlab-ci.yml")
	if err != nil {
		t.Fatal(err)
	}
	edits := []Edit{{Path: f.Path, Content: []byte(config + "# x\n"), LastCommitID: f.LastCommitID}}
	_, err = c.Commit(ctx, w.project, CommitRequest{Branch: "main", Message: "m", Edits: edits})
	w.want(err, ReasonPushNotAllowed)
	if fault.ClassOf(err) != fault.Attention {
		t.Errorf("class %s of %v", fault.ClassOf(err), err)
	}
	request := CommitRequest{Branch: "ecrferry/migrate", StartBranch: "main", Message: "m", Edits: edits}
	sha, err := c.Commit(ctx, w.project, request)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Commit(ctx, w.project, request)
	w.want(err, ReasonBranchExists)

	m, err := c.CreateMergeRequest(ctx, w.project, MergeRequestRequest{
		SourceBranch: "ecrferry/migrate", TargetBranch: "main", Title: "move", Description: "d", RemoveSourceBranch: true,
	})
	if err != nil || m.IID == 0 || m.SHA != sha || m.State != "opened" {
		t.Fatalf("CreateMergeRequest = %+v, %v", m, err)
	}
	_, err = c.CreateMergeRequest(ctx, w.project, MergeRequestRequest{SourceBranch: "ecrferry/migrate", TargetBranch: "main", Title: "move"})
	w.want(err, ReasonMergeRequestExists)
	if m, err = c.UpdateMergeRequest(ctx, w.project, m.IID, MergeRequestUpdate{Description: "new"}); err != nil || m.Description != "new" || m.Title != "move" {
		t.Errorf("UpdateMergeRequest = %+v, %v", m, err)
	}
	note, err := c.CreateMergeRequestNote(ctx, w.project, m.IID, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if note, err = c.UpdateMergeRequestNote(ctx, w.project, m.IID, note.ID, "hello again"); err != nil || note.Body != "hello again" {
		t.Errorf("UpdateMergeRequestNote = %+v, %v", note, err)
	}
	if notes, err := c.MergeRequestNotes(ctx, w.project, m.IID); err != nil || len(notes) == 0 {
		t.Errorf("MergeRequestNotes = %+v, %v", notes, err)
	}
	_, err = c.AcceptMergeRequest(ctx, w.project, m.IID, Acceptance{SHA: strings.Repeat("0", 40)})
	if r := fault.ReasonOf(err); r != ReasonHeadMoved && r != ReasonNotMergeable {
		t.Errorf("merging another head: %v (%s)", err, r)
	}
	m = until(w, "the merge", func() (MergeRequest, bool, error) {
		m, err := c.AcceptMergeRequest(ctx, w.project, m.IID, Acceptance{SHA: sha})
		if fault.ReasonOf(err) == ReasonNotMergeable {
			return m, false, nil
		}
		return m, true, err
	})
	landed := m.LandedSHA()
	if m.State != "merged" || landed == "" {
		t.Errorf("merged: %+v", m)
	}
	if b, err := c.Branch(ctx, w.project, "main"); err != nil || b.SHA != landed {
		t.Errorf("main is %+v (%v), merged was %s", b, err, landed)
	}
	all, err := c.MergeRequests(ctx, w.project, "ecrferry/migrate")
	if err != nil || len(all) != 1 || all[0].State != "merged" {
		t.Errorf("MergeRequests = %+v, %v", all, err)
	}
	diff, err := c.Compare(ctx, w.project, f.LastCommitID, landed)
	if err != nil || len(diff.Commits) == 0 || len(diff.Diffs) != 1 || diff.Diffs[0].NewPath != ".gitlab-ci.yml" {
		t.Errorf("Compare = %+v, %v", diff, err)
	}
}

func TestSandboxVariables(t *testing.T) {
	t.Parallel()
	w := start(t, sandbox.Seed{})
	ctx, c := t.Context(), w.client
	v := Variable{Key: "CI_REGISTRY_IMAGE", Value: "ecr/g/p"}
	for _, want := range []bool{true, false} {
		changed, err := c.SetVariable(ctx, w.project, v)
		if err != nil || changed != want {
			t.Errorf("SetVariable = %v, %v; want %v", changed, err, want)
		}
	}
	v.Value, v.Protected = "ecr/g/q", true
	if changed, err := c.SetVariable(ctx, w.project, v); err != nil || !changed {
		t.Errorf("SetVariable = %v, %v", changed, err)
	}
	v.Scope = EveryEnvironment
	all, err := c.Variables(ctx, w.project)
	if err != nil || len(all) != 1 || all[0] != v {
		t.Errorf("Variables = %+v, %v; want %+v", all, err, v)
	}
	for range 2 {
		if err := c.DeleteVariable(ctx, w.project, v.Key, ""); err != nil {
			t.Error(err)
		}
	}
	if _, err := c.Variable(ctx, w.project, v.Key, ""); !errors.Is(err, ErrNotFound) {
		t.Errorf("a deleted variable: %v", err)
	}
}

func TestSandboxRefusals(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		seed   sandbox.Seed
		vars   map[string]string
		reason string
	}{
		"rules":     {sandbox.Seed{Files: map[string]string{".gitlab-ci.yml": "build: {script: [make], rules: [{if: '$CI_PIPELINE_SOURCE == \"push\"'}]}\n"}}, nil, ReasonNoPipelineByRules},
		"no config": {sandbox.Seed{Files: map[string]string{"README.md": "x\n"}}, nil, ReasonMissingCIConfig},
		"bad yaml":  {sandbox.Seed{Files: map[string]string{".gitlab-ci.yml": "build: {stage: nowhere, script: [make]}\n"}}, nil, ReasonInvalidCIConfig},
		"variables": {sandbox.Seed{VariablesMinimumRole: "no_one_allowed"}, map[string]string{"A": "b"}, ReasonVariablesForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, test.seed)
			_, err := w.client.CreatePipeline(t.Context(), w.project, "main", test.vars)
			w.want(err, test.reason)
		})
	}
	t.Run("no such branch", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{})
		_, err := w.client.CreatePipeline(t.Context(), w.project, "none", nil)
		w.want(err, ReasonRefMissing)
	})
	t.Run("ci disabled", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{CIDisabled: true})
		_, err := w.client.CreatePipeline(t.Context(), w.project, "main", nil)
		if r := fault.ReasonOf(err); r != ReasonCIDisabled && r != ReasonNeedsAccess {
			t.Errorf("%v (%s)", err, r)
		}
	})
	t.Run("wrong token", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{})
		c, err := New(Options{URL: w.server.URL, Token: token})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.CurrentUser(t.Context())
		w.want(err, ReasonTokenInvalid)
	})
	t.Run("empty repository", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{Empty: true})
		if _, err := w.client.Tree(t.Context(), w.project, ""); !errors.Is(err, ErrNotFound) {
			t.Errorf("the tree of an empty repository: %v", err)
		}
	})
}

func TestSandboxFailedJob(t *testing.T) {
	t.Parallel()
	w := start(t, sandbox.Seed{Files: map[string]string{".gitlab-ci.yml": "build: {script: [fail]}\n"}})
	ctx, c := t.Context(), w.client
	created, err := c.CreatePipeline(ctx, w.project, "main", nil)
	if err != nil {
		t.Fatal(err)
	}
	p := until(w, "the end of the pipeline", func() (Pipeline, bool, error) {
		p, err := c.Pipeline(ctx, w.project, created.ID)
		return p, Finished(p.Status), err
	})
	if p.Status != "failed" || p.Source != "api" {
		t.Errorf("pipeline %+v", p)
	}
	jobs, err := c.Jobs(ctx, w.project, p.ID)
	if err != nil || len(jobs) != 1 || jobs[0].FailureReason != "script_failure" {
		t.Fatalf("jobs %+v, %v", jobs, err)
	}
	again, err := c.RetryJob(ctx, w.project, jobs[0].ID)
	if err != nil || again.ID == jobs[0].ID {
		t.Errorf("RetryJob = %+v, %v", again, err)
	}
	latest, err := c.LatestPipeline(ctx, w.project, "main")
	if err != nil || latest.ID != p.ID {
		t.Errorf("LatestPipeline = %+v, %v", latest, err)
	}
}

func TestSandboxIsThrottling(t *testing.T) {
	t.Parallel()
	w := start(t, sandbox.Seed{})
	w.server.Limit(1, time.Hour)
	ctx, c := t.Context(), w.client
	var err error
	for range 3 {
		if _, err = c.Project(ctx, w.project); err != nil {
			break
		}
	}
	w.want(err, ReasonThrottled)
	if fault.ClassOf(err) != fault.Transient || fault.RetryAfter(err) <= 0 {
		t.Errorf("%v: %s, retry after %v", err, fault.ClassOf(err), fault.RetryAfter(err))
	}
}

var _ http.RoundTripper = (*transport)(nil)
