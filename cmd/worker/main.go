// Worker is the long-running process of ecrferry: it takes migration steps from
// the queue and works on them, serves the dashboard, and answers /healthz,
// /readyz and /metrics.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "worker:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) error {
	cmd := &cobra.Command{
		Use:   "worker",
		Short: "Migrate GitLab projects from the old registry to ECR",
		Long: `Worker takes the steps of migrations from the queue and works on them until it
is interrupted. An interrupt lets running steps end, or gives them back.
Work is put in and looked at with the command enqueue, or in the dashboard that
it serves at ECRFERRY_HTTP_ADDR.

Configuration comes from the environment:

` + settings(),
		Example: `  worker
  ECRFERRY_HTTP_ADDR=127.0.0.1:9090 DATABASE_URL=postgres://… worker
  worker migrate                     # bring the database up to date and end
  psql "$(worker database-url)"      # look into the tables; try: select * from ferry.progress`,
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := load(getenv)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), c, c.Logger(stderr))
		},
	}
	// onDatabase is a command that opens the database, which brings it up to
	// date, and does one thing with it.
	onDatabase := func(use, short string, do func(*postgres.DB)) *cobra.Command {
		return &cobra.Command{Use: use, Short: short, Args: cobra.NoArgs, RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := config.Load(getenv)
			if err != nil {
				return err
			}
			db, err := open(cmd.Context(), c, c.Logger(stderr))
			if err != nil {
				return err
			}
			do(db)
			return db.Close()
		}}
	}
	cmd.AddCommand(
		onDatabase("migrate", "Bring the database up to date and end", func(*postgres.DB) {
			fmt.Fprintln(stdout, "the database is up to date")
		}),
		onDatabase("database-url", "Print how to reach the database, with its password, for psql", func(db *postgres.DB) {
			fmt.Fprintln(stdout, db.URL)
		}),
		userCommand(),
	)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	return cmd.ExecuteContext(ctx)
}

// settings lists the variables for --help.
func settings() string {
	var text string
	for _, s := range config.Describe() {
		text += fmt.Sprintf("  %-32s %s", s.Name, s.Purpose)
		if s.Default != "" {
			text += " (default " + s.Default + ")"
		}
		text += "\n"
	}
	return text
}
