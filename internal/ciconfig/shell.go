package ciconfig

import (
	"path"
	"slices"

	"mvdan.cc/sh/v3/syntax"
)

// shell follows a script: it assigns variables, walks branches and loops, and
// hands every command with its evaluated words to the run. Nothing is
// executed. Where a value depends on what happens, all values are kept.
type shell struct {
	run    *run
	env    *env // variables of the job
	vars   *table[[]text]
	args   [][]text // positional parameters, nil when unknown
	known  bool     // args are known
	self   []text   // $0, where it is one of the words behind sh -c
	funcs  *table[function]
	depth  int
	piped  bool      // what is printed goes to a file or another command
	feeds  bool      // what is printed are the items of an xargs, which is followed with them
	fills  bool      // and envsubst puts variables into it
	target string    // the file that it goes to, "" where that is not known
	dir    string    // what cd has gone to, "" for the checkout or a place that is not known
	making *makeCall // whose recipe it runs
	taking bool      // in the loop that takes known arguments
	mixed  bool      // in one that takes others: what two of its ways set may come together
	optind int       // how many of them getopts has taken
	away   bool      // on another machine, which does not have the job's variables
	local  bool      // the text is expanded here, before it goes there
	print  *[]text   // what echo prints, inside a command substitution
	since  int       // of the branches, those that it had taken before
	pushes bool      // inside a command substitution whose output is pushed
	lines  []text    // what the loop's read will read, nil where nobody knows
	stdin  []string  // files that standard input comes from
	here   *hereScript
	arms   []arm // of the branches that it has taken
	table  bool  // what comes in is a list of images, their names and tags in columns of their own
}

type function struct {
	ch   *chunk
	body *syntax.Stmt
}

// maxSteps bounds the statements followed in one rewrite, maxCalls the depth
// of functions and scripts that call each other.
const (
	maxSteps = 100_000
	maxCalls = 6
)

func newShell(r *run, e *env) *shell {
	return &shell{run: r, env: e, vars: newTable[[]text](), funcs: newTable[function]()}
}

// clone is a subshell: what it assigns stays inside.
func (sh *shell) clone() *shell {
	c := *sh
	c.vars, c.funcs = sh.vars.share(), sh.funcs.share()
	return &c
}

// learn takes over the functions of another shell.
func (sh *shell) learn(o *shell) {
	for name, f := range o.funcs.beside(sh.funcs) {
		sh.funcs = sh.funcs.with(name, f)
	}
}

// script follows a chunk of shell text.
func (sh *shell) script(ch *chunk) {
	if ch == nil {
		return
	}
	f := ch.shell()
	if f == nil {
		sh.run.scanText(sh, ch)
		return
	}
	sh.stmts(ch, f.Stmts)
}

func (sh *shell) stmts(ch *chunk, list []*syntax.Stmt) {
	if sh.print != nil && givesUp(list) {
		was := sh.print
		sh.print = nil
		defer func() { sh.print = was }()
	}
	for _, s := range list {
		sh.stmt(ch, s)
	}
}

