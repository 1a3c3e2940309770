package runner_test

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/runner"
)

const sha = "1234567890abcdef1234567890abcdef12345678"

// world is a runner with real stand-ins around it and one project.
type world struct {
	old     *oldregistry.Server
	ecr     *ecr.Server
	paas    *paas.Server
	runner  *runner.Runner
	project ci.Project
	moved   bool // the project's path is not the registered one
	remote  oci.Remote
}

func newWorld(t *testing.T, change ...func(*runner.Options)) *world {
	t.Helper()
	w := &world{project: ci.Project{ID: 7, Path: "team/hei", DefaultBranch: "main", WebURL: "http://gitlab/team/hei"}}
	check := func(err error) {
		if err != nil {
			t.Helper()
			t.Fatal(err)
		}
	}
	var err error
	w.old, err = oldregistry.Start(oldregistry.Options{})
	check(err)
	t.Cleanup(func() { w.old.Close() })
	w.ecr, err = ecr.Start(ecr.Options{})
	check(err)
	t.Cleanup(func() { w.ecr.Close() })
	_, err = w.ecr.CreateRepository("team/hei")
	check(err)
	locate := func(host string) (string, bool) {
		switch host {
		case w.old.Name:
			return w.old.URL, true
		case w.ecr.Registry:
			return w.ecr.URL, true
		}
		return "", false
	}
	w.remote = oci.Remote{Locate: locate, Credentials: func(host string) (string, string, bool) {
		user, pass := w.ecr.KubeletToken()
		if host == w.old.Name {
			user, pass = w.old.Pipeline("team/hei")
		}
		return user, pass, true
	}}
	w.paas, err = paas.Start(paas.Options{
		Hosts: []string{w.old.Name, w.ecr.Registry},
		Pull: func(ctx context.Context, host, repository, reference string) (string, error) {
			return w.remote.Head(ctx, host, repository, reference)
		},
	})
	check(err)
	t.Cleanup(func() { w.paas.Close() })
	o := runner.Options{
		Registries: []string{w.old.Name, w.ecr.Registry}, Locate: locate, PaaS: w.paas, TempDir: t.TempDir(), Timeout: time.Minute,
		Credentials: func(p ci.Project, host string) (string, string, error) {
			if host == w.old.Name {
				user, pass := w.old.Pipeline(p.Path)
				return user, pass, nil
			}
			if w.moved {
				return "", "", runner.ErrAssumeRole
			}
			user, pass := w.ecr.PipelineToken(p.Path, "team/hei")
			return user, pass, nil
		},
	}
	for _, f := range change {
		f(&o)
	}
	w.runner = runner.New(o)
	return w
}

// settings are the project's variables after the console's update, or before.
func (w *world) settings(migrated bool) ci.Settings {
	s := ci.Settings{Instance: []ci.Variable{
		{Key: "CI_REGISTRY", Value: w.old.Name}, {Key: "CI_REGISTRY_IMAGE", Value: w.old.Name + "/team/hei"}, {Key: "KUBE_NAMESPACE", Value: "team-hei"},
	}}
	if migrated {
		s.Project = []ci.Variable{{Key: "CI_REGISTRY", Value: w.ecr.Registry}, {Key: "CI_REGISTRY_IMAGE", Value: w.ecr.Registry + "/team/hei"}}
	}
	return s
}

// job is a job in a docker image with docker-in-docker.
func (w *world) job(script ...string) ci.Execution {
	return ci.Execution{
		Project: w.project, JobID: 11, Settings: w.settings(true),
		Trigger: ci.Trigger{Ref: "main", SHA: sha, Source: "push", PipelineID: 5, ProtectedRef: true},
		Job: ci.Job{
			Name: "job", Stage: "test", Image: &ci.Image{Name: "docker:27"}, Services: []ci.Image{{Name: "docker:27-dind"}},
			Script: script, Variables: []ci.Variable{{Key: "TAG", Value: "t1"}},
		},
		Checkout: []ci.Artifact{
			{Path: "Dockerfile", Content: []byte("FROM alpine:3.20\nCOPY hei.sh /usr/bin/hei\nCMD [\"hei\"]\n")},
			{Path: "hei.sh", Content: []byte("#!/bin/sh\necho \"hei $1\"\n"), Mode: 0o100755},
		},
	}
}

func (w *world) run(t *testing.T, e ci.Execution) (ci.Result, string) {
	t.Helper()
	var log bytes.Buffer
	r := w.runner.Execute(t.Context(), e, &log)
	return r, log.String()
}

// expect runs a script and checks its exit code and that the log has each text.
func (w *world) expect(t *testing.T, e ci.Execution, code int, texts ...string) string {
	t.Helper()
	r, log := w.run(t, e)
	want := "success"
	if code != 0 {
		want = "failed"
	}
	if r.Status != want || r.ExitCode != code {
		t.Errorf("%s, exit code %d (%s); want %s, %d\n%s", r.Status, r.ExitCode, r.FailureReason, want, code, log)
	}
	for _, text := range texts {
		if !strings.Contains(log, text) {
			t.Errorf("the log has no %q:\n%s", text, log)
		}
	}
	return log
}

const login = `docker login -u "$CI_REGISTRY_USER" -p "$CI_REGISTRY_PASSWORD" "$CI_REGISTRY"`

// compile makes the jobs of a testdata configuration, in order.
type files map[string]string

func (f files) ReadFile(_, _, path string) ([]byte, error) {
	if s, ok := f[strings.TrimPrefix(path, "/")]; ok {
		return []byte(s), nil
	}
	return nil, errors.New("file does not exist")
}

func (f files) Paths(_, _ string) ([]string, error) {
	var out []string
	for p := range f {
		out = append(out, p)
	}
	slices.Sort(out)
	return out, nil
}
