package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// ordered is what all prints with --json.
type ordered struct {
	Run    int64        `json:"run"`
	Wave   string       `json:"wave"`
	Budget store.Budget `json:"budget"`
	// Paused says that the intake is paused: the projects will wait.
	Paused bool `json:"paused"`
}

func allCommand(env *environment) *cobra.Command {
	var (
		note, wave  string
		again       bool
		asJSON      bool
		share, most int
		policy      policyFlags
		sel         selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "all",
		Short: "Look at every GitLab project and migrate those that are not done",
		Long: `Orders a walk over every GitLab project and every repository of the old
registry. Each selected project that is not under way and not done is then
migrated. The walk is the worker's; this command returns at once.

Begin with a small wave. --wave gives the order a name, by which status, failed,
rollback and the others choose its projects; --limit says how many projects it
takes, those not counted that are done or under way already. When more of them
fail than the budget allows, or one by a cause that nobody has seen, the intake
pauses: projects that have not begun wait until enqueue resume --all.`,
		Example: `  enqueue all --wave canary --limit 10 --failure-count 1
  enqueue all --wave 2 --limit 100 --failure-share 5
  enqueue all --from-file wave3.csv --wave 3
  enqueue all --exclude 'intern/**' --topic java --delivery merge-request
  enqueue all
  enqueue all --again             # done ones, too: nothing changes where nothing has to`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, order, err := env.openOrder(cmd, note, &policy)
			if err != nil {
				return err
			}
			defer s.close()
			chosen, err := s.selectionAnywhere(cmd, &sel, nil)
			if err != nil {
				return err
			}
			budget := store.Budget{Share: float64(s.config.FailureShare) / 100, Count: s.config.FailureCount, Least: s.config.FailureLeast}
			if cmd.Flags().Changed("failure-share") {
				budget.Share = float64(share) / 100
			}
			if cmd.Flags().Changed("failure-count") {
				budget.Count = most
			}
			if budget.Share < 0 || budget.Share > 1 || budget.Count < 0 {
				return &coded{exitUsage, errors.New("--failure-share is per cent, from 0 to 100; --failure-count a number of projects; 0 is no bound")}
			}
			intake, err := s.store.Intake(cmd.Context())
			if err != nil {
				return err
			}
			run, err := s.enqueuer.All(cmd.Context(), order, jobs.RunSelection{Selection: chosen, Again: again, Wave: wave, Budget: budget})
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), ordered{Run: run.ID, Wave: run.Wave, Budget: run.Budget, Paused: intake.Paused && !order.Policy.Now})
			}
			fmt.Fprintf(cmd.OutOrStdout(), "run %d is queued; a worker lists the projects and enqueues them. See enqueue status --watch.\n", run.ID)
			s.warnPaused(cmd, intake, order)
			return nil
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.StringVar(&wave, "wave", "", "the name of this wave, such as canary or 2")
	f.IntVar(&share, "failure-share", 0, "per cent of its ended projects that may fail before the intake pauses (default from ECRFERRY_FAILURE_SHARE)")
	f.IntVar(&most, "failure-count", 0, "at how many failed projects the intake pauses (default from ECRFERRY_FAILURE_COUNT)")
	f.BoolVar(&again, "again", false, "take projects that are done, too")
	jsonFlag(cmd, &asJSON)
	policy.add(cmd)
	policy.begin(cmd)
	sel.add(cmd)
	return cmd
}

// warnPaused says that what was put in will wait.
func (s *session) warnPaused(cmd *cobra.Command, i store.Intake, o jobs.Order) {
	if i.Paused && !o.Policy.Now {
		fmt.Fprintf(cmd.ErrOrStderr(), "note: the intake is paused (%s); what has not begun waits until enqueue resume --all\n", i.Message)
	}
}
