package gitlab

import (
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
)

// branch pushes a change to a new branch of team/app.
func (b *bench) branch(name string, files map[string]string) {
	b.Helper()
	_, err := b.PushFiles("team/app", name, "Change on "+name, files)
	b.must(err)
	b.idle()
}

func (b *bench) open(source string) *api.MergeRequest {
	b.Helper()
	m, answer, err := b.api.MergeRequests.CreateMergeRequest("team/app", &api.CreateMergeRequestOptions{Title: api.Ptr("Use ECR"), Description: api.Ptr("why"),
		SourceBranch: &source, TargetBranch: api.Ptr("main"), RemoveSourceBranch: api.Ptr(true)})
	b.must(err)
	b.equal(answer.StatusCode, 201)
	return m
}

func (b *bench) mergeable(iid int64) {
	b.Helper()
	b.until("mergeable", func() bool {
		m, _, err := b.api.MergeRequests.GetMergeRequest("team/app", iid, nil)
		b.must(err)
		return m.DetailedMergeStatus == "mergeable"
	})
}

func TestMergeRequest(t *testing.T) {
	t.Parallel()
	now := &clock.Clock{}
	b := serve(t, func(o *Options) { o.CheckDelay, o.Clock = time.Hour, now })
	b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": "build: {script: [print x]}\n", "a": "1\n"}})
	b.branch("work", map[string]string{"a": "2\n"})
	m := b.open("work")
	b.equal([]any{m.IID, m.State, m.DetailedMergeStatus, m.ChangesCount}, []any{1, "opened", "checking", "1"})
	_, _, err := b.api.MergeRequests.AcceptMergeRequest("team/app", 1, nil) // too early
	b.refused(err, 405, "405 Method Not Allowed")
	_, _, err = b.api.MergeRequests.CreateMergeRequest("team/app", &api.CreateMergeRequestOptions{Title: api.Ptr("again"), SourceBranch: api.Ptr("work"), TargetBranch: api.Ptr("main")})
	b.refused(err, 409, `{"message":["Another open merge request already exists for this source branch: !1"]}`)
	_, _, err = b.api.MergeRequests.CreateMergeRequest("team/app", &api.CreateMergeRequestOptions{Title: api.Ptr("same"), SourceBranch: api.Ptr("main"), TargetBranch: api.Ptr("main")})
	b.refused(err, 422, "same project/branch")

	list, _, err := b.api.MergeRequests.ListProjectMergeRequests("team/app", &api.ListProjectMergeRequestsOptions{SourceBranch: api.Ptr("work"), State: api.Ptr("opened")})
	b.must(err)
	b.equal(len(list), 1)
	_, _, err = b.api.MergeRequests.UpdateMergeRequest("team/app", 1, &api.UpdateMergeRequestOptions{Description: api.Ptr("better")})
	b.must(err)
	n, _, err := b.api.Notes.CreateMergeRequestNote("team/app", 1, &api.CreateMergeRequestNoteOptions{Body: api.Ptr("hello")})
	b.must(err)
	_, _, err = b.api.Notes.UpdateMergeRequestNote("team/app", 1, n.ID, &api.UpdateMergeRequestNoteOptions{Body: api.Ptr("hello again")})
	b.must(err)
	notes, _, err := b.api.Notes.ListMergeRequestNotes("team/app", 1, nil)
	b.must(err)
	b.equal([]any{len(notes), notes[0].Body}, []any{1, "hello again"})
	diffs, _, err := b.api.MergeRequests.ListMergeRequestDiffs("team/app", 1, nil)
	b.must(err)
	b.equal(diffs[0].Diff, "@@ -1 +1 @@\n-1\n+2\n")

	now.Advance(2 * time.Hour)
	b.mergeable(1)
	_, _, err = b.api.MergeRequests.AcceptMergeRequest("team/app", 1, &api.AcceptMergeRequestOptions{SHA: api.Ptr(zeroSHA)})
	b.refused(err, 409, "SHA does not match HEAD of source branch")
	got, answer, err := b.api.MergeRequests.AcceptMergeRequest("team/app", 1, &api.AcceptMergeRequestOptions{SHA: &m.SHA})
	b.must(err)
	b.equal([]any{answer.StatusCode, got.State, got.Description, got.MergeUser.Username}, []any{200, "merged", "better", "group_1_bot_7d1c4e0a"})
	b.idle()
	v := b.newest("team/app")
	b.equal([]any{v.Ref, v.SHA, v.Source, v.Status}, []any{"main", got.MergeCommitSHA, "push", "success"})
	p, _ := b.Project("team/app")
	if _, there := p.Branches["work"]; there {
		t.Error("the source branch was not removed")
	}
	text, err := b.File("team/app", "main", "a")
	b.must(err)
	b.equal(text, "2\n")
	k, _, err := b.api.Commits.GetCommit("team/app", got.MergeCommitSHA, nil)
	b.must(err)
	b.equal([]any{len(k.ParentIDs), k.Title}, []any{2, "Merge branch 'work' into 'main'"})
	_, _, err = b.api.MergeRequests.AcceptMergeRequest("team/app", 1, nil)
	b.refused(err, 405, "")
	w := b.Writes()
	b.equal([]int{w["merge_requests"], w["merges"], w["notes"]}, []int{2, 1, 2})
}

