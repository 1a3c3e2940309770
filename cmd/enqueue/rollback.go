package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func rollbackCommand(env *environment) *cobra.Command {
	var (
		note   string
		dryRun bool
		policy policyFlags
		sel    selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "rollback [PROJECT…]",
		Short: "Take back what the migration wrote to projects",
		Long: `Orders the way back: the CI/CD variables become what they were, the files get
back what they held before (by commit or merge request from the present head),
a pipeline runs, and the project is proven to run from the old registry again.
Where others changed the same lines since, nothing is written and the project
needs attention. Name projects, or choose them: those of a run, a wave, a group.`,
		Example: `  enqueue rollback kurs/skjema --note "login fails since the migration"
  enqueue rollback --run 7 --dry-run
  enqueue rollback --wave 2 --cause unproven`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return env.forEach(cmd, args, &sel, note, &policy, func(s *session, order jobs.Order, r store.Status) (string, error) {
				switch written, err := s.store.Written(cmd.Context(), r.ProjectID); {
				case err != nil:
					return "", err
				case !written:
					return "", &errNothingToDo{jobs.ErrNothingWritten.Error()}
				case dryRun:
					return fmt.Sprintf("would be rolled back (%s at %s)", r.State, r.Step), nil
				}
				m, err := s.enqueuer.Rollback(cmd.Context(), order, store.Project{ID: r.ProjectID, Path: r.Path})
				if active, ok := errors.AsType[*store.ActiveError](err); ok {
					where, err := s.where(cmd.Context(), active.Migration)
					if err != nil {
						return "", err
					}
					return "", &errNothingToDo{fmt.Sprintf("is under way: migration %d, %s; cancel it first", active.Migration.ID, where)}
				}
				if errors.Is(err, jobs.ErrNothingWritten) {
					err = &errNothingToDo{err.Error()}
				}
				return fmt.Sprintf("is being rolled back: migration %d, attempt %d", m.ID, m.Attempt), err
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.BoolVar(&dryRun, "dry-run", false, "only say which projects these are")
	actFlags(cmd)
	policy.way(cmd)
	sel.wide(cmd)
	return cmd
}
