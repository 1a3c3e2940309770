package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func cancelCommand(env *environment) *cobra.Command {
	var (
		note string
		sel  selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "cancel [PROJECT…]",
		Short: "End migrations that are under way; what they have written stays",
		Long: `Ends the active migration of each project that is named or selected. What it has
written stays; enqueue rollback takes that back, enqueue project goes on with it.
A project that is not under way is left alone (exit code 3 when none was).`,
		Example: `  enqueue cancel kurs/skjema --note "the owners asked for next week"
  enqueue cancel --wave 3 --state queued`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.forEach(cmd, args, &sel, note, &policyFlags{}, func(s *session, order jobs.Order, r store.Status) (string, error) {
				m, err := s.enqueuer.Cancel(cmd.Context(), order, store.Project{ID: r.ProjectID, Path: r.Path})
				if errors.Is(err, store.ErrNotFound) {
					err = &errNothingToDo{"is not under way"}
				}
				return fmt.Sprintf("is cancelled at step %s: migration %d", m.Step, m.ID), err
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for the event log")
	actFlags(cmd)
	sel.wide(cmd)
	return cmd
}
