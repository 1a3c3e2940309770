package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// pairKeys are the keys under which a file names an image in two parts, which
// what reads the file joins by a colon: the values of Helm charts, and images of
// kustomize.
// https://helm.sh/docs/chart_best_practices/values/
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/
var pairKeys = [][2]string{{"repository", "tag"}, {"newName", "newTag"}}

// paired looks at the two parts of an image as the one reference that they
// become. The repository stays bare, and the tag gets the name: more than one
// reader may join them, and none by anything but a colon. It returns the
// repository when that is the first part of such a pair.
func (r *run) paired(s *source, e *env, n *yaml.Node, substituted bool) *yaml.Node {
	for _, keys := range pairKeys {
		repository, tag := child(n, keys[0]), child(n, keys[1])
		if repository == nil || tag == nil || repository.Kind != yaml.ScalarNode || tag.Kind != yaml.ScalarNode || tag.Value == "" || child(n, "registry") != nil || child(n, "digest") != nil {
			continue
		}
		first, second := s.scalar(repository), s.scalar(tag)
		if first == nil || second == nil {
			continue
		}
		at := second.span(0, len(second.text))
		at.end = at.start
		d := &document{src: s}
		bad, found, keyed := r.tagSet(s, n), false, ""
		if docs, _ := s.documents(); len(docs) == 1 {
			keyed, _ = r.valuesPath(docs[0], repository)
		}
		for _, v := range product(product(e.interpolate(first, d), []text{{{text: ":", at: at}}}), e.interpolate(second, d)) {
			for _, ref := range r.references(v) {
				if ref.start > 0 || ref.host || ref.colon < 0 || ref.end < len(ref.f.s) {
					continue // the first part is more than a repository
				}
				found = true
				r.add(&use{ref: ref, at: first.span(0, len(first.text)), command: "values", role: imageRole, expands: substituted, pair: true, bad: bad, value: keyed})
			}
		}
		if found {
			return repository
		}
	}
	return nil
}

// addPairs adds the references that the repository of a use makes with tags, which bring
// the colon along. It says whether there are tags.
func (r *run) addPairs(u *use, tags []text) bool {
	repository := u.ref.f.cut(u.ref.start, u.ref.end)
	fits := func(tag text) bool { return !apart(repository, tag) }
	any := !slices.ContainsFunc(tags, fits)
	for _, tag := range tags {
		if !any && !fits(tag) {
			continue // another rule gives it
		}
		v := append(slices.Clip(repository), r.rejoined(tag)...)
		for _, ref := range r.references(v) {
			joined := *u
			joined.ref, joined.role, joined.pair = ref, imageRole, true
			r.add(&joined)
		}
	}
	return len(tags) > 0
}

// setPart is a flag of helm that sets one part of an image: --set api.image.tag=1.
var setPart = regexp.MustCompile(`(?:^|[=,])([A-Za-z0-9_.-]*?)\.?(repository|tag)=`)

// recordSets remembers the images of which a command sets the tag and leaves the
// repository to the values.
func (r *run) recordSets(lits []string) {
	if lits[0] != "helm" {
		return
	}
	parts := map[string][]string{}
	for _, l := range lits[1:] {
		if !strings.Contains(l, "tag=") && !strings.Contains(l, "repository=") {
			continue
		}
		for _, m := range setPart.FindAllStringSubmatch(l, -1) {
			parts[m[2]] = append(parts[m[2]], m[1])
		}
	}
	for _, p := range parts["tag"] {
		if !slices.Contains(parts["repository"], p) {
			r.tagged = append(r.tagged, p)
		}
	}
}

// tagSet says why a pair stays as it is: a command sets its tag, for which of
// the charts is not known, and the two have to fit.
func (r *run) tagSet(s *source, n *yaml.Node) Code {
	docs, _ := s.documents()
	for _, root := range docs {
		if p, ok := r.valuesPath(root, n); ok && slices.Contains(r.tagged, p) {
			return "tag-elsewhere"
		}
	}
	return ""
}

// valuesPath is the path of a mapping in the values of a chart: api.image.
func (r *run) valuesPath(root, n *yaml.Node) (string, bool) {
	paths := r.valuePaths[root]
	if paths == nil {
		paths = map[*yaml.Node]string{}
		valuesPaths(paths, root, "", 0)
		if r.valuePaths == nil {
			r.valuePaths = map[*yaml.Node]map[*yaml.Node]string{}
		}
		r.valuePaths[root] = paths
	}
	p, ok := paths[n]
	return p, ok
}

func valuesPaths(paths map[*yaml.Node]string, n *yaml.Node, at string, depth int) {
	n = deref(n)
	if _, there := paths[n]; n == nil || there || depth > maxDepth {
		return
	}
	paths[n] = at
	for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
		valuesPaths(paths, n.Content[i+1], strings.TrimPrefix(at+"."+n.Content[i].Value, "."), depth+1)
	}
}
