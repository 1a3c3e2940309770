package gitlab

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// head is the commit that a merge request would bring in: the source branch's,
// or the last one known when the branch is gone or the request is over.
func (p *project) head(m *mergeRequest) *commit {
	if m.State == "opened" {
		if sha, ok := p.Repo.Branches[m.Source]; ok {
			return p.Repo.Commits[sha]
		}
	}
	return p.Repo.Commits[m.SHA]
}

func (m *mergeRequest) draft() bool {
	return strings.HasPrefix(m.Title, "Draft:") || strings.HasPrefix(m.Title, "[Draft]") || strings.HasPrefix(m.Title, "(Draft)")
}

// headPipeline is the newest pipeline of the head commit on the source branch.
func (p *project) headPipeline(m *mergeRequest) *pipeline {
	head := p.head(m)
	for _, x := range slices.Backward(p.Pipelines) {
		if head != nil && x.SHA == head.SHA && x.Bridge == 0 && (x.Ref == m.Source || x.MR == m.IID) {
			return x
		}
	}
	return nil
}

// mergeStatus is detailed_merge_status, see
// https://docs.gitlab.com/api/merge_requests/#merge-status.
func (s *Server) mergeStatus(p *project, m *mergeRequest) string {
	if m.State != "opened" {
		return "not_open"
	}
	source, target := p.head(m), p.Repo.Commits[p.Repo.Branches[m.Target]]
	if source == nil || target == nil || p.Repo.Branches[m.Source] == "" {
		return "broken_status"
	}
	if s.now().Before(m.CheckedFrom) {
		return "checking"
	}
	if _, ok := p.Repo.merge(target, source); !ok {
		return "conflict"
	}
	if p.Repo.contains(target, source.SHA) {
		return "commits_status"
	}
	if p.FastForward && !p.Repo.contains(source, target.SHA) {
		return "need_rebase"
	}
	if m.draft() {
		return "draft_status"
	}
	if p.PipelineMerge {
		head := p.headPipeline(m)
		switch {
		case head == nil:
			return "ci_must_pass"
		case !finished(head.Status):
			return "ci_still_running"
		case head.Status != "success":
			return "ci_must_pass"
		}
	}
	if p.Approvals > 0 {
		return "not_approved"
	}
	return "mergeable"
}

func (c *call) mergeEntity(m *mergeRequest) object {
	p := c.project
	web := c.s.URL + "/" + p.Path + "/-/merge_requests/" + strconv.FormatInt(m.IID, 10)
	status := c.s.mergeStatus(p, m)
	old := map[string]string{"checking": "checking", "conflict": "cannot_be_merged", "broken_status": "cannot_be_merged"}[status]
	if old == "" {
		old = "can_be_merged"
	}
	sha := ""
	if head := p.head(m); head != nil {
		sha = head.SHA
	}
	text := func(s string) any {
		if s == "" {
			return nil
		}
		return s
	}
	labels := m.Labels
	if labels == nil {
		labels = []string{}
	}
	notes := 0
	for range m.Notes {
		notes++
	}
	return object{
		"id": m.ID, "iid": m.IID, "project_id": p.ID, "title": m.Title, "description": m.Description, "state": m.State,
		"created_at": m.CreatedAt, "updated_at": m.UpdatedAt, "merged_by": c.s.basicUser(m.MergedByID), "merge_user": c.s.basicUser(m.MergedByID),
		"merged_at": m.MergedAt, "closed_by": c.s.basicUser(m.ClosedByID), "closed_at": m.ClosedAt, "target_branch": m.Target,
		"source_branch": m.Source, "user_notes_count": notes, "upvotes": 0, "downvotes": 0, "author": c.s.basicUser(m.AuthorID),
		"assignees": []any{}, "assignee": nil, "reviewers": []any{}, "source_project_id": p.ID, "target_project_id": p.ID, "labels": labels,
		"draft": m.draft(), "work_in_progress": m.draft(), "imported": false, "imported_from": "none", "milestone": nil,
		"merge_when_pipeline_succeeds": m.AutoMerge, "merge_status": old, "detailed_merge_status": status, "sha": sha,
		"merge_commit_sha": text(m.MergeSHA), "squash_commit_sha": text(m.SquashSHA), "discussion_locked": nil,
		"should_remove_source_branch": m.RemoveSource, "force_remove_source_branch": m.RemoveSource, "prepared_at": m.CreatedAt,
		"reference": "!" + strconv.FormatInt(m.IID, 10), "web_url": web, "squash": m.Squash, "squash_on_merge": m.Squash,
		"references":             object{"short": fmt.Sprintf("!%d", m.IID), "relative": fmt.Sprintf("!%d", m.IID), "full": fmt.Sprintf("%s!%d", p.Path, m.IID)},
		"time_stats":             object{"time_estimate": 0, "total_time_spent": 0, "human_time_estimate": nil, "human_total_time_spent": nil},
		"task_completion_status": object{"count": 0, "completed_count": 0}, "has_conflicts": status == "conflict",
		"blocking_discussions_resolved": true, "approvals_before_merge": nil,
	}
}

// mergeDetail adds what only the answer for a single merge request has.
func (c *call) mergeDetail(m *mergeRequest) object {
	o := c.mergeEntity(m)
	p := c.project
	o["pipeline"], o["head_pipeline"] = nil, nil
	if x := p.headPipeline(m); x != nil {
		o["pipeline"], o["head_pipeline"] = c.pipelineBasic(x), c.pipelineEntity(x)
	}
	changes := c.changes(m)
	o["changes_count"] = nil
	if len(changes) > 0 {
		o["changes_count"] = strconv.Itoa(len(changes))
	}
	o["diff_refs"] = object{"base_sha": m.BaseSHA, "head_sha": o["sha"], "start_sha": m.BaseSHA}
	o["user"] = object{"can_merge": c.canMerge(m.Target)}
	o["merge_error"] = nil
	if m.MergeError != "" {
		o["merge_error"] = m.MergeError
	}
	o["subscribed"], o["rebase_in_progress"], o["first_contribution"] = false, false, false
	o["latest_build_started_at"], o["latest_build_finished_at"], o["first_deployed_to_production_at"] = nil, nil, nil
	return o
}

func (c *call) changes(m *mergeRequest) []change {
	r := &c.project.Repo
	head := c.project.head(m)
	if head == nil {
		return nil
	}
	base := map[string]entry{}
	if b := r.Commits[m.BaseSHA]; b != nil {
		base = b.Files
	}
	return r.diff(base, head.Files)
}
