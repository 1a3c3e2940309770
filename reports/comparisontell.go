package reports

import (
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Text writes the comparison for a terminal.
func (c Comparison) Text(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s: %s\n", line(c.Project), line(c.headline())); err != nil {
		return err
	}
	for _, t := range c.tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	return nil
}

// Markdown writes the comparison as Markdown.
func (c Comparison) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "# %s\n\n%s\n", plain(c.Project), plain(c.headline())); err != nil {
		return err
	}
	for _, t := range c.tables() {
		if err := t.markdown(w); err != nil {
			return err
		}
	}
	return nil
}

// headline says in a sentence what went otherwise.
func (c Comparison) headline() string {
	b, a := c.Before, c.After
	text := fmt.Sprintf("attempt %d ended %s, attempt %d %s.", b.Attempt.Attempt, b.outcome(), a.Attempt.Attempt, a.outcome())
	gone, fresh := 0, 0
	for _, f := range c.Findings {
		if f.Change == Gone {
			gone++
		} else {
			fresh++
		}
	}
	return text + fmt.Sprintf(" %s gone, %d new, %d as before; %s otherwise, %d as before; %s otherwise, %d as before.",
		count(gone, "finding"), fresh, c.Same.Findings, count(len(c.Images), "image"), c.Same.Images, count(len(c.Evidence), "answer"), c.Same.Evidence)
}

func (s Side) outcome() string {
	text := s.State
	if s.Step != "" && s.Step != string(store.StepDone) {
		text += " at " + s.Step
	}
	if s.Reason != "" {
		text += " (" + s.Reason + ")"
	}
	return text
}

// Table is rows under a heading, for whoever sets them by themselves.
type Table struct {
	Title  string
	Header []string
	Rows   [][]string
}

// Sentence says what went otherwise.
func (c Comparison) Sentence() string { return c.headline() }

// Tables are what differs in detail, those without rows left out.
func (c Comparison) Tables() []Table {
	var out []Table
	for _, t := range c.differences() {
		if len(t.rows) > 0 {
			out = append(out, Table{t.title, t.header, t.rows})
		}
	}
	return out
}

func (c Comparison) tables() []*table {
	all := c.differences()
	if len(c.Attempts) > 2 {
		attempts := &table{title: "All attempts", header: []string{"attempt", "began", "state", "step", "reason", "why"}}
		for _, m := range c.Attempts {
			attempts.add(fmt.Sprint(m.Attempt), stamp(m.CreatedAt), m.State, m.Step, m.Reason, m.Why)
		}
		all = append(all, attempts)
	}
	return all
}

func (c Comparison) differences() []*table {
	b, a := fmt.Sprintf("attempt %d", c.Before.Attempt.Attempt), fmt.Sprintf("attempt %d", c.After.Attempt.Attempt)
	sides := &table{title: "The two attempts", header: []string{"", b, a}}
	for _, row := range []struct {
		name string
		of   func(Side) string
	}{
		{"kind", func(s Side) string { return s.Kind }},
		{"began", func(s Side) string { return stamp(s.CreatedAt) }},
		{"state", Side.outcome},
		{"why", func(s Side) string { return s.Why }},
		{"took", func(s Side) string { return seconds(s.Seconds) }},
		{"of that at work", func(s Side) string { return seconds(s.Worked) }},
		{"tries", func(s Side) string { return fmt.Sprint(s.Tries) }},
		{"copied", func(s Side) string { return size(s.BytesCopied) }},
		{"commit", func(s Side) string { return s.CommitSHA }},
		{"pipeline", func(s Side) string { return s.PipelineURL }},
	} {
		if was, is := row.of(c.Before), row.of(c.After); was != "" || is != "" {
			sides.add(row.name, was, is)
		}
	}
	steps := &table{title: "Steps", header: []string{"step", b, a}}
	for _, s := range c.Steps {
		steps.add(s.Name, s.Before.tell(), s.After.tell())
	}
	findings := &table{title: "Findings that differ", header: []string{"", "severity", "code", "place", "message", "remedy"}}
	for _, f := range c.Findings {
		place := f.File
		if place != "" && f.Line > 0 {
			place += fmt.Sprintf(":%d", f.Line)
		}
		findings.add(f.Change, f.Severity, f.Code, place, f.Message, f.Remedy)
	}
	images := &table{title: "Images that differ", header: []string{"", "image", b, a}}
	for _, i := range c.Images {
		images.add(i.Change, i.Source, i.Before.tell(), i.After.tell())
	}
	evidence := &table{title: "Evidence that differs", header: []string{"", "question", "environment", b, a}}
	for _, e := range c.Evidence {
		evidence.add(e.Change, e.Name, e.Environment, e.Before.tell(), e.After.tell())
	}
	return []*table{sides, steps, findings, images, evidence}
}

func (t *StepTotal) tell() string {
	if t == nil {
		return "not reached"
	}
	text := fmt.Sprintf("%s, %s", t.Outcome, seconds(t.Seconds))
	if t.Tries > 1 {
		text += fmt.Sprintf(", %d tries", t.Tries)
	}
	if t.Reason != "" {
		text += ", " + t.Reason
	}
	if t.Error != "" {
		text += ": " + t.Error
	}
	return text
}

func (i *Image) tell() string {
	if i == nil {
		return ""
	}
	text := strings.TrimSpace(i.State + " " + i.Target)
	if i.SourceDigest != "" {
		text += " of " + short(i.SourceDigest)
	}
	if i.Reason != "" {
		text += " (" + i.Reason + ")"
	}
	return text
}

func (e *Evidence) tell() string {
	if e == nil {
		return ""
	}
	return e.Result + ": " + e.Detail
}

func short(digest string) string {
	if _, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		return hex[:12]
	}
	return digest
}

func seconds(s float64) string { return span(time.Duration(s * float64(time.Second))) }
