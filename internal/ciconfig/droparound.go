package ciconfig

import (
	"slices"

	"mvdan.cc/sh/v3/syntax"
)

// What may go with a command that goes, because it does nothing without it.

// failureWords are commands that say that something has failed, or that it does not matter.
var failureWords = map[string]bool{"true": true, ":": true, "echo": true, "printf": true, "exit": true, "return": true, "false": true, "sleep": true}

// onFailure says whether a statement behind || does no more than that. Any other goes on, such
// as the build of an image that could not be pulled.
func onFailure(s *syntax.Stmt) bool {
	all := func(list []*syntax.Stmt) bool {
		return !slices.ContainsFunc(list, func(x *syntax.Stmt) bool { return !onFailure(x) })
	}
	switch x := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(x.Args) > 0 && failureWords[x.Args[0].Lit()]
	case *syntax.BinaryCmd:
		return onFailure(x.X) && onFailure(x.Y)
	case *syntax.Block:
		return all(x.Stmts)
	case *syntax.Subshell:
		return all(x.Stmts)
	}
	return false
}

// onlyPulls says whether a statement is a pull, which fails where the image is not there.
func onlyPulls(s *syntax.Stmt) bool {
	x, ok := s.Cmd.(*syntax.CallExpr)
	return ok && slices.ContainsFunc(x.Args, func(w *syntax.Word) bool { return w.Lit() == "pull" })
}

// onlyShows says whether a statement does no more than show what it reads, or a part of it.
func onlyShows(s *syntax.Stmt) bool {
	call, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(s.Redirs) == 0 && len(call.Args) > 0 && slices.Contains([]string{"cat", "head", "tail"}, call.Args[0].Lit())
}

// onlyAsks says whether a statement only asks something.
func onlyAsks(s *syntax.Stmt) bool {
	switch x := s.Cmd.(type) {
	case *syntax.TestClause:
		return true
	case *syntax.CallExpr:
		return len(x.Args) > 0 && (x.Args[0].Lit() == "[" || x.Args[0].Lit() == "test")
	}
	return false
}
