// Package runner runs CI jobs as a GitLab runner with the Docker executor would,
// without running anything: scripts go through a shell interpreter in which
// every command is a Go function.
//
// A job has a private directory that is its whole file system. Scripts see it as
// "/" with the checkout below /builds; no program of the host is started and no
// file outside the directory is opened, whatever the script does. What reaches
// out are the commands that act on the sandbox's registries and cluster: docker
// and its relatives, kaniko, skopeo, crane, helm, kubectl and the platform's
// deploy. They use the credentials that a pipeline of the project gets, push
// real small images and fail with the words of the registry that refused them.
//
// Test and build tools that are only known by name print a line and succeed; any
// other command is not found, exit code 127. Inside docker run the commands of
// the image succeed as well: those that its Dockerfile installs or copies.
package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
)

// Options are the settings of New. Zero values of the limits mean the defaults.
type Options struct {
	// Registries are the hosts that the sandbox serves, such as
	// registry.uninett.no. Images of all other hosts are public and available.
	Registries []string
	// Locate tells where a registry is reached: a base URL.
	Locate func(host string) (baseURL string, ok bool)
	// Credentials are those of a pipeline of the project. An error is what the
	// login step prints; see ErrAssumeRole.
	Credentials func(p ci.Project, host string) (user, pass string, err error)
	// PaaS is the cluster that deploy, kubectl and helm change.
	PaaS *paas.Server
	// Breakdown, when set, is asked before each job; an error is what breaks the
	// runner itself: the job fails as runner_system_failure, its script unrun.
	Breakdown func(e ci.Execution) error

	Clock   *clock.Clock
	Log     *slog.Logger
	HTTP    *http.Client
	TempDir string // where job directories are made; "" means os.TempDir()

	Timeout   time.Duration // of one job; default 5 minutes
	LogLimit  int           // bytes of a log; default 4 MiB, as GitLab's
	DiskLimit int64         // bytes that a job may write; default 256 MiB
	CallLimit int64         // commands that a job may run; default 500 000
	HeapLimit uint64        // bytes of heap beyond which jobs are killed; default 2 GiB

	// StrictContext refuses a Dockerfile's COPY of files that the context does
	// not hold, as BuildKit does. Without it they are made up, because sample
	// projects leave out what their real builds would generate.
	StrictContext bool
}

// ErrAssumeRole is what AWS says to a pipeline of a project whose path is not
// the one that was registered at the console.
var ErrAssumeRole = errors.New("An error occurred (AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform sts:AssumeRoleWithWebIdentity") //nolint:staticcheck // the AWS CLI's words

// Runner implements ci.Executor. It is safe for concurrent use.
type Runner struct{ o Options }

// New returns a runner.
func New(o Options) *Runner {
	o.Timeout = cmp.Or(o.Timeout, 5*time.Minute)
	o.LogLimit = cmp.Or(o.LogLimit, 4<<20)
	o.DiskLimit = cmp.Or(o.DiskLimit, 256<<20)
	o.CallLimit = cmp.Or(o.CallLimit, 500_000)
	o.HeapLimit = cmp.Or(o.HeapLimit, 2<<30)
	o.HTTP = cmp.Or(o.HTTP, http.DefaultClient)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Locate == nil {
		o.Locate = func(string) (string, bool) { return "", false }
	}
	if o.Credentials == nil {
		o.Credentials = func(ci.Project, string) (string, string, error) { return "", "", errors.New("no credentials") }
	}
	return &Runner{o}
}

// errors with which a job's stages end.
type (
	pullError   struct{ image, message string }
	systemError struct{ error }
)

func (e *pullError) Error() string {
	return fmt.Sprintf("failed to pull image %q with specified policies [always]: %s (manager.go:250:0s)", e.image, e.message)
}

