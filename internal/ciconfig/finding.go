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
	Text         string // what stands there
	Message      string // what is wrong with it, with the detail in brackets
	Detail       string // which names or values it is about, joined by ", "; may be empty
	Remedy       string // what to do
	Owner        Owner
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
func (r *run) report(code Code, at span, detail string) {
	r.reportAs(vocabulary[code].severity, code, at, detail)
}

// reportAs adds a finding of another severity than its code has by itself.
func (r *run) reportAs(severity Severity, code Code, at span, detail string) {
	k, ok := vocabulary[code]
	if !ok {
		panic("ciconfig: finding without a meaning: " + string(code))
	}
	f := Finding{Code: code, Severity: severity, Message: k.meaning, Remedy: k.remedy, Owner: k.owner}
	if detail != "" {
		f.Message, f.Detail = f.Message+" ("+detail+")", detail
	}
	if at.src != nil {
		f.File = at.src.path
		if m := at.src.was; m != nil { // as the reader knows the file
			at = span{m.before, m.origin(at.start), m.origin(at.end)}
			at.end = max(at.start, at.end)
		}
		f.Line, f.Column = at.src.position(at.start)
		f.Text = shorten(at.text())
	}
	key := Finding{Code: code, File: f.File, Line: f.Line, Text: f.Text}
	if i, ok := r.reported[key]; ok {
		r.findings[i].also(k.meaning, detail)
		return
	}
	r.reported[key] = len(r.findings)
	r.findings = append(r.findings, f)
}

// maxDetails bounds the names that one finding lists, such as those of a loop.
// fewDetails is how many of them a reader is shown.
const (
	maxDetails = 100
	fewDetails = 5
)

// also adds another name to a finding: one place may stand for several images.
func (f *Finding) also(meaning, detail string) {
	list := f.Details()
	if detail == "" || slices.Contains(list, detail) || len(list) == maxDetails {
		return
	}
	f.Detail = strings.Join(append(list, detail), ", ")
	f.Message = meaning + " (" + f.Names() + ")"
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
