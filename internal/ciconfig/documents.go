package ciconfig

import (
	"bytes"
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// documents looks at the files that no job reads as configuration or script:
// manifests, compose files, Dockerfiles, Helm values, scripts nobody calls.
// Their variables may come from any job.
func (r *run) documents() {
	e := r.everyone()
	baked := r.bakes(e)
	var idle map[*source]bool // scripts that nobody runs, and that say nothing of images
	files := slices.Clone(r.in.Files)
	slices.SortStableFunc(files, func(f, g File) int { // what hands a Dockerfile its ARGs is read before it
		return cmp.Compare(dockerfilesLast(f), dockerfilesLast(g))
	})
	for _, f := range files {
		s := r.files[f.Path]
		mark := len(r.uses)
		r.chart(s, e)
		for _, u := range r.uses[mark:] {
			u.document, u.filled = true, true
		}
		if isSkaffold(f.Path) && r.skaffold(s, e) || r.visited[f.Path] || baked[s] || !r.mayMention(s) || isMakefile(f.Path) || scriptless(s) {
			continue
		}
		mark = len(r.uses)
		switch {
		case isDockerfile(f.Path):
			r.dockerfile(s)
		case r.quiet[s]:
		case isShell(s) && len(s.data) > maxFile:
			r.report("file-too-large", span{s, 0, 0}, "")
		case isShell(s):
			if idle == nil {
				idle = r.quiets(toolWords)
			}
			if idle[s] {
				continue
			}
			declared := len(r.functions)
			newShell(r, e).script(s.whole())
			r.uncalled(declared)
		case !otherPipeline(f.Path) && isYAML(untemplated(f.Path)) && r.manifest(s, e):
		default:
			r.plain(s, e)
		}
		if mark == len(r.uses) {
			continue
		}
		overruled := otherPipeline(f.Path) || forDevelopers[strings.TrimPrefix(path.Base(f.Path), ".")] || renovates(f.Path) || r.jibNamed && jibFiles[path.Base(f.Path)] // what people start by hand holds nothing up
		filled := isDockerfile(f.Path) || r.fills(f.Path) || r.makesUnknown && r.inMakefiles(f.Path, true)
		for _, u := range r.uses[mark:] {
			u.document, u.overruled, u.filled = true, u.overruled || overruled, u.filled || filled
		}
	}
	r.joinedInCharts()
	r.unbuilt()
}

func dockerfilesLast(f File) int {
	if isDockerfile(f.Path) {
		return 1
	}
	return 0
}

// renovates says whether a file is the configuration of Renovate, which asks registries for new
// images by itself.
// https://docs.renovatebot.com/configuration-options/
func renovates(p string) bool {
	base, _, _ := strings.Cut(strings.TrimPrefix(path.Base(p), "."), ".")
	return base == "renovate" || base == "renovaterc"
}

// forDevelopers are the files of workspaces.
var forDevelopers = map[string]bool{"devcontainer.json": true, "devfile.yaml": true, "devfile.yml": true, "gitpod.yml": true, "Vagrantfile": true}

// unbuilt leaves references in files that no job reads alone when nothing
// visible builds such an image: whoever does decides under what name.
func (r *run) unbuilt() {
	built := map[string]bool{}
	unseen := r.baked || r.buildsUnseen()
	for _, u := range r.uses {
		if u.ref.own && (u.push || u.cmd != nil && u.tags() || u.composed && r.composes) {
			name := u.ref.name()
			built[name] = true
			unseen = unseen || strings.Contains(name, "$")
		}
		if u.document && u.ref.own && r.pushedInText(u) {
			built[u.ref.name()], u.push = true, true
		}
	}
	if unseen {
		return
	}
	for _, u := range r.uses {
		if u.document && u.ref.own && u.ref.sep >= 0 && !u.settled && !built[u.ref.name()] && !r.handsBase(u) {
			u.bad = "unseen-builder"
		}
	}
}

// pushedInText says whether a command that pushes the image stands before it in the text of a
// program, or of a task runner: there it is that it gets its name.
func (r *run) pushedInText(u *use) bool {
	p := u.at.path()
	return (program(p) || tasks(p)) && pushingText.MatchString(u.ref.f.s[max(u.ref.start-maxCommand, 0):u.ref.start])
}

// maxCommand bounds how far before an image its command is looked for.
const maxCommand = 1000

// pushingText is the beginning of a command that pushes an image.
var pushingText = regexp.MustCompile(`\b(docker|podman|nerdctl|buildah)\b[^;&|]*\s(push\s|--push\b[^;&|]*\s)[^;&|]*$`)

// handsToTasks says whether a job runs a file of tasks, whose commands get the variables of its
// environment. Earthly's get its own alone.
func (r *run) handsToTasks(p string) bool {
	return r.runsTasks && tasks(p) && !strings.HasPrefix(strings.ToLower(path.Base(p)), "earth")
}

// handsBase says whether a job hands a Dockerfile the name of a base image, which stands in its
// script or in the CI file: it is one of the job's own uses then.
func (r *run) handsBase(u *use) bool {
	at, ok := u.ref.f.at(u.ref.sep)
	return ok && isDockerfile(u.at.path()) && at.src != u.at.src && r.visited[at.src.path]
}

// mayMention is the cheap test: does the file name the registry, a variable
// that leads to it, or a variable at all in the place of an image?
func (r *run) mayMention(s *source) bool {
	return bytes.ContainsRune(s.data, '$') || bytes.Contains(s.data, []byte("CI_REGISTRY")) || bytes.Contains(s.data, []byte(r.in.Project.OldHost)) || bytes.Contains(s.data, []byte(r.in.Project.Path+"/")) || isDockerfile(s.path) || isHCL(s.path)
}

// otherPipeline says whether a file is of another system for pipelines, which has none of
// GitLab's variables.
func otherPipeline(p string) bool {
	base := path.Base(p)
	return strings.HasPrefix(base, "Jenkinsfile") || path.Ext(p) == ".groovy" || base == ".travis.yml" || base == ".drone.yml" ||
		base == "azure-pipelines.yml" || base == "bitbucket-pipelines.yml" || strings.HasPrefix(p, ".github/") || strings.HasPrefix(p, ".circleci/")
}

func isYAML(p string) bool {
	ext := path.Ext(p)
	return ext == ".yml" || ext == ".yaml"
}

// untemplated is the path of what a template becomes: values.yaml.tpl.
func untemplated(p string) string {
	switch ext := path.Ext(p); ext {
	case ".tpl", ".tmpl", ".template", ".in":
		return strings.TrimSuffix(p, ext)
	}
	return p
}

func isDockerfile(p string) bool {
	b := strings.ToLower(path.Base(p))
	return strings.HasPrefix(b, "dockerfile") || strings.HasPrefix(b, "containerfile") || strings.HasSuffix(b, ".dockerfile") || strings.HasSuffix(b, ".containerfile")
}

// everyone is an environment with all values that any job gives a variable, or
// where none does, that a script assigns.
func (r *run) everyone() *env {
	e := &env{cfg: r.cfg, settings: r.in.Project.Variables, cache: map[string][]text{}, assigned: maps.Clone(r.assigned)}
	r.each(func() {
		if r.cfg.root != nil {
			e.jobs = append(e.jobs, r.cfg.env(nil))
		}
		for _, j := range r.cfg.jobs() {
			e.jobs = append(e.jobs, r.cfg.env(j.tree))
		}
	})
	return e
}

// anywhere are the values of a variable in all jobs.
func (e *env) anywhere(name string) []text {
	var out []text
	for _, one := range e.jobs {
		if len(one.defs[name]) > 0 {
			v, _ := one.lookup(name)
			out = union(out, v)
		} else if predefined(name) {
			out = union(out, []text{{piece{hole: name}}})
		}
	}
	if len(out) == 0 {
		out = e.assigned[name]
	}
	return out
}

// manifest looks at every scalar of a YAML file. It returns false when the
// file is no YAML, such as a template of Helm.
func (r *run) manifest(s *source, e *env) bool {
	docs, err := s.documents()
	if err != nil {
		return false
	}
	compose := isCompose(s.path, docs)
	d := &document{src: s}
	substituted := compose || (namesVariables(s.data) || r.fills(s.path)) && !r.synced(s.path) && !slices.ContainsFunc(docs, updates)
	var applied []applying
	if !substituted {
		applied = r.appliedBy(s)
	}
	seen, builds := map[*yaml.Node]bool{}, map[*yaml.Node]string{}
	args := map[*yaml.Node][]handedArg{}
	given := map[*yaml.Node]bool{} // to containers
	for _, n := range docs {
		containerVariables(n, given, 0)
	}
	if compose {
		for _, n := range docs {
			maps.Copy(args, r.composeArgs(s, e, n))
			composedImages(n, "", builds, r.builtBeside(s.path), r.baked, 0)
		}
	}
	later := map[*yaml.Node]bool{} // images that a command sets afterwards
	before := len(r.uses)
	var manifest *yaml.Node
	var walk func(n *yaml.Node, key string, depth int)
	walk = func(n *yaml.Node, key string, depth int) {
		if n == nil || depth > maxDepth || seen[n] {
			return
		}
		seen[n] = true
		switch n.Kind {
		case yaml.MappingNode:
			r.parted(s, e, n)
			if set := r.setByFlags(s, n); set != nil {
				seen[set] = true
			} else if !seen[child(n, "newName")] {
				if first := r.paired(s, e, n, substituted); first != nil {
					seen[first] = true
				}
			}
			later[child(n, "image")] = r.setLater(manifest, n)
			for i := 0; i+1 < len(n.Content); i += 2 {
				walk(n.Content[i+1], n.Content[i].Value, depth+1)
			}
		case yaml.ScalarNode:
			if !strings.Contains(n.Value, "$") && !strings.Contains(n.Value, r.in.Project.OldHost) {
				return
			}
			ch := s.scalar(n)
			if ch == nil {
				return
			}
			values := e.interpolate(ch, d)
			readers := r.filledWith(ch)
			if compose {
				readers = r.composedWith(ch)
				values = withoutGiven(values, readers)
			}
			for _, env := range readers {
				values = union(values, env.interpolate(ch, d))
			}
			service, built := builds[n]
			if built {
				r.composedServices = append(r.composedServices, composeService{service, ch, d})
			}
			for _, a := range args[n] {
				a.at = ch.span(0, len(ch.text))
				for _, v := range values {
					a.vals = append(a.vals, v.after(a.from))
				}
				r.handed = append(r.handed, a)
			}
			if key == "image" && len(values) == 1 {
				values = r.withSedTags(s, ch.span(0, len(ch.text)), values[0])
			}
			for _, v := range values {
				if key == "image" && !built {
					r.unseen = append(r.unseen, unseenIn(ch.span(0, len(ch.text)), v)...)
				}
				for _, ref := range r.references(v) {
					by := r.replaced(key, s, ref)
					if key == "image" && (by.all || ref.own && r.replacedBySed(s, ch.span(0, len(ch.text)))) {
						r.report("name-replaced", ch.span(0, len(ch.text)), ref.String())
						continue
					}
					u := &use{ref: ref, at: ch.span(0, len(ch.text)), command: "manifest", role: unclearRole, expands: substituted && !by.some, composed: built, overruled: later[n] || by.built}
					if ref.own && !compose && len(docs) == 1 {
						u.value, _ = r.valuesPath(docs[0], n)
						u.overruled = u.overruled || r.setByAll(s, u.value)
					}
					switch {
					case compose && composedCache[key]:
						u.command, u.role = "cache of compose", imageRole
					case ref.colon < 0 && ref.digest < 0 && (slices.ContainsFunc(args[n], r.completes) || given[n] && r.fills(s.path)):
					case key == "image" || compose:
						u.role = imageRole
						u.takes(applied)
					case key == "repository" || key == "newName" || key == "registry":
						u.role = repositoryRole
					}
					u.given = u.role == unclearRole && (given[n] || slices.ContainsFunc(args[n], r.completes))
					r.add(u)
					if compose && composedCache[key] && strings.HasSuffix(key, "to") && r.composes && ref.own && !ref.host {
						r.report("registry-cache", u.place(), ref.String())
					}
				}
			}
		default:
			for _, c := range n.Content {
				walk(c, key, depth+1)
			}
		}
	}
	for _, n := range docs {
		if isKustomization(s.path) {
			for _, key := range r.keys(s, n) {
				seen[key] = true
			}
		}
		manifest = n
		walk(n, "", 0)
	}
	if isKustomization(s.path) {
		for _, u := range r.uses[before:] {
			u.overruled = u.overruled || u.ref.own && r.keySetLater(s.path, u.ref.f.show(u.ref.start, u.ref.nameEnd))
		}
	}
	return true
}

// updates says whether a document has Flux look for new images: it reads the names of
// repositories, and a dollar sign there is that of a pattern.
// https://fluxcd.io/flux/components/image/imagepolicies/
func updates(n *yaml.Node) bool {
	api := child(n, "apiVersion")
	return api != nil && strings.HasPrefix(api.Value, "image.toolkit.fluxcd.io/")
}

// parted looks at an image whose registry and repository are apart, as in the
// values of many Helm charts, where the registry may stand in another place. The chart joins them, so a name in it cannot be
// moved to the tag with certainty.
func (r *run) parted(s *source, e *env, n *yaml.Node) {
	registry, repository := child(n, "registry"), child(n, "repository")
	if repository == nil || repository.Kind != yaml.ScalarNode || registry != nil && registry.Kind != yaml.ScalarNode {
		return
	}
	name := s.scalar(repository)
	if name == nil {
		return
	}
	d := &document{src: s}
	hosts := []text{{{text: r.in.Project.OldHost}}} // for the whole chart: global.imageRegistry
	if registry != nil {
		host := s.scalar(registry)
		if host == nil {
			return
		}
		hosts = e.interpolate(host, d)
	} else if !strings.HasPrefix(name.text, r.in.Project.Path+"/") || len(r.helmsOf(s)) == 0 {
		return
	}
	values := product(product(hosts, []text{{{text: "/"}}}), e.interpolate(name, d))
	if tag := child(n, "tag"); tag != nil && tag.Kind == yaml.ScalarNode && tag.Value != "" {
		if ch := s.scalar(tag); ch != nil { // a finding should name what is deployed
			values = product(product(values, []text{{{text: ":"}}}), e.interpolate(ch, d))
		}
	}
	for _, v := range values {
		for _, ref := range r.references(v) {
			if ref.host || ref.start > 0 || ref.own && ref.sep < 0 && !ref.joined {
				continue
			}
			u := &use{ref: ref, at: name.span(0, len(name.text)), command: "values", role: repositoryRole, expands: true}
			if ref.own {
				u.bad = "tag-elsewhere"
			}
			r.add(u)
		}
	}
}

func isCompose(p string, docs []*yaml.Node) bool {
	if strings.Contains(path.Base(p), "compose") {
		return true
	}
	return len(docs) == 1 && child(docs[0], "services") != nil && child(docs[0], "kind") == nil
}

// interpolate evaluates a string with the shell's ${NAME:-default} forms, as
// envsubst, compose and deploy do.
func (e *env) interpolate(ch *chunk, d *document) []text {
	if !strings.Contains(ch.text, "${") {
		return e.expand(ch, d)
	}
	out := []text{{}}
	last := 0
	for i := 0; i < len(ch.text); i++ {
		if ch.text[i] != '$' {
			continue
		}
		name, op, from, to, end := braced(ch.text, i)
		if end == 0 {
			continue
		}
		out = product(out, e.expand(ch.sub(last, i), d))
		last = end
		at := ch.span(i, end)
		vals, ok := e.lookup(name)
		word := func() []text {
			w := e.interpolate(ch.sub(from, to), d)
			for k := range w {
				w[k] = w[k].through(at, false)
			}
			return w
		}
		switch {
		case op == "+" && (predefined(name) || ok):
			out = product(out, word())
		case op == "+":
			out = product(out, union(word(), []text{{}}))
		case op == "-" && !predefined(name) && !ok:
			out = product(out, union(expanded(nil, name, at, false), word()))
		default:
			out = product(out, expanded(vals, name, at, false))
		}
		i = end - 1
	}
	return product(out, e.expand(ch.sub(last, len(ch.text)), d))
}

// braced reads ${name:-word} at i; end is 0 when there is no such expansion.
func braced(s string, i int) (name, op string, from, to, end int) {
	if !strings.HasPrefix(s[i:], "${") {
		return
	}
	k := i + 2
	for k < len(s) && (s[k] == '_' || s[k] >= '0' && s[k] <= '9' || s[k] >= 'a' && s[k] <= 'z' || s[k] >= 'A' && s[k] <= 'Z') {
		k++
	}
	name = s[i+2 : k]
	if k < len(s) && s[k] == ':' {
		k++
	}
	if name == "" || k >= len(s) || !strings.ContainsRune("-+?", rune(s[k])) {
		return "", "", 0, 0, 0
	}
	op = string(s[k])
	from = k + 1
	depth := 1
	for k = from; k < len(s); k++ {
		switch s[k] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return name, op, from, k, k + 1
			}
		}
	}
	return "", "", 0, 0, 0
}

// scanText looks at script text that no shell parser understands.
func (r *run) scanText(sh *shell, ch *chunk) {
	for _, v := range sh.env.interpolate(ch, nil) {
		for _, ref := range r.references(v) {
			if at, ok := ref.f.at(ref.start); ok && commented(at) {
				continue
			}
			r.add(&use{ref: ref, at: ch.span(0, len(ch.text)), command: "text", role: unclearRole, expands: true})
		}
	}
}

// commented says whether a place lies in the comment of a line.
func commented(at span) bool {
	from, to := at.src.line(at.start)
	return at.start >= from+len(uncommented(string(at.src.data[from:to])))
}
