package ciconfig

import (
	"crypto/sha256"
	"regexp"
	"slices"
	"strings"
)

// role says what a missing tag means where a reference stands.
type role int

const (
	imageRole      role = iota // a missing tag is latest
	repositoryRole             // a repository: tag or path follow elsewhere
	textRole                   // printed or written down: nothing follows
	listRole                   // what a machine has under a name: a missing tag is each of them
	unclearRole                // nobody knows what reads it
)

// reference is an image reference inside an evaluated text. The numbers index
// the flattened text.
type reference struct {
	f              *flat
	start, base    int // the base is f.s[start:base]
	sep            int // separator before the name, -1 without a name
	nameEnd        int
	colon          int // -1 without a tag
	tagEnd         int
	digest         int // the @, -1 without
	end            int
	own            bool
	host           bool   // only the host is named
	project        string // the other project, when known
	joined         bool   // something unknown follows the base without a separator
	open           bool   // something that another program fills in follows the name: p{}
	baseIsVariable bool   // $CI_REGISTRY_IMAGE
}

// flat is a text as one string, holes as one byte each, predefined variables
// put in, and for each byte the piece that it comes from.
type flat struct {
	t     text
	s     string
	piece []int32
	off   []int32 // offset inside the piece, -1 for a put-in variable
	id    string  // see key
}

// key identifies the text with its origin.
func (f *flat) key() string {
	if f.id == "" {
		f.id = f.t.key()
		if len(f.id) > sha256.Size*8 { // each reference in it asks
			sum := sha256.Sum256([]byte(f.id))
			f.id = string(sum[:])
		}
	}
	return f.id
}

// gap stands for a hole in a flattened text.
const gap = '\x01'

func (r *run) flatten(t text) *flat {
	f := &flat{t: t}
	shown := func(p *piece) string {
		if p.hole != "" {
			return r.put(p.hole)
		}
		return p.text
	}
	n := 0
	for i := range t {
		n += len(shown(&t[i]))
	}
	numbers := make([]int32, 2*n) // one piece of memory for both lists
	f.piece, f.off = numbers[:0:n], numbers[n:n]
	var b strings.Builder
	b.Grow(n)
	for i := range t {
		s := shown(&t[i])
		b.WriteString(s)
		for k := range len(s) {
			f.piece = append(f.piece, int32(i))
			if t[i].hole != "" {
				k = -1
			}
			f.off = append(f.off, int32(k))
		}
	}
	f.s = b.String()
	return f
}

// put is what stands for a variable in a flattened text.
func (r *run) put(name string) string {
	p := r.in.Project
	switch name {
	case "CI_REGISTRY_IMAGE":
		return p.OldHost + "/" + strings.ToLower(p.Path)
	case "CI_REGISTRY":
		return p.OldHost
	case "CI_PROJECT_PATH":
		return p.Path
	case "CI_PROJECT_NAME":
		return p.Path[strings.LastIndexByte(p.Path, '/')+1:]
	case "CI_PROJECT_NAMESPACE":
		return p.Path[:max(strings.LastIndexByte(p.Path, '/'), 0)]
	case "CI_PROJECT_ROOT_NAMESPACE":
		root, _, _ := strings.Cut(p.Path, "/")
		return root
	}
	return string(gap)
}

// mentions says whether a text may name the old registry; it is the cheap test.
func (r *run) mentions(t text) bool {
	for i := range t {
		p := &t[i]
		if p.hole == "CI_REGISTRY_IMAGE" || p.hole == "CI_REGISTRY" || p.text != "" && strings.Contains(p.text, r.in.Project.OldHost) {
			return true
		}
	}
	return false
}

func nameByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '.' || c == '_' || c == '-' || c == gap
}

// references finds the references to the old registry in a text.
func (r *run) references(t text) []*reference {
	if !r.mentions(t) {
		return nil
	}
	f := r.flatten(t)
	host := r.in.Project.OldHost
	var out []*reference
	for at := 0; ; {
		i := strings.Index(f.s[at:], host)
		if i < 0 {
			return out
		}
		i += at
		at = i + len(host)
		if i > 0 && nameByte(f.s[i-1]) && f.s[i-1] != gap && !foundBefore.MatchString(f.s[:i]) {
			continue
		}
		ref := r.parse(f, i, at)
		if ref == nil {
			continue
		}
		out = append(out, ref)
		at = max(at, ref.end)
	}
}

