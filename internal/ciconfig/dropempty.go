package ciconfig

import (
	"bytes"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// item takes a whole entry out of a script list, or a line out of a recipe.
func (c *cutting) item(ch *chunk) {
	if lines, ok := c.run.recipeOf[ch]; ok {
		c.recipes = append(c.recipes, lines)
		c.changes = append(c.changes, change{span: lines})
		return
	}
	l, ok := c.run.lineOf[ch]
	if !ok || l.list == nil || l.list.Style&yaml.FlowStyle != 0 {
		c.bad = true
		return
	}
	end, ok := c.run.cfg.nodeEnd(l.doc, l.node)
	at := l.doc.src.offset(l.node.Line, l.node.Column)
	from, _ := l.doc.src.line(at)
	if !ok || strings.TrimSpace(string(l.doc.src.data[from:at])) != "-" {
		c.bad = true
		return
	}
	if end == 0 || lineBreak(l.doc.src.data[end-1:]) == 0 {
		_, end = l.doc.src.line(end)
	}
	if c.run.takenElsewhere("", span{l.doc.src, from, end}) {
		c.bad = true
		return
	}
	from = l.doc.src.remark(from, end)
	c.changes = append(c.changes, change{span: span{l.doc.src, from, l.doc.src.gap(from, end)}})
	c.emptied[l.list]++
	c.items[l.node] = true
}

// remark is where the comment above an entry begins that is about this entry alone: no
// other follows it without a comment of its own. Else it is where the entry begins.
func (s *source) remark(from, end int) int {
	indent := from
	for indent < end && s.data[indent] == ' ' {
		indent++
	}
	_, next := s.line(min(end, len(s.data)))
	if below := s.data[end:next]; len(below) > indent-from && below[indent-from] == '-' && len(bytes.TrimSpace(below[:indent-from])) == 0 {
		return from
	}
	for from > 0 {
		above, _ := s.line(from - 1)
		if !bytes.HasPrefix(bytes.TrimLeft(s.data[above:from], " "), []byte("#")) {
			break
		}
		from = above
	}
	return from
}

// gap is where a blank line ends that would open the list, or follow another, once the
// lines before it are gone.
func (s *source) gap(from, end int) int {
	_, next := s.line(min(end, len(s.data)))
	if from == 0 || next == end || len(bytes.TrimSpace(s.data[end:next])) > 0 {
		return end
	}
	above, _ := s.line(from - 1)
	if line := bytes.TrimSpace(s.data[above:from]); len(line) > 0 && line[len(line)-1] != ':' {
		return end
	}
	return next
}

// patterns keeps rules with a pattern whose recipe has become empty: one without any is no
// rule for make, which then knows none for the targets. Others may be empty.
// https://www.gnu.org/software/make/manual/html_node/Canceling-Rules.html
func (c *cutting) patterns() {
	for _, lines := range c.recipes {
		s, from, end := lines.src, lines.start, lines.end
		for from > 0 {
			up, _ := s.line(from - 1)
			if s.data[up] != '\t' {
				break
			}
			from = up
		}
		for end < len(s.data) && s.data[end] == '\t' {
			_, end = s.line(end)
		}
		left := end - from
		for _, x := range c.recipes {
			if x.src == s && x.start >= from && x.end <= end {
				left -= x.end - x.start
			}
		}
		head, _ := s.line(max(from-1, 0))
		if left > 0 || lines.start != from || !bytes.Contains(s.data[head:from], []byte("%")) {
			continue
		}
		for i := range c.changes {
			if c.changes[i].span == lines {
				c.changes[i].with = "\t@:" + s.eol()
			}
		}
	}
}

// empty takes out jobs whose script has become empty.
func (c *cutting) empty() {
	c.patterns()
	going := map[*job]bool{}
	for list, n := range c.emptied {
		before, beside := c.run.besideScript(list)
		if n < len(list.Content) && (beside || !c.idle(list)) {
			continue
		}
		if beside {
			with := before.indent + before.key.Value + ": []"
			if strings.HasSuffix(before.lines.text(), "\n") {
				with += before.lines.src.eol()
			}
			c.changes = append(c.changes, change{span: before.lines, with: with})
			continue
		}
		j := c.run.jobOfScript(list)
		if j == nil || c.run.wanted(j) {
			c.bad = true
			return
		}
		going[j] = true
	}
	if len(c.run.lastOnes(going)) > 0 {
		c.bad = true
		return
	}
	for _, j := range c.run.jobs {
		if !going[j] {
			continue
		}
		if c.job(j); c.bad {
			return
		}
	}
}

// job takes a job out of its file.
func (c *cutting) job(j *job) {
	d := j.own.doc
	k, ok := c.run.cfg.keyLines(d, deref(d.root), j.name)
	if !ok {
		c.bad = true
		return
	}
	from := k.lines.start
	for from > 0 { // the comment above goes with it
		s, _ := d.src.line(from - 1)
		if !strings.HasPrefix(string(d.src.data[s:from]), "#") {
			break
		}
		from = s
	}
	end := k.lines.end
	for end < len(d.src.data) && strings.TrimSpace(string(d.src.data[end:min(end+1, len(d.src.data))])) == "" {
		_, next := d.src.line(end)
		if strings.TrimSpace(string(d.src.data[end:next])) != "" {
			break
		}
		end = next
	}
	if c.run.takenElsewhere(j.name, span{d.src, from, end}) {
		c.bad = true
		return
	}
	var kept []change
	for _, x := range c.changes {
		if x.src != d.src || x.start < from || x.end > end {
			kept = append(kept, x)
		}
	}
	c.changes = append(kept, change{span: span{d.src, from, end}})
	c.jobs = append(c.jobs, j)
}

// hiddenKey is a hidden key in a file of which all jobs go.
const hiddenKey = ".dropped"

// hiddenKeys puts one in the place of the last job of each such file: GitLab makes no pipeline
// of files of which an included one is empty, or no more than comments.
func (c *cutting) hiddenKeys() {
	for _, j := range c.jobs {
		s := j.own.doc.src
		left, last := bytes.Clone(s.data), -1
		for i, x := range c.changes {
			if x.src != s {
				continue
			}
			copy(left[x.start:x.end], bytes.Repeat([]byte{'\n'}, x.end-x.start))
			left = append(left, x.with...)
			if last < 0 || x.start > c.changes[last].start {
				last = i
			}
		}
		if last >= 0 && keyless(left) {
			c.changes[last].with = hiddenKey + ": {}" + s.eol()
		}
	}
}

// keyless says whether a file has nothing but blank lines and comments.
func keyless(content []byte) bool {
	for line := range bytes.Lines(content) {
		if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' && string(line) != "---" {
			return false
		}
	}
	return true
}

