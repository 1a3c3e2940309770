package main

import (
	"errors"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"
)

func stopCommand() *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:     "stop",
		Short:   "End what a demo left running",
		Example: "  sandbox stop --dir .demo",
		Args:    cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			abs, err := filepath.Abs(dir)
			if err != nil {
				return err
			}
			return stopAll(layout(abs))
		},
	}
	cmd.Flags().StringVar(&dir, "dir", ".demo", "the demo's directory")
	return cmd
}

// stopAll ends the worker first, so that it still finds the world.
func stopAll(dir layout) error {
	return errors.Join(
		process{dir, "worker"}.stop(60*time.Second),
		process{dir, "sandbox"}.stop(30*time.Second),
	)
}
