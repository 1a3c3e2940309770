package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// load reads the configuration and checks what a worker needs, so that all
// problems come at once.
func load(getenv func(string) string) (config.Config, error) {
	c, err := config.Load(getenv)
	need := []config.Part{config.Database, config.GitLab, config.OldRegistry, config.ECR, config.Web}
	if c.Configure == config.ConfigureConsole {
		need = append(need, config.Console)
	}
	return c, errors.Join(err, config.Typos(os.Environ()), c.Need(need...))
}

func open(ctx context.Context, c config.Config, log *slog.Logger) (*postgres.DB, error) {
	return assembly.Database(ctx, c, "worker", log)
}

// serve works until ctx ends, then stops in good order.
func serve(ctx context.Context, c config.Config, log *slog.Logger) (err error) {
	log = jobs.WithRequests(log)
	log.InfoContext(ctx, "starting", "config", c)
	db, err := open(ctx, c, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	st := store.New(db.Pool)

	m := metrics.New(func() (map[string]float64, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		rows, err := st.Progress(ctx)
		counts := map[string]float64{}
		for _, r := range rows {
			counts[string(r.State)] = float64(r.Projects)
		}
		return counts, err
	})
	m.Queues(func() ([]metrics.Depth, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		rows, err := st.QueueDepths(ctx)
		var depths []metrics.Depth
		for _, r := range rows {
			depths = append(depths, metrics.Depth(r))
		}
		return depths, err
	})
	clients, settings, err := assembly.Clients(ctx, c, st, log, m)
	if err != nil {
		return err
	}
	m.Reconciliation(func() (metrics.Reconciliation, error) {
		return figures(st, c.ReconcileOverdue, settings.Reports.Schedule)
	})
	crew, err := jobs.New(jobs.Options{
		Pool: db.Pool, Clients: clients, Settings: settings,
		Workers: c.Workers, CopyWorkers: c.CopyWorkers, Poll: c.Poll, PollMax: c.PollMax, Log: log,
		Observe: func(step store.StepName, outcome store.Outcome, d time.Duration) {
			m.Step(string(step), string(outcome), d)
		},
		Retried: func(step store.StepName, reason string) { m.Retried(string(step), reason) },
		Waited:  m.Waited,
	})
	if err != nil {
		return err
	}

	site, err := pages(ctx, c, st, crew, log)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", c.HTTPAddr)
	if err != nil {
		return fmt.Errorf("listening for HTTP: %w; choose another ECRFERRY_HTTP_ADDR", err)
	}
	web := &http.Server{Handler: routes(st, m, site, c.ReconcileOverdue), ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() {
		if err := web.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			failed <- err
		}
	}()
	defer web.Close()

	if err := crew.Start(ctx); err != nil {
		return err
	}
	log.InfoContext(ctx, "working", "worker", crew.Name, "http", listener.Addr().String())
	select {
	case <-ctx.Done():
		log.Info("stopping: running steps may end, then they are given back")
	case err = <-failed:
	}
	stopCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 30*time.Second)
	defer cancel()
	err = errors.Join(err, crew.Stop(stopCtx))
	log.Info("stopped")
	return err
}