// idle says whether the entries that are left of a script only log in to a
// registry and say so: nothing comes of it any more.
func (c *cutting) idle(list *yaml.Node) bool {
	logins := 0
	for _, n := range list.Content {
		if c.items[n] {
			continue
		}
		f := parseText([]string{deref(n).Value})
		if f == nil {
			return false
		}
		only := true
		syntax.Walk(f, func(n syntax.Node) bool {
			call, ok := n.(*syntax.CallExpr)
			if !ok || len(call.Args) == 0 || !only {
				return only
			}
			switch name := call.Args[0].Lit(); {
			case name == "echo" || name == "printf" || name == "set":
			case len(call.Args) > 2 && (name == "sh" || name == "bash") && call.Args[1].Lit() == "-c":
				q, ok := call.Args[2].Parts[0].(*syntax.DblQuoted)
				only = ok && len(call.Args[2].Parts) == 1 && loggingIn(literalOf(q))
				logins++
			default:
				only = len(call.Args) > 1 && loggingIn(name+" "+call.Args[1].Lit()+" "+wordAt(call, 2))
				logins++
			}
			return only
		})
		if !only {
			return false
		}
	}
	return logins > 0
}

// loggingIn says whether a command line begins as a login to a registry does.
func loggingIn(line string) bool {
	words := strings.Fields(line)
	if len(words) < 2 || !imageTools[words[0]] && words[0] != "docker" {
		return false
	}
	return words[1] == "login" || len(words) > 2 && (words[1] == "auth" || words[1] == "registry") && words[2] == "login"
}

// wordAt is a literal argument of a call, "" where there is none.
func wordAt(c *syntax.CallExpr, i int) string {
	if i < len(c.Args) {
		return c.Args[i].Lit()
	}
	return ""
}

// literalOf is what double quotes begin with, up to the first expansion.
func literalOf(q *syntax.DblQuoted) string {
	if len(q.Parts) == 0 {
		return ""
	}
	if l, ok := q.Parts[0].(*syntax.Lit); ok {
		return l.Value
	}
	return ""
}

// besideScript is the before_script or after_script of a job that the list is.
func (r *run) besideScript(list *yaml.Node) (k keyed, ok bool) {
	for _, j := range r.jobs {
		for _, key := range []string{"before_script", "after_script"} {
			if t := j.own.kids[key]; t != nil && t.node == list && j.own.doc != nil {
				if k, ok = r.cfg.keyLines(j.own.doc, j.own.node, key); ok {
					return k, true
				}
			}
		}
	}
	return k, false
}

// jobOfScript is the job whose own script the list is.
func (r *run) jobOfScript(list *yaml.Node) *job {
	for _, j := range r.jobs {
		if t := j.own.kids["script"]; t != nil && t.node == list && j.own.doc != nil && has(j.own.node, "script") && !j.hidden {
			return j
		}
	}
	return nil
}

// wanted says whether another job, or a template, names the job, or another file adds to it:
// without it GitLab would make no pipeline, or what is left would be no job. One that makes a
// release does so without a script, too.
func (r *run) wanted(j *job) bool {
	name := j.name
	return j.tree.kid("release") != nil || slices.ContainsFunc(r.cfg.pipelines(), func(c *config) bool {
		written := 0
		for _, d := range c.docs {
			if has(deref(d.root), name) {
				written++
			}
		}
		return written > 1 || c.wantedNames()[name]
	})
}

// wantedNames are the names of jobs by which others ask for them.
// https://docs.gitlab.com/ci/yaml/#needs
// https://docs.gitlab.com/ci/yaml/#environmenton_stop
func (c *config) wantedNames() map[string]bool {
	if c.asked != nil {
		return c.asked
	}
	c.asked = map[string]bool{}
	if c.root == nil {
		return c.asked
	}
	for _, j := range c.root.kids {
		c.asked[j.kid("environment").kid("on_stop").value()] = true
		named := []*tree{j.kid("needs"), j.kid("dependencies"), j.kid("extends")}
		for _, l := range c.lines(j.kid("rules")) {
			if n := child(l.node, "needs"); n != nil {
				named = append(named, c.tree(n, l.doc))
			}
		}
		for _, t := range named {
			for _, l := range c.lines(t) {
				n := l.node
				if n.Kind == yaml.MappingNode {
					n = deref(child(n, "job"))
				}
				if n != nil {
					c.asked[n.Value], c.asked[ofMatrix(n.Value)] = true, true
				}
			}
		}
	}
	return c.asked
}
