package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// enqueued is what project and failed print for a project with --json.
type enqueued struct {
	Project   string         `json:"project"`
	Migration int64          `json:"migration"`
	Attempt   int            `json:"attempt"`
	Step      store.StepName `json:"step"`
	// Enqueued is false when the project was under way already; the other
	// fields then are those of what runs.
	Enqueued bool        `json:"enqueued"`
	State    store.State `json:"state"`
}

func projectCommand(env *environment) *cobra.Command {
	var (
		note, from string
		fresh      bool
		asJSON     bool
		policy     policyFlags
	)
	cmd := &cobra.Command{
		Use:   "project PATH",
		Short: "Migrate one project, or go on where it failed",
		Long: `Enqueues one project. After a failure it goes on at the step that failed; a
pipeline that had failed is started again. A project that is under way is left
alone, and the command says where it is (exit code 3).`,
		Example: `  enqueue project kurs/skjema
  enqueue project kurs/skjema --fresh
  enqueue project kurs/skjema --from copy --note "images were missing"`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			step, err := startAt(from)
			if err != nil {
				return err
			}
			if fresh {
				step = store.StepDiscover
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
			p, err := s.project(cmd.Context(), args[0], cmd)
			if err != nil {
				return err
			}
			m, err := s.enqueuer.Project(cmd.Context(), order, p, step)
			return report(cmd, p, m, err, asJSON)
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	f.StringVar(&from, "from", "", "start at this step")
	f.BoolVar(&fresh, "fresh", false, "start at the beginning")
	f.BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("from", "fresh")
	policy.add(cmd)
	return cmd
}

// project finds a project by its path: among those known, else in GitLab.
func (s *session) project(ctx context.Context, path string, cmd *cobra.Command) (store.Project, error) {
	p, err := s.store.Project(ctx, path)
	if !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	client, err := assembly.GitLab(s.config, s.config.Logger(cmd.ErrOrStderr()), nil)
	if err != nil {
		return p, fmt.Errorf("project %s is not known yet, and GitLab can't be asked: %w", path, err)
	}
	g, err := client.Project(ctx, path)
	if errors.Is(err, gitlab.ErrNotFound) {
		return p, fmt.Errorf("GitLab has no project %s, or the worker's account may not see it; check the path", path)
	}
	if err != nil {
		return p, err
	}
	p = jobs.ProjectRow(g)
	return p, s.store.UpsertProjects(ctx, []store.Project{p})
}

// known finds a project among those that the store knows.
func (s *session) known(ctx context.Context, path string) (store.Project, error) {
	p, err := s.store.Project(ctx, path)
	if errors.Is(err, store.ErrNotFound) {
		return p, fmt.Errorf("project %s is not known; see enqueue status", path)
	}
	return p, err
}

// report says what came of enqueueing a project.
func report(cmd *cobra.Command, p store.Project, m store.Migration, err error, asJSON bool) error {
	row := enqueued{Project: p.Path, Migration: m.ID, Attempt: m.Attempt, Step: m.Step, State: m.State, Enqueued: true}
	active, busy := errors.AsType[*store.ActiveError](err)
	switch {
	case busy:
		m = active.Migration
		row = enqueued{Project: p.Path, Migration: m.ID, Attempt: m.Attempt, Step: m.Step, State: m.State}
	case err != nil:
		return err
	}
	if asJSON {
		if err := printJSON(cmd.OutOrStdout(), row); err != nil {
			return err
		}
	}
	if busy {
		where := fmt.Sprintf("%s at step %s", m.State, m.Step)
		if m.WaitingFor != "" {
			where += ", waiting for " + m.WaitingFor
		}
		return &coded{exitNothing, fmt.Errorf("%s is under way already: migration %d, attempt %d, %s; nothing was started", p.Path, m.ID, m.Attempt, where)}
	}
	if !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is enqueued: migration %d, attempt %d, from step %s\n", p.Path, m.ID, m.Attempt, m.Step)
	}
	return nil
}

func cancelCommand(env *environment) *cobra.Command {
	var note string
	cmd := &cobra.Command{
		Use:     "cancel PATH",
		Short:   "End a project's migration; what it has written stays",
		Example: `  enqueue cancel kurs/skjema --note "the owners asked for next week"`,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			p, err := s.known(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			order, err := s.order(note, &policyFlags{})
			if err != nil {
				return err
			}
			m, err := s.enqueuer.Cancel(cmd.Context(), order, p)
			if errors.Is(err, store.ErrNotFound) {
				return &coded{exitNothing, fmt.Errorf("%s is not under way", p.Path)}
			}
			if err != nil {
				return err
			}
			fmt.Fprintf(cmd.OutOrStdout(), "%s: migration %d is cancelled at step %s\n", p.Path, m.ID, m.Step)
			return nil
		},
	}
	cmd.Flags().StringVar(&note, "note", "", "why, for the event log")
	return cmd
}
