package ciconfig

import (
	"regexp"
	"slices"
)

// Deployments by files of values in another repository are often made by two commands,
// or by one with two parts:
//
//	yq -i ".api.image.repository = \"$B/api\"" values.yaml
//	yq -i ".api.image.tag = \"$T\"" values.yaml
//
// What reads the file joins the two, so they are one reference, as with the flags of
// helm: the repository stays bare, and the name goes before the tag.

// imagePart is one part of an image that yq writes.
type imagePart struct {
	key string // the path of the image, and the file
	job *job
	at  span
	use *use // of a repository
	tag text // with the colon that joins it
}

var (
	setsRepository = regexp.MustCompile(`([^\s|=,(]*?)\.?["\[]*(?:repository|newName)["\]]*\s*\|?=\s*\\?["']?$`)
	setsTag        = regexp.MustCompile(`([^\s|=,(]*?)\.?["\[]*(?:tag|newTag)["\]]*\s*\|?=\s*\\?["']`)
)

// partKey names an image by the text before its part and by the file that a command
// changes.
func partKey(f *flat, from, to int, lits []string) string {
	return f.show(from, to) + "\x00" + lits[len(lits)-1]
}

// recordSetTags remembers the tags that yq writes.
func (r *run) recordSetTags(c *command, lits []string) {
	if lits[0] != "yq" {
		return
	}
	for i := range c.args[1:] {
		f := r.flatten(c.args[i+1])
		for _, m := range setsTag.FindAllStringSubmatchIndex(f.s, -1) {
			from, to := m[1], m[1]
			for to < len(f.s) && f.s[to] != '"' && f.s[to] != '\'' && f.s[to] != '\\' {
				to++
			}
			if from == to || f.t[f.piece[from]].single {
				continue
			}
			at := f.t[f.piece[from]].outer()
			if s, ok := f.at(from); ok && len(f.via(from)) == 0 {
				at = s
			}
			at.end = at.start
			r.setParts = append(r.setParts, imagePart{key: partKey(f, m[2], m[3], lits), job: r.now, at: c.argSpan(i + 1), tag: append(text{{text: ":", at: at}}, f.cut(from, to)...)})
		}
	}
}

// setsPart keeps the use of a repository that yq writes until all commands are known.
func (r *run) setsPart(u *use) bool {
	if u.lits[0] != "yq" {
		return false
	}
	m := setsRepository.FindStringSubmatchIndex(u.ref.f.s[:u.ref.start])
	if m == nil {
		return false
	}
	u.job = r.now
	r.setParts = append(r.setParts, imagePart{key: partKey(u.ref.f, m[2], m[3], u.lits), job: r.now, use: u})
	return true
}

// joinSetParts puts the parts of one image together.
func (r *run) joinSetParts() {
	for _, p := range r.setParts {
		if p.use == nil {
			continue
		}
		found := false
		for _, t := range r.setParts {
			if t.tag == nil || t.job != p.job || t.key != p.key {
				continue
			}
			ref := p.use.ref
			for _, whole := range product([]text{ref.f.cut(ref.start, ref.end)}, []text{t.tag}) {
				for _, one := range r.references(whole) {
					v := *p.use
					v.ref, v.role, v.pair = one, imageRole, true
					r.add(&v)
					found = true
				}
			}
			r.handedTags = slices.DeleteFunc(r.handedTags, func(h handedTag) bool { return h.at == t.at })
		}
		if !found {
			r.half(p.use)
			r.add(p.use)
		}
	}
}
