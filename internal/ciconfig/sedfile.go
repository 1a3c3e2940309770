package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// Before a manifest is applied, sed often changes its image: all of it, and then what the
// file says is no more than what sed looks for, or a word in the place of its tag, and
// then the rest is what counts:
//
//	sed -i "s|image:.*|image: $CI_REGISTRY_IMAGE/api:$T|" api.yaml
//	sed -i "s|__TAG__|$T|" api.yaml      # image: registry.uninett.no/group/project/api:__TAG__
//	->  sed -i -e "s|\$CI_REGISTRY_IMAGE|$CI_REGISTRY_IMAGE|" -e "s|__TAG__|$T|" api.yaml

// sedEdit is what a command of sed changes in the images of one file.
type sedEdit struct {
	job    *job
	src    *source
	at     span // the command
	script span // its first script
	behind bool // which stands behind -e
	open   bool // no other script can be put before it
	subs   []sedSubstitution
	whole  []span
	tags   []sedTag
}

// sedTag is a word in the tag of an image, and a value that takes its place.
type sedTag struct {
	image span
	word  string
	value text
}

// sedFlags are those that do not change what a script means.
var sedFlags = regexp.MustCompile(`^(-[Eirsu]+(\.\w+)?|--in-place(=.*)?|--regexp-extended|--separate)$`)

// recordSed remembers what sed changes in the images of the repository's files. It says
// whether all of the command was understood; else the files are what somebody changes in
// an unknown way.
func (r *run) recordSed(sh *shell, c *command, lits []string) bool {
	if lits[0] != "sed" || sh.away {
		return false
	}
	var scripts []int
	var files []*source
	behind, next, extended, script := false, false, false, -1
	for i := 1; i < len(c.args); i++ {
		l := c.lit(i)
		switch {
		case next || script < 0 && !strings.HasPrefix(l, "-") || c.pos[i] == script:
			if len(scripts) == 0 {
				behind = next
			}
			next, script = false, c.pos[i]
			scripts = append(scripts, i)
		case l == "-e" || l == "--expression":
			next = true
		case sedFlags.MatchString(l):
			extended = extended || l == "--regexp-extended" || !strings.HasPrefix(l, "--") && strings.ContainsAny(l, "Er")
		case strings.HasPrefix(l, "-"):
			return false
		default:
			found := r.filesNamed(sh, l)
			if len(found) == 0 {
				return false
			}
			files = append(files, found...)
		}
	}
	if len(scripts) == 0 || len(files) == 0 {
		return false
	}
	var subs []sedSubstitution
	for _, i := range scripts {
		list, ok := sedScript(r.flatten(c.args[i]), extended)
		if !ok {
			return false
		}
		subs = append(subs, list...)
	}
	_, line := r.lineOf[c.ch]
	e := sedEdit{job: r.now, at: c.at, script: c.argSpan(scripts[0]), behind: behind, subs: subs}
	e.open = r.now == nil || !line && c.ch != c.ch.src.whole() || !c.at.src.editable
	var edits []sedEdit
	for _, s := range files {
		e.src, e.whole, e.tags = s, nil, nil
		r.recordUnseenBySed(e)
		if !r.sedImages(&e) {
			return false
		}
		edits = append(edits, e)
	}
	r.sedEdits = append(r.sedEdits, edits...)
	return true
}

// filesNamed are the files of the repository that a word names, or a pattern.
func (r *run) filesNamed(sh *shell, word string) (out []*source) {
	word = strings.TrimPrefix(word, "${CI_PROJECT_DIR}/")
	if strings.HasPrefix(word, "/") || strings.Contains(word, "$") {
		return nil
	}
	word = path.Join(sh.dir, word)
	if !strings.ContainsAny(word, "*?[") {
		if s := r.files[word]; s != nil {
			out = append(out, s)
		}
		return out
	}
	for _, f := range r.in.Files {
		if ok, err := path.Match(word, f.Path); ok && err == nil {
			out = append(out, r.files[f.Path])
		}
	}
	return out
}

// sedSubstitution is one command s of sed.
type sedSubstitution struct {
	from, to int    // what it looks for, in the script
	last     int    // the delimiter behind what it puts in
	word     string // the same, where it is a plain word
	pattern  *regexp.Regexp
	value    text
	every    bool // it does so more than once in a line
}

