package main

import (
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func failedCommand(env *environment) *cobra.Command {
	var (
		note, from, group string
		reasons           []string
		limit             int
		dryRun, asJSON    bool
		policy            policyFlags
	)
	cmd := &cobra.Command{
		Use:   "failed",
		Short: "Enqueue again what failed or needed attention",
		Long: `Enqueues the projects whose latest migration failed or needs attention, each
from the step where it stopped. Choose by reason: enqueue status lists them.`,
		Example: `  enqueue failed --dry-run
  enqueue failed --reason gitlab-unavailable --reason ecr-throttled
  enqueue failed --reason update-configuration --from configure`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			step, err := startAt(from)
			if err != nil {
				return err
			}
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			order, err := s.order(note, &policy)
			if err != nil {
				return err
			}
			rows, err := s.store.Status(cmd.Context(), store.StatusFilter{
				States: []store.State{store.StateFailed, store.StateAttention}, Group: group,
			})
			if err != nil {
				return err
			}
			out := []enqueued{}
			for _, r := range rows {
				if len(reasons) > 0 && !slices.Contains(reasons, r.Reason) {
					continue
				}
				if limit > 0 && len(out) == limit {
					break
				}
				row := enqueued{Project: r.Path, Migration: r.MigrationID, Attempt: r.Attempt, Step: r.Step, State: r.State}
				if !dryRun {
					m, err := s.enqueuer.Failed(cmd.Context(), order, store.Project{ID: r.ProjectID, Path: r.Path}, step)
					if active, ok := errors.AsType[*store.ActiveError](err); ok {
						m, err = active.Migration, nil // somebody else was quicker
					} else {
						row.Enqueued = err == nil
					}
					if err != nil {
						return err
					}
					row.Migration, row.Attempt, row.Step, row.State = m.ID, m.Attempt, m.Step, m.State
				}
				out = append(out, row)
				if !asJSON {
					verb := "is enqueued from step"
					if dryRun {
						verb = "would be enqueued from step"
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
				return &coded{exitNothing, errors.New("no project failed or needs attention for that reason; see enqueue status")}
			}
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.StringVar(&from, "from", "", "start at this step instead of the one that failed")
	f.StringVar(&group, "group", "", "only projects of this group and its subgroups")
	f.StringSliceVar(&reasons, "reason", nil, "only these reasons")
	f.IntVar(&limit, "limit", 0, "so many projects at most")
	f.BoolVar(&dryRun, "dry-run", false, "only show which")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	policy.add(cmd)
	return cmd
}
