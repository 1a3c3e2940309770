package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// kinds are what kubectl sets images in, by their short names.
var kinds = map[string]string{"deploy": "deployment", "sts": "statefulset", "ds": "daemonset", "cj": "cronjob", "rs": "replicaset", "rc": "replicationcontroller", "po": "pod"}

// recordSetImage remembers the containers of which a command sets the image in the
// cluster: kubectl set image deployment/api api=$B/api:$T.
// https://kubernetes.io/docs/reference/kubectl/generated/kubectl_set/kubectl_set_image/
func (r *run) recordSetImage(lits []string) {
	if lits[0] != "kubectl" && lits[0] != "oc" {
		return
	}
	i := slices.Index(lits, "set")
	if i < 0 || i+1 >= len(lits) || lits[i+1] != "image" {
		return
	}
	var resources, containers []string
	for k, l := range lits[i+2:] {
		container, _, set := strings.Cut(l, "=")
		switch {
		case strings.HasPrefix(l, "-"):
		case set:
			containers = append(containers, container)
		case strings.Contains(l, "/"):
			resources = append(resources, l)
		case i+3+k < len(lits) && !strings.ContainsAny(lits[i+3+k], "=/"):
			resources = append(resources, l+"/"+lits[i+3+k])
		}
	}
	for _, of := range resources {
		kind, name, _ := strings.Cut(strings.ToLower(of), "/")
		kind, _, _ = strings.Cut(kind, ".")
		if long := kinds[kind]; long != "" {
			kind = long
		}
		for _, c := range containers {
			r.imagesSet = append(r.imagesSet, [3]string{strings.TrimSuffix(kind, "s"), name, c})
		}
	}
}

// setLater says whether a command sets the image of a container of a manifest: what
// the manifest says is replaced as soon as it has been applied.
func (r *run) setLater(manifest, container *yaml.Node) bool {
	if len(r.imagesSet) == 0 {
		return false
	}
	manifest = deref(manifest)
	kind, name, own := child(manifest, "kind"), child(deref(child(manifest, "metadata")), "name"), child(container, "name")
	if kind == nil || name == nil || own == nil {
		return false
	}
	return slices.ContainsFunc(r.imagesSet, func(s [3]string) bool {
		return s[0] == strings.ToLower(kind.Value) && s[1] == name.Value && (s[2] == own.Value || s[2] == "*")
	})
}

// keySetLater says whether a command sets the image of each container below a
// kustomization that has the name of one of its keys.
func (r *run) keySetLater(kustomization, name string) bool {
	found, other := false, false
	var walk func(manifest, n *yaml.Node, depth int)
	walk = func(manifest, n *yaml.Node, depth int) {
		if n = deref(n); n == nil || depth > maxDepth {
			return
		}
		if image := child(n, "image"); image != nil && (image.Value == name || strings.HasPrefix(image.Value, name+":") || strings.HasPrefix(image.Value, name+"@")) {
			found = true
			other = other || !r.setLater(manifest, n)
		}
		for _, c := range n.Content {
			walk(manifest, c, depth+1)
		}
	}
	for _, k := range r.kustomizations() {
		if k.path != kustomization {
			continue
		}
		for p := range k.reads {
			if s := r.files[p]; s != nil && !isKustomization(p) {
				docs, _ := s.documents()
				for _, d := range docs {
					walk(d, d, 0)
				}
			}
		}
	}
	return found && !other
}
