package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
	"go.yaml.in/yaml/v3"
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
	sh    *shell // with the variables that it has then
	job   *job
	after int // the word behind which flags may be put in
	files map[string]bool
}

// recordBuild remembers docker build commands for the Dockerfiles they read.
func (r *run) recordBuild(sh *shell, c *command, lits []string) {
	if lits[0] == "executor" {
		b := &build{cmd: c, sh: sh.clone(), job: r.now, files: map[string]bool{}}
		for _, f := range sh.kanikoFiles(lits) {
			b.files[f] = true
		}
		r.builds = append(r.builds, b)
		return
	}
	if len(lits) < 3 || !slices.Contains([]string{"docker", "podman", "nerdctl", "buildah"}, lits[0]) {
		return
	}
	at := slices.IndexFunc(lits, func(l string) bool { return l == "build" || l == "bud" })
	if at < 1 || at > 2 {
		return
	}
	b := &build{cmd: c, sh: sh.clone(), job: r.now, after: at, files: map[string]bool{}}
	file, context := -1, len(lits)-1
	for i, l := range lits {
		if l == "-f" || l == "--file" {
			file = i + 1
		} else if strings.HasPrefix(l, "--file=") {
			file = i
		}
		if context == i+1 && !c.ofArray(i) && (l == "-t" || l == "-f" || l == "--tag" || l == "--build-arg") {
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
		v := sh.inCheckout(strings.TrimPrefix(c.lit(i), "--file="))
		switch {
		case file >= 0 && p == file:
			b.files[v] = true
		case file < 0 && p == context:
			b.files[path.Join(v, "Dockerfile")] = true
		}
	}
	r.builds = append(r.builds, b)
}

// ofArray says whether a word of a command is an element of an array, which has the value of a
// flag with it.
func (c *command) ofArray(at int) bool {
	i := slices.Index(c.pos, at)
	return i >= 0 && isArray(c.words[i])
}

// mayRead says whether a build whose folder a variable names may be that of a Dockerfile. One of
// a job that goes through a folder of several is.
func (b *build) mayRead(dockerfile string) (may, is bool) {
	for file := range b.files {
		dir, _, open := strings.Cut(file, "$")
		if open && strings.HasPrefix(dockerfile, dir) && path.Base(file) == path.Base(dockerfile) {
			may, is = true, is || b.job != nil && strings.Contains(dir, "/")
		}
	}
	return may, is
}

// inCheckout is a path that a command names, as seen from the checkout.
func (sh *shell) inCheckout(p string) string {
	if rest, ok := strings.CutPrefix(p+"/", "${CI_PROJECT_DIR}/"); ok {
		return path.Join(".", rest)
	}
	if path.IsAbs(p) || strings.HasPrefix(p, "$") {
		return path.Clean(p)
	}
	return path.Join(sh.dir, p)
}

// forHands says whether a place is in a Dockerfile that people build and no job does, as far
// as the builds show which files they read.
func (r *run) forHands(at span) bool {
	p := at.path()
	if !isDockerfile(p) || len(r.builds) == 0 || r.composes || r.baked || r.skaffolds || r.makesUnknown {
		return false
	}
	return !slices.ContainsFunc(r.builds, func(b *build) bool {
		files := sortedKeys(b.files) // of kaniko's, those that it would take
		there := slices.ContainsFunc(files, func(f string) bool { return r.files[f] != nil })
		return len(files) == 0 || slices.ContainsFunc(files, func(f string) bool {
			return f == p || strings.Contains(f, "$") || !there && path.Base(f) == path.Base(p) // below a folder that a script has gone to
		})
	})
}

// baseUse is an own base image that a Dockerfile writes out.
type baseUse struct {
	*use
	file  *source
	first int    // where the first FROM stands
	at    []span // the words of its builds behind which the flag goes
	jobs  []*job // that build
}

// baseArg settles an own base image that is going to be an ARG: where its Dockerfile is seen
// to be built, the builds hand it over.
func (r *run) baseArg(u *use, s *source, first int) {
	ref := u.ref
	if ref.joined || ref.start == ref.end || strings.ContainsAny(u.ref.f.show(ref.start, ref.end), "$") || r.in.Project.OldHost == "" {
		return
	}
	if strings.Contains(u.at.text(), "$") || first < 0 || r.builtByFile(s) {
		return
	}
	b := baseUse{use: u, file: s, first: first}
	for _, x := range r.builds {
		may, is := x.mayRead(s.path)
		if is = is || x.files[s.path]; !is && !may { // who does not know the ARG goes on without it
			continue
		}
		word := x.cmd.argSpan(slices.Index(x.cmd.pos, x.after))
		if word.src == nil || !word.src.editable || strings.Contains(string(word.src.data[word.start:word.end]), "$") {
			return
		}
		if !slices.Contains(b.at, word) {
			b.at = append(b.at, word)
		}
		if is {
			b.jobs = append(b.jobs, x.job)
		}
	}
	if len(b.jobs) == 0 {
		return // nobody builds it where it can be seen
	}
	u.settled = true
	r.baseUses = append(r.baseUses, b)
}

// builtByFile says whether a job builds by bake or compose, and one of their files names the
// folder of a Dockerfile, or its own: no flag of a command hands it a base image there.
func (r *run) builtByFile(dockerfile *source) bool {
	name := path.Base(path.Dir(dockerfile.path))
	top := name == "." && path.Base(dockerfile.path) == "Dockerfile"
	if name == "." {
		name = path.Base(dockerfile.path)
	}
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		switch {
		case r.baked && path.Ext(f.Path) == ".hcl":
			return top || bytes.Contains(f.Content, []byte(name))
		case r.composeBuilds && strings.Contains(path.Base(f.Path), "compose"):
			return bytes.Contains(f.Content, []byte(name)) || top && r.files[f.Path].buildsHere()
		}
		return false
	})
}

