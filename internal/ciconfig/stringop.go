package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"

	glob "mvdan.cc/sh/v3/pattern"
	"mvdan.cc/sh/v3/syntax"
)

// stringTools are commands that take text apart. What they do to an image name
// is right for its old form only.
var stringTools = map[string]bool{
	"awk": true, "gawk": true, "basename": true, "cut": true, "dirname": true, "egrep": true, "expr": true, "fgrep": true,
	"grep": true, "paste": true, "perl": true, "read": true, "rev": true, "sed": true, "tr": true,
}

// taken remembers the values that a string operation takes apart; it matters
// where their form changes.
func (sh *shell) taken(vals []text, at span) {
	for _, v := range vals {
		if sh.run.mentions(v) {
			sh.run.operations = append(sh.run.operations, operation{at: at, value: v})
		}
	}
}

// compared looks at a pattern that values are held against, and at the values:
// $CI_REGISTRY_IMAGE/* no longer fits a name that stands in the tag.
func (sh *shell) compared(ch *chunk, vals []text, pattern *syntax.Word) {
	if pattern == nil || !strings.ContainsAny(ch.text[pattern.Pos().Offset():pattern.End().Offset()], "*?[$^") {
		return
	}
	at := ch.span(int(pattern.Pos().Offset()), int(pattern.End().Offset()))
	if pattern.Lit() != "*" {
		sh.taken(vals, at)
	}
	for _, v := range sh.word(ch, pattern) {
		for _, ref := range sh.run.references(v) {
			if ref.own && ref.joined && ref.base < ref.nameEnd {
				sh.run.add(&use{ref: ref, at: at, command: "pattern", role: textRole, shell: true, expands: true, bad: "string-operation"})
			}
		}
	}
}

// test follows [[ … ]]: words, and comparisons with patterns.
func (sh *shell) test(ch *chunk, x syntax.TestExpr) {
	syntax.Walk(x, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.BinaryTest:
			left, isWord := n.X.(*syntax.Word)
			right, fine := n.Y.(*syntax.Word)
			if isWord && fine && (n.Op == syntax.TsMatch || n.Op == syntax.TsMatchShort || n.Op == syntax.TsNoMatch || n.Op == syntax.TsReMatch) {
				sh.compared(ch, sh.word(ch, left), right)
			}
		case *syntax.Word:
			sh.word(ch, n)
			return false
		}
		return true
	})
}

// takesApart says whether a statement reads its input with a string tool.
func takesApart(s *syntax.Stmt) bool {
	switch c := s.Cmd.(type) {
	case *syntax.CallExpr:
		return len(c.Args) > 0 && stringTools[path.Base(c.Args[0].Lit())] && !measures(c)
	case *syntax.WhileClause:
		return len(c.Cond) > 0 && takesApart(c.Cond[0])
	case *syntax.Block:
		return len(c.Stmts) > 0 && takesApart(c.Stmts[0])
	case *syntax.Subshell:
		return len(c.Stmts) > 0 && takesApart(c.Stmts[0])
	}
	return false
}

// measures says whether a command only tells how long its input is, to draw a line below it.
func measures(c *syntax.CallExpr) bool {
	return len(c.Args) == 2 && strings.HasSuffix(c.Args[0].Lit(), "awk") && justLength.MatchString(plainWord(c.Args[1]))
}

var justLength = regexp.MustCompile(`^\{ *print length *(\( *\$?0? *\))? *\}$`)

// tabulates says whether a statement prints the images of the machine as a table.
func tabulates(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok || len(c.Args) == 0 {
		return false
	}
	lits := make([]string, len(c.Args))
	for i, w := range c.Args {
		lits[i] = w.Lit()
		if strings.HasPrefix(lits[i], "--format") {
			return false
		}
	}
	return listsImages(lits)
}

