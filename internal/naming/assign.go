package naming

import "errors"

// Entry is one tag of an old repository.
type Entry struct {
	Repository string // in the old registry
	Name       string // the image's name within its project
	Tag        string
	Digest     string
}

// Assignment is an entry with its target tag.
type Assignment struct {
	Entry
	Target  string
	Problem Problem // empty if the entry may be copied to Target
	Others  []Entry // on a collision, the entries of other digests on the same target tag
}

// Assign maps the tags of one project, in the order given. Where two different
// digests would meet on one target tag, each of them is a collision; the same
// digest twice is fine. A digest that is not known equals no other.
func Assign(entries []Entry) []Assignment {
	assigned := make([]Assignment, len(entries))
	byTarget := make(map[string][]int)
	for i, e := range entries {
		target, err := Tag(e.Name, e.Tag)
		assigned[i] = Assignment{Entry: e, Target: target}
		if bad, ok := errors.AsType[*TagError](err); ok {
			assigned[i].Problem = bad.Problem
			continue
		}
		byTarget[target] = append(byTarget[target], i)
	}
	for _, same := range byTarget {
		for _, i := range same {
			for _, j := range same {
				if i != j && (entries[i].Digest == "" || entries[i].Digest != entries[j].Digest) {
					assigned[i].Problem = Collision
					assigned[i].Others = append(assigned[i].Others, entries[j])
				}
			}
		}
	}
	return assigned
}
