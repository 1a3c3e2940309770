package ciconfig

import (
	"maps"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// cutting takes commands and flags out of scripts, and jobs of which nothing
// is left.
type cutting struct {
	run       *run
	calls     map[*syntax.CallExpr]bool
	flags     []change
	taken     map[span]bool // the spans of flags
	chunks    []*chunk
	emptied   map[*yaml.Node]int  // script list -> entries taken out
	recipes   []span              // lines of recipes that go
	items     map[*yaml.Node]bool // these entries
	changes   []change
	jobs      []*job
	variables []inVariable                  // the flags that are taken out of the values of variables
	useless   map[*chunk][]*syntax.CallExpr // the assignments that change nothing without them
	asked     map[*syntax.CallExpr]bool     // pulls that go, and for which an image was built only where they failed
	bad       bool
}

// inVariable is a flag in the value of a variable, and the script that uses it.
type inVariable struct {
	span
	ch *chunk
}

// droppable adds what becomes useless with the drops and says whether all of it
// can be taken out.
func (r *run) droppable(drops []*use) ([]*use, bool) {
	if len(drops) == 0 {
		return nil, true
	}
	pulls := r.idlePulls(drops)
	added := append(slices.Clone(drops), pulls...)
	return added, !r.cut(append(r.meeting(added), added...)).bad
}

// meeting are the cuts so far that new ones may meet: in a job, in a line that several
// jobs share, or in a variable. The others have been found to be fine, and stay so.
func (r *run) meeting(added []*use) (out []*use) {
	jobs, chunks := map[*job]bool{}, map[*chunk]bool{}
	for _, u := range added {
		for _, j := range append([]*job{u.job}, u.also...) {
			jobs[j] = true
		}
		if u.cmd != nil {
			chunks[u.cmd.ch] = true
		}
	}
	for _, u := range r.cuts {
		if jobs[u.job] || slices.ContainsFunc(u.also, func(j *job) bool { return jobs[j] }) || u.cmd == nil || chunks[u.cmd.ch] ||
			len(u.ref.f.via(u.ref.start)) > 0 || u.element.src != nil {
			out = append(out, u)
		}
	}
	return out
}

// idlePulls are the pulls of jobs that do nothing with images but move tags
// which are dropped, with those that were before.
func (r *run) idlePulls(drops []*use) []*use {
	x := r.index()
	going := map[*use]bool{}
	for _, u := range drops {
		going[u] = true
	}
	cut := func(u *use) bool { return going[u] || r.isCut(u) }
	idle := map[*job]bool{}
	var jobs []*job
	add := func(j *job) {
		if j != nil && !idle[j] {
			idle[j] = true
			jobs = append(jobs, j)
		}
	}
	for _, u := range drops {
		for _, j := range u.jobs() {
			if u.push {
				add(j)
			}
		}
	}
	for i := 0; i < len(jobs); i++ { // those that share a pull with one of them
		for _, u := range x.of[jobs[i]] {
			for _, j := range u.also {
				if strings.Contains(u.command, " pull") && slices.ContainsFunc(x.of[j], func(v *use) bool { return v.push && cut(v) }) {
					add(j)
				}
			}
		}
	}
	var pulls []*use
	busy := func(j *job) bool { return !idle[j] }
	for _, u := range x.ofJobs(jobs) {
		if cut(u) || !u.ref.own || !slices.ContainsFunc(u.jobs(), func(j *job) bool { return idle[j] }) {
			continue
		}
		switch {
		case u.lits != nil && strings.Contains(u.command, " pull"):
			pulls = append(pulls, u)
		case u.lits != nil && strings.Contains(u.command, " tag") && u.cmd != nil && slices.ContainsFunc(x.calls[u.cmd.call], cut): // the source of a tag that goes
		case u.role == textRole:
		default:
			for _, j := range u.jobs() {
				delete(idle, j)
			}
		}
	}
	return slices.DeleteFunc(pulls, func(u *use) bool { return slices.ContainsFunc(u.jobs(), busy) })
}

// cut works out how all the drops are taken out.
func (r *run) cut(drops []*use) *cutting {
	c := &cutting{run: r, calls: map[*syntax.CallExpr]bool{}, taken: map[span]bool{}, emptied: map[*yaml.Node]int{}, items: map[*yaml.Node]bool{}, useless: map[*chunk][]*syntax.CallExpr{}, asked: map[*syntax.CallExpr]bool{}}
	in, chunks := map[*use]bool{}, map[*chunk]bool{}
	for _, u := range drops {
		in[u] = true
	}
	whole := c.wholeJobs(drops, in)
	for _, u := range drops {
		if !slices.ContainsFunc(u.jobs(), func(j *job) bool { return !whole[j] }) {
			continue
		}
		if u.element.src != nil && u.element.src.editable {
			c.listed(u, in)
			continue
		}
		if u.cmd == nil || u.at.src == nil || !u.at.src.editable {
			c.bad = true
			return c
		}
		if turn, ok := c.turn(u, in); ok {
			c.take(change{span: turn})
			continue
		}
		inside, fine := c.insideVariable(u)
		met := r.uses
		if inside.src == nil {
			met = r.usesAt(u.at)
		}
		for _, v := range met { // the same word in another job or with another value stays
			if in[v] || !v.ref.own || v.command == "variable" { // an assignment is no reader
				continue
			}
			if inside.src == nil && v.cmd != nil || inside.src != nil && v.madeOf(inside) {
				c.bad = true
				return c
			}
		}
		if inside.src != nil {
			c.take(change{span: inside})
			c.variables = append(c.variables, inVariable{inside, u.cmd.ch})
			c.bad = c.bad || !fine
			continue
		}
		if !chunks[u.cmd.ch] {
			chunks[u.cmd.ch] = true
			c.chunks = append(c.chunks, u.cmd.ch)
		}
		if !c.flag(u) {
			if !singlePurpose(u.lits) || r.besideOthers(u, in) {
				c.bad = true
				return c
			}
			c.calls[u.cmd.call] = true
		}
	}
	c.idleAssignments()
	for _, ch := range c.chunks {
		f := ch.shell()
		if f == nil {
			c.bad = true
			return c
		}
		c.script(ch, f.Stmts)
	}
	c.empty()
	for _, j := range c.run.jobs {
		if whole[j] && !c.bad {
			c.job(j)
		}
	}
	c.hiddenKeys()
	gone := covering(c.changes)
	for _, u := range drops { // one that stands where nothing can go, as behind time or in $()
		if u.cmd != nil && c.calls[u.cmd.call] && !gone.covers(u.cmd.at) {
			c.bad = true
		}
	}
	c.changes = append(c.changes, c.flags...)
	return c
}

// idleAssignments marks the assignments that would leave a variable as it is without the
// flags that go: TAGS="$TAGS --tag $B/api:latest".
func (c *cutting) idleAssignments() {
	for _, v := range c.variables {
		ch := v.ch
		if !v.within(ch.span(0, len(ch.text))) {
			ch = nil
			for other := range c.run.lineOf {
				if v.within(other.span(0, len(other.text))) {
					ch = other
				}
			}
		}
		if ch == nil || ch.shell() == nil {
			continue
		}
		syntax.Walk(ch.shell(), func(n syntax.Node) bool {
			call, ok := n.(*syntax.CallExpr)
			if !ok || len(call.Args) > 0 || len(call.Assigns) != 1 || c.calls[call] || !v.within(ch.span(int(call.Pos().Offset()), int(call.End().Offset()))) {
				return true
			}
			if a := call.Assigns[0]; a.Value != nil && a.Index == nil && c.idleValue(ch, a) {
				c.calls[call] = true
				c.useless[ch] = append(c.useless[ch], call)
				if !slices.Contains(c.chunks, ch) {
					c.chunks = append(c.chunks, ch)
				}
			}
			return true
		})
	}
}

// idleValue says whether the value is that of the variable itself, or nothing to put
// behind it, without the flags that go.
func (c *cutting) idleValue(ch *chunk, a *syntax.Assign) bool {
	var left strings.Builder
	for i := int(a.Value.Pos().Offset()); i < int(a.Value.End().Offset()); i++ {
		at := ch.span(i, i+1)
		if !slices.ContainsFunc(c.variables, func(v inVariable) bool { return at.within(v.span) }) {
			left.WriteByte(ch.text[i])
		}
	}
	value := strings.TrimSpace(strings.Trim(left.String(), `"`))
	if a.Append {
		return value == ""
	}
	return value == "$"+a.Name.Value || value == "${"+a.Name.Value+"}"
}

// isCut says whether a use goes.
func (r *run) isCut(u *use) bool {
	if r.going == nil {
		r.going = map[*use]bool{}
	}
	for ; r.told < len(r.cuts); r.told++ {
		r.going[r.cuts[r.told]] = true
	}
	return r.going[u]
}

// usesAt are the uses at a place.
func (r *run) usesAt(at span) []*use {
	return r.index().at[at]
}

// singlePurpose says whether a command does nothing but push, pull or tag one
// image, so that it can go as a whole.
func singlePurpose(lits []string) bool {
	if len(lits) < 3 {
		return copiesOut(lits)
	}
	switch lits[0] {
	case "docker", "podman", "nerdctl", "buildah":
		verb := lits[1]
		if verb == "image" {
			verb = lits[2]
		}
		all := strings.Join(lits[1:], " ")
		return verb == "push" || verb == "pull" || verb == "tag" || verb == "manifest" || strings.HasPrefix(all, "buildx imagetools create ")
	case "crane":
		return lits[1] == "tag" || lits[1] == "cp" || lits[1] == "copy"
	case "skopeo":
		return slices.Contains(lits, "copy") // a flag may stand before it
	case "regctl":
		return verb(lits) == "regctl image copy" || verb(lits) == "regctl image cp"
	case "oras":
		return lits[1] == "copy" || lits[1] == "cp"
	}
	return copiesOut(lits)
}

// besideOthers says whether a command does the same with another image, which stays:
// podman pull A B.
func (r *run) besideOthers(u *use, in map[*use]bool) bool {
	if len(u.lits) < 4 || u.lits[1] != "pull" && u.lits[1] != "push" {
		return false
	}
	return slices.ContainsFunc(r.uses, func(v *use) bool {
		return v.cmd != nil && v.cmd.call == u.cmd.call && v.ref.own && v.push == u.push && !in[v]
	})
}

// gone says whether nothing is left of a statement.
func (c *cutting) gone(s *syntax.Stmt) bool {
	all := func(list []*syntax.Stmt) bool {
		for _, x := range list {
			if !c.gone(x) {
				return false
			}
		}
		return len(list) > 0
	}
	switch x := s.Cmd.(type) {
	case *syntax.CallExpr:
		return c.calls[x]
	case *syntax.BinaryCmd:
		if x.Op == syntax.OrStmt {
			return c.gone(x.X) && (c.gone(x.Y) || onFailure(x.Y))
		}
		return x.Op == syntax.AndStmt && c.gone(x.Y) && (c.gone(x.X) || onlyAsks(x.X)) || x.Op == syntax.Pipe && c.gone(x.X) && onlyShows(x.Y)
	case *syntax.TimeClause:
		return x.Stmt != nil && c.gone(x.Stmt)
	case *syntax.ForClause:
		return all(x.Do)
	case *syntax.Block:
		return all(x.Stmts)
	case *syntax.Subshell:
		return all(x.Stmts)
	case *syntax.IfClause:
		return all(x.Then) && (x.Else == nil || len(x.Else.Cond) == 0 && all(x.Else.Then))
	}
	return false
}

// script takes out what goes of a script; assignments without effect only if it can be
// without them.
func (c *cutting) script(ch *chunk, list []*syntax.Stmt) {
	if len(c.useless[ch]) == 0 {
		c.stmts(ch, list, true)
		return
	}
	changes, emptied, items, bad := len(c.changes), maps.Clone(c.emptied), maps.Clone(c.items), c.bad
	c.stmts(ch, list, true)
	if c.bad && !bad {
		for _, call := range c.useless[ch] {
			delete(c.calls, call)
		}
		c.changes, c.emptied, c.items, c.bad = c.changes[:changes], emptied, items, bad
		c.stmts(ch, list, true)
	}
}

func (c *cutting) stmts(ch *chunk, list []*syntax.Stmt, top bool) {
	left := 0
	for _, s := range list {
		if !c.gone(s) {
			left++
		}
	}
	if left == 0 && !top {
		c.bad = true // a body cannot be empty
		return
	}
	for _, s := range list {
		switch {
		case !c.gone(s):
			c.inside(ch, s)
		case top && left == 0:
		default:
			c.remove(ch, s)
		}
	}
	if top && left == 0 && len(list) > 0 {
		c.item(ch)
	}
}

// inside looks for what goes within a statement that stays.
func (c *cutting) inside(ch *chunk, s *syntax.Stmt) {
	switch x := s.Cmd.(type) {
	case *syntax.BinaryCmd:
		switch {
		case x.Op == syntax.AndStmt && c.gone(x.Y):
			a, b := ch.span(int(x.X.Pos().Offset()), int(x.X.End().Offset())), ch.span(int(x.Y.Pos().Offset()), int(x.Y.End().Offset()))
			c.changes = append(c.changes, change{span: span{a.src, a.end, b.end}})
			c.inside(ch, x.X)
		case x.Op == syntax.AndStmt && c.gone(x.X), x.Op == syntax.OrStmt && c.gone(x.X) && onlyPulls(x.X):
			a, b := ch.span(int(x.X.Pos().Offset()), int(x.X.End().Offset())), ch.span(int(x.Y.Pos().Offset()), int(x.Y.End().Offset()))
			c.changes = append(c.changes, change{span: span{a.src, a.start, b.start}})
			if pull, ok := x.X.Cmd.(*syntax.CallExpr); ok && x.Op == syntax.OrStmt && !onlyPulls(x.Y) {
				c.asked[pull] = true
			}
			c.inside(ch, x.Y)
		case c.gone(x.X) || c.gone(x.Y):
			c.bad = true
		default:
			c.inside(ch, x.X)
			c.inside(ch, x.Y)
		}
	case *syntax.ForClause:
		c.stmts(ch, x.Do, false)
	case *syntax.WhileClause:
		c.stmts(ch, x.Do, false)
	case *syntax.Block:
		c.stmts(ch, x.Stmts, false)
	case *syntax.Subshell:
		c.stmts(ch, x.Stmts, false)
	case *syntax.FuncDecl:
		c.inside(ch, x.Body)
	case *syntax.TimeClause:
		if x.Stmt != nil {
			c.inside(ch, x.Stmt)
		}
	case *syntax.IfClause:
		for _, s := range x.Cond {
			if c.gone(s) {
				c.bad = true
			}
		}
		c.stmts(ch, x.Then, false)
		for e := x.Else; e != nil; e = e.Else {
			c.stmts(ch, e.Then, false)
		}
	case *syntax.CaseClause:
		for _, it := range x.Items {
			if len(it.Stmts) > 0 {
				c.stmts(ch, it.Stmts, false)
			}
		}
	}
}

// remove takes a statement out of a list of several.
func (c *cutting) remove(ch *chunk, s *syntax.Stmt) {
	at := ch.span(int(s.Pos().Offset()), int(s.End().Offset()))
	src := at.src
	from, _ := src.line(at.start)
	_, to := src.line(max(at.end-1, at.start))
	before := strings.TrimSpace(string(src.data[from:at.start]))
	after := strings.TrimSpace(string(src.data[at.end:to]))
	if before == "" && (after == "" || after[0] == '#') {
		c.changes = append(c.changes, change{span: span{src, from, to}})
		return
	}
	// A line of a text in double quotes ends with an escaped line break.
	i, j := int(s.Pos().Offset()), int(s.End().Offset())
	for i > 0 && blank(ch.text[i-1]) {
		i--
	}
	for j < len(ch.text) && blank(ch.text[j]) {
		j++
	}
	if (i == 0 || ch.text[i-1] == '\n') && j < len(ch.text) && ch.text[j] == '\n' {
		c.changes = append(c.changes, change{span: ch.span(i, j+1)})
		return
	}
	end := at.end
	for end < len(src.data) && (blank(src.data[end]) || src.data[end] == ';') {
		end++
	}
	c.changes = append(c.changes, change{span: span{src, at.start, end}})
}
