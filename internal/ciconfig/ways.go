package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Where a script may go several ways, each is followed by a shell of its own. Nobody
// knows which one is taken, so a variable keeps the values of all of them; but what two
// ways have set never comes together.

// merge goes on with what the ways have left, of which one is taken.
func (sh *shell) merge(ways ...*shell) {
	switch len(ways) {
	case 0:
		return
	case 1:
		sh.vars = ways[0].vars
		sh.learn(ways[0])
		return
	}
	was, among := sh.vars, &choice{}
	changed := map[string]bool{}
	for _, w := range ways {
		for name, v := range w.vars.beside(was) {
			if old, ok := was.get(name); !ok || len(old) != len(v) || len(v) > 0 && &old[0] != &v[0] {
				changed[name] = true
			}
		}
		sh.learn(w)
	}
	for _, name := range sortedKeys(changed) {
		var vals []text
		by := func(i int) *choice { return &choice{among: among, one: i} }
		if old, ok := was.get(name); sh.mixed && slices.ContainsFunc(ways, func(w *shell) bool {
			v, set := w.vars.get(name)
			return set == ok && len(v) == len(old) && (len(v) == 0 || &v[0] == &old[0])
		}) {
			by = func(int) *choice { return nil } // an earlier turn may have set it
		}
		for i, w := range ways {
			v, ok := w.vars.get(name)
			if !ok {
				v = sh.before(name)
			}
			if !sh.mixed {
				v = w.onWay(v, len(sh.arms))
			}
			vals = union(vals, chosen(v, by(i)))
		}
		sh.vars = sh.vars.with(name, vals)
	}
}

// ways are conditions of a script, all of which hold where it gives a value.
type ways struct{ arms []arm }

// or are the conditions of a value that two ways give: those that both have.
func (w *ways) or(other *ways) *ways {
	switch {
	case w == other:
		return w
	case w == nil || other == nil:
		return nil
	}
	both := slices.DeleteFunc(slices.Clone(w.arms), func(a arm) bool { return !slices.Contains(other.arms, a) })
	switch len(both) {
	case len(w.arms):
		return w
	case 0:
		return nil
	}
	return &ways{both}
}

// loosens forgets the conditions of a text that another one with its content does not have.
func (t text) loosens(same text) {
	for i := range min(len(t), len(same)) {
		t[i].when = t[i].when.or(same[i].when)
	}
}

// insteadOf is what stands in for a value where that is empty: where one alone may be, it is there
// under the conditions of that one.
func insteadOf(vals, word []text) []text {
	empty := slices.DeleteFunc(slices.Clone(vals), func(v text) bool { return !v.mayBeEmpty() })
	if len(empty) != 1 || len(empty[0]) == 0 || empty[0][0].when == nil {
		return word
	}
	out := make([]text, len(word))
	for i, w := range word {
		out[i] = slices.Clone(w)
		for k := range w {
			if w[k].when == nil {
				out[i][k].when = empty[0][0].when
			}
		}
	}
	return out
}

// onWay are values that a script gives behind the branches that it has taken since it had
// taken some.
func (sh *shell) onWay(vals []text, since int) []text {
	var arms []arm
	for _, a := range sh.arms[min(since, len(sh.arms)):] {
		if a.asked != "" {
			arms = append(arms, a)
		}
	}
	if arms == nil {
		return vals
	}
	outer, joined := &ways{arms}, map[*ways]*ways{} // what were the same conditions stay so
	out := make([]text, len(vals))
	for i, v := range vals {
		out[i] = slices.Clone(v)
		for k := range v {
			switch was := v[k].when; {
			case was == nil:
				out[i][k].when = outer
			case joined[was] == nil:
				joined[was] = &ways{slices.Concat(arms, was.arms)}
				fallthrough
			default:
				out[i][k].when = joined[was]
			}
		}
	}
	return out
}

// prints takes values for the output of a substitution.
func (sh *shell) prints(vals []text) { *sh.print = union(*sh.print, sh.onWay(vals, sh.since)) }

// before is what a variable holds where a branch has not assigned it. What
// GitLab sets is a hole, which has to stay among the values.
func (sh *shell) before(name string) []text {
	was, ok := sh.env.lookup(name)
	if !ok && strings.HasPrefix(name, "CI_") {
		return []text{{piece{hole: name}}}
	}
	return was
}

// maybe follows what may or may not be executed.
func (sh *shell) maybe(f func(*shell)) {
	b := sh.clone()
	f(b)
	sh.merge(b, sh.clone())
}

