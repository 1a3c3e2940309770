package gitlab

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// killed copies the state as a killed process leaves it: nothing is flushed.
func killed(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return to
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := serve(t, func(o *Options) { o.Dir = dir })
	id := b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": "stages: [a, b]\na: {stage: a, script: [print x, wait go]}\na2: {stage: a, script: [x], tags: [other]}\nb: {stage: b, script: [print y]}\n"}})
	b.must(b.Transfer("team/app", "other/app"))
	b.AddToken("glpat-dev", "dev", Developer)
	_, _, err := b.api.Branches.CreateBranch("other/app", &api.CreateBranchOptions{Branch: api.Ptr("work"), Ref: api.Ptr("main")})
	b.must(err)
	b.until("the job runs", func() bool { return b.toy.order() == "a" && b.newest("other/app").Jobs[0].Log != "" })
	b.until("it is saved", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, projectFile(id)))
		server, err2 := os.ReadFile(filepath.Join(dir, "server.json"))
		return err == nil && err2 == nil && len(text) > 0 && len(server) > 0 && strings.Contains(string(text), `"running"`) && strings.Contains(string(server), `"branches":1`)
	})

	again := serve(t, func(o *Options) { o.Dir = killed(t, dir); o.RunnerTags = []string{"other"} })
	again.toy.open("go")
	again.idle()
	v := again.newest("other/app")
	again.equal(states(v), "failed: a=failed a2=success b=skipped")
	again.equal(v.Jobs[0].FailureReason, "runner_system_failure")
	again.equal(again.Writes()["branches"], 1)
	p, _, err := again.api.Projects.GetProject("team/app", nil)
	again.must(err)
	again.equal(p.ID, id)
	_, _, err = client(t, again.Server, "glpat-dev").Users.CurrentUser()
	again.must(err)
	fresh, err := again.AddProject(Seed{Path: "team/new"})
	again.must(err)
	for _, j := range v.Jobs {
		if fresh <= j.ID {
			t.Errorf("project id %d is not beyond job %d", fresh, j.ID)
		}
	}
}

func TestPushSurvivesKill(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	b := serve(t, func(o *Options) { o.Dir, o.PushDelay = dir, time.Hour })
	id := b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": "a: {script: [print x]}\n"}})
	sha, err := b.PushFiles("team/app", "", "x", map[string]string{"b": "c"})
	b.must(err)
	b.until("saved", func() bool {
		text, err := os.ReadFile(filepath.Join(dir, projectFile(id)))
		return err == nil && strings.Contains(string(text), sha)
	})
	again := serve(t, func(o *Options) { o.Dir = killed(t, dir) })
	again.idle()
	again.equal([]any{len(again.Pipelines("team/app")), again.newest("team/app").SHA, again.newest("team/app").Status}, []any{1, sha, "success"})
	b.must(again.Close())
	third := serve(t, func(o *Options) { o.Dir = again.opt.Dir })
	third.idle()
	third.equal(len(third.Pipelines("team/app")), 1) // served once
}
