package ciconfig

import (
	"strings"

	"go.yaml.in/yaml/v3"
)

// helperNames are the templates that the platform's helpers define; a project
// with one of these names would be merged with them.
var helperNames = []string{".docker", ".docker-build", ".review", ".stop_review", ".staging", ".production", ".kubernetes-deploy"}

// includeHelpers adds the include of the platform's helpers to the root file.
func (r *run) includeHelpers() ([]change, string) {
	for _, n := range helperNames {
		if r.cfg.root.kids[n] != nil {
			return nil, "the platform's template .docker is not included and the project has a template " + n + " that the include would meet"
		}
	}
	d := r.cfg.byPath[r.cfg.entry]
	if d == nil || d.root == nil || d.root.Kind != yaml.MappingNode || len(d.root.Content) == 0 || d.root.Style&yaml.FlowStyle != 0 {
		return nil, "the platform's template .docker is not included"
	}
	eol := d.src.eol()
	item := func(indent string) string {
		return indent + "- project: asm/gitlab-ci-helpers" + eol + indent + "  file: /gitlab-ci-helpers.yml" + eol
	}
	r.report("include-added", span{d.src, 0, 0}, "")
	if !has(d.root, "include") {
		first := d.root.Content[0]
		at := d.src.offset(first.Line, first.Column)
		from, _ := d.src.line(at)
		indent := string(d.src.data[from:at])
		indent = indent[:len(indent)-len(strings.TrimLeft(indent, " "))] // a key behind a question mark has more
		return []change{{span: span{d.src, from, from}, with: indent + "include:" + eol + item(indent+"  ") + eol}}, ""
	}
	k, ok := r.cfg.keyLines(d, d.root, "include")
	if !ok {
		return nil, "the platform's template .docker is not included and include: is not understood"
	}
	if out := r.extendInclude(d, k, item, eol); out != nil {
		return out, ""
	}
	return nil, "the platform's template .docker is not included and include: is written in a form that is not extended"
}

// extendInclude puts an item before what include: has, which becomes a list if it is
// none. It is nil where the form of it is not understood.
// https://docs.gitlab.com/ci/yaml/#include
func (r *run) extendInclude(d *document, k keyed, item func(indent string) string, eol string) []change {
	v, src := k.value, d.src
	if at, ok := r.cfg.nothing(d, k); ok {
		return []change{{span: at, with: eol + strings.TrimSuffix(item(k.indent+"  "), eol)}}
	}
	at := src.offset(v.Line, v.Column)
	end, ok := r.cfg.nodeEnd(d, v)
	flow := v.Style&yaml.FlowStyle != 0
	switch {
	case !ok || isNull(v):
	case v.Kind == yaml.SequenceNode && flow && len(v.Content) > 0 && src.data[at] == '[':
		first := "{project: asm/gitlab-ci-helpers, file: /gitlab-ci-helpers.yml},"
		if lineBreak(src.data[at+1:]) == 0 {
			first += " "
		}
		return []change{{span: span{src, at + 1, at + 1}, with: first}}
	case v.Kind == yaml.SequenceNode && !flow && len(v.Content) > 0:
		at := src.offset(v.Content[0].Line, v.Content[0].Column)
		from, _ := src.line(at)
		dash := strings.IndexByte(string(src.data[from:at]), '-')
		if dash < 0 {
			break
		}
		indent := string(src.data[from : from+dash])
		for from > 0 { // the first item's comments stay with it
			above, _ := src.line(from - 1)
			if !strings.HasPrefix(strings.TrimSpace(string(src.data[above:from])), "#") {
				break
			}
			from = above
		}
		return []change{{span: span{src, from, from}, with: item(indent)}}
	case v.Kind == yaml.ScalarNode, v.Kind == yaml.MappingNode && flow && src.data[at] == '{':
		from := at
		for from > 0 && src.data[from-1] == ' ' {
			from--
		}
		indent := k.indent + "  "
		return []change{{span: span{src, from, end}, with: eol + item(indent) + indent + "- " + string(src.data[at:end])}}
	case v.Kind == yaml.MappingNode && !flow:
		from, next := src.line(at)
		indent := string(src.data[from:at])
		if strings.TrimSpace(indent) != "" || from <= src.offset(k.key.Line, k.key.Column) {
			break
		}
		out := []change{{span: span{src, from, from}, with: item(indent)}, {span: span{src, at, at}, with: "- "}}
		for next < end { // its other lines stand below the first
			if lineBreak(src.data[next:]) == 0 {
				out = append(out, change{span: span{src, next, next}, with: "  "})
			}
			_, next = src.line(next)
		}
		return out
	}
	return nil
}