func TestMergeRequestThatCannotBeMerged(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.AddToken("glpat-dev", "dev", Developer)
	b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1"}})
	b.branch("work", map[string]string{"a": "2"})
	b.branch("draft", map[string]string{"b": "2"})
	b.branch("", map[string]string{"a": "3"})
	m := b.open("work")
	b.until("conflict", func() bool {
		m, _, err := b.api.MergeRequests.GetMergeRequest("team/app", m.IID, nil)
		b.must(err)
		return m.DetailedMergeStatus == "conflict" && m.HasConflicts
	})
	_, _, err := b.api.MergeRequests.AcceptMergeRequest("team/app", m.IID, nil)
	b.refused(err, 422, "Branch cannot be merged")
	_, _, err = client(t, b.Server, "glpat-dev").MergeRequests.AcceptMergeRequest("team/app", m.IID, nil)
	b.refused(err, 401, "401 Unauthorized")

	d := b.open("draft")
	_, _, err = b.api.MergeRequests.UpdateMergeRequest("team/app", d.IID, &api.UpdateMergeRequestOptions{Title: api.Ptr("Draft: wait")})
	b.must(err)
	b.until("draft", func() bool {
		m, _, err := b.api.MergeRequests.GetMergeRequest("team/app", d.IID, nil)
		b.must(err)
		return m.DetailedMergeStatus == "draft_status"
	})
	_, _, err = b.api.MergeRequests.AcceptMergeRequest("team/app", d.IID, nil)
	b.refused(err, 405, "")
	closed, _, err := b.api.MergeRequests.UpdateMergeRequest("team/app", d.IID, &api.UpdateMergeRequestOptions{StateEvent: api.Ptr("close")})
	b.must(err)
	b.equal(closed.State, "closed")
	if again := b.open("draft"); again.IID == d.IID {
		t.Error("a closed merge request was taken for an open one")
	}
}

func TestAutoMerge(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", OnlyMergeIfPipelineSucceeds: true, Files: map[string]string{".gitlab-ci.yml": "build: {script: [wait go]}\n"}})
	_, err := b.PushFiles("team/app", "work", "x", map[string]string{"a": "1"})
	b.must(err)
	b.until("the pipeline runs", func() bool { return len(b.Pipelines("team/app")) == 1 && b.newest("team/app").Status == "running" })
	m := b.open("work")
	b.until("waits for CI", func() bool {
		m, _, err := b.api.MergeRequests.GetMergeRequest("team/app", m.IID, nil)
		b.must(err)
		return m.DetailedMergeStatus == "ci_still_running"
	})
	_, _, err = b.api.MergeRequests.AcceptMergeRequest("team/app", m.IID, nil)
	b.refused(err, 405, "")
	got, _, err := b.api.MergeRequests.AcceptMergeRequest("team/app", m.IID, &api.AcceptMergeRequestOptions{AutoMerge: api.Ptr(true)})
	b.must(err)
	b.equal([]any{got.State, got.MergeWhenPipelineSucceeds}, []any{"opened", true})
	b.toy.open("go")
	b.idle()
	v, _ := b.Project("team/app")
	b.equal(v.MergeRequests[0].State, "merged")
	b.equal([]any{b.newest("team/app").Ref, b.newest("team/app").SHA}, []any{"main", v.MergeRequests[0].MergeSHA})
}

func TestMergeRequestPipeline(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": `
build: {script: [print x]}
check: {script: ["print $CI_MERGE_REQUEST_IID $CI_COMMIT_BRANCH."], rules: [{if: $CI_PIPELINE_SOURCE == "merge_request_event"}]}
`}})
	b.branch("work", map[string]string{"a": "1"})
	b.equal(states(b.newest("team/app")), "success: build=success")
	m := b.open("work")
	b.idle()
	v := b.newest("team/app")
	b.equal([]any{states(v), v.Ref, v.Source, v.Jobs[0].Log}, []any{"success: check=success", "refs/merge-requests/1/head", "merge_request_event", "1 .\n"})
	list, _, err := b.api.MergeRequests.ListMergeRequestPipelines("team/app", m.IID, nil)
	b.must(err)
	b.equal(len(list), 2)
	_, err = b.PushFiles("team/app", "work", "more", map[string]string{"a": "2"})
	b.must(err)
	b.idle()
	b.equal(len(b.Pipelines("team/app")), 4)
}
