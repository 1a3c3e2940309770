package ciconfig

import (
	"path"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
	ctyfunc "github.com/zclconf/go-cty/cty/function"
	"github.com/zclconf/go-cty/cty/function/stdlib"
)

// bakeTarget is a target of a bake file with its values.
type bakeTarget struct {
	context        string
	tags, cacheTos []string
}

// bake builds the targets that a command names, or those of the group default.
// https://docs.docker.com/build/bake/reference/
func (c *call) bake() error {
	args := c.args[3:]
	name := append(flags(args, "-f", "--file"), "docker-bake.hcl")[0]
	f, diags := hclparse.NewParser().ParseHCL([]byte(c.files[c.file(name)]), name)
	if diags.HasErrors() {
		c.t.Fatal(diags)
	}
	blocks := f.Body.(*hclsyntax.Body).Blocks
	scope := &hcl.EvalContext{Variables: map[string]cty.Value{}, Functions: map[string]ctyfunc.Function{"notequal": stdlib.NotEqualFunc, "equal": stdlib.EqualFunc, "format": stdlib.FormatFunc, "concat": stdlib.ConcatFunc}}
	for range blocks { // one may name another that stands below it
		for _, b := range blocks {
			if b.Type == "variable" {
				c.bakeVariable(b, scope)
			}
		}
	}
	targets, groups := map[string]bakeTarget{}, map[string][]string{}
	for _, b := range blocks {
		switch b.Type {
		case "group":
			groups[b.Labels[0]] = c.texts(b.Body.Attributes["targets"], scope)
		case "target":
			label := b.Labels[0]
			for _, turn := range c.turns(b, scope) {
				if n := b.Body.Attributes["name"]; n != nil {
					made := c.hcl(n.Expr, turn).AsString()
					groups[label] = append(groups[label], made)
					targets[made] = c.bakeTarget(b, turn, targets)
				} else {
					targets[label] = c.bakeTarget(b, turn, targets)
				}
			}
		}
	}
	named := operands(args, "-f", "--file", "--set")
	if len(named) == 0 {
		named = []string{"default"}
	}
	for len(named) > 0 {
		n := named[0]
		if named = named[1:]; groups[n] != nil {
			named = append(slices.Clone(groups[n]), named...)
			continue
		}
		if err := c.bakeOne(n, targets[n], args); err != nil {
			return err
		}
	}
	return nil
}

// bakeVariable gives a variable what the command has for it, or else its default.
func (c *call) bakeVariable(b *hclsyntax.Block, scope *hcl.EvalContext) {
	name := b.Labels[0]
	if given, ok := c.env[name]; ok {
		scope.Variables[name] = cty.StringVal(given)
		return
	}
	scope.Variables[name] = cty.StringVal("")
	if d := b.Body.Attributes["default"]; d != nil {
		delete(scope.Variables, name)
		if v, diags := d.Expr.Value(scope); !diags.HasErrors() {
			scope.Variables[name] = v
		}
	}
}

func (c *call) bakeOne(name string, t bakeTarget, args []string) error {
	build := []string{"docker", "buildx"}
	for i, s := range flags(args, "--set") {
		key, v, _ := strings.Cut(s, "=")
		pattern, key, _ := strings.Cut(key, ".")
		if ok, _ := path.Match(pattern, name); ok && (key == "tags" || key == "tag") {
			if i == 0 {
				t.tags = nil
			}
			t.tags = append(t.tags, v)
		}
	}
	for _, tag := range t.tags {
		if tag != "" {
			build = append(build, "-t", tag)
		}
	}
	for _, to := range t.cacheTos {
		build = append(build, "--cache-to", to)
	}
	if slices.Contains(args, "--push") {
		build = append(build, "--push")
	}
	return c.build(append(build, "--target", name, t.context))
}

// turns are the scopes of a target, one for each row of its matrix.
func (c *call) turns(b *hclsyntax.Block, scope *hcl.EvalContext) []*hcl.EvalContext {
	out := []*hcl.EvalContext{scope}
	m := b.Body.Attributes["matrix"]
	if m == nil {
		return out
	}
	rows := c.hcl(m.Expr, scope).AsValueMap()
	for _, key := range sortedKeys(rows) {
		var next []*hcl.EvalContext
		for _, s := range out {
			for _, v := range rows[key].AsValueSlice() {
				turn := s.NewChild()
				turn.Variables = map[string]cty.Value{key: v}
				next = append(next, turn)
			}
		}
		out = next
	}
	return out
}

func (c *call) bakeTarget(b *hclsyntax.Block, scope *hcl.EvalContext, known map[string]bakeTarget) bakeTarget {
	t := bakeTarget{context: "."}
	for _, from := range c.texts(b.Body.Attributes["inherits"], scope) {
		t = known[from]
	}
	if a := b.Body.Attributes["context"]; a != nil {
		t.context = c.hcl(a.Expr, scope).AsString()
	}
	if a := b.Body.Attributes["tags"]; a != nil {
		t.tags = c.texts(a, scope)
	}
	if a := b.Body.Attributes["cache-to"]; a != nil {
		t.cacheTos = c.texts(a, scope)
	}
	return t
}

func (c *call) hcl(x hcl.Expression, scope *hcl.EvalContext) cty.Value {
	v, diags := x.Value(scope)
	if diags.HasErrors() {
		c.t.Fatal(diags)
	}
	return v
}

func (c *call) texts(a *hclsyntax.Attribute, scope *hcl.EvalContext) (out []string) {
	if a == nil {
		return nil
	}
	for _, v := range c.hcl(a.Expr, scope).AsValueSlice() {
		out = append(out, v.AsString())
	}
	return out
}