func (sh *shell) stmt(ch *chunk, s *syntax.Stmt) {
	if s == nil {
		return
	}
	if sh.run.steps++; sh.run.steps > maxSteps {
		sh.run.truncated = true
		return
	}
	if toFile(s.Redirs) {
		was, target := sh.piped, sh.target
		sh.piped, sh.target = true, sh.writesTo(ch, s.Redirs)
		defer func() { sh.piped, sh.target = was, target }()
	} else if file := sh.teesTo(ch, s); file != "" && len(s.Redirs) > 0 { // a here-document
		was, target := sh.piped, sh.target
		sh.piped, sh.target = true, file
		defer func() { sh.piped, sh.target = was, target }()
	}
	if sh.print != nil && redirected(s.Redirs) {
		was := sh.print
		sh.print = nil
		defer func() { sh.print = was }()
	}
	for _, r := range s.Redirs {
		if was := sh.here; r.Hdoc != nil || r.Op == syntax.WordHdoc && sh.fedString(ch, s, r) {
			if r.Hdoc != nil {
				sh.heredoc(ch, s, r)
			}
			if sh.here != was {
				defer func() {
					sh.runHere()
					sh.here = was
				}()
			}
		} else if r.Word != nil {
			if sh.readsOutput(ch, s, r) {
				continue
			}
			vals := sh.word(ch, r.Word)
			switch {
			case r.Op != syntax.WordHdoc:
			case readsLines(s):
				sh.lines = turnsOf(vals, "\n", false)
			case takesItems(s):
				sh.lines = itemsOf(s, vals, false)
			case takesApart(s) && !readsWhole(s):
				sh.taken(vals, ch.span(int(s.Pos().Offset()), int(s.End().Offset())))
			case takesText(s):
				sh.run.textUses(sh, vals, ch.span(int(r.Word.Pos().Offset()), int(r.Word.End().Offset())), false, true)
			}
		}
	}
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		sh.call(ch, c, s.Redirs)
	case *syntax.DeclClause:
		for _, a := range c.Args {
			sh.assign(ch, a)
			if refers(c) {
				sh.refer(a)
			}
			if a.Name != nil && c.Variant.Value == "export" {
				sh.run.exported[a.Name.Value] = true
			}
		}
	case *syntax.Block:
		sh.stmts(ch, c.Stmts)
	case *syntax.Subshell:
		sh.clone().stmts(ch, c.Stmts)
	case *syntax.IfClause:
		sh.branch(ch, c)
	case *syntax.WhileClause:
		sh.stmts(ch, c.Cond)
		if !sh.options(ch, c) {
			sh.maybe(func(b *shell) {
				b.mixed = b.mixed || takesArguments(ch, c)
				b.stmts(ch, c.Do)
				b.mixed = sh.mixed
			})
		}
	case *syntax.ForClause:
		sh.loop(ch, c)
	case *syntax.CaseClause:
		sh.cases(ch, c)
	case *syntax.FuncDecl:
		if c.Name != nil {
			f := function{ch, c.Body}
			sh.funcs = sh.funcs.with(c.Name.Value, f)
			sh.run.functions = append(sh.run.functions, declared{f, c.Name.Value, sh})
		}
	case *syntax.BinaryCmd:
		switch c.Op {
		case syntax.Pipe, syntax.PipeAll:
			left, right := sh.clone(), sh.clone()
			var printed []text
			apart, lines, items := takesApart(c.Y), readsLines(c.Y), takesItems(c.Y)
			left.print = nil
			if apart || lines || items {
				left.print = &printed
			}
			left.piped, left.target = sh.piped || !lines && !items, sh.teesTo(ch, c.Y)
			left.feeds = items
			left.fills = sh.fills || substitutes(c.Y)
			left.stmt(ch, c.X)
			switch {
			case lines:
				right.lines = turnsOf(printed, "\n", true)
			case items:
				right.lines = itemsOf(c.Y, printed, true)
			case apart:
				sh.taken(printed, ch.span(int(c.X.Pos().Offset()), int(c.Y.End().Offset())))
			}
			if cuts(c.Y) && showsNames(ch, c.X) {
				sh.takenFrom(ch, c.X)
			}
			right.table = tabulates(c.X)
			right.stdin = catOf(c.X)
			right.stmt(ch, c.Y)
		default:
			sh.stmt(ch, c.X)
			if c.Op == syntax.AndStmt && !ch.tests(c.X) {
				sh.stmt(ch, c.Y)
			} else {
				sh.asking(ch, c.X, c.Y, c.Op == syntax.AndStmt)
			}
			if exitsWell(lastOf(c.Y)) {
				sh.arms = append(slices.Clip(sh.arms), sh.behind(ch, c.X, c.Op != syntax.AndStmt))
			}
		}
	case *syntax.TimeClause:
		sh.stmt(ch, c.Stmt)
	case *syntax.CoprocClause:
		sh.stmt(ch, c.Stmt)
	case *syntax.TestClause:
		sh.test(ch, c.X)
	}
}

// lastOf are the commands of a statement, which may be a list in braces.
func lastOf(s *syntax.Stmt) []*syntax.Stmt {
	if b, ok := s.Cmd.(*syntax.Block); ok {
		return b.Stmts
	}
	return []*syntax.Stmt{s}
}

// catOf is the file that a statement only prints: cat FILE.
func catOf(s *syntax.Stmt) []string {
	if c, ok := s.Cmd.(*syntax.CallExpr); ok && len(c.Args) == 2 && c.Args[0].Lit() == "cat" && c.Args[1].Lit() != "" {
		return []string{c.Args[1].Lit()}
	}
	return nil
}

// toFile says whether standard output goes to a file.
func toFile(list []*syntax.Redirect) bool {
	for _, r := range list {
		switch r.Op {
		case syntax.RdrOut, syntax.AppOut, syntax.RdrClob, syntax.RdrAll, syntax.AppAll:
			if r.Word.Lit() != "/dev/null" && (r.N == nil || r.N.Value == "1") {
				return true
			}
		}
	}
	return false
}

// set gives a variable its values; none at all is a value nobody knows.
func (sh *shell) set(name string, vals []text) {
	if vals == nil {
		vals = []text{{piece{hole: name}}}
	}
	sh.vars = sh.vars.with(name, vals)
	if all := sh.run.assigned[name]; len(all) != 1 || len(vals) != 1 || !all[0].same(vals[0]) {
		sh.run.assigned[name] = union(all, vals)
	}
}

