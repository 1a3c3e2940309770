package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

func planCommand(env *environment) *cobra.Command {
	var (
		o      planOptions
		policy policyFlags
		sel    selectionFlags
	)
	cmd := &cobra.Command{
		Use:   "plan [PROJECT…|--all]",
		Short: "Show what a migration would do, and write nothing outside",
		Long: `Makes a dry run of every project that is named or selected, with the code of the
real run: which images move and which stay and why, how the files change, what was
found, what it costs, and what needs a human. Nothing is written to GitLab, the
registries or the PaaS, and no pull is counted in ECR; the plan is kept in our own
database, with what GitLab said about the projects.

The projects are planned here, not by the worker: this needs the worker's settings.
When nobody has looked at all of GitLab and the old registry yet, or with --refresh,
that comes first, because whose a repository is can be said only over all of them.`,
		Example: `  enqueue plan kurs/skjema
  enqueue plan --all --html plan.html
  enqueue plan --group kurs --delivery merge-request --json
  enqueue plan --all --diff last        # what has changed since the plan before
  enqueue plan --show 12 --html plan.html
  enqueue plan --show 12 --diff 9`,
		ValidArgsFunction: completeProjects,
		Args:              cobra.ArbitraryArgs,
		RunE: func(cmd *cobra.Command, args []string) error {
			chosen := o.all || len(args) > 0 || sel.any()
			if chosen == (o.show != "") || o.all && len(args) > 0 {
				return &coded{exitUsage, errors.New("name projects or choose them (--group, --match, …), or say --all, or show a plan that was made with --show ID")}
			}
			s, err := env.open(cmd)
			if err != nil {
				return err
			}
			defer s.close()
			earlier, err := s.earlierPlan(cmd.Context(), o)
			if err != nil {
				return err
			}
			var p reports.Plan
			if o.show != "" {
				p, err = s.storedPlan(cmd.Context(), o.show)
			} else {
				p, err = s.makePlan(cmd, o, &policy, &sel, args)
			}
			if err != nil {
				return err
			}
			return o.print(cmd.OutOrStdout(), p, earlier)
		},
	}
	f := cmd.Flags()
	f.BoolVar(&o.all, "all", false, "every project")
	f.StringVar(&o.show, "show", "", "show a plan that was made before: its number, or last")
	f.StringVar(&o.diff, "diff", "", "show what is different from an earlier plan: its number, or last")
	f.StringVar(&o.html, "html", "", "write the plan to this file as a page that needs nothing else")
	jsonFlag(cmd, &o.json)
	f.BoolVar(&o.refresh, "refresh", false, "look at all of GitLab and the old registry first")
	f.IntVar(&o.parallel, "parallel", 8, "how many projects to plan at the same time")
	f.StringVar(&o.note, "note", "", "why, kept with the plan")
	policy.add(cmd)
	sel.add(cmd)
	return cmd
}

type planOptions struct {
	all, json, refresh     bool
	show, diff, html, note string
	parallel               int
}

// print writes the plan, or what is different from the earlier one.
func (o planOptions) print(out io.Writer, p reports.Plan, earlier *reports.Plan) error {
	if o.html != "" {
		file, err := os.Create(o.html)
		if err != nil {
			return err
		}
		if err := errors.Join(p.HTML(file), file.Close()); err != nil {
			return fmt.Errorf("writing %s: %w", o.html, err)
		}
	}
	switch {
	case earlier != nil && o.json:
		return reports.Diff(*earlier, p).JSON(out)
	case earlier != nil:
		return reports.Diff(*earlier, p).Text(out)
	case o.json:
		return p.JSON(out)
	}
	return p.Text(out)
}

// earlierPlan returns what --diff asks to be compared with, nil for nothing.
func (s *session) earlierPlan(ctx context.Context, o planOptions) (*reports.Plan, error) {
	if o.diff == "" {
		return nil, nil
	}
	p, err := s.storedPlan(ctx, o.diff)
	return &p, err
}

