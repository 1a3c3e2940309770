package gitlab

import "fmt"

// What people do to merge requests and branches, as the human developer.

// FastForward lets a project's merge requests be merged by fast-forward only.
func (s *Server) FastForward(path string) error {
	return s.change(path, func(p *project) error { p.FastForward = true; return nil })
}

// DeleteBranch deletes a branch, which closes the merge requests from it.
func (s *Server) DeleteBranch(path, branch string) error {
	return s.change(path, func(p *project) error {
		if p.Repo.Branches[branch] == "" || branch == p.DefaultBranch {
			return fmt.Errorf("gitlab stand-in: %s has no branch %s that can be deleted", path, branch)
		}
		s.dropBranch(p, branch, humanID)
		return nil
	})
}

// CloseMergeRequest closes a merge request.
func (s *Server) CloseMergeRequest(path string, iid int64) error {
	return s.changeOpen(path, iid, func(p *project, m *mergeRequest) error {
		now := s.now()
		if head := p.head(m); head != nil {
			m.SHA = head.SHA
		}
		m.State, m.ClosedAt, m.ClosedByID, m.AutoMerge = "closed", &now, humanID, false
		return nil
	})
}

// EditMergeRequest gives a merge request another title and description.
func (s *Server) EditMergeRequest(path string, iid int64, edit func(title, description string) (string, string)) error {
	return s.changeOpen(path, iid, func(_ *project, m *mergeRequest) error {
		m.Title, m.Description = edit(m.Title, m.Description)
		return nil
	})
}

// CancelAutoMerge takes back that a merge request is to be merged by itself. It
// tells whether it was.
func (s *Server) CancelAutoMerge(path string, iid int64) (was bool, err error) {
	err = s.changeOpen(path, iid, func(_ *project, m *mergeRequest) error {
		was, m.AutoMerge = m.AutoMerge, false
		return nil
	})
	return was, err
}

// Merge merges a merge request, as one commit if squash is set; message is the
// merge commit's, GitLab's own when empty. One that can't be merged is an error.
func (s *Server) Merge(path string, iid int64, squash bool, message string) error {
	return s.changeOpen(path, iid, func(p *project, m *mergeRequest) error {
		if status := s.mergeStatus(p, m); status != "mergeable" {
			return fmt.Errorf("gitlab stand-in: !%d of %s is %s", iid, path, status)
		}
		m.Squash, m.MergeMessage, m.MergedByID = squash, message, humanID
		return s.mergeNow(p, m)
	})
}

func (s *Server) change(path string, f func(*project) error) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	defer s.touch(p)
	return f(p)
}

func (s *Server) changeOpen(path string, iid int64, f func(*project, *mergeRequest) error) error {
	return s.change(path, func(p *project) error {
		m := p.merge(iid)
		if m == nil || m.State != "opened" {
			return fmt.Errorf("gitlab stand-in: %s has no open merge request !%d", path, iid)
		}
		m.UpdatedAt = s.now()
		return f(p, m)
	})
}

func mergeMethod(p *project) string {
	if p.FastForward {
		return "ff"
	}
	return "merge"
}

// StopEnvironment stops an environment with the button, which runs no job when
// the environment has none for that.
func (s *Server) StopEnvironment(path, name string) error {
	return s.change(path, func(p *project) error {
		e := p.environment(name)
		if e == nil || e.State == "stopped" {
			return fmt.Errorf("gitlab stand-in: %s has no environment %s that runs", path, name)
		}
		e.State, e.UpdatedAt = "stopped", s.now()
		return nil
	})
}
