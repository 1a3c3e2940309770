package main

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
)

func serveCommand() *cobra.Command {
	var dir string
	var verbose bool
	cmd := &cobra.Command{
		Use:   "serve",
		Short: "Run the stand-ins until interrupted",
		Long: `Run the stand-ins until interrupted. The first time, the sample projects are
added and their pipelines run on the old registry; later, the world goes on
where it ended, on the same ports.

The directory then holds
  env         what a worker needs to find the stand-ins, for "set -a; . DIR/env"
  kubeconfig  access to the PaaS
  sandbox.json  addresses and the process id`,
		Example: "  sandbox serve --dir .demo\n  (set -a; . .demo/env; bin/enqueue status)",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), layout(dir), verbose)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".demo", "where all state is kept")
	cmd.Flags().BoolVar(&verbose, "verbose", false, "log every request")
	return cmd
}

// layout is a demo's directory.
type layout string

func (l layout) path(name string) string { return filepath.Join(string(l), name) }

// running is what sandbox.json holds.
type running struct {
	PID     int    `json:"pid"`
	Control string `json:"control"`
	GitLab  string `json:"gitlab"`
	Old     string `json:"old_registry"`
	ECR     string `json:"ecr"`
	PaaS    string `json:"paas"`
	Console string `json:"console"`
}

func (l layout) running() (running, error) {
	var r running
	raw, err := os.ReadFile(l.path("sandbox.json"))
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(raw, &r)
}

func serve(ctx context.Context, dir layout, verbose bool) (err error) {
	level := slog.LevelWarn
	if verbose {
		level = slog.LevelDebug
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	abs, err := filepath.Abs(string(dir))
	if err != nil {
		return err
	}
	dir = layout(abs)
	fresh, err := prepare(dir)
	if err != nil {
		return err
	}
	before, _ := dir.running()
	w, err := sandbox.Start(sandbox.Options{Dir: dir.path("world"), Log: log})
	if err != nil {
		return err
	}
	defer func() {
		os.Remove(dir.path("sandbox.json"))
		err = errors.Join(err, w.Close())
	}()
	if fresh {
		all, err := samples.All()
		if err != nil {
			return err
		}
		fmt.Printf("adding %d sample projects and running their pipelines on the old registry\n", len(all))
		if err := w.Seed(ctx, all); err != nil {
			return err
		}
		if err := os.WriteFile(dir.path("world/seeded"), nil, 0o600); err != nil {
			return err
		}
	}
	control, err := w.Control(strings.TrimPrefix(before.Control, "http://"))
	if err != nil {
		return err
	}
	if err := describe(dir, w, control); err != nil {
		return err
	}
	fmt.Println("the stand-ins are up; control at", control)
	<-ctx.Done()
	return nil
}

// prepare makes the directory, and clears a world whose seeding broke off.
func prepare(dir layout) (fresh bool, err error) {
	if err := os.MkdirAll(string(dir), 0o755); err != nil {
		return false, err
	}
	_, err = os.Stat(dir.path("world/seeded"))
	if err == nil {
		return false, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return false, err
	}
	if err := os.RemoveAll(dir.path("world")); err != nil {
		return true, err
	}
	if err := os.MkdirAll(dir.path("world"), 0o700); err != nil {
		return true, err
	}
	// A new world gets a new database: the worker's memory of an earlier one,
	// which may have outlived it elsewhere, would be of other projects.
	return true, os.WriteFile(dir.path("world/name"), []byte(strings.ToLower(rand.Text()[:8])), 0o600)
}

// describe writes the files by which others find the world; sandbox.json last,
// because it is what they wait for.
func describe(dir layout, w *sandbox.World, control string) error {
	kubeconfig := dir.path("kubeconfig")
	if err := os.WriteFile(kubeconfig, w.PaaS.Kubeconfig(), 0o600); err != nil {
		return err
	}
	name, err := os.ReadFile(dir.path("world/name"))
	if err != nil {
		return err
	}
	env := w.Env(kubeconfig)
	maps.Copy(env, map[string]string{
		"ECRFERRY_DATA_DIR": dir.path("data-" + string(name)),
		"ECRFERRY_POLL":     "300ms",
		"ECRFERRY_POLL_MAX": "3s",
		// Real patience would make the demonstration long.
		"ECRFERRY_PIPELINE_APPEARS": "10s",
		"ECRFERRY_LOG_FORMAT":       "json",
		// The buttons of the demonstration's dashboard are there to be pressed.
		"ECRFERRY_DASHBOARD_ANONYMOUS": "operator",
	})
	var lines strings.Builder
	for _, k := range slices.Sorted(maps.Keys(env)) {
		fmt.Fprintf(&lines, "%s='%s'\n", k, strings.ReplaceAll(env[k], "'", `'\''`))
	}
	if err := os.WriteFile(dir.path("env"), []byte(lines.String()), 0o600); err != nil {
		return err
	}
	raw, err := json.MarshalIndent(running{
		PID: os.Getpid(), Control: control, GitLab: w.GitLab.URL, Old: w.Old.URL, ECR: w.ECR.URL, PaaS: w.PaaS.URL, Console: w.Console.URL,
	}, "", "  ")
	if err != nil {
		return err
	}
	tmp := dir.path("sandbox.json.new")
	if err := os.WriteFile(tmp, raw, 0o644); err != nil {
		return err
	}
	return os.Rename(tmp, dir.path("sandbox.json"))
}
