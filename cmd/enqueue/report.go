package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func reportCommand(env *environment) *cobra.Command {
	var format, out, group string
	cmd := &cobra.Command{
		Use:   "report [ID|latest]",
		Short: "Show a reconciliation report, list them, compare two, or print the ledger",
		Long: `Shows a report that a worker has made, by its number or the latest one on all
projects. The answer to its question comes first: can the old registry be
switched off?

The formats are text (for the terminal), html (one page that needs nothing
else), md, csv (a row a finding) and json.`,
		Example: `  enqueue report
  enqueue report latest --format html --out report.html
  enqueue report 12 --group kurs --format md     # what concerns the group's owners
  enqueue report list
  enqueue report diff 11 12
  enqueue report ledger --format csv --out ledger.csv`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := oneOf("format", format, append(slices.Clone(reports.Formats), "text")...); err != nil {
				return err
			}
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			which := "latest"
			if len(args) == 1 {
				which = args[0]
			}
			model, err := s.reconciliation(cmd, which)
			if err != nil {
				return err
			}
			if group != "" {
				model = reports.Excerpt(model, strings.Trim(group, "/"))
			}
			return output(cmd, out, func(w io.Writer) error { return reports.Reconciliation(w, model, format) })
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "text", "text, html, md, csv or json")
	f.StringVar(&out, "out", "", "write to this file instead")
	f.StringVar(&group, "group", "", "only what concerns the projects of this group")
	for _, sub := range []*cobra.Command{reportListCommand(env), reportDiffCommand(env), reportLedgerCommand(env)} {
		cmd.AddCommand(sub)
	}
	return cmd
}

// reconciliation finds a finished report by its number, or the latest.
func (s *session) reconciliation(cmd *cobra.Command, which string) (reconcile.Report, error) {
	ctx := cmd.Context()
	var r store.Report
	var err error
	if which == "latest" {
		r, err = s.store.LatestReport(ctx)
		if errors.Is(err, store.ErrNotFound) {
			return reconcile.Report{}, &coded{exitNothing, errors.New("there is no finished report yet; order one with enqueue reconcile")}
		}
	} else {
		id, parseErr := strconv.ParseInt(which, 10, 64)
		if parseErr != nil {
			return reconcile.Report{}, &coded{exitUsage, fmt.Errorf("%q is no report; give a number of enqueue report list, or latest", which)}
		}
		r, err = s.store.Report(ctx, id)
		if errors.Is(err, store.ErrNotFound) {
			return reconcile.Report{}, fmt.Errorf("there is no report %d; see enqueue report list", id)
		}
	}
	switch {
	case err != nil:
		return reconcile.Report{}, err
	case r.State == store.ReportFailed:
		return reconcile.Report{}, fmt.Errorf("report %d could not be made: %s", r.ID, r.Message)
	case r.State != store.ReportFinished:
		pending, err := s.store.PendingReconciliations(ctx, r.ID)
		return reconcile.Report{}, errors.Join(&coded{exitNothing, fmt.Errorf("report %d is %s still: %d of %d projects are to be looked at; is a worker running?", r.ID, r.State, pending, r.Projects)}, err)
	}
	return modelOf(r)
}

func reportListCommand(env *environment) *cobra.Command {
	var limit int
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "list",
		Short: "List the reports, the latest first, and where they were delivered",
		Long: `Lists the reports with their answers and where they were delivered, says when the
next one is due, and whether one is overdue: then no worker made it in time.`,
		Example: `  enqueue report list
  enqueue report list --limit 5 --json`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			all, err := s.store.Reports(cmd.Context(), limit)
			if err != nil {
				return err
			}
			rows := []listed{}
			for _, r := range all {
				ds, err := s.store.Deliveries(cmd.Context(), r.ID)
				if err != nil {
					return err
				}
				rows = append(rows, listedOf(r, ds))
			}
			timing, err := jobs.Timing(cmd.Context(), s.store, s.config.ReconcileOverdue, time.Now())
			if err != nil {
				return err
			}
			if asJSON {
				return printJSON(cmd.OutOrStdout(), reportList{1, rows, timing.Next, timing.Overdue})
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, "REPORT\tKIND\tSTATE\tBEGAN\tPROJECTS\tNEED OLD\tLOUD\tUNSEEN\tDELIVERED\tANSWER")
			for _, r := range rows {
				fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%s\t%s\n", r.ID, r.Kind, r.State, r.StartedAt.UTC().Format("2006-01-02 15:04"),
					r.Projects, r.NeedingOld, r.Loud, r.Unobserved, r.delivered(), r.Answer)
			}
			if err := w.Flush(); err != nil {
				return err
			}
			switch {
			case timing.Overdue:
				fmt.Fprintf(cmd.OutOrStdout(), "\nOverdue: the report of %s has not been made; is a worker running?\n", timing.Due.UTC().Format(time.DateTime))
			case !timing.Next.IsZero():
				fmt.Fprintf(cmd.OutOrStdout(), "\nThe next one is due at %s UTC.\n", timing.Next.UTC().Format(time.DateTime))
			}
			return nil
		},
	}
	cmd.Flags().IntVar(&limit, "limit", 20, "so many at most; 0 for all")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// reportList is what report list prints with --json.
