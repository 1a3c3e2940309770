package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// stopped are the states from which a project can be put in again.
var stopped = []store.State{store.StateFailed, store.StateAttention, store.StateCancelled}

func failedCommand(env *environment) *cobra.Command {
	var (
		note           string
		start          startFlags
		dryRun, asJSON bool
		policy         policyFlags
		sel            selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "failed [PROJECT…]",
		Short: "Enqueue again what failed or needed attention",
		Long: `Enqueues the projects whose latest migration failed or needs attention, each
from the step where it stopped. Choose by cause: enqueue status lists them.`,
		Example: `  enqueue failed --dry-run
  enqueue failed --cause ecr-throttled
  enqueue failed --cause gitlab-unavailable --wave 2 --from copy
  enqueue failed --state cancelled --group kurs --fresh`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			step, err := start.step()
			if err != nil {
				return err
			}
			s, order, err := env.openOrder(cmd, note, &policy)
			if err != nil {
				return err
			}
			defer s.close()
			chosen, err := s.selection(cmd, &sel, args)
			if err != nil {
				return err
			}
			if len(chosen.States) == 0 {
				chosen.States = stopped[:2]
			}
			for _, st := range chosen.States {
				if !slices.Contains(stopped, st) {
					return &coded{exitUsage, fmt.Errorf("--state %s: only what ended in %v can be enqueued again; for others see enqueue all", st, names(stopped))}
				}
			}
			rows, err := s.store.Status(cmd.Context(), chosen)
			if err != nil {
				return err
			}
			out := []enqueued{}
			for _, r := range rows {
				row := enqueued{Project: r.Path, Migration: r.MigrationID, Attempt: r.Attempt, Step: r.Step, State: r.State, Cause: r.Reason}
				if dryRun {
					if step != "" {
						row.Step = step
					}
				} else {
					m, err := s.enqueuer.Failed(cmd.Context(), order, store.Project{ID: r.ProjectID, Path: r.Path}, step)
					if active, ok := errors.AsType[*store.ActiveError](err); ok {
						m, err = active.Migration, nil // somebody else was quicker
					} else {
						row.Enqueued = err == nil
					}
					if err != nil {
						return fmt.Errorf("%s: %w", r.Path, err)
					}
					row.Migration, row.Attempt, row.Step, row.State = m.ID, m.Attempt, m.Step, m.State
				}
				out = append(out, row)
				if !asJSON {
					verb := "is enqueued from step"
					switch {
					case dryRun:
						verb = "would be enqueued from step"
					case !row.Enqueued:
						verb = "is under way already, at step"
					}
					fmt.Fprintf(cmd.OutOrStdout(), "%s %s %s (%s)\n", r.Path, verb, row.Step, r.Reason)
				}
			}
			if asJSON {
				if err := printJSON(cmd.OutOrStdout(), out); err != nil {
					return err
				}
			}
			if len(out) == 0 {
				return &coded{exitNothing, errors.New("no project that is selected failed or needs attention; see enqueue status")}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.BoolVar(&dryRun, "dry-run", false, "only show which")
	jsonFlag(cmd, &asJSON)
	start.add(cmd)
	policy.add(cmd)
	policy.begin(cmd)
	sel.wide(cmd)
	return cmd
}
