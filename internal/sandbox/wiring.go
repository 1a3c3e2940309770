package sandbox

import (
	"context"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/console"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/runner"
)

// runnerOptions give pipelines the credentials that the platform gives them.
func (w *World) runnerOptions(o Options) runner.Options {
	return runner.Options{
		Registries: []string{w.Old.Name, w.ECR.Registry},
		Locate:     w.locate,
		PaaS:       w.PaaS,
		Clock:      o.Clock,
		Log:        o.Log.With("in", "runner"),
		Breakdown: func(e ci.Execution) error {
			w.mu.Lock()
			f := w.breakdown
			w.mu.Unlock()
			if f == nil {
				return nil
			}
			return f(e.Project.Path, e.Job.Name)
		},
		Credentials: func(p ci.Project, host string) (user, pass string, err error) {
			if host == w.Old.Name {
				user, pass = w.Old.Pipeline(p.Path)
				return user, pass, nil
			}
			// AWS knows the path that was registered at the console: a project
			// that was moved since can't assume its role.
			path, repository, ok := w.Console.Registered(p.ID)
			if !ok || path != p.Path {
				return "", "", runner.ErrAssumeRole
			}
			user, pass = w.ECR.PipelineToken(p.Path, repository)
			return user, pass, nil
		},
	}
}

// BreakRunner lets f decide before each job whether the runner breaks down: its
// error is what GitLab then shows as the job's system failure. Nil takes it away.
func (w *World) BreakRunner(f func(project, job string) error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breakdown = f
}

// consoleOptions let the console act on GitLab and ECR, as the real one does.
func (w *World) consoleOptions(o Options, address string) console.Options {
	return console.Options{
		Dir: w.sub("console"), Addr: address, Token: ConsoleToken, Registry: w.ECR.Registry,
		Clock: o.Clock, Log: o.Log.With("in", "console"),
		Path: func(_ context.Context, project int64) (string, error) {
			if path, ok := w.path(project); ok {
				return path, nil
			}
			return "", console.ErrNoProject
		},
		Variables: func(_ context.Context, project int64) ([]ci.Variable, error) {
			path, ok := w.path(project)
			if !ok {
				return nil, console.ErrNoProject
			}
			view, _ := w.GitLab.Project(path)
			return view.Variables, nil
		},
		SetVariable: func(_ context.Context, project int64, v ci.Variable) error {
			path, ok := w.path(project)
			if !ok {
				return console.ErrNoProject
			}
			return w.GitLab.SetVariable(path, v)
		},
		CreateRepository: func(_ context.Context, name string) (bool, error) { return w.ECR.CreateRepository(name) },
	}
}

// path returns a project's present path.
func (w *World) path(project int64) (string, bool) {
	for _, path := range w.GitLab.Paths() {
		if view, ok := w.GitLab.Project(path); ok && view.ID == project {
			return path, true
		}
	}
	return "", false
}
