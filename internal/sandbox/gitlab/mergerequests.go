package gitlab

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

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
		CheckedFrom: now.Add(c.s.opt.CheckDelay), RemoveSource: remove, Squash: squash, Labels: labels(c.params),
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
		m.State, m.ClosedAt, m.ClosedByID, m.CheckedFrom = "opened", nil, 0, c.s.now().Add(c.s.opt.CheckDelay)
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
