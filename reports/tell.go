package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Text writes the story for a terminal.
func (s Story) Text(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n", line(s.Project.Path))
	for _, f := range s.facts() {
		fmt.Fprintf(&b, "  %-14s %s\n", f.name, line(f.text))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	for _, t := range s.tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	return nil
}

// Markdown writes the story as Markdown.
func (s Story) Markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n", link(s.Project.Path, s.Project.URL))
	for _, f := range s.facts() {
		text := plain(f.text)
		if f.url {
			text = link(f.text, f.text)
		}
		fmt.Fprintf(&b, "- %s: %s\n", f.name, text)
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return err
	}
	for _, t := range s.tables() {
		if err := t.markdown(w); err != nil {
			return err
		}
	}
	return nil
}

type fact struct {
	name, text string
	url        bool
}

// facts are what is known of the project, without what is empty.
func (s Story) facts() []fact {
	p := s.Project
	state := p.State
	if p.MigrationID == 0 {
		state += " (never enqueued)"
	} else {
		state += fmt.Sprintf(" at step %s since %s, attempt %d", p.Step, stamp(p.Since), p.Attempt)
	}
	deadline := ""
	if p.DeadlineAt != nil {
		deadline = stamp(*p.DeadlineAt)
	}
	all := []fact{
		{name: "state", text: state},
		{name: "reason", text: p.Reason},
		{name: "why", text: p.explain(s.At)},
		{name: "gives up at", text: deadline},
		{name: "next", text: p.Next},
		{name: "repository", text: p.Repository},
		{name: "commit", text: p.CommitSHA},
		{name: "merge request", text: p.MergeRequestURL, url: true},
		{name: "pipeline", text: p.PipelineURL, url: true},
		{name: "images", text: p.Images.long()},
	}
	var known []fact
	for _, f := range all {
		if f.text != "" {
			known = append(known, f)
		}
	}
	return known
}

// long spells the counts out.
func (i Images) long() string {
	var parts []string
	for _, c := range []struct {
		n    int64
		what string
	}{
		{i.Copied, "copied (" + size(i.BytesCopied) + ")"}, {i.Present, "there already"}, {i.Planned, "to be copied"},
		{i.LeftOut, "left out"}, {i.Problems, "with a problem"},
	} {
		if c.n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", c.n, c.what))
		}
	}
	return strings.Join(parts, ", ")
}

func (s Story) tables() []*table {
	findings := &table{title: "Findings", header: []string{"severity", "code", "where", "text", "message", "remedy", "owner"}, below: 3}
	for _, f := range s.Findings {
		findings.add(f.Severity, f.Code, f.where(), f.Text, f.Message, f.help(), f.Owner)
	}
	steps := &table{title: "Steps", header: []string{"step", "try", "outcome", "began", "took", "worker", "request", "reason", "error"}}
	for _, looks := range waits(s.Steps) {
		first, p, took := looks[0], looks[len(looks)-1], ""
		try := fmt.Sprint(p.Try)
		if len(looks) > 1 {
			try = fmt.Sprintf("%d-%d", first.Try, p.Try)
		}
		if p.Seconds != nil {
			took = span(time.Duration(*p.Seconds * float64(time.Second)))
		}
		steps.add(p.Name, try, p.Outcome, stamp(first.StartedAt), took, p.Worker, p.Request, p.Reason, p.Error)
	}
	evidence := &table{title: "Evidence", header: []string{"question", "environment", "subject", "answer", "detail"}}
	for _, e := range s.Evidence {
		evidence.add(e.Name, e.Environment, e.Subject, e.Result, e.Detail)
	}
	images := &table{title: "Images", header: []string{"source", "target", "state", "size", "reason"}}
	for _, i := range s.Images {
		images.add(i.Source, i.Target, i.State, size(i.Bytes), i.Reason)
	}
	attempts := &table{title: "Earlier attempts", header: []string{"attempt", "state", "step", "began", "reason", "why"}}
	for _, a := range s.Attempts {
		if a.MigrationID != s.Project.MigrationID {
			attempts.add(fmt.Sprint(a.Attempt), a.State, a.Step, stamp(a.CreatedAt), a.Reason, a.Why)
		}
	}
	events := &table{title: "Log", header: []string{"at", "who", "what", "system", "detail", "url"}}
	for _, e := range s.Events {
		events.add(stamp(e.At), e.Actor, e.Kind, e.System, e.Detail, e.URL)
	}
	return []*table{findings, steps, evidence, images, attempts, events}
}

// waits puts the looks of a wait together, which follow each other: a wait of days
// is a line, and not hundreds.
func waits(steps []Step) (out [][]Step) {
	for i, p := range steps {
		if i > 0 && p.Outcome == string(store.OutcomeWaiting) {
			before := steps[i-1]
			if p.Name == before.Name && p.Outcome == before.Outcome && p.Reason == before.Reason {
				out[len(out)-1] = append(out[len(out)-1], p)
				continue
			}
		}
		out = append(out, []Step{p})
	}
	return out
}

// help is the remedy, and for a failed job what trying again is good for.
func (f Finding) help() string {
	again, ok := map[string]string{
		"never":        "trying again fails the same way",
		"job-once":     "it is tried again once, by itself",
		"after-remedy": "then enqueue the project again",
		"later":        "enqueue the project again after a while",
	}[f.Retry]
	switch {
	case !ok:
		return f.Remedy
	case f.Remedy == "":
		return again
	}
	return f.Remedy + "; " + again
}

// where is file:line:column as far as it is known.
func (f Finding) where() string {
	text := f.File
	if f.Line > 0 {
		text += fmt.Sprintf(":%d", f.Line)
		if f.Column > 0 {
			text += fmt.Sprintf(":%d", f.Column)
		}
	}
	return text
}
