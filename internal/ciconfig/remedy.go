package ciconfig

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// isManifest says whether a file is one for Kubernetes.
func (r *run) isManifest(p string) bool {
	docs, err := r.files[p].documents()
	return err == nil && !slices.ContainsFunc(docs, func(d *yaml.Node) bool { return child(deref(d), "apiVersion") == nil || child(deref(d), "kind") == nil })
}

// byHand is what to write where a manifest, or a chart's values, hold an image that no job
// sets, or "".
func (r *run) byHand(u *use) string {
	if u.threefold && u.bad == "base-composed" {
		return "write $CI_REGISTRY for the registry and $CI_PROJECT_PATH for the path, with what stands behind it as a prefix of the tag: name-tag"
	}
	if renovates(u.at.path()) {
		return "let registryAliases and package names follow: the repository in ECR, where the name of an image is a part of its tag; or leave the project's own images out"
	}
	if u.command == fromArgs && u.bad == "literal-in-file" {
		tag := tagOf(u)
		if strings.Contains(tag, "$") { // there it has a name of the Dockerfile's own
			tag = firstWord(u.at.text()[strings.LastIndex(u.at.text(), ":")+1:])
		}
		if prefix := prefixOf(u.ref.name()); prefix != "" {
			tag = prefix + "-" + tag
		}
		return "write FROM ${CI_REGISTRY_IMAGE}:" + tag + ", with ARG CI_REGISTRY_IMAGE before it, and let the build hand it over: --build-arg CI_REGISTRY_IMAGE=$CI_REGISTRY_IMAGE"
	}
	terraform := u.command == "file" && path.Ext(u.at.path()) == ".tf"
	if u.bad != "literal-in-file" || u.command != "manifest" && u.command != "values" && !terraform || u.overruled && !r.replaced("image", u.at.src, u.ref).some {
		return ""
	}
	tag, unique := r.uniqueName(), false
	for _, p := range r.uses {
		if !p.push || !p.ref.own || p.ref.name() != u.ref.name() {
			continue
		}
		switch st := p.stability(); {
		case st == uniqueTag:
			tag, unique = tagOf(p), true
		case st == releaseTag && !unique: // only releases push it
			tag = tagOf(p)
		}
	}
	if prefix := prefixOf(u.ref.name()); prefix != "" {
		tag = prefix + "-" + tag
	}
	const there = "in a job of the pipeline that pushes the image, as no other has its tag: "
	p := u.at.path()
	kustomized, key := false, u.ref.f.show(u.ref.start, u.ref.nameEnd)
	for _, k := range r.kustomizations() {
		kustomized = kustomized || k.reads[p]
		if name := k.keys[key]; k.path == p && name != "" {
			key = name
		}
	}
	switch {
	case terraform:
		return there + "export TF_VAR_image=$CI_REGISTRY_IMAGE:" + tag + ", with var.image in place of the name in the file"
	case r.gitops():
		return "Argo CD or Flux may read the file: let a job of the pipeline that pushes the image commit the repository in ECR, written out, and " + tag
	case kustomized && u.role == imageRole:
		return there + "kustomize edit set image " + key + "=$CI_REGISTRY_IMAGE:" + tag
	case r.files[path.Join(path.Dir(p), "Chart.yaml")] != nil && u.value != "":
		if stem, ok := strings.CutSuffix(u.value, ".repository"); ok && (u.pair || u.ref.colon < 0 && u.ref.sep >= 0) {
			return there + "helm upgrade ... --set " + u.value + "=$CI_REGISTRY_IMAGE," + stem + ".tag=" + tag
		}
		if u.ref.colon >= 0 && !u.pair {
			return there + "helm upgrade ... --set " + u.value + "=$CI_REGISTRY_IMAGE:" + tag
		}
	case u.role == imageRole && !u.pair && r.isManifest(p):
		return there + `sed "s|` + u.at.text() + "|$CI_REGISTRY_IMAGE:" + tag + `|" ` + p + " | kubectl apply -f -, with a word such as IMAGE in place of the name in the file"
	}
	return ""
}
