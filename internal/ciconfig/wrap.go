package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// layout writes the changes of one job: extends in place of the image, the
// script as a docker run.
func (r *run) layout(s *site, c container, script, after []string) (out []change, why string) {
	d, m := s.job.own.doc, s.job.own.node
	kind := shellFor(slices.Concat(script, after))
	if shell, ok := s.image.logsIn(); ok && shell == "bash" {
		kind = bashShell
	}
	r.report("settings-not-passed", s.at, s.job.name).cause = "settings"
	for _, j := range append([]*job{s.job}, s.users...) {
		if name := lostWith(j); name != "" {
			r.report("template-unseen", s.at, j.name+" extends "+name).cause = name
		}
	}
	for _, key := range []string{"before_script", "after_script"} {
		for _, name := range r.cfg.unreadReferences(s.job.tree.kid(key)) {
			r.reportWhy(Warning, "template-unseen", s.at, s.job.name+" takes "+name, key+" has "+name).cause = name
		}
	}
	indent, why := r.keyIndent(d, m)
	if why != "" {
		return nil, why
	}
	eol := d.src.eol()
	step := "  "
	scriptAt, hasScript := r.cfg.keyLines(d, m, "script")
	if hasScript {
		if seq := scriptAt.value; seq.Kind == yaml.SequenceNode && seq.Style&yaml.FlowStyle == 0 && len(seq.Content) > 0 {
			at := d.src.offset(seq.Line, seq.Column)
			from, _ := d.src.line(at)
			if lead := string(d.src.data[from:at]); strings.TrimSpace(lead) == "" && strings.HasPrefix(lead, indent) {
				step = lead[len(indent):]
			}
		}
	}
	write := func(key string, c container, before, cmds []string) string {
		text := indent + key + ":" + eol
		flags, maybe := r.environment(s, cmds)
		for _, l := range slices.Concat([]string{predefinedLine(maybe)}, before, kind.found(c), []string{c.started(flags, kind, cmds)}) {
			text += listEntry(indent+step, l, eol)
		}
		return text
	}
	if len(after) > 0 {
		c.name = kept
	}
	out, placed, why := r.extendAndClear(s, m, eol)
	if why != "" {
		return nil, why
	}
	line := indent + "extends: .docker" + eol
	text := write("script", c, c.before, script)
	if !placed {
		text = line + text
	}
	switch {
	case hasScript:
		if !strings.HasSuffix(scriptAt.lines.text(), "\n") {
			text = strings.TrimSuffix(text, eol)
		}
		out = append(out, change{span: scriptAt.lines, with: text})
	default:
		end, ok := r.cfg.nodeEnd(d, m)
		if !ok || end == 0 {
			return nil, "the end of the job is not found"
		}
		if lineBreak(d.src.data[end-1:]) == 0 {
			_, end = d.src.line(end)
		}
		if end == len(d.src.data) && (end == 0 || lineBreak(d.src.data[end-1:]) == 0) {
			text = eol + strings.TrimSuffix(text, eol)
		}
		out = append(out, change{span: span{d.src, end, end}, with: text})
	}
	if len(after) > 0 {
		c.name = ""
		text := write("after_script", c, append(c.login(), c.commit()), after)
		k, ok := r.cfg.keyLines(d, m, "after_script")
		if !ok && !has(m, "after_script") { // from a template: written anew beside the script
			out[len(out)-1].with = strings.TrimSuffix(out[len(out)-1].with, eol) + eol + strings.TrimSuffix(text, eol) + eol
			return out, ""
		}
		if !ok {
			return nil, "after_script: is not understood"
		}
		if !strings.HasSuffix(k.lines.text(), "\n") {
			text = strings.TrimSuffix(text, eol)
		}
		out = append(out, change{span: k.lines, with: text})
	}
	return out, ""
}

// maxLine is how long a line of docker run may get before it is broken, without its
// indentation.
const maxLine = 104

// started is the docker run of some commands, with the flags for their variables.
func (c container) started(variables []string, kind shellKind, cmds []string) string {
	flags := append(slices.Clone(c.flags), variables...)
	shell, first := kind.started(c)
	line := "docker run --rm -i"
	if c.name != "" {
		line = "docker run --name " + c.name + " -i"
	}
	flags = append(flags, `-v "$CI_PROJECT_DIR.tmp:$CI_PROJECT_DIR.tmp"`, // variables of type file
		`-v "$CI_PROJECT_DIR:$CI_PROJECT_DIR" -w "$CI_PROJECT_DIR"`, strings.Join(append([]string{c.image}, c.entry...), " "), shell+" '")
	var b strings.Builder
	b.WriteString(broken(line, flags) + "\n")
	if first != "" {
		b.WriteString(first + "\n")
	}
	for _, l := range slices.Concat(c.first, cmds) {
		b.WriteString(strings.TrimRight(strings.ReplaceAll(l, "'", `'\''`), "\r") + "\n")
	}
	return b.String() + "'"
}

