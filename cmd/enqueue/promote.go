package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func promoteCommand(env *environment) *cobra.Command {
	var (
		note string
		sel  selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "promote [PROJECT…]",
		Short: "Play the manual production job of projects that wait for it",
		Long: `Orders the manual production job of a project to be played whose staging is
proven. The worker plays it, and goes on to prove that production runs from ECR.
A project that does not wait for production is left alone (exit code 3 when none does).`,
		Example: `  enqueue promote kurs/skjema --note "agreed with the owners"
  enqueue promote --wave canary --exclude 'kurs/kritisk*'`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.forEach(cmd, args, &sel, note, &policyFlags{}, func(s *session, order jobs.Order, r store.Status) (string, error) {
				m, err := s.enqueuer.Promote(cmd.Context(), order, store.Project{ID: r.ProjectID, Path: r.Path})
				if errors.Is(err, jobs.ErrNotWaiting) {
					err = &errNothingToDo{"is not promoted: " + err.Error()}
				}
				return fmt.Sprintf("is promoted: the worker plays production of migration %d and proves it; see enqueue status %s", m.ID, r.Path), err
			})
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for the event log")
	actFlags(cmd)
	sel.wide(cmd)
	return cmd
}
