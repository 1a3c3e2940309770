package main

import (
	"errors"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func statusCommand(env *environment) *cobra.Command {
	var (
		asJSON, markdown, watch bool
		sel                     selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "status [PROJECT…]",
		Short: "Show how far the projects are, or the whole story of one",
		Long: `Without a project: a line a project with its latest migration, why it is there
and what comes next; then the causes of what failed. With one: its steps, images,
findings, evidence, every earlier attempt and the log.

--watch shows progress, throughput and the time left until nothing moves any more
without a human; on a terminal as bars that stay in place, elsewhere as a line
whenever something changed.`,
		Example: `  enqueue status
  enqueue status --state failed,attention
  enqueue status --wave canary
  enqueue status --group kurs --json
  enqueue status kurs/skjema
  enqueue status --watch --wave 2`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			out := cmd.OutOrStdout()
			chosen, err := s.selection(cmd, &sel, args)
			if err != nil {
				return err
			}
			if watch {
				return s.watch(cmd, chosen)
			}
			if len(args) == 1 && !sel.any() {
				story, err := reports.GatherStory(cmd.Context(), s.store, args[0])
				switch {
				case errors.Is(err, store.ErrNotFound):
					return unknownProjects(args)
				case err != nil:
					return err
				case asJSON:
					return story.JSON(out)
				case markdown:
					return story.Markdown(out)
				}
				return story.Text(out)
			}
			report, err := reports.Gather(cmd.Context(), s.store, chosen)
			switch {
			case err != nil:
				return err
			case asJSON:
				return report.JSON(out)
			case markdown:
				return report.Markdown(out)
			}
			if err := report.Text(out); err != nil {
				return err
			}
			return s.sayReconciliation(cmd.Context(), out)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&asJSON, "json", false, "print JSON; docs/cli.md documents it")
	f.BoolVar(&markdown, "markdown", false, "print Markdown")
	f.BoolVarP(&watch, "watch", "w", false, "go on showing until nothing moves any more")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown", "watch")
	sel.wide(cmd)
	return cmd
}
