package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
)

func demoCommand() *cobra.Command {
	var dir string
	var keep bool
	cmd := &cobra.Command{
		Use:   "demo",
		Short: "Migrate the sample projects and compare the outcomes with what they should be",
		Long: `Starts the stand-ins and a worker with its own Postgres, enqueues every
project, shows the progress, and prints a row a project. Exits with 0 only if
every outcome is the expected one. A second run goes on in the same world and
database, where nothing is left to change.`,
		Example: "  sandbox demo\n  sandbox demo --keep     # leave all running; sandbox stop ends it",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			abs, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			d := &demo{dir: layout(abs), keep: keep}
			return d.run(cmd.Context())
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".demo", "where all state is kept")
	cmd.Flags().BoolVar(&keep, "keep", false, "leave everything running and print the addresses")
	return cmd
}

type demo struct {
	dir  layout
	keep bool

	world  running
	env    []string // for worker and enqueue
	http   string   // of the worker
	worker process
}

func (d *demo) run(ctx context.Context) (err error) {
	all, err := samples.All()
	if err != nil {
		return err
	}
	if !d.keep {
		defer func() { err = errors.Join(err, stopAll(d.dir)) }()
	}
	fmt.Println("ecrferry: migrating", len(all), "sample projects on local stand-ins; state in", d.dir)
	if err := d.startWorld(ctx); err != nil {
		return err
	}
	before, err := d.writes(ctx)
	if err != nil {
		return err
	}
	if err := d.startWorker(ctx); err != nil {
		return err
	}
	// Done projects are walked once more, so that a second demonstration shows
	// that a walk over a migrated world changes nothing.
	if out, err := d.enqueue(ctx, "all", "--again", "--note", "demonstration"); err != nil {
		return err
	} else {
		fmt.Print(out)
	}
	status, err := d.watch(ctx)
	if err != nil {
		return err
	}
	wrong := show(all, status)
	after, err := d.writes(ctx)
	if err != nil {
		return err
	}
	sayWrites(sandbox.Difference(before, after))
	if err := d.reconcile(ctx); err != nil {
		return err
	}
	if d.keep {
		d.sayAddresses()
	}
	if wrong > 0 {
		return fmt.Errorf("%d of %d outcomes are not the expected ones; see %s", wrong, len(all), d.dir.path("worker.log"))
	}
	fmt.Printf("\nAll %d outcomes are the expected ones.\n", len(all))
	return nil
}

// startWorld finds the stand-ins running, or starts them.
func (d *demo) startWorld(ctx context.Context) error {
	p := process{d.dir, "sandbox"}
	if err := os.MkdirAll(string(d.dir), 0o755); err != nil {
		return err
	}
	if p.pid() == 0 {
		os.Remove(d.dir.path("sandbox.json"))
		if err := p.start(nil, "serve", "--dir", string(d.dir)); err != nil {
			return err
		}
		fmt.Println("starting the stand-ins (the first time, the projects' pipelines run on the old registry)")
	}
	err := p.await(ctx, "being ready", 5*time.Minute, func() bool {
		r, err := d.dir.running()
		d.world = r
		return err == nil && answers(ctx, r.Control+"/writes")
	})
	if err != nil {
		return err
	}
	raw, err := os.ReadFile(d.dir.path("env"))
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(raw)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		d.env = append(d.env, key+"="+strings.ReplaceAll(strings.Trim(value, "'"), `'\''`, "'"))
	}
	return nil
}

// startWorker finds the worker running, or starts it.
func (d *demo) startWorker(ctx context.Context) error {
	d.worker = process{d.dir, "worker"}
	address := d.dir.path("worker.addr")
	if d.worker.pid() == 0 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		d.http = l.Addr().String()
		l.Close()
		if err := os.WriteFile(address, []byte(d.http), 0o644); err != nil {
			return err
		}
		if err := d.worker.start(append(slices.Clone(d.env), "ECRFERRY_HTTP_ADDR="+d.http)); err != nil {
			return err
		}
	} else {
		raw, err := os.ReadFile(address)
		if err != nil {
			return err
		}
		d.http = string(raw)
	}
	return d.worker.await(ctx, "being ready", 2*time.Minute, func() bool { return answers(ctx, "http://"+d.http+"/readyz") })
}

