package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// What a script in a container comes to: tools that need a docker daemon, and scripts of the
// repository.

// callsDocker says which container tool a script calls, itself or in a script
// of the repository.
func (r *run) callsDocker(f *syntax.File, depth int) (tool string) {
	syntax.Walk(f, func(n syntax.Node) bool {
		c, ok := n.(*syntax.CallExpr)
		if !ok || tool != "" {
			return tool == ""
		}
		if len(c.Args) > 0 && dockerFunction.MatchString(c.Args[0].Lit()) && r.mayCallDocker(c.Args[0].Lit(), depth) {
			tool = "docker (by " + c.Args[0].Lit() + ")"
		}
		for i, a := range c.Args {
			if w := a.Lit(); needDocker[w] && (i == 0 || c.Args[0].Lit() == "sudo") && !onlyVersion(c.Args[i+1:]) {
				tool = w
			}
		}
		for _, s := range r.calledScripts(c, depth) {
			if g := s.whole().shell(); g != nil {
				if t := r.callsDocker(g, depth+1); t != "" {
					tool = t + " (in " + s.path + ")"
				}
			}
		}
		return tool == ""
	})
	return tool
}

// dockerFunction is the name of a function that is there to call docker. Commands such as
// docker-entrypoint.sh are none.
var dockerFunction = regexp.MustCompile(`^docker_[a-z]`)

// mayCallDocker says whether such a function calls docker: in a script of the repository
// that has it, sourced or put into the image, or in a file that is not seen.
func (r *run) mayCallDocker(name string, depth int) bool {
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if depth >= maxCalls || !bytes.Contains(f.Content, []byte(name+"()")) || !isShell(s) || s.whole().shell() == nil {
			continue
		}
		for _, stmt := range s.whole().shell().Stmts {
			if d, ok := stmt.Cmd.(*syntax.FuncDecl); ok && d.Name.Value == name {
				return r.callsDocker(&syntax.File{Stmts: []*syntax.Stmt{d.Body}}, depth+1) != ""
			}
		}
	}
	return true
}

// plainWord is a word without variables, quoted or not.
func plainWord(w *syntax.Word) string {
	if len(w.Parts) == 1 {
		switch p := w.Parts[0].(type) {
		case *syntax.SglQuoted:
			return p.Value
		case *syntax.DblQuoted:
			return (&syntax.Word{Parts: p.Parts}).Lit()
		}
	}
	return w.Lit()
}

// calledScripts are the shell scripts of the repository that a command runs.
func (r *run) calledScripts(c *syntax.CallExpr, depth int) []*source {
	var out []*source
	for _, a := range c.Args[:min(len(c.Args), 2)] {
		w := plainWord(a)
		if !strings.ContainsAny(w, "./") || depth >= maxCalls {
			continue
		}
		if s := r.find(w); s != nil && isShell(s) {
			out = append(out, s)
		}
	}
	return out
}

// withCalled are the lines of a script with those of the repository's scripts that it runs,
// also by a shell that it hands a script to.
func (r *run) withCalled(script []string, depth int) []string {
	f := parseText(script)
	if f == nil || depth > maxCalls {
		return script
	}
	out := slices.Clip(script)
	called := func(text string) {
		out = append(out, r.withCalled(strings.Split(text, "\n"), depth+1)...)
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr:
			for _, s := range r.calledScripts(n, depth) {
				called(string(s.data))
			}
			for i, a := range n.Args {
				if i > 1 && isShellName[path.Base(n.Args[0].Lit())] && strings.HasPrefix(n.Args[i-1].Lit(), "-") && strings.HasSuffix(n.Args[i-1].Lit(), "c") {
					called(plainWord(a))
				}
			}
		case *syntax.Stmt:
			for _, re := range n.Redirs {
				if yes, away := fed(n); yes && !away && re.Hdoc != nil {
					called(re.Hdoc.Lit())
				}
			}
		}
		return true
	})
	return out
}

// onlyVersion says whether a tool is only asked which one it is, which needs no
// daemon and no privileges.
func onlyVersion(args []*syntax.Word) bool {
	if len(args) == 0 {
		return false
	}
	return asksVersion[args[0].Lit()]
}

var asksVersion = map[string]bool{"-v": true, "--version": true, "--help": true, "-h": true}

// needDocker are the tools that need a docker daemon, or privileges of their own.
var needDocker = map[string]bool{"docker": true, "podman": true, "buildah": true, "docker-compose": true, "dockerd": true, "nerdctl": true, "kind": true, "k3d": true}

// recordDocker remembers that a job comes to such a tool, or to one that needs all rights,
// through another command, a script in quotes or a recipe of make: what callsDocker and
// needsPrivileges do not see.
func (r *run) recordDocker(c *command, name string) {
	switch {
	case r.now == nil:
	case privileges[name]:
		r.privileged[r.now.name] = true
	case needDocker[name] && len(c.args) > 1 && !asksVersion[c.lit(1)]:
		if was := r.dockers[r.now.name]; was == "" || clientOfDocker(was) {
			r.dockers[r.now.name] = name
		}
	case dockerFunction.MatchString(name) && r.dockers[r.now.name] == "" && r.mayCallDocker(name, 0):
		r.dockers[r.now.name] = "docker (by " + name + ")"
	}
}
