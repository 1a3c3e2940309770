package runner

import (
	"cmp"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

// stage is one stage of a Dockerfile: where it starts from and its instructions.
type stage struct {
	name  string
	base  string // expanded: an image, an earlier stage's name or number, or scratch
	steps []instruction
}

// instruction is one line of a stage, as written.
type instruction struct {
	verb  string
	flags []string
	args  []string
	json  bool
	text  string
	line  int
	docs  []string // here-documents
}

// parseDockerfile splits a Dockerfile into stages and expands what FROM names
// with the global arguments, of which given ones win.
func parseDockerfile(content []byte, given map[string]string) ([]stage, map[string]string, error) {
	result, err := parser.Parse(strings.NewReader(string(content)))
	if err != nil {
		return nil, nil, fmt.Errorf("dockerfile parse error: %w", err)
	}
	lex := shell.NewLex(result.EscapeToken)
	globals := map[string]string{"TARGETPLATFORM": "linux/amd64", "BUILDPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64"}
	declared := map[string]string{}
	var stages []stage
	for _, node := range result.AST.Children {
		in := read(node)
		switch {
		case in.verb == "FROM":
			if len(in.args) == 0 {
				return nil, nil, fmt.Errorf("dockerfile parse error on line %d: FROM requires either one or three arguments", in.line)
			}
			base, err := expandWord(lex, in.args[0], both(globals, declared))
			if err != nil {
				return nil, nil, fmt.Errorf("dockerfile parse error on line %d: %w", in.line, err)
			}
			if base == "" {
				return nil, nil, fmt.Errorf("dockerfile parse error on line %d: base name (%s) should not be blank", in.line, in.args[0])
			}
			s := stage{base: base}
			if len(in.args) == 3 && strings.EqualFold(in.args[1], "as") {
				s.name = strings.ToLower(in.args[2])
			}
			stages = append(stages, s)
		case in.verb == "ARG" && len(stages) == 0:
			for _, a := range in.args {
				name, value, _ := strings.Cut(a, "=")
				if value, err = expandWord(lex, value, both(globals, declared)); err != nil {
					return nil, nil, err
				}
				if v, ok := given[name]; ok {
					value = v
				}
				declared[name] = value
			}
		case len(stages) == 0:
			return nil, nil, fmt.Errorf("dockerfile parse error on line %d: no build stage in current context", in.line)
		default:
			s := &stages[len(stages)-1]
			s.steps = append(s.steps, in)
		}
	}
	if len(stages) == 0 {
		return nil, nil, fmt.Errorf("the Dockerfile cannot be empty")
	}
	return stages, declared, nil
}

func read(node *parser.Node) instruction {
	in := instruction{verb: strings.ToUpper(node.Value), flags: node.Flags, json: node.Attributes["json"], text: node.Original, line: node.StartLine}
	for n := node.Next; n != nil; n = n.Next {
		in.args = append(in.args, n.Value)
	}
	for _, h := range node.Heredocs {
		in.docs = append(in.docs, h.Content)
	}
	return in
}

func both(a, b map[string]string) []string { return append(pairs(a), pairs(b)...) }

func expandWord(lex *shell.Lex, word string, env []string) (string, error) {
	out, _, err := lex.ProcessWord(word, shell.EnvsFromSlice(env))
	return out, err
}

// find returns the index of a stage by name or number, before the given one.
func find(stages []stage, name string, before int) (int, bool) {
	for i := before - 1; i >= 0; i-- {
		if stages[i].name == strings.ToLower(name) && name != "" || fmt.Sprint(i) == name {
			return i, true
		}
	}
	return 0, false
}

// from is the value of --from of a COPY.
func (in instruction) from() string {
	for _, f := range in.flags {
		if v, ok := strings.CutPrefix(f, "--from="); ok {
			return v
		}
	}
	return ""
}

// programs are the words of an instruction that may name programs: what RUN
// installs, what COPY puts somewhere, what is started.
func (in instruction) programs() []string {
	switch in.verb {
	case "RUN", "COPY", "ADD", "CMD", "ENTRYPOINT":
	default:
		return nil
	}
	var out []string
	for _, w := range strings.FieldsFunc(in.text, func(r rune) bool { return strings.ContainsRune(" \t\n\"',;&|()[]=\\", r) }) {
		if base := path.Base(w); base != "." && base != "/" && !strings.HasPrefix(base, "-") {
			out = append(out, base)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// ignored reads .dockerignore into patterns; a later one wins.
func ignored(content string) func(name string) bool {
	type rule struct {
		pattern string
		keep    bool
	}
	var rules []rule
	for _, line := range strings.Split(content, "\n") {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		keep := strings.HasPrefix(line, "!")
		line = cmp.Or(strings.Trim(path.Clean(strings.TrimPrefix(line, "!")), "/"), "*")
		rules = append(rules, rule{line, keep})
	}
	return func(name string) bool {
		out := name == ".git" || strings.HasPrefix(name, ".git/")
		for _, r := range rules {
			if matchPath(r.pattern, name) {
				out = !r.keep
			}
		}
		return out
	}
}
