package ciconfig

import (
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// This file looks at the commands that move into a container: which shell they
// need, and which variables.

// parseText parses the lines of a script, nil when they are no shell text.
func parseText(lines []string) *syntax.File {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(strings.Join(lines, "\n")), "")
	if err != nil {
		return nil
	}
	return f
}

// The runner starts bash where the image has it, else sh. A script that keeps
// to POSIX gets sh, which every image has. All others get bash: where an image
// has none the job says so, while a plain sh may take [[ for a command that is
// not there and go on.
const (
	plainShell = "/bin/sh -eux -c"
	bashShell  = "/bin/bash -eux -c"
)

// bashOnly are commands that a POSIX shell does not have.
var bashOnly = map[string]bool{"shopt": true, "mapfile": true, "readarray": true, "pushd": true, "popd": true, "compgen": true, "disown": true, "source": true, "let": true}

// shellFor is the shell that a script needs.
func shellFor(lines []string) string {
	f := parseText(lines)
	if f == nil {
		return bashShell
	}
	only := false
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.TestClause:
			only = true
		case *syntax.ArithmCmd, *syntax.ProcSubst, *syntax.ArrayExpr, *syntax.CStyleLoop, *syntax.ExtGlob:
			only = true
		case *syntax.SglQuoted:
			only = only || n.Dollar
		case *syntax.Redirect:
			only = only || n.Op == syntax.WordHdoc || n.Op == syntax.RdrAll || n.Op == syntax.AppAll
		case *syntax.FuncDecl:
			only = only || n.RsrvWord
		case *syntax.DeclClause:
			switch n.Variant.Value {
			case "declare", "typeset":
				only = true
			}
		case *syntax.ParamExp:
			only = only || n.Excl || n.Names != 0 || n.Index != nil || n.Exp != nil && n.Exp.Op >= syntax.UpperFirst && n.Exp.Op <= syntax.LowerAll
			only = only || n.Repl != nil || n.Slice != nil
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				break
			}
			name := n.Args[0].Lit()
			only = only || bashOnly[name]
			for _, a := range n.Args[1:] {
				only = only || name == "set" && a.Lit() == "pipefail"
			}
		}
		return true
	})
	if only {
		return bashShell
	}
	return plainShell
}

// variableName is a variable that a script names; assigned when the script
// gives it its value itself.
type variableName struct {
	name     string
	assigned bool
}

// named are the variables that a script names, but for those that every shell
// has by itself.
func named(script []string) []variableName {
	own := map[string]bool{}
	if f := parseText(script); f != nil {
		syntax.Walk(f, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.Assign:
				if n.Name != nil && n.Value != nil && !n.Append {
					own[n.Name.Value] = true
				}
			case *syntax.WordIter:
				own[n.Name.Value] = true
			}
			return true
		})
	}
	var out []variableName
	seen := map[string]bool{}
	for _, m := range shellVariable.FindAllStringSubmatch(strings.Join(script, "\n"), -1) {
		if n := m[1]; !ambient[n] && !seen[n] {
			seen[n] = true
			out = append(out, variableName{n, own[n]})
		}
	}
	return out
}

// namesSettings says whether a script names a variable that nothing in the
// files sets: it may be one of the project's settings, and of type file, which
// the runner writes beside the checkout.
func (r *run) namesSettings(s *site, script []string) bool {
	e := r.cfg.env(s.job.tree)
	for _, n := range named(script) {
		if !n.assigned && len(e.defs[n.name]) == 0 && !steering(n.name) && n.name != "CI" && !strings.HasPrefix(n.name, "GITLAB_") {
			return true
		}
	}
	return false
}
