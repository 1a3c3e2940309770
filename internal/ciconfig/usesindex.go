package ciconfig

import (
	"slices"

	"mvdan.cc/sh/v3/syntax"
)

// usesIndex finds uses without a look at all of them, as a project may have thousands.
type usesIndex struct {
	size  int // how many uses are in it
	at    map[span][]*use
	own   []*use
	named map[string][]*use // own ones by the name of the image
	loose []*use            // those whose name may be any
	calls map[*syntax.CallExpr][]*use
	of    map[*job][]*use
	near  map[block][]*use
	wide  []*use // those that are made of long texts
	order map[*use]int
}

// block is a piece of a file.
type block struct {
	src *source
	n   int
}

// blockSize is how many bytes a block has, maxBlocks how many a text is put into.
const (
	blockSize = 256
	maxBlocks = 16
)

// index is the index of all uses that there are now.
func (r *run) index() *usesIndex {
	if x := r.byPlace; x != nil && x.size == len(r.uses) {
		return x
	}
	x := &usesIndex{
		size: len(r.uses), at: map[span][]*use{}, named: map[string][]*use{}, calls: map[*syntax.CallExpr][]*use{}, of: map[*job][]*use{},
		near: map[block][]*use{}, order: map[*use]int{},
	}
	for i, u := range r.uses {
		x.order[u] = i
		x.at[u.at] = append(x.at[u.at], u)
		for _, j := range u.jobs() {
			x.of[j] = append(x.of[j], u)
		}
		if u.cmd != nil {
			x.calls[u.cmd.call] = append(x.calls[u.cmd.call], u)
		}
		if u.ref.own {
			name := u.ref.name()
			x.own = append(x.own, u)
			x.named[name] = append(x.named[name], u)
			if loose(u.ref) {
				x.loose = append(x.loose, u)
			}
			x.spread(u)
		}
	}
	r.byPlace = x
	return x
}

// spread puts a use into the blocks of all that its reference is made of.
func (x *usesIndex) spread(u *use) {
	last, wide := int32(-1), false
	put := func(s span) {
		if s.src == nil {
			return
		}
		first, end := s.start/blockSize, s.end/blockSize
		if end-first >= maxBlocks {
			wide = true
			return
		}
		for n := first; n <= end; n++ {
			b := block{s.src, n}
			if list := x.near[b]; len(list) == 0 || list[len(list)-1] != u {
				x.near[b] = append(list, u)
			}
		}
	}
	for i := u.ref.start; i < u.ref.end; i++ {
		k := u.ref.f.piece[i]
		if k == last {
			continue
		}
		last = k
		put(u.ref.f.t[k].at)
		for _, v := range u.ref.f.t[k].via {
			put(v)
		}
	}
	if wide {
		x.wide = append(x.wide, u)
	}
}

// meeting are the own uses that changes may touch, and perhaps others.
func (x *usesIndex) meeting(changes []change) (out []*use) {
	seen := map[*use]bool{}
	add := func(list []*use) {
		for _, u := range list {
			if !seen[u] {
				seen[u] = true
				out = append(out, u)
			}
		}
	}
	for _, c := range changes {
		for n := c.start / blockSize; n <= c.end/blockSize; n++ {
			add(x.near[block{c.src, n}])
		}
	}
	if len(changes) > 0 {
		add(x.wide)
	}
	return out
}

// ofJobs are the uses that any of some jobs has, in order.
func (x *usesIndex) ofJobs(jobs []*job) (out []*use) {
	seen := map[*use]bool{}
	for _, j := range jobs {
		for _, u := range x.of[j] {
			if !seen[u] {
				seen[u] = true
				out = append(out, u)
			}
		}
	}
	slices.SortFunc(out, func(a, b *use) int { return x.order[a] - x.order[b] })
	return out
}

// alike are the own uses that may be of an image of a name.
func (x *usesIndex) alike(name string) []*use {
	return append(slices.Clip(x.named[name]), x.loose...)
}
