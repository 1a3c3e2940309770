package ciconfig

import (
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// bareTag records the second word of crane tag IMAGE TAG, a push of the same
// image under a tag that stands alone. The name that leaves the image has to
// come before it: crane tag $B/api:$SHA 1.2 becomes crane tag $B:api-$SHA api-1.2.
func (r *run) bareTag(c *command, lits []string) {
	image, tags := bareTags(lits)
	bare := map[int]bool{}
	for _, k := range tags {
		bare[k] = true
	}
	for i := range c.args { // each word may have several values
		if c.pos[i] != image || len(tags) == 0 {
			continue
		}
		for k, t := range c.args {
			if bare[c.pos[k]] && !apart(c.args[i], t) {
				r.bareTagAt(c, lits, i, k, r.behindFlag(t, "--create="))
			}
		}
	}
	r.listedTags(c, lits)
	if image = slices.IndexFunc(c.args, func(t text) bool { return jibImage(lits, t.String()) }); image >= 0 {
		r.jibNamed = true
		r.jibTags(c, lits, image)
	}
}

// behindFlag is what stands behind a flag that is joined to it, else all of a text.
func (r *run) behindFlag(t text, flag string) text {
	if f := r.flatten(t); strings.HasPrefix(f.s, flag) {
		return f.cut(len(flag), len(f.s))
	}
	return t
}

// listedTags records the further tags that oras takes behind a comma: oras push $B/app:1.2,latest.
// https://oras.land/docs/commands/oras_push
func (r *run) listedTags(c *command, lits []string) {
	if lits[0] != "oras" {
		return
	}
	for i, arg := range c.args {
		for _, ref := range r.references(arg) {
			for at := ref.end; ref.colon >= 0 && at < len(ref.f.s) && ref.f.s[at] == ','; {
				end := at + 1
				for end < len(ref.f.s) && nameByte(ref.f.s[end]) {
					end++
				}
				r.bareTagOf(c, lits, ref, i, i, ref.f.cut(at+1, end))
				at = end
			}
		}
	}
}

// bareTags are the words of a command for an image, and for the tags that it gets.
// https://oras.land/docs/commands/oras_tag
// https://fluxcd.io/flux/cmd/flux_tag_artifact/
func bareTags(lits []string) (image int, tags []int) {
	if lits[0] == "regctl" {
		return createdTag(lits)
	}
	if len(lits) < 4 || lits[1] != "tag" {
		return 0, nil
	}
	switch lits[0] {
	case "crane", "gcrane":
		return 2, []int{3}
	case "oras":
		var words []int
		for i := 2; i < len(lits); i++ {
			if !strings.HasPrefix(lits[i], "-") {
				words = append(words, i)
			}
		}
		if len(words) > 1 {
			return words[0], words[1:]
		}
	case "flux":
		if i := slices.Index(lits, "--tag"); i > 0 && i+1 < len(lits) {
			return 3, []int{i + 1}
		}
	}
	return 0, nil
}

// createdTag is bareTags for regctl, which puts a tag alone beside that of the image it changes.
// https://regclient.org/cli/regctl/image/mod/
func createdTag(lits []string) (image int, tags []int) {
	if len(lits) < 5 || lits[1] != "image" || lits[2] != "mod" {
		return 0, nil
	}
	for i := 3; i < len(lits); i++ {
		value, joined := strings.CutPrefix(lits[i], "--create=")
		switch {
		case lits[i-1] == "--create":
			value, joined = lits[i], true
		case image == 0 && !strings.HasPrefix(lits[i], "-") && strings.Contains(lits[i], "/"):
			image = i
		}
		if joined && !strings.ContainsAny(value, "/") {
			tags = append(tags, i)
		}
	}
	return image, tags
}

// bareTagAt records a tag in one argument of a command for the image in another. An empty one,
// of a variable that is not set, is none.
func (r *run) bareTagAt(c *command, lits []string, image, arg int, tag text) {
	for _, ref := range r.references(c.args[image]) {
		r.bareTagOf(c, lits, ref, image, arg, tag)
	}
}

// bareTagOf records a tag for one image that an argument names.
func (r *run) bareTagOf(c *command, lits []string, ref *reference, image, arg int, tag text) {
	if tag.String() == "" || !ref.own || ref.host || ref.joined || ref.start > 0 && ref.f.s[:ref.start] != "oci://" && !jibImage(lits, ref.f.s) {
		return
	}
	last := ref.f.piece[ref.nameEnd-1]
	t := slices.Clone(c.args[image][:last+1])
	if p := &t[last]; p.hole == "" {
		*p = p.slice(0, int(ref.f.off[ref.nameEnd-1])+1)
	}
	t = append(append(t, piece{text: ":"}), tag...)
	for _, whole := range r.references(t) {
		r.add(&use{ref: whole, at: c.argSpan(arg), command: verb(lits), role: imageRole, push: true, shell: true, expands: true,
			cmd: c, index: arg, arg: c.pos[arg], lits: lits, bare: true})
	}
}

// prefixBare writes the name before a tag that stands alone.
func (u *use) prefixBare() {
	ref := u.ref
	at, ok := ref.f.level(ref.colon+1, nil)
	if !ok || at.src == nil || u.style == thirdStyle {
		u.bad = "uses-disagree"
		return
	}
	name := ref.name()
	if len(ref.f.via(ref.sep)) == 0 {
		name = u.sourceName()
	}
	if strings.Contains(name, "$(…)") {
		u.bad = "name-unknown"
		return
	}
	prefix := naming.Prefix(name)
	if strings.Contains(name, "$") {
		prefix = strings.ReplaceAll(name, "/", "-")
	}
	u.change(change{span: span{at.src, at.start, at.start}, with: prefix + "-"})
}
