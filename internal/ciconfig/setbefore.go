package ciconfig

import (
	"slices"

	"mvdan.cc/sh/v3/syntax"
)

// reach is where in a script a variable is sure to have the value that the script itself
// gave it: behind that place and within the branch, the loop or the subshell it is in.
type reach struct{ from, to uint }

// reaches are, for each variable that a script sets, the places that it reaches. What a
// variable is before comes from outside: KEY=${KEY:-none} and [ "$KEY" ] || KEY=none ask
// for a value of the job's.
func reaches(f *syntax.File) map[string][]reach {
	out := map[string][]reach{}
	var above []syntax.Node
	put := func(name string, at syntax.Node) {
		to := f.End().Offset() + 1
		for _, n := range slices.Backward(above) {
			if end := sureUntil(n, at); end.IsValid() {
				to = end.Offset()
				break
			}
		}
		out[name] = append(out[name], reach{at.End().Offset(), to})
	}
	forOne := map[*syntax.Assign]bool{} // NAME=value in front of a command, which alone has it
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case nil:
			above = above[:len(above)-1]
			return true
		case *syntax.Assign:
			if n.Name != nil && (n.Value != nil && !n.Append || n.Array != nil) && !forOne[n] {
				put(n.Name.Value, n)
			}
		case *syntax.DeclClause: // local NAME
			for _, a := range n.Args {
				if a.Name != nil && a.Naked && n.Variant.Value != "export" {
					put(a.Name.Value, a)
				}
			}
		case *syntax.WordIter:
			put(n.Name.Value, n)
		case *syntax.CallExpr:
			for _, a := range n.Assigns {
				forOne[a] = len(n.Args) > 0
			}
			if len(n.Args) > 0 && n.Args[0].Lit() == "read" {
				for _, a := range n.Args[1:] {
					put(a.Lit(), a)
				}
			}
		}
		above = append(above, n)
		return true
	})
	return out
}

// sureUntil is the end of what follows at in n for certain, no position where n may not
// be without at. at is in n.
func sureUntil(n, at syntax.Node) (end syntax.Pos) {
	switch n := n.(type) {
	case *syntax.IfClause:
		switch {
		case n.ThenPos.IsValid() && at.Pos().Offset() < n.ThenPos.Offset(): // the condition
		case n.Else != nil && at.Pos().Offset() < n.Else.Pos().Offset():
			return n.Else.Pos()
		default:
			return n.End()
		}
	case *syntax.WhileClause:
		if at.Pos().Offset() > n.DoPos.Offset() {
			return n.End()
		}
	case *syntax.BinaryCmd:
		if at.Pos().Offset() > n.OpPos.Offset() && n.Op != syntax.Pipe && n.Op != syntax.PipeAll {
			return n.End()
		}
	case *syntax.ForClause, *syntax.CaseItem, *syntax.Subshell, *syntax.CmdSubst:
		return n.End()
	}
	return end
}