// sedScript reads a script that has nothing but substitutions.
// https://www.gnu.org/software/sed/manual/sed.html#The-_0022s_0022-Command
func sedScript(f *flat, extended bool) (out []sedSubstitution, ok bool) {
	s := f.s
	for i := 0; ; {
		for i < len(s) && strings.IndexByte(" \t\n;", s[i]) >= 0 {
			i++
		}
		if i == len(s) {
			return out, len(out) > 0
		}
		if s[i] != 's' || i+1 == len(s) || nameByte(s[i+1]) || strings.IndexByte("\\\n ;", s[i+1]) >= 0 {
			return nil, false
		}
		delimiter := s[i+1]
		end := func(from int) int {
			for k := from; k < len(s); k++ {
				switch s[k] {
				case '\\':
					k++
				case delimiter:
					return k
				}
			}
			return -1
		}
		from := i + 2
		to := end(from)
		if to < 0 {
			return nil, false
		}
		last := end(to + 1)
		if last < 0 || from == to || slices.ContainsFunc(f.off[from:to], func(off int32) bool { return off < 0 }) {
			return nil, false
		}
		sub := sedSubstitution{from: from, to: to, last: last, value: f.cut(to+1, last)}
		if sub.pattern, sub.word, ok = sedPattern(s[from:to], delimiter, extended); !ok {
			return nil, false
		}
		i = last + 1
		if sub.every = i < len(s) && s[i] == 'g'; sub.every {
			i++
		}
		out = append(out, sub)
		if i < len(s) && strings.IndexByte(" \t\n;", s[i]) < 0 {
			return nil, false
		}
	}
}

