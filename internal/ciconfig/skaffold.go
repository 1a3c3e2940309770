package ciconfig

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Skaffold gives each artifact a repository of its own: the image as it is named, or
// behind the default repository and a slash. One tag policy serves all artifacts, so
// no name can become the beginning of a tag. Such files are reported, and stay.
// https://skaffold.dev/docs/environment/image-registries/

// isSkaffold says whether a file is a configuration of skaffold.
func isSkaffold(p string) bool {
	return isYAML(p) && strings.HasPrefix(path.Base(p), "skaffold")
}

// recordSkaffold remembers that a job builds by skaffold, and for which repositories.
func (r *run) recordSkaffold(c *command, lits []string) {
	if lits[0] != "skaffold" || !slices.ContainsFunc(lits, func(l string) bool { return l == "build" || l == "run" || l == "dev" || l == "debug" }) {
		return
	}
	r.skaffolds = true
	for i := range c.args {
		before := c.lit(max(i-1, 0))
		if before == "-d" || before == "--default-repo" || strings.HasPrefix(c.lit(i), "--default-repo=") || strings.HasPrefix(c.lit(i), "-d=") {
			r.skaffoldBases = append(r.skaffoldBases, c.args[i])
		}
	}
}

// skaffold reports the artifacts that a configuration of skaffold names in the own
// registry. Where no job builds them, they are for developers.
func (r *run) skaffold(s *source, e *env) bool {
	docs, err := s.documents()
	if err != nil {
		return false
	}
	bases := r.skaffoldBases
	if vals, ok := e.lookup("SKAFFOLD_DEFAULT_REPO"); ok {
		bases = append(slices.Clip(bases), vals...)
	}
	d := &document{src: s}
	known := false
	for _, doc := range docs {
		if v := child(doc, "apiVersion"); v == nil || !strings.HasPrefix(v.Value, "skaffold/") {
			continue
		}
		known = true
		builds := []*yaml.Node{child(doc, "build")}
		for _, p := range items(child(doc, "profiles")) {
			builds = append(builds, child(p, "build"))
		}
		for _, b := range builds {
			for _, a := range items(child(b, "artifacts")) {
				if n := child(a, "image"); n != nil && n.Kind == yaml.ScalarNode {
					r.artifact(s, n, e, d, bases)
				}
			}
		}
	}
	return known
}

func (r *run) artifact(s *source, n *yaml.Node, e *env, d *document, bases []text) {
	ch := s.scalar(n)
	if ch == nil {
		return
	}
	severity := Warning
	if r.skaffolds {
		severity = Blocking
	}
	name := func(t text) {
		for _, ref := range r.references(t) {
			if ref.own {
				r.reportAs(severity, "skaffold", ch.span(0, len(ch.text)), ref.String())
			}
		}
	}
	for _, v := range e.interpolate(ch, d) {
		name(v)
		for _, b := range bases {
			if !r.mentions(v) {
				name(append(append(slices.Clone(b), piece{text: "/"}), v...))
			}
		}
	}
}
