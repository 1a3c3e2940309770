package ciconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// dockerfile looks at the instructions that name images: FROM, COPY and ADD
// --from, RUN --mount=from, and the defaults of ARG. A Dockerfile sees no
// variable of the pipeline, only its own ARGs, so an own image in FROM becomes
// an ARG that the build gets by --build-arg.
func (r *run) dockerfile(s *source) {
	literal := bytes.Contains(s.data, []byte(r.in.Project.OldHost))
	if !literal && !bytes.ContainsRune(s.data, '$') {
		return
	}
	res := s.instructions()
	if res == nil {
		if literal {
			r.report("dockerfile-invalid", span{s, 0, 0}, "")
		}
		return
	}
	r.joinedInFrom(s, res.Children)
	first := -1
	for _, n := range res.Children {
		from, _ := s.line(s.offset(n.StartLine, 1))
		_, end := s.line(s.offset(n.EndLine, 1))
		if strings.EqualFold(n.Value, "from") && first < 0 {
			first = from
		}
		ch := whole(s, from, end)
		for _, ref := range r.references(ch.pieces(0, len(ch.text))) {
			u := &use{ref: ref, at: span{s, from, end}, command: "Dockerfile " + n.Value, role: imageRole}
			switch strings.ToLower(n.Value) {
			case "arg":
				u.overruled = n.Next != nil && r.setsArg(s, n.Next.Value)
			case "label", "run", "env":
				u.role, u.overruled = textRole, strings.EqualFold(n.Value, "label") // nothing pulls by a label
			case "from":
				if ref.own {
					r.baseArg(u, s, first)
				}
			}
			r.add(u)
		}
	}
}

// instructions are those of a Dockerfile, nil where its parser does not understand it.
func (s *source) instructions() (ast *parser.Node) {
	if s.dockerRead {
		return s.docker
	}
	s.dockerRead = true
	defer func() { // the parser is not ours
		if recover() != nil {
			ast = nil
		}
		s.docker = ast
	}()
	if res, _ := parser.Parse(bytes.NewReader(s.data)); res != nil {
		return res.AST
	}
	return nil
}

// setsArg says whether each build that is seen to read a Dockerfile gives an ARG
// another value than its default: ARG BASE=..., --build-arg BASE=...
func (r *run) setsArg(s *source, arg string) bool {
	name, _, _ := strings.Cut(arg, "=")
	reads := false
	for _, b := range r.builds {
		if !b.files[s.path] {
			continue
		}
		reads = true
		if !slices.ContainsFunc(b.cmd.args, func(a text) bool {
			return strings.HasPrefix(strings.TrimPrefix(a.String(), "--build-arg="), name+"=")
		}) {
			return false
		}
	}
	return reads
}

// build is a docker build with the Dockerfiles that it may read.
type build struct {
	cmd   *command
	after int // the word behind which flags may be put in, -1 for none
	files map[string]bool
}

// recordBuild remembers docker build commands for the Dockerfiles they read.
func (r *run) recordBuild(c *command, lits []string) {
	if lits[0] == "executor" {
		b := &build{cmd: c, after: -1, files: map[string]bool{}}
		for _, f := range kanikoFiles(lits) {
			b.files[f] = true
		}
		r.builds = append(r.builds, b)
		return
	}
	if len(lits) < 3 || (lits[0] != "docker" && lits[0] != "podman" && lits[0] != "buildah") {
		return
	}
	at := slices.IndexFunc(lits, func(l string) bool { return l == "build" || l == "bud" })
	if at < 1 || at > 2 {
		return
	}
	b := &build{cmd: c, after: at, files: map[string]bool{}}
	file, context := -1, len(lits)-1
	for i, l := range lits {
		if l == "-f" || l == "--file" {
			file = i + 1
		}
		if context == i+1 && (l == "-t" || l == "-f" || l == "--tag" || l == "--build-arg") {
			context = -1 // the context came before the flags
		}
	}
	if context < 0 || strings.HasPrefix(lits[context], "-") {
		for i := at + 1; i < len(lits); i++ {
			if !strings.HasPrefix(lits[i], "-") && (!strings.HasPrefix(lits[i-1], "-") || strings.Contains(lits[i-1], "=")) {
				context = i
			}
		}
	}
	for i, p := range c.pos {
		v := strings.TrimPrefix(c.lit(i), "${CI_PROJECT_DIR}/")
		switch {
		case file >= 0 && p == file:
			b.files[path.Clean(v)] = true
		case file < 0 && p == context:
			b.files[path.Clean(v+"/Dockerfile")] = true
		}
	}
	r.builds = append(r.builds, b)
}

// baseArg puts an own base image into an ARG and hands it over where the
// Dockerfile is built.
func (r *run) baseArg(u *use, s *source, first int) {
	ref := u.ref
	if ref.joined || ref.start == ref.end || strings.ContainsAny(u.ref.f.show(ref.start, ref.end), "$") || r.in.Project.OldHost == "" {
		return
	}
	if strings.Contains(u.at.text(), "$") || first < 0 {
		return
	}
	name := "BASE"
	for bytes.Contains(s.data, []byte(name)) {
		name += "_IMAGE"
	}
	from, ok := ref.f.at(ref.start)
	to, fine := ref.f.at(ref.end - 1)
	if !ok || !fine {
		return
	}
	value := "$CI_REGISTRY_IMAGE:"
	if p := prefixOf(ref.name()); p != "" {
		value += p + "-"
	}
	value += tagOf(u)
	if ref.digest >= 0 {
		value = "$CI_REGISTRY_IMAGE" + ref.f.show(ref.digest, ref.end)
	}
	var args []change
	for _, b := range r.builds {
		if !b.files[s.path] {
			continue
		}
		if b.after < 0 {
			return
		}
		at := b.cmd.argSpan(slices.Index(b.cmd.pos, b.after))
		if at.src == nil || !at.src.editable || strings.Contains(string(at.src.data[at.start:at.end]), "$") {
			return
		}
		c := change{span: span{at.src, at.end, at.end}, with: at.src.encoded(max(at.end-1, 0), " --build-arg "+name+`="`+value+`"`)}
		if !slices.Contains(args, c) {
			args = append(args, c)
		}
	}
	if len(args) == 0 {
		return // nobody builds it where it can be seen
	}
	// A base image does not run in the PaaS: unless each pipeline pushes this
	// very tag, ECR drops the copy within a day.
	if !slices.ContainsFunc(r.uses, func(p *use) bool {
		return p.push && p.ref.own && p.ref.name() == ref.name() && tagOf(p) == tagOf(u)
	}) {
		r.report("expires", u.place(), ref.String())
	}
	r.after = append(r.after, args...)
	r.after = append(r.after,
		change{span: span{s, first, first}, with: "ARG " + name + s.eol()},
		change{span: span{s, from.start, to.end}, with: "$" + name})
	u.settled = true
}
