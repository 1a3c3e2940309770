package ciconfig

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"
)

// operands are the arguments that are no flags, nor values of those that take one.
func operands(args []string, withValue ...string) (out []string) {
	for i, a := range args {
		if i > 0 && slices.Contains(withValue, args[i-1]) || strings.HasPrefix(a, "-") && a != "-" {
			continue
		}
		out = append(out, a)
	}
	return out
}

// input is what a text tool works on: its files, or what it reads.
func (c *call) input(names []string) string {
	if len(names) == 0 {
		text, _ := io.ReadAll(c.in)
		return string(text)
	}
	var text string
	for _, name := range names {
		text += c.files[c.file(name)]
	}
	return text
}

func (c *call) cat() error {
	_, err := io.WriteString(c.out, c.input(c.args[1:]))
	return err
}

func (c *call) tee() error {
	text := c.input(nil)
	for _, name := range operands(c.args[1:]) {
		if slices.Contains(c.args, "-a") {
			c.files[c.file(name)] += text
		} else {
			c.files[c.file(name)] = text
		}
	}
	_, err := io.WriteString(c.out, text)
	return err
}

// sed knows s with its flags g and p, -n, -i, -e and -E.
func (c *call) sed() error {
	var scripts, names []string
	inPlace, silent := false, false
	for i := 1; i < len(c.args); i++ {
		switch a := c.args[i]; {
		case a == "-e":
			i++
			scripts = append(scripts, c.args[i])
		case strings.HasPrefix(a, "-"):
			inPlace = inPlace || strings.Contains(a, "i")
			silent = silent || strings.Contains(a, "n")
		case len(scripts) == 0:
			scripts = append(scripts, a)
		default:
			names = append(names, a)
		}
	}
	edit := func(text string) (out string) {
		for line := range strings.Lines(text) {
			printed := false
			for _, s := range scripts {
				for _, one := range c.replacements(s) {
					var hit bool
					if line, hit = one.apply(line); hit && one.prints {
						printed = true
					}
				}
			}
			if !silent || printed {
				out += line
			}
		}
		return out
	}
	if inPlace {
		for _, name := range names {
			c.files[c.file(name)] = edit(c.files[c.file(name)])
		}
		return nil
	}
	_, err := io.WriteString(c.out, edit(c.input(names)))
	return err
}

// replacement is an s of sed.
type replacement struct {
	from           *regexp.Regexp
	to             string
	global, prints bool
}

func (c *call) replacements(script string) (out []replacement) {
	for rest := strings.TrimSpace(script); rest != ""; rest = strings.TrimLeft(rest, "; ") {
		if rest[0] != 's' {
			c.t.Fatalf("sed %s", script)
		}
		parts, at := []string{""}, 2
		for ; at < len(rest) && len(parts) < 3; at++ {
			switch {
			case rest[at] == '\\' && at+1 < len(rest) && rest[at+1] == rest[1]:
				at++
				parts[len(parts)-1] += string(rest[at])
			case rest[at] == '\\' && at+1 < len(rest):
				parts[len(parts)-1] += rest[at : at+2]
				at++
			case rest[at] == rest[1]:
				parts = append(parts, "")
			default:
				parts[len(parts)-1] += string(rest[at])
			}
		}
		how, more, _ := strings.Cut(rest[at:], ";")
		to := strings.ReplaceAll(parts[1], "$", "$$")
		to = regexp.MustCompile(`\\(\d)`).ReplaceAllString(to, "$${$1}")
		out = append(out, replacement{regexp.MustCompile(strings.TrimSuffix(parts[0], "\n")), strings.ReplaceAll(to, "&", "${0}"), strings.Contains(how, "g"), strings.Contains(how, "p")})
		rest = more
	}
	return out
}

func (s replacement) apply(line string) (string, bool) {
	body := strings.TrimSuffix(line, "\n")
	end := line[len(body):]
	if s.global {
		return s.from.ReplaceAllString(body, s.to) + end, s.from.MatchString(body)
	}
	m := s.from.FindStringSubmatchIndex(body)
	if m == nil {
		return line, false
	}
	return body[:m[0]] + string(s.from.ExpandString(nil, s.to, body, m)) + body[m[1]:] + end, true
}

