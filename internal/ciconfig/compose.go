package ciconfig

import (
	"bytes"
	"path"
	"slices"
	"strings"
)

// pushedByCompose says whether a use is the image of a service that a compose
// file builds and a job pushes with it: compose pushes no other. The default of
// a variable that every pipeline sets is for developers.
// https://docs.docker.com/reference/cli/docker/compose/push/
func (r *run) pushedByCompose(u *use) bool {
	if !r.pushesComposed || !u.composed {
		return false
	}
	return u.stability() == uniqueTag || !slices.ContainsFunc(r.uses, func(v *use) bool {
		return v.composed && v.at == u.at && v.stability() == uniqueTag
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
		for _, sh := range r.composers {
			if _, ok := sh.lookup(name); !ok {
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
func (r *run) recordComposed(sh *shell, all string) {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(all, w) })
	}
	r.baked = r.baked || has(" bake")
	compose := has("compose")
	r.composeBuilds = r.composeBuilds || (r.now != nil || r.makes) && compose && has(" build", " push", " --build", " --push")
	r.composes = r.composes || r.baked || compose && has(" build", " push", " up")
	if compose && has(" push", " --push") {
		r.pushesComposed = r.pushesComposed || r.now == nil || r.in.Project.runs(r.now)
		if r.now != nil && !sh.away && !strings.Contains(all, "--env-file") {
			r.composers = append(r.composers, sh.clone())
		}
	}
}

// buildsUnseen says whether jobs build images by bake, or by a compose file that
// cannot be seen.
func (r *run) buildsUnseen() bool {
	return r.baked || r.composeBuilds && !slices.ContainsFunc(r.uses, func(u *use) bool { return u.composed && u.ref.own })
}

// composedTags reports the tags that compose pushes again and again. They stay:
// the file also serves those who build without a pipeline.
func (r *run) composedTags() {
	for _, u := range r.uses {
		if !r.pushedByCompose(u) || !u.ref.own || u.ref.host || u.ref.joined || u.settled || u.bad != "" || u.retagged != "" {
			continue
		}
		switch st := u.stability(); {
		case st == movingTag:
			r.report("moving-tag", u.place(), u.ref.String())
		case st == unknownTag, st == uniqueTag && !r.composersKnow(u):
			r.report("tag-computed", u.place(), u.ref.String())
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
