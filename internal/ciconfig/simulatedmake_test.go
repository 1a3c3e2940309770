package ciconfig

import (
	"maps"
	"regexp"
	"slices"
	"strings"
)

var makeAssignment = regexp.MustCompile(`^(?:export\s+)?(\w+)\s*(\?=|:=|=)\s*(.*)$`)

// madeMakefile is a Makefile that is read for one call.
type madeMakefile struct {
	vars    map[string]string // not expanded
	fixed   map[string]bool   // of the command line
	exports map[string]bool
	needs   map[string][]string
	recipes map[string][]string
	targets []string
	done    map[string]bool
}

// make knows variables, targets that need others, and recipes, each line in a shell of its own.
func (c *call) make() error {
	name := append(flags(c.args, "-f", "--file"), "Makefile")[0]
	f := &madeMakefile{vars: maps.Clone(c.env), fixed: map[string]bool{}, exports: map[string]bool{}, needs: map[string][]string{}, recipes: map[string][]string{}, done: map[string]bool{}}
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
	f.vars["MAKEFLAGS"], env["MAKEFLAGS"] = strings.Join(fixed, " "), ""
	f.parse(c.files[c.file(name)])
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
		if err := c.target(f, t, env); err != nil {
			return err
		}
	}
	return nil
}

func (f *madeMakefile) parse(text string) {
	target := ""
	for line := range strings.SplitSeq(text, "\n") {
		if recipe, ok := strings.CutPrefix(line, "\t"); ok {
			f.recipes[target] = append(f.recipes[target], recipe)
			continue
		}
		if m := makeAssignment.FindStringSubmatch(line); m != nil {
			if strings.HasPrefix(line, "export") {
				f.exports[m[1]] = true
			}
			if _, has := f.vars[m[1]]; f.fixed[m[1]] || has && m[2] == "?=" {
				continue
			}
			f.vars[m[1]] = m[3]
			if m[2] == ":=" {
				f.vars[m[1]] = f.expand(m[3], 0)
			}
			continue
		}
		if name, needs, ok := strings.Cut(line, ":"); ok {
			target = name
			if f.needs[target] = strings.Fields(needs); !strings.HasPrefix(name, ".") {
				f.targets = append(f.targets, target)
			}
		}
	}
}

var madeMakeVariable = regexp.MustCompile(`\$\$|\$\((\w+)\)|\$\{(\w+)\}|\$(\w)`)

func (f *madeMakefile) expand(text string, depth int) string {
	return madeMakeVariable.ReplaceAllStringFunc(text, func(m string) string {
		if m == "$$" || depth > 8 {
			return "$"
		}
		v := f.vars[strings.Trim(m, "${}()")]
		return f.expand(v, depth+1)
	})
}

func (c *call) target(f *madeMakefile, name string, env map[string]string) error {
	if f.done[name] {
		return nil
	}
	f.done[name] = true
	for _, n := range f.needs[name] {
		if err := c.target(f, n, env); err != nil {
			return err
		}
	}
	for _, line := range f.recipes[name] {
		line = f.expand(line, 0)
		if err := c.runIn(c.t, c.dir, strings.TrimLeft(line, "@-"), env, nil, strings.NewReader(""), c.out); err != nil && !slices.Contains([]byte{line[0]}, '-') {
			return err
		}
	}
	return nil
}