// tr knows single characters, ranges of letters and -d.
func (c *call) tr() error {
	text := c.input(nil)
	set := func(s string) (out []rune) {
		s = strings.NewReplacer("[:upper:]", "A-Z", "[:lower:]", "a-z").Replace(s)
		all := []rune(s)
		for i := 0; i < len(all); i++ {
			if i+2 < len(all) && all[i+1] == '-' {
				for r := all[i]; r <= all[i+2]; r++ {
					out = append(out, r)
				}
				i += 2
				continue
			}
			out = append(out, all[i])
		}
		return out
	}
	if c.args[1] == "-d" {
		cut := set(c.args[2])
		text = strings.Map(func(r rune) rune {
			if slices.Contains(cut, r) {
				return -1
			}
			return r
		}, text)
	} else {
		from, to := set(c.args[1]), set(c.args[2])
		text = strings.Map(func(r rune) rune {
			if i := slices.Index(from, r); i >= 0 {
				return to[min(i, len(to)-1)]
			}
			return r
		}, text)
	}
	_, err := io.WriteString(c.out, text)
	return err
}

// cut knows -c1-N, and -d with -f of one field, from one on or up to one.
func (c *call) cut() error {
	delimiter, fields := ":", ""
	for i, a := range c.args {
		if v, ok := strings.CutPrefix(a, "-d"); ok {
			if v == "" {
				v = c.args[i+1]
			}
			delimiter = v
		}
		for _, f := range []string{"-f", "-c"} {
			if v, ok := strings.CutPrefix(a, f); ok {
				if v == "" {
					v = c.args[i+1]
				}
				fields = v
				if f == "-c" {
					delimiter = ""
				}
			}
		}
	}
	from, to, isRange := strings.Cut(fields, "-")
	for line := range strings.Lines(c.input(nil)) {
		parts := strings.Split(strings.TrimSuffix(line, "\n"), delimiter)
		first, last := 1, len(parts)
		_, _ = fmt.Sscan(from, &first)
		if _, _ = fmt.Sscan(to, &last); !isRange {
			last = first
		}
		if len(parts) > 1 {
			parts = parts[min(first-1, len(parts)):min(last, len(parts))]
		}
		fmt.Fprintln(c.out, strings.Join(parts, delimiter))
	}
	return nil
}

// printEnv is env without a command.
func (c *call) printEnv() error {
	for _, k := range slices.Sorted(maps.Keys(c.env)) {
		fmt.Fprintf(c.out, "%s=%s\n", k, c.env[k])
	}
	return nil
}

func (c *call) envsubst() error {
	_, err := io.WriteString(c.out, os.Expand(c.input(nil), func(name string) string {
		if list := operands(c.args[1:]); len(list) > 0 && !strings.Contains(list[0], name) {
			return "$" + name
		}
		return c.env[name]
	}))
	return err
}

func (c *call) basename() error {
	fmt.Fprintln(c.out, path.Base(c.args[1]))
	return nil
}

// git describes the commit of the pipeline.
func (c *call) git() error {
	switch args := strings.Join(c.args[1:], " "); {
	case strings.HasPrefix(args, "rev-parse --short"):
		fmt.Fprintln(c.out, c.env["CI_COMMIT_SHORT_SHA"])
	case strings.HasPrefix(args, "rev-parse HEAD"):
		fmt.Fprintln(c.out, c.env["CI_COMMIT_SHA"])
	case strings.HasPrefix(args, "describe"):
		fmt.Fprintln(c.out, "v1.2.2-3-g"+c.env["CI_COMMIT_SHORT_SHA"])
	}
	return nil
}

// grep prints the lines that hold a pattern.
func (c *call) grep() error {
	args := operands(c.args[1:])
	pattern, found := regexp.MustCompile(args[0]), false
	for line := range strings.Lines(c.input(args[1:])) {
		if pattern.MatchString(strings.TrimSuffix(line, "\n")) != slices.Contains(c.args, "-v") {
			found = true
			if !slices.Contains(c.args, "-q") {
				fmt.Fprint(c.out, line)
			}
		}
	}
	return status(found)
}
