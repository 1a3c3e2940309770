package ciconfig

import (
	"slices"
	"sort"
)

// settle drops changes that contradict each other, with all uses that hang
// together with them, and leaves a reason.
func (r *run) settle() {
	for range len(r.uses) + 1 {
		wanted := map[span]map[string]bool{}
		soft := map[span]bool{}
		for _, u := range r.uses {
			if u.bad != "" {
				continue
			}
			for _, c := range u.changes {
				if wanted[c.span] == nil {
					wanted[c.span] = map[string]bool{}
				}
				wanted[c.span][c.with] = true
				soft[c.span] = soft[c.span] || c.soft
			}
		}
		places := byPlace(wanted)
		bad := map[span]bool{}
		for s, w := range wanted {
			if len(w) > 1 {
				bad[s] = true
			}
		}
		for _, u := range r.uses {
			mine := map[span]bool{}
			if u.bad == "" {
				for _, c := range u.changes {
					mine[c.span] = true
				}
			}
			if u.settled || u.bad == "all-tags" { // that command is replaced as a whole, or blocks
				continue
			}
			for _, s := range places.readBy(u) {
				if !mine[s] && !soft[s] {
					bad[s] = true
				}
			}
		}
		for _, t := range r.others {
			f := r.flatten(t)
			for _, s := range places.read(&reference{f: f, end: len(f.s)}) {
				bad[s] = bad[s] || !soft[s]
			}
		}
		if len(bad) == 0 {
			return
		}
		for _, u := range r.uses {
			for _, c := range u.changes {
				if u.bad == "" && bad[c.span] {
					u.bad = "uses-disagree"
				}
			}
		}
	}
}

// places are the changed spans of each source in order.
type places map[*source][]span

func byPlace(wanted map[span]map[string]bool) places {
	p := places{}
	for s := range wanted {
		p[s.src] = append(p[s.src], s)
	}
	for _, list := range p {
		sort.Slice(list, func(i, j int) bool { return list[i].start < list[j].start })
	}
	return p
}

// readBy are the changed spans that a use is made of. The tag that an image gets which
// had none is no part of one that stands alone behind it: crane tag $B/api 1.2.
func (p places) readBy(u *use) []span {
	if u.keyed {
		tag := *u.ref
		tag.start = tag.colon + 1
		return p.read(&tag)
	}
	out := p.read(u.ref)
	if u.bare {
		if at, why := u.behind(u.ref.nameEnd - 1); why == "" {
			behind := span{at.src, at.end, at.end}
			out = slices.DeleteFunc(out, func(s span) bool { return s == behind })
		}
	}
	return out
}

// read are the changed spans that a reference is made of.
func (p places) read(ref *reference) []span {
	var out []span
	last := int32(-1)
	for i := ref.start; i < ref.end; i++ {
		k := ref.f.piece[i]
		if k == last {
			continue
		}
		last = k
		pc := &ref.f.t[k]
		for v := range len(pc.via) + 1 {
			s := pc.at
			if v > 0 {
				s = pc.via[v-1]
			}
			list := p[s.src]
			n := sort.Search(len(list), func(n int) bool { return list[n].start >= s.start })
			for ; n < len(list) && list[n].start <= s.end; n++ {
				insertion := list[n].start == list[n].end
				if list[n].end > s.end || !insertion && list[n].start == s.end {
					continue
				}
				if insertion && list[n].start == s.start && !(s == pc.at && len(pc.via) > 0) {
					continue // it stands before this piece, behind another
				}
				if s == pc.at && pc.exact() && pc.hole == "" {
					// only the part of the piece that belongs to the reference
					off := list[n].start - s.start
					if insertion && off > 0 {
						off-- // it stands behind this byte
					}
					if first := ref.first(k); off < first || off > ref.lastOf(k) {
						continue
					}
				}
				if (s != pc.at || pc.hole != "") && list[n] != s && !(insertion && (list[n].start == s.end || list[n].start == s.start)) {
					continue
				}
				out = append(out, list[n])
			}
		}
	}
	return out
}

// first and lastOf are the offsets of the reference's bytes in piece k.
func (ref *reference) first(k int32) int {
	for i := ref.start; i < ref.end; i++ {
		if ref.f.piece[i] == k {
			return int(ref.f.off[i])
		}
	}
	return 0
}

func (ref *reference) lastOf(k int32) int {
	for i := ref.end - 1; i >= ref.start; i-- {
		if ref.f.piece[i] == k {
			return int(ref.f.off[i])
		}
	}
	return 0
}
