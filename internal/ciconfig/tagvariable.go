package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// The third way writes a name into the variable that holds the tag. Whoever else
// reads that variable would get the name too: in a message it is no harm, but a
// script may take a version apart, or call a package by it. So it is with a variable
// that loses the slash before a name.

// guardTags leaves the changes of such variables where something else reads them.
func (r *run) guardTags() {
	var tagged []*use
	known := map[span]bool{} // where the tag of an own image is put in
	for _, u := range r.uses {
		via := u.changedExpansions()
		if len(via) > 0 {
			tagged = append(tagged, u)
		}
		for _, e := range via {
			known[e] = true
		}
	}
	readers := map[string][]span{}
	for _, u := range tagged {
		at, ok := u.tagStart()
		if u.unslashed {
			at, ok = u.ref.f.at(u.ref.sep)
		}
		for _, e := range u.changedExpansions() {
			name := expandedName(e)
			if _, found := readers[name]; !found {
				readers[name] = r.readElsewhere(name, known)
			}
			if u.bad == "" && ok && slices.ContainsFunc(readers[name], func(s span) bool { return r.mayGet(s, at) }) {
				u.bad = "uses-disagree"
			}
		}
	}
}

// mayGet says whether an expansion may put in what is written at a place: what it was
// seen to put in does, or nobody has seen it evaluated.
func (r *run) mayGet(s, at span) bool {
	if !s.src.marked(s.start) {
		return true
	}
	values, seen := r.values()[s]
	if !seen || len(values) >= most {
		return true
	}
	holds := func(s span) bool { return s.src == at.src && s.start <= at.start && at.start < s.end }
	for _, t := range values {
		for _, p := range t {
			if holds(p.at) || slices.ContainsFunc(p.via, holds) {
				return true
			}
		}
	}
	return false
}

// values are what each expansion puts in, by the place of its dollar sign. To keep them
// every time would cost too much; the few who ask have everything evaluated once more.
func (r *run) values() map[span][]text {
	if r.got != nil {
		return r.got
	}
	r.got = map[span][]text{}
	for _, s := range r.files {
		s.puts = map[int][]text{}
	}
	again := newRun(r.in, r)
	again.quiet = r.quiet
	again.look()
	for _, s := range r.files {
		for at, values := range s.puts {
			r.got[span{s, at, at + 1}] = values
		}
		s.puts = nil
	}
	return r.got
}

// changedExpansions are those that bring the tag into a reference, where the name goes
// into the tag's variable, or the name where its variable loses a slash.
func (u *use) changedExpansions() []span {
	ref := u.ref
	if u.bad == "" && u.unslashed {
		via := ref.f.via(ref.sep)
		return via[len(commonVia(via, ref.f.via(ref.base-1))):]
	}
	if u.bad != "" || u.style != thirdStyle || !ref.own || ref.sep < 0 || ref.colon < 0 || ref.colon+1 >= ref.tagEnd {
		return nil
	}
	via := ref.f.via(ref.colon + 1)
	return via[len(commonVia(via, ref.f.via(ref.colon))):]
}

var anyExpansion = regexp.MustCompile(`^\$?\$[({]?([A-Za-z_][A-Za-z0-9_]*)`)

// expandedName is the variable that an expansion names.
func expandedName(s span) string {
	if m := anyExpansion.FindStringSubmatch(s.text()); m != nil {
		return m[1]
	}
	return ""
}

// readElsewhere are the dollar signs of a variable's expansions in what the pipelines
// read, but for the known ones and those that only show it.
func (r *run) readElsewhere(name string, known map[span]bool) []span {
	var out []span
	re := regexp.MustCompile(`\$[({]?` + name + `\b`)
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if name == "" || !r.visited[f.Path] && !(isMakefile(f.Path) && r.makes) || len(s.data) > maxFile {
			continue
		}
		for _, m := range re.FindAllIndex(s.data, -1) {
			from, _ := s.line(m[0])
			before := strings.TrimLeft(string(s.data[from:m[0]]), " \t-@")
			shown := strings.HasPrefix(before, "#") || strings.HasPrefix(before, "echo ") || strings.HasPrefix(before, "printf ")
			if !shown && !holds(known, s, m[0]) {
				out = append(out, span{s, m[0], m[0] + 1})
			}
		}
	}
	return out
}

// holds says whether one of some spans holds a place.
func holds(spans map[span]bool, s *source, at int) bool {
	for k := range spans {
		if k.src == s && k.start <= at && at < k.end {
			return true
		}
	}
	return false
}
