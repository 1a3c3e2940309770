package gitlab

import (
	"fmt"
	"maps"
	"net/http"
)

// acceptMergeRequest follows https://docs.gitlab.com/api/merge_requests/#merge-a-merge-request;
// the order of the checks decides which of several reasons a caller sees.
func acceptMergeRequest(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	auto, err := c.params.boolean("auto_merge", false)
	if err != nil {
		return 0, nil, err
	}
	if !c.params.has("auto_merge") {
		if auto, err = c.params.boolean("merge_when_pipeline_succeeds", false); err != nil {
			return 0, nil, err
		}
	}
	squash, err1 := c.params.boolean("squash", m.Squash)
	remove, err2 := c.params.boolean("should_remove_source_branch", m.RemoveSource)
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("squash, should_remove_source_branch is invalid")
	}
	p := c.project
	if !c.canMerge(m.Target) {
		return 0, nil, refuse(http.StatusUnauthorized, "401 Unauthorized")
	}
	head := p.headPipeline(m)
	waits := auto && head != nil && !finished(head.Status) && head.Status != "manual"
	switch status := c.s.mergeStatus(p, m); status {
	case "mergeable":
	case "ci_still_running", "ci_must_pass":
		if !waits {
			return 0, nil, refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed")
		}
	case "conflict":
		return 0, nil, refuse(http.StatusUnprocessableEntity, "Branch cannot be merged")
	default:
		return 0, nil, refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed")
	}
	if sha := c.params.str("sha"); sha != "" && sha != p.head(m).SHA {
		return 0, nil, refuse(http.StatusConflict, "SHA does not match HEAD of source branch: "+p.head(m).SHA)
	}
	m.Squash, m.RemoveSource, m.MergeMessage = squash, remove, c.params.str("merge_commit_message")
	m.MergedByID = c.user.ID
	if waits {
		m.AutoMerge, m.UpdatedAt = true, c.s.now()
		c.s.touch(p)
	} else if err := c.s.mergeNow(p, m); err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.mergeDetail(m), nil
}

// mergeNow joins the branches with a merge commit, which is pushed to the
// target branch and so gets its pipeline.
func (s *Server) mergeNow(p *project, m *mergeRequest) error {
	source, target := p.head(m), p.Repo.Commits[p.Repo.Branches[m.Target]]
	files, ok := p.Repo.merge(target, source)
	if !ok {
		return refuse(http.StatusUnprocessableEntity, "Branch cannot be merged")
	}
	by := s.signature(m.MergedByID)
	second := source
	if m.Squash {
		second = p.Repo.addCommit([]string{target.SHA}, maps.Clone(files), s.signature(m.AuthorID), by, m.Title)
		m.SquashSHA = second.SHA
	}
	if p.FastForward {
		if !p.Repo.contains(source, target.SHA) {
			return refuse(http.StatusMethodNotAllowed, "405 Method Not Allowed")
		}
		s.landed(p, m, source, target, second)
		return nil
	}
	message := m.MergeMessage
	if message == "" {
		message = fmt.Sprintf("Merge branch '%s' into '%s'\n\n%s\n\nSee merge request %s!%d", m.Source, m.Target, m.Title, p.Path, m.IID)
	}
	k := p.Repo.addCommit([]string{target.SHA, second.SHA}, files, by, by, message)
	m.MergeSHA = k.SHA // a fast-forward has none
	s.landed(p, m, source, target, k)
	return nil
}

// landed ends a merge request with what the target branch has become.
func (s *Server) landed(p *project, m *mergeRequest, source, target, k *commit) {
	now := s.now()
	m.State, m.SHA, m.MergedAt, m.UpdatedAt, m.AutoMerge = "merged", source.SHA, &now, now, false
	if m.RemoveSource && len(p.protections(m.Source)) == 0 {
		delete(p.Repo.Branches, m.Source)
	}
	s.pushed(p, m.Target, target.SHA, k, m.MergedByID)
}

// autoMerge merges what waited for a pipeline that has now succeeded. A
// pipeline that failed leaves the merge request waiting for the next one.
func (s *Server) autoMerge(p *project, x *pipeline) {
	if x.Status != "success" {
		return
	}
	for _, m := range p.MRs {
		if m.State != "opened" || !m.AutoMerge || p.headPipeline(m) != x {
			continue
		}
		if s.now().Before(m.CheckedFrom) {
			s.after(s.opt.CheckDelay, func() {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.autoMerge(p, x)
			})
			continue
		}
		if status := s.mergeStatus(p, m); status == "mergeable" {
			if err := s.mergeNow(p, m); err != nil {
				m.MergeError = err.Error()
			}
		} else {
			m.AutoMerge, m.MergeError = false, "merge request cannot be merged: "+status
		}
		s.touch(p)
	}
}
