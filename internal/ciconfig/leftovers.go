package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// The last net: text that still joins a name to the registry's variable after
// the rewrite was not evaluated by anything above it, such as a quoted
// here-document, an escaped variable or a program.
var leftover = []struct {
	asks string // without this in a line, in capitals, the pattern is not tried
	*regexp.Regexp
}{
	{"CI_REGISTRY_IMAGE", regexp.MustCompile("CI_REGISTRY_IMAGE[\"'\\])}\\\\%]{0,5}(\\s*\\+\\s*[\"'`\\\\]+)?/[\"'\\\\]*[\\w${(%]")},
	{"CI_REGISTRY_IMAGE", regexp.MustCompile(`\$CI_REGISTRY_IMAGE["'\\]*-[\w$]|\$\{CI_REGISTRY_IMAGE\}["'\\]*-[\w$]`)},
	{"CI_REGISTRY_IMAGE", regexp.MustCompile(`CI_REGISTRY_IMAGE["'}]*%2[Ff][\w${]`)}, // in an address
	{"CI_PROJECT_PATH", regexp.MustCompile(`(?i)(image|registry|repository).*CI_PROJECT_PATH["'\])}\\]{0,4}/["'\\]*[\w$]`)},
	{"CI_REGISTRY_IMAGE", regexp.MustCompile(`CI_REGISTRY_IMAGE\b[^{}]{0,40}\}\}["'\\]*[/-]["'\\]*[\w${(]`)}, // {{ env "CI_REGISTRY_IMAGE" }}/api
	{"%S", regexp.MustCompile(`["'][^"'%]*%s[/-][^"']*["'][^|;]*CI_REGISTRY_IMAGE["'\]})]*(\s|$)`)},
}

// bareBase is the registry's variable in a program that takes it for itself, by another name
// where JavaScript takes it out of the environment: const { CI_REGISTRY_IMAGE: base } = process.env.
var bareBase = regexp.MustCompile("CI_REGISTRY_IMAGE(?:[\"'\\])}]*)(?:[^\"'\\])}:/\\w-]|$)|{[^{}]*\\bCI_REGISTRY_IMAGE: *[\\w$]+[^{}]*}.*\\benv\\b")

// fromEnvironment is how a playbook, its roles and its templates take a variable of the job.
// https://docs.ansible.com/ansible/latest/collections/ansible/builtin/env_lookup.html
var fromEnvironment = regexp.MustCompile(`\b(lookup|query)\( *["']+(ansible\.builtin\.)?env["']+ *,`)

// ofDefault is the beginning of an expansion, behind which its default stands.
var ofDefault = regexp.MustCompile(`\$\{\w+:?[-=]["']*$`)

// link is the beginning of a link to a page, behind which the registry's variable stands.
var link = regexp.MustCompile(`https?://\$?\{?$`)

// mayBeLeft is the cheap test: each pattern asks for one of these names.
func mayBeLeft(b []byte) bool {
	return bytes.Contains(b, []byte("CI_REGISTRY_IMAGE")) || bytes.Contains(b, []byte("CI_PROJECT_PATH")) || bytes.Contains(b, []byte("ci_project_path"))
}

// leftovers reports such text in lines that have no finding yet. It looks at
// the files as the names pass left them. Where names were changed, such text in
// what the jobs read would break the rest.
func (r *run) leftovers(names *run, changed bool) {
	told := names.toldLines()
	open := map[string][]int{} // findings on text of several lines
	for _, f := range names.findings {
		if told[f.File] == nil {
			told[f.File] = map[int]bool{}
		}
		told[f.File][f.Line] = true
		if strings.HasSuffix(f.Text, "…") {
			open[f.File] = append(open[f.File], f.Line)
		}
	}
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if s == nil || !s.editable || prose(f.Path) || len(s.data) > maxFile {
			continue
		}
		r.hostLeft(s, told[f.Path], names, changed)
		if scriptless(s) && !names.visited[f.Path] || !mayBeLeft(s.data) {
			continue
		}
		var away []span
		for start := 0; start < len(s.data); {
			from, end := s.line(start)
			if end <= start {
				break
			}
			start = end
			if !mayBeLeft(s.data[from:end]) {
				continue
			}
			text := uncommented(string(s.data[from:end]))
			hit := r.leftIn(s, from, text)
			code := Code("text-left")
			if m := bareBase.FindStringIndex(text); hit < 0 && m != nil && (program(f.Path) || tasks(f.Path)) {
				hit, code = m[0], "base-handed-on"
			}
			if hit < 0 {
				continue
			}
			at := span{s, from + hit, from + len(strings.TrimRight(text, "\r\n"))}
			was := at.origin()
			before, offset := was.src, was.start
			line, _ := before.position(offset)
			if told[f.Path][line] || within(open[f.Path], line) || names.namesOther(before, offset) {
				continue
			}
			severity := Warning // somebody else may read the file, or nobody
			if away == nil {
				away = s.mergedAway()
			}
			switch {
			case inOneOf(away, at.start):
				code = "unseen-use"
			case link.MatchString(text[:hit]): // for people, or for nobody: no image is pulled by it
			case changed && (names.visited[f.Path] || names.helmfiles && isHelmfile(f.Path) || names.runsTasks && tasks(f.Path) || names.playbooks && fromEnvironment.MatchString(text)):
				severity = Blocking
			}
			r.reportAs(severity, code, at, "")
		}
	}
}

