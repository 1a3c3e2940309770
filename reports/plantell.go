package reports

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"
)

// Text writes the plan for a terminal: the sums, the causes for which humans are
// needed, and a line a project; of a single project everything.
func (p Plan) Text(w io.Writer) error {
	if _, err := fmt.Fprintln(w, line(p.headline())); err != nil {
		return err
	}
	for _, f := range p.facts() {
		if _, err := fmt.Fprintf(w, "  %-14s %s\n", f.name, line(f.text)); err != nil {
			return err
		}
	}
	for _, t := range p.tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	if len(p.Projects) != 1 {
		return nil
	}
	for _, t := range p.Projects[0].tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	if d := p.Projects[0].Diff; d != "" {
		if _, err := fmt.Fprintf(w, "\nChange of its files\n%s", visible(d)); err != nil {
			return err
		}
	}
	return nil
}

// visible keeps the lines of a diff and takes out what could steer a terminal.
func visible(diff string) string {
	var b strings.Builder
	for l := range strings.Lines(diff) {
		b.WriteString(strings.Map(func(r rune) rune {
			if r != '\t' && r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
				return ' '
			}
			return r
		}, strings.TrimRight(l, "\r\n")))
		b.WriteByte('\n')
	}
	return b.String()
}

func (p Plan) headline() string {
	id := "A plan"
	if p.ID != 0 {
		id = fmt.Sprintf("Plan %d", p.ID)
	}
	return fmt.Sprintf("%s of %s by %s at %s. Nothing was written.", id, count(p.Totals.Projects, "project"), p.Actor, stamp(p.At))
}

// facts are the sums.
func (p Plan) facts() []fact {
	t := p.Totals
	all := []fact{
		{name: "without human", text: fmt.Sprintf("%.0f %% of those with something to migrate (%s)", 100*t.Share, counts(t.Verdicts, []string{Automatic, NeedsHuman, Blocked, Skip, Unreadable}))},
		{name: "images", text: counts(t.Images, nil)},
		{name: "left out", text: counts(t.LeftOut, nil)},
		{name: "bytes", text: fmt.Sprintf("%s to move, %s there already", size(t.Bytes.Move), size(t.Bytes.There))},
		{name: "files", text: fmt.Sprintf("of %s change", count(t.Changed, "project"))},
		{name: "findings", text: counts(t.Findings, []string{"blocking", "warning", "note"})},
		{name: "requests", text: counts(t.Requests, nil)},
		{name: "time", text: "about " + span(time.Duration(t.Seconds*float64(time.Second))) + ", waits for humans aside"},
	}
	return slices.DeleteFunc(all, func(f fact) bool { return f.text == "" })
}

// counts is "3 copied, 1 left-out", in the given order or by name.
func counts(m map[string]int, order []string) string {
	if order == nil {
		order = slices.Sorted(maps.Keys(m))
	}
	var parts []string
	for _, k := range order {
		if m[k] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", m[k], k))
		}
	}
	return strings.Join(parts, ", ")
}

func (p Plan) tables() []*table {
	causes := &table{title: "What needs a human", header: []string{"cause", "projects", "blocking", "examples", "remedy"}}
	for _, c := range p.Totals.Blockers {
		causes.add(c.Cause, fmt.Sprint(c.Projects), fmt.Sprint(c.Blocking), strings.Join(c.Examples, ", "), c.Remedy)
	}
	projects := &table{title: "Projects", header: []string{"project", "verdict", "to move", "images", "files", "findings", "why"}}
	for _, q := range p.Projects {
		files, n := "", map[string]int{}
		if q.Diff != "" {
			files = "change"
		}
		for _, i := range q.Images {
			n[i.State]++
		}
		severities := map[string]int{}
		for _, f := range q.Findings {
			severities[f.Severity]++
		}
		projects.add(q.Project, q.Verdict, size(q.Bytes.Move), counts(n, nil), files, counts(severities, []string{"blocking", "warning", "note"}), q.Why)
	}
	return []*table{causes, projects}
}

func (q ProjectPlan) tables() []*table {
	blockers := &table{title: "For a human", header: []string{"cause", "why", "remedy"}}
	for _, b := range q.Blockers {
		blockers.add(b.Cause, b.Why, b.Remedy)
	}
	images := &table{title: "Images", header: []string{"old", "new", "state", "size", "reason"}}
	for _, i := range q.Images {
		images.add(i.Source, i.Target, i.State, size(i.Bytes), i.Reason)
	}
	findings := &table{title: "Findings", header: []string{"severity", "code", "where", "text", "message", "remedy"}, below: 2}
	for _, f := range q.Findings {
		findings.add(f.Severity, f.Code, f.where(), f.Text, f.Message, f.Remedy)
	}
	return []*table{blockers, images, findings}
}

// Text writes the differences for a terminal.
func (d PlanDiff) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Plan %d compared with plan %d: without a human %.0f %% (was %.0f %%), to move %s (was %s), %s.\n",
		d.After, d.Before, 100*d.Share[1], 100*d.Share[0], size(d.Move[1]), size(d.Move[0]), count(len(d.Changes), "project")+" differ")
	for _, c := range d.Changes {
		if err == nil {
			_, err = fmt.Fprintf(w, "\n%s\n", line(c.Project))
		}
		for _, what := range c.What {
			if err == nil {
				_, err = fmt.Fprintf(w, "  %s\n", line(what))
			}
		}
	}
	return err
}

// JSON writes the differences as one indented object.
func (d PlanDiff) JSON(w io.Writer) error { return encode(w, d) }