// showsNames says whether docker prints an image with its name and its tag in one:
// docker inspect --format '{{index .RepoTags 0}}' $IMAGE.
func showsNames(ch *chunk, s *syntax.Stmt) bool {
	return strings.Contains(ch.text[s.Pos().Offset():s.End().Offset()], ".RepoTags")
}

// cuts says whether a statement leaves a part of each line, and does not only look for one.
func cuts(s *syntax.Stmt) bool {
	c, ok := s.Cmd.(*syntax.CallExpr)
	return ok && len(c.Args) > 0 && slices.Contains([]string{"cut", "awk", "sed"}, c.Args[0].Lit())
}

// takenFrom remembers the images that a command is given, as those that it prints are taken apart.
func (sh *shell) takenFrom(ch *chunk, s *syntax.Stmt) {
	c, ok := s.Cmd.(*syntax.CallExpr)
	if !ok {
		return
	}
	for _, w := range c.Args {
		sh.taken(sh.word(ch, w), ch.span(int(w.Pos().Offset()), int(w.End().Offset())))
	}
}

// inColumns reports a name that is looked for in such a table: there is no colon
// between the two columns.
func (r *run) inColumns(sh *shell, u *use) {
	if ref := u.ref; sh.table && stringTools[u.lits[0]] && ref.own && !ref.joined && ref.sep >= 0 {
		r.reportWhy(Warning, "string-operation", u.place(), ref.String(),
			"the table of images has the name and the tag in columns of their own; ask for --format '{{.Repository}}:{{.Tag}}'")
	}
}

// lowered are values in lower case. What is not known stays the variable that it was:
// the places where it is used in capitals did not fit before either.
func lowered(vals []text) []text {
	out := make([]text, len(vals))
	for i, v := range vals {
		out[i] = slices.Clone(v)
		for k := range out[i] {
			p := &out[i][k]
			if low := strings.ToLower(p.text); len(low) == len(p.text) {
				p.text = low
			}
		}
	}
	return out
}

// filtered is what echo prints in a substitution that only makes lower case of it,
// $(echo $CI_REGISTRY_IMAGE | tr A-Z a-z), that only takes the tag away,
// $(echo $IMAGE | cut -d: -f1), that leaves the beginning of the commit, or that puts dashes for
// the slashes in a branch's name. It is nil for any other.
func (sh *shell) filtered(ch *chunk, c *syntax.CmdSubst) []text {
	if len(c.Stmts) != 1 {
		return nil
	}
	pipe, ok := c.Stmts[0].Cmd.(*syntax.BinaryCmd)
	if !ok || pipe.Op != syntax.Pipe {
		return nil
	}
	call, ok := pipe.Y.Cmd.(*syntax.CallExpr)
	if !ok {
		return nil
	}
	printed := func() (out []text) {
		left := sh.clone()
		left.print = &out // what it prints is known, and followed
		left.stmt(ch, pipe.X)
		return out
	}
	from, to := int(call.Pos().Offset()), int(call.End().Offset())
	filter := strings.NewReplacer("'", "", `"`, "", "[:", "", ":]", "", "[", "", "]", "").Replace(strings.Join(strings.Fields(ch.text[from:to]), " "))
	if slashFilter.MatchString(filter) {
		shown, ok := pipe.X.Cmd.(*syntax.CallExpr)
		if !ok || len(shown.Args) == 0 || slices.ContainsFunc(shown.Args[1:], func(w *syntax.Word) bool { return !unslashed(sh.word(ch, w), "") }) {
			return nil
		}
		return printed()
	}
	if m := firstCharacters.FindStringSubmatch(filter); m != nil {
		if hole := ofCommit(printed(), "", m[1]); hole != "" {
			return []text{{piece{hole: hole, at: ch.span(int(c.Pos().Offset()), int(c.End().Offset()))}}}
		}
		return nil
	}
	switch filter {
	case "tr upper lower", "tr A-Z a-z", "awk {print tolower($0)}", `sed s/.*/\L&/`, `sed s/.*/\L&/g`, `sed -e s/.*/\L&/`:
		return lowered(printed())
	case "cut -d: -f1", "cut -d : -f 1", "cut -d: -f 1", "cut -d : -f1", "cut -f1 -d:", "awk -F: {print $1}", "awk -F : {print $1}", "sed s/:.*//", "sed s/:.*$//":
		return sh.untagged(printed(), ch.span(int(c.Pos().Offset()), int(c.End().Offset())))
	}
	return nil
}

