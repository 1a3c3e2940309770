package ciconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// FROM is the one instruction that puts variables into an image's name: the ARGs that
// stand before it, with the values of the builds that read the Dockerfile.
// https://docs.docker.com/reference/dockerfile/#understand-how-arg-and-from-interact

// fromArgs is the command of such a use.
const fromArgs = "Dockerfile FROM by ARG"

// joinedInFrom looks at the images that FROM puts together from ARGs. The name that a build
// hands over is then no reference by itself.
func (r *run) joinedInFrom(s *source, instructions []*parser.Node) {
	defaults := map[string]*chunk{}
	for _, n := range instructions {
		from, _ := s.line(s.offset(n.StartLine, 1))
		_, end := s.line(s.offset(n.EndLine, 1))
		line := whole(s, from, end)
		switch strings.ToLower(n.Value) {
		case "arg":
			for _, name := range argNames(n) {
				if _, known := defaults[name]; !known {
					defaults[name] = nil
				}
				if i := strings.Index(line.text, name+"="); i >= 0 {
					i += len(name) + 1
					defaults[name] = line.sub(i, i+len(strings.TrimRight(firstWord(line.text[i:]), "\r\n")))
				}
			}
		case "from":
			i := strings.Index(line.text, "$")
			if i < 0 {
				continue
			}
			used := map[string]bool{}
			for _, t := range r.inFrom(s, line, defaults, used, map[string][]text{}) {
				for _, ref := range r.references(t) {
					first := t[ref.f.piece[ref.start]]
					u := &use{ref: ref, at: span{s, from, end}, command: fromArgs, role: imageRole, expands: first.at.src != s}
					if ref.own {
						r.add(u)
					}
				}
			}
			r.handedToFrom(s, used)
			r.filesToFrom(s, used)
		}
	}
}

// argNames are the names that an ARG instruction declares.
func argNames(n *parser.Node) (names []string) {
	for a := n.Next; a != nil; a = a.Next {
		name, _, _ := strings.Cut(a.Value, "=")
		names = append(names, name)
	}
	return names
}

// firstWord is a text up to the first white space.
func firstWord(s string) string {
	if i := strings.IndexAny(s, " \t\r\n"); i >= 0 {
		return s[:i]
	}
	return s
}

// inFrom are the values of a line in which FROM puts ARGs in. It notes which. Each ARG is
// looked at once; one whose default leads back to itself has no value there.
func (r *run) inFrom(s *source, line *chunk, defaults map[string]*chunk, used map[string]bool, known map[string][]text) []text {
	out, last := strand{{}}, 0
	for _, m := range laterVariable.FindAllStringSubmatchIndex(line.text, -1) {
		if m[2] < 0 && m[4] < 0 {
			continue
		}
		name := line.text[max(m[2], m[4]):max(m[3], m[5])]
		ch, declared := defaults[name]
		if !declared {
			continue
		}
		vals, seen := known[name]
		if !seen {
			known[name] = nil
			var always bool
			if vals, always = r.buildArgs(s, name); ch != nil && !always {
				vals = union(vals, r.inFrom(s, ch, defaults, map[string]bool{}, known))
			}
			known[name] = vals
		}
		used[name] = true
		out = out.with(line.pieces(last, m[0]))
		last = m[1]
		out = out.with(expanded(vals, name, line.span(m[0], m[1]), false)...)
	}
	return out.with(line.pieces(last, len(line.text)))
}

// buildArgs are the values that the builds of a Dockerfile give an ARG, and whether
// all of them give one.
func (r *run) buildArgs(s *source, name string) (vals []text, always bool) {
	vals, given := r.fileGives(s, name)
	reads := 0
	if given {
		reads = 1
	}
	always = given || !r.builtByFile(s) // by bake or compose, which take the default then
	for _, b := range r.builds {
		if !b.files[s.path] {
			continue
		}
		reads++
		given := false
		for i := range b.cmd.args {
			if v, ok := b.buildArg(i, name); ok {
				vals, given = union(vals, []text{v}), true
			} else if v := b.inherited(i, name); len(v) > 0 {
				vals, given = union(vals, v), true
			}
		}
		always = always && given
	}
	return vals, always && reads > 0
}