// storedPlan returns a plan by its number, or the last one.
func (s *session) storedPlan(ctx context.Context, which string) (reports.Plan, error) {
	var p reports.Plan
	id, err := strconv.ParseInt(which, 10, 64)
	if which != "last" && (err != nil || id < 1) {
		return p, &coded{exitUsage, fmt.Errorf("%q is no plan; write its number, or last", which)}
	}
	row, err := s.store.Plan(ctx, id)
	if errors.Is(err, store.ErrNotFound) {
		return p, fmt.Errorf("there is no plan %s; make one with enqueue plan", which)
	}
	if err != nil {
		return p, err
	}
	if err := json.Unmarshal(row.Plan, &p); err != nil {
		return p, fmt.Errorf("plan %d is not readable: %w", row.ID, err)
	}
	p.ID = row.ID
	return p, nil
}

// makePlan plans the chosen projects, some at a time, and stores the plan.
func (s *session) makePlan(cmd *cobra.Command, o planOptions, policy *policyFlags, sel *selectionFlags, args []string) (reports.Plan, error) {
	ctx, none := cmd.Context(), reports.Plan{}
	if o.parallel < 1 {
		return none, &coded{exitUsage, errors.New("--parallel: write a number above zero")}
	}
	order, err := s.order(o.note, policy)
	if err != nil {
		return none, err
	}
	log := s.config.Logger(cmd.ErrOrStderr())
	clients, settings, err := assembly.Clients(ctx, s.config, s.store, log, nil)
	if err != nil {
		return none, err
	}
	planner, err := jobs.NewPlanner(ctx, s.store, clients, settings, log)
	if err != nil {
		return none, err
	}
	tell := newTicker(cmd.ErrOrStderr())
	defer tell.end()
	tell.say("looking at GitLab and the old registry")
	if err := planner.Survey(ctx, o.refresh); err != nil {
		return none, err
	}
	chosen, err := s.selectionAnywhere(cmd, sel, args)
	if err != nil {
		return none, err
	}
	projects, err := s.store.Projects(ctx, chosen)
	if err != nil {
		return none, err
	}
	if len(projects) == 0 {
		return none, &coded{exitNothing, errors.New("no project is selected; see enqueue status")}
	}
	var (
		mu    sync.Mutex
		plans []reports.ProjectPlan
	)
	g, each := errgroup.WithContext(ctx)
	g.SetLimit(o.parallel)
	for _, p := range projects {
		g.Go(func() error {
			q, err := planner.Project(each, p, order.Policy)
			if err != nil {
				return fmt.Errorf("planning %s: %w", p.Path, err)
			}
			mu.Lock()
			defer mu.Unlock()
			plans = append(plans, q)
			tell.say(fmt.Sprintf("%d of %d projects planned", len(plans), len(projects)))
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return none, err
	}
	return s.keepPlan(ctx, order, chosen, plans)
}

// keepPlan sums the plan up and stores it.
func (s *session) keepPlan(ctx context.Context, order jobs.Order, chosen store.Selection, plans []reports.ProjectPlan) (reports.Plan, error) {
	policy, err := json.Marshal(order.Policy)
	if err != nil {
		return reports.Plan{}, err
	}
	selection, err := json.Marshal(chosen)
	if err != nil {
		return reports.Plan{}, err
	}
	at, err := s.store.Now(ctx)
	if err != nil {
		return reports.Plan{}, err
	}
	p := reports.NewPlan(reports.Plan{At: at, Actor: order.Actor, Note: order.Note, Policy: policy}, plans, s.config.CopyWorkers)
	raw, err := json.Marshal(p)
	if err != nil {
		return p, err
	}
	row, err := s.store.CreatePlan(ctx, store.Plan{Actor: order.Actor, Note: order.Note, Selection: selection, Policy: policy, Plan: raw})
	p.ID = row.ID
	return p, err
}

// ticker tells of progress on standard error: in place on a terminal, elsewhere
// a line now and then.
type ticker struct {
	w        io.Writer
	terminal bool
	last     time.Time
	width    int
}

func newTicker(w io.Writer) *ticker { return &ticker{w: w, terminal: isTerminal(w)} }

func (t *ticker) say(text string) {
	if t.terminal {
		fmt.Fprintf(t.w, "\r%-*s", t.width, text)
		t.width = len(text)
		return
	}
	if time.Since(t.last) < 10*time.Second {
		return
	}
	t.last = time.Now()
	fmt.Fprintln(t.w, text)
}

func (t *ticker) end() {
	if t.terminal {
		fmt.Fprintf(t.w, "\r%-*s\r", t.width, "")
	}
}
