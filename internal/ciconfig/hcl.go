package ciconfig

import (
	"bytes"
	"slices"
	"strings"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclsyntax"
)

// isHCL says whether a file is in HCL, where a string takes only variables that
// the file declares itself: $CI_REGISTRY_IMAGE is none of them.
func isHCL(p string) bool { return strings.HasSuffix(p, ".hcl") }

// maxHCL and maxNested bound what is given to HCL's parser, which calls itself for
// each bracket.
const (
	maxHCL    = 256 << 10
	maxNested = 200
)

// parseHCL reads a file, nil where HCL's parser does not.
func (s *source) parseHCL() *hclsyntax.Body {
	if s.hclRead {
		return s.hcl
	}
	s.hclRead = true
	if len(s.data) > maxHCL || nested(s.data) > maxNested {
		return nil
	}
	f, diags := hclsyntax.ParseConfig(s.data, s.path, hcl.InitialPos)
	if diags.HasErrors() {
		return nil
	}
	s.hcl, _ = f.Body.(*hclsyntax.Body)
	return s.hcl
}

// nested is how deep brackets are nested at most.
func nested(b []byte) (most int) {
	depth := 0
	for _, c := range b {
		switch c {
		case '(', '[', '{':
			depth++
			most = max(most, depth)
		case ')', ']', '}':
			depth--
		}
	}
	return most
}

// hclValue is what an expression may stand for: the texts of a string, the
// elements of a list, the attributes of an object.
type hclValue struct {
	texts []text
	elems []hclValue
	attrs map[string]hclValue
}

// or is one value or another.
func (v hclValue) or(w hclValue) hclValue {
	v.texts = union(v.texts, w.texts)
	v.elems = append(v.elems[:len(v.elems):len(v.elems)], w.elems...)
	if v.attrs == nil {
		v.attrs = w.attrs
	} else if w.attrs != nil {
		both := map[string]hclValue{}
		for k, x := range v.attrs {
			both[k] = x
		}
		for k, x := range w.attrs {
			both[k] = both[k].or(x)
		}
		v.attrs = both
	}
	return v
}

// any is one of the elements.
func (v hclValue) any() (out hclValue) {
	for _, e := range v.elems {
		out = out.or(e)
	}
	for _, k := range sortedKeys(v.attrs) {
		out = out.or(v.attrs[k])
	}
	return out
}

// flat are the elements, those of lists in lists too.
func (v hclValue) flat() (out []hclValue) {
	for _, e := range v.elems {
		if len(e.elems) > 0 {
			out = append(out, e.flat()...)
		} else {
			out = append(out, e)
		}
	}
	return out
}

// leaves are all texts in a value.
func (v hclValue) leaves() []text {
	out := v.texts
	for _, e := range v.elems {
		out = union(out, e.leaves())
	}
	for _, k := range sortedKeys(v.attrs) {
		out = union(out, v.attrs[k].leaves())
	}
	return out
}

// through is the value as it appears where an expression at s brings it in.
func (v hclValue) through(s span) hclValue {
	out := hclValue{}
	for _, t := range v.texts {
		out.texts = append(out.texts, t.through(s, false))
	}
	for _, e := range v.elems {
		out.elems = append(out.elems, e.through(s))
	}
	if v.attrs != nil {
		out.attrs = map[string]hclValue{}
		for k, e := range v.attrs {
			out.attrs[k] = e.through(s)
		}
	}
	return out
}

// hclEval evaluates the expressions of a set of HCL files. A condition is decided
// where it asks for a parameter that is known; else both of its values are kept.
type hclEval struct {
	run       *run
	look      func(name string) (hclValue, bool) // the files' own names
	functions map[string]*hclsyntax.Block
}

// maxExpressions bounds the expressions that are evaluated in one rewrite.
const maxExpressions = 100_000

// spent says whether evaluation has to end here.
func (h *hclEval) spent(depth int) bool {
	r := h.run
	r.expressions++
	r.truncated = r.truncated || r.expressions > maxExpressions
	return r.expressions > maxExpressions || depth > maxDepth
}

func (h *hclEval) place(g hcl.Range) span {
	return span{h.run.files[g.Filename], g.Start.Byte, g.End.Byte}
}

// bare remembers a place outside of strings, where no text can be put in.
func (s span) bare() span {
	if s.src.bare == nil {
		s.src.bare = map[span]bool{}
	}
	s.src.bare[s] = true
	return s
}