// Execute runs one job.
func (r *Runner) Execute(ctx context.Context, e ci.Execution, trace io.Writer) (result ci.Result) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	log := newTrace(trace, r.o.LogLimit, r.o.Clock)
	defer log.close()
	started := time.Now()
	defer func() {
		r.o.Log.Debug("job ran", "project", e.Project.Path, "job", e.Job.Name, "id", e.JobID,
			"status", result.Status, "reason", result.FailureReason, "exit_code", result.ExitCode, "duration", time.Since(started))
	}()

	j, err := r.prepare(e, log)
	if err != nil {
		log.failed("Job failed (system failure): " + err.Error())
		return ci.Result{Status: "failed", FailureReason: "runner_system_failure"}
	}
	defer j.close()
	ctx, kill := context.WithCancelCause(ctx)
	defer kill(nil)
	j.kill = kill
	defer watchHeap(ctx, r.o.HeapLimit, kill)()

	if r.o.Breakdown != nil {
		err = r.o.Breakdown(e)
	}
	if err == nil {
		err = j.stages(ctx)
	}
	result = ci.Result{Status: "success"}
	if err == nil {
		log.always("\x1b[32;1mJob succeeded\x1b[0;m\n")
	} else {
		result = r.failure(ctx, log, err)
	}
	result.Artifacts, result.Dotenv = j.artifacts, j.dotenv
	return result
}

// failure names the end of a job as GitLab does. GitLab has no reason of its own
// for an image that cannot be pulled: the runner's image_pull_failure is mapped
// to runner_system_failure (failureReasonsCompatibilityMap in gitlab-runner).
func (r *Runner) failure(ctx context.Context, log *trace, err error) ci.Result {
	var exit exitError
	var pull *pullError
	result := ci.Result{Status: "failed"}
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		log.failed(fmt.Sprintf("Job failed: execution took longer than %v seconds", r.o.Timeout))
		result.FailureReason = "job_execution_timeout"
	case errors.Is(context.Cause(ctx), errKilled):
		log.failed("Job failed: exit code 137")
		result.FailureReason, result.ExitCode = "script_failure", 137
	case ctx.Err() != nil:
		log.failed("Job failed: canceled")
		result.FailureReason = "job_canceled"
	case errors.As(err, &pull):
		log.failed("Job failed: " + pull.Error())
		result.FailureReason = "runner_system_failure"
	case errors.As(err, &exit):
		log.failed(fmt.Sprintf("Job failed: exit code %d", int(exit)))
		result.FailureReason, result.ExitCode = "script_failure", int(exit)
	default:
		log.failed("Job failed (system failure): " + err.Error())
		result.FailureReason = "runner_system_failure"
	}
	return result
}

// job is one run of one job.
type job struct {
	*Runner
	e         ci.Execution
	log       *trace
	disk      *disk
	vars      []ci.Variable // of the job, expanded
	env       map[string]string
	home      string // the checkout, CI_PROJECT_DIR
	docker    *daemon
	main      *container       // what the job's own image brings; nil for public ones
	denied    map[string]error // registries whose login was refused
	granted   map[string]login // credentials of the pipeline by registry
	calls     counter
	kill      context.CancelCauseFunc
	artifacts []ci.Artifact
	dotenv    []ci.Variable
}

// prepare makes the job's directory, environment and credentials.
func (r *Runner) prepare(e ci.Execution, log *trace) (*job, error) {
	temp, err := os.MkdirTemp(r.o.TempDir, "job-")
	if err != nil {
		return nil, err
	}
	d, err := newDisk(temp, r.o.DiskLimit)
	if err != nil {
		os.RemoveAll(temp)
		return nil, err
	}
	j := &job{
		Runner: r, e: e, log: log, disk: d,
		home: path.Join("/builds", e.Project.Path),
		env:  map[string]string{}, denied: map[string]error{}, granted: map[string]login{},
	}
	for _, host := range r.o.Registries {
		user, pass, err := r.o.Credentials(e.Project, host)
		if err != nil {
			j.denied[host] = err
			continue
		}
		j.granted[host] = login{user, pass}
		log.mask(pass)
	}
	if err := j.environment(); err != nil {
		j.close()
		return nil, err
	}
	j.docker = newDaemon(j)
	return j, nil
}

func (j *job) close() {
	if err := j.disk.close(); err != nil {
		j.o.Log.Warn("job directory not removed", "error", err)
	}
}

