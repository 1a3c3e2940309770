package reports

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
)

// Text writes the report for a terminal: the latest run, a line a state that
// somebody is in, a line a project, a line a cause of failure.
func (r Report) Text(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "%s\n", line(r.headline())); err != nil {
		return err
	}
	for _, t := range r.tables() {
		if err := t.text(w); err != nil {
			return err
		}
	}
	return nil
}

// Markdown writes the report as Markdown.
func (r Report) Markdown(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "# Migration to ECR\n\n%s\n", plain(r.headline())); err != nil {
		return err
	}
	for _, t := range r.tables() {
		if err := t.markdown(w); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) headline() string {
	total := int64(0)
	for _, p := range r.Progress {
		total += p.Projects
	}
	text := fmt.Sprintf("%s at %s.", count(total, "project"), stamp(r.At))
	if r.Run == nil {
		return text + " Nobody has enqueued anything yet."
	}
	text += fmt.Sprintf(" Latest run: %d (%s) by %s, %s ago, %s: %s seen, %d enrolled, %d left out.",
		r.Run.ID, r.Run.Kind, r.Run.Actor, ago(r.At, r.Run.CreatedAt), r.Run.State,
		count(r.Run.Seen, "project"), r.Run.Enrolled, r.Run.LeftOut)
	if r.Run.Message != "" {
		text += " " + r.Run.Message
	}
	return text
}

func (r Report) tables() []*table {
	progress := &table{title: "Progress", header: []string{"state", "projects", "oldest", "copied", "present", "left out", "to copy", "problems", "bytes copied"}}
	for _, p := range r.Progress {
		if p.Projects == 0 {
			continue
		}
		oldest := ""
		if p.Oldest != nil {
			oldest = ago(r.At, *p.Oldest)
		}
		i := p.Images
		progress.add(p.State, fmt.Sprint(p.Projects), oldest, fmt.Sprint(i.Copied), fmt.Sprint(i.Present),
			fmt.Sprint(i.LeftOut), fmt.Sprint(i.Planned), fmt.Sprint(i.Problems), size(i.BytesCopied))
	}
	projects := &table{title: "Projects", header: []string{"project", "state", "step", "since", "images", "findings", "reason", "why", "next"}}
	waves := slices.ContainsFunc(r.Projects, func(p Project) bool { return p.Wave != "" })
	if waves {
		projects.header = slices.Insert(projects.header, 1, "wave")
	}
	for _, p := range r.Projects {
		row := []string{p.Path, p.State, p.Step, ago(r.At, p.Since), p.Images.short(), p.Findings.short(), p.Reason, p.explain(r.At), p.Next}
		if waves {
			row = slices.Insert(row, 1, p.Wave)
		}
		projects.add(row...)
	}
	failures := &table{title: "Causes of failure", header: []string{"reason", "state", "step", "projects", "oldest", "examples", "why", "remedy"}}
	for _, f := range r.Failures {
		examples := strings.Join(f.Examples, ", ")
		if more := f.Projects - int64(len(f.Examples)); more > 0 {
			examples += fmt.Sprintf(" and %d more", more)
		}
		failures.add(cmp.Or(f.Reason, "unknown"), f.State, f.Step, fmt.Sprint(f.Projects), ago(r.At, f.Oldest), examples, f.Why, f.Remedy)
	}
	return []*table{progress, projects, failures}
}

// short is how many of the images that are wanted in ECR are there, and what else there is to say.
func (i Images) short() string {
	there, wanted := i.Copied+i.Present, i.Copied+i.Present+i.Planned+i.Problems
	if wanted+i.LeftOut == 0 {
		return ""
	}
	text := fmt.Sprintf("%d/%d", there, wanted)
	if i.LeftOut > 0 {
		text += fmt.Sprintf(" -%d", i.LeftOut)
	}
	if i.Problems > 0 {
		text += fmt.Sprintf(" !%d", i.Problems)
	}
	return text
}

func (f Findings) short() string {
	var parts []string
	if f.Blocking > 0 {
		parts = append(parts, fmt.Sprintf("%d blocking", f.Blocking))
	}
	if f.Warnings > 0 {
		parts = append(parts, count(f.Warnings, "warning"))
	}
	if f.Notes > 0 {
		parts = append(parts, count(f.Notes, "note"))
	}
	return strings.Join(parts, ", ")
}

// explain says why a project is where it is, and for a wait until when.
func (p Project) explain(at time.Time) string {
	text := p.Why
	if p.WaitingFor != "" {
		text = "waits for " + p.WaitingFor
		if !strings.HasSuffix(p.Why, p.WaitingFor) { // which says no more
			text = strings.TrimSpace(text + ". " + p.Why)
		}
		if p.NextLookAt != nil && p.NextLookAt.After(at) {
			text += fmt.Sprintf(" (looks again in %s)", span(p.NextLookAt.Sub(at)))
		}
	}
	return text
}

// stamp is a time for people.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }
