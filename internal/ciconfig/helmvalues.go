package ciconfig

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Files of values are not expanded: a repository that they write out cannot become
// $CI_REGISTRY_IMAGE there. Where each helm that reads the file sets the tag beside it,
// the same flag can set the repository too, as flags win over files; what the file says
// is then left empty, so that nobody takes it for a place that exists.
// https://helm.sh/docs/chart_template_guide/values_files/

// flagPlace is where a flag of helm sets a value.
type flagPlace struct {
	key, value span // of no width: before the key and before the value
	fixed      bool // no variable can be put in there
	tag        text // with the colon that joins it
}

// setByFlags looks at an image in a file of values whose repository is written out. It
// returns the repository when helm's flags set it, or set it from now on.
//
//	repository: registry/group/project/api, --set image.tag=$T
//	->  repository: "", --set image.repository=$CI_REGISTRY_IMAGE --set image.tag=api-$T
func (r *run) setByFlags(s *source, n *yaml.Node) *yaml.Node {
	repository := child(n, "repository")
	if repository == nil || repository.Kind != yaml.ScalarNode || len(r.helms) == 0 || child(n, "registry") != nil {
		return nil
	}
	ch := s.scalar(repository)
	if ch == nil {
		return nil
	}
	written := ch.pieces(0, len(ch.text))
	refs := r.references(written)
	if len(refs) != 1 || !refs[0].own || refs[0].host || refs[0].joined || refs[0].start > 0 || refs[0].end < len(refs[0].f.s) || refs[0].colon >= 0 {
		return nil
	}
	var p string
	docs, _ := s.documents()
	if len(docs) == 1 {
		p, _ = r.valuesPath(docs[0], n)
	}
	calls := r.helmsOf(s)
	if p == "" || len(calls) == 0 {
		return nil
	}
	at := ch.span(0, len(ch.text))
	empty := change{span: at, with: `""`}
	if repository.Style&(yaml.LiteralStyle|yaml.FoldedStyle) != 0 || at.start > 0 && strings.IndexByte(`"'`, s.data[at.start-1]) >= 0 {
		empty.with = ""
	}
	changes := []change{empty}
	for _, h := range calls {
		if len(h.sets[p+".repository"]) > 0 {
			continue
		}
		places := h.places[p+".tag"]
		if len(places) == 0 {
			return nil
		}
		for _, f := range places {
			if f.fixed || !f.key.src.editable {
				return nil
			}
			for _, ref := range r.references(append(slices.Clone(written), f.tag...)) {
				if u := (&use{ref: ref, at: at}); u.stability() != uniqueTag {
					return nil // it would be changed where the tag is set
				}
			}
			changes = append(changes, change{span: f.key, with: p + ".repository=$CI_REGISTRY_IMAGE" + f.joint()})
			if prefix := prefixOf(refs[0].name()); prefix != "" {
				changes = append(changes, change{span: f.value, with: prefix + "-"})
			}
		}
	}
	for _, c := range changes {
		if slices.ContainsFunc(r.after, func(o change) bool { return o.span == c.span && o.with != c.with }) {
			return nil // another file gives the image another name
		}
	}
	r.after = append(r.after, changes...)
	r.report("values-emptied", at, refs[0].String())
	return repository
}

// joint is what comes between another value and this one: a second flag, or a comma in
// a list and in quotes.
func (f flagPlace) joint() string {
	src, at := f.key.src, f.key.start
	if at > 0 && strings.IndexByte(" =", src.data[at-1]) >= 0 {
		return " --set "
	}
	return ","
}

// setByAll says whether each run of helm that reads a file of values gives a value of its
// own in the place of one.
func (r *run) setByAll(s *source, value string) bool {
	calls := r.helmsOf(s)
	return len(calls) > 0 && !slices.ContainsFunc(calls, func(h helmCall) bool { return len(h.sets[value]) == 0 })
}

// helmsOf are the runs of helm that read a file of values for what they render; helm lint
// renders only to check, so that it needs no image.
func (r *run) helmsOf(s *source) (out []helmCall) {
	dir := path.Dir(s.path)
	standard := path.Base(s.path) == "values.yaml" && r.files[path.Join(dir, "Chart.yaml")] != nil
	for _, h := range r.helms {
		if len(h.lits) > 1 && h.lits[1] == "lint" {
			continue
		}
		reads := standard && r.installs(h, dir)
		for i, l := range h.lits {
			name, value, joined := strings.Cut(l, "=")
			if name != "-f" && name != "--values" {
				continue
			}
			if !joined && i+1 < len(h.lits) {
				value = h.lits[i+1]
			}
			reads = reads || r.valuesFile(value) == s
		}
		if reads {
			out = append(out, h)
		}
	}
	return out
}
