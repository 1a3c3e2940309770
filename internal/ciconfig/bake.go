package ciconfig

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// bakeFiles are the files of one call, as one.
type bakeFiles struct {
	hclEval
	call      bakeCall
	env       func(name string) ([]text, bool)
	variables map[string]*hclsyntax.Block
	globals   map[string]*hclsyntax.Attribute
	groups    map[string]*hclsyntax.Block
	targets   map[string]*hclsyntax.Block // one by its last definition
	all       []*hclsyntax.Block          // targets, all definitions
	pushed    map[*hclsyntax.Block]bool   // whose tags the call pushes
	cache     map[string]hclValue
	busy      map[string]bool
}

// bake reads the files of a call.
// https://docs.docker.com/build/bake/reference/
func (r *run) bake(files []*source, call bakeCall, env func(string) ([]text, bool)) *bakeFiles {
	b := &bakeFiles{call: call, env: env, variables: map[string]*hclsyntax.Block{}, globals: map[string]*hclsyntax.Attribute{}, groups: map[string]*hclsyntax.Block{},
		targets: map[string]*hclsyntax.Block{}, cache: map[string]hclValue{}, busy: map[string]bool{}}
	b.hclEval = hclEval{run: r, look: b.lookup, functions: map[string]*hclsyntax.Block{}}
	for _, s := range files {
		for name, a := range s.hcl.Attributes {
			b.globals[name] = a
		}
		for _, block := range s.hcl.Blocks {
			if len(block.Labels) != 1 {
				continue
			}
			kinds := map[string]map[string]*hclsyntax.Block{"variable": b.variables, "function": b.functions, "group": b.groups, "target": b.targets}
			if kind := kinds[block.Type]; kind != nil {
				kind[block.Labels[0]] = block
			}
			if block.Type == "target" {
				b.all = append(b.all, block)
			}
		}
	}
	b.pushed = b.pushes()
	return b
}

// lookup is what a name of the files stands for: a variable takes the value of
// the environment, where it is set there.
func (b *bakeFiles) lookup(name string) (hclValue, bool) {
	if v, ok := b.cache[name]; ok {
		return v, true
	}
	var x hclsyntax.Expression
	if block := b.variables[name]; block != nil {
		if vals, ok := b.env(name); ok {
			b.cache[name] = hclValue{texts: vals}
			return b.cache[name], true
		}
		if strings.HasPrefix(name, "CI_") {
			return hclValue{}, false
		}
		if d := block.Body.Attributes["default"]; d != nil {
			x = d.Expr
		}
	} else if a := b.globals[name]; a != nil {
		x = a.Expr
	} else if vals, ok := b.env(name); ok && b.call.job == nil {
		return hclValue{texts: vals}, true // another file declares it, perhaps
	}
	if x == nil || b.busy[name] {
		return hclValue{}, false
	}
	b.busy[name] = true
	v := b.value(x, nil, 0)
	delete(b.busy, name)
	b.cache[name] = v
	return v, true
}

// strings are the texts of an attribute's elements, as far as they are written out.
func (b *bakeFiles) strings(t *hclsyntax.Block, attribute string) (out []string) {
	if a := t.Body.Attributes[attribute]; a != nil {
		for _, v := range b.value(a.Expr, nil, 0).leaves() {
			out = append(out, v.String())
		}
	}
	return out
}

// with is the target that an attribute of a target comes from: itself, or one
// that it inherits from.
func (b *bakeFiles) with(t *hclsyntax.Block, attribute string, depth int) *hclsyntax.Block {
	if t == nil || depth > maxDepth || t.Body.Attributes[attribute] != nil {
		return t
	}
	from := b.strings(t, "inherits")
	for i := len(from) - 1; i >= 0; i-- {
		if o := b.with(b.targets[from[i]], attribute, depth+1); o != nil && o.Body.Attributes[attribute] != nil {
			return o
		}
	}
	return t
}

// pushes are the targets whose tags the call pushes.
func (b *bakeFiles) pushes() map[*hclsyntax.Block]bool {
	out := map[*hclsyntax.Block]bool{}
	if b.call.job == nil || slices.ContainsFunc(b.call.set, func(s string) bool { return strings.HasPrefix(s, "*.tags=") }) {
		return out
	}
	for _, t := range b.built() {
		push := b.call.push
		if o := b.with(t, "output", 0); !push {
			push = slices.ContainsFunc(b.strings(o, "output"), pushedOutput)
		}
		if push {
			out[b.with(t, "tags", 0)] = true
		}
	}
	return out
}

