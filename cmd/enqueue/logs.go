package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// logEntry is a line of logs, and with --json an object a line.
type logEntry struct {
	At        time.Time `json:"at"`
	Migration int64     `json:"migration"`
	Step      string    `json:"step"` // empty for an order
	Try       int       `json:"try"`
	Who       string    `json:"who"`
	What      string    `json:"what"` // the event's kind, the outcome of the try, or the code of a failed job's finding
	Detail    string    `json:"detail"`
	URL       string    `json:"url"`
	Excerpt   string    `json:"excerpt"` // of a failed job's log, masked
}

func logsCommand(env *environment) *cobra.Command {
	var (
		step           string
		follow, asJSON bool
	)
	cmd := &cobra.Command{
		Use:   "logs PROJECT",
		Short: "Show what was ordered, tried and written for a project, in order",
		Long: `Shows the orders, the ended tries of steps and the writes to systems outside of all
attempts of a project, the oldest first; below a try the jobs that failed in it,
with the part of their log that tells why, without its secrets. It comes from our own
tables: River's deleting of old jobs loses none of it. --json prints an object a line.`,
		Example: `  enqueue logs kurs/skjema
  enqueue logs kurs/skjema --step pipeline
  enqueue logs kurs/skjema --follow`,
		ValidArgsFunction: completeProject,
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			if _, err := s.selection(cmd, &selectionFlags{}, args); err != nil {
				return err
			}
			p, err := s.store.Project(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			shown := map[logEntry]bool{}
			for {
				entries, err := s.entries(cmd.Context(), p.ID)
				if err != nil {
					return err
				}
				for _, e := range entries {
					if shown[e] || step != "" && e.Step != step {
						continue
					}
					shown[e] = true
					if asJSON {
						err = json.NewEncoder(cmd.OutOrStdout()).Encode(e)
					} else {
						_, err = io.WriteString(cmd.OutOrStdout(), e.text())
					}
					if err != nil {
						return err
					}
				}
				if !follow {
					return nil
				}
				select {
				case <-cmd.Context().Done():
					return nil
				case <-time.After(watchEvery):
				}
			}
		},
	}
	f := cmd.Flags()
	f.StringVar(&step, "step", "", "only tries of this step")
	f.BoolVarP(&follow, "follow", "f", false, "go on showing what comes, until interrupted")
	jsonFlag(cmd, &asJSON)
	return cmd
}

// entries returns the orders, the ended tries and the writes of a project.
func (s *session) entries(ctx context.Context, project int64) ([]logEntry, error) {
	events, err := s.store.Events(ctx, store.EventFilter{ProjectID: project})
	if err != nil {
		return nil, err
	}
	var out []logEntry
	for _, e := range events {
		out = append(out, logEntry{At: e.At.UTC(), Migration: e.MigrationID, Who: e.Actor, What: e.Kind, Detail: e.Detail, URL: e.URL})
	}
	attempts, err := s.store.Migrations(ctx, project)
	if err != nil {
		return nil, err
	}
	for _, m := range attempts {
		tries, err := s.store.Steps(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		last := map[store.StepName]logEntry{} // the try that a step's findings are of
		for _, t := range tries {
			if t.FinishedAt != nil {
				out = append(out, logEntry{At: t.FinishedAt.UTC(), Migration: m.ID, Step: string(t.Name), Try: t.Try, Who: t.Worker, What: string(t.Outcome), Detail: cmp.Or(t.Error, t.Reason)})
				last[t.Name] = out[len(out)-1]
			}
		}
		findings, err := s.store.Findings(ctx, m.ID)
		if err != nil {
			return nil, err
		}
		for _, f := range findings {
			if e, ended := last[f.Step]; ended && f.Retry != "" {
				e.What, e.Detail, e.URL, e.Excerpt = f.Code, f.Message, f.File, f.Text
				out = append(out, e)
			}
		}
	}
	slices.SortStableFunc(out, func(a, b logEntry) int { return a.At.Compare(b.At) })
	return out, nil
}

func (e logEntry) text() string {
	text := e.At.Format(time.DateTime)
	if e.Migration != 0 {
		text += fmt.Sprintf(" migration %d", e.Migration)
	}
	if e.Step != "" {
		text += fmt.Sprintf(" %s try %d:", e.Step, e.Try)
	}
	text = printable(text+" "+e.What+" ("+e.Who+") "+e.Detail+" "+e.URL) + "\n"
	for line := range strings.Lines(e.Excerpt) {
		text += "    | " + printable(strings.TrimRight(line, "\r\n")) + "\n"
	}
	return text
}
