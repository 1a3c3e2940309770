package gitlab

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// ProjectView is a project as it is now.
type ProjectView struct {
	ID            int64
	Path          string
	FormerPaths   []string
	DefaultBranch string
	Archived      bool
	Empty         bool
	Branches      map[string]string // name -> sha
	Variables     []ci.Variable
	MergeRequests []MergeRequestView
	Environments  []EnvironmentView
}

// MergeRequestView is a merge request as it is now.
type MergeRequestView struct {
	IID                                       int64
	Title, Description, State, Source, Target string
	SHA, MergeSHA                             string
	Notes                                     []string
}

// EnvironmentView is an environment with its newest successful deployment.
type EnvironmentView struct {
	Name, State, URL string
	SHA              string // of that deployment; "" when there was none
	PipelineID       int64
}

// PipelineView is a pipeline as it is now.
type PipelineView struct {
	ID, IID                  int64
	Ref, SHA, Source, Status string
	YAMLErrors               string
	Jobs                     []JobView // in order of creation, retried ones included
}

// JobView is a job as it is now.
type JobView struct {
	ID                                      int64
	Name, Stage, Status, FailureReason, Log string
	Environment                             string
	Retried                                 bool
	Downstream                              int64
}

// Project shows a project; ok is false when there is none at that path.
func (s *Server) Project(path string) (view ProjectView, ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projectByPath(path)
	if p == nil {
		return ProjectView{}, false
	}
	v := ProjectView{ID: p.ID, Path: p.Path, FormerPaths: slices.Clone(p.FormerPaths), DefaultBranch: p.DefaultBranch, Archived: p.Archived,
		Empty: p.Repo.empty(), Branches: maps.Clone(p.Repo.Branches)}
	for _, x := range p.Variables {
		v.Variables = append(v.Variables, x.Variable)
	}
	for _, m := range p.MRs {
		mv := MergeRequestView{IID: m.IID, Title: m.Title, Description: m.Description, State: m.State, Source: m.Source, Target: m.Target, SHA: m.SHA, MergeSHA: m.MergeSHA}
		for _, n := range m.Notes {
			mv.Notes = append(mv.Notes, n.Body)
		}
		v.MergeRequests = append(v.MergeRequests, mv)
	}
	for _, e := range p.Environments {
		ev := EnvironmentView{Name: e.Name, State: e.State, URL: e.URL}
		if d := p.last(e); d != nil {
			ev.SHA, ev.PipelineID = d.SHA, s.jobs[d.JobID].PipelineID
		}
		v.Environments = append(v.Environments, ev)
	}
	return v, true
}

// Paths lists the paths of all projects, sorted.
func (s *Server) Paths() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, p := range s.st.projects {
		out = append(out, p.Path)
	}
	slices.Sort(out)
	return out
}

// Pipelines shows a project's pipelines, the oldest first.
func (s *Server) Pipelines(path string) []PipelineView {
	s.mu.Lock()
	defer s.mu.Unlock()
	p := s.projectByPath(path)
	if p == nil {
		return nil
	}
	var out []PipelineView
	for _, x := range p.Pipelines {
		v := PipelineView{ID: x.ID, IID: x.IID, Ref: x.Ref, SHA: x.SHA, Source: x.Source, Status: x.Status, YAMLErrors: x.YAMLErrors}
		for _, j := range p.jobsOf(x.ID, true) {
			v.Jobs = append(v.Jobs, JobView{ID: j.ID, Name: j.Spec.Name, Stage: j.Spec.Stage, Status: j.Status, FailureReason: j.FailureReason,
				Log: string(j.Trace), Environment: j.Environment, Retried: j.Retried, Downstream: j.Downstream})
		}
		out = append(out, v)
	}
	return out
}

// File reads a file of a project at a ref; ref "" is the default branch.
func (s *Server) File(path, ref, name string) (string, error) {
	content, err := sources{s}.ReadFile(path, ref, name)
	return string(content), err
}

// Messages lists the messages of a branch's commits, the newest first.
func (s *Server) Messages(path, branch string) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return nil, err
	}
	if branch == "" {
		branch = p.DefaultBranch
	}
	head := p.Repo.resolve(branch)
	if head == nil {
		return nil, fmt.Errorf("gitlab stand-in: ref %s of %s: %w", branch, path, fs.ErrNotExist)
	}
	var out []string
	for _, k := range p.Repo.history(head) {
		out = append(out, k.Message)
	}
	return out, nil
}

// WaitIdle waits until nothing moves by itself any more: every push has got
// its pipeline and every job has ended, waits for a human, or has no runner.
func (s *Server) WaitIdle(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.changed.Broadcast()
	})
	defer stop()
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.busy > 0 && !s.closed {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("gitlab stand-in: still busy: %w", err)
		}
		s.changed.Wait()
	}
	return nil
}
