package main

import (
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func statusCommand(env *environment) *cobra.Command {
	var (
		filter           store.StatusFilter
		states           []string
		asJSON, markdown bool
	)
	cmd := &cobra.Command{
		Use:   "status [PATH]",
		Short: "Show how far the projects are, or the whole story of one",
		Long: `Without a path: a line a project with its latest migration, why it is there and
what comes next; then the causes of what failed. With a path: the project's
steps, images, findings, evidence and events.`,
		Example: `  enqueue status
  enqueue status --state failed,attention
  enqueue status --group kurs --json
  enqueue status kurs/skjema`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			for _, st := range states {
				if !known(store.State(st)) {
					return &coded{exitUsage, fmt.Errorf("--state %s: choose of %s", st, strings.Join(names(allStates), ", "))}
				}
				filter.States = append(filter.States, store.State(st))
			}
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			out := cmd.OutOrStdout()
			if len(args) == 1 {
				story, err := reports.GatherStory(cmd.Context(), s.store, args[0])
				switch {
				case errors.Is(err, store.ErrNotFound):
					return fmt.Errorf("project %s is not known; see enqueue status, or put it in with enqueue project", args[0])
				case err != nil:
					return err
				case asJSON:
					return story.JSON(out)
				case markdown:
					return story.Markdown(out)
				}
				return story.Text(out)
			}
			report, err := reports.Gather(cmd.Context(), s.store, filter)
			switch {
			case err != nil:
				return err
			case asJSON:
				return report.JSON(out)
			case markdown:
				return report.Markdown(out)
			}
			return report.Text(out)
		},
	}
	f := cmd.Flags()
	f.StringSliceVar(&states, "state", nil, "only these states")
	f.StringVar(&filter.Group, "group", "", "only projects of this group and its subgroups")
	f.IntVar(&filter.Limit, "limit", 0, "so many projects at most")
	f.BoolVar(&asJSON, "json", false, "print JSON; package reports documents it")
	f.BoolVar(&markdown, "markdown", false, "print Markdown")
	cmd.MarkFlagsMutuallyExclusive("json", "markdown")
	return cmd
}

var allStates = []store.State{
	store.StateNone, store.StateQueued, store.StateRunning, store.StateWaiting, store.StateDone, store.StateExceptions,
	store.StateSkipped, store.StateAttention, store.StateFailed, store.StateCancelled,
}

func known(s store.State) bool {
	for _, k := range allStates {
		if k == s {
			return true
		}
	}
	return false
}

func names(states []store.State) []string {
	var out []string
	for _, s := range states {
		out = append(out, string(s))
	}
	return out
}
