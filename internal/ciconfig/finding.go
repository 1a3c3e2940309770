package ciconfig

import (
	"fmt"
	"slices"
	"strings"
)

// Code names a kind of finding. The vocabulary is closed; docs/findings.md
// explains each.
type Code string

// Severity says what a finding means for the rewrite.
type Severity string

// Severities.
const (
	Blocking Severity = "blocking" // nothing may be written before a person has acted
	Warning  Severity = "warning"  // the rewrite stands, somebody should act
	Note     Severity = "note"     // for information
)

// Owner is who can remedy a finding.
type Owner string

// Owners.
const (
	OwnerProject  Owner = "project"
	OwnerPlatform Owner = "platform"
	OwnerTemplate Owner = "template-owner"
)

// Finding is something that a person should know or do.
type Finding struct {
	Code         Code
	Severity     Severity
	File         string
	Line, Column int
	Text         string   // what stands there
	Message      string   // what is wrong with it, with the detail in brackets
	Detail       string   // which names or values it is about, joined by ", "; may be empty
	Also         []string // further places with the same cause, file:line
	Remedy       string   // what to do
	Owner        Owner

	cause   string // findings with one cause are gathered
	meaning string // the message without the names
}

// kind describes a code: one entry of docs/findings.md.
type kind struct {
	severity Severity
	owner    Owner
	meaning  string
	example  string
	remedy   string
}

// report adds a finding once.
func (r *run) report(code Code, at span, detail string) *Finding {
	return r.reportAs(vocabulary[code].severity, code, at, detail)
}

// reportAs adds a finding of another severity than its code has by itself.
func (r *run) reportAs(severity Severity, code Code, at span, detail string) *Finding {
	return r.reportWhy(severity, code, at, detail, "")
}

// reportWhy adds a finding whose cause is told behind what its code means.
func (r *run) reportWhy(severity Severity, code Code, at span, detail, why string) *Finding {
	k, ok := vocabulary[code]
	if !ok {
		panic("ciconfig: finding without a meaning: " + string(code))
	}
	f := Finding{Code: code, Severity: severity, Remedy: k.remedy, Owner: k.owner, meaning: k.meaning, cause: why}
	if why != "" {
		f.meaning += ": " + why
	}
	f.also(detail)
	if at.src != nil {
		f.File = at.src.path
		at = at.origin() // as the reader knows the file
		f.Line, f.Column = at.src.position(at.start)
		f.Text = at.shown()
	}
	key := findingKey{code, f.File, f.Line, f.Text, why}
	i, ok := r.reported[key]
	if ok {
		r.findings[i].also(detail)
	} else {
		i = len(r.findings)
		r.reported[key] = i
		r.findings = append(r.findings, f)
	}
	return &r.findings[i]
}

// findingKey tells findings apart.
type findingKey struct {
	code Code
	file string
	line int
	text string
	why  string
}

// maxDetails bounds the names that one finding lists, such as those of a loop.
// fewDetails is how many of them a reader is shown.
const (
	maxDetails = 100
	fewDetails = 5
)

// also adds another name to a finding: one place may stand for several images.
func (f *Finding) also(details ...string) {
	list := f.Details()
	for _, d := range details {
		if d != "" && !slices.Contains(list, d) && len(list) < maxDetails {
			list = append(list, d)
		}
	}
	f.Detail, f.Message = strings.Join(list, ", "), f.meaning
	if f.Detail != "" {
		f.Message += " (" + f.Names() + ")"
	}
}

// says puts words of its own in place of what the finding's code means.
func (f *Finding) says(meaning string) {
	f.meaning = meaning
	f.also()
}

// fewPlaces is how many findings with one cause stand by themselves.
const fewPlaces = 3

// gathered puts findings with one cause together where they are many: the first of them
// lists the places of the others.
func gathered(list []Finding) []Finding {
	type group struct {
		code     Code
		severity Severity
		cause    string
	}
	count := map[group]int{}
	of := func(f Finding) group { return group{f.Code, f.Severity, f.cause} }
	for _, f := range list {
		if f.cause != "" {
			count[of(f)]++
		}
	}
	first := map[group]int{}
	var out []Finding
	for _, f := range list {
		g := of(f)
		i, again := first[g]
		if !again || count[g] <= fewPlaces {
			first[g] = len(out)
			out = append(out, f)
			continue
		}
		out[i].also(f.Details()...)
		out[i].Also = append(out[i].Also, fmt.Sprintf("%s:%d", f.File, f.Line))
	}
	for i := range out {
		if n := len(out[i].Also); n > 0 {
			out[i].Message += "; also in " + strings.Join(out[i].Also[:min(n, fewDetails)], ", ")
			if n > fewDetails {
				out[i].Message += fmt.Sprintf(" and %d places more", n-fewDetails)
			}
		}
	}
	return out
}

// Names is Detail for a reader: a long list is cut.
func (f Finding) Names() string {
	list := f.Details()
	if len(list) <= fewDetails {
		return f.Detail
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:fewDetails], ", "), len(list)-fewDetails)
}

// Details are the names or values that a finding is about, one by one.
func (f Finding) Details() []string {
	if f.Detail == "" {
		return nil
	}
	return strings.Split(f.Detail, ", ")
}

// shown is what a finding shows of a place. It may be a file of one line, of which each
// finding would have to read all.
func (s span) shown() string {
	s.end = min(s.end, s.start+maxShown)
	return shorten(s.text())
}

// maxShown is the bytes of a text that are looked at to cut it to a line.
const maxShown = 4000

// shorten cuts a text to one line that fits in a report.
func shorten(s string) string {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, "\r\n"); i >= 0 {
		s = strings.TrimSpace(s[:i]) + " …"
	}
	if r := []rune(s); len(r) > 200 {
		s = string(r[:200]) + "…"
	}
	return strings.ToValidUTF8(s, "�")
}
