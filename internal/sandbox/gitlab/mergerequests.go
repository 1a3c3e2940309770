package gitlab

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
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
	if time.Now().Before(m.CheckedFrom) {
		return "checking"
	}
	if _, ok := p.Repo.merge(target, source); !ok {
		return "conflict"
	}
	if p.Repo.contains(target, source.SHA) {
		return "commits_status"
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

func (c *call) merge() (*mergeRequest, error) {
	iid, err := c.number("iid")
	if err != nil {
		return nil, err
	}
	if m := c.project.merge(iid); m != nil {
		return m, nil
	}
	return nil, notFound("")
}

func listMergeRequests(c *call) (int, any, error) {
	state, err1 := c.params.oneOf("state", "all", "opened", "closed", "locked", "merged", "all")
	sort, err2 := c.params.oneOf("sort", "desc", "asc", "desc")
	by, err3 := c.params.oneOf("order_by", "created_at", "created_at", "updated_at", "merged_at", "title")
	for _, err := range []error{err1, err2, err3} {
		if err != nil {
			return 0, nil, err
		}
	}
	source, target, search, iids := c.params.str("source_branch"), c.params.str("target_branch"), strings.ToLower(c.params.str("search")), c.params.list("iids")
	var all []*mergeRequest
	for _, m := range c.project.MRs {
		if (state == "all" || m.State == state) && (source == "" || m.Source == source) && (target == "" || m.Target == target) &&
			(search == "" || strings.Contains(strings.ToLower(m.Title+"\n"+m.Description), search)) &&
			(len(iids) == 0 || slices.Contains(iids, strconv.FormatInt(m.IID, 10))) {
			all = append(all, m)
		}
	}
	order(all, sort == "desc", func(a, b *mergeRequest) int {
		if by == "updated_at" {
			return a.UpdatedAt.Compare(b.UpdatedAt)
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	}, func(m *mergeRequest) int64 { return m.ID })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, m := range some {
		out = append(out, c.mergeEntity(m))
	}
	return http.StatusOK, out, err
}

func getMergeRequest(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.mergeDetail(m), nil
}

// createMergeRequest follows https://docs.gitlab.com/api/merge_requests/#create-mr.
func createMergeRequest(c *call) (int, any, error) {
	if err := c.params.required("title", "source_branch", "target_branch"); err != nil {
		return 0, nil, err
	}
	p, source, target := c.project, c.params.str("source_branch"), c.params.str("target_branch")
	remove, err1 := c.params.boolean("remove_source_branch", false)
	squash, err2 := c.params.boolean("squash", false)
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("remove_source_branch, squash is invalid")
	}
	if source == target {
		return 0, nil, refuse(http.StatusUnprocessableEntity, []string{"You can't use same project/branch for source and target"})
	}
	for _, m := range p.MRs {
		if m.State == "opened" && m.Source == source && m.Target == target {
			return 0, nil, refuse(http.StatusConflict, []string{fmt.Sprintf("Another open merge request already exists for this source branch: !%d", m.IID)})
		}
	}
	from, to := p.Repo.Commits[p.Repo.Branches[source]], p.Repo.Commits[p.Repo.Branches[target]]
	for branch, k := range map[string]*commit{source: from, target: to} {
		if k == nil {
			return 0, nil, refuse(http.StatusBadRequest, object{"validate_branches": []string{"Branch " + branch + " does not exist"}})
		}
	}
	now := c.s.now()
	m := &mergeRequest{
		ID: c.s.id(), IID: int64(len(p.MRs)) + 1, Title: c.params.str("title"), Description: c.params.str("description"), State: "opened",
		Source: source, Target: target, SHA: from.SHA, AuthorID: c.user.ID, CreatedAt: now, UpdatedAt: now,
		CheckedFrom: time.Now().Add(c.s.opt.CheckDelay), RemoveSource: remove, Squash: squash, Labels: labels(c.params),
	}
	if base := p.Repo.mergeBase(from, to); base != nil {
		m.BaseSHA = base.SHA
	}
	p.MRs = append(p.MRs, m)
	c.s.announce(p, &push{Ref: m.ref(), SHA: from.SHA, Before: zeroSHA, UserID: c.user.ID, MR: m.IID})
	return http.StatusCreated, c.mergeDetail(m), nil
}

// ref is what GitLab calls the ref of a merge request's pipelines.
func (m *mergeRequest) ref() string { return fmt.Sprintf("refs/merge-requests/%d/head", m.IID) }

func labels(p params) []string {
	var out []string
	for _, l := range p.list("labels") {
		for _, one := range strings.Split(l, ",") {
			if one = strings.TrimSpace(one); one != "" {
				out = append(out, one)
			}
		}
	}
	return out
}

func updateMergeRequest(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	event, err := c.params.oneOf("state_event", "", "close", "reopen")
	if err != nil {
		return 0, nil, err
	}
	remove, err1 := c.params.boolean("remove_source_branch", m.RemoveSource)
	squash, err2 := c.params.boolean("squash", m.Squash)
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("remove_source_branch, squash is invalid")
	}
	if c.params.has("title") && c.params.str("title") == "" {
		return 0, nil, invalid("title is empty")
	}
	known := []string{"title", "description", "state_event", "target_branch", "labels", "remove_source_branch", "squash", "assignee_id", "assignee_ids", "reviewer_ids", "milestone_id", "add_labels", "remove_labels", "discussion_locked"}
	if !slices.ContainsFunc(known, c.params.has) {
		return 0, nil, invalid("%s are missing, at least one parameter must be provided", strings.Join(known, ", "))
	}
	if t := c.params.str("target_branch"); t != "" {
		m.Target = t
	}
	if c.params.has("title") {
		m.Title = c.params.str("title")
	}
	if c.params.has("description") {
		m.Description = c.params.str("description")
	}
	if c.params.has("labels") {
		m.Labels = labels(c.params)
	}
	m.RemoveSource, m.Squash, m.UpdatedAt = remove, squash, c.s.now()
	switch {
	case event == "close" && m.State == "opened":
		if head := c.project.head(m); head != nil {
			m.SHA = head.SHA
		}
		now := c.s.now()
		m.State, m.ClosedAt, m.ClosedByID, m.AutoMerge = "closed", &now, c.user.ID, false
	case event == "reopen" && m.State == "closed":
		m.State, m.ClosedAt, m.ClosedByID, m.CheckedFrom = "opened", nil, 0, time.Now().Add(c.s.opt.CheckDelay)
	}
	c.s.touch(c.project)
	return http.StatusOK, c.mergeDetail(m), nil
}

func getMergeRequestCommits(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	r, out := &c.project.Repo, []object{}
	if head := c.project.head(m); head != nil {
		for _, k := range r.history(head) {
			if base := r.Commits[m.BaseSHA]; base == nil || !r.contains(base, k.SHA) {
				out = append(out, c.commitEntity(k))
			}
		}
	}
	some, err := page(c, out)
	return http.StatusOK, some, err
}

func getMergeRequestChanges(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	o := c.mergeDetail(m)
	o["changes"], o["overflow"] = diffEntities(c.changes(m)), false
	return http.StatusOK, o, nil
}

func getMergeRequestDiffs(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	some, err := page(c, diffEntities(c.changes(m)))
	return http.StatusOK, some, err
}

func getMergeRequestPipelines(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	out := []object{}
	for _, x := range slices.Backward(c.project.Pipelines) {
		if x.MR == m.IID || x.Ref == m.Source && x.Bridge == 0 {
			out = append(out, c.pipelineBasic(x))
		}
	}
	some, err := page(c, out)
	return http.StatusOK, some, err
}
