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
		note, group string
		run         int64
		dryRun      bool
		policy      policyFlags
	)
	cmd := &cobra.Command{
		Use:   "rollback [PATH]",
		Short: "Take back what the migration wrote to a project",
		Long: `Orders the way back: the CI/CD variables become what they were, the files get
back what they held before (by commit or merge request from the present head),
a pipeline runs, and the project is proven to run from the old registry again.
Where others changed the same lines since, nothing is written and the project
needs attention. Choose one project, or all of a run or group.`,
		Example: `  enqueue rollback kurs/skjema --note "login fails since the migration"
  enqueue rollback --run 7 --dry-run
  enqueue rollback --group kurs`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) == 1 == (run != 0 || group != "") {
				return &coded{exitUsage, errors.New("name one project, or choose projects by --run or --group")}
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
			rows, err := s.store.Status(cmd.Context(), store.StatusFilter{Paths: args, Group: group, RunID: run})
			if err != nil {
				return err
			}
			if len(args) == 1 && len(rows) == 0 {
				return fmt.Errorf("project %s is not known; see enqueue status", args[0])
			}
			return rollBack(cmd, s, order, rows, dryRun)
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.StringVar(&group, "group", "", "all projects of this group and its subgroups")
	f.Int64Var(&run, "run", 0, "all projects whose latest migration came from this run")
	f.BoolVar(&dryRun, "dry-run", false, "only say which projects these are")
	policy.add(cmd)
	return cmd
}

// rollBack orders the rollback of each project and says what came of it. That
// there was nothing to do for any of them is exit code 3.
func rollBack(cmd *cobra.Command, s *session, order jobs.Order, rows []store.Status, dryRun bool) error {
	ordered := 0
	for _, r := range rows {
		if r.MigrationID == 0 {
			continue
		}
		if dryRun {
			fmt.Fprintf(cmd.OutOrStdout(), "%s (%s at %s)\n", r.Path, r.State, r.Step)
			ordered++
			continue
		}
		p, err := s.store.ProjectByID(cmd.Context(), r.ProjectID)
		if err != nil {
			return err
		}
		m, err := s.enqueuer.Rollback(cmd.Context(), order, p)
		if active, ok := errors.AsType[*store.ActiveError](err); ok {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s is under way: migration %d is %s at step %s; cancel it first\n", p.Path, active.Migration.ID, active.Migration.State, active.Migration.Step)
			continue
		}
		if errors.Is(err, jobs.ErrNothingWritten) {
			fmt.Fprintf(cmd.ErrOrStderr(), "%s: %v\n", p.Path, err)
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", p.Path, err)
		}
		ordered++
		fmt.Fprintf(cmd.OutOrStdout(), "%s is being rolled back: migration %d, attempt %d\n", p.Path, m.ID, m.Attempt)
	}
	if ordered == 0 {
		return &coded{exitNothing, errors.New("there was nothing to roll back")}
	}
	return nil
}
