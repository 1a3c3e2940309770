package ciconfig

import (
	"path"
	"regexp"
	"slices"
	"strings"
)

// Where the value of a variable gets another form, all that reads it has to
// follow. What was evaluated does; this net finds what was not: text that joins a
// tag by a colon, and programs.

// mark notes that an expansion is evaluated, and what it puts in where somebody asks.
func (s *source) mark(offset int, values []text) {
	if s.puts != nil {
		s.puts[offset] = union(s.puts[offset], values)
	}
	s.read = s.read.with(offset, len(s.data))
	if len(values) > 0 {
		s.filled = s.filled.with(offset, len(s.data))
	}
}

// marked says whether the expansion at an offset was evaluated.
func (s *source) marked(offset int) bool { return s.read.has(offset) }

// offsets are some of the offsets of a file, a bit for each.
type offsets []uint64

func (o offsets) with(offset, size int) offsets {
	if o == nil {
		o = make(offsets, size/64+1)
	}
	o[offset/64] |= 1 << (offset % 64)
	return o
}

func (o offsets) has(offset int) bool { return o != nil && o[offset/64]&(1<<(offset%64)) != 0 }

var expands = regexp.MustCompile(`^\$?\$[{(]?([A-Za-z_][A-Za-z0-9_]*)`)

// changedVariables are the variables of the pipeline, or exported by a script,
// whose value gets another form.
func (r *run) changedVariables() map[string]bool {
	out := map[string]bool{}
	for _, u := range r.uses {
		if u.bad != "" || !u.ref.own || u.ref.sep < 0 || u.settled {
			continue
		}
		via := u.ref.f.via(u.ref.sep)
		if u.style == thirdStyle && u.ref.colon >= 0 && u.ref.colon+1 < u.ref.tagEnd {
			via = append(via[:len(via):len(via)], u.ref.f.via(u.ref.colon+1)...)
		}
		for _, s := range via {
			if m := expands.FindStringSubmatch(s.text()); m != nil && (r.exported[m[1]] || r.defined(m[1])) {
				out[m[1]] = true
			}
		}
	}
	return out
}

// defined says whether a CI file sets a variable.
func (r *run) defined(name string) bool {
	for _, c := range r.cfg.pipelines() {
		for _, e := range c.envs {
			if len(e.defs[name]) > 0 {
				return true
			}
		}
	}
	return false
}

// How text around a variable's name reads it: behind it a tag, or before it a
// program's way to ask for a variable.
var (
	taggedBehind = regexp.MustCompile(`^\}?["'\\]*:["'\\]*[\w${(%]`)
	askedBefore  = regexp.MustCompile(`(?i)(\benv(iron)?(\.get)?[.(\[]\s*["']?|\bgetenv\(\s*["']|\bprintenv\s+|\s(-e|--env|--build-arg)[ =])$`)
)

// readers reports what reads a variable of another form and was not evaluated. Terraform
// has those that begin with TF_VAR_ as its own.
// https://developer.hashicorp.com/terraform/language/values/variables#environment-variables
func (r *run) readers() {
	names := r.changedVariables()
	if len(names) == 0 {
		return
	}
	r.filledElsewhere(names)
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if prose(f.Path) || len(s.data) > maxFile {
			continue
		}
		text := string(s.data)
		for _, name := range sortedKeys(names) {
			if own, ok := strings.CutPrefix(name, "TF_VAR_"); ok && path.Ext(f.Path) == ".tf" {
				for _, m := range regexp.MustCompile(`\bvar\.`+own+`\b`).FindAllStringIndex(text, -1) {
					r.report("read-elsewhere", span{s, m[0], m[1]}, name)
				}
			}
			for at := 0; ; {
				i := strings.Index(text[at:], name)
				if i < 0 {
					break
				}
				i += at
				at = i + len(name)
				if i > 0 && wordByte(text[i-1]) || at < len(text) && wordByte(text[at]) {
					continue
				}
				r.reader(s, text, i, at, name)
			}
		}
	}
}

// filledElsewhere reports files that join a tag to such a variable and get it from
// somewhere else: a compose file on a server has the .env file beside it there.
func (r *run) filledElsewhere(names map[string]bool) {
	for _, u := range r.uses {
		if u.bad != "" || !u.document || u.filled || u.cmd != nil || !u.ref.own || u.ref.sep < 0 || u.settled {
			continue
		}
		if !slices.ContainsFunc(u.changes, func(c change) bool { return c.src == u.at.src }) {
			continue // the file stays as it is
		}
		for _, s := range u.ref.f.via(u.ref.sep) {
			if m := expands.FindStringSubmatch(s.text()); m != nil && s.src == u.at.src && names[m[1]] {
				r.reportWhy(Warning, "variable-elsewhere", u.place(), u.ref.String(), m[1]+" holds the beginning of a tag now")
			}
		}
	}
}

