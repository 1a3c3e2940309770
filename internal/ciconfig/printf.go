package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// formatVerb is what printf replaces in its format.
// https://pubs.opengroup.org/onlinepubs/9799919799/utilities/printf.html
var formatVerb = regexp.MustCompile(`%%|%[-+ #0]*[0-9]*(?:\.[0-9]+)?([a-zA-Z])|\\[nt\\]|%|\\`)

// fillFormat is what printf prints. ok is false for a format that is not understood.
func fillFormat(args []text) (out text, ok bool) {
	if len(args) == 0 {
		return nil, false
	}
	format, rest := pairsOf(args[0]), args[1:]
	for range most {
		verbs := 0
		for _, p := range format {
			last := 0
			for _, m := range formatVerb.FindAllStringSubmatchIndex(p.text, -1) {
				if m[0] > last {
					out = append(out, p.slice(last, m[0]))
				}
				last = m[1]
				escape := p.slice(m[0], m[1])
				switch verb := p.text[m[0]:m[1]]; {
				case verb == "%%":
					escape.text = "%"
				case verb == `\n`:
					escape.text = "\n"
				case verb == `\t`:
					escape.text = "\t"
				case verb == `\\`:
					escape.text = `\`
				case m[2] >= 0 && strings.Contains("sbqdi", p.text[m[2]:m[3]]):
					if verbs++; len(rest) > 0 {
						out, rest = append(out, rest[0]...), rest[1:]
					}
					continue
				default:
					return nil, false
				}
				out = append(out, escape)
			}
			switch {
			case last == 0:
				out = append(out, p)
			case last < len(p.text):
				out = append(out, p.slice(last, len(p.text)))
			}
		}
		if verbs == 0 || len(rest) == 0 {
			return out, true
		}
	}
	return nil, false // a format for more arguments than are followed
}

// pairsOf is a text in which a backslash and what it escapes are one piece: YAML may
// have escaped the backslash itself.
func pairsOf(t text) (out text) {
	for _, p := range t {
		n := len(out)
		if n == 0 || p.text == "" || out[n-1].text != `\` || out[n-1].at.src != p.at.src {
			out = append(out, p)
			continue
		}
		out[n-1].text, out[n-1].at.end = `\`+p.text[:1], p.slice(0, 1).at.end
		if len(p.text) > 1 {
			out = append(out, p.slice(1, len(p.text)))
		}
	}
	return out
}

// isEchoFlag says whether an argument is an option of echo, which prints all else.
func isEchoFlag(s string) bool {
	return len(s) > 1 && s[0] == '-' && strings.Trim(s[1:], "neE") == ""
}

// runs are the arguments of a command as it runs, once for each of the values of its words
// that may come together.
func (c *command) runs() [][]text {
	var words [][][]text
	for i, w := range c.words {
		if i == 0 || w != c.words[i-1] {
			words = append(words, nil)
			if c.alt[i] > 0 { // the first value is empty
				words[len(words)-1] = [][]text{nil}
			}
		}
		last := len(words) - 1
		if c.nth[i] == 0 {
			words[last] = append(words[last], nil)
		}
		values := words[last]
		values[len(values)-1] = append(values[len(values)-1], c.args[i])
	}
	return combined(words)
}

// combined are the values of words, each of some fields, that may come together.
func combined(words [][][]text) [][]text {
	out := [][]text{nil}
	for _, values := range words {
		if len(values) > 1 && len(out[0]) > maxCombined {
			values = [][]text{blotted(values[0])}
		}
		if len(values) == 1 { // as nearly all
			for i := range out {
				out[i] = append(out[i], values[0]...)
			}
			continue
		}
		var next [][]text
		for _, all := range []bool{false, true} {
			for _, before := range out {
				for _, fields := range values {
					if all || !slices.ContainsFunc(before, func(l text) bool {
						return slices.ContainsFunc(fields, func(r text) bool { return apart(l, r) })
					}) {
						next = append(next, slices.Concat(before, fields))
					}
				}
			}
			if len(next) > 0 {
				break
			}
		}
		if len(next) > most {
			next = combined([][][]text{out, {blotted(values[0])}})
		}
		out = next
	}
	return out
}

// maxCombined bounds the words whose values are told apart: each combination has all of them.
const maxCombined = 1000

// blotted are fields of which nobody knows the values.
func blotted(fields []text) (out []text) {
	for _, f := range fields {
		out = append(out, f.blot())
	}
	return out
}

// prints are the texts that echo or printf prints. ok is false where a format is
// not understood.
func (c *command) prints(name string) (out []text, ok bool) {
	for _, args := range c.runs() {
		rest := args[1:]
		var t text
		if name == "printf" {
			for len(rest) > 0 && rest[0].String() == "--" {
				rest = rest[1:]
			}
			if len(rest) > 2 && rest[0].String() == "-v" {
				rest = rest[2:]
			}
			if t, ok = fillFormat(rest); !ok {
				return nil, false
			}
		} else {
			for len(rest) > 0 && isEchoFlag(rest[0].String()) {
				rest = rest[1:]
			}
			for i, a := range rest {
				if i > 0 {
					t = append(t, piece{text: " "})
				}
				t = append(t, a...)
			}
		}
		out = union(out, []text{t})
	}
	return out, true
}

// trimmed is a text without the line breaks at its end, as a substitution takes it.
func trimmed(t text) text {
	for n := len(t) - 1; n >= 0 && t[n].hole == ""; n-- {
		s := strings.TrimRight(t[n].text, "\n")
		if s != "" {
			last := t[n].slice(0, len(s))
			return append(slices.Clone(t[:n]), last)
		}
		t = t[:n]
	}
	return t
}

// printed follows echo and printf. It returns true where that is all to be said of
// the command.
func (sh *shell) printed(c *command, name string) bool {
	vals, ok := c.prints(name)
	if name == "printf" && ok && c.lit(1) == "-v" {
		sh.set(c.lit(2), vals)
		sh.run.assignment(sh, c.lit(2), vals, c.at)
		return true
	}
	if ok && sh.print != nil {
		for _, v := range vals {
			sh.prints([]text{trimmed(v)})
		}
	}
	if !ok {
		return false
	}
	if name == "echo" {
		sh.writes(vals)
		return false
	}
	sh.run.textUses(sh, vals, c.at, !sh.piped, true)
	return true
}
