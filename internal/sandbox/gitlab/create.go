package gitlab

import (
	"errors"
	"regexp"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

const zeroSHA = "0000000000000000000000000000000000000000"

// What GitLab says when a pipeline is not created.
const (
	noConfig   = "Missing CI config file"
	noJobs     = "Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the pipeline."
	disabled   = "Pipelines are disabled!"
	noCommit   = "Commit not found"
	noRef      = "Reference not found"
	ambiguous  = "Ref is ambiguous"
	noVariable = "Insufficient permissions to set pipeline variables"
)

// skipCI is looked for in the head commit's message, see
// https://docs.gitlab.com/ci/pipelines/#skip-a-pipeline.
var skipCI = regexp.MustCompile(`(?i)\[(ci[ _-]skip|skip[ _-]ci)\]`)

// pushed moves a branch and lets follow what a push brings about. s.mu is held.
func (s *Server) pushed(p *project, branch, before string, k *commit, userID int64) {
	p.Repo.Branches[branch] = k.SHA
	p.ActivityAt = s.now()
	if p.DefaultBranch == "" {
		p.DefaultBranch = branch
	}
	if before == "" {
		before = zeroSHA
	}
	s.announce(p, &push{Ref: branch, SHA: k.SHA, Before: before, UserID: userID})
	for _, m := range p.MRs {
		if m.State != "opened" || m.Source != branch && m.Target != branch {
			continue
		}
		m.CheckedFrom = s.now().Add(s.opt.CheckDelay)
		if m.Source == branch {
			m.SHA, m.UpdatedAt = k.SHA, s.now()
			s.announce(p, &push{Ref: m.ref(), SHA: k.SHA, Before: before, UserID: userID, MR: m.IID})
		}
	}
}

// announce notes a push; its pipeline comes a little later, even over a restart.
func (s *Server) announce(p *project, u *push) {
	p.Pushes = append(p.Pushes, u)
	s.touch(p)
	s.await(p, u)
}

func (s *Server) await(p *project, u *push) {
	s.after(s.opt.PushDelay, func() {
		o := creation{project: p, ref: u.Ref, tag: u.Tag, sha: u.SHA, before: u.Before, user: u.UserID, source: "push", mr: u.MR, push: u}
		if u.MR != 0 {
			o.source = "merge_request_event"
		}
		if _, problems := s.create(o); problems != nil {
			s.log.Debug("no pipeline for push", "project", p.Path, "ref", u.Ref, "problems", problems)
		}
	})
}

// creation is a pipeline to create.
type creation struct {
	project     *project
	ref         string
	tag         bool
	sha, before string
	source      string
	user        int64
	variables   []ci.Variable
	mr          int64
	bridge      int64
	content     []byte // of a child pipeline; nil reads the project's configuration
	push        *push  // the push that is served hereby
}

// trigger describes the pipeline to the compiler. s.mu is held.
func (s *Server) trigger(p *project, x *pipeline) ci.Trigger {
	t := ci.Trigger{
		Ref: x.Ref, Tag: x.Tag, SHA: x.SHA, Source: x.Source, PipelineID: x.ID, PipelineIID: x.IID,
		ProtectedRef: p.protectedRef(x), Variables: slices.Clone(x.Variables), CreatedAt: x.CreatedAt,
	}
	k, before := p.Repo.Commits[x.SHA], p.Repo.Commits[x.BeforeSHA]
	if m := p.merge(x.MR); m != nil {
		t.Ref = m.Source
		t.MergeRequest = &ci.MergeRequest{IID: m.IID, SourceBranch: m.Source, TargetBranch: m.Target, Title: m.Title}
		before = p.Repo.Commits[m.BaseSHA]
	}
	if k != nil {
		t.CommitMessage = k.Message
	}
	if x.BeforeSHA != zeroSHA {
		t.BeforeSHA = x.BeforeSHA
	}
	// Only a push to a known branch and a merge request have something to compare with.
	if k != nil && before != nil && (x.Source == "push" || x.MR != 0) {
		t.Changed = []string{}
		for path := range changed(before.Files, k.Files) {
			t.Changed = append(t.Changed, path)
		}
		slices.Sort(t.Changed)
	}
	if u := s.user(x.UserID); u != nil {
		t.User = u.Username
	}
	return t
}

// outside are the variables that are not the project's own. The functions that
// give them may ask the server, so s.mu is not held.
func (s *Server) outside(p ci.Project) (instance, group []ci.Variable) {
	if s.opt.Instance != nil {
		instance = s.opt.Instance(p)
	}
	if s.opt.Group != nil {
		group = s.opt.Group(p)
	}
	return instance, group
}

// create makes a pipeline, or says in GitLab's words why there is none. Like
// GitLab it stores a push pipeline whose configuration is invalid, as failed
// and without jobs, but refuses one that was asked for.
func (s *Server) create(o creation) (*pipeline, []string) {
	s.mu.Lock()
	p := o.project
	done := func(x *pipeline, problems ...string) (*pipeline, []string) {
		if o.push != nil {
			p.Pushes = slices.DeleteFunc(p.Pushes, func(u *push) bool { return u == o.push })
			s.touch(p)
		}
		s.mu.Unlock()
		return x, problems
	}
	if p.CIDisabled {
		return done(nil, disabled)
	}
	k := p.Repo.Commits[o.sha]
	if k == nil {
		return done(nil, noCommit)
	}
	if o.before == "" {
		o.before = zeroSHA
	}
	now := s.now()
	p.LastPipeline++
	x := &pipeline{
		ID: s.id(), IID: p.LastPipeline, ProjectID: p.ID, Ref: o.ref, Tag: o.tag, SHA: o.sha, BeforeSHA: o.before, Source: o.source, Status: "created",
		UserID: o.user, Variables: o.variables, MR: o.mr, Bridge: o.bridge, CreatedAt: now, UpdatedAt: now,
	}
	project, trigger := s.ciProject(p), s.trigger(p, x)
	settings := ci.Settings{Project: scoped(p.Variables, "", trigger.ProtectedRef)}
	predefined := s.predefined(p, x)
	s.mu.Unlock()

	instance, group := s.outside(project)
	settings.Instance, settings.Group = append(predefined, instance...), group
	compiled, err := s.compile(project, trigger, settings, sources{s}, o.content)

	s.mu.Lock()
	asked := o.source != "push" && o.source != "merge_request_event"
	var refused *ci.ConfigError
	switch {
	case errors.Is(err, ci.ErrNoConfig):
		return done(nil, noConfig)
	case errors.As(err, &refused) && asked:
		return done(nil, refused.Messages...)
	case errors.As(err, &refused):
		x.Status, x.YAMLErrors, x.FinishedAt = "failed", refused.Error(), &now
	case err != nil:
		return done(nil, err.Error())
	case !asked && skipCI.MatchString(k.Message):
		x.Status, x.FinishedAt = "skipped", &now
	case compiled.Filtered || len(compiled.Jobs) == 0:
		return done(nil, noJobs)
	default:
		s.addJobs(p, x, compiled, settings)
	}
	p.Pipelines = append(p.Pipelines, x)
	s.pipes[x.ID] = x
	s.touch(p)
	s.advance(x)
	return done(x)
}

// addJobs creates a pipeline's jobs and the environments they name. s.mu is held.
func (s *Server) addJobs(p *project, x *pipeline, compiled *ci.Pipeline, settings ci.Settings) {
	x.Stages = compiled.Stages
	for _, spec := range compiled.Jobs {
		j := &job{
			ID: s.id(), PipelineID: x.ID, ProjectID: p.ID, Status: "created", UserID: x.UserID, Spec: spec,
			StageIndex: slices.Index(compiled.Stages, spec.Stage), CreatedAt: s.now(),
		}
		if spec.Environment != nil {
			e := s.execution(p, x, j, settings.Instance, settings.Group)
			j.Environment = strings.TrimSpace(ci.Expand(spec.Environment.Name, ci.Environ(e)))
			s.ensureEnvironment(p, j.Environment)
		}
		p.Jobs = append(p.Jobs, j)
		s.jobs[j.ID] = j
	}
}
