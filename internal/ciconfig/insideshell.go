package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// This file looks at the commands that move into a container: which shell they
// need, and which variables they name.

// parseText parses the lines of a script, nil when they are no shell text.
func parseText(lines []string) *syntax.File {
	f, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(strings.Join(lines, "\n")), "")
	if err != nil {
		return nil
	}
	return f
}

// The runner starts bash where the image has it, else sh, with pipefail where the
// shell knows it, and never with -u: a variable that is not set is empty. A script
// that means the same in both gets sh, which every image has; one that only bash
// understands gets bash; for all else the container looks for bash as the runner does.
// https://gitlab.com/gitlab-org/gitlab-runner/-/blob/main/shells/bash.go
type shellKind int

const (
	plainShell shellKind = iota
	bashShell
	findShell
)

// started is the command that starts the shell with a script, which follows -c directly,
// as readers of docker run expect it, and the line of the script that comes first.
func (k shellKind) started(c container) (command, first string) {
	flags := " -ec"
	if c.logsIn {
		flags = " -lec"
	}
	switch k {
	case bashShell:
		return "/bin/bash" + flags, "set -o pipefail"
	case findShell:
		return "$" + jobShell + flags, "if (set -o pipefail) 2>/dev/null; then set -o pipefail; fi"
	}
	return "/bin/sh" + flags, ""
}

// jobShell is the variable that has the shell of an image.
const jobShell = "job_shell"

// found is the line of the job that asks the image for it, none where the shell is known.
func (k shellKind) found(c container) []string {
	if k != findShell {
		return nil
	}
	words := slices.Concat([]string{"docker run --rm --entrypoint sh"}, c.ofImage, []string{c.image, `-c "command -v bash || command -v sh"`})
	return []string{jobShell + "=$(" + strings.Join(words, " ") + ")"}
}

// bashOnly and likeBash are commands that tell which shell a script is for.
var (
	bashOnly = map[string]bool{"shopt": true, "mapfile": true, "readarray": true, "pushd": true, "popd": true, "compgen": true, "disown": true}
	likeBash = map[string]bool{"source": true, ".": true, "local": true, "type": true, "printf": true, "trap": true, "read": true}
)

// ofBash are variables that only bash has by itself.
// https://www.gnu.org/software/bash/manual/html_node/Bash-Variables.html
var ofBash = regexp.MustCompile(`^(BASH[A-Z_]*|S?RANDOM|SECONDS|E?UID|FUNCNAME|PIPESTATUS|EPOCH(SECONDS|REALTIME)|(OS|HOST|MACH)TYPE|DIRSTACK|SHELLOPTS)$`)

// isDescriptor is what stands behind >& in every shell, tracesErrors an option of set that only bash has.
var (
	isDescriptor = regexp.MustCompile(`^([0-9]+|-|)$`)
	tracesErrors = regexp.MustCompile(`^-[a-zA-Z]*[ET]`)
)

// shellFor is the shell that a script needs.
func shellFor(lines []string) shellKind {
	f := parseText(lines)
	if f == nil {
		return bashShell
	}
	only, like := false, false
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Word:
			like = like || expandsBraces(n)
		case *syntax.TestClause:
			only = true
		case *syntax.ArithmCmd, *syntax.ProcSubst, *syntax.ArrayExpr, *syntax.CStyleLoop, *syntax.ExtGlob:
			only = true
		case *syntax.SglQuoted:
			like = like || n.Dollar
		case *syntax.DblQuoted:
			like = like || n.Dollar
		case *syntax.Assign:
			only = only || n.Append
		case *syntax.UnaryArithm:
			like = like || n.Op == syntax.Inc || n.Op == syntax.Dec
		case *syntax.BinaryArithm:
			like = like || n.Op == syntax.Pow
		case *syntax.TimeClause, *syntax.LetClause:
			like = true
		case *syntax.BinaryCmd:
			only = only || n.Op == syntax.PipeAll
			like = like || n.Op == syntax.Pipe && !prints(n.X) // dash mostly has no pipefail
		case *syntax.Redirect:
			only = only || n.Op == syntax.WordHdoc
			like = like || n.Op == syntax.RdrAll || n.Op == syntax.AppAll || n.Op == syntax.DplOut && !isDescriptor.MatchString(n.Word.Lit())
		case *syntax.CmdSubst:
			like = like || len(n.Stmts) == 1 && n.Stmts[0].Cmd == nil && len(n.Stmts[0].Redirs) > 0 // $(< file) is empty in dash
		case *syntax.ForClause:
			like = like || n.Select
		case *syntax.CaseItem:
			like = like || n.Op != syntax.Break
		case *syntax.FuncDecl:
			like = like || n.RsrvWord
			only = only || n.Name != nil && !isName.MatchString(n.Name.Value)
		case *syntax.DeclClause:
			switch n.Variant.Value {
			case "declare", "typeset":
				only = true
			case "export":
				only = only || len(n.Args) > 0 && n.Args[0].Value != nil && n.Args[0].Value.Lit() == "-f"
			}
		case *syntax.ParamExp:
			only = only || n.Excl || n.Names != 0 || n.Index != nil || n.Exp != nil && n.Exp.Op >= syntax.UpperFirst && n.Exp.Op <= syntax.LowerAll
			like = like || n.Repl != nil || n.Slice != nil || ofBash.MatchString(n.Param.Value)
		case *syntax.CallExpr:
			if len(n.Args) == 0 {
				break
			}
			name := n.Args[0].Lit()
			only, like = only || bashOnly[name], like || likeBash[name]
			for _, a := range n.Args[1:] {
				only = only || name == "wait" && a.Lit() == "-n"
				like = like || name == "set" && (a.Lit() == "pipefail" || tracesErrors.MatchString(a.Lit())) || name == "kill" && strings.HasPrefix(a.Lit(), "-SIG") || (name == "test" || name == "[") && (a.Lit() == "==" || a.Lit() == "-v") ||
					name == "echo" && (strings.HasPrefix(a.Lit(), "-") || backslash(a))
			}
		}
		return true
	})
	switch {
	case only:
		return bashShell
	case like:
		return findShell
	}
	return plainShell
}