// broken is a command over as many lines as it needs.
func broken(line string, words []string) string {
	var b strings.Builder
	for _, w := range words {
		if len(line)+len(w) > maxLine {
			b.WriteString(line + " \\\n")
			line = " "
		}
		line += " " + w
	}
	return b.String() + line
}

// listEntry is a line of a script as an entry of its list, as a block where it has
// several lines or YAML would read it otherwise.
func listEntry(indent, command, eol string) string {
	if !strings.Contains(command, "\n") && !strings.Contains(command, ": ") && !strings.Contains(command, " #") && !strings.HasSuffix(command, ":") {
		return indent + "- " + command + eol
	}
	text := indent + "- |" + eol
	for _, l := range strings.Split(command, "\n") {
		if l != "" {
			l = indent + "  " + l
		}
		text += l + eol
	}
	return text
}

// extendAndClear makes the job extend .docker and takes out what .docker
// brings. A key that comes by a merge key would win over extends, so it is
// changed where it is written; shared then asks whether all who merge it agree.
func (r *run) extendAndClear(s *site, m *yaml.Node, eol string) (out []change, placed bool, why string) {
	d := s.job.own.doc
	home := m // the mapping that gets the extends
	if !has(m, "extends") {
		if o := mergeOwner(m, "extends"); o != nil {
			home = o
		} else if o := mergeOwner(m, "image"); o != nil && r.containedAll(o) {
			home = o
		}
	}
	if home != m && !r.containedAll(home) {
		return nil, false, "it shares extends: by a merge key with a job that stays as it is"
	}
	ext, why := r.extendDocker(d, home)
	if why != "" {
		return nil, false, why
	}
	if placed = ext.src != nil; placed {
		out = append(out, ext)
	}
	cleared := []string{"image", "services", "before_script"}
	if s.ownDaemon {
		cleared = []string{"image", "before_script"}
	}
	unmerged := map[*yaml.Node]bool{}
	for _, key := range cleared {
		if s.job.own.kids[key] == nil {
			continue
		}
		all := mergeOwners(m, key, map[*yaml.Node]bool{})
		if len(all) == 0 {
			return nil, false, key + ": is not found"
		}
		for _, owner := range all { // without the first one the next would take its place
			if unmerged[owner] {
				continue
			}
			if owner != m && owner != home && holdsOnly(owner, cleared) {
				c, ok := r.cfg.unmerge(d, m, owner)
				if unmerged[owner] = true; !ok || slices.ContainsFunc(out, func(o change) bool { return o.src == c.src && o.start < c.end && c.start < o.end }) {
					return nil, false, key + ": is all that a merged mapping holds"
				}
				out = append(out, c)
				continue
			}
			k, ok := r.cfg.keyLines(d, owner, key)
			if !ok {
				return nil, false, key + ": is not understood"
			}
			if owner != m {
				s.shared = append(s.shared, deref(k.value))
			}
			with := ""
			if !placed && owner == home {
				with, placed = k.indent+"extends: .docker"+eol, true
			}
			out = append(out, change{span: k.lines, with: with})
		}
	}
	return out, placed, ""
}

// containedAll says whether all jobs that merge a mapping, or extend one that does, are put
// into containers: only then it may extend .docker for them. A job with an image of its own
// keeps that, and has no use for the rest of .docker.
func (r *run) containedAll(m *yaml.Node) bool {
	all, known := r.containedBy[m]
	if !known {
		all = r.mergersContained(m)
		r.containedBy[m] = all
	}
	return all
}

func (r *run) mergersContained(m *yaml.Node) bool {
	for _, j := range r.cfg.jobs() {
		if j.hidden || r.contained[j.name] {
			continue
		}
		for _, name := range append([]string{j.name}, j.chain...) {
			if t := r.cfg.root.kid(name); t != nil && t.node != nil && mergesIn(t.node, m, map[*yaml.Node]bool{}) {
				return false
			}
		}
	}
	return true
}

// mergesIn says whether a mapping merges another, itself or by others.
func mergesIn(m, other *yaml.Node, seen map[*yaml.Node]bool) bool {
	m = deref(m)
	if m == nil || m.Kind != yaml.MappingNode || seen[m] {
		return false
	}
	seen[m] = true
	for i := 0; i+1 < len(m.Content); i += 2 {
		if merges(m.Content[i]) && slices.ContainsFunc(items(m.Content[i+1]), func(x *yaml.Node) bool {
			return deref(x) == other || mergesIn(x, other, seen)
		}) {
			return true
		}
	}
	return false
}

// mergeOwner is the mapping that has the key itself: m, or what it merges.
func mergeOwner(m *yaml.Node, key string) *yaml.Node {
	if all := mergeOwners(m, key, map[*yaml.Node]bool{}); len(all) > 0 {
		return all[0]
	}
	return nil
}

