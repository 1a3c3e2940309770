package ciconfig

import (
	"bytes"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pushedByCompose says whether a use is the image of a service that a compose
// file builds and a job pushes with it: compose pushes no other. The default of
// a variable that every pipeline sets is for developers.
// https://docs.docker.com/reference/cli/docker/compose/push/
func (r *run) pushedByCompose(u *use) bool {
	if !r.pushesComposed || !u.composed {
		return false
	}
	return u.stability() == uniqueTag || !slices.ContainsFunc(r.usesAt(u.at), func(v *use) bool {
		return v.composed && v.stability() == uniqueTag
	})
}

// composersKnow says whether all that push by compose have the variables of an image:
// where one does not, it pushes the default, or whatever the variable is there.
func (r *run) composersKnow(u *use) bool {
	for _, m := range shellVariable.FindAllStringSubmatch(u.at.text(), -1) {
		name := m[1]
		if strings.HasPrefix(name, "CI_") || r.in.Project.Variables[name] != "" || r.inEnvFile(name) {
			continue
		}
		for _, c := range r.composers {
			if _, ok := c.sh.lookup(name); !ok {
				return false
			}
		}
	}
	return true
}

// inEnvFile says whether a file that compose may read has a variable: one of the project
// or one that a script writes.
// https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation/
func (r *run) inEnvFile(name string) bool {
	for _, vars := range r.written {
		if vars[name] != nil {
			return true
		}
	}
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		return strings.Contains(path.Base(f.Path), ".env") && bytes.Contains(f.Content, []byte(name+"="))
	})
}

// recordComposed remembers what a command does by compose or bake.
func (r *run) recordComposed(sh *shell, c *command, lits []string) {
	all := strings.Join(lits, " ")
	listed := strings.Contains(all, " config --images") && strings.Contains(c.ch.text, " push ") // each of which it pushes
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(all, w) })
	}
	r.baked = r.baked || has(" bake")
	r.bakesUnseen = r.bakesUnseen || has(" bake") && !isBake(lits) && lits[0] != "make"
	compose := has("compose")
	r.composeBuilds = r.composeBuilds || (r.now != nil || r.makes) && compose && has(" build", " push", " --build", " --push")
	r.composes = r.composes || r.baked || compose && has(" build", " push", " up")
	files := sh.composeFiles(lits)
	if key := strings.Join(files, "\x00"); compose && files != nil && r.layers[key] == nil {
		if r.layers == nil {
			r.layers = map[string][]string{}
		}
		r.layers[key] = files
	}
	if compose && r.now != nil && !sh.away && has(" build", " push", " pull", " up", " run") {
		r.composing = append(r.composing, composing{sh.clone(), files, envFilesOf(lits)})
	}
	if compose && !isBake(lits) && (listed || has(" push", " --push")) {
		r.pushesComposed = r.pushesComposed || r.now == nil || r.in.Project.runs(r.now)
		envs := envFilesOf(lits)
		if r.now != nil && !sh.away && !slices.ContainsFunc(envs, func(name string) bool { return r.files[path.Join(sh.dir, name)] == nil }) {
			r.composers = append(r.composers, composer{composing{sh.clone(), files, envs}, r.now, servicesOf(lits)})
		}
	}
}

// composer is a command of a job that pushes by compose.
type composer struct {
	composing
	job      *job
	services []string // that it names, nil for all
}

// reads says whether the command may read a compose file.
func (c composing) reads(p string) bool {
	return slices.ContainsFunc(c.files, func(f string) bool {
		return f == p || f == "." || strings.HasSuffix(p, "/"+f) || strings.HasSuffix(f, "/"+p)
	})
}

// composeService is one that a compose file builds.
type composeService struct {
	name string
	ch   *chunk // its image
	doc  *document
}

// servicesOf are the services that a command names.
func servicesOf(words []string) (names []string) {
	for _, w := range words[slices.IndexFunc(words, func(w string) bool { return w == "push" || w == "build" || w == "config" })+1:] {
		if !strings.HasPrefix(w, "-") {
			names = append(names, w)
		}
	}
	return names
}

// composePushes are the images that jobs push by compose, each with the variables that the
// command has.
func (r *run) composePushes() (out []*use) {
	for _, c := range r.composers {
		for _, s := range r.composedServices {
			if c.services != nil && !slices.Contains(c.services, s.name) || !c.reads(s.doc.src.path) {
				continue
			}
			names := variablesOf([]byte(s.ch.text))
			e := r.environmentOf(c.composing, names, s.doc.src.path)
			for _, v := range e.interpolate(s.ch, s.doc) {
				for _, ref := range r.references(v) {
					if ref.own && !ref.host && !ref.joined {
						out = append(out, &use{ref: ref, at: s.ch.span(0, len(s.ch.text)), command: "manifest", job: c.job, push: true, document: true, composed: true, role: imageRole})
					}
				}
			}
		}
	}
	return out
}

