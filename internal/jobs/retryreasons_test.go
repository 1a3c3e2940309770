package jobs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRetryReasons reads the source for errors that are worth another try, and
// wants their reasons to be the vocabulary, no more and no less.
func TestRetryReasons(t *testing.T) {
	t.Parallel()
	// A report's deliveries are tried again by River, and are no tries of a step.
	elsewhere := map[string]bool{"webhook-unavailable": true, "report-files": true}
	want := map[string]bool{unknownReason: true}
	for _, room := range []string{"gitlab", "registry", "ecr", "cluster", "console", "probe", "copy", "pace", "jobs", "webhook"} {
		for code, where := range worthATry(t, "../"+room) {
			if !elsewhere[code] {
				want[code] = true
				if retryReason(code) == unknownReason {
					t.Errorf("%s: %q is not in the vocabulary", where, code)
				}
			}
		}
	}
	for _, r := range RetryReasons {
		if !want[r.Code] {
			t.Errorf("no error has the reason %q any more", r.Code)
		}
		if r.Meaning == "" {
			t.Errorf("%q means nothing", r.Code)
		}
	}
}

// worthATry returns the reasons beside the classes Transient and Unclassified in
// calls and tables of a room, with a place of each.
func worthATry(t *testing.T, dir string) map[string]token.Position {
	t.Helper()
	files, err := filepath.Glob(dir + "/*.go")
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %v", dir, err)
	}
	fset, constants, found := token.NewFileSet(), map[string]string{}, map[string]token.Position{}
	var parsed []*ast.File
	for _, name := range append([]string{"../gitlab/reasons.go"}, files...) { // whose constants others use
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(fset, name, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		if filepath.Dir(name) == dir {
			parsed = append(parsed, f)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok {
				for i, name := range v.Names {
					if i < len(v.Values) {
						if text, ok := literal(v.Values[i]); ok {
							constants[name.Name] = text
						}
					}
				}
			}
			return true
		})
	}
	reasons := func(e ast.Expr) []string {
		switch e := e.(type) {
		case *ast.Ident:
			return []string{constants[e.Name]} // a variable of two constants is ""
		case *ast.SelectorExpr:
			return []string{constants[e.Sel.Name]}
		case *ast.CallExpr: // of a registry, ours or the old one
			if text, ok := literal(e.Args[0]); ok {
				return []string{"ecr-" + text, "old-registry-" + text}
			}
		}
		text, _ := literal(e)
		return []string{text}
	}
	for _, f := range parsed {
		ast.Inspect(f, func(n ast.Node) bool {
			var list []ast.Expr
			switch n := n.(type) {
			case *ast.CallExpr:
				list = n.Args
			case *ast.CompositeLit:
				list = n.Elts
			}
			for i, e := range list {
				if pair, ok := e.(*ast.KeyValueExpr); ok {
					// A table with names: the reason stands somewhere beside the class.
					for _, other := range list {
						if o, ok := other.(*ast.KeyValueExpr); ok && again(pair.Value) && o.Key.(*ast.Ident).Name == "reason" {
							for _, code := range reasons(o.Value) {
								found[code] = fset.Position(o.Pos())
							}
						}
					}
					continue
				}
				if again(e) && i+1 < len(list) {
					for _, code := range reasons(list[i+1]) {
						found[code] = fset.Position(e.Pos())
					}
				}
			}
			return true
		})
	}
	delete(found, "")
	return found
}

// again says whether an expression is a class that is tried again.
func again(e ast.Expr) bool {
	s, ok := e.(*ast.SelectorExpr)
	if !ok {
		return false
	}
	room, ok := s.X.(*ast.Ident)
	return ok && room.Name == "fault" && (s.Sel.Name == "Transient" || s.Sel.Name == "Unclassified")
}

func literal(e ast.Expr) (string, bool) {
	if b, ok := e.(*ast.BasicLit); ok && b.Kind == token.STRING {
		text, err := strconv.Unquote(b.Value)
		return text, err == nil
	}
	return "", false
}