// value is what an expression may stand for. Names are looked up among those that
// matrix, for and functions set first.
func (h *hclEval) value(x hclsyntax.Expression, set map[string]hclValue, depth int) hclValue {
	if h.spent(depth) {
		return hclValue{texts: []text{{{hole: unknown, at: h.place(x.Range())}}}}
	}
	switch x := x.(type) {
	case *hclsyntax.TemplateExpr:
		return hclValue{texts: h.template(x.Parts, set, depth)}
	case *hclsyntax.TemplateWrapExpr:
		return h.value(x.Wrapped, set, depth+1).through(h.inserted(x.Wrapped))
	case *hclsyntax.LiteralValueExpr:
		return hclValue{texts: h.literal(x)}
	case *hclsyntax.ScopeTraversalExpr:
		return h.traversed(x, set).through(h.place(x.SrcRange).bare())
	case *hclsyntax.RelativeTraversalExpr:
		return steps(h.value(x.Source, set, depth+1), x.Traversal)
	case *hclsyntax.IndexExpr:
		return h.value(x.Collection, set, depth+1).any()
	case *hclsyntax.ParenthesesExpr:
		return h.value(x.Expression, set, depth+1)
	case *hclsyntax.ConditionalExpr:
		if asks(x.Condition, set) { // what holds for all calls may differ in the next job
			switch h.holds(x.Condition, set, depth+1) {
			case yes:
				return h.value(x.TrueResult, set, depth+1)
			case no:
				return h.value(x.FalseResult, set, depth+1)
			}
		}
		return h.value(x.TrueResult, set, depth+1).or(h.value(x.FalseResult, set, depth+1))
	case *hclsyntax.TupleConsExpr:
		out := hclValue{}
		for _, e := range x.Exprs {
			out.elems = append(out.elems, h.value(e, set, depth+1))
		}
		return out
	case *hclsyntax.ObjectConsExpr:
		out := hclValue{attrs: map[string]hclValue{}}
		for _, it := range x.Items {
			key := hcl.ExprAsKeyword(it.KeyExpr)
			if vals := h.value(it.KeyExpr, set, depth+1).texts; key == "" && len(vals) == 1 {
				key = vals[0].String()
			}
			out.attrs[key] = out.attrs[key].or(h.value(it.ValueExpr, set, depth+1))
		}
		return out
	case *hclsyntax.ForExpr:
		return h.each(x, set, depth)
	case *hclsyntax.FunctionCallExpr:
		return h.call(x, set, depth)
	}
	return hclValue{}
}

// asks says whether an expression names one of the variables that are set.
func asks(x hclsyntax.Expression, set map[string]hclValue) bool {
	return slices.ContainsFunc(x.Variables(), func(t hcl.Traversal) bool {
		_, ok := set[t.RootName()]
		return ok
	})
}

func (h *hclEval) literal(x *hclsyntax.LiteralValueExpr) []text {
	if x.Val.IsNull() {
		return nil
	}
	s := h.place(x.SrcRange)
	if !x.Val.Type().IsPrimitiveType() || x.Val.Type().FriendlyName() != "string" {
		return []text{{{text: s.text(), at: s}}}
	}
	if x.Val.AsString() == s.text() {
		return []text{s.src.whole().pieces(s.start, s.end)}
	}
	return []text{{{text: x.Val.AsString(), at: s}}} // with escapes
}

// template joins the parts of a string.
func (h *hclEval) template(parts []hclsyntax.Expression, set map[string]hclValue, depth int) []text {
	out := strand{{}}
	for _, p := range parts {
		switch p := p.(type) {
		case *hclsyntax.LiteralValueExpr:
			out = out.with(h.literal(p)...)
		case *hclsyntax.ScopeTraversalExpr:
			out = out.with(h.insert(h.traversed(p, set), p)...)
		default:
			out = out.with(h.insert(h.value(p, set, depth+1), p)...)
		}
	}
	return out
}

// insert is a value as ${} puts it into a string.
func (h *hclEval) insert(v hclValue, x hclsyntax.Expression) []text {
	at := h.inserted(x)
	if len(v.texts) == 0 {
		return []text{{{hole: unknown, at: at}}}
	}
	return v.through(at).texts
}

// inserted is the place of an expression in a string, with its ${}.
func (h *hclEval) inserted(x hclsyntax.Expression) span {
	s := h.place(x.Range())
	data := s.src.data
	from, to := s.start, s.end
	for from > 0 && (blank(data[from-1]) || data[from-1] == '\n' || data[from-1] == '\r' || data[from-1] == '~') {
		from--
	}
	for to < len(data) && (blank(data[to]) || data[to] == '\n' || data[to] == '\r' || data[to] == '~') {
		to++
	}
	if !bytes.HasSuffix(data[:from], []byte("${")) || to >= len(data) || data[to] != '}' {
		return s.bare()
	}
	return span{s.src, from - 2, to + 1}
}

// traversed is what a name stands for, with the attributes behind it.
func (h *hclEval) traversed(x *hclsyntax.ScopeTraversalExpr, set map[string]hclValue) hclValue {
	name := x.Traversal.RootName()
	v, ok := set[name]
	if !ok {
		v, ok = h.look(name)
	}
	if !ok {
		return hclValue{texts: []text{{{hole: name, at: h.place(x.SrcRange)}}}}
	}
	return steps(v, x.Traversal[1:])
}

func steps(v hclValue, list hcl.Traversal) hclValue {
	for _, step := range list {
		if a, ok := step.(hcl.TraverseAttr); ok && v.attrs != nil {
			v = v.attrs[a.Name]
		} else {
			v = v.any()
		}
	}
	return v
}

// each evaluates a for expression.
func (h *hclEval) each(x *hclsyntax.ForExpr, set map[string]hclValue, depth int) hclValue {
	from := h.value(x.CollExpr, set, depth+1)
	out := hclValue{}
	one := func(key string, v hclValue) {
		inner := map[string]hclValue{}
		for k, w := range set {
			inner[k] = w
		}
		inner[x.ValVar] = v
		if x.KeyVar != "" {
			inner[x.KeyVar] = hclValue{texts: []text{{{text: key}}}}
		}
		out.elems = append(out.elems, h.value(x.ValExpr, inner, depth+1))
	}
	for _, e := range from.elems {
		one("", e)
	}
	for _, k := range sortedKeys(from.attrs) {
		one(k, from.attrs[k])
	}
	return out
}
