package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// policyFlags let an order differ from the configuration.
type policyFlags struct {
	delivery, production, images string
	now                          bool
}

// add adds the choices of a migration, way those that a way back has too.
func (p *policyFlags) add(cmd *cobra.Command) {
	p.way(cmd)
	cmd.Flags().StringVar(&p.images, "images", "", "which images to copy: all, or in-use and newest=N of each name, joined by commas, with include=GLOB, exclude=GLOB and max-age=90d beside them (default from ECRFERRY_IMAGES)")
}

func (p *policyFlags) way(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.delivery, "delivery", "", "how changes reach the default branch: push, merge-request or merge-request+auto-merge (default from ECRFERRY_DELIVERY)")
	f.StringVar(&p.production, "production", "", "what to do about a manual production job: wait for somebody, play it, or skip it (default from ECRFERRY_PRODUCTION)")
}

// begin adds the flag of orders that the intake may hold back.
func (p *policyFlags) begin(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.now, "now", false, "begin although the intake is paused, it is outside the hours, or the project is on the freeze list")
}

func (p *policyFlags) apply(to *jobs.Policy) error {
	for _, f := range []struct {
		flag, value string
		to          *string
		choices     []string
	}{
		{"delivery", p.delivery, &to.Delivery, []string{"push", "merge-request", "merge-request+auto-merge"}},
		{"production", p.production, &to.Production, []string{"wait", "play", "skip"}},
		{"images", p.images, &to.Images, nil},
	} {
		if f.value == "" {
			continue
		}
		if f.choices != nil && !slices.Contains(f.choices, f.value) {
			return &coded{exitUsage, fmt.Errorf("--%s %s: choose one of %s", f.flag, f.value, strings.Join(f.choices, ", "))}
		}
		*f.to = f.value
	}
	to.Now = to.Now || p.now
	if _, err := imagecopy.ParsePolicy(to.Images); err != nil {
		return &coded{exitUsage, fmt.Errorf("--images %s: %w", to.Images, err)}
	}
	return nil
}

// startFlags say at which step a project starts again.
type startFlags struct {
	from  string
	fresh bool
}

func (s *startFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.from, "from", "", "start at this step instead of the one that failed: discover, configure, copy, rewrite, pipeline or verify")
	f.BoolVar(&s.fresh, "fresh", false, "start at the beginning, with discover")
	cmd.MarkFlagsMutuallyExclusive("from", "fresh")
	var steps []string
	for _, name := range store.StepOrder {
		steps = append(steps, string(name))
	}
	_ = cmd.RegisterFlagCompletionFunc("from", cobra.FixedCompletions(steps, cobra.ShellCompDirectiveNoFileComp))
}

// step returns where to start; "" is where the attempt before stopped.
func (s *startFlags) step() (store.StepName, error) {
	if s.fresh {
		return store.StepDiscover, nil
	}
	step := store.StepName(s.from)
	if s.from == "" || slices.Contains(store.StepOrder, step) {
		return step, nil
	}
	return "", &coded{exitUsage, fmt.Errorf("--from %s: choose one of %v", s.from, store.StepOrder)}
}

// jsonFlag is --json of a command that prints one value.
func jsonFlag(cmd *cobra.Command, to *bool) {
	cmd.Flags().BoolVar(to, "json", false, "print JSON; docs/cli.md documents it")
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
