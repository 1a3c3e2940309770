package main

import (
	"context"
	"encoding/json"
	"errors"
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
type policyFlags struct{ delivery, production, images string }

func (p *policyFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&p.delivery, "delivery", "", "push, merge-request or merge-request+auto-merge (default from ECRFERRY_DELIVERY)")
	f.StringVar(&p.production, "production", "", "wait, play or skip (default from ECRFERRY_PRODUCTION)")
	f.StringVar(&p.images, "images", "", "which images: all, or in-use and newest=N (default from ECRFERRY_IMAGES)")
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
	if _, err := imagecopy.ParsePolicy(to.Images); err != nil {
		return &coded{exitUsage, fmt.Errorf("--images %s: %w", to.Images, err)}
	}
	return nil
}

// selectionFlags choose projects.
type selectionFlags struct{ store.Selection }

func (s *selectionFlags) add(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringVar(&s.Group, "group", "", "only projects of this group and its subgroups")
	f.StringSliceVar(&s.Match, "match", nil, "only paths that match, such as 'kurs/*' (** goes through groups)")
	f.StringSliceVar(&s.Exclude, "exclude", nil, "no paths that match")
	f.IntVar(&s.Limit, "limit", 0, "so many projects at most, by path")
}

// any says whether anything was chosen.
func (s *selectionFlags) any() bool {
	return s.Group != "" || len(s.Match)+len(s.Exclude)+len(s.Paths) > 0
}

// choose returns the projects that the flags select, or those named. One that is
// not known is an error, before anything is done for the others.
func (s *session) choose(ctx context.Context, sel *selectionFlags, paths []string) ([]store.Project, error) {
	want := sel.Selection
	want.Paths = append(want.Paths, paths...)
	for _, path := range want.Paths {
		if _, err := s.known(ctx, path); err != nil {
			return nil, err
		}
	}
	ps, err := s.store.Projects(ctx, want)
	if err == nil && len(ps) == 0 {
		return nil, &coded{exitNothing, errors.New("no project is selected; see enqueue status")}
	}
	return ps, err
}

// startAt checks a --from flag.
func startAt(from string) (store.StepName, error) {
	step := store.StepName(from)
	if from == "" || slices.Contains(store.StepOrder, step) {
		return step, nil
	}
	return "", &coded{exitUsage, fmt.Errorf("--from %s: choose one of %v", from, store.StepOrder)}
}

func printJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
