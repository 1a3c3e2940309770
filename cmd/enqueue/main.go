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

// The order of a day's work says more than that of the alphabet.
func init() { cobra.EnableCommandSorting = false }

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
ECR, shows how far they are, and takes them out again. The worker does the work;
start one first. Configuration comes from the environment; see worker --help.

A migration goes through six steps, each safe to be repeated:
  discover    reads the project; what blocks is found here, before anything is written
  configure   its repository in ECR, and its CI/CD variables
  copy        its images, digest by digest
  rewrite     its files, by a commit or a merge request
  pipeline    of the default branch, followed to its end
  verify      proves that what runs is the image in ECR

and comes to one of: done; exceptions (done, with a list to read); skipped (nothing
to migrate); attention (a human must act first: status says who and how); failed;
cancelled. While under way it is queued, running, or waiting (for a merge, or for
somebody to play production). A project is named by its path in GitLab, such as
kurs/skjema.

Exit codes: 0 done, 1 could not be done, 2 wrong use, 3 nothing to do (such as a
project that is under way already), 4 the reconciliation names something to do.
copy and rewrite have codes of their own.`,
		Example: `  enqueue plan --all --html plan.html           a dry run of all: writes nothing outside
  enqueue project kurs/skjema                   one project, to begin with
  enqueue status kurs/skjema                    its whole story, and what happens next
  enqueue all --wave canary --limit 10          a first wave; its failures stop the line
  enqueue status --watch --wave canary          bars until nothing moves without a human
  enqueue all                                   every project that is not done yet
  enqueue status --state failed,attention       what stopped, why, and what to do
  enqueue failed --cause gitlab-unavailable     again, from the step where each stopped
  enqueue promote kurs/skjema                   play production, which waits for somebody
  enqueue pause --all                           no further project begins; resume --all
  enqueue rollback kurs/skjema                  take it all back
  enqueue reconcile --wait                      look at what is really there, and report it
  enqueue report                                can the old registry be switched off?`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Args:          cobra.NoArgs,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return &coded{exitUsage, fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())}
	})
	for _, group := range []struct {
		title    string
		commands []*cobra.Command
	}{
		{"Put work in:", []*cobra.Command{planCommand(env), projectCommand(env), allCommand(env), failedCommand(env)}},
		{"Look at it:", []*cobra.Command{statusCommand(env), logsCommand(env), reconcileCommand(env), reportCommand(env)}},
		{"Steer it:", []*cobra.Command{promoteCommand(env), pauseCommand(env), resumeCommand(env), freezeCommand(env), cancelCommand(env), rollbackCommand(env)}},
		{"Without worker, database and GitLab:", []*cobra.Command{copyCommand(env), rewriteCommand(env)}},
	} {
		cmd.AddGroup(&cobra.Group{ID: group.title, Title: group.title})
		for _, sub := range group.commands {
			usage(sub)
			sub.GroupID = group.title
			cmd.AddCommand(sub)
		}
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