// reading says whether a command that runs compose is seen to read a file.
func (r *run) reading(p string) bool {
	return slices.ContainsFunc(r.composing, func(c composing) bool { return c.reads(p) })
}

// composedWith are the environments in which the scripts that run compose read a text, each
// once: most of them have the same variables.
func (r *run) composedWith(ch *chunk) (out []*env) {
	if len(r.composing) == 0 {
		return nil
	}
	names := variablesOf([]byte(ch.text))
	all := r.composing
	if r.reading(ch.src.path) {
		all = slices.DeleteFunc(slices.Clone(all), func(c composing) bool { return !c.reads(ch.src.path) })
	}
	for _, c := range all {
		if e := r.environmentOf(c, names, ch.src.path); !slices.ContainsFunc(out, func(o *env) bool { return maps.EqualFunc(o.cache, e.cache, identical) }) {
			out = append(out, e)
		}
	}
	return out
}

// environmentOf are the variables of these names as a script has them, or else a file of
// variables that one has written, or the one beside the file that is read.
func (r *run) environmentOf(c composing, names map[string]bool, file string) *env {
	e := &env{cfg: r.cfg, settings: r.in.Project.Variables, cache: map[string][]text{}}
	beside := r.envGiven(c, file)
	var fill func(names map[string]bool, depth int)
	fill = func(names map[string]bool, depth int) {
		for name := range names {
			values, known := c.sh.lookup(name)
			if !known && strings.HasPrefix(name, "CI_") {
				values, known = []text{{piece{hole: name}}}, true
			}
			for _, vars := range r.written {
				if !known {
					values = union(values, vars[name])
				}
			}
			if ch := beside[name]; values == nil && ch != nil && depth < maxCalls {
				fill(variablesOf([]byte(ch.text)), depth+1) // it may name others of the file
				values = e.interpolate(ch, nil)
			}
			if values != nil {
				e.cache[name] = values
			}
		}
	}
	fill(names, 0)
	return e
}

// buildsUnseen says whether jobs build images by a file of bake, or of compose, that
// cannot be seen.
func (r *run) buildsUnseen() bool {
	return r.bakesUnseen || r.composeBuilds && !slices.ContainsFunc(r.uses, func(u *use) bool { return u.composed && u.ref.own })
}

// composedTags reports the tags that compose pushes again and again. They stay:
// the file also serves those who build without a pipeline.
func (r *run) composedTags() {
	computed := map[span]bool{}
	for _, u := range r.uses {
		if !r.pushedByCompose(u) || !u.ref.own || u.ref.host || u.ref.joined || u.settled || u.bad != "" || u.retagged != "" {
			continue
		}
		switch st := u.stability(); {
		case st == movingTag:
			r.report("moving-tag", u.place(), u.ref.String())
		case st == unknownTag, st == uniqueTag && !r.composersKnow(u):
			computed[u.at] = true
			r.report("tag-computed", u.place(), u.ref.String())
		}
	}
	for _, u := range r.composePushes() {
		if u.stability() == movingTag && !computed[u.at] {
			r.report("moving-tag", u.place(), u.ref.String())
		}
	}
}

// composeFiles are the files that a command reads by its flags or by COMPOSE_FILE.
// https://docs.docker.com/compose/how-tos/environment-variables/envvars/#compose_file
func (sh *shell) composeFiles(lits []string) (files []string) {
	files = composeFiles(lits)
	values, known := sh.lookup("COMPOSE_FILE")
	if !known || files == nil || slices.ContainsFunc(lits, func(l string) bool { return l == "-f" || l == "--file" || strings.HasPrefix(l, "--file=") }) {
		return files
	}
	files = nil
	for _, v := range values {
		for name := range strings.SplitSeq(v.String(), ":") {
			files = append(files, path.Clean(name))
		}
	}
	return files
}

// builtBeside are the services that a compose file takes from another one, which a call lays
// over it, and which that one builds.
// https://docs.docker.com/reference/compose-file/merge/
func (r *run) builtBeside(p string) map[string]bool {
	if !r.layersKnown {
		r.layersKnown, r.besides = true, map[string]map[string]bool{}
		r.findBesides()
	}
	return r.besides[p]
}

