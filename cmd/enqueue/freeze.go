package main

import (
	"errors"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func freezeCommand(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "freeze",
		Short: "Keep projects from beginning: the freeze list",
		Long: `Keeps the freeze list that all workers respect, beside the file that their
configuration names (ECRFERRY_FREEZES). A project on it does not begin; one that
is under way goes on. enqueue project --now begins all the same.

A pattern is a path with * for anything within one of its parts and ** for
groups too.`,
		Example: `  enqueue freeze add 'kurs/**' --until 2027-01-11 --note exams
  enqueue freeze list
  enqueue freeze remove 'kurs/**'`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(freezeAddCommand(env), freezeListCommand(env), freezeRemoveCommand(env))
	return cmd
}

// freezeList is what freeze list prints as JSON.
type freezeList struct {
	Freezes []store.Freeze `json:"freezes"`
}

func freezeAddCommand(env *environment) *cobra.Command {
	var note, until string
	cmd := &cobra.Command{
		Use:   "add PATTERN…",
		Short: "Put projects on the freeze list",
		Long: `Puts the projects whose path matches on the freeze list, until a time or until
somebody takes them off. A pattern that stands there already is replaced. --note
says why, for whoever finds a project frozen, and is required.`,
		Example: `  enqueue freeze add 'kurs/**' --until 2027-01-11 --note exams
  enqueue freeze add hr/lonn --note "its owners move it by themselves"`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			end, err := untilFlag(until)
			if err != nil {
				return err
			}
			if end != nil && end.Before(time.Now()) {
				return &coded{exitUsage, fmt.Errorf("--until %s has passed already", until)}
			}
			s, order, err := env.openOrder(cmd, note, &policyFlags{})
			if err != nil {
				return err
			}
			defer s.close()
			told := newActs(cmd)
			for _, pattern := range args {
				before, err := s.enqueuer.Freeze(cmd.Context(), order, pattern, end)
				if errors.Is(err, jobs.ErrWhyWanted) {
					return &coded{exitUsage, fmt.Errorf("%w: write it with --note", err)}
				}
				if err != nil {
					return err
				}
				said := "is on the freeze list"
				if before != nil {
					said += ", in the place of " + before.Actor + "'s: " + before.Note
				}
				told.tell(pattern, true, printable(said))
			}
			return told.end()
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why; required")
	actFlags(cmd)
	f.StringVar(&until, "until", "", "when it ends by itself: a date such as 2027-01-11, or a time such as 2027-01-11T08:00:00Z")
	return cmd
}

func freezeListCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Show the freeze list",
		Long: `Shows what stands on the freeze list in the database: patterns, since when and
until when, by whom and why. What the configuration of the workers adds
(ECRFERRY_FREEZES) is not among it.`,
		Example: "  enqueue freeze list --json",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			list := freezeList{Freezes: []store.Freeze{}}
			rows, err := s.store.Freezes(cmd.Context())
			if err != nil {
				return err
			}
			list.Freezes = append(list.Freezes, rows...)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), list)
			}
			if len(rows) == 0 {
				fmt.Fprintln(cmd.OutOrStdout(), "nothing is on the freeze list")
				return nil
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "PATTERN\tUNTIL\tBY\tSINCE\tWHY")
			for _, f := range rows {
				until := "taken off"
				if f.Until != nil {
					until = f.Until.UTC().Format(time.DateTime)
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", printable(f.Pattern), until, printable(f.Actor), f.Since.UTC().Format(time.DateTime), printable(f.Note))
			}
			return w.Flush()
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func freezeRemoveCommand(env *environment) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:   "remove PATTERN…",
		Short: "Take projects off the freeze list",
		Long: `Takes patterns off the freeze list, as they stand there: the projects that they
kept begin at once. Exit code 3 when none of them stood there.`,
		Example: "  enqueue freeze remove 'kurs/**' --note \"the exams are over\"",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, order, err := env.openOrder(cmd, note, &policyFlags{})
			if err != nil {
				return err
			}
			defer s.close()
			told := newActs(cmd)
			for _, pattern := range args {
				err := s.enqueuer.Thaw(cmd.Context(), order, pattern)
				if errors.Is(err, jobs.ErrNotFrozen) {
					told.tell(pattern, false, err.Error())
					continue
				}
				if err != nil {
					return err
				}
				told.tell(pattern, true, "is off the freeze list")
			}
			if err := told.end(); err != nil {
				return err
			}
			if told.done == 0 {
				return &coded{exitNothing, errors.New("nothing was taken off; see enqueue freeze list")}
			}
			return nil
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for the event log")
	actFlags(cmd)
	return cmd
}
