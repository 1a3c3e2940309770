package ciconfig

import (
	"fmt"
	"sort"
)

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
		out[src] = append(b, src.data[at:]...)
	}
	return out, nil
}
