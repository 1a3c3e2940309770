package ciconfig

import (
	"slices"
	"strings"
)

// Some tools take the registry, the repository and the tag of an image apart, and join them
// by a slash and a colon:
//
//	helm ... --set image.registry=$CI_REGISTRY --set image.repository=$CI_PROJECT_PATH/api --set image.tag=$T
//	dotnet publish -t:PublishContainer -p:ContainerRegistry=$CI_REGISTRY -p:ContainerRepository=$CI_PROJECT_PATH/api -p:ContainerImageTag=$T
//
// They are one reference: the path stays bare, and the name goes before the tag.

// apartKeys are the keys of the three parts, by the tools that take them; helm and Argo CD
// have the path of the image before them.
// https://github.com/bitnami/charts/tree/main/bitnami/common#imageroot
// https://learn.microsoft.com/dotnet/core/containers/publish-configuration
var apartKeys = map[string][3]string{
	"helm":   {"registry", "repository", "tag"},
	"argocd": {"registry", "repository", "tag"},
	"dotnet": {"ContainerRegistry", "ContainerRepository", "ContainerImageTag"},
}

// setting is a key with its value in an argument of a command.
type setting struct {
	key   string
	value text
	arg   int
	from  span // where the value begins
}

// settings are those of a command's arguments: a.b=x,c.d=y and -p:Key=value.
func (r *run) settings(c *command) (out []setting) {
	for i := 1; i < len(c.args); i++ {
		if !strings.Contains(c.lit(i), "=") {
			continue
		}
		f := r.flatten(c.args[i])
		for at := 0; at < len(f.s); {
			end := len(f.s)
			if k := strings.IndexByte(f.s[at:], ','); k >= 0 {
				end = at + k
			}
			if key, value, ok := strings.Cut(f.s[at:end], "="); ok && value != "" {
				if from, written := f.at(at + len(key)); written {
					from.start = from.end
					out = append(out, setting{key[strings.LastIndexAny(key, ":= ")+1:], f.cut(at+len(key)+1, end), i, from})
				}
			}
			at = end + 1
		}
	}
	return out
}

// registriesApart records the images whose parts a command sets apart. It gives the arguments
// that are looked at with that.
func (r *run) registriesApart(sh *shell, c *command, lits []string) {
	if javaBuilds[lits[0]] {
		for _, p := range r.settings(c) {
			r.quarkusGroup(p.key, c.argSpan(p.arg), p.value)
		}
	}
	keys, ok := apartKeys[lits[0]]
	if !ok || !slices.ContainsFunc(lits, func(l string) bool { return strings.Contains(l, keys[0]+"=") }) {
		return
	}
	all := r.settings(c)
	for _, registry := range all {
		image, ok := strings.CutSuffix(registry.key, keys[0])
		if !ok {
			continue
		}
		for _, repository := range all {
			if repository.key != image+keys[1] {
				continue
			}
			for _, tag := range all {
				if tag.key != image+keys[2] {
					continue
				}
				whole := slices.Concat(registry.value, text{{text: "/", at: repository.from}}, repository.value, text{{text: ":", at: tag.from}}, tag.value)
				for _, ref := range r.references(whole) {
					if ref.host || ref.start > 0 || ref.end < len(ref.f.s) {
						continue
					}
					u := &use{ref: ref, at: c.argSpan(repository.arg), command: verb(lits), shell: true, expands: true, cmd: c, index: repository.arg,
						role: imageRole, pair: true, threefold: true, push: lits[0] == "dotnet", arms: sh.arms}
					u.lits, u.arg = c.view(repository.arg, lits)
					r.add(u)
				}
			}
		}
	}
}

// quarkusGroup reports the path of the project as the group of the image that Quarkus builds,
// behind which it puts a name: that is a second repository.
// https://quarkus.io/guides/container-image#container-image-options
func (r *run) quarkusGroup(key string, at span, group text) {
	if strings.TrimPrefix(key, "-D") != "quarkus.container-image.group" && key != "QUARKUS_CONTAINER_IMAGE_GROUP" {
		return
	}
	if path := r.in.Project.Path; r.flatten(group).s == path || strings.HasPrefix(r.flatten(group).s, path+"/") {
		r.reportWhy(Blocking, "base-composed", at, group.String(), "Quarkus puts the image's name behind it").
			Remedy = "set quarkus.container-image.image to $CI_REGISTRY_IMAGE:name-tag, in the place of the registry, the group, the name and the tag"
	}
}