// buildsHere says whether a file of compose has a service that is built in the file's folder.
func (s *source) buildsHere() bool {
	docs, err := s.documents()
	if err != nil {
		return false
	}
	here := func(n *yaml.Node) bool {
		n = deref(n)
		return n != nil && n.Kind == yaml.ScalarNode && path.Clean(n.Value) == "."
	}
	return slices.ContainsFunc(docs, func(d *yaml.Node) bool {
		return slices.ContainsFunc(entries(child(d, "services"), 0), func(e entry) bool {
			build := deref(child(e.value, "build"))
			return here(build) || here(child(build, "context"))
		})
	})
}

// baseArgs puts base images into ARGs and hands them over where the Dockerfiles are built,
// under the tags that the pipeline pushes now.
func (r *run) baseArgs() {
	for _, b := range r.baseUses {
		ref := b.ref
		from, ok := ref.f.at(ref.start)
		to, fine := ref.f.at(ref.end - 1)
		if !ok || !fine {
			continue
		}
		tag, pushed := r.tagNow(b)
		if !pushed { // it does not run in the PaaS: ECR drops the copy within a day
			r.report("expires", b.place(), ref.String())
		}
		value := "$CI_REGISTRY_IMAGE:"
		if p := prefixOf(ref.name()); p != "" {
			value += p + "-"
		}
		value += tag
		if ref.digest >= 0 {
			value = "$CI_REGISTRY_IMAGE" + ref.f.show(ref.digest, ref.end)
		}
		name, known := r.baseName(b, value)
		for _, word := range b.at {
			if !slices.Contains(r.bases, base{b.file, word, name, value}) {
				r.insert(span{word.src, word.end, word.end}, word.src.encoded(max(word.end-1, 0), " --build-arg "+name+`="`+value+`"`))
				r.bases = append(r.bases, base{b.file, word, name, value})
			}
		}
		if !known {
			r.insert(span{b.file, b.first, b.first}, "ARG "+name+b.file.eol())
		}
		r.after = append(r.after, change{span: span{b.file, from.start, to.end}, with: "$" + name})
	}
}

// tagNow is the tag of a base image after those that move are gone, and says whether each
// pipeline that builds upon it pushes it.
func (r *run) tagNow(b baseUse) (tag string, pushed bool) {
	gone := r.gone()
	var pushes []*use
	tag = tagOf(b.use)
	for _, p := range r.uses {
		if !p.push || !p.ref.own || p.ref.name() != b.ref.name() || tagOf(p) != tag {
			continue
		}
		switch {
		case gone[p]:
			for _, s := range r.uses {
				if with, ok := s.tagSource(); ok && !gone[s] && s.push && s.ref.own && s.ref.name() == b.ref.name() && (s.stability() == uniqueTag || s.retagged != "") && r.dependable([]*use{s}, &use{job: b.jobs[0]}) {
					return with, !slices.ContainsFunc(b.jobs, func(j *job) bool { return r.missed([]*use{s}, &use{ref: b.ref, job: j}) })
				}
			}
		case p.gitTagged:
			return "${CI_COMMIT_TAG:-" + p.retagged + "}", !slices.ContainsFunc(b.jobs, func(j *job) bool { return r.missed([]*use{p}, &use{ref: b.ref, job: j}) })
		case p.retagged != "":
			tag = p.retagged
		}
		pushes = append(pushes, p)
	}
	return tag, len(pushes) > 0 && !slices.ContainsFunc(b.jobs, func(j *job) bool {
		u := &use{ref: b.ref, job: j}
		return !r.dependable(pushes, u) || r.missed(pushes, u)
	})
}

// insert puts text in at a place, behind what is put in there already.
func (r *run) insert(at span, text string) {
	for i := range r.after {
		if c := &r.after[i]; c.span == at {
			c.with += text
			return
		}
	}
	r.after = append(r.after, change{span: at, with: text})
}

// base is a base image that a build hands to a Dockerfile.
type base struct {
	file        *source
	at          span // the word of the build behind which it stands
	name, value string
}

// baseName is the ARG for a base image, and says whether the Dockerfile has it already. One
// build may hand over several, and one line may build several Dockerfiles.
func (r *run) baseName(u baseUse, value string) (name string, known bool) {
	name = "BASE"
	for bytes.Contains(u.file.data, []byte(name)) || slices.ContainsFunc(r.bases, func(b base) bool {
		return b.name == name && b.value != value && (b.file == u.file || slices.Contains(u.at, b.at))
	}) {
		if image := u.ref.name(); name == "BASE" && image != "" {
			name += strings.ToUpper(notInName.ReplaceAllString("_"+image, "_"))
			continue
		}
		name += "_IMAGE"
	}
	return name, slices.ContainsFunc(r.bases, func(b base) bool { return b.file == u.file && b.name == name })
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9]+`)