// hostLeft tells of the old registry where nothing is seen to put an image together from it: in
// what the jobs run, and as the default of a variable that has a value in the pipeline, which
// nothing takes there, and which names elsewhere what will be gone.
func (r *run) hostLeft(s *source, told map[int]bool, names *run, changed bool) {
	host := []byte(r.in.Project.OldHost)
	if len(host) == 0 {
		return
	}
	for start := bytes.Index(s.data, host); start >= 0; {
		from, end := s.line(start)
		said := from + len(uncommented(string(s.data[from:end])))
		for at := start; at >= 0 && at <= said; at = indexFrom(s.data[:end], host, at+len(host)) {
			if r.hostLeftAt(s, span{s, from, end}, at, told, names, changed) {
				break // once for a line is enough
			}
		}
		start = indexFrom(s.data, host, end)
	}
}

// indexFrom is where a text is found from a place on, -1 without.
func indexFrom(b, text []byte, from int) int {
	if i := bytes.Index(b[min(from, len(b)):], text); i >= 0 {
		return from + i
	}
	return -1
}

// longestDefault bounds the name of a variable before its default.
const longestDefault = 200

// hostLeftAt is hostLeft for one place in a line, and says whether nothing more is to be told
// of the line.
func (r *run) hostLeftAt(s *source, in span, at int, told map[int]bool, names *run, changed bool) bool {
	before := s.data[max(in.start, at-longestDefault):at]
	m := ofDefault.FindIndex(before)
	if m == nil && (!isShell(s) && !names.visited[s.path] || kustomizeKey.Match(s.data[at:in.end])) {
		return false
	}
	was := span{s, at, at + len(r.in.Project.OldHost)}
	if m != nil {
		was.start = at - len(before) + m[0]
		if closed := bytes.IndexByte(s.data[at:in.end], '}'); closed >= 0 {
			was.end = at + closed + 1
		}
	}
	line, _ := was.origin().src.position(was.origin().start)
	looksFor := func(o span) bool {
		l, _ := o.src.position(o.start)
		return o.src.path == s.path && l == line
	}
	switch named := r.namedBehind(s.data[at:in.end]); {
	case told[line], slices.ContainsFunc(names.sought, looksFor):
	case m != nil:
		r.reportWhy(Warning, "old-host", was, "", "it is the default of a variable that the pipeline sets, and what everybody else gets").
			Remedy = "leave the default out, or give it what the variable has in the pipeline"
	case named > 0 && changed && names.visited[s.path] && !link.Match(before):
		r.reportWhy(Blocking, "text-left", span{s, at, at + named}, "", "the old repository is written out there")
	default:
		r.reportWhy(Warning, "old-host", was, "", "nothing is seen to make an image's name of it here")
	}
	return true
}

// namedBehind is the length of an old repository of the project at the beginning of a text, with
// the beginning of a name behind it, 0 without.
func (r *run) namedBehind(b []byte) int {
	for _, base := range r.in.Project.bases() {
		n := len(base)
		if len(b) > n+1 && string(b[:n]) == base && (b[n] == '/' || b[n] == '-') && (wordByte(b[n+1]) || b[n+1] == '$' || b[n+1] == '{') {
			return n + 2
		}
	}
	return 0
}

// kustomizeKey is the old name of an image by which kustomize finds it, in a command that gives
// it a new one.
var kustomizeKey = regexp.MustCompile(`^[\w.-]+(/[\w.-]+)*=`)

// isHelmfile says whether helmfile reads a file, or what its template becomes.
// https://helmfile.readthedocs.io/en/latest/
func isHelmfile(p string) bool {
	return strings.HasPrefix(path.Base(p), "helmfile") || path.Ext(p) == ".gotmpl"
}

