package ciconfig

import (
	"path"
	"strings"

	"go.yaml.in/yaml/v3"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// includeInputs looks at the inputs that includes give to components and
// templates. The platform's image scan takes repository and tag apart:
// image: $CI_REGISTRY_IMAGE/api becomes image-tag: api-$CI_REGISTRY_TAG, and
// the component's own default fills the repository in.
func (r *run) includeInputs() {
	for _, d := range r.cfg.docs {
		if !d.src.editable {
			continue
		}
		for _, inc := range items(child(d.root, "include")) {
			inc = deref(inc)
			if in := child(inc, "inputs"); in != nil {
				r.inputsOf(d, inc, in)
			}
		}
	}
}

func (r *run) inputsOf(d *document, inc, in *yaml.Node) {
	if in.Kind != yaml.MappingNode {
		return
	}
	e := r.cfg.env(nil)
	for i := 0; i+1 < len(in.Content); i += 2 {
		key, v := in.Content[i], deref(in.Content[i+1])
		if v == nil || v.Kind != yaml.ScalarNode || r.cfg.takesInput(inc, key.Value) {
			continue
		}
		ch := r.cfg.scalar(d, v)
		if ch == nil {
			continue
		}
		for _, t := range e.expand(ch, d) {
			for _, ref := range r.references(t) {
				u := &use{ref: ref, at: ch.span(0, len(ch.text)), command: "input " + key.Value, role: unclearRole, expands: true}
				if ref.half() && key.Value == "image" && r.splitInput(u, d, inc, in) {
					u.role = repositoryRole
				}
				if ref.sep < 0 {
					u.role = repositoryRole
				}
				r.add(u)
			}
		}
	}
}

// splitInput moves the image's name from the input image to the input for the
// tag. The use then needs no change of its own.
func (r *run) splitInput(u *use, d *document, inc, in *yaml.Node) bool {
	component := child(inc, "component")
	if component == nil || len(u.ref.f.via(u.ref.sep)) > 0 {
		return false
	}
	tagKey := r.tagInput(component.Value)
	if tagKey == "" {
		return false
	}
	k, ok := r.cfg.keyLines(d, in, "image")
	if !ok {
		return false
	}
	name := u.sourceName()
	prefix := naming.Prefix(name)
	if strings.Contains(name, "$") {
		prefix = strings.ReplaceAll(name, "/", "-")
	}
	for _, other := range []string{"image-tag", "image_tag"} {
		t := child(in, other)
		if t == nil {
			continue
		}
		ch := r.cfg.scalar(d, t)
		if ch == nil || len(ch.segs) == 0 {
			return false
		}
		at := ch.offset(0)
		r.after = append(r.after, change{span: k.lines}, change{span: span{d.src, at, at}, with: prefix + "-"})
		u.settled = true
		return true
	}
	eol := d.src.eol()
	if !strings.HasSuffix(k.lines.text(), "\n") {
		eol = ""
	}
	r.after = append(r.after, change{span: k.lines, with: k.indent + tagKey + ": " + prefix + "-$CI_REGISTRY_TAG" + eol})
	u.settled = true
	return true
}

// tagInput is how the component calls its input for the tag, "" where it is neither
// seen to have one nor the platform's scan; older versions used an underscore.
func (r *run) tagInput(component string) string {
	for _, d := range r.cfg.docs {
		if d.src.path != "("+component+")" {
			continue
		}
		for _, name := range []string{"image_tag", "image-tag"} {
			if child(child(d.spec, "inputs"), name) != nil {
				return name
			}
		}
	}
	if address, _, _ := strings.Cut(component, "@"); path.Base(address) == "imagescan" {
		return "image-tag"
	}
	return ""
}

// sourceName is the image's name as it is written, variables included.
func (u *use) sourceName() string {
	f := u.ref.f
	first, last := f.t[f.piece[u.ref.sep+1]], f.t[f.piece[u.ref.nameEnd-1]]
	from, to := first.outer(), last.outer()
	if s, ok := f.at(u.ref.sep + 1); ok && len(first.via) == 0 {
		from = s
	}
	if s, ok := f.at(u.ref.nameEnd - 1); ok && len(last.via) == 0 {
		to = s
	}
	if from.src == nil || from.src != to.src || from.start > to.end {
		return u.ref.name()
	}
	return span{from.src, from.start, to.end}.text()
}