// prints says whether a statement only prints, which does not fail: the pipe that it
// feeds fails with what reads it, with pipefail or without.
func prints(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && (c.Args[0].Lit() == "echo" || c.Args[0].Lit() == "printf")
}

// expandsBraces says whether bash makes several words of one: {1..3}, {a,b}.
func expandsBraces(w *syntax.Word) bool {
	for _, p := range w.Parts {
		if l, ok := p.(*syntax.Lit); ok {
			if _, in, ok := strings.Cut(l.Value, "{"); ok && (strings.Contains(in, ",") || strings.Contains(in, "..")) {
				return true
			}
		}
	}
	return false
}

// backslash says whether a word has a backslash, which the echo of dash reads
// and that of bash prints.
func backslash(w *syntax.Word) bool {
	found := false
	syntax.Walk(w, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.Lit:
			found = found || strings.Contains(n.Value, `\`)
		case *syntax.SglQuoted:
			found = found || strings.Contains(n.Value, `\`)
		}
		return !found
	})
	return found
}

var shellVariable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// ambient are variables that every shell has by itself.
var ambient = map[string]bool{"HOME": true, "PATH": true, "PWD": true, "OLDPWD": true, "RANDOM": true, "SHELL": true, "USER": true, "HOSTNAME": true, "IFS": true,
	"UID": true, "EUID": true, "LINENO": true, "SECONDS": true, "BASH_SOURCE": true, "FUNCNAME": true, "PIPESTATUS": true, "REPLY": true, "OPTARG": true, "OPTIND": true, "PS1": true, "TERM": true}

// named are the variables that a script, or one of the repository that it runs, takes
// from outside, but for those that every shell has.
func (r *run) named(script []string, depth int) []string {
	var out []string
	var own map[string][]reach
	if f := parseText(script); f != nil {
		own = reaches(f)
		syntax.Walk(f, func(n syntax.Node) bool {
			if n, ok := n.(*syntax.CallExpr); ok {
				for _, s := range r.calledScripts(n, depth) {
					out = append(out, r.named(strings.Split(string(s.data), "\n"), depth+1)...)
				}
			}
			return true
		})
	}
	text := strings.Join(script, "\n")
	for _, m := range shellVariable.FindAllStringSubmatchIndex(text, -1) {
		n, at := text[m[2]:m[3]], uint(m[0])
		if !ambient[n] && !slices.ContainsFunc(own[n], func(w reach) bool { return w.from <= at && at < w.to }) {
			out = append(out, n)
		}
	}
	return out
}

// privileges are commands that a container may only run with all rights: a job that has run
// them had those, as the jobs of a runner for docker-in-docker do.
// https://docs.docker.com/engine/containers/run/#runtime-privilege-and-linux-capabilities
var privileges = map[string]bool{"mount": true, "umount": true, "losetup": true, "kpartx": true, "modprobe": true, "insmod": true, "sysctl": true, "swapon": true,
	"iptables": true, "ip6tables": true, "nft": true, "unshare": true, "nsenter": true, "debootstrap": true, "mmdebstrap": true, "bwrap": true}

// needsPrivileges says whether a script has such a command.
func needsPrivileges(script []string) (found bool) {
	f := parseText(script)
	if f == nil {
		return false
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		c, ok := n.(*syntax.CallExpr)
		if !ok || len(c.Args) == 0 || found {
			return !found
		}
		name := c.Args[0].Lit()
		for _, a := range c.Args[1:] {
			if name != "sudo" || strings.HasPrefix(a.Lit(), "-") {
				break
			}
			name = a.Lit()
		}
		found = privileges[name]
		return !found
	})
	return found
}
