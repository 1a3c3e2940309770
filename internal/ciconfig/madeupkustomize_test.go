package ciconfig

import (
	"fmt"
	"strings"
)

// kustomizeKeys are names by which kustomizations find the image NAME in manifests.
var kustomizeKeys = []string{"NAME", "app", "app", "registry.uninett.no/team/shop/NAME", "registry.uninett.no/team/shop/NAME", "placeholder/NAME"}

// overlays are the directories of an image's manifests: a base and what is laid over it.
var overlays = []string{"staging", "production"}

// kustomizes are lines that deploy an image by kustomize, whose files are written the first time.
func (m *maker) kustomizes(name string) (out []string) {
	add := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	image, tag := m.images[name], pick(m, m.tags[name])
	base := "k8s/" + name
	if m.files[base+"/base/kustomization.yaml"] == "" {
		m.kustomizations(base, name)
	}
	key := m.keys[name]
	overlay := base + "/overlays/" + pick(m, overlays)
	if m.chance(15) {
		overlay = base + "/base"
	}
	build := pick(m, []string{"kustomize build %s | kubectl apply -f -", "kubectl apply -k %s", "kubectl kustomize %s | kubectl apply -f -"})
	set := "kustomize edit set image " + pick(m, []string{key + "=" + image + ":" + tag, key + "=" + image + ":" + tag, `"` + key + "=" + image + ":" + tag + `"`, key + "=" + image, key + ":" + tag, key + "=*:" + tag, key + "=" + image + ":*"})
	switch m.IntN(8) {
	case 0:
		add("cd %s", overlay)
		out = append(out, set)
		add(build, ".")
	case 1:
		add("(cd %s && %s)", overlay, set)
		add(build, overlay)
	case 2:
		add("pushd %s", overlay)
		out = append(out, set, "popd")
		add("kustomize build %s > all.yaml", overlay)
		add("kubectl apply -f all.yaml")
	case 3:
		add("DIGEST=$(crane digest %s:%s)", image, tag)
		add("cd %s && kustomize edit set image %s=%s@$DIGEST && kubectl apply -k .", overlay, key, image)
	case 4:
		add(`sed -i "s|newTag:.*|newTag: %s|" %s/kustomization.yaml`, tag, overlay)
		add(build, overlay)
	case 5:
		add("for o in staging production; do")
		out[0] += "\n  (cd " + base + "/overlays/$o && " + set + ")\n  " + fmt.Sprintf(build, base+"/overlays/$o") + "\ndone"
	case 6:
		add("export IMAGE_TAG=%s", tag)
		add("kustomize build %s | envsubst | kubectl apply -f -", overlay)
	case 7:
		add(build, overlay)
	}
	return out
}

// kustomizations writes the base and the overlays of an image.
func (m *maker) kustomizations(base, name string) {
	key := strings.ReplaceAll(pick(m, kustomizeKeys), "NAME", name)
	m.keys[name] = key
	in := key + pick(m, []string{"", ":latest", ":v1"})
	m.files[base+"/base/deployment.yaml"] = "kind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - name: app\n          image: " + in + "\n"
	images := func() string {
		switch m.IntN(6) {
		case 0:
			return fmt.Sprintf("images:\n  - name: %s\n    newName: registry.uninett.no/team/shop/%s\n    newTag: %s\n", key, name, pick(m, []string{"latest", "v1", "stable"}))
		case 1:
			return fmt.Sprintf("images:\n  - name: %s\n    newTag: %s\n", key, pick(m, []string{"latest", "v1"}))
		case 2:
			return fmt.Sprintf("images:\n  - name: %s\n    newName: registry.uninett.no/team/shop/%s\n", key, name)
		case 3:
			return fmt.Sprintf("images:\n  - name: %s\n    newName: ${CI_REGISTRY_IMAGE}/%s\n    newTag: ${IMAGE_TAG}\n", key, name)
		}
		return ""
	}
	m.files[base+"/base/kustomization.yaml"] = "resources:\n  - deployment.yaml\n"
	if m.chance(15) {
		m.files[base+"/base/kustomization.yaml"] += images()
	}
	for _, o := range overlays {
		m.files[base+"/overlays/"+o+"/kustomization.yaml"] = "resources:\n  - ../../base\n" + images()
	}
}