// firstCharacters is a command that leaves so many characters of a line.
var firstCharacters = regexp.MustCompile(`^(?:cut (?:-c|-b|--characters=|--bytes=) ?1?-|head -c ?)([0-9]+)$`)

// slashFilter is a command that puts something else in place of each slash.
var slashFilter = regexp.MustCompile(`^(tr / \S|sed (-e )?s(/\\//[^/]*/|([|#,:@])/[|#,:@][^/]*[|#,:@])g)$`)

// untagged are values without their tags, nil where something else may be taken
// away: a name that stands in the tag would be lost, so it has to be written before
// the tag wherever one is joined again, and the colon has to stay.
func (sh *shell) untagged(vals []text, at span) []text {
	var out []text
	var kept []operation
	for _, v := range vals {
		colons := 0
		var name text
		for _, p := range v {
			i := strings.IndexByte(p.text, ':')
			switch {
			case colons > 0:
			case p.hole == unknown:
				return nil // it may have the colon
			case i < 0:
				p.untagged = true
				name = append(name, p)
			case i > 0:
				first := p.slice(0, i)
				first.untagged = true
				name = append(name, first)
			}
			if i >= 0 {
				kept = append(kept, operation{at: at, value: text{p.slice(i, i+1)}, colon: true})
			}
			colons += strings.Count(p.text, ":")
		}
		if colons != 1 || len(name) == 0 {
			return nil
		}
		out = union(out, []text{name})
	}
	sh.run.operations = append(sh.run.operations, kept...)
	return out
}

// justTags are the tags of values, nil where something else may be taken away. What a name
// in the tag does to them matters unless they are joined to the name again, see rejoined.
func (sh *shell) justTags(vals []text, at span) (out []text) {
	for _, v := range vals {
		var tag text
		var colon *piece
		for _, p := range v {
			i := strings.IndexByte(p.text, ':')
			switch {
			case p.hole == unknown, colon != nil && i >= 0, strings.Count(p.text, ":") > 1:
				return nil // another colon, perhaps
			case i < 0 && colon != nil:
				tag = append(tag, p)
			case i >= 0:
				c := p.slice(i, i+1)
				c.via = append([]span{at}, c.via...)
				colon = &c
				if i+1 < len(p.text) {
					tag = append(tag, p.slice(i+1, len(p.text)))
				}
			}
		}
		if len(tag) == 0 || !sh.run.mentions(v) {
			return nil
		}
		tag[0].behind = colon
		out = union(out, []text{tag})
	}
	sh.taken(vals, at)
	return out
}

// rejoined is a tag with the colon that it was found behind in place of the one that its
// reader puts there: the two parts are the whole reference again, and the operation that
// took it apart fits whatever the tag becomes.
//
//	--set image.repository=${IMAGE%:*} --set image.tag=${IMAGE##*:}
func (r *run) rejoined(tag text) text {
	if len(tag) < 2 || tag[1].behind == nil {
		return tag
	}
	direct := false // else a variable holds it, which others may read
	for i := range r.operations {
		if o := &r.operations[i]; o.at == tag[1].outer() {
			o.joined, direct = true, true
		}
	}
	if !direct {
		return tag
	}
	return append(text{*tag[1].behind}, tag[1:]...)
}

