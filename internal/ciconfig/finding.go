package ciconfig

import "strings"

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
	Detail       string // which name or value it is about; may be empty
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
	if r.reported[key] {
		return
	}
	r.reported[key] = true
	r.findings = append(r.findings, f)
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
