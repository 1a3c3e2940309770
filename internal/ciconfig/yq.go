package ciconfig

import (
	"regexp"
	"slices"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// yq puts images into manifests as sed does, by the path of a value:
//
//	yq -i '.spec.template.spec.containers[0].image = strenv(IMAGE)' api.yaml
//	yq -i '(.spec.template.spec.containers[] | select(.name == "api")).image = "…"' api.yaml

var (
	// yqEquals is the sign of an assignment.
	yqEquals = regexp.MustCompile(`(^|[^=!<>])=([^=]|$)`)
	// yqStep is a step of a path: to an element, to a key, or to what has a value.
	yqStep = regexp.MustCompile(`^(?:\.?\[(\d*)\]|\.?\["([^"\]]+)"\]|\."?([A-Za-z_][\w-]*)"?|select\(\s*\.([A-Za-z_][\w-]*)\s*==\s*"([^"]+)"\s*\)|([()\s|]+))`)
	// yqVariable is a value out of the environment.
	yqVariable = regexp.MustCompile(`^\s*(?:str)?env\((\w+)\)\s*$`)
)

// recordYq remembers the images in the repository's files that yq replaces. It says whether
// all of the command was understood.
func (r *run) recordYq(sh *shell, c *command, lits []string) bool {
	if lits[0] != "yq" || sh.away || r.now == nil {
		return false
	}
	inPlace, program := sh.piped, -1
	var files []*source
	for i := 1; i < len(c.args); i++ {
		switch l := c.lit(i); {
		case l == "-i" || l == "--inplace" || l == "-yi" || l == "-iy":
			inPlace = true
		case l == "e" || l == "eval" || l == "-y" || l == "-P":
		case program < 0:
			program = i
		case len(r.filesNamed(sh, l)) == 0 || c.pos[i] == c.pos[program]:
			return false
		default:
			files = append(files, r.filesNamed(sh, l)...)
		}
	}
	if !inPlace || program < 0 || len(files) == 0 {
		return false
	}
	f := r.flatten(c.args[program])
	at := yqEquals.FindAllStringIndex(f.s, -1)
	if len(at) != 1 {
		return false
	}
	i := at[0][0]
	for f.s[i] != '=' {
		i++
	}
	vals := []text{f.cut(i+1, len(f.s))}
	if m := yqVariable.FindStringSubmatch(vals[0].String()); m != nil {
		vals, _ = sh.lookup(m[1])
	}
	if len(vals) == 0 || slices.ContainsFunc(vals, func(v text) bool { return !r.mentions(v) }) {
		return false
	}
	var edits []sedEdit
	for _, s := range files {
		docs, err := s.documents()
		nodes, ok := yqNodes(docs, f.s[:i])
		if err != nil || !ok {
			return false
		}
		e := sedEdit{job: r.now, src: s, at: c.at, open: true}
		for _, n := range nodes {
			if ch := s.scalar(n); ch != nil {
				e.whole = append(e.whole, ch.span(0, len(ch.text)))
			}
		}
		edits = append(edits, e)
	}
	r.sedEdits = append(r.sedEdits, edits...)
	return true
}

// yqNodes are the scalars that a path of yq leads to.
func yqNodes(docs []*yaml.Node, path string) (nodes []*yaml.Node, ok bool) {
	for _, d := range docs {
		nodes = append(nodes, deref(d))
	}
	for path != "" {
		m := yqStep.FindStringSubmatch(path)
		if m == nil {
			return nil, false
		}
		path = path[len(m[0]):]
		var next []*yaml.Node
		for _, n := range nodes {
			switch key := m[2] + m[3]; {
			case m[6] != "":
				next = append(next, n)
			case key != "":
				next = append(next, deref(child(n, key)))
			case m[4] != "":
				if value(deref(child(n, m[4]))) == m[5] {
					next = append(next, n)
				}
			case m[1] == "" && n.Kind == yaml.SequenceNode:
				for _, x := range n.Content {
					next = append(next, deref(x))
				}
			case n.Kind == yaml.SequenceNode:
				if i, err := strconv.Atoi(m[1]); err == nil && i < len(n.Content) {
					next = append(next, deref(n.Content[i]))
				}
			}
		}
		nodes = slices.DeleteFunc(next, func(n *yaml.Node) bool { return n == nil })
	}
	return nodes, !slices.ContainsFunc(nodes, func(n *yaml.Node) bool { return n.Kind != yaml.ScalarNode })
}