// withoutSlash are values without a slash at their end, ${REGISTRY%/}, nil where it is not known
// whether they have one: none of what GitLab predefines does.
func withoutSlash(vals []text) (out []text) {
	for _, v := range vals {
		n := len(v) - 1
		if n < 0 || v[n].hole != "" && !predefined(v[n].hole) {
			return nil
		}
		if last := v[n]; strings.HasSuffix(last.text, "/") {
			v = append(slices.Clone(v[:n]), last.slice(0, len(last.text)-1))
		}
		out = append(out, v)
	}
	return out
}

// shortened are values without what a pattern takes away, ${row%%:*}, where all is
// known and none names an image. It is nil for any other.
func (sh *shell) shortened(vals []text, op syntax.ParExpOperator, word []text) (out []text) {
	pat, plain := word[0].literal()
	expr, err := glob.Regexp(pat, glob.EntireString)
	if len(word) != 1 || !plain || err != nil {
		return nil
	}
	re, err := regexp.Compile(expr)
	if err != nil {
		return nil
	}
	for _, v := range vals {
		s, known := v.literal()
		if begin, whole := sh.run.beginning(v); !whole && op == syntax.RemSmallPrefix { // --image=$IMAGE
			n := first(len(begin), -1, func(n int) bool { return re.MatchString(begin[:n]) })
			if n < 0 {
				return nil
			}
			out = union(out, []text{v.after(n)})
			continue
		}
		if !known || len(s) > maxShortened || sh.run.mentions(v) {
			return nil
		}
		from, to := 0, len(s)
		switch n := len(s); op {
		case syntax.RemSmallPrefix:
			from = first(n, 0, func(n int) bool { return re.MatchString(s[:n]) })
		case syntax.RemLargePrefix:
			from = n - first(n, n, func(n int) bool { return re.MatchString(s[:len(s)-n]) })
		case syntax.RemSmallSuffix:
			to = n - first(n, 0, func(n int) bool { return re.MatchString(s[len(s)-n:]) })
		case syntax.RemLargeSuffix:
			to = first(n, n, func(n int) bool { return re.MatchString(s[n:]) })
		default:
			return nil
		}
		out = union(out, []text{v.part(from, to)})
	}
	return out
}

// first is the first number up to n that fits, or another one.
func first(n, other int, fits func(int) bool) int {
	for i := range n + 1 {
		if fits(i) {
			return i
		}
	}
	return other
}

// maxShortened bounds the values to which patterns are applied.
const maxShortened = 300

// part is a text without holes from byte i to j.
func (t text) part(i, j int) (out text) {
	at := 0
	for _, p := range t {
		if from, to := max(i-at, 0), min(j-at, len(p.text)); from < to {
			out = append(out, p.slice(from, to))
		}
		at += len(p.text)
	}
	return out
}

// after is a text from byte n on, which is written out before its first hole.
func (t text) after(n int) text {
	for i, p := range t {
		if p.hole != "" || n < len(p.text) {
			rest := slices.Clone(t[i:])
			if n > 0 {
				rest[0] = p.slice(n, len(p.text))
			}
			return rest
		}
		n -= len(p.text)
	}
	return text{}
}

// patched reports the arguments of an image tool in which a name is joined to
// what a string operation has left of the registry's, or in which that is all there is
// of the name: the operation may have added one.
func (r *run) patched(c *command, lits []string) {
	if !imageTools[lits[0]] || isLogin(lits) {
		return
	}
	for i, a := range c.args {
		for k, p := range a {
			if !p.cut {
				continue
			}
			next := ":" // of the tag that is left out
			if k+1 < len(a) {
				next = a[k+1].text
			}
			switch {
			case next == "" || next[0] == '/' || len(next) > 1 && next[0] == '-' && nameByte(next[1]):
				r.report("string-operation", c.argSpan(i), a.String())
			case k == 0 && p.rebuilt && next[0] == ':':
				r.report("base-handed-on", c.argSpan(i), "a string operation")
			}
		}
	}
}
