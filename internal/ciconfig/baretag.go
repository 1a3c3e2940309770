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
	if lits[0] != "crane" && lits[0] != "gcrane" || len(lits) < 4 || lits[1] != "tag" {
		return
	}
	image, tag := slices.Index(c.pos, 2), slices.Index(c.pos, 3)
	if image < 0 || tag < 0 {
		return
	}
	for _, ref := range r.references(c.args[image]) {
		if !ref.own || ref.host || ref.joined || ref.start > 0 {
			continue
		}
		last := ref.f.piece[ref.nameEnd-1]
		t := slices.Clone(c.args[image][:last+1])
		if p := &t[last]; p.hole == "" {
			*p = p.slice(0, int(ref.f.off[ref.nameEnd-1])+1)
		}
		t = append(append(t, piece{text: ":"}), c.args[tag]...)
		for _, whole := range r.references(t) {
			r.add(&use{ref: whole, at: c.argSpan(tag), command: verb(lits), role: imageRole, push: true, shell: true, expands: true,
				cmd: c, index: tag, arg: 3, lits: lits, bare: true})
		}
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