// foundBefore is what sed puts in out of what it has found: s|\(image: \).*|\1$IMAGE|.
var foundBefore = regexp.MustCompile(`\\[1-9]$`)

// portOf is a port behind the registry's name: the default one, which names the
// same registry.
var portOf = regexp.MustCompile(`^:443`)

// parse reads the reference that begins at start; hostEnd is the end of the host.
func (r *run) parse(f *flat, start, hostEnd int) *reference {
	s := f.s
	ref := &reference{f: f, start: start, base: hostEnd, sep: -1, colon: -1, digest: -1, nameEnd: hostEnd, tagEnd: hostEnd, end: hostEnd}
	port := len(portOf.FindString(s[hostEnd:]))
	hostEnd += port
	ref.base, ref.nameEnd, ref.tagEnd, ref.end = hostEnd, hostEnd, hostEnd, hostEnd
	if hostEnd >= len(s) || s[hostEnd] != '/' {
		if hostEnd < len(s) && (nameByte(s[hostEnd])) {
			return nil
		}
		ref.host = true
		return ref
	}
	end := hostEnd
	for end < len(s) && (s[end] == '/' || nameByte(s[end])) {
		end++
	}
	repoEnd := end
	if strings.Trim(s[hostEnd:repoEnd], "/") == "" { // https://$CI_REGISTRY/: an address, no image
		ref.host = true
		return ref
	}
	ref.nameEnd, ref.tagEnd, ref.end = repoEnd, repoEnd, repoEnd
	if end < len(s) && s[end] == ':' {
		ref.colon = end
		end++
		for end < len(s) && nameByte(s[end]) {
			end++
		}
		ref.tagEnd, ref.end = end, end
	}
	if end < len(s) && s[end] == '@' {
		ref.digest = end
		end++
		for end < len(s) && (nameByte(s[end]) || s[end] == ':') {
			end++
		}
		ref.end = end
	}
	ref.open = ref.end < len(s) && (strings.IndexByte("{%<", s[ref.end]) >= 0 && !strings.HasPrefix(s[ref.end:], "</") || ref.colon >= 0 && strings.IndexByte("#$", s[ref.end]) >= 0) || f.t[f.piece[ref.end-1]].colon
	r.own(ref, s[start:hostEnd-port]+s[hostEnd:repoEnd])
	if !ref.own && ref.colon < 0 && ref.digest < 0 && r.group(s[start:hostEnd-port]+s[hostEnd:repoEnd]) {
		ref.host = true
		return ref
	}
	if port > 0 && ref.own {
		ref.base += port
		if ref.sep >= 0 {
			ref.sep += port
		}
	}
	if ref.own && ref.sep < 0 && (ref.base < repoEnd || ref.colon < 0 && encodedSlash.MatchString(s[ref.end:])) {
		ref.joined = true
	}
	p := f.t[f.piece[start]]
	ref.baseIsVariable = p.hole == "CI_REGISTRY_IMAGE" && f.piece[ref.base-1] == f.piece[start]
	return ref
}

// encodedSlash is the slash before a name as an address has it.
// https://www.rfc-editor.org/rfc/rfc3986#section-2.1
var encodedSlash = regexp.MustCompile(`^%2[Ff]`)

// bases are what the project's images begin with in the old registry. The registry has the
// path of a project in lower case.
// https://docs.gitlab.com/user/packages/container_registry/#naming-convention-for-your-container-images
func (p Project) bases() []string {
	out := append([]string{p.OldHost + "/" + p.Path}, p.OldBases...)
	if lower := p.OldHost + "/" + strings.ToLower(p.Path); lower != out[0] {
		out = append(out, lower)
	}
	return out
}

// group says whether a path in the old registry leads to the project and cannot be an
// image itself.
func (r *run) group(path string) bool {
	for _, b := range r.in.Project.bases() {
		if strings.HasPrefix(b, strings.TrimSuffix(path, "/")+"/") {
			return true
		}
	}
	return false
}

