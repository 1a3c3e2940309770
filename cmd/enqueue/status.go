package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func statusCommand(env *environment) *cobra.Command {
	var (
		asJSON, markdown, watch bool
		attempts                string
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
whenever something changed. Bytes on their way are those of copies that run: they
count as there when their image is whole.

--attempts sets two attempts at one project side by side: their steps, causes and
times, and which findings, images and answers differ; the latest two, or those
whose numbers are given.`,
		Example: `  enqueue status
  enqueue status --state failed,attention
  enqueue status --wave canary
  enqueue status --group kurs --json
  enqueue status kurs/skjema
  enqueue status kurs/skjema --attempts
  enqueue status kurs/skjema --attempts=1,3 --json
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
			if attempts != "" {
				if len(args) != 1 || sel.any() {
					return &coded{exitUsage, errors.New("--attempts compares the attempts at one project: enqueue status PROJECT --attempts")}
				}
				c, err := s.compare(cmd, args[0], attempts)
				switch {
				case err != nil:
					return err
				case asJSON:
					return c.JSON(out)
				case markdown:
					return c.Markdown(out)
				}
				return c.Text(out)
			}
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
	jsonFlag(cmd, &asJSON)
	f.BoolVar(&markdown, "markdown", false, "print Markdown")
	f.BoolVarP(&watch, "watch", "w", false, "go on showing until nothing moves any more")
	f.StringVar(&attempts, "attempts", "", "compare two attempts at the project: the latest two, or those numbered N,M")
	f.Lookup("attempts").NoOptDefVal = latestTwo
	cmd.MarkFlagsMutuallyExclusive("json", "markdown", "watch")
	cmd.MarkFlagsMutuallyExclusive("attempts", "watch")
	sel.wide(cmd)
	return cmd
}

// latestTwo is what --attempts means without numbers.
const latestTwo = "latest"

// compare compares two attempts at a project, "latest" or "N,M".
func (s *session) compare(cmd *cobra.Command, path, which string) (reports.Comparison, error) {
	before, after := 0, 0
	if which != latestTwo {
		one, other, ok := strings.Cut(which, ",")
		var err1, err2 error
		before, err1 = strconv.Atoi(one)
		after, err2 = strconv.Atoi(other)
		if !ok || err1 != nil || err2 != nil || before < 1 || after < 1 {
			return reports.Comparison{}, &coded{exitUsage, fmt.Errorf("--attempts=%s: it takes two numbers of attempts, as in --attempts=1,2", which)}
		}
	}
	c, err := reports.GatherComparison(cmd.Context(), s.store, path, before, after)
	if errors.Is(err, store.ErrNotFound) {
		return c, unknownProjects([]string{path})
	}
	if _, ok := errors.AsType[*reports.OneAttemptError](err); ok {
		return c, &coded{exitNothing, err}
	}
	return c, err
}
