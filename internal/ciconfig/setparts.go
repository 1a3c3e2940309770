package ciconfig

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Deployments by files of values in another repository are often made by two commands,
// or by one with two parts:
//
//	yq -i ".api.image.repository = \"$B/api\"" values.yaml
//	yq -i ".api.image.tag = \"$T\"" values.yaml
//
// or by sed, or as parameters of an application of Argo CD:
//
//	sed -i "s|repository:.*|repository: $B/api|; s|tag:.*|tag: $T|" values.yaml
//	argocd app set api -p image.repository=$B/api -p image.tag=$T
//
// or by sed in the places of two words that a file joins: IMAGE:TAG.
//
// What reads them joins the two, so they are one reference, as with the flags of
// helm: the repository stays bare, and the name goes before the tag.

// partTools are the commands that write such parts.
var partTools = map[string]bool{"yq": true, "sed": true, "argocd": true}

// imagePart is one part of an image that a command writes.
type imagePart struct {
	key  string // the path of the image, and the file
	word string // in the place of which sed puts it
	job  *job
	at   span
	use  *use // of a repository
	tag  text // with the colon that joins it
}

var (
	setsRepository = regexp.MustCompile(`([^\s|=,;#/(]*?)\.?["\[]*\b(?:repository|newName)["\]]*\s*\|?[=:]\s*\\?["']?$`)
	setsTag        = regexp.MustCompile(`([^\s|=,;#/(]*?)\.?["\[]*\b(?:tag|newTag)["\]]*\s*\|?[=:]\s*(\\?["'])?`)
)

// partKey names an image by the text before its part and by the file that a command
// changes; an application has its parameters in one command.
func partKey(f *flat, from, to int, c *command, lits []string) string {
	where := lits[len(lits)-1]
	if lits[0] == "argocd" {
		where = fmt.Sprint(c.at.path(), c.at.start)
	}
	return f.show(from, to) + "\x00" + where
}

// recordSetTags remembers the tags that such commands write.
func (r *run) recordSetTags(c *command, lits []string) {
	if !partTools[lits[0]] {
		return
	}
	for i := range c.args[1:] {
		f := r.flatten(c.args[i+1])
		if lits[0] == "sed" {
			for _, p := range substitutions(f.s) {
				if tag := f.s[p.from:p.to]; strings.IndexByte(tag, gap) >= 0 && !strings.ContainsAny(tag, "/:") {
					r.setParts = append(r.setParts, imagePart{word: p.word, job: r.now, at: c.argSpan(i + 1), tag: tagText(f, p.from, p.to)})
				}
			}
		}
		for _, m := range setsTag.FindAllStringSubmatchIndex(f.s, -1) {
			from, to, known := m[1], m[1], true
			for to < len(f.s) && (f.s[to] == gap || strings.IndexByte("\"'\\|/#,; \n", f.s[to]) < 0) {
				known = known && f.s[to] != gap
				to++
			}
			switch {
			case from == to || f.t[f.piece[from]].single,
				lits[0] == "yq" && m[4] < 0, // another part of the file
				lits[0] == "sed" && known:   // what is searched for
				continue
			}
			r.setParts = append(r.setParts, imagePart{key: partKey(f, m[2], m[3], c, lits), job: r.now, at: c.argSpan(i + 1), tag: tagText(f, from, to)})
		}
	}
}

// tagText is a tag in a command's argument, with the colon that its reader puts before it.
func tagText(f *flat, from, to int) text {
	at := f.t[f.piece[from]].outer()
	if s, ok := f.at(from); ok && len(f.via(from)) == 0 {
		at = s
	}
	at.end = at.start
	return append(text{{text: ":", at: at}}, f.cut(from, to)...)
}

// substitution is what sed puts in the place of a word: s|WORD|value|.
type substitution struct {
	word     string
	from, to int // the value
}

var beginsSubstitution = regexp.MustCompile(`(?:^|[;\s{/$0-9])s([|/#,@!~%])`)

// substitutions are those of a script of sed, one after the other.
func substitutions(s string) (out []substitution) {
	for at := 0; ; {
		m := beginsSubstitution.FindStringSubmatchIndex(s[at:])
		if m == nil {
			return out
		}
		at += m[3]
		delimiter := s[at-1 : at]
		word, rest, ok := strings.Cut(s[at:], delimiter)
		value, _, closed := strings.Cut(rest, delimiter)
		if !ok || !closed || word == "" {
			continue
		}
		from := at + len(word) + 1
		at = from + len(value) + 1
		out = append(out, substitution{word, from, at - 1})
	}
}

