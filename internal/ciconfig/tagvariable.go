package ciconfig

import (
	"regexp"
	"strings"
)

// The third way writes a name into the variable that holds the tag. Whoever else
// reads that variable would get the name too: in a message it is no harm, but a
// script may take a version apart, or call a package by it.

// guardTags leaves the changes of tag variables that something else reads.
func (r *run) guardTags() {
	readers := map[string]map[span]bool{} // where the tag of an own image is put in
	for _, u := range r.uses {
		for _, e := range u.tagExpansions() {
			name := expandedName(e)
			if readers[name] == nil {
				readers[name] = map[span]bool{}
			}
			readers[name][e] = true
		}
	}
	elsewhere := map[string]bool{}
	for name, known := range readers {
		elsewhere[name] = name != "" && r.readElsewhere(name, known)
	}
	for _, u := range r.uses {
		for _, e := range u.tagExpansions() {
			if elsewhere[expandedName(e)] && u.bad == "" {
				u.bad = "uses-disagree"
			}
		}
	}
}

// tagExpansions are the expansions that bring the tag into a reference, where the
// name goes into the tag's variable.
func (u *use) tagExpansions() []span {
	ref := u.ref
	if u.bad != "" || u.style != thirdStyle || !ref.own || ref.sep < 0 || ref.colon < 0 || ref.colon+1 >= ref.tagEnd {
		return nil
	}
	via := ref.f.via(ref.colon + 1)
	return via[len(commonVia(via, ref.f.via(ref.colon))):]
}

var anyExpansion = regexp.MustCompile(`^\$[({]?([A-Za-z_][A-Za-z0-9_]*)`)

// expandedName is the variable that an expansion names.
func expandedName(s span) string {
	if m := anyExpansion.FindStringSubmatch(s.text()); m != nil {
		return m[1]
	}
	return ""
}

// readElsewhere says whether a file that a pipeline reads expands a variable at a
// place that is none of the known ones, other than to show it.
func (r *run) readElsewhere(name string, known map[span]bool) bool {
	re := regexp.MustCompile(`\$[({]?` + name + `\b`)
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if !r.visited[f.Path] && !(isMakefile(f.Path) && r.makes) || len(s.data) > maxFile {
			continue
		}
		for _, m := range re.FindAllIndex(s.data, -1) {
			from, _ := s.line(m[0])
			before := strings.TrimLeft(string(s.data[from:m[0]]), " \t-@")
			shown := strings.HasPrefix(before, "#") || strings.HasPrefix(before, "echo ") || strings.HasPrefix(before, "printf ")
			if !shown && !holds(known, s, m[0]) {
				return true
			}
		}
	}
	return false
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