// asking follows what is executed where a condition holds, or does not.
func (sh *shell) asking(ch *chunk, cond, s *syntax.Stmt, holds bool) {
	b, rest := sh.clone(), sh.clone()
	b.arms = append(slices.Clip(sh.arms), sh.behind(ch, cond, holds))
	b.stmt(ch, s)
	rest.arms = append(slices.Clip(sh.arms), sh.behind(ch, cond, !holds))
	sh.merge(b, rest)
}

// branch follows if, with all its elif and else.
func (sh *shell) branch(ch *chunk, c *syntax.IfClause) {
	if sh.filling(ch, c) {
		return
	}
	among, open := syntax.Node(c), false
	var lists [][]*syntax.Stmt
	past := arm{among: among}
	if c.Else == nil && len(c.Cond) == 1 {
		past = sh.behind(ch, c.Cond[0], false)
	}
	defer func() { sh.beyond(past, lists, open) }()
	var ways []*shell
	rest := sh.clone()
	decided := false // what is behind is never run, though what it says is looked at
	for first := c; c != nil; c = c.Else {
		lists = append(lists, c.Then)
		rest.stmts(ch, c.Cond)
		filled, empty := rest.asksForText(ch, c.Cond)
		for _, cond := range c.Cond {
			open = open || rest.open(cond)
		}
		at := arm{among: among, one: firstOf(c.Then), open: open}
		if c == first && len(c.Cond) == 1 {
			at = rest.behind(ch, c.Cond[0], true)
		} else if c == first.Else && len(c.Cond) == 0 && len(first.Cond) == 1 {
			at = rest.behind(ch, first.Cond[0], false)
		}
		if taken := rest.way(ways, ch, at, c.Then); !decided && !empty {
			ways = taken
		}
		decided = decided || filled
		if len(c.Cond) == 0 {
			sh.merge(ways...)
			return
		}
	}
	if !decided {
		if past.asked != "" {
			rest.arms = append(slices.Clip(sh.arms), past)
		}
		ways = append(ways, rest)
	}
	sh.merge(ways...)
}

// inEachJob are variables that no job is without.
// https://docs.gitlab.com/ci/variables/predefined_variables/
var inEachJob = regexp.MustCompile(`^CI_(REGISTRY(_IMAGE)?|PROJECT_(ID|PATH|NAME|NAMESPACE|ROOT_NAMESPACE|DIR|URL|PATH_SLUG)|COMMIT_(SHA|SHORT_SHA|REF_NAME|REF_SLUG)|PIPELINE_I?ID|JOB_ID|DEFAULT_BRANCH|SERVER_(HOST|URL))$`)

// asksForText says of a condition that asks whether a text is there, or is none, whether it
// is sure to hold in a job, or not to: [ -z "$CI_REGISTRY_IMAGE" ].
func (sh *shell) asksForText(ch *chunk, cond []*syntax.Stmt) (holds, fails bool) {
	if sh.run.now == nil || len(cond) != 1 || cond[0].Negated {
		return false, false
	}
	op, word := "", (*syntax.Word)(nil)
	switch c := cond[0].Cmd.(type) {
	case *syntax.TestClause:
		if t, ok := c.X.(*syntax.UnaryTest); ok {
			op = t.Op.String()
			word, _ = t.X.(*syntax.Word)
		}
	case *syntax.CallExpr:
		if n := len(c.Args); n == 4 && c.Args[0].Lit() == "[" && c.Args[3].Lit() == "]" || n == 3 && c.Args[0].Lit() == "test" {
			op, word = c.Args[1].Lit(), c.Args[2]
		}
	}
	if word == nil || op != "-z" && op != "-n" {
		return false, false
	}
	vals := sh.word(ch, word)
	if len(vals) == 0 || slices.ContainsFunc(vals, func(t text) bool {
		return !slices.ContainsFunc(t, func(p piece) bool { return p.text != "" || inEachJob.MatchString(p.hole) })
	}) {
		return false, false
	}
	return op == "-n", op == "-z"
}

// arm is one of the lists of commands of if or case, of which one is run; or none of
// them, for what follows where some end the script. What one condition leads to is the
// same arm wherever a script asks for it.
type arm struct {
	among syntax.Node
	one   *syntax.Stmt // the first of the list
	asked string       // the condition alone, for && and || and the first list of if
	open  bool         // what decides is what has changed or is there, not the kind of pipeline
}