// mergeOwners are all mappings that have it, the one whose value counts first.
func mergeOwners(m *yaml.Node, key string, seen map[*yaml.Node]bool) (out []*yaml.Node) {
	m = deref(m)
	if m == nil || m.Kind != yaml.MappingNode || seen[m] {
		return nil
	}
	seen[m] = true
	if has(m, key) {
		out = append(out, m)
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value != "<<" {
			continue
		}
		for _, x := range items(m.Content[i+1]) {
			out = append(out, mergeOwners(x, key, seen)...)
		}
	}
	return out
}

// holdsOnly says whether a mapping has no keys but some: without them it would be null, which
// cannot be merged.
func holdsOnly(m *yaml.Node, keys []string) bool {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if !slices.Contains(keys, m.Content[i].Value) {
			return false
		}
	}
	return true
}

// unmerge takes a mapping out of those that m merges itself, which then has nothing of it.
func (c *config) unmerge(d *document, m, owner *yaml.Node) (out change, ok bool) {
	k, ok := c.keyLines(d, m, "<<")
	if !ok {
		return out, false
	}
	list := items(k.value)
	i := slices.IndexFunc(list, func(n *yaml.Node) bool { return deref(n) == owner })
	if i < 0 {
		return out, false
	}
	if len(list) == 1 {
		return change{span: k.lines}, true
	}
	at, end, ok := c.item(d, k.value, i)
	return change{span: span{d.src, at, end}}, ok
}

// item is where an entry of a list stands, with the comma or the line that goes with it.
func (c *config) item(d *document, list *yaml.Node, i int) (from, end int, ok bool) {
	if list.Kind != yaml.SequenceNode { // it stands elsewhere
		return 0, 0, false
	}
	x := list.Content[i]
	from = d.src.offset(x.Line, x.Column)
	end, ok = c.nodeEnd(d, x)
	switch {
	case !ok:
	case list.Style&yaml.FlowStyle == 0:
		from, end = d.src.line(from)
	case i > 0:
		from, ok = c.nodeEnd(d, list.Content[i-1])
	default:
		end = d.src.offset(list.Content[1].Line, list.Content[1].Column)
	}
	return from, end, ok
}

// keyIndent is the indentation of the job's keys.
func (r *run) keyIndent(d *document, m *yaml.Node) (string, string) {
	if len(m.Content) == 0 {
		return "", "the job is empty"
	}
	at := d.src.offset(m.Content[0].Line, m.Content[0].Column)
	from, _ := d.src.line(at)
	indent := string(d.src.data[from:at])
	if strings.TrimSpace(indent) != "" {
		return "", "the job is written in braces, and not in one line of its own"
	}
	return indent, ""
}

// plainName is a name that YAML takes as it is.
var plainName = regexp.MustCompile(`^[A-Za-z0-9._-]+$`)

// extendDocker adds .docker to what the job extends. Without extends: the
// change is empty and the caller writes the key.
func (r *run) extendDocker(d *document, m *yaml.Node) (change, string) {
	if !has(m, "extends") {
		return change{}, ""
	}
	k, ok := r.cfg.keyLines(d, m, "extends")
	if !ok {
		return change{}, "extends: is not understood"
	}
	if at, ok := r.cfg.nothing(d, k); ok {
		return change{span: at, with: " .docker"}, ""
	}
	v := k.value
	at := d.src.offset(v.Line, v.Column)
	end, ok := r.cfg.nodeEnd(d, v)
	if !ok || isNull(v) {
		return change{}, "extends: is not understood"
	}
	if list := items(v); len(list) > 0 && deref(list[len(list)-1]).Value == ".docker" {
		return change{span: span{d.src, at, at}}, ""
	}
	switch {
	case v.Kind == yaml.ScalarNode && v.Style&(yaml.LiteralStyle|yaml.FoldedStyle) == 0:
		return change{span: span{d.src, at, end}, with: "[" + string(d.src.data[at:end]) + ", .docker]"}, ""
	case v.Kind == yaml.ScalarNode && plainName.MatchString(v.Value): // a block cannot stand in brackets
		for ; end > at && lineBreak(d.src.data[end-1:]) > 0; end-- {
			continue
		}
		return change{span: span{d.src, at, end}, with: "[" + v.Value + ", .docker]"}, ""
	case v.Kind == yaml.SequenceNode && v.Style&yaml.FlowStyle != 0 && len(v.Content) > 0:
		last, ok := r.cfg.nodeEnd(d, v.Content[len(v.Content)-1])
		if ok {
			return change{span: span{d.src, last, last}, with: ", .docker"}, ""
		}
	case v.Kind == yaml.SequenceNode && len(v.Content) > 0:
		x := v.Content[len(v.Content)-1]
		item := d.src.offset(x.Line, x.Column)
		from, next := d.src.line(item)
		lead := string(d.src.data[from:item])
		if strings.TrimSpace(lead) == "-" {
			return change{span: span{d.src, next, next}, with: lead + ".docker" + d.src.eol()}, ""
		}
	}
	return change{}, "extends: is not understood"
}