// enqueue runs the operator's command line, as an operator would.
func (d *demo) enqueue(ctx context.Context, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(filepath.Dir(self), "enqueue"), args...)
	cmd.Env = append(append(os.Environ(), d.env...), "ECRFERRY_LOG_LEVEL=WARN")
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if exit.ExitCode() == 4 { // a reconciliation that names something to do
			return string(out), nil
		}
		return "", fmt.Errorf("enqueue %s: %s", strings.Join(args, " "), strings.TrimSpace(string(exit.Stderr)))
	}
	return string(out), err
}

// status is what is read of enqueue status --json.
type status struct {
	Run struct {
		State   string `json:"state"`
		Message string `json:"message"`
	} `json:"run"`
	Projects []project `json:"projects"`
}

type project struct {
	Path   string   `json:"path"`
	State  string   `json:"state"`
	Step   string   `json:"step"`
	Reason string   `json:"reason"`
	Why    string   `json:"why"`
	Next   string   `json:"next"`
	Codes  []string `json:"finding_codes"`
	Images struct {
		Copied  int `json:"copied"`
		Present int `json:"present"`
		LeftOut int `json:"left_out"`
	} `json:"images"`
}

// settled says whether the project will not move without a human.
func (p project) settled() bool {
	switch p.State {
	case "queued", "running":
		return false
	case "waiting":
		return p.Reason == "production" || p.Reason == "merge-request"
	}
	return true
}

// patience is how long a demonstration may take; it needs about a minute.
const patience = 10 * time.Minute

// watch shows the progress until nothing moves any more. A worker that ends is
// started again, as whatever supervises a real one would.
func (d *demo) watch(ctx context.Context) (status, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	last := ""
	for {
		if d.worker.pid() == 0 {
			fmt.Println("the worker ended; starting another one, which takes over what it left")
			if err := d.startWorker(ctx); err != nil {
				return status{}, err
			}
		}
		s, err := d.status(ctx)
		if err != nil {
			return s, err
		}
		moving := 0
		for _, p := range s.Projects {
			if !p.settled() {
				moving++
			}
		}
		if line := progress(s); line != last {
			fmt.Println(line)
			last = line
		}
		switch {
		case s.Run.State == "failed":
			return s, fmt.Errorf("the run failed: %s", s.Run.Message)
		case s.Run.State == "enqueued" && moving == 0:
			return s, nil
		}
		select {
		case <-ctx.Done():
			return s, fmt.Errorf("the projects did not settle: %w; see %s", ctx.Err(), d.dir.path("worker.log"))
		case <-time.After(time.Second):
		}
	}
}

func (d *demo) status(ctx context.Context) (status, error) {
	var s status
	out, err := d.enqueue(ctx, "status", "--json")
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal([]byte(out), &s)
}

// progress is one line: how many projects are where.
func progress(s status) string {
	if s.Run.State != "enqueued" {
		return "  " + s.Run.State + ": " + s.Run.Message
	}
	counts := map[string]int{}
	copied := 0
	for _, p := range s.Projects {
		where := p.State
		if p.State == "running" || p.State == "queued" || (p.State == "waiting" && !p.settled()) {
			where = p.Step
		}
		counts[where]++
		copied += p.Images.Copied + p.Images.Present
	}
	var parts []string
	for _, where := range []string{"discover", "configure", "copy", "rewrite", "pipeline", "verify", "waiting", "done", "exceptions", "skipped", "attention", "failed", "cancelled", "none"} {
		if n := counts[where]; n > 0 {
			parts = append(parts, fmt.Sprintf("%s %d", where, n))
		}
	}
	return fmt.Sprintf("  %s | %d images in ECR", strings.Join(parts, ", "), copied)
}

func (d *demo) writes(ctx context.Context) (map[string]int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.world.Control+"/writes", nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var w map[string]int
	return w, json.NewDecoder(resp.Body).Decode(&w)
}

func answers(ctx context.Context, url string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