// buildArg is the value that a word of a build gives an ARG.
func (b *build) buildArg(i int, name string) (text, bool) {
	a := b.cmd.args[i]
	if len(a) == 0 {
		return nil, false
	}
	with := strings.TrimPrefix(a[0].text, "--build-arg=")
	if with == a[0].text && b.cmd.lits[max(b.cmd.pos[i]-1, 0)] != "--build-arg" {
		return nil, false
	}
	if rest, ok := strings.CutPrefix(with, name+"="); ok {
		n := len(a[0].text) - len(rest)
		return slices.Concat(a.part(n, n+len(rest)), a[1:]), true
	}
	return nil, false
}

// inherited are the values of a variable that a word of a build hands over by its name alone:
// --build-arg BASE.
func (b *build) inherited(i int, name string) []text {
	word := b.cmd.lit(i)
	if word != "--build-arg="+name && (word != name || b.cmd.lits[max(b.cmd.pos[i]-1, 0)] != "--build-arg") {
		return nil
	}
	vals, _ := b.sh.lookup(name)
	if len(vals) == 0 && predefined(name) {
		vals = lone(piece{hole: name, at: b.cmd.argSpan(i)})
	}
	if at := b.cmd.argSpan(i); len(vals) > 0 && at.src != nil && at.text() == word {
		at.src.mark(at.end-len(name), nil)
	}
	return vals
}

// hasBase says whether $CI_REGISTRY_IMAGE can stand in a file that hands FROM a part of its image:
// in a Dockerfile only as an ARG that all builds give a value.
func (r *run) hasBase(s *source) bool {
	if s == nil || !isDockerfile(s.path) {
		return true
	}
	_, always := r.buildArgs(s, "CI_REGISTRY_IMAGE")
	return always
}

// undeclared says whether a build hands a value to an ARG that its Dockerfile does not
// name: nothing reads it.
func (r *run) undeclared(u *use) bool {
	if u.cmd == nil {
		return false
	}
	name, _, ok := strings.Cut(strings.TrimPrefix(u.ref.f.s[:u.ref.start], "--build-arg="), "=")
	seen := false
	for _, b := range r.builds {
		if b.cmd.call != u.cmd.call {
			continue
		}
		if _, given := b.buildArg(u.index, name); !ok || !given {
			return false
		}
		for file := range b.files {
			if s := r.files[file]; s != nil {
				seen = true
				if bytes.Contains(s.data, []byte(name)) {
					return false
				}
			}
		}
	}
	return seen
}

// handedToFrom settles the names that builds hand over as ARGs which a FROM has been
// seen to complete.
func (r *run) handedToFrom(s *source, used map[string]bool) {
	for _, u := range r.uses {
		if u.cmd == nil || u.role != unclearRole || u.ref.colon >= 0 || u.ref.digest >= 0 {
			continue
		}
		for _, b := range r.builds {
			if b.cmd.call != u.cmd.call || !b.files[s.path] {
				continue
			}
			for name := range used {
				if _, ok := b.buildArg(u.index, name); ok {
					u.role, u.settled = textRole, true // FROM asks for its changes
				}
			}
		}
	}
}

// kanikoFiles are the Dockerfiles that a kaniko executor reads: it looks for the name where it
// is, and in the context.
func (sh *shell) kanikoFiles(lits []string) []string {
	file, context := "", ""
	for i, l := range lits {
		name, value, joined := strings.Cut(l, "=")
		if !joined && i+1 < len(lits) {
			value = lits[i+1]
		}
		switch name {
		case "--dockerfile", "-f":
			file = value
		case "--context", "-c":
			context = sh.inCheckout(strings.TrimPrefix(value, "dir://"))
		}
	}
	if file == "" {
		file = "Dockerfile"
	}
	return slices.Compact([]string{sh.inCheckout(file), path.Join(context, strings.TrimPrefix(file, "${CI_PROJECT_DIR}/"))})
}
