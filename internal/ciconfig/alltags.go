package ciconfig

import (
	"sort"
	"strings"
)

// allTags replaces docker push --all-tags NAME, which in the one repository
// would push every local image, by a push of each tag that the job gives to
// that name. Tags that it only pulled are in the registry already.
func (r *run) allTags() {
	for _, u := range r.uses {
		if u.bad != "all-tags" || u.cmd == nil || !u.cmd.at.src.editable {
			continue
		}
		var words []string
		ok := true
		for _, v := range r.uses {
			if v == u || v.job != u.job || v.cmd == nil || v.ref.name() != u.ref.name() || !v.ref.own || v.ref.colon < 0 || !v.tags() {
				continue
			}
			w, fine := v.rewritten()
			ok = ok && fine && v.bad == ""
			words = append(words, w)
		}
		if !ok || len(words) == 0 {
			continue
		}
		for i, w := range words {
			words[i] = u.lits[0] + " push " + w
		}
		u.bad = ""
		u.changes = []change{{span: u.cmd.at, with: strings.Join(words, " && ")}}
	}
}

// tags says whether the use gives a local image its name.
func (u *use) tags() bool {
	switch {
	case strings.Contains(u.command, " tag") && u.arg == len(u.lits)-1:
		return true
	case strings.Contains(u.command, " build"):
		prev := u.lits[max(u.arg-1, 0)]
		return prev == "-t" || prev == "--tag" || strings.HasPrefix(u.lits[u.arg], "--tag=")
	case strings.HasSuffix(u.command, " manifest create"), strings.HasSuffix(u.command, " manifest annotate"):
		for _, l := range u.lits[3:max(u.arg, 3)] {
			if !strings.HasPrefix(l, "-") {
				return false // what the list is made of
			}
		}
		return true
	}
	return false
}

// rewritten is the word of an argument as it will be.
func (u *use) rewritten() (string, bool) {
	if u.at.src == nil || strings.HasPrefix(u.lits[u.arg], "-") {
		return "", false
	}
	var inside []change
	for _, c := range u.changes {
		if c.within(u.at) {
			inside = append(inside, c)
		}
	}
	sort.Slice(inside, func(i, j int) bool { return inside[i].start < inside[j].start })
	var b strings.Builder
	at := u.at.start
	for _, c := range inside {
		if c.start < at {
			return "", false
		}
		b.Write(u.at.src.data[at:c.start])
		b.WriteString(c.with)
		at = c.end
	}
	b.Write(u.at.src.data[at:u.at.end])
	return b.String(), true
}