// built are the targets that the call builds; all where it names one that is not
// known by its label.
func (b *bakeFiles) built() []*hclsyntax.Block {
	names := b.call.targets
	if len(names) == 0 {
		names = []string{"default"}
	}
	var out []*hclsyntax.Block
	seen := map[string]bool{}
	for i := 0; i < len(names); i++ {
		n := names[i]
		if seen[n] {
			continue
		}
		seen[n] = true
		switch g, t := b.groups[n], b.targets[n]; {
		case g != nil:
			names = append(slices.Clip(names), b.strings(g, "targets")...)
		case t != nil:
			out = append(out, t)
		default:
			return b.all
		}
	}
	return out
}

// wanted are the targets that the call builds, and those that they inherit from.
func (b *bakeFiles) wanted() (out []*hclsyntax.Block) {
	if b.call.job == nil {
		return b.all
	}
	list := slices.Clone(b.built())
	for i := 0; i < len(list); i++ {
		if t := list[i]; t != nil && !slices.Contains(out, t) {
			out = append(out, t)
			for _, from := range b.strings(t, "inherits") {
				list = append(list, b.targets[from])
			}
		}
	}
	return out
}

// bakeBase is the command of a use that a target of a call builds on.
const bakeBase = "bake, to build on"

// target looks at the images that a target names.
func (b *bakeFiles) target(t *hclsyntax.Block) {
	set := map[string]hclValue{}
	if m := t.Body.Attributes["matrix"]; m != nil {
		for name, v := range b.value(m.Expr, nil, 0).attrs {
			set[name] = v.any()
		}
	}
	for _, name := range sortedKeys(t.Body.Attributes) {
		role := unclearRole
		switch name {
		case "tags", "cache-from", "cache-to", "contexts":
			role = imageRole
		case "labels", "annotations", "description":
			role = textRole
		}
		list := b.elements(t.Body.Attributes[name].Expr, set)
		var files []string
		if name == "args" && b.call.job != nil {
			list, files = arguments(list), b.dockerfiles(t)
		}
		for _, e := range list {
			args := b.hands(e, files)
			for _, v := range b.value(e.expr, e.set, 0).leaves() {
				refs := b.run.references(v)
				if _, known := v.literal(); name == "tags" && len(refs) == 0 && !known {
					b.run.bakesUnseen = b.run.bakesUnseen || b.call.job != nil
				}
				for _, ref := range refs {
					u := &use{ref: ref, at: b.place(e.expr.Range()), role: role, push: b.pushed[t] && name == "tags", command: "bake"}
					if b.call.job != nil && (name == "contexts" || name == "args") {
						u.command = bakeBase
					}
					u.given = slices.ContainsFunc(args, b.run.completes)
					if name == "tags" {
						u.element = e.whole
					}
					b.add(u)
					if name == "cache-to" && ref.own && !ref.host {
						b.run.report("registry-cache", u.place(), ref.String())
					}
				}
			}
		}
	}
}

// element is an element of a list, with the comma that goes when it goes.
type element struct {
	expr  hclsyntax.Expression
	set   map[string]hclValue // the names that it may use
	whole span                // nothing where it is the only one
	key   string              // of a value in an object that is written out
}

// elements are the elements of a list that is written out, in the target itself, in
// what only puts lists together or as the result of a function; else the expression.
func (b *bakeFiles) elements(x hclsyntax.Expression, set map[string]hclValue) []element {
	if call, ok := x.(*hclsyntax.FunctionCallExpr); ok && b.functions[call.Name] != nil {
		var args []hclValue
		for _, a := range call.Args {
			args = append(args, b.value(a, set, 0))
		}
		if result, inner := bound(b.functions[call.Name], args); result != nil {
			x, set = result, inner
		}
	} else if ok && slices.Contains([]string{"compact", "concat", "distinct", "flatten"}, call.Name) {
		var out []element
		for _, a := range call.Args {
			out = append(out, b.elements(a, set)...)
		}
		return out
	}
	list, ok := x.(*hclsyntax.TupleConsExpr)
	if !ok {
		return []element{{expr: x, set: set}}
	}
	var out []element
	for i, x := range list.Exprs {
		e := element{expr: x, set: set}
		at := b.place(x.Range())
		switch {
		case len(list.Exprs) == 1:
		case i+1 < len(list.Exprs):
			e.whole = span{at.src, at.start, list.Exprs[i+1].Range().Start.Byte}
		default:
			e.whole = span{at.src, list.Exprs[i-1].Range().End.Byte, at.end}
		}
		if strings.Trim(e.whole.text(), " \t\r\n,") != strings.TrimSpace(at.text()) {
			e.whole = span{} // a comment stands beside it
		}
		out = append(out, e)
	}
	return out
}

