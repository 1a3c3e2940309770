package ciconfig

import (
	"bytes"
	"fmt"
	"sort"
)

// moved tells where the bytes of a changed file came from.
type moved struct {
	before *source
	steps  []step
}

// step says that from offset after on, bytes were by bytes further on before.
type step struct{ after, by int }

// origin is the place in the file before the changes.
func (m *moved) origin(offset int) int {
	by := 0
	for _, s := range m.steps {
		if s.after > offset {
			break
		}
		by = s.by
	}
	return max(0, min(offset+by, len(m.before.data)))
}

// origin is the place in the file as it was read.
func (s span) origin() span {
	for m := s.src.was; m != nil; m = s.src.was {
		s = span{m.before, m.origin(s.start), m.origin(s.end)}
		s.end = max(s.start, s.end)
	}
	return s
}

// trace records how changes, all of one source, moved its bytes.
func trace(src *source, list []change) *moved {
	m := &moved{before: src}
	sort.SliceStable(list, func(i, j int) bool { return list[i].start < list[j].start })
	by, at := 0, 0
	for _, c := range list {
		if c.start < at {
			continue
		}
		at = c.end
		by += c.end - c.start - len(c.with)
		m.steps = append(m.steps, step{c.end - by, by})
	}
	return m
}

// cover are changed spans by their start, each reaching as far as those before it.
type cover map[*source][]span

func covering(changes []change) cover {
	c := cover{}
	for _, ch := range changes {
		c[ch.src] = append(c[ch.src], ch.span)
	}
	for _, list := range c {
		sort.Slice(list, func(i, j int) bool { return list[i].start < list[j].start })
		for i := 1; i < len(list); i++ {
			list[i].end = max(list[i].end, list[i-1].end)
		}
	}
	return c
}

// covers says whether s lies within one of the spans.
func (c cover) covers(s span) bool {
	list := c[s.src]
	n := sort.Search(len(list), func(n int) bool { return list[n].start > s.start })
	return n > 0 && list[n-1].end >= s.end
}

// apply makes the changes and gives the new content of each changed file.
// Changes must not overlap; a change inside a longer one is dropped, the longer
// one has taken it into account.
func apply(changes []change) (map[*source][]byte, error) {
	bySource := map[*source][]change{}
	for _, c := range changes {
		bySource[c.src] = append(bySource[c.src], c)
	}
	out := map[*source][]byte{}
	for src, list := range bySource {
		sort.SliceStable(list, func(i, j int) bool {
			if list[i].start != list[j].start {
				return list[i].start < list[j].start
			}
			if empty := list[i].start == list[i].end; empty != (list[j].start == list[j].end) {
				return empty // an insertion comes before what it is inserted at
			}
			return list[i].end > list[j].end
		})
		var b []byte
		at := 0
		for i, c := range list {
			if c.end <= at && i > 0 && c.start < at {
				continue // inside the one before
			}
			if c.start < at {
				return nil, fmt.Errorf("edits overlap in %s at byte %d", src.path, c.start)
			}
			b = append(b, src.data[at:c.start]...)
			b = append(b, c.with...)
			at = c.end
		}
		if at == len(src.data) && !bytes.HasSuffix(src.data, []byte("\n")) {
			// What stands before a last line that went is the last line now.
			b = bytes.TrimRight(b, "\r\n")
		}
		out[src] = append(b, src.data[at:]...)
	}
	return out, nil
}
