package ciconfig

import (
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// output says what commands print, as far as a script shows it. The zero value prints
// nothing.
type output struct {
	known   bool // the text of an echo, a printf or what is followed
	unknown bool // another program's text
	open    bool // no space or line break ends it, so what is printed next continues it
	joined  bool // a text that was continued
}

func (o output) nothing() bool { return o == output{} }

// then is what two commands print one after the other.
func (o output) then(next output) output {
	return output{
		known: o.known || next.known, unknown: o.unknown || next.unknown,
		open:   next.open || o.open && next.nothing(),
		joined: o.joined || next.joined || o.open && !next.nothing(),
	}
}

// or is what either of two ways prints.
func (o output) or(other output) output {
	return output{o.known || other.known, o.unknown || other.unknown, o.open || other.open, o.joined || other.joined}
}

// givesUp says whether a list of statements gives up: what it prints before is a message.
func givesUp(list []*syntax.Stmt) bool {
	return slices.ContainsFunc(list, func(s *syntax.Stmt) bool {
		c, ok := s.Cmd.(*syntax.CallExpr)
		if !ok || len(c.Args) != 2 || c.Args[0].Lit() != "exit" && c.Args[0].Lit() != "return" {
			return false
		}
		status := c.Args[1].Lit()
		return status != "" && status != "0"
	})
}

// outputOf is what a list of statements prints.
func (sh *shell) outputOf(list []*syntax.Stmt, depth int) (out output) {
	if givesUp(list) {
		return output{}
	}
	for _, s := range list {
		out = out.then(sh.outputOfOne(s, depth))
	}
	return out
}

func (sh *shell) outputOfOne(s *syntax.Stmt, depth int) (out output) {
	if s == nil || redirected(s.Redirs) {
		return output{}
	}
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		return sh.outputOfCall(c, s.Redirs, depth)
	case *syntax.Block:
		return sh.outputOf(c.Stmts, depth)
	case *syntax.Subshell:
		return sh.outputOf(c.Stmts, depth)
	case *syntax.TimeClause:
		return sh.outputOfOne(c.Stmt, depth)
	case *syntax.IfClause:
		var before output
		for ; c != nil; c = c.Else {
			before = before.then(sh.outputOf(c.Cond, depth))
			out = out.or(before.then(sh.outputOf(c.Then, depth)))
		}
		return out
	case *syntax.CaseClause:
		for _, it := range c.Items {
			out = out.or(sh.outputOf(it.Stmts, depth))
		}
		return out
	case *syntax.WhileClause:
		return sh.outputOf(c.Cond, depth).then(sh.outputOf(c.Do, depth))
	case *syntax.ForClause:
		return sh.outputOf(c.Do, depth)
	case *syntax.BinaryCmd:
		left, right := sh.outputOfOne(c.X, depth), sh.outputOfOne(c.Y, depth)
		switch c.Op {
		case syntax.AndStmt:
			return left.then(right)
		case syntax.OrStmt: // a command that fails prints nothing but messages
			return left.or(right)
		}
		return right // the end of a pipe
	}
	return output{}
}

// silent are commands that print nothing.
var silent = map[string]bool{
	":": true, "[": true, "cd": true, "chmod": true, "chown": true, "cp": true, "exit": true, "false": true,
	"getopts": true, "ln": true, "mapfile": true, "mkdir": true, "mv": true, "read": true, "readarray": true,
	"return": true, "rm": true, "set": true, "shift": true, "shopt": true, "sleep": true, "test": true,
	"touch": true, "trap": true, "true": true, "umask": true, "unset": true, "wait": true,
}

// quietable are commands that print nothing when they are told to be quiet.
var quietable = map[string]bool{"apk": true, "apt": true, "apt-get": true, "cmp": true, "diff": true, "egrep": true, "fgrep": true, "grep": true, "pip": true}

func (sh *shell) outputOfCall(c *syntax.CallExpr, redirs []*syntax.Redirect, depth int) output {
	if len(c.Args) == 0 {
		return output{}
	}
	name := c.Args[0].Lit()
	last := c.Args[len(c.Args)-1]
	switch name {
	case "echo":
		for _, a := range c.Args[1:] {
			if f := a.Lit(); !isEchoFlag(f) {
				break
			} else if strings.Contains(f, "n") {
				return output{known: true, open: true}
			}
		}
		return output{known: true}
	case "printf":
		i := 1
		for ; i < len(c.Args)-1 && strings.HasPrefix(c.Args[i].Lit(), "-"); i++ {
			if c.Args[i].Lit() == "-v" {
				return output{}
			}
		}
		format := ""
		if i < len(c.Args) {
			format = endOf(c.Args[i])
		}
		return output{known: true, open: !strings.HasSuffix(format, `\n`) && !strings.HasSuffix(format, " ")}
	case "cat":
		heredoc := slices.ContainsFunc(redirs, func(r *syntax.Redirect) bool { return r.Hdoc != nil })
		return output{known: heredoc, unknown: !heredoc}
	case ".", "source", "sh", "bash", "eval", "command", "builtin", "exec", "printenv":
		return output{known: true} // followed where it can be
	case "git":
		if slices.ContainsFunc(c.Args, func(a *syntax.Word) bool { return a.Lit() == "--quiet" }) {
			return output{}
		}
	}
	if silent[name] || quietable[name] && slices.ContainsFunc(c.Args, isQuiet) {
		return output{}
	}
	if f, ok := sh.funcs.get(name); ok {
		if depth > maxCalls {
			return output{unknown: true}
		}
		return sh.outputOfOne(f.body, depth+1)
	}
	if strings.Contains(name, "/") || name == "" || strings.HasSuffix(last.Lit(), ".sh") {
		return output{known: true} // a script, followed where it can be
	}
	return output{unknown: true}
}

func isQuiet(w *syntax.Word) bool {
	f := w.Lit()
	return f == "--quiet" || f == "--silent" || len(f) > 1 && f[0] == '-' && f[1] != '-' && strings.Contains(f, "q")
}

// endOf is the text that a word ends with.
func endOf(w *syntax.Word) string {
	if len(w.Parts) == 0 {
		return ""
	}
	switch p := w.Parts[len(w.Parts)-1].(type) {
	case *syntax.Lit:
		return p.Value
	case *syntax.SglQuoted:
		return p.Value
	case *syntax.DblQuoted:
		return endOf(&syntax.Word{Parts: p.Parts})
	}
	return ""
}

// redirected says whether what a command prints goes to a file, or to where messages go.
func redirected(list []*syntax.Redirect) bool {
	for _, r := range list {
		if r.N != nil && r.N.Value != "1" {
			continue
		}
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			return true
		case syntax.DplOut:
			if r.Word.Lit() != "1" {
				return true
			}
		}
	}
	return false
}