// arguments are the values of an object that is written out, each by its key.
func arguments(list []element) (out []element) {
	for _, e := range list {
		object, ok := e.expr.(*hclsyntax.ObjectConsExpr)
		if !ok {
			return list
		}
		for _, it := range object.Items {
			out = append(out, element{expr: it.ValueExpr, set: e.set, key: hcl.ExprAsKeyword(it.KeyExpr)})
		}
	}
	return out
}

// hands remembers what a target gives an ARG of the Dockerfiles that it builds.
func (b *bakeFiles) hands(e element, files []string) (args []handedArg) {
	for _, file := range files {
		args = append(args, handedArg{name: e.key, file: file, at: b.place(e.expr.Range()), vals: b.value(e.expr, e.set, 0).leaves()})
	}
	b.run.handed = append(b.run.handed, args...)
	return args
}

// dockerfiles are those of the targets that take a target's arguments.
func (b *bakeFiles) dockerfiles(t *hclsyntax.Block) (files []string) {
	for _, x := range b.wanted() {
		if !b.inherits(x, t, 0) {
			continue
		}
		context, file := ".", "Dockerfile"
		if c := b.strings(b.with(x, "context", 0), "context"); len(c) == 1 {
			context = c[0]
		}
		if f := b.strings(b.with(x, "dockerfile", 0), "dockerfile"); len(f) == 1 {
			file = f[0]
		}
		files = append(files, path.Join(context, file))
	}
	return files
}

// inherits says whether a target is another one, or has what that one has.
func (b *bakeFiles) inherits(t, from *hclsyntax.Block, depth int) bool {
	return t == from || t != nil && depth <= maxDepth && slices.ContainsFunc(b.strings(t, "inherits"), func(name string) bool {
		return b.inherits(b.targets[name], from, depth+1)
	})
}

// add records a use. A job that calls bake has the variables that names are made
// of, if the file declares them.
func (b *bakeFiles) add(u *use) {
	u.job, u.document, u.filled, u.expands = b.call.job, true, true, b.call.job != nil
	if u.push {
		u.command = "bake --push"
	}
	b.run.add(u)
}

// defaults looks at what variables hold by default and no target was seen to take.
func (b *bakeFiles) defaults(uses []*use, seen map[*hclsyntax.Block]bool) {
	for _, name := range sortedKeys(b.variables) {
		block := b.variables[name]
		d := block.Body.Attributes["default"]
		if d == nil || seen[block] || name == "CI_REGISTRY_IMAGE" { // GitLab sets that one
			continue
		}
		seen[block] = true
		at := b.place(d.Expr.Range())
		if slices.ContainsFunc(uses, func(u *use) bool { return u.ref.own && u.madeOf(at) }) {
			continue
		}
		for _, v := range b.value(d.Expr, nil, 0).leaves() {
			for _, ref := range b.run.references(v) {
				u := &use{ref: ref, at: at, role: unclearRole, command: "bake"}
				b.add(u)
			}
		}
	}
}

// declarations adds the variable that a changed bake file has come to name: of the
// environment HCL knows what it declares. The default is for developers.
func (r *run) declarations(changes []change) (out []change) {
	done := map[*source]bool{}
	for _, c := range changes {
		s := c.src
		if !isHCL(s.path) || done[s] || !strings.Contains(c.with, "${CI_REGISTRY_IMAGE}") || s.parseHCL() == nil {
			continue
		}
		done[s] = true
		at, declared := 0, false
		for _, b := range s.hcl.Blocks {
			if b.Type == "variable" {
				at = b.CloseBraceRange.End.Byte
				declared = declared || slices.Equal(b.Labels, []string{"CI_REGISTRY_IMAGE"})
			}
		}
		if declared {
			continue
		}
		text, eol := "variable \"CI_REGISTRY_IMAGE\" {\n  default = \""+path.Base(r.in.Project.Path)+"\"\n}\n", s.eol()
		if at > 0 {
			_, at = s.line(at - 1)
			text = "\n" + text
		} else {
			text += "\n"
		}
		out = append(out, change{span: span{s, at, at}, with: strings.ReplaceAll(text, "\n", eol)})
	}
	return out
}
