package jobs_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// bench is a world of stand-ins, a database, and what puts work in.
type bench struct {
	*testing.T
	world    *sandbox.World
	pool     *pgxpool.Pool
	store    *store.Store
	enqueuer *jobs.Enqueuer
	config   config.Config
	log      *slog.Logger
	meters   *metrics.Metrics
}

// newBench starts a world with the given samples, all of them if none is named.
func newBench(t *testing.T, names ...string) *bench {
	t.Helper()
	w, err := sandbox.Start(sandbox.Options{Log: testLog(t, slog.LevelWarn)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Close() })
	all, err := samples.All()
	if err != nil {
		t.Fatal(err)
	}
	var chosen []samples.Sample
	for _, s := range all {
		if len(names) == 0 || contains(names, s.Name) {
			chosen = append(chosen, s)
		}
	}
	if len(names) > 0 && len(chosen) != len(names) {
		t.Fatalf("of the samples %v there are only %d", names, len(chosen))
	}
	if err := w.Seed(t.Context(), chosen); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(kubeconfig, w.PaaS.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	env := w.Env(kubeconfig)
	for k, v := range map[string]string{
		"ECRFERRY_POLL": "50ms", "ECRFERRY_POLL_MAX": "300ms", "ECRFERRY_PIPELINE_APPEARS": "5s", "HOME": t.TempDir(),
	} {
		env[k] = v
	}
	c, err := config.Load(func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	b := &bench{T: t, world: w, pool: postgrestest.New(t), config: c, log: testLog(t, slog.LevelInfo), meters: metrics.New(nil)}
	b.store = store.New(b.pool)
	inserter, err := jobs.NewInserter(b.pool, b.log)
	if err != nil {
		t.Fatal(err)
	}
	b.enqueuer = &jobs.Enqueuer{Store: b.store, River: inserter}
	return b
}

// clients makes the rooms around the world's systems.
func (b *bench) clients() (jobs.Clients, jobs.Settings) {
	b.Helper()
	id, secret := b.world.ECR.WorkerKey()
	clients, settings, err := assembly.ClientsOf(b.Context(), b.config, ecr.Options{
		Endpoint: b.world.ECR.URL, Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	}, b.store, b.log, b.meters)
	if err != nil {
		b.Fatal(err)
	}
	return clients, settings
}

// start sets a crew to work until the test ends or stop is called.
func (b *bench) start(change func(*jobs.Options)) (stop func()) {
	b.Helper()
	clients, settings := b.clients()
	o := jobs.Options{
		Pool: b.pool, Clients: clients, Settings: settings, Workers: 8, CopyWorkers: 2,
		Poll: b.config.Poll, PollMax: b.config.PollMax, Pause: 100 * time.Millisecond, Lease: 5 * time.Second, Log: b.log,
	}
	b.metered(&o)
	if change != nil {
		change(&o)
	}
	crew, err := jobs.New(o)
	if err != nil {
		b.Fatal(err)
	}
	if err := crew.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := crew.Stop(ctx); err != nil {
			b.Errorf("stopping the crew: %v", err)
		}
	}
	b.Cleanup(stop)
	return stop
}

func (b *bench) order() jobs.Order {
	return jobs.Order{Actor: "tester", Policy: assembly.Policy(b.config)}
}

// all enqueues every project and waits until nothing moves.
func (b *bench) all(again bool) []store.Status {
	b.Helper()
	run, err := b.enqueuer.All(b.Context(), b.order(), jobs.RunSelection{Again: again})
	if err != nil {
		b.Fatal(err)
	}
	b.await("the run to be enqueued", 3*time.Minute, func() (bool, string) {
		r, err := b.store.Run(b.Context(), run.ID)
		if err != nil {
			b.Fatal(err)
		}
		if r.State == store.RunFailed {
			b.Fatalf("the run failed: %s", r.Message)
		}
		return r.State == store.RunEnqueued, r.Message
	})
	return b.settle()
}

// settle waits until no project moves without a human.
func (b *bench) settle() []store.Status {
	b.Helper()
	var rows []store.Status
	b.await("the projects to settle", 3*time.Minute, func() (bool, string) {
		var err error
		if rows, err = b.store.Status(b.Context(), store.StatusFilter{}); err != nil {
			b.Fatal(err)
		}
		var moving []string
		for _, r := range rows {
			if !settled(r) {
				moving = append(moving, fmt.Sprintf("%s %s at %s: %s", r.Path, r.State, r.Step, r.Why))
			}
		}
		return len(moving) == 0, strings.Join(moving, "\n")
	})
	return rows
}

func settled(r store.Status) bool {
	switch r.State {
	case store.StateQueued, store.StateRunning:
		return false
	case store.StateWaiting:
		return r.Reason == "production" || r.Reason == "merge-request"
	}
	return true
}

// one waits until a project has settled, and returns it.
func (b *bench) one(path string) store.Status {
	b.Helper()
	for _, r := range b.settle() {
		if r.Path == path {
			return r
		}
	}
	b.Fatalf("no project %s", path)
	return store.Status{}
}

func (b *bench) await(what string, patience time.Duration, ok func() (bool, string)) {
	b.Helper()
	end := time.Now().Add(patience)
	for {
		done, said := ok()
		if done {
			return
		}
		if time.Now().After(end) {
			b.Fatalf("waited %v for %s:\n%s", patience, what, said)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// project returns a project's row.
func (b *bench) project(path string) store.Project {
	b.Helper()
	p, err := b.store.Project(b.Context(), path)
	if err != nil {
		b.Fatal(err)
	}
	return p
}

func contains(list []string, s string) bool {
	for _, x := range list {
		if x == s {
			return true
		}
	}
	return false
}

func testLog(t *testing.T, level slog.Level) *slog.Logger {
	return slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: level}))
}
