package main

import (
	"context"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Completion asks the database that the command would use. A shell waits for it
// at every press of the tab key, so it gives up soon, and without a word.

// completingKey is where completion finds the environment: cobra calls it with
// no more than the command.
type completingKey struct{}

// complete answers with what ask returns from the store.
func complete(cmd *cobra.Command, prefix string, ask func(context.Context, *store.Store) ([]string, error)) ([]string, cobra.ShellCompDirective) {
	const none = cobra.ShellCompDirectiveNoFileComp
	env, ok := cmd.Context().Value(completingKey{}).(*environment)
	if !ok {
		return nil, none
	}
	ctx, cancel := context.WithTimeout(cmd.Context(), 3*time.Second)
	defer cancel()
	s, err := env.openTo(ctx, io.Discard)
	if err != nil {
		return nil, none
	}
	defer s.close()
	all, err := ask(ctx, s.store)
	if err != nil {
		return nil, none
	}
	all = slices.DeleteFunc(all, func(s string) bool { return !strings.HasPrefix(strings.ToLower(s), strings.ToLower(prefix)) })
	slices.Sort(all)
	return slices.Compact(all), none
}

// completeProjects completes the arguments with paths that are not among them yet.
func completeProjects(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(cmd, prefix, func(ctx context.Context, st *store.Store) ([]string, error) {
		paths, err := st.ProjectPaths(ctx)
		return slices.DeleteFunc(paths, func(p string) bool { return slices.Contains(args, p) }), err
	})
}

// completeProject completes the one argument of a command that takes one.
func completeProject(cmd *cobra.Command, args []string, prefix string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return completeProjects(cmd, args, prefix)
}

func completeGroups(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(cmd, prefix, func(ctx context.Context, st *store.Store) ([]string, error) {
		paths, err := st.ProjectPaths(ctx)
		var groups []string
		for _, p := range paths {
			for i := strings.LastIndexByte(p, '/'); i > 0; i = strings.LastIndexByte(p[:i], '/') {
				groups = append(groups, p[:i])
			}
		}
		return groups, err
	})
}

func completeCauses(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(cmd, prefix, func(ctx context.Context, st *store.Store) ([]string, error) {
		failures, err := st.Failures(ctx)
		var causes []string
		for _, f := range failures {
			causes = append(causes, f.Reason)
		}
		return causes, err
	})
}

func completeWaves(cmd *cobra.Command, _ []string, prefix string) ([]string, cobra.ShellCompDirective) {
	return complete(cmd, prefix, func(ctx context.Context, st *store.Store) ([]string, error) {
		waves, err := st.Waves(ctx, 0)
		var names []string
		for _, w := range waves {
			if w.Name != "" {
				names = append(names, w.Name)
			}
		}
		return names, err
	})
}
