package main

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// openOrder opens the database for an order: who gives it, why, and with which policy.
func (e *environment) openOrder(cmd *cobra.Command, note string, policy *policyFlags) (*session, jobs.Order, error) {
	s, err := e.open(cmd)
	if err != nil {
		return nil, jobs.Order{}, err
	}
	order, err := s.order(note, policy)
	if err != nil {
		s.close()
		return nil, jobs.Order{}, err
	}
	return s, order, nil
}

// errNoneNamed refuses an order that would mean every project by accident.
var errNoneNamed = &coded{exitUsage, errors.New("name projects, or choose them: --group, --match, --wave, --state and others; see --help")}

// forEach gives an order for each project that is named or selected; see each.
func (e *environment) forEach(cmd *cobra.Command, args []string, sel *selectionFlags, note string, policy *policyFlags,
	give func(*session, jobs.Order, store.Status) (string, error),
) error {
	if len(args) == 0 && !sel.any() {
		return errNoneNamed
	}
	s, order, err := e.openOrder(cmd, note, policy)
	if err != nil {
		return err
	}
	defer s.close()
	return s.each(cmd, sel, args, func(r store.Status) (string, error) { return give(s, order, r) })
}

// errNothingToDo is what an order returns for a project that it does not apply
// to: it is said, and the others go on.
type errNothingToDo struct{ why string }

func (e *errNothingToDo) Error() string { return e.why }

// each carries out an order for every project that was named or selected, and
// says what came of it. When none had anything to do the exit code is 3.
func (s *session) each(cmd *cobra.Command, sel *selectionFlags, args []string, do func(store.Status) (string, error)) error {
	chosen, err := s.selection(cmd, sel, args)
	if err != nil {
		return err
	}
	rows, err := s.choose(cmd.Context(), chosen)
	if err != nil {
		return err
	}
	told := newActs(cmd)
	for _, r := range rows {
		said, err := do(r)
		if nothing, ok := errors.AsType[*errNothingToDo](err); ok {
			if len(rows) == 1 && !told.json {
				return &coded{exitNothing, fmt.Errorf("%s: %s", r.Path, nothing.why)}
			}
			told.tell(r.Path, false, nothing.why)
			continue
		}
		if err != nil {
			// What was done before is done, and is told.
			return errors.Join(fmt.Errorf("%s: %w", r.Path, err), told.end())
		}
		told.tell(r.Path, true, said)
	}
	if err := told.end(); err != nil {
		return err
	}
	if told.done == 0 {
		return &coded{exitNothing, errors.New("there was nothing to do for these projects")}
	}
	return nil
}