// behind is the arm of what is run where a condition holds, or does not.
func (sh *shell) behind(ch *chunk, cond *syntax.Stmt, holds bool) arm {
	asked := "||"
	if holds {
		asked = "&&"
	}
	return arm{asked: strings.TrimRight(ch.text[cond.Pos().Offset():cond.End().Offset()], "; \t\n") + asked, open: sh.open(cond)}
}

// open says whether a condition asks what no rule of a pipeline says: a command such as git
// or docker, or a variable that holds what one has printed.
func (sh *shell) open(conds ...syntax.Node) (found bool) {
	for _, cond := range conds {
		syntax.Walk(cond, func(n syntax.Node) bool {
			switch n := n.(type) {
			case *syntax.CallExpr:
				found = found || len(n.Args) > 0 && !conditionWords[n.Args[0].Lit()]
			case *syntax.ParamExp:
				if n.Param != nil && !predefined(n.Param.Value) {
					vals, _ := sh.vars.get(n.Param.Value)
					found = found || slices.ContainsFunc(vals, text.uncertain)
				}
			}
			return !found
		})
	}
	return found
}

// conditionWords are commands that conditions on variables are made of.
var conditionWords = map[string]bool{"[": true, "[[": true, "test": true, "true": true, "false": true, ":": true, "echo": true, "printf": true, "grep": true, "egrep": true, "expr": true}

func firstOf(list []*syntax.Stmt) *syntax.Stmt {
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

// beyond notes that what follows is run where no arm was taken that ends the script. Behind
// one that ends it with a failure no other job comes.
func (sh *shell) beyond(past arm, lists [][]*syntax.Stmt, open bool) {
	if slices.ContainsFunc(lists, exits) {
		past.open = open && slices.ContainsFunc(lists, exitsWell)
		sh.arms = append(slices.Clip(sh.arms), past)
	}
}

// exitsWell says whether a list of commands ends the script, and the job is fine.
func exitsWell(list []*syntax.Stmt) bool {
	if !exits(list) {
		return false
	}
	args := list[len(list)-1].Cmd.(*syntax.CallExpr).Args
	return len(args) == 1 || args[1].Lit() == "0"
}

// exits says whether a list of commands ends the script.
func exits(list []*syntax.Stmt) bool {
	if len(list) == 0 {
		return false
	}
	c, ok := list[len(list)-1].Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && c.Args[0].Lit() == "exit"
}

// comesTo says whether a run of a script that comes to the place behind some branches is
// sure to come to the one behind others.
func comesTo(from, to []arm) bool {
	return !slices.ContainsFunc(to, func(x arm) bool { return !slices.Contains(from, x) })
}

// cases follows case.
func (sh *shell) cases(ch *chunk, c *syntax.CaseClause) {
	vals := sh.word(ch, c.Word)
	if sh.option(ch, c, vals) {
		return
	}
	var ways []*shell
	var lists [][]*syntax.Stmt
	all, open := false, sh.open(c.Word)
	for _, it := range c.Items {
		for _, p := range it.Patterns {
			sh.compared(ch, vals, p)
			all = all || p.Lit() == "*"
		}
		ways = sh.way(ways, ch, arm{among: c, one: firstOf(it.Stmts), open: open}, it.Stmts)
		lists = append(lists, it.Stmts)
	}
	if !all {
		ways = append(ways, sh.clone())
	}
	sh.merge(ways...)
	sh.beyond(arm{among: c}, lists, open)
}

// way follows one of several ways, and adds it unless it ends the script.
func (sh *shell) way(ways []*shell, ch *chunk, at arm, list []*syntax.Stmt) []*shell {
	w := sh.clone()
	w.arms = append(slices.Clip(sh.arms), at)
	w.stmts(ch, list)
	if exits(list) {
		return ways
	}
	return append(ways, w)
}

// tests says whether a statement only asks something, so that what follows && may be
// left out on a good day.
func (c *chunk) tests(s *syntax.Stmt) bool {
	is, known := c.asking[s]
	if !known {
		if c.asking == nil {
			c.asking = map[*syntax.Stmt]bool{}
		}
		is = c.asks(s)
		c.asking[s] = is
	}
	return is
}

func (c *chunk) asks(s *syntax.Stmt) bool {
	switch cmd := s.Cmd.(type) {
	case *syntax.TestClause:
		return true
	case *syntax.BinaryCmd:
		return c.tests(cmd.X) || c.tests(cmd.Y)
	case *syntax.CallExpr:
		if len(cmd.Args) > 0 {
			switch cmd.Args[0].Lit() {
			case "[", "test", "grep", "true", "false":
				return true
			}
		}
	}
	return false
}
