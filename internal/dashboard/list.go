package dashboard

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// pageLength is how many projects stand on a page of the list.
const pageLength = 50

// list is the body of the list of projects.
type list struct {
	Rows        []store.Listed
	Total       int
	First, Last int // of the rows, counted from 1

	Text, State, Group, Cause, Step, Wave string
	Filtered                              bool

	States []option
	Groups []option
	Causes []option
	Steps  []option
	Waves  []option

	Columns        []column
	Order          string // what the form must repeat
	Down           bool
	Before, Behind string // links to the pages, "" for none
}

// option is an entry of a select.
type option struct {
	Value, Name string
	Chosen      bool
}

// column is a heading that sorts.
type column struct {
	Name, Link string
	Class      string
	Sorted     string // ascending, descending, or "" for aria-sort
}

func (s *server) list(r *http.Request, f *frame) error {
	f.Page, f.Title, f.Here = "list", "Projects", "projects"
	ctx := r.Context()
	if err := s.alive(ctx, f, 0); err != nil {
		return err
	}
	q := r.URL.Query()
	l := &list{
		Text: q.Get("q"), State: q.Get("state"), Group: q.Get("group"), Cause: q.Get("cause"), Step: q.Get("step"), Wave: q.Get("wave"),
		Order: q.Get("sort"), Down: q.Get("down") != "",
	}
	f.Body = l
	l.Filtered = l.Text+l.State+l.Group+l.Cause+l.Step+l.Wave != ""
	if _, ok := store.ListOrders[l.Order]; !ok && l.Order != "" {
		return fmt.Errorf("%w: a list can't be sorted by %q", errWrongUse, l.Order)
	}
	number, err := strconv.Atoi(q.Get("page"))
	if q.Get("page") != "" && (err != nil || number < 1 || number > 1_000_000) {
		return fmt.Errorf("%w: there is no page %q", errWrongUse, q.Get("page"))
	}
	number = max(1, number)
	filter := store.ListFilter{
		Text: l.Text, Group: l.Group, Reason: l.Cause, Step: store.StepName(l.Step), Wave: l.Wave,
		Order: l.Order, Descending: l.Down, Limit: pageLength, Offset: (number - 1) * pageLength,
	}
	filter.States = statesOf(l.State)
	if l.Rows, l.Total, err = s.Store.List(ctx, filter); err != nil {
		return err
	}
	if len(l.Rows) == 0 && number > 1 { // the list has become shorter
		number, filter.Offset = 1, 0
		if l.Rows, l.Total, err = s.Store.List(ctx, filter); err != nil {
			return err
		}
	}
	l.First, l.Last = filter.Offset+1, filter.Offset+len(l.Rows)
	if number > 1 {
		l.Before = with(q, "page", strconv.Itoa(number-1))
	}
	if l.Last < l.Total {
		l.Behind = with(q, "page", strconv.Itoa(number+1))
	}
	l.head(q)
	return s.choices(ctx, l)
}

// statesOf reads the state of a filter: a state, or the name of a group of them.
func statesOf(word string) []store.State {
	switch word {
	case "":
		return nil
	case "active":
		return []store.State{store.StateQueued, store.StateRunning, store.StateWaiting}
	case "stopped":
		return []store.State{store.StateFailed, store.StateAttention}
	}
	return []store.State{store.State(word)}
}

// with is the list's address with one value changed, and without it when empty.
func with(q url.Values, key, value string) string {
	next := url.Values{}
	for k, vs := range q {
		if k != "page" && k != key && k != "did" && len(vs) > 0 && vs[0] != "" {
			next.Set(k, vs[0])
		}
	}
	if value != "" {
		next.Set(key, value)
	}
	if len(next) == 0 {
		return "/projects"
	}
	return "/projects?" + next.Encode()
}

// head makes the headings: a click sorts, a second one the other way round.
func (l *list) head(q url.Values) {
	for _, c := range []struct{ name, order, class string }{
		{"Project", "path", ""}, {"State", "state", ""}, {"Step", "step", ""}, {"Since", "since", ""}, {"Why", "cause", "wide"},
		{"Images", "", "number"}, {"Findings", "", "number"}, {"Attempt", "attempt", "number"},
	} {
		head := column{Name: c.name, Class: c.class}
		if c.order != "" {
			chosen := c.order == l.Order || l.Order == "" && c.order == "path"
			next := url.Values{}
			for k, vs := range q {
				if k != "down" {
					next[k] = vs
				}
			}
			if chosen && !l.Down {
				next.Set("down", "1")
			}
			head.Link = with(next, "sort", c.order)
			if chosen {
				head.Sorted = "ascending"
				if l.Down {
					head.Sorted = "descending"
				}
			}
		}
		l.Columns = append(l.Columns, head)
	}
}

// choices fills the selects with what there is.
func (s *server) choices(ctx context.Context, l *list) error {
	states, err := s.Store.States(ctx)
	if err != nil {
		return err
	}
	in := map[string]int{}
	for _, t := range states {
		in[t.Word] = t.Projects
	}
	l.States = []option{{"active", "under way or waiting", l.State == "active"}, {"stopped", "failed or needs attention", l.State == "stopped"}}
	for _, st := range shown {
		if word := string(st); in[word] > 0 || l.State == word {
			l.States = append(l.States, option{word, fmt.Sprintf("%s (%s)", stateWord(st), count(in[word])), l.State == word})
		}
	}
	groups, err := s.Store.Groups(ctx)
	if err != nil {
		return err
	}
	l.Groups = options(groups, l.Group)
	causes, err := s.Store.Reasons(ctx)
	if err != nil {
		return err
	}
	waves, err := s.Store.WaveNames(ctx)
	if err != nil {
		return err
	}
	l.Waves = options(waves, l.Wave)
	slices.SortStableFunc(causes, func(a, b store.Tally) int { return b.Projects - a.Projects })
	l.Causes = options(causes, l.Cause)
	for _, step := range append(slices.Clone(store.StepOrder), store.StepRestore) {
		l.Steps = append(l.Steps, option{string(step), string(step), string(step) == l.Step})
	}
	return nil
}

// options makes a select's entries; what is chosen stays among them even when
// there is none of it any more.
func options(tallies []store.Tally, chosen string) []option {
	var out []option
	found := chosen == ""
	for _, t := range tallies {
		out = append(out, option{t.Word, fmt.Sprintf("%s (%s)", t.Word, count(t.Projects)), t.Word == chosen})
		found = found || t.Word == chosen
	}
	if !found {
		out = append(out, option{chosen, chosen, true})
	}
	return out
}
