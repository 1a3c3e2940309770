package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
)

// rewritten is what came out of a rewrite.
type rewritten struct {
	in      ciconfig.Input
	res     *ciconfig.Result
	written bool
}

// verdict turns the outcome into an exit code.
func (r *rewritten) verdict() error {
	switch {
	case r.res.Blocked(), len(r.res.Edits) == 0 && r.count(ciconfig.Warning) > 0:
		return &coded{code: exitAttention}
	case len(r.res.Edits) > 0:
		return &coded{code: exitChanged}
	}
	return nil
}

func (r *rewritten) count(s ciconfig.Severity) (n int) {
	for _, f := range r.res.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// The JSON of enqueue rewrite; docs/rewriting.md explains it.
type (
	rewriteJSON struct {
		Project    string        `json:"project"`
		Verdict    string        `json:"verdict"` // unchanged, changed, attention
		Blocked    bool          `json:"blocked"`
		Written    bool          `json:"written"`
		Files      []string      `json:"files"`
		Diff       string        `json:"diff"`
		Findings   []findingJSON `json:"findings"`
		Mapping    []mappedJSON  `json:"mapping"`
		PushedTags []string      `json:"pushed_tags"`
		References []string      `json:"references"`
		Unread     []unreadJSON  `json:"unread_includes"`
	}
	findingJSON struct {
		Code     ciconfig.Code     `json:"code"`
		Severity ciconfig.Severity `json:"severity"`
		File     string            `json:"file"`
		Line     int               `json:"line"`
		Column   int               `json:"column"`
		Text     string            `json:"text"`
		Message  string            `json:"message"`
		Also     []string          `json:"also,omitempty"`
		Remedy   string            `json:"remedy"`
		Owner    ciconfig.Owner    `json:"owner"`
	}
	mappedJSON struct {
		Old string `json:"old"`
		New string `json:"new"`
	}
	unreadJSON struct {
		Kind string `json:"kind"`
		Name string `json:"name"`
		Why  string `json:"why"`
	}
)

func (r *rewritten) asJSON() rewriteJSON {
	out := rewriteJSON{
		Project: r.in.Project.Path, Verdict: "unchanged", Blocked: r.res.Blocked(), Written: r.written,
		Files: []string{}, Diff: r.res.Diff(), Findings: []findingJSON{}, Mapping: []mappedJSON{},
		PushedTags: append([]string{}, r.res.PushedTags...), References: append([]string{}, r.res.References...), Unread: []unreadJSON{},
	}
	if c, ok := r.verdict().(*coded); ok {
		out.Verdict = map[int]string{exitChanged: "changed", exitAttention: "attention"}[c.code]
	}
	for _, e := range r.res.Edits {
		out.Files = append(out.Files, e.Path)
	}
	for _, f := range r.res.Findings {
		out.Findings = append(out.Findings, findingJSON{f.Code, f.Severity, f.File, f.Line, f.Column, f.Text, f.Message, f.Also, f.Remedy, f.Owner})
	}
	for _, m := range r.res.Mapping {
		out.Mapping = append(out.Mapping, mappedJSON(m))
	}
	for _, i := range r.unread() {
		out.Unread = append(out.Unread, unreadJSON{i.Kind, i.String(), i.Missing})
	}
	return out
}

// unread are the includes that could not be looked at.
func (r *rewritten) unread() []ciconfig.Included {
	return slices.DeleteFunc(slices.Clone(r.in.Included), func(i ciconfig.Included) bool { return i.Missing == "" })
}

// ink colours text for a terminal, as SGR numbers; 0 leaves all as it is.
type ink bool

func (on ink) of(sgr, text string) string {
	if !on || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

var severityInk = map[ciconfig.Severity]string{ciconfig.Blocking: "1;31", ciconfig.Warning: "33", ciconfig.Note: "36"}

// print writes the diff, the findings, and what to do next. All but the diff is
// text that patch and git apply skip.
func (r *rewritten) print(w io.Writer, getenv func(string) string) error {
	color := ink(isTerminal(w) && getenv("NO_COLOR") == "" && getenv("TERM") != "dumb")
	var b strings.Builder
	for line := range strings.Lines(r.res.Diff()) {
		if color { // what a file holds must not steer the terminal
			line = color.of(diffInk(line), visible(strings.TrimSuffix(line, "\n"))) + "\n"
		}
		b.WriteString(line)
	}
	if b.Len() > 0 {
		b.WriteString("\n")
	}
	for _, s := range []ciconfig.Severity{ciconfig.Blocking, ciconfig.Warning, ciconfig.Note} {
		if s == ciconfig.Warning && r.res.Blocked() && r.count(ciconfig.Blocking) < len(r.res.Findings) {
			b.WriteString(color.of("1", "What the rewrite would tell besides, once nothing blocks it") + "\n\n")
		}
		for _, group := range r.byCode(s) {
			writeFindings(&b, color, group)
		}
	}
	if unread := r.unread(); len(unread) > 0 {
		b.WriteString(color.of("1", "Includes that were not looked at") + "\n")
		for _, i := range unread {
			fmt.Fprintf(&b, "  %s %s: %s\n", i.Kind, visible(i.String()), visible(i.Missing))
		}
		b.WriteString("\n")
	}
	b.WriteString(r.summary())
	_, err := io.WriteString(w, b.String())
	return err
}

func diffInk(line string) string {
	switch {
	case strings.HasPrefix(line, "---"), strings.HasPrefix(line, "+++"):
		return "1"
	case strings.HasPrefix(line, "@@"):
		return "36"
	case strings.HasPrefix(line, "-"):
		return "31"
	case strings.HasPrefix(line, "+"):
		return "32"
	}
	return "0"
}

// byCode groups the findings of a severity, each code and cause where it comes first.
func (r *rewritten) byCode(s ciconfig.Severity) [][]ciconfig.Finding {
	type key struct {
		code    ciconfig.Code
		meaning string
	}
	var groups [][]ciconfig.Finding
	at := map[key]int{}
	for _, f := range r.res.Findings {
		if f.Severity != s {
			continue
		}
		text, _ := meaning(f)
		k := key{f.Code, text}
		n, ok := at[k]
		if !ok {
			n = len(groups)
			at[k] = n
			groups = append(groups, nil)
		}
		groups[n] = append(groups[n], f)
	}
	return groups
}

// meaning is what a finding says without the names that it is about, and without its
// further places, which also has.
func meaning(f ciconfig.Finding) (text, also string) {
	text, also, _ = strings.Cut(f.Message, "; also in ")
	if f.Detail != "" {
		text = strings.TrimSuffix(text, " ("+f.Names()+")")
	}
	return text, also
}

// writeFindings writes findings of one code and cause: what it means once, then the
// places; and what to do once, or at each place where that differs.
func writeFindings(b *strings.Builder, color ink, group []ciconfig.Finding) {
	first := group[0]
	alike := !slices.ContainsFunc(group, func(f ciconfig.Finding) bool { return f.Remedy != first.Remedy })
	fmt.Fprintf(b, "%s %s (for the %s)\n", color.of(severityInk[first.Severity], string(first.Severity)), color.of("1", string(first.Code)), first.Owner)
	text, _ := meaning(first)
	writeWrapped(b, "  ", visible(text)+".")
	if alike {
		writeWrapped(b, "  What to do: ", visible(first.Remedy)+".")
	}
	for _, f := range group {
		place := f.File
		if f.Line > 0 {
			place = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
		}
		fmt.Fprintf(b, "    %s\n", color.of("4", visible(place)))
		if f.Text != "" {
			fmt.Fprintf(b, "        %s\n", visible(f.Text))
		}
		if f.Detail != "" && f.Detail != f.Text {
			fmt.Fprintf(b, "        %s\n", color.of("2", "("+visible(f.Names())+")"))
		}
		if _, also := meaning(f); also != "" {
			writeWrapped(b, "        also in ", visible(also))
		}
		if !alike {
			writeWrapped(b, "        What to do: ", visible(f.Remedy)+".")
		}
	}
	b.WriteString("\n")
}

// writeWrapped writes text in lines of up to 80 characters, the first behind
// head and the others below it.
func writeWrapped(b *strings.Builder, head, text string) {
	width := len(head)
	below := strings.Repeat(" ", len(head)-len(strings.TrimLeft(head, " "))+2)
	b.WriteString(head)
	for i, word := range strings.Fields(text) {
		if i > 0 && width+1+len(word) > 80 {
			b.WriteString("\n" + below)
			width = len(below)
		} else if i > 0 {
			b.WriteString(" ")
			width++
		}
		b.WriteString(word)
		width += len(word)
	}
	b.WriteString("\n")
}

// summary says what came of it and what comes next.
func (r *rewritten) summary() string {
	var s string
	switch files := plural(len(r.res.Edits), "file"); {
	case r.res.Blocked():
		s = "Not rewritten."
	case len(r.res.Edits) == 0:
		s = "No file needs a change."
	case r.written:
		s = files + " changed."
	default:
		s = files + " would change; nothing was written."
	}
	s = fmt.Sprintf("%s: %s Findings: %d blocking, %s, %s.", r.in.Project.Path, s,
		r.count(ciconfig.Blocking), plural(r.count(ciconfig.Warning), "warning"), plural(r.count(ciconfig.Note), "note"))
	switch {
	case r.res.Blocked():
		s += "\nNo file is changed while a finding blocks: act on what blocks, then start again."
	case len(r.res.Edits) > 0 && !r.written:
		s += "\nAdd --write to change the files."
	}
	return s + "\n"
}

func plural(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// visible makes control characters of a file's text visible.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) && r != '\t' {
			return unicode.ReplacementChar
		}
		return r
	}, s)
}