// sedPattern translates a pattern of sed; word is what it looks for where nothing in it is
// special but a dot, which finds itself too.
// https://www.gnu.org/software/sed/manual/sed.html#BRE-vs-ERE
func sedPattern(pat string, delimiter byte, extended bool) (re *regexp.Regexp, word string, ok bool) {
	var b, w strings.Builder
	plain := true
	for i := 0; i < len(pat); i++ {
		ch, escaped := pat[i], false
		if n := bracketed(pat[i:]); n > 0 {
			plain = false
			b.WriteString(strings.ReplaceAll(pat[i:i+n], `\`, `\\`))
			i += n - 1
			continue
		}
		if ch == '\\' {
			if i++; i == len(pat) {
				return nil, "", false
			}
			ch, escaped = pat[i], pat[i] != delimiter || strings.IndexByte(`.*[]^$`, ch) >= 0
		}
		switch {
		case strings.IndexByte("(){}|+?", ch) >= 0:
			if escaped != extended { // special where the other form is not
				plain = false
				b.WriteByte(ch)
			} else {
				b.WriteString(regexp.QuoteMeta(string(ch)))
				w.WriteByte(ch)
			}
		case escaped && (ch >= 'a' && ch <= 'z' || ch >= 'A' && ch <= 'Z' || ch >= '0' && ch <= '9' || ch == '<' || ch == '>'):
			if strings.IndexByte("sSwWbB", ch) < 0 {
				return nil, "", false
			}
			plain = false
			b.WriteString(`\` + string(ch))
		case !escaped && (ch == '*' || ch == '^' && anchors(pat[:i], "(|", extended) || ch == '$' && anchors(pat[i+1:], ")|", extended)):
			plain = false
			b.WriteByte(ch)
		case !escaped && ch == '.':
			w.WriteByte(ch)
			b.WriteByte(ch)
		default:
			w.WriteByte(ch)
			b.WriteString(regexp.QuoteMeta(string(ch)))
		}
	}
	re, err := regexp.Compile(b.String())
	if err != nil {
		return nil, "", false
	}
	if !plain || !re.MatchString(w.String()) {
		return re, "", true
	}
	return re, w.String(), true
}

// bracketed is how long the list of characters is with which a pattern begins, 0 for none.
func bracketed(pat string) int {
	if pat[0] != '[' {
		return 0
	}
	i := 1
	if i < len(pat) && pat[i] == '^' {
		i++
	}
	for first := i; i < len(pat); i++ {
		switch {
		case pat[i] == ']' && i > first:
			return i + 1
		case strings.HasPrefix(pat[i:], "[:"):
			if end := strings.Index(pat[i:], ":]"); end > 0 {
				i += end + 1
			}
		}
	}
	return 0
}

// anchors says whether ^ or $ is one: in a basic pattern only at its ends, or at those of a group
// or an alternative.
func anchors(beside, ends string, extended bool) bool {
	return extended || beside == "" || slices.ContainsFunc(strings.Split(ends, ""), func(c string) bool {
		return ends == "(|" && strings.HasSuffix(beside, `\`+c) || ends == ")|" && strings.HasPrefix(beside, `\`+c)
	})
}

// literalImage is an own image in a line of a file, up to white space or a quote.
var literalImage = regexp.MustCompile(`^(?:\{\{[^{}\n]*\}\}|[^\s"'#{}])+`)

// sedImages finds what substitutions do to the images of a file that are written out. ok is
// false where they change a part of one that is neither all of it nor in its tag.
func (r *run) sedImages(e *sedEdit) (ok bool) {
	if len(e.src.data) > maxFile {
		return false
	}
	host := []byte(r.in.Project.OldHost)
	for at := 0; ; {
		i := bytes.Index(e.src.data[at:], host)
		if i < 0 {
			return true
		}
		from, end := e.src.line(at + i)
		at += i
		image := span{e.src, at, at + len(literalImage.Find(e.src.data[at:end]))}
		at = image.end
		if bytes.HasPrefix(bytes.TrimSpace(e.src.data[from:end]), []byte("#")) {
			continue
		}
		text, line := image.text(), string(e.src.data[from:end])
		colon := strings.LastIndexByte(text, ':')
		for _, s := range e.subs {
			most := 1
			if s.every {
				most = -1
			}
			for _, m := range s.pattern.FindAllStringIndex(strings.TrimRight(line, "\r\n"), most) {
				a, b := from+m[0], from+m[1]
				switch {
				case b <= image.start || a >= image.end:
				case a <= image.start && b >= image.end && r.mentions(s.value) && !s.value.has('&'):
					e.whole = append(e.whole, image)
				case s.word != "" && colon > strings.LastIndexByte(text, '/') && b <= image.end &&
					(a > image.start+colon && isTag(s.value) || a == image.start+colon && s.value.beginsWithColon() && isTag(s.value.after(1))):
					e.tags = append(e.tags, sedTag{image, s.word, s.value})
				default:
					return false
				}
			}
		}
	}
}

// beginsWithColon says whether a text is written with a colon before the rest.
func (t text) beginsWithColon() bool { return len(t) > 0 && strings.HasPrefix(t[0].text, ":") }

// isTag says whether a text may be a tag, or a part of one.
func isTag(t text) bool {
	s := t.String()
	return len(t) > 0 && !strings.ContainsAny(s, "/: \t\n&\\") && !t.uncertain()
}

// replacedBySed says whether sed puts another image in the place of one before anybody
// applies the file.
func (r *run) replacedBySed(s *source, at span) bool {
	in := func(e sedEdit) bool {
		return e.src == s && slices.ContainsFunc(e.whole, func(w span) bool { return at.start <= w.start && w.end <= at.end })
	}
	if !slices.ContainsFunc(r.sedEdits, in) {
		return false
	}
	return !slices.ContainsFunc(r.applied, func(a applying) bool {
		return a.reads(s.path) && !a.only && !slices.ContainsFunc(r.sedEdits, func(e sedEdit) bool { return in(e) && e.job == a.job })
	})
}

// withSedTags are the values of an image in a file with what sed puts in the places of
// words in its tag.
func (r *run) withSedTags(s *source, at span, v text) (out []text) {
	for _, e := range r.sedEdits {
		if e.src != s {
			continue
		}
		for _, t := range e.tags {
			if t.image.start < at.start || t.image.end > at.end {
				continue
			}
			all, known := v.literal()
			i := strings.LastIndex(all, t.word)
			if !known || i < 0 {
				continue
			}
			out = append(out, slices.Concat(v.part(0, i), t.value, v.part(i+len(t.word), len(all))))
		}
	}
	if len(out) == 0 {
		return []text{v}
	}
	return out
}

// filledBySed are the commands of sed that fill in the tags of a manifest, and can put in
// the rest. ok is false where one cannot, or where one replaces images for some that apply
// the file and not for others.
func (r *run) filledBySed(s *source) (out []applying, ok bool) {
	for _, e := range r.sedEdits {
		if e.src != s {
			continue
		}
		if len(e.tags) > 0 {
			if e.open {
				return nil, false
			}
			out = append(out, applying{job: e.job, at: e.at, word: s.path, arg: e.script, path: s.path, sed: true, behind: e.behind})
		}
		for _, w := range e.whole {
			if !r.replacedBySed(s, w) {
				return nil, false
			}
		}
	}
	return out, true
}

// sedTakes says whether sed, before a file is filled in, would take a variable for what it
// looks for.
func (r *run) sedTakes(s *source, variable string) bool {
	return slices.ContainsFunc(r.sedEdits, func(e sedEdit) bool {
		return e.src == s && slices.ContainsFunc(e.subs, func(sub sedSubstitution) bool { return sub.pattern.MatchString(variable) })
	})
}

// searched says whether a use is what sed looks for in files of the repository: it is no
// image, and has to stay as they have it.
func (r *run) searched(u *use) bool {
	subs, ok := sedScript(u.ref.f, false)
	return ok && slices.ContainsFunc(subs, func(s sedSubstitution) bool {
		return s.from <= u.ref.start && u.ref.end <= s.to
	})
}