// environment collects the script's variables. The pipeline's own log-in of the
// registry that CI_REGISTRY names is predefined: what somebody set wins over it.
func (j *job) environment() error {
	find := func(vars []ci.Variable, key string) (value string) {
		for _, v := range vars {
			if v.Key == key {
				value = v.Value
			}
		}
		return value
	}
	registry := find(ci.Environ(j.e), "CI_REGISTRY")
	if l, ok := j.granted[registry]; ok {
		j.predefine("CI_REGISTRY_USER", l.user)
		j.predefine("CI_REGISTRY_PASSWORD", l.pass)
	} else if j.denied[registry] != nil {
		j.predefine("CI_REGISTRY_USER", "AWS")
		j.predefine("CI_REGISTRY_PASSWORD", "")
	}
	j.vars = ci.Environ(j.e)
	s := j.e.Settings
	for _, v := range slices.Concat(s.Instance, s.Group, s.Project, j.e.Trigger.Variables, j.vars) {
		if v.Masked {
			j.log.mask(v.Value)
		}
	}
	maps.Copy(j.env, map[string]string{
		"HOME": "/root", "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		"USER": "root", "SHELL": "/bin/bash", "CI": "true", "GITLAB_CI": "true",
	})
	for _, v := range j.vars {
		if v.File {
			name := path.Join(j.home+".tmp", v.Key)
			if err := j.disk.write(name, []byte(v.Value), 0o600); err != nil {
				return err
			}
			v.Value = name
		}
		j.env[v.Key] = v.Value
	}
	j.env["CI_PROJECT_DIR"], j.env["CI_BUILDS_DIR"], j.env["CI_JOB_ID"] = j.home, "/builds", fmt.Sprint(j.e.JobID)
	return nil
}

func (j *job) predefine(key, value string) {
	j.e.Settings.Instance = append(slices.Clone(j.e.Settings.Instance), ci.Variable{Key: key, Value: value, Raw: true, Masked: strings.HasSuffix(key, "PASSWORD")})
}

// stages goes through a job in the runner's order.
func (j *job) stages(ctx context.Context) error {
	j.log.header(j.e)
	if err := j.log.section("prepare_executor", `Preparing the "docker" executor`, func() error { return j.pullImages(ctx) }); err != nil {
		return err
	}
	j.log.section("prepare_script", "Preparing environment", func() error {
		j.log.line(fmt.Sprintf("Running on runner-sandbox-project-%d-concurrent-0 via runner.sandbox...", j.e.Project.ID))
		return nil
	})
	if err := j.log.section("get_sources", "Getting source from Git repository", j.checkout); err != nil {
		return err
	}
	if len(j.e.Artifacts) > 0 {
		if err := j.log.section("download_artifacts", "Downloading artifacts", j.download); err != nil {
			return err
		}
	}
	err := j.log.section("step_script", `Executing "step_script" stage of the job script`, func() error {
		return j.script(ctx, slices.Concat(j.e.Job.BeforeScript, j.e.Job.Script), true)
	})
	if len(j.e.Job.AfterScript) > 0 && ctx.Err() == nil {
		status := "success"
		if err != nil {
			status = "failed"
		}
		j.env["CI_JOB_STATUS"] = status
		j.log.section("after_script", "Running after_script", func() error {
			j.log.line("Running after script...")
			// Its outcome does not count, in GitLab neither.
			_ = j.script(ctx, j.e.Job.AfterScript, false)
			return nil
		})
	}
	j.upload(err == nil)
	j.log.section("cleanup_file_variables", "Cleaning up project directory and file based variables", func() error { return nil })
	return err
}

// checkout puts the repository at the commit into the project directory.
func (j *job) checkout() error {
	j.log.line("\x1b[32;1mFetching changes with git depth set to 20...\x1b[0;m")
	j.log.line("Initialized empty Git repository in " + j.home + "/.git/")
	for _, dir := range []string{j.home, "/tmp", "/root", "/dev", "/etc", "/usr/bin"} {
		if err := j.disk.mkdirAll(dir); err != nil {
			return systemError{err}
		}
	}
	for _, a := range j.e.Checkout {
		if err := j.disk.put(j.home, a); err != nil {
			return systemError{err}
		}
	}
	j.log.line(fmt.Sprintf("\x1b[32;1mChecking out %s as detached HEAD (ref is %s)...\x1b[0;m", short(j.e.Trigger.SHA), j.e.Trigger.Ref))
	return nil
}

func (j *job) download() error {
	for _, a := range j.e.Artifacts {
		if err := j.disk.put(j.home, a); err != nil {
			return systemError{err}
		}
	}
	j.log.line(fmt.Sprintf("Downloading artifacts... ok    files=%d", len(j.e.Artifacts)))
	return nil
}

func short(sha string) string { return sha[:min(8, len(sha))] }

// virtual makes an artifact's or script's path absolute in the job's file system.
func virtual(dir, name string) string {
	if !strings.HasPrefix(name, "/") {
		name = path.Join(dir, name)
	}
	return path.Clean("/" + filepath.ToSlash(name))
}