// own decides whether the repository is this project's, and where its name
// begins. The longest base wins.
func (r *run) own(ref *reference, repository string) {
	host := r.in.Project.OldHost
	bases := r.in.Project.bases()
	slices.SortFunc(bases, func(a, b string) int { return len(b) - len(a) })
	variable := ref.f.t[ref.f.piece[ref.start]].hole == "CI_REGISTRY_IMAGE"
	if r.in.Owner != nil && !variable && !strings.ContainsRune(repository, gap) {
		project, name, ok := r.in.Owner(strings.TrimPrefix(repository, host+"/"))
		if ok && !strings.EqualFold(project, r.in.Project.Path) {
			ref.project = project
			return
		}
		if ok && (name == "" || strings.HasSuffix(repository, name)) {
			ref.named(len(repository)-len(name), name != "")
			return
		}
	}
	for _, b := range bases {
		rest, ok := strings.CutPrefix(repository, b)
		if !ok {
			continue
		}
		if rest == "" {
			ref.named(len(b), false)
			return
		}
		if rest[0] == '/' || rest[0] == '-' {
			if len(rest) == 1 { // "base/" with nothing behind: a prefix for names
				ref.own, ref.base, ref.joined = true, ref.start+len(b), true
				return
			}
			ref.named(len(b)+1, true)
			return
		}
		if rest[0] == gap || variable {
			ref.own, ref.base, ref.joined = true, ref.start+len(b), true
			return
		}
	}
}

// named marks the reference as the project's, its name starting n bytes in.
func (ref *reference) named(n int, has bool) {
	ref.own = true
	ref.base = ref.start + n
	if has {
		ref.base = ref.start + n - 1
		ref.sep = ref.base
	}
}

func (ref *reference) name() string {
	if ref.sep < 0 {
		return ""
	}
	return ref.f.show(ref.sep+1, ref.nameEnd)
}

func (ref *reference) tag() string {
	if ref.colon < 0 {
		return ""
	}
	return ref.f.show(ref.colon+1, ref.tagEnd)
}

// String is the reference with the registry's name put in and other variables
// as they are.
func (ref *reference) String() string {
	s := ref.f.show(ref.start, ref.end)
	if ref.colon < 0 && ref.digest < 0 && !ref.host {
		s += ":latest"
	}
	return s
}

// show is a part of the text with its holes as variables.
func (f *flat) show(i, j int) string {
	if strings.IndexByte(f.s[i:j], gap) < 0 {
		return f.s[i:j]
	}
	var b strings.Builder
	b.Grow(j - i + 32) // most have one variable
	for k := i; k < j; k++ {
		if f.s[k] != gap {
			b.WriteByte(f.s[k])
			continue
		}
		if h := f.t[f.piece[k]].hole; h == unknown {
			b.WriteString("$(…)")
		} else {
			b.WriteString("${" + h + "}")
		}
	}
	return b.String()
}

// at is where byte i of the text is written; ok is false when the byte has no
// place of its own.
func (f *flat) at(i int) (s span, ok bool) {
	p := f.t[f.piece[i]]
	if f.off[i] < 0 || !p.exact() {
		return p.at, f.off[i] >= 0 && p.at.src != nil && (p.at.text() == `\`+p.text || len(p.text) == 1 && escaped.MatchString(p.at.text()))
	}
	k := p.at.start + int(f.off[i])
	return span{p.at.src, k, k + 1}, true
}

// escaped is a character that YAML writes by its number.
// https://yaml.org/spec/1.2.2/#57-escaped-characters
var escaped = regexp.MustCompile(`^\\(x|u00|U000000)[0-9a-fA-F]{2}$`)

// via is the chain of expansions that byte i came through.
func (f *flat) via(i int) []span { return f.t[f.piece[i]].via }

// above says whether the chain a is the beginning of b: what came through a was
// written where b is expanded, or around it.
func above(a, b []span) bool {
	return len(a) <= len(b) && slices.Equal(a, b[:len(a)])
}

// untagged says whether the name is of a reference whose tag was taken away.
func (ref *reference) untagged() bool { return ref.f.t[ref.f.piece[ref.sep]].untagged }
