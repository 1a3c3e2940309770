package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// reportOrdered is what reconcile prints with --json when it does not wait.
type reportOrdered struct {
	Report int64             `json:"report"` // its number, for enqueue report
	State  store.ReportState `json:"state"`
}

func reconcileCommand(env *environment) *cobra.Command {
	var (
		note         string
		projects     []string
		wait, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "reconcile",
		Short: "Have a worker look at what is really there, and report it",
		Long: `Orders a reconciliation now, beside the one by the schedule: the old registry,
ECR, GitLab and the cluster are compared with what should be. Nothing is written
to them, and nothing is pulled. A worker does the looking.

With --wait the report is shown when it is finished; without, its number is
printed, for enqueue report. Exit codes with --wait: 0 nothing is graver than a
note, 4 something is.`,
		Example: `  enqueue reconcile --wait
  enqueue reconcile --project kurs/skjema --project kurs/kart --wait
  enqueue reconcile --wait --json | jq .headline`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			paths := []string{}
			for _, path := range projects {
				p, err := s.project(cmd.Context(), strings.Trim(path, "/"), cmd)
				if err != nil {
					return err
				}
				if !slices.Contains(paths, p.Path) {
					paths = append(paths, p.Path)
				}
			}
			order, err := s.order(note, &policyFlags{})
			if err != nil {
				return err
			}
			r, err := s.enqueuer.Reconcile(cmd.Context(), order, paths)
			if err != nil {
				return err
			}
			if !wait {
				if asJSON {
					return printJSON(cmd.OutOrStdout(), reportOrdered{r.ID, r.State})
				}
				fmt.Fprintf(cmd.OutOrStdout(), "report %d is ordered; see enqueue report %d\n", r.ID, r.ID)
				return nil
			}
			if r, err = s.awaitReport(cmd.Context(), r.ID); err != nil {
				return err
			}
			model, err := modelOf(r)
			if err != nil {
				return err
			}
			format := "text"
			if asJSON {
				format = "json"
			}
			if err := reports.Reconciliation(cmd.OutOrStdout(), model, format); err != nil {
				return err
			}
			for _, subject := range model.Subjects {
				if v := subject.Severity(); v == reconcile.Loud || v == reconcile.Warning {
					return &coded{exitNeeded, errors.New("the report names something to do")}
				}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.StringSliceVar(&projects, "project", nil, "only these projects, given by commas or again")
	f.BoolVar(&wait, "wait", false, "wait for the report and show it")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// awaitReport waits until a worker has finished a report.
func (s *session) awaitReport(ctx context.Context, id int64) (store.Report, error) {
	tick := time.NewTicker(300 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := s.store.Report(ctx, id)
		switch {
		case err != nil:
			return r, err
		case r.State == store.ReportFailed:
			return r, fmt.Errorf("report %d could not be made: %s", id, r.Message)
		case r.State == store.ReportFinished:
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, fmt.Errorf("report %d is %s still: %w; a worker goes on with it, see enqueue report %d", id, r.State, ctx.Err(), id)
		case <-tick.C:
		}
	}
}

// modelOf reads a finished report.
func modelOf(r store.Report) (reconcile.Report, error) {
	var m reconcile.Report
	if err := json.Unmarshal(r.Model, &m); err != nil {
		return m, fmt.Errorf("report %d is not readable: %w", r.ID, err)
	}
	return m, nil
}

// sayReconciliation adds to the status what the latest report answers, and
// whether one is overdue; nothing where there are neither.
func (s *session) sayReconciliation(ctx context.Context, w io.Writer) error {
	r, err := s.store.LatestReport(ctx)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	if err == nil {
		fmt.Fprintf(w, "\nReport %d of %s: %s\n", r.ID, r.FinishedAt.UTC().Format(time.DateOnly), r.Message)
	}
	timing, err := jobs.Timing(ctx, s.store, s.config.ReconcileOverdue, time.Now())
	if timing.Overdue {
		fmt.Fprintf(w, "\nThe reconciliation that was due at %s UTC is overdue: is a worker running?\n", timing.Due.UTC().Format(time.DateTime))
	}
	return err
}
