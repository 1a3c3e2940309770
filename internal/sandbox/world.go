// Package sandbox is the world that ecrferry works in, as real servers on
// loopback ports: the old registry, an ECR, a GitLab with its runner, the PaaS
// and its console. They are as strict as the real ones where that is the point,
// and nobody's outcome is scripted.
//
// A world with a directory goes on where an earlier one in it ended, on the
// same ports, so that addresses stored elsewhere stay true.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/console"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/runner"
)

// The tokens that the sandbox accepts from the worker. They open nothing but
// servers on loopback.
const (
	GitLabToken  = "glpat-sandbox-worker-0001"
	ConsoleToken = "console-sandbox-worker"
)

// Options say how a world is made.
type Options struct {
	Dir   string // where all state is kept; "" keeps it in memory
	Clock *clock.Clock
	Log   *slog.Logger
}

// World is the running stand-ins.
type World struct {
	Old     *oldregistry.Server
	ECR     *ecr.Server
	GitLab  *gitlab.Server
	PaaS    *paas.Server
	Console *console.Server
	Clock   *clock.Clock

	dir    string
	closes []func() error

	mu        sync.Mutex // guards what follows
	breakdown func(project, job string) error
}

// ports are the addresses that a world had before.
type ports struct {
	Old     string `json:"old_registry"`
	ECR     string `json:"ecr"`
	GitLab  string `json:"gitlab"`
	PaaS    string `json:"paas"`
	Console string `json:"console"`
}

// Start brings a world up. Close it.
func Start(o Options) (w *World, err error) {
	if o.Clock == nil {
		o.Clock = &clock.Clock{}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	w = &World{Clock: o.Clock, dir: o.Dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.Close())
		}
	}()
	was, err := w.loadPorts()
	if err != nil {
		return nil, err
	}

	w.Old, err = oldregistry.Start(oldregistry.Options{
		Dir: w.sub("old-registry"), Addr: free(was.Old), Clock: o.Clock, Log: o.Log.With("in", "old-registry"),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the old registry: %w", err)
	}
	w.closes = append(w.closes, w.Old.Close)

	w.ECR, err = ecr.Start(ecr.Options{
		Dir: w.sub("ecr"), Addr: free(was.ECR), Clock: o.Clock, Log: o.Log.With("in", "ecr"),
		InUse: func() []string {
			if w.PaaS == nil {
				return nil
			}
			return w.PaaS.InUse()
		},
	})
	if err != nil {
		return nil, fmt.Errorf("starting ECR: %w", err)
	}
	w.closes = append(w.closes, w.ECR.Close)

	w.PaaS, err = paas.Start(paas.Options{
		Dir: w.sub("paas"), Addr: free(was.PaaS), Clock: o.Clock, Log: o.Log.With("in", "paas"),
		Hosts: []string{w.Old.Name, w.ECR.Registry}, Pull: w.kubelet(),
	})
	if err != nil {
		return nil, fmt.Errorf("starting the PaaS: %w", err)
	}
	w.closes = append(w.closes, w.PaaS.Close)

	w.GitLab, err = gitlab.Start(gitlab.Options{
		Dir: w.sub("gitlab"), Addr: free(was.GitLab), Clock: o.Clock, Log: o.Log.With("in", "gitlab"),
		Executor: runner.New(w.runnerOptions(o)), Instance: w.instance,
	})
	if err != nil {
		return nil, fmt.Errorf("starting GitLab: %w", err)
	}
	w.closes = append(w.closes, w.GitLab.Close)
	w.GitLab.AddToken(GitLabToken, "ecrferry", gitlab.Maintainer)

	w.Console, err = console.Start(w.consoleOptions(o, free(was.Console)))
	if err != nil {
		return nil, fmt.Errorf("starting the console: %w", err)
	}
	w.closes = append(w.closes, w.Console.Close)
	return w, w.savePorts()
}

// Close ends all servers, the last started first, and saves their state.
func (w *World) Close() error {
	var errs []error
	for i := len(w.closes) - 1; i >= 0; i-- {
		errs = append(errs, w.closes[i]())
	}
	w.closes = nil
	return errors.Join(errs...)
}

// Writes counts what came from outside and changed something, by system and
// kind: "gitlab commits", "ecr manifests" and so on. What runs inside (the
// pipelines' own pushes and deployments) counts too: it is the outside world's.
func (w *World) Writes() map[string]int {
	all := map[string]int{}
	for system, counts := range map[string]map[string]int{
		"old-registry": w.Old.Writes(), "ecr": w.ECR.Writes(), "gitlab": w.GitLab.Writes(),
		"paas": w.PaaS.Writes(), "console": w.Console.Writes(),
	} {
		for kind, n := range counts {
			if n > 0 {
				all[system+" "+kind] = n
			}
		}
	}
	return all
}