func (r *run) findBesides() {
	byBase, builds := map[string][]string{}, map[string][]string{}
	for _, f := range r.in.Files {
		s := r.files[f.Path]
		if ext := path.Ext(f.Path); s == nil || ext != ".yml" && ext != ".yaml" {
			continue
		}
		docs, err := s.documents()
		if err != nil || !isCompose(f.Path, docs) {
			continue
		}
		byBase[path.Base(f.Path)] = append(byBase[path.Base(f.Path)], f.Path)
		for _, n := range docs {
			for _, e := range entries(child(n, "services"), 0) {
				if child(e.value, "build") != nil {
					builds[f.Path] = append(builds[f.Path], e.key.Value)
				}
			}
		}
	}
	for _, key := range sortedKeys(r.layers) {
		read := map[string][]string{} // by the folder in which the call may be
		for _, f := range r.layers[key] {
			for _, p := range byBase[path.Base(f)] {
				if (composing{files: []string{f}}).reads(p) {
					root := strings.TrimSuffix(p, f)
					read[root] = append(read[root], p)
				}
			}
		}
		for _, paths := range read {
			for _, p := range paths {
				for _, q := range paths {
					for _, service := range builds[q] {
						if r.besides[p] == nil {
							r.besides[p] = map[string]bool{}
						}
						r.besides[p][service] = true
					}
				}
			}
		}
	}
}

// composeFiles are the files that a compose command reads, and into which it
// puts the variables that it is given; "." stands for any.
// https://docs.docker.com/compose/how-tos/multiple-compose-files/merge/
func composeFiles(lits []string) (files []string) {
	i := slices.IndexFunc(lits, func(l string) bool { return l != "sudo" })
	if i < 0 {
		return nil
	}
	switch lits[i] {
	case "docker-compose", "podman-compose":
	case "docker", "podman", "nerdctl":
		k := slices.IndexFunc(lits, func(l string) bool { return l == "compose" || l == "stack" || l == "bake" })
		if k < 0 {
			return nil
		}
		i = k
	default:
		return nil
	}
	for k := i + 1; k < len(lits); k++ {
		name, value, joined := strings.Cut(lits[k], "=")
		switch name {
		case "-f", "--file", "-c", "--compose-file":
			if !joined && k+1 < len(lits) {
				value = lits[k+1]
			}
			files = append(files, path.Clean(value))
		}
	}
	if files == nil {
		for _, name := range []string{"compose", "docker-compose", "compose.override", "docker-compose.override"} {
			files = append(files, name+".yml", name+".yaml")
		}
	}
	return files
}

// composedCache are the keys of compose, and of bake in there, that name caches.
var composedCache = map[string]bool{"cache_from": true, "cache_to": true, "cache-from": true, "cache-to": true}

// composedImages finds the images of the services that a compose file builds, and the tags
// beside them, of which bake has some of its own. They may be written elsewhere, behind an anchor.
// https://docs.docker.com/reference/compose-file/build/#tags
// https://docs.docker.com/build/bake/compose-file/#extension-field-with-x-bake
func composedImages(n *yaml.Node, service string, images map[*yaml.Node]string, beside map[string]bool, baked bool, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	if image := deref(child(n, "image")); image != nil && (child(n, "build") != nil || beside[service]) {
		images[image] = service
	}
	if build := child(n, "build"); build != nil {
		lists := []*yaml.Node{child(build, "tags")}
		if baked {
			lists = append(lists, child(child(build, "x-bake"), "tags"))
		}
		for _, tags := range lists {
			if tags = deref(tags); tags != nil {
				for _, t := range tags.Content {
					images[deref(t)] = service
				}
			}
		}
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			service = n.Content[i-1].Value
		}
		composedImages(c, service, images, beside, baked, depth+1)
	}
}

// ofContainers are the keys under which what containers get for themselves stands.
var ofContainers = map[string]bool{"environment": true, "env": true, "command": true, "entrypoint": true, "labels": true}

// containerVariables finds the values of what containers get: of variables in compose files and
// values of charts NAME: value or NAME=value, in manifests the value beside a name, and words.
func containerVariables(n *yaml.Node, found map[*yaml.Node]bool, depth int) {
	if n == nil || depth > maxDepth {
		return
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && ofContainers[n.Content[i-1].Value] {
			found[deref(c)] = true
			for _, e := range entries(c, 0) {
				found[deref(e.value)] = true
			}
			if list := deref(c); list.Kind == yaml.SequenceNode {
				for _, e := range list.Content {
					found[deref(e)], found[child(e, "value")] = true, true
				}
			}
		}
		containerVariables(c, found, depth+1)
	}
}
