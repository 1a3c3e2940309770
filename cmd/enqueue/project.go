package main

import (
	"context"
	"errors"
	"fmt"
	"time"

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
	// Cause is why the attempt before stopped; "" when that does not matter.
	Cause string `json:"cause"`
}

func projectCommand(env *environment) *cobra.Command {
	var (
		note   string
		start  startFlags
		asJSON bool
		policy policyFlags
	)
	cmd := &cobra.Command{
		Use:   "project PATH",
		Short: "Migrate one project, or go on where it failed",
		Long: `Enqueues one project: the first time from the beginning, after a failure from the
step that failed. A pipeline that had failed is started again. enqueue plan shows
beforehand what will come of it, enqueue status what comes of it. A project that is under way is left
alone, and the command says where it is and since when (exit code 3).`,
		Example: `  enqueue project kurs/skjema
  enqueue project kurs/skjema --fresh
  enqueue project kurs/skjema --from copy --note "images were missing"
  enqueue project kurs/skjema --now       # although the intake is paused`,
		ValidArgsFunction: completeProject,
		Args:              cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			step, err := start.step()
			if err != nil {
				return err
			}
			s, order, err := env.openOrder(cmd, note, &policy)
			if err != nil {
				return err
			}
			defer s.close()
			p, err := s.project(cmd.Context(), args[0], cmd)
			if err != nil {
				return err
			}
			m, err := s.enqueuer.Project(cmd.Context(), order, p, step)
			if err := s.report(cmd, p, m, err, asJSON); err != nil {
				return err
			}
			intake, err := s.store.Intake(cmd.Context())
			if err == nil && !asJSON && (m.Step == store.StepDiscover || m.Step == store.StepConfigure) {
				s.warnPaused(cmd, intake, order)
			}
			return err
		},
	}
	f := cmd.Flags()
	f.StringVar(&note, "note", "", "why, for the event log")
	jsonFlag(cmd, &asJSON)
	start.add(cmd)
	policy.add(cmd)
	policy.begin(cmd)
	return cmd
}

// errNoSuchProject says that neither we nor GitLab know a project.
var errNoSuchProject = errors.New("GitLab has no project")

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
		return p, fmt.Errorf("%w %s, or the worker's account may not see it; check the path", errNoSuchProject, path)
	}
	if err != nil {
		return p, err
	}
	p = jobs.ProjectRow(g)
	return p, s.store.UpsertProjects(ctx, []store.Project{p})
}

// report says what came of enqueueing a project.
func (s *session) report(cmd *cobra.Command, p store.Project, m store.Migration, err error, asJSON bool) error {
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
		where, err := s.where(cmd.Context(), m)
		if err != nil {
			return err
		}
		return &coded{exitNothing, fmt.Errorf("%s is under way already: migration %d, attempt %d, %s; nothing was started", p.Path, m.ID, m.Attempt, where)}
	}
	if !asJSON {
		fmt.Fprintf(cmd.OutOrStdout(), "%s is enqueued: migration %d, attempt %d, from step %s\n", p.Path, m.ID, m.Attempt, m.Step)
	}
	return nil
}

// where says at what an active migration is, since when, and by whom it is worked on.
func (s *session) where(ctx context.Context, m store.Migration) (string, error) {
	now, err := s.store.Now(ctx)
	if err != nil {
		return "", err
	}
	text := fmt.Sprintf("%s at step %s since %s (%s ago)", m.State, m.Step, m.Since.UTC().Format(time.DateTime+" UTC"), now.Sub(m.Since).Round(time.Second))
	if m.WaitingFor != "" {
		text += ", waiting for " + m.WaitingFor
	}
	tries, err := s.store.Steps(ctx, m.ID)
	if err != nil {
		return "", err
	}
	if n := len(tries); n > 0 && tries[n-1].Outcome == store.OutcomeRunning {
		text += ", in worker " + tries[n-1].Worker
	}
	if m.NextLookAt != nil && m.NextLookAt.After(now) {
		text += fmt.Sprintf(", looks again in %s", m.NextLookAt.Sub(now).Round(time.Second))
	}
	return text, nil
}