// Env is the environment in which a worker finds this world. Kubeconfig is the
// path of a file that KubeconfigFile wrote.
func (w *World) Env(kubeconfig string) map[string]string {
	user, password := w.Old.Worker()
	key, secret := w.ECR.WorkerKey()
	return map[string]string{
		"ECRFERRY_GITLAB_URL":            w.GitLab.URL,
		"ECRFERRY_GITLAB_TOKEN":          GitLabToken,
		"ECRFERRY_OLD_REGISTRY":          w.Old.Name,
		"ECRFERRY_OLD_REGISTRY_URL":      w.Old.URL,
		"ECRFERRY_OLD_REGISTRY_USER":     user,
		"ECRFERRY_OLD_REGISTRY_PASSWORD": password,
		"ECRFERRY_ECR_REGISTRY":          w.ECR.Registry,
		"ECRFERRY_CONFIGURE":             "console",
		"ECRFERRY_CONSOLE_URL":           w.Console.URL + "/api/projects/{{.ID}}/update-configuration",
		"ECRFERRY_CONSOLE_TOKEN":         ConsoleToken,
		"ECRFERRY_KUBECONFIG":            kubeconfig,
		"AWS_ENDPOINT_URL_ECR":           w.ECR.URL,
		"AWS_REGION":                     "eu-north-1",
		"AWS_ACCESS_KEY_ID":              key,
		"AWS_SECRET_ACCESS_KEY":          secret,
	}
}

// remote is a registry client that reaches both registries.
func (w *World) remote(credentials func(host string) (user, pass string, ok bool)) oci.Remote {
	return oci.Remote{
		Locate:      w.locate,
		Credentials: credentials,
	}
}

func (w *World) locate(host string) (string, bool) {
	switch host {
	case w.Old.Name:
		return w.Old.URL, true
	case w.ECR.Registry:
		return w.ECR.URL, true
	}
	return "", false
}

// kubelet pulls with the cluster's own credentials.
func (w *World) kubelet() paas.Puller {
	return func(ctx context.Context, host, repository, reference string) (string, error) {
		r := w.remote(func(host string) (string, string, bool) {
			if host == w.Old.Name {
				user, pass := w.Old.Worker()
				return user, pass, true
			}
			user, pass := w.ECR.KubeletToken()
			return user, pass, true
		})
		image, err := r.Pull(ctx, host, repository, reference)
		if err != nil {
			return "", err
		}
		return image.Digest(), nil
	}
}

// instance are the variables that GitLab gives every project: until the console
// has updated a project's configuration, images go to the old registry.
func (w *World) instance(p ci.Project) []ci.Variable {
	user, password := w.Old.Pipeline(p.Path)
	return []ci.Variable{
		{Key: "CI_REGISTRY", Value: w.Old.Name},
		{Key: "CI_REGISTRY_IMAGE", Value: w.Old.Name + "/" + strings.ToLower(p.Path)},
		{Key: "CI_REGISTRY_USER", Value: user},
		{Key: "CI_REGISTRY_PASSWORD", Value: password, Masked: true},
		{Key: "KUBE_NAMESPACE", Value: console.Namespace(p.Path)},
		{Key: "KUBE_TEST_ID", Value: "test"},
	}
}

func (w *World) sub(name string) string {
	if w.dir == "" {
		return ""
	}
	return filepath.Join(w.dir, name)
}

func (w *World) loadPorts() (ports, error) {
	var p ports
	if w.dir == "" {
		return p, nil
	}
	if err := os.MkdirAll(w.dir, 0o700); err != nil {
		return p, err
	}
	raw, err := os.ReadFile(filepath.Join(w.dir, "ports.json"))
	if errors.Is(err, fs.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return p, err
	}
	return p, json.Unmarshal(raw, &p)
}

func (w *World) savePorts() error {
	if w.dir == "" {
		return nil
	}
	raw, err := json.Marshal(ports{
		Old: addr(w.Old.URL), ECR: addr(w.ECR.URL), GitLab: addr(w.GitLab.URL), PaaS: addr(w.PaaS.URL), Console: addr(w.Console.URL),
	})
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(w.dir, "ports.json"), raw, 0o600)
}

func addr(url string) string {
	_, a, _ := strings.Cut(url, "://")
	return strings.TrimSuffix(a, "/")
}

// free returns the address if nobody listens there, else any free port.
func free(address string) string {
	if address == "" {
		return "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "127.0.0.1:0"
	}
	l.Close()
	return address
}

// Difference returns by how much counts grew from before to after.
func Difference(before, after map[string]int) map[string]int {
	d := map[string]int{}
	for _, k := range slices.Sorted(maps.Keys(after)) {
		if n := after[k] - before[k]; n != 0 {
			d[k] = n
		}
	}
	return d
}
