package runner

import (
	"regexp"
	"strconv"
	"strings"
)

// sedCommand is one command of a sed script.
type sedCommand struct {
	from, to *sedAddress
	negate   bool
	verb     byte // s, d, p, q
	re       *regexp.Regexp
	with     string
	global   bool
	printed  bool
	active   bool // within a range
}

type sedAddress struct {
	line int // 0: by pattern; -1: last
	re   *regexp.Regexp
}

func (a *sedAddress) matches(line string, n, count int) bool {
	switch {
	case a.re != nil:
		return a.re.MatchString(line)
	case a.line == -1:
		return n == count
	}
	return a.line == n
}

// cmdSed knows s, d, p and q with addresses, -n, -E, -i and -e.
func cmdSed(c *call) int {
	given, rest := flags(c.args, "-e -f --expression")
	scripts := all(given, "-e", "--expression")
	if len(scripts) == 0 {
		if len(rest) == 0 {
			return c.fail("sed: no script")
		}
		scripts, rest = rest[:1], rest[1:]
	}
	extended := has(given, "-E", "-r", "--regexp-extended")
	var program []*sedCommand
	for _, s := range scripts {
		cmds, problem := parseSed(s, extended)
		if problem != "" {
			return c.fail("sed: -e expression #1: %s", problem)
		}
		program = append(program, cmds...)
	}
	quiet := has(given, "-n", "--quiet", "--silent")
	if !has(given, "-i", "--in-place") {
		lines, ok := c.lines(rest)
		if !ok {
			return 1
		}
		return c.print(sed(program, lines, quiet))
	}
	for _, name := range rest {
		lines, ok := c.lines([]string{name})
		if !ok {
			return 1
		}
		for _, p := range program {
			p.active = false
		}
		text := strings.Join(sed(program, lines, quiet), "\n")
		if text != "" {
			text += "\n"
		}
		if err := c.disk.write(c.path(name), []byte(text), 0o644); err != nil {
			return c.fail("sed: %s: %s", name, reason(err))
		}
	}
	return 0
}

func sed(program []*sedCommand, lines []string, quiet bool) []string {
	var out []string
next:
	for i, line := range lines {
		for _, p := range program {
			if p.selects(line, i+1, len(lines)) == p.negate {
				continue
			}
			switch p.verb {
			case 'd':
				continue next
			case 'p':
				out = append(out, line)
			case 'q':
				if !quiet {
					out = append(out, line)
				}
				return out
			case 's':
				var changed bool
				if line, changed = p.substitute(line); changed && p.printed {
					out = append(out, line)
				}
			}
		}
		if !quiet {
			out = append(out, line)
		}
	}
	return out
}

func (p *sedCommand) selects(line string, n, count int) bool {
	switch {
	case p.from == nil:
		return true
	case p.to == nil:
		return p.from.matches(line, n, count)
	case p.active:
		p.active = !p.to.matches(line, n, count)
		return true
	}
	p.active = p.from.matches(line, n, count)
	return p.active
}

func (p *sedCommand) substitute(line string) (string, bool) {
	found := p.re.FindAllStringSubmatchIndex(line, -1)
	if found == nil {
		return line, false
	}
	if !p.global {
		found = found[:1]
	}
	var b []byte
	at := 0
	for _, m := range found {
		b = append(b, line[at:m[0]]...)
		b = p.re.ExpandString(b, p.with, line, m)
		at = m[1]
	}
	return string(append(b, line[at:]...)), true
}

func parseSed(script string, extended bool) (cmds []*sedCommand, problem string) {
	rest := script
	for {
		rest = strings.TrimLeft(rest, "; \t\n")
		if rest == "" {
			return cmds, ""
		}
		p := &sedCommand{}
		if p.from, rest, problem = sedAddr(rest, extended); problem != "" {
			return nil, problem
		}
		if p.from != nil && strings.HasPrefix(rest, ",") {
			if p.to, rest, problem = sedAddr(rest[1:], extended); problem != "" {
				return nil, problem
			}
		}
		rest = strings.TrimLeft(rest, " ")
		if strings.HasPrefix(rest, "!") {
			p.negate, rest = true, rest[1:]
		}
		if rest == "" {
			return nil, "missing command"
		}
		p.verb, rest = rest[0], rest[1:]
		switch p.verb {
		case 'd', 'p', 'q':
		case 's':
			if rest == "" {
				return nil, "unterminated `s' command"
			}
			pattern, after, ok := sedPart(rest[1:], rest[0])
			with, flags, ok2 := sedPart(after, rest[0])
			if !ok || !ok2 {
				return nil, "unterminated `s' command"
			}
			end := strings.IndexAny(flags, "; \n")
			if end < 0 {
				end = len(flags)
			}
			rest = flags[end:]
			insensitive := ""
			for _, f := range flags[:end] {
				switch f {
				case 'g':
					p.global = true
				case 'p':
					p.printed = true
				case 'i', 'I':
					insensitive = "(?i)"
				default:
					return nil, "unknown option to `s'"
				}
			}
			if !extended {
				pattern = basicRegexp(pattern)
			}
			re, err := regexp.Compile(insensitive + pattern)
			if err != nil {
				return nil, err.Error()
			}
			p.re, p.with = re, sedReplacement(with)
		default:
			return nil, "unknown command: `" + string(p.verb) + "'"
		}
		cmds = append(cmds, p)
	}
}

func sedAddr(s string, extended bool) (*sedAddress, string, string) {
	switch {
	case strings.HasPrefix(s, "$"):
		return &sedAddress{line: -1}, s[1:], ""
	case strings.HasPrefix(s, "/"):
		pattern, rest, ok := sedPart(s[1:], '/')
		if !ok {
			return nil, "", "unterminated address regex"
		}
		if !extended {
			pattern = basicRegexp(pattern)
		}
		re, err := regexp.Compile(pattern)
		if err != nil {
			return nil, "", err.Error()
		}
		return &sedAddress{re: re}, rest, ""
	}
	digits := len(s) - len(strings.TrimLeft(s, "0123456789"))
	if digits == 0 {
		return nil, s, ""
	}
	n, _ := strconv.Atoi(s[:digits])
	return &sedAddress{line: n}, s[digits:], ""
}

// sedPart reads up to a delimiter that is not escaped.
func sedPart(s string, delimiter byte) (part, rest string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			if s[i+1] != delimiter || delimiter == '|' {
				b.WriteByte('\\')
			}
			i++
			b.WriteByte(s[i])
		case s[i] == delimiter:
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// sedReplacement turns & and \1 into the forms of package regexp.
func sedReplacement(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s):
			i++
			switch {
			case s[i] >= '0' && s[i] <= '9':
				b.WriteString("${" + string(s[i]) + "}")
			case s[i] == 'n':
				b.WriteByte('\n')
			case s[i] == '$':
				b.WriteString("$$")
			default:
				b.WriteByte(s[i])
			}
		case s[i] == '&':
			b.WriteString("${0}")
		case s[i] == '$':
			b.WriteString("$$")
		default:
			b.WriteByte(s[i])
		}
	}
	return b.String()
}