// namesOther says whether the variable that is expanded at a place was seen to name
// another registry, which the files have given it.
func (r *run) namesOther(s *source, name int) bool {
	dollar := bytes.LastIndexByte(s.data[max(name-2, 0):name], '$') + max(name-2, 0)
	if dollar < 0 || !s.filled.has(dollar) { // asking for the values costs a look at everything
		return false
	}
	values := r.values()[span{s, dollar, dollar + 1}]
	return len(values) > 0 && len(values) < most && !slices.ContainsFunc(values, r.mentions)
}

// toldLines are the lines that references that stay are written on: the finding on
// such a use, or on an image of others, speaks of its definition too.
func (r *run) toldLines() map[string]map[int]bool {
	told := map[string]map[int]bool{}
	for _, u := range r.uses {
		if u.bad == "" && u.ref.own {
			continue
		}
		for i := u.ref.start; i < max(u.ref.nameEnd, u.ref.start+1); i++ {
			p := u.ref.f.t[u.ref.f.piece[i]]
			if s := p.at.src; s != nil && (i == u.ref.start || u.ref.f.piece[i] != u.ref.f.piece[i-1]) {
				if told[s.path] == nil {
					told[s.path] = map[int]bool{}
				}
				line, _ := s.position(p.at.start)
				told[s.path][line] = true
			}
		}
	}
	return told
}

// otherHost is the project's path in a registry that is written out.
var otherHost = regexp.MustCompile(`([\w-]+(?:\.[\w-]+)+(?::\d+)?)/["'\\]*\$\{?CI_PROJECT_PATH\b`)

// leftIn is the place of such text in a line, -1 without. Descriptions are for people,
// and the path in another registry is none of ours.
func (r *run) leftIn(s *source, from int, line string) int {
	if m := otherHost.FindStringSubmatch(line); m != nil && m[1] != r.in.Project.OldHost && !strings.Contains(line, "CI_REGISTRY") {
		return -1
	}
	capitals := strings.ToUpper(line)
	for _, re := range leftover {
		if !strings.Contains(capitals, re.asks) {
			continue
		}
		for _, m := range re.FindAllStringIndex(line, -1) {
			if !describes(s, from+m[0]) {
				return m[0]
			}
		}
	}
	return -1
}

// describes says whether a place lies in the value of description: in YAML, or in one of
// Terraform's for people.
func describes(s *source, offset int) bool {
	if s.described == nil {
		s.described = []span{}
		switch {
		case path.Ext(s.path) == ".tf":
			for _, m := range forPeople.FindAllIndex(s.data, -1) {
				s.described = append(s.described, span{s, m[0], m[1]})
			}
		case isYAML(s.path) && bytes.Contains(s.data, []byte("description")):
			docs, _ := s.documents()
			for _, d := range docs {
				s.describe(d, 0)
			}
		}
	}
	return inOneOf(s.described, offset)
}

// forPeople is an argument of Terraform's that describes something.
// https://developer.hashicorp.com/terraform/language/block/variable
var forPeople = regexp.MustCompile(`(?m)^[ \t]*(description|error_message)[ \t]*=[ \t]*"[^"\n]*"`)

// describe keeps the descriptions in a node of a file.
func (s *source) describe(n *yaml.Node, depth int) {
	for i, x := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "description" && x.Kind == yaml.ScalarNode {
			if ch := s.scalar(x); ch != nil {
				s.described = append(s.described, ch.span(0, len(ch.text)))
			}
		}
		if depth < maxDepth {
			s.describe(x, depth+1)
		}
	}
}

// within says whether a line is a little behind one of the others.
func within(lines []int, line int) bool {
	for _, l := range lines {
		if line > l && line < l+30 {
			return true
		}
	}
	return false
}

// prose says whether a file is for people.
func prose(p string) bool {
	switch strings.ToLower(path.Ext(p)) {
	case ".md", ".rst", ".adoc", ".txt", ".html", ".svg", ".log":
		return true
	}
	return false
}

// uncommented is a line without its comment.
func uncommented(l string) string {
	t := strings.TrimSpace(strings.TrimPrefix(l, "\ufeff"))
	if strings.HasPrefix(t, "#") || strings.HasPrefix(t, "//") || strings.HasPrefix(t, "<!--") {
		return ""
	}
	for i := 1; i < len(l); i++ {
		n := strings.IndexByte(l[i:], '#')
		if n < 0 {
			break
		}
		if i += n; blank(l[i-1]) {
			return l[:i-1]
		}
	}
	return l
}
