package diagnose

import (
	"bytes"
	"regexp"
	"strings"
)

const (
	maxLines = 4000 // of a log's end
	maxLine  = 4096 // bytes of one line that are looked at
	maxQuote = 500  // bytes of a line that are quoted
)

// line is one line of a log without its decoration.
type line struct {
	number  int // from 1, in the log as given
	text    string
	section string // the innermost section at its end, "" if unknown
	command bool   // the runner's echo of a script line
}

var (
	// With FF_TIMESTAMPS every line begins with time, stream number, stream
	// (Out or Err), and "+" when it continues the line before.
	// https://docs.gitlab.com/ci/jobs/job_logs/ and GitLab's
	// lib/gitlab/ci/trace/stream.rb.
	timestamp = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[EO]([+ ])`)
	section   = regexp.MustCompile(`section_(start|end):\d+:([a-zA-Z0-9_.\-]+)(?:\[[^\]\r\n]*\])?`)
	// CSI and OSC sequences, and stray escapes of two characters.
	ansi = regexp.MustCompile(`\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\-_])`)
	// The runner echoes script lines in bold green.
	echo = regexp.MustCompile(`\x1b\[32;1m\$ `)
)

// split cuts the end of a log into lines.
func split(log []byte) []line {
	skipped := 0
	if over := len(log) - MaxLog; over > 0 {
		if i := bytes.IndexByte(log[over:], '\n'); i >= 0 {
			over += i + 1
		}
		skipped = bytes.Count(log[:over], []byte{'\n'})
		log = log[over:]
	}
	raw := bytes.Split(log, []byte{'\n'})
	if over := len(raw) - maxLines; over > 0 {
		skipped += over
		raw = raw[over:]
	}
	lines := make([]line, 0, len(raw))
	echoes := false
	var stack []string
	for i, r := range raw {
		if len(r) > maxLine {
			// Both ends: a prefix says what it is, the last words say why. Masked
			// first, because half a secret is not recognised any more.
			r = Mask(r)
		}
		if len(r) > maxLine {
			r = append(append(bytes.Clone(r[:maxLine/2]), " … "...), r[len(r)-maxLine/2:]...)
		}
		l := line{number: skipped + i + 1}
		joined := false
		if m := timestamp.FindSubmatchIndex(r); m != nil {
			joined = r[m[2]] == '+'
			r = r[m[1]:]
		}
		for _, m := range section.FindAllSubmatch(r, -1) {
			name := string(m[2])
			if string(m[1]) == "start" {
				stack = append(stack, name)
			} else if len(stack) > 0 && stack[len(stack)-1] == name {
				stack = stack[:len(stack)-1]
			} else {
				// The start was cut off, or sections overlap.
				stack = nil
			}
		}
		if len(stack) > 0 {
			l.section = stack[len(stack)-1]
		}
		r = section.ReplaceAll(r, nil)
		l.command = echo.Match(r)
		echoes = echoes || l.command
		l.text = plain(r)
		if joined && len(lines) > 0 && !l.command && len(lines[len(lines)-1].text) < maxLine {
			lines[len(lines)-1].text += l.text
			continue
		}
		lines = append(lines, l)
	}
	if !echoes {
		// A log without colours: the dollar sign is all there is.
		for i := range lines {
			lines[i].command = strings.HasPrefix(lines[i].text, "$ ")
		}
	}
	return lines
}

// plain returns a line as a terminal would leave it.
func plain(r []byte) string {
	r = ansi.ReplaceAll(r, nil)
	// A carriage return lets a progress bar write over itself: the last text stays.
	parts := bytes.Split(r, []byte{'\r'})
	text := ""
	for _, p := range parts {
		if len(bytes.TrimSpace(p)) > 0 {
			text = string(p)
		}
	}
	text = strings.Map(func(c rune) rune {
		if c < ' ' && c != '\t' || c == 0x7f {
			return -1
		}
		return c
	}, strings.ToValidUTF8(text, "?"))
	return strings.TrimSpace(text)
}

// window returns the lines in which the failure is: from the last echoed command
// to the end. A script stops at the command that fails, so whatever an earlier
// command complained about was not fatal. What runs after a failure is left out.
func window(lines []line) []line {
	first := 0
	for i, l := range lines {
		if l.command && !afterwards[l.section] {
			first = i
		}
	}
	var w []line
	for _, l := range lines[first:] {
		if !afterwards[l.section] || runnerError.MatchString(l.text) {
			w = append(w, l)
		}
	}
	return w
}

// afterwards are the runner's sections that run after a failure too.
var afterwards = map[string]bool{
	"after_script":                true,
	"upload_artifacts_on_failure": true,
	"upload_artifacts_on_success": true,
	"archive_cache":               true,
	"archive_cache_on_failure":    true,
	"cleanup_file_variables":      true,
}

// quote makes a line fit to be stored and shown.
func quote(text string) string {
	text = string(Mask([]byte(text)))
	if len(text) > maxQuote {
		cut := (maxQuote - len("…")) / 2
		text = strings.ToValidUTF8(text[:cut], "") + "…" + strings.ToValidUTF8(text[len(text)-cut:], "")
	}
	return text
}
