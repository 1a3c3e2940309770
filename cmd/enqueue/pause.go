package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func pauseCommand(env *environment) *cobra.Command {
	var (
		note, until string
		all         bool
		sel         selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "pause [PROJECT…|--all]",
		Short: "Let no further project begin, or hold some projects where they are",
		Long: `With --all, pauses the intake: projects that have not yet begun wait, those
under way go on to their end. With projects, named or selected, pauses those:
the step at work ends, and no further one begins until they are resumed.
A pause holds over all workers and restarts.`,
		Example: `  enqueue pause --all --note "GitLab is being upgraded"
  enqueue pause kurs/skjema --note "the owners asked for next week"
  enqueue pause --group kurs --until 2027-01-11 --note exams`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			end, err := untilFlag(until)
			if err != nil {
				return err
			}
			if all && end != nil {
				return &coded{exitUsage, errors.New("--until is for projects; for the fleet there are working hours and the freeze list, see ECRFERRY_FREEZES")}
			}
			return onProjects(cmd, env, args, &sel, all, note,
				func(s *session, o jobs.Order) error {
					_, err := s.enqueuer.Pause(cmd.Context(), o)
					if errors.Is(err, jobs.ErrPaused) {
						return s.pausedAlready(cmd)
					}
					if err == nil {
						return fleetTold(cmd, "the intake is paused: no further project begins; those under way go on. enqueue resume --all ends it")
					}
					return err
				},
				func(s *session, o jobs.Order, p store.Project) (string, error) {
					return "is paused; enqueue resume " + p.Path + " ends it", s.enqueuer.Hold(cmd.Context(), o, p, end)
				})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "the intake of the whole fleet")
	f.StringVar(&note, "note", "", "why, for the event log and for whoever finds it paused")
	actFlags(cmd)
	f.StringVar(&until, "until", "", "when the pause ends by itself: a date such as 2027-01-11, or a time such as 2027-01-11T08:00:00Z")
	sel.wide(cmd)
	return cmd
}

func resumeCommand(env *environment) *cobra.Command {
	var (
		note string
		all  bool
		sel  selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "resume [PROJECT…|--all]",
		Short: "End a pause of the intake, or of projects",
		Long: `With --all, opens the intake again: what waited begins at once, and failures so
far count no more against a run's budget. When a failure had stopped the line,
--note is required: what was found, and why it may go on. With projects, named or
selected, ends their pause. Exit code 3 when there was no pause to end.`,
		Example: `  enqueue resume --all --note "the runner's disk was full; it is not any more"
  enqueue resume kurs/skjema
  enqueue resume --group kurs`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			return onProjects(cmd, env, args, &sel, all, note,
				func(s *session, o jobs.Order) error {
					_, err := s.enqueuer.Resume(cmd.Context(), o)
					switch {
					case errors.Is(err, jobs.ErrNotPaused):
						return &coded{exitNothing, errors.New("the intake is not paused")}
					case errors.Is(err, jobs.ErrNoteWanted):
						return &coded{exitUsage, fmt.Errorf("%w; write it with --note", err)}
					case err == nil:
						return fleetTold(cmd, "the intake is open again: projects begin")
					}
					return err
				},
				func(s *session, o jobs.Order, p store.Project) (string, error) {
					err := s.enqueuer.Release(cmd.Context(), o, p)
					if errors.Is(err, jobs.ErrNotPaused) {
						err = &errNothingToDo{"is not paused"}
					}
					return "goes on", err
				})
		},
	}
	f := cmd.Flags()
	f.BoolVar(&all, "all", false, "the intake of the whole fleet")
	f.StringVar(&note, "note", "", "why, for the event log; required when a failure had stopped the line")
	actFlags(cmd)
	sel.wide(cmd)
	return cmd
}

// fleetTold says what came of an order for the whole fleet.
func fleetTold(cmd *cobra.Command, what string) error {
	told := newActs(cmd)
	told.tell("", true, what)
	return told.end()
}

// untilFlag reads a date or a time; "" is nil.
func untilFlag(text string) (*time.Time, error) {
	if text == "" {
		return nil, nil
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.ParseInLocation(layout, text, time.Local); err == nil {
			return &t, nil
		}
	}
	return nil, &coded{exitUsage, fmt.Errorf("--until %s: write a date such as 2027-01-11 or a time such as 2027-01-11T08:00:00Z", text)}
}

// pausedAlready says by whom and why.
func (s *session) pausedAlready(cmd *cobra.Command) error {
	i, err := s.store.Intake(cmd.Context())
	if err != nil {
		return err
	}
	return &coded{exitNothing, fmt.Errorf("the intake is paused already since %s: %s", i.Since.UTC().Format(time.DateTime), i.Message)}
}

// onProjects carries out an order for the fleet (--all), or for each project that
// was named or selected; see each.
func onProjects(cmd *cobra.Command, env *environment, args []string, sel *selectionFlags, all bool, note string,
	fleet func(*session, jobs.Order) error, each func(*session, jobs.Order, store.Project) (string, error),
) error {
	if all == (len(args) > 0 || sel.any()) {
		return &coded{exitUsage, errors.New("name projects or choose them (--group, --match, …), or say --all for the intake of the whole fleet")}
	}
	if !all {
		return env.forEach(cmd, args, sel, note, &policyFlags{}, func(s *session, o jobs.Order, r store.Status) (string, error) {
			return each(s, o, store.Project{ID: r.ProjectID, Path: r.Path})
		})
	}
	s, order, err := env.openOrder(cmd, note, &policyFlags{})
	if err != nil {
		return err
	}
	defer s.close()
	return fleet(s, order)
}