// wordsJoined says whether the files of the project join two words by a colon, and have
// the second nowhere else: a label would get the name too.
func (r *run) wordsJoined(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	joined, all := 0, 0
	for _, f := range r.in.Files {
		if !r.visited[f.Path] && !prose(f.Path) {
			joined += bytes.Count(f.Content, []byte(a+":"+b))
			all += bytes.Count(f.Content, []byte(b))
		}
	}
	return joined > 0 && joined == all
}

// setsPart keeps the use of a repository that such a command writes until all are known.
func (r *run) setsPart(u *use) bool {
	if !partTools[u.lits[0]] {
		return false
	}
	u.job = r.now
	if u.lits[0] == "sed" {
		for _, p := range substitutions(u.ref.f.s) {
			if p.from == u.ref.start && p.to == u.ref.end {
				r.setParts = append(r.setParts, imagePart{word: p.word, job: r.now, use: u})
				return true
			}
		}
	}
	m := setsRepository.FindStringSubmatchIndex(u.ref.f.s[:u.ref.start])
	if m == nil {
		return false
	}
	r.setParts = append(r.setParts, imagePart{key: partKey(u.ref.f, m[2], m[3], u.cmd, u.lits), job: r.now, use: u})
	return true
}

// joinSetParts puts the parts of one image together.
func (r *run) joinSetParts() {
	for _, p := range r.setParts {
		if p.use == nil {
			continue
		}
		found := false
		for _, t := range r.setParts {
			if t.tag == nil || t.job != p.job || t.key != p.key || p.word != t.word && !r.wordsJoined(p.word, t.word) {
				continue
			}
			found = r.addPairs(p.use, []text{t.tag}) || found
			r.handedTags = slices.DeleteFunc(r.handedTags, func(h handedTag) bool { return h.at == t.at })
		}
		if !found {
			if p.use.role == textRole {
				r.half(p.use)
			}
			r.add(p.use)
		}
	}
}

var (
	repositoryLine = regexp.MustCompile(`(?:^|\n)([ \t-]*)["']?(?:repository|newName)["']?:[ \t]*["']?$`)
	tagLine        = regexp.MustCompile(`^([ \t-]*)["']?(?:tag|newTag)["']?:[ \t]*["']?([^\s"'#]+)["']?[ \t]*(?:#.*)?$`)
)

// textPair looks at the repository in YAML that a script writes, and at the tag in the
// same mapping of it. It says whether there is one.
func (r *run) textPair(u *use) bool {
	f := u.ref.f
	m := repositoryLine.FindStringSubmatchIndex(f.s[:u.ref.start])
	if m == nil {
		return false
	}
	column := m[3] - m[2]
	var tags []text
	look := func(line string, at int) (more bool) {
		t := tagLine.FindStringSubmatchIndex(line)
		if t != nil && t[3] == column {
			if s, ok := f.at(at + t[4]); ok || f.t[f.piece[at+t[4]]].hole != "" {
				if p := f.t[f.piece[at+t[4]]]; !ok { // where the line takes it
					s = append(slices.Clip(p.via), p.at)[len(commonVia(p.via, f.via(at+t[4]-1)))]
				}
				s.end = s.start
				tags = append(tags, append(text{{text: ":", at: s}}, f.cut(at+t[4], at+t[5])...))
			}
			return false
		}
		rest := strings.TrimLeft(line, " \t-")
		return rest == "" || len(line)-len(rest) >= column
	}
	for i := strings.IndexByte(f.s[u.ref.end:], '\n') + u.ref.end + 1; i > u.ref.end && i < len(f.s); {
		line, _, _ := strings.Cut(f.s[i:], "\n")
		if !look(line, i) {
			break
		}
		i += len(line) + 1
	}
	for i := m[2]; i > 0 && len(tags) == 0; {
		from := strings.LastIndexByte(f.s[:i-1], '\n') + 1
		if !look(f.s[from:i-1], from) {
			break
		}
		i = from
	}
	return r.addPairs(u, tags)
}