// newVariables reports images that changes give variables which their file, or a command
// on another machine, has not taken so far: who runs it may not have them.
func (r *run) newVariables(changes []change) {
	put, taken := inFiles(changes), map[*source]map[string]bool{}
	for src := range put {
		taken[src] = variablesIn(src, src.data)
	}
	open := map[span]bool{} // changes that nobody has told of yet
	for _, c := range changes {
		open[c.span] = true
	}
	tell := func(u *use, at span, c change, known map[string]bool) {
		for name := range variablesIn(c.src, []byte(c.with)) {
			if known[name] || !u.away && r.handsDown(name) {
				continue
			}
			f := r.report("variable-elsewhere", at, u.ref.String())
			f.cause = u.at.path()
			switch {
			case u.command == "make":
				f.says("a recipe that no job is seen to run takes an image from variables of the pipeline in a new form; where they are not set, or still to what they were, the image has no name or no tag")
			case u.document && u.filled:
				f.says("a file that a job copies to another machine takes an image from variables of the pipeline in a new form; where they are not set, or still to what they were, the image has no name or no tag")
			}
			open[c.span] = false
		}
	}
	var elsewhere []*use
	for _, u := range r.uses {
		if r.unmade(u) {
			for _, c := range u.changes {
				if _, made := open[c.span]; made {
					tell(u, u.place(), c, variablesIn(c.src, c.src.lineAt(c.start)))
				}
			}
			continue
		}
		if u.bad != "" || !u.ref.own || u.ref.host || u.settled || !u.away && (!u.document || u.filled && !r.carried(u.at.src) || r.handsToTasks(u.at.path())) {
			continue
		}
		list, known := put[u.at.src], taken[u.at.src]
		if u.away {
			known = variablesIn(u.at.src, []byte(u.at.text()))
		} else if !u.filled {
			elsewhere = append(elsewhere, u)
		} else {
			for _, c := range u.changes { // of what the file has from one of variables
				if r.envsBeside[c.src] != nil && open[c.span] {
					tell(u, c.span, c, taken[c.src])
				}
			}
		}
		i, _ := slices.BinarySearchFunc(list, u.at.start, func(c change, start int) int { return c.start - start })
		for ; i < len(list) && list[i].end <= u.at.end; i++ {
			tell(u, u.place(), list[i], known)
		}
	}
	for _, u := range elsewhere { // what such files set, and put together elsewhere
		for _, c := range u.changes {
			if open[c.span] && !r.visited[c.src.path] && !r.fills(c.src.path) {
				tell(u, c.span, c, taken[c.src])
			}
		}
	}
}

// inFiles are the changes of each file, in order.
func inFiles(changes []change) map[*source][]change {
	out := map[*source][]change{}
	for _, c := range changes {
		out[c.src] = append(out[c.src], c)
	}
	for _, list := range out {
		slices.SortStableFunc(list, func(a, b change) int { return a.start - b.start })
	}
	return out
}

// unmade says whether a use is in a line of a Makefile's recipe that no job runs.
func (r *run) unmade(u *use) bool {
	return r.makes && !r.makesUnknown && u.cmd == nil && u.command == "make" && u.bad == "" && u.ref.own && !u.ref.host &&
		u.at.src.lineAt(u.at.start)[0] == '\t'
}

// variablesOf are the names of the variables in a text.
func variablesOf(text []byte) map[string]bool {
	out := map[string]bool{}
	for _, m := range shellVariable.FindAllSubmatch(text, -1) {
		out[string(m[1])] = true
	}
	return out
}

// variablesIn are the same in a text of a file, which may be a Makefile.
func variablesIn(src *source, text []byte) map[string]bool {
	out := variablesOf(text)
	if isMakefile(src.path) {
		for _, m := range makeVariable.FindAllSubmatch(text, -1) {
			out[string(m[1])+string(m[2])+string(m[3])] = true
		}
	}
	return out
}

func wordByte(c byte) bool { return nameByte(c) && c != '.' && c != '-' || c == '_' }

// inHiddenList says whether the text ends in a list under a hidden key of a CI file. That is no
// template, and what a job takes from it, by an alias or !reference, has been evaluated.
func inHiddenList(text string) bool {
	keys := topKey.FindAllStringIndex(text, -1)
	if len(keys) == 0 {
		return false
	}
	key := text[keys[len(keys)-1][0]:]
	return hiddenList.MatchString(key)
}

var (
	topKey     = regexp.MustCompile(`(?m)^[^\s#-]`)
	hiddenList = regexp.MustCompile(`^\.[^:\n]+:([ \t]*&\S+)?[ \t]*(#.*)?\r?\n(\s*(#.*)?\n)*[ \t]*- `)
)

// reader looks at one place that names such a variable.
func (r *run) reader(s *source, text string, i, end int, name string) {
	from, to := s.line(i)
	if i >= from+len(uncommented(text[from:to])) {
		return
	}
	before := text[from:i]
	dollar := strings.TrimSuffix(before, "{")
	switch {
	case strings.HasSuffix(dollar, "$"):
		at := from + len(dollar) - 1
		if at > from && text[at-1] == '$' && s.marked(at-1) {
			return // $$ of a recipe
		}
		if !s.marked(at) && taggedBehind.MatchString(text[end:to]) {
			severity := Warning
			if r.visited[s.path] && !(isYAML(s.path) && inHiddenList(text[:at])) {
				severity = Blocking
			}
			r.reportAs(severity, "text-left", span{s, at, from + len(strings.TrimRight(text[from:to], "\r\n"))}, "")
		}
	case !s.marked(i) && askedBefore.MatchString(before) && !strings.HasPrefix(text[end:to], "="):
		r.report("read-elsewhere", span{s, from + len(before), end}, name)
	}
}
