package ciconfig

import "maps"

// table holds a shell's variables or functions. Subshells share it until one of
// them changes something: most only read.
type table[V any] struct {
	values map[string]V
	shared bool
}

func newTable[V any]() *table[V] { return &table[V]{values: map[string]V{}} }

func (t *table[V]) get(name string) (V, bool) {
	v, ok := t.values[name]
	return v, ok
}

// share gives the table to one more owner.
func (t *table[V]) share() *table[V] {
	t.shared = true
	return t
}

// own is the table itself, or a copy where others have it too.
func (t *table[V]) own() *table[V] {
	if !t.shared {
		return t
	}
	return &table[V]{values: maps.Clone(t.values)}
}

// with is the table with a value set, in the place of t.
func (t *table[V]) with(name string, v V) *table[V] {
	t = t.own()
	t.values[name] = v
	return t
}

// without is the table with a value gone, in the place of t.
func (t *table[V]) without(name string) *table[V] {
	t = t.own()
	delete(t.values, name)
	return t
}

// beside are the values to compare with those of another table: none where it is
// the same one.
func (t *table[V]) beside(other *table[V]) map[string]V {
	if t == other {
		return nil
	}
	return t.values
}
