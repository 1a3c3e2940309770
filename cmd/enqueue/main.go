// Enqueue is the operator's command line: it puts work in, looks at it, and
// stops it. The worker does the work.
package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/assembly"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Exit codes. They are documented in --help and in the README.
const (
	exitError   = 1 // the command could not be carried out
	exitUsage   = 2 // the command line is wrong
	exitNothing = 3 // there was nothing to do, such as a project that is under way already
	exitNeeded  = 4 // the report that was waited for names something to do
)

// coded is an error with an exit code of its own. Without an error inside it
// is an outcome that has been told already.
type coded struct {
	code int
	err  error
}

func (e *coded) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}
func (e *coded) Unwrap() error { return e.err }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run carries out one command and returns the exit code.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	env := &environment{getenv: getenv}
	cmd := root(env)
	ctx = context.WithValue(ctx, completingKey{}, env)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	c, ok := errors.AsType[*coded](err)
	if !ok {
		c = &coded{exitError, err}
	}
	if c.err != nil {
		fmt.Fprintln(stderr, "enqueue:", err)
	}
	return c.code
}

func root(env *environment) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "enqueue",
		Short: "Put GitLab projects in for migration to ECR, and see how far they are",
		Long: `Enqueue puts GitLab projects in for their migration from the old registry to
ECR, shows how far they are, and takes them out again. The worker does the work.

Configuration comes from the environment; see worker --help.

Exit codes: 0 done, 1 could not be done, 2 wrong use, 3 nothing to do (such as a
project that is under way already), 4 the reconciliation names something to do.
copy and rewrite have codes of their own.`,
		Example: `  enqueue all                       every project that is not done yet
  enqueue project kurs/skjema       one project, from the step where it failed
  enqueue failed --cause gitlab-unavailable
  enqueue all --wave canary --limit 10
  enqueue pause --all               no further project begins
  enqueue promote kurs/skjema       play production, which waits for somebody
  enqueue rollback kurs/skjema      take it all back
  enqueue status                    one line a project
  enqueue status kurs/skjema        its whole story
  enqueue reconcile --wait          look at what is really there, and report it
  enqueue report                    can the old registry be switched off?
  enqueue copy --map images.tsv     images by a list, without database or GitLab
  enqueue rewrite . --project kurs/skjema   what a checkout's files would become`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &coded{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	for _, sub := range []*cobra.Command{planCommand(env), allCommand(env), projectCommand(env), failedCommand(env), cancelCommand(env), promoteCommand(env), rollbackCommand(env), pauseCommand(env), resumeCommand(env), freezeCommand(env), statusCommand(env), logsCommand(env), reconcileCommand(env), reportCommand(env), copyCommand(env), rewriteCommand(env)} {
		usage(sub)
		cmd.AddCommand(sub)
	}
	return cmd
}

// usage makes wrong arguments of a command and of those below it a wrong use, and
// flags that exclude each other, which cobra looks at only later.
func usage(cmd *cobra.Command) {
	check := cmd.Args
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if err := cmp.Or(check(cmd, args), cmd.ValidateFlagGroups()); err != nil {
			return &coded{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
		}
		return nil
	}
	for _, sub := range cmd.Commands() {
		usage(sub)
	}
}

// environment opens what a command needs.
type environment struct{ getenv func(string) string }

// session is an open database and what works on it.
type session struct {
	config   config.Config
	db       *postgres.DB
	store    *store.Store
	enqueuer *jobs.Enqueuer
}

func (e *environment) open(cmd *cobra.Command) (*session, error) {
	return e.openTo(cmd.Context(), cmd.ErrOrStderr())
}

// openTo opens the database and logs to w.
func (e *environment) openTo(ctx context.Context, w io.Writer) (*session, error) {
	c, err := config.Load(e.getenv)
	if err = errors.Join(err, config.Typos(os.Environ())); err != nil {
		return nil, err
	}
	log := c.Logger(w)
	few := c
	few.Workers, few.CopyWorkers = 1, 1 // a command needs few connections
	db, err := assembly.Database(ctx, few, "enqueue", log)
	if err != nil {
		return nil, err
	}
	inserter, err := jobs.NewInserter(db.Pool, log)
	if err != nil {
		db.Close()
		return nil, err
	}
	st := store.New(db.Pool)
	return &session{config: c, db: db, store: st, enqueuer: &jobs.Enqueuer{Store: st, River: inserter}}, nil
}

func (s *session) close() { s.db.Close() }

// order is who asks, why, and with which policy.
func (s *session) order(note string, p *policyFlags) (jobs.Order, error) {
	o := jobs.Order{Actor: assembly.Actor(), Note: note, Policy: assembly.Policy(s.config)}
	return o, p.apply(&o.Policy)
}
