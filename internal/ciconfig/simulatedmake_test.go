package ciconfig

import (
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

var (
	makeAssignment = regexp.MustCompile(`^(export\s+)?(\w+)\s*(\?=|:=|\+=|=)\s*(.*)$`)
	madeCondition  = regexp.MustCompile(`^if(n?)(?:eq \((.*),(.*)\)|def (\w+))$`)
)

// madeMakefile is a Makefile that is read for one call.
// https://www.gnu.org/software/make/manual/html_node/
type madeMakefile struct {
	*call
	vars    map[string]string // not expanded
	fixed   map[string]bool   // of the command line
	exports map[string]bool
	needs   map[string][]string
	recipes map[string][]string
	targets []string
	done    map[string]bool
}

// make knows variables, conditions, targets that need others, patterns, and recipes, each line
// in a shell of its own.
func (c *call) make() error {
	for _, dir := range flags(c.args, "-C", "--directory") {
		inner := *c
		inner.dir, inner.args = path.Join(c.dir, dir), slices.DeleteFunc(slices.Clone(c.args), func(a string) bool { return a == "-C" || a == "--directory" || a == dir })
		return inner.make()
	}
	name := append(flags(c.args, "-f", "--file"), "Makefile")[0]
	f := &madeMakefile{c, maps.Clone(c.env), map[string]bool{}, map[string]bool{}, map[string][]string{}, map[string][]string{}, nil, map[string]bool{}}
	env := maps.Clone(c.env)
	var targets []string
	// https://www.gnu.org/software/make/manual/html_node/Variables_002fRecursion.html
	handed := strings.Fields(c.env["MAKEFLAGS"])
	for _, a := range operands(append(handed, c.args[1:]...), "-f", "-C") {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			targets = append(targets, a)
			continue
		}
		f.vars[k], f.fixed[k], env[k] = v, true, v
	}
	var fixed []string
	for _, k := range sortedKeys(f.fixed) {
		fixed = append(fixed, k+"="+f.vars[k])
	}
	f.vars["MAKEFLAGS"], env["MAKEFLAGS"], f.vars["MAKE"] = strings.Join(fixed, " "), "", "make"
	text, ok := c.files[c.file(name)]
	if !ok {
		return nil // it is in the image
	}
	f.parse(text)
	if targets == nil {
		targets = f.targets[:min(1, len(f.targets))]
	}
	for k := range f.exports {
		env[k] = ""
	}
	for k := range env {
		env[k] = f.expand(f.vars[k], 0) // what is in the environment is exported again
	}
	for _, t := range targets {
		if err := f.target(t, env); err != nil {
			return err
		}
	}
	return nil
}

func (f *madeMakefile) parse(text string) {
	var targets []string
	var taken []bool // of the conditions around a line
	for line := range strings.SplitSeq(strings.ReplaceAll(text, "\\\n", " "), "\n") {
		if m := madeCondition.FindStringSubmatch(strings.TrimSpace(line)); m != nil {
			holds := f.expand(strings.TrimSpace(m[2]), 0) == f.expand(strings.TrimSpace(m[3]), 0)
			if m[4] != "" {
				holds = f.vars[m[4]] != ""
			}
			taken = append(taken, holds == (m[1] == ""))
			continue
		}
		switch word := strings.TrimSpace(line); {
		case word == "else" && taken != nil:
			taken[len(taken)-1] = !taken[len(taken)-1]
			continue
		case word == "endif" && taken != nil:
			taken = taken[:len(taken)-1]
			continue
		case slices.Contains(taken, false):
			continue
		}
		if recipe, ok := strings.CutPrefix(line, "\t"); ok {
			for _, t := range targets {
				f.recipes[t] = append(f.recipes[t], recipe)
			}
			continue
		}
		if m := makeAssignment.FindStringSubmatch(line); m != nil {
			if m[1] != "" {
				f.exports[m[2]] = true
			}
			f.assign(m[2], m[3], m[4])
			continue
		}
		if name, needs, ok := strings.Cut(line, ":"); ok {
			targets = strings.Fields(f.expand(name, 0))
			for _, t := range targets {
				f.needs[t] = append(f.needs[t], strings.Fields(f.expand(needs, 0))...)
				if !strings.HasPrefix(t, ".") && !strings.Contains(t, "%") {
					f.targets = append(f.targets, t)
				}
			}
		}
	}
}