type reportList struct {
	Schema  int       `json:"schema"`
	Reports []listed  `json:"reports"` // the latest first
	Next    time.Time `json:"next"`    // when the next one by the schedule is due
	Overdue bool      `json:"overdue"` // one by the schedule was not made
}

// listed is a report in a list, and its JSON.
type listed struct {
	ID         int64      `json:"id"`
	Kind       string     `json:"kind"`
	State      string     `json:"state"`
	Scope      []string   `json:"scope"`
	Period     time.Time  `json:"period"`
	StartedAt  time.Time  `json:"started_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Projects   int        `json:"projects"`
	InSync     int        `json:"in_sync"`
	NeedingOld int        `json:"needing_old"`
	Loud       int        `json:"loud"`
	Unobserved int        `json:"unobserved"`
	Answer     string     `json:"answer"`
	Deliveries []delivery `json:"deliveries"`
}

type delivery struct {
	Target string `json:"target"`
	State  string `json:"state"`
	Tries  int    `json:"tries"`
	Place  string `json:"place"`
	Error  string `json:"error"`
}

func listedOf(r store.Report, ds []store.Delivery) listed {
	l := listed{
		ID: r.ID, Kind: string(r.Kind), State: string(r.State), Scope: r.Scope, Period: r.Period, StartedAt: r.StartedAt, FinishedAt: r.FinishedAt,
		Projects: r.Projects, InSync: r.InSync, NeedingOld: r.NeedingOld, Loud: r.Loud, Unobserved: r.Unobserved, Answer: r.Message, Deliveries: []delivery{},
	}
	for _, d := range ds {
		l.Deliveries = append(l.Deliveries, delivery{d.Target, d.State, d.Tries, d.Place, d.Error})
	}
	return l
}

// delivered tells in a word or two where a report is, and where it is not.
func (l listed) delivered() string {
	var parts []string
	for _, d := range l.Deliveries {
		word := d.Target
		if d.State != "delivered" {
			word += " " + d.State
		}
		parts = append(parts, word)
	}
	if len(parts) == 0 {
		return "-"
	}
	return strings.Join(parts, ", ")
}

func reportDiffCommand(env *environment) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "diff FROM TO",
		Short: "Show what became different between two reports",
		Long: `Shows what is in the one report and not in the other: projects that came into a
class or left one, and how many need the old registry more or less. FROM and TO are
numbers, as enqueue report list prints them, or latest.`,
		Example: "  enqueue report diff 11 latest",
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			from, err := s.reconciliation(cmd, args[0])
			if err != nil {
				return err
			}
			to, err := s.reconciliation(cmd, args[1])
			if err != nil {
				return err
			}
			c := reconcile.Compare(from, to)
			if asJSON {
				return printJSON(cmd.OutOrStdout(), c)
			}
			return reports.Differences(cmd.OutOrStdout(), c)
		},
	}
	jsonFlag(cmd, &asJSON)
	return cmd
}

func reportLedgerCommand(env *environment) *cobra.Command {
	var format, out, path string
	cmd := &cobra.Command{
		Use:   "ledger",
		Short: "Print which image of the old registry became which in ECR",
		Long: `Prints the ledger: old reference and digest, new reference and digest, commit,
merge request, pipeline, deployments and time. The database only ever appends to it.`,
		Example: `  enqueue report ledger --format csv --out ledger.csv
  enqueue report ledger --project kurs/skjema`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := oneOf("format", format, "csv", "json"); err != nil {
				return err
			}
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			project := int64(0)
			if path != "" {
				p, err := s.project(cmd.Context(), path, cmd)
				if err != nil {
					return err
				}
				project = p.ID
			}
			entries, err := s.store.Ledger(cmd.Context(), project, 0, 0)
			if err != nil {
				return err
			}
			return output(cmd, out, func(w io.Writer) error {
				if format == "json" {
					return reports.LedgerJSON(w, s.config.OldRegistry, entries)
				}
				return reports.LedgerCSV(w, s.config.OldRegistry, entries)
			})
		},
	}
	f := cmd.Flags()
	f.StringVar(&format, "format", "csv", "csv or json")
	f.StringVar(&out, "out", "", "write to this file instead")
	f.StringVar(&path, "project", "", "only of this project")
	return cmd
}

// oneOf checks a flag that has few values.
func oneOf(flag, value string, choices ...string) error {
	if slices.Contains(choices, value) {
		return nil
	}
	return &coded{exitUsage, fmt.Errorf("--%s %s: choose one of %s", flag, value, strings.Join(choices, ", "))}
}

// output writes to a file, whole or not at all, or to the terminal when path is "".
func output(cmd *cobra.Command, path string, write func(io.Writer) error) error {
	if path == "" {
		return write(cmd.OutOrStdout())
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".enqueue-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := errors.Join(write(tmp), tmp.Chmod(0o644), tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}