func (sh *shell) assign(ch *chunk, a *syntax.Assign) {
	if a.Name == nil {
		if a.Value != nil {
			vals, at := sh.word(ch, a.Value), ch.span(int(a.Pos().Offset()), int(a.End().Offset()))
			if isSubstitution(a.Value) { // export $(./variables.sh)
				sh.setsPrinted(vals, at)
			} else { // export "IMAGE=$IMAGE", declare "IMAGE_$name=$IMAGE"
				sh.setsAll(vals, at)
			}
			sh.exportsFile(a.Value)
		}
		return
	}
	name := a.Name.Value
	if a.Naked {
		return
	}
	var vals []text
	switch {
	case a.Array != nil:
		for _, e := range a.Array.Elems {
			if w, ok := e.Index.(*syntax.Word); ok {
				sh.vars = sh.vars.with(keysOf(name), union(sh.keys(name), sh.word(ch, w)))
			}
			if e.Value != nil {
				for _, v := range sh.word(ch, e.Value) {
					vals = union(vals, sh.fields(ch, e.Value, v, sh.fieldEnds()))
				}
			}
		}
		if vals == nil {
			vals = []text{{}}
		}
		if a.Append { // what was there before has been looked at
			was, _ := sh.vars.get(name)
			sh.set(name, union(was, vals))
			sh.run.assignment(sh, name, vals, ch.span(int(a.Pos().Offset()), int(a.End().Offset())))
			return
		}
	case a.Value != nil:
		vals = sh.word(ch, a.Value)
		for i := range vals {
			vals[i] = unsplit(vals[i])
		}
		if w, ok := a.Index.(*syntax.Word); ok { // an element beside the others
			sh.vars = sh.vars.with(keysOf(name), union(sh.keys(name), sh.word(ch, w)))
		}
		if was, ok := sh.vars.get(name); ok && a.Index != nil && !empty(was) {
			vals = union(was, vals)
		}
		if a.Append {
			was, ok := sh.lookup(name)
			if ok {
				vals = product(slices.Clone(was), vals)
			}
		}
	default:
		vals = []text{{}}
	}
	sh.set(name, vals)
	sh.run.assignment(sh, name, vals, ch.span(int(a.Pos().Offset()), int(a.End().Offset())))
}

func unsplit(t text) text {
	split := false
	for i := range t {
		split = split || t[i].split
	}
	if !split {
		return t
	}
	t = slices.Clone(t)
	for i := range t {
		t[i].split = false
	}
	return t
}

func (sh *shell) lookup(name string) ([]text, bool) {
	if v, ok := sh.vars.get(name); ok {
		return v, true
	}
	if len(name) == 1 && name[0] >= '1' && name[0] <= '9' {
		i := int(name[0] - '1')
		if i < len(sh.args) && len(sh.args[i]) > 0 {
			return sh.args[i], true
		}
		return nil, false
	}
	if name == "0" && sh.self != nil {
		return sh.self, true
	}
	if name == "@" || name == "*" {
		var all []text
		for _, a := range sh.args {
			all = union(all, a)
		}
		return all, len(all) > 0
	}
	return sh.env.lookup(name)
}

// call follows a simple command.
func (sh *shell) call(ch *chunk, c *syntax.CallExpr, redirs []*syntax.Redirect) {
	if len(c.Args) == 0 {
		for _, a := range c.Assigns {
			sh.assign(ch, a)
		}
		return
	}
	n, seps := len(c.Args), sh.fieldEnds()
	cmd := command{ch: ch, call: c, at: ch.span(int(c.Pos().Offset()), int(c.End().Offset())),
		args: make([]text, 0, n), words: make([]*syntax.Word, 0, n), lits: make([]string, 0, n)}
	numbers := make([]int, 3*n) // one piece of memory for three lists
	cmd.pos, cmd.alt, cmd.nth = numbers[:0:n], numbers[n:n:2*n], numbers[2*n:2*n]
	for _, w := range c.Args {
		first := len(cmd.args) == 0
		if !first && isArguments(w) && len(sh.args) > 0 {
			cmd.addArguments(sh.args, w)
			continue
		}
		outside := sh.pushes
		sh.pushes = outside || cmd.pushes()
		vals, _ := sh.values(ch, w)
		sh.pushes = outside
		if first && len(vals) > 1 {
			vals = vals[:1]
		}
		start := len(cmd.lits)
		for k, v := range vals {
			if !v.splits(seps) { // as nearly all
				cmd.add(v, w, start, k, 0)
				continue
			}
			for n, f := range sh.fields(ch, w, v, seps) {
				cmd.add(f, w, start, k, n)
			}
		}
	}
	if len(cmd.args) == 0 {
		return
	}
	for _, r := range redirs {
		switch r.Op {
		case syntax.RdrIn:
			if sh.lines != nil && isReader(c) && processOf(r) != nil {
				continue // which it has been given
			}
			for _, v := range sh.word(ch, r.Word) {
				cmd.reads = append(cmd.reads, path.Clean(v.String()))
			}
		case syntax.WordHdoc:
			cmd.input = sh.word(ch, r.Word)
		}
	}
	scope := sh
	if len(c.Assigns) > 0 { // its words do not have these yet
		scope = sh.clone()
		for _, a := range c.Assigns {
			scope.assign(ch, a)
		}
	}
	scope.command(&cmd)
	if scope != sh {
		sh.dir = scope.dir
		sh.learn(scope)
		sh.keepRead(scope, c)
	}
}
