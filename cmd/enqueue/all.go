package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
)

func allCommand(env *environment) *cobra.Command {
	var (
		note   string
		again  bool
		asJSON bool
		policy policyFlags
		sel    selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "all",
		Short: "Look at every GitLab project and migrate those that are not done",
		Long: `Orders a walk over every GitLab project and every repository of the old
registry. Each selected project that is not under way and not done is then
migrated. The walk is the worker's; this command returns at once.`,
		Example: `  enqueue all
  enqueue all --group kurs --limit 10 --note "canaries"
  enqueue all --exclude 'intern/**' --delivery merge-request
  enqueue all --again             # done ones, too: nothing changes where nothing has to`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			order, err := s.order(note, &policy)
			if err != nil {
				return err
			}
			run, err := s.enqueuer.All(cmd.Context(), order, jobs.RunSelection{Selection: sel.Selection, Again: again})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), map[string]any{"run": run.ID})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "run %d is queued; a worker lists the projects and enqueues them. See enqueue status.\n", run.ID)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.BoolVar(&again, "again", false, "take projects that are done, too")
	f.BoolVar(&asJSON, "json", false, "print JSON: {\"run\": id}")
	policy.add(cmd)
	sel.add(cmd)
	return cmd
}
