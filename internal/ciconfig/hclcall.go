package ciconfig

import (
	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// call evaluates a function: those of bake that join or hand on texts, and the
// file's own. What another makes of an own name is told.
// https://docs.docker.com/build/bake/stdlib/
func (h *hclEval) call(x *hclsyntax.FunctionCallExpr, set map[string]hclValue, depth int) hclValue {
	var args []hclValue
	for _, a := range x.Args {
		args = append(args, h.value(a, set, depth+1))
	}
	if f := h.functions[x.Name]; f != nil {
		return h.own(f, args, depth)
	}
	switch x.Name {
	case "format":
		if out := h.format(args); out != nil {
			return hclValue{texts: out}
		}
	case "join":
		if out := h.join(args); out != nil {
			return hclValue{texts: out}
		}
	case "concat", "setunion", "flatten", "compact", "distinct", "reverse", "sort", "tolist", "toset":
		out := hclValue{}
		for _, a := range args {
			out.elems = append(out.elems, a.flat()...)
		}
		return out
	case "values", "keys":
		out, of := hclValue{}, hclValue{elems: args}.any().attrs
		for _, k := range sortedKeys(of) {
			v := of[k]
			if x.Name == "keys" {
				v = hclValue{texts: []text{{{text: k, at: h.place(x.Range())}}}}
			}
			out.elems = append(out.elems, v)
		}
		return out
	case "coalesce", "coalescelist", "try", "tostring", "trimspace", "merge":
		return hclValue{elems: args}.any()
	case "lower":
		if len(args) == 1 && args[0].texts != nil {
			return hclValue{texts: lowered(args[0].texts)}
		}
	}
	at := h.place(x.Range()).bare()
	mentions := false
	for _, t := range (hclValue{elems: args}).leaves() {
		mentions = mentions || h.run.mentions(t)
	}
	if mentions {
		h.run.report("name-unknown", at, x.Name)
	}
	return hclValue{texts: []text{{{hole: unknown, at: at, cut: mentions}}}}
}

// own evaluates a function that the file declares.
func (h *hclEval) own(f *hclsyntax.Block, args []hclValue, depth int) hclValue {
	result, set := bound(f, args)
	if result == nil {
		return hclValue{}
	}
	return h.value(result, set, depth+10) // a function may call itself
}

// bound is the result of a declared function, with what its parameters stand for.
func bound(f *hclsyntax.Block, args []hclValue) (result hclsyntax.Expression, set map[string]hclValue) {
	set = map[string]hclValue{}
	params := parameters(f, "params")
	for i, n := range params {
		if i < len(args) {
			set[n] = args[i]
		}
	}
	for _, n := range parameters(f, "variadic_params") {
		set[n] = hclValue{elems: args[min(len(params), len(args)):]}
	}
	if a := f.Body.Attributes["result"]; a != nil {
		result = a.Expr
	}
	return result, set
}

func parameters(f *hclsyntax.Block, attribute string) (out []string) {
	a := f.Body.Attributes[attribute]
	if a == nil {
		return nil
	}
	list, ok := a.Expr.(*hclsyntax.TupleConsExpr)
	if !ok {
		return []string{hcl.ExprAsKeyword(a.Expr)}
	}
	for _, e := range list.Exprs {
		out = append(out, hcl.ExprAsKeyword(e))
	}
	return out
}

// holds says whether a condition holds, as far as the values tell.
func (h *hclEval) holds(x hclsyntax.Expression, set map[string]hclValue, depth int) answer {
	if h.spent(depth) {
		return maybe
	}
	switch x := x.(type) {
	case *hclsyntax.ParenthesesExpr:
		return h.holds(x.Expression, set, depth+1)
	case *hclsyntax.UnaryOpExpr:
		if x.Op == hclsyntax.OpLogicalNot {
			return not(h.holds(x.Val, set, depth+1))
		}
	case *hclsyntax.BinaryOpExpr:
		switch x.Op {
		case hclsyntax.OpEqual, hclsyntax.OpNotEqual:
			a := alike(h.value(x.LHS, set, depth+1).texts, h.value(x.RHS, set, depth+1).texts)
			if x.Op == hclsyntax.OpNotEqual {
				return not(a)
			}
			return a
		case hclsyntax.OpLogicalAnd:
			return both(h.holds(x.LHS, set, depth+1), h.holds(x.RHS, set, depth+1))
		case hclsyntax.OpLogicalOr:
			return not(both(not(h.holds(x.LHS, set, depth+1)), not(h.holds(x.RHS, set, depth+1))))
		}
	case *hclsyntax.FunctionCallExpr:
		if f := h.functions[x.Name]; f != nil {
			var args []hclValue
			for _, a := range x.Args {
				args = append(args, h.value(a, set, depth+1))
			}
			if result, inner := bound(f, args); result != nil {
				return h.holds(result, inner, depth+10)
			}
			return maybe
		}
		if len(x.Args) != 2 || x.Name != "equal" && x.Name != "notequal" {
			return maybe
		}
		a := alike(h.value(x.Args[0], set, depth+1).texts, h.value(x.Args[1], set, depth+1).texts)
		if x.Name == "notequal" {
			return not(a)
		}
		return a
	}
	return maybe
}

func not(a answer) answer {
	switch a {
	case yes:
		return no
	case no:
		return yes
	}
	return maybe
}

func both(a, b answer) answer {
	switch {
	case a == no || b == no:
		return no
	case a == yes && b == yes:
		return yes
	}
	return maybe
}

// alike says whether two texts are the same: one that is written out is another,
// and nothing but itself; what every pipeline sets is not empty.
func alike(a, b []text) answer {
	if len(a) != 1 || len(b) != 1 {
		return maybe
	}
	x, known := a[0].literal()
	y, also := b[0].literal()
	switch {
	case known && also && x == y:
		return yes
	case known && also, known && x == "" && filled(b[0]), also && y == "" && filled(a[0]):
		return no
	}
	return maybe
}

// filled says whether a text cannot be empty.
func filled(t text) bool {
	for _, p := range t {
		if p.text != "" || uniqueVariables[p.hole] || predefined(p.hole) {
			return true
		}
	}
	return false
}

// format puts texts into a format, nil where it has other verbs than those for
// whole values.
func (h *hclEval) format(args []hclValue) []text {
	if len(args) == 0 || len(args[0].texts) != 1 || len(args[0].texts[0]) != 1 || args[0].texts[0][0].hole != "" {
		return nil
	}
	layout := args[0].texts[0][0]
	out, last, n := strand{{}}, 0, 1
	for i := 0; i+1 < len(layout.text); i++ {
		if layout.text[i] != '%' {
			continue
		}
		if verb := layout.text[i+1]; verb != 's' && verb != 'v' && verb != 'd' || n >= len(args) {
			return nil
		}
		if i > last {
			out = out.with(text{layout.slice(last, i)})
		}
		vals := args[n].texts
		if len(vals) == 0 {
			vals = []text{{{hole: unknown, at: layout.at}}}
		}
		out = out.with(vals...)
		last, n = i+2, n+1
		i++
	}
	if last < len(layout.text) {
		out = out.with(text{layout.slice(last, len(layout.text))})
	}
	return out
}

// join puts the elements of lists together, nil where they are not known.
func (h *hclEval) join(args []hclValue) []text {
	if len(args) < 2 {
		return nil
	}
	out, n := strand{{}}, 0
	for _, e := range (hclValue{elems: args[1:]}).flat() {
		if len(e.texts) == 0 {
			return nil
		}
		if n++; n > 1 {
			out = out.with(args[0].texts...)
		}
		out = out.with(e.texts...)
	}
	if n == 0 {
		return nil
	}
	return out
}
