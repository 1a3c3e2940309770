package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
)

func promoteCommand(env *environment) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:   "promote PATH",
		Short: "Play the manual production job of a project that waits for it",
		Long: `Orders the manual production job of a project to be played whose staging is
proven. The worker plays it, and goes on to prove that production runs from ECR.
A project that does not wait for production is left alone (exit code 3).`,
		Example: `  enqueue promote kurs/skjema --note "agreed with the owners"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			p, err := s.known(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			order, err := s.order(note, &policyFlags{})
			if err != nil {
				return err
			}
			m, err := s.enqueuer.Promote(cmd.Context(), order, p)
			if errors.Is(err, jobs.ErrNotWaiting) {
				return &coded{exitNothing, fmt.Errorf("%s is not promoted: %w", p.Path, err)}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: the worker plays production of migration %d and proves it; see enqueue status %s\n", p.Path, m.ID, p.Path)
			return nil
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for the event log")
	return cmd
}
