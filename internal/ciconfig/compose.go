package ciconfig

import (
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

// recordComposed remembers what a command does by compose or bake.
func (r *run) recordComposed(all string) {
	has := func(words ...string) bool {
		return slices.ContainsFunc(words, func(w string) bool { return strings.Contains(all, w) })
	}
	r.baked = r.baked || has(" bake")
	compose := has("compose")
	r.composeBuilds = r.composeBuilds || (r.now != nil || r.makes) && compose && has(" build", " push", " --build", " --push")
	r.composes = r.composes || r.baked || compose && has(" build", " push", " up")
	if compose && has(" push", " --push") {
		r.pushesComposed = r.pushesComposed || r.now == nil || r.in.Project.runs(r.now)
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
		switch u.stability() {
		case movingTag:
			r.report("moving-tag", u.place(), u.ref.String())
		case unknownTag:
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