func (f *madeMakefile) assign(name, how, value string) {
	was, has := f.vars[name]
	switch {
	case f.fixed[name] || has && how == "?=":
	case how == ":=":
		f.vars[name] = f.expand(value, 0)
	case how == "+=" && has:
		f.vars[name] = was + " " + value
	default:
		f.vars[name] = value
	}
}

// expand puts in variables and what functions make.
func (f *madeMakefile) expand(text string, depth int) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '$' || i+1 == len(text) || depth > 8 {
			b.WriteByte(text[i])
			continue
		}
		i++
		switch text[i] {
		case '$':
			b.WriteByte('$')
		case '(', '{':
			from, open := i+1, 1
			for i++; i < len(text); i++ {
				if text[i] == text[from-1] {
					open++
				} else if text[i] == map[byte]byte{'(': ')', '{': '}'}[text[from-1]] {
					if open--; open == 0 {
						break
					}
				}
			}
			b.WriteString(f.inBrackets(text[from:i], depth))
		default:
			b.WriteString(f.expand(f.vars[text[i:i+1]], depth+1))
		}
	}
	return b.String()
}

// inBrackets is the value of a variable, or what a function makes of its arguments.
func (f *madeMakefile) inBrackets(text string, depth int) string {
	name, rest, function := strings.Cut(text, " ")
	if !function {
		return f.expand(f.vars[text], depth+1)
	}
	args, open := []string{""}, 0
	for _, r := range rest {
		if r == ',' && open == 0 {
			args = append(args, "")
			continue
		}
		open += strings.Count("({", string(r)) - strings.Count(")}", string(r))
		args[len(args)-1] += string(r)
	}
	if name != "foreach" && name != "shell" {
		for i := range args {
			args[i] = f.expand(strings.TrimSpace(args[i]), depth+1)
		}
	}
	args = append(args, "", "")
	switch name {
	case "if":
		if args[0] != "" {
			return args[1]
		}
		return args[2]
	case "or":
		for _, a := range args {
			if a != "" {
				return a
			}
		}
		return ""
	case "addprefix":
		var out []string
		for _, w := range strings.Fields(args[1]) {
			out = append(out, args[0]+w)
		}
		return strings.Join(out, " ")
	case "foreach":
		var out []string
		was := f.vars[args[0]]
		for _, w := range strings.Fields(f.expand(args[1], depth+1)) {
			f.vars[args[0]] = w
			out = append(out, f.expand(args[2], depth+1))
		}
		f.vars[args[0]] = was
		return strings.Join(out, " ")
	case "shell":
		var out strings.Builder
		_ = f.runIn(f.t, f.dir, f.expand(rest, depth+1), f.env, nil, strings.NewReader(""), &out)
		return strings.ReplaceAll(strings.TrimRight(out.String(), "\n"), "\n", " ")
	}
	f.t.Fatal("make: " + text)
	return ""
}

// rule is the name under which a target's rule is written, and its stem.
func (f *madeMakefile) rule(target string) (name, stem string) {
	if _, ok := f.needs[target]; ok {
		return target, ""
	}
	for _, pattern := range sortedKeys(f.needs) {
		before, after, ok := strings.Cut(pattern, "%")
		if ok && strings.HasPrefix(target, before) && strings.HasSuffix(target, after) {
			return pattern, strings.TrimSuffix(strings.TrimPrefix(target, before), after)
		}
	}
	return "", ""
}

func (f *madeMakefile) target(target string, env map[string]string) error {
	rule, stem := f.rule(target)
	if f.done[target] || rule == "" {
		return status(f.done[target] || f.files[f.file(target)] != "")
	}
	f.done[target] = true
	for _, n := range f.needs[rule] {
		if err := f.target(strings.ReplaceAll(n, "%", stem), env); err != nil {
			return err
		}
	}
	for _, line := range f.recipes[rule] {
		f.vars["@"], f.vars["*"] = target, stem
		line = strings.TrimSpace(line)
		if err := f.runIn(f.t, f.dir, strings.TrimLeft(f.expand(line, 0), "@-"), env, nil, strings.NewReader(""), f.out); err != nil && line[0] != '-' {
			return err
		}
	}
	return nil
}
