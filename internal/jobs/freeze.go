package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// ErrWhyWanted says that a freeze needs a note.
var ErrWhyWanted = errors.New("a freeze says why")

// ErrNoPattern says that something does not stand for project paths.
var ErrNoPattern = errors.New("no pattern of project paths, such as kurs/** or hr/lonn")

// ErrNotFrozen says that a pattern does not stand on the freeze list.
var ErrNotFrozen = errors.New("it is not on the freeze list")

// Freeze puts a pattern of project paths on the freeze list, for all workers: what
// has not begun does not begin, what is under way goes on. The order's note says
// why and is required. It returns what stood there before.
func (e *Enqueuer) Freeze(ctx context.Context, o Order, pattern string, until *time.Time) (before *store.Freeze, err error) {
	pattern = strings.Trim(pattern, "/")
	switch {
	case pattern == "" || strings.ContainsAny(pattern, " \t\r\n"):
		return nil, fmt.Errorf("%q is %w", pattern, ErrNoPattern)
	case o.Note == "":
		return nil, ErrWhyWanted
	}
	err = e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		if before, err = tx.SetFreeze(ctx, store.Freeze{Pattern: pattern, Actor: o.Actor, Note: o.Note, Until: until}); err != nil {
			return err
		}
		detail := pattern + ": " + o.Note
		if until != nil {
			detail = fmt.Sprintf("%s until %s: %s", pattern, until.UTC().Format(time.RFC3339), o.Note)
		}
		return tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "freeze-added", Detail: detail})
	})
	return before, err
}

// Thaw takes a pattern off the freeze list; what it kept begins at once. One that
// does not stand there is ErrNotFrozen.
func (e *Enqueuer) Thaw(ctx context.Context, o Order, pattern string) error {
	pattern = strings.Trim(pattern, "/")
	return e.Store.InTx(ctx, func(ctx context.Context, tx *store.Store) error {
		stood, err := tx.DropFreeze(ctx, pattern)
		if err != nil {
			return err
		}
		if !stood {
			return ErrNotFrozen
		}
		if err := tx.AddEvents(ctx, store.Event{Actor: o.Actor, Kind: "freeze-removed", Detail: strings.TrimSuffix(pattern+": "+o.Note, ": ")}); err != nil {
			return err
		}
		return wake(ctx, tx, 0)
	})
}

// frozen says why the freeze list in the database keeps a project from beginning,
// nil when it does not. Of several it is the one that lasts longest.
func frozen(ctx context.Context, tx *store.Store, path string) (*closed, error) {
	list, err := tx.Freezes(ctx)
	if err != nil {
		return nil, err
	}
	var by *store.Freeze
	for i, f := range list {
		if calendar.Matches(f.Pattern, path) && (by == nil || by.Until != nil && (f.Until == nil || f.Until.After(*by.Until))) {
			by = &list[i]
		}
	}
	if by == nil {
		return nil, nil
	}
	c := &closed{reason: gateFrozen, next: "enqueue freeze remove '" + by.Pattern + "', when it may begin"}
	c.message = fmt.Sprintf("%s is on the freeze list (%s, by %s)", path, by.Pattern, by.Actor)
	if by.Until != nil {
		c.until, c.next = *by.Until, "nothing; it begins by itself"
		c.message += " until " + by.Until.UTC().Format(time.DateTime) + " UTC"
	}
	c.message += ": " + by.Note
	return c, nil
}
