package ciconfig

import (
	"iter"
	"maps"
)

// table holds a shell's variables or functions. Subshells share it until one of
// them changes something: most only read. What is changed then lies over the rest.
type table[V any] struct {
	values map[string]V
	under  *table[V] // shared, so nobody changes it
	layers int       // below this one
	shared bool
}

// maxLayers is how many tables may lie over one another before they become one.
const maxLayers = 8

func newTable[V any]() *table[V] { return &table[V]{} }

func (t *table[V]) get(name string) (v V, ok bool) {
	for ; t != nil; t = t.under {
		if v, ok = t.values[name]; ok {
			return v, true
		}
	}
	return v, false
}

// share gives the table to one more owner.
func (t *table[V]) share() *table[V] {
	t.shared = true
	return t
}

// own is the table itself, or one over it where others have it too.
func (t *table[V]) own() *table[V] {
	switch {
	case !t.shared:
		return t
	case t.layers < maxLayers:
		return &table[V]{under: t, layers: t.layers + 1}
	}
	return &table[V]{values: t.above(nil)}
}

// above are the values that lie over those of another table, all where that is not
// below this one.
func (t *table[V]) above(other *table[V]) map[string]V {
	if t == other || t == nil {
		return map[string]V{}
	}
	out := t.under.above(other)
	maps.Copy(out, t.values)
	return out
}

// with is the table with a value set, in the place of t.
func (t *table[V]) with(name string, v V) *table[V] {
	if t = t.own(); t.values == nil {
		t.values = map[string]V{}
	}
	t.values[name] = v
	return t
}

// without is the table with a value gone, in the place of t.
func (t *table[V]) without(name string) *table[V] {
	t = &table[V]{values: t.above(nil)}
	delete(t.values, name)
	return t
}

// beside are the values to compare with those of another table: those that were set
// since the two were one, where that is known, or else all.
func (t *table[V]) beside(other *table[V]) iter.Seq2[string, V] {
	return func(yield func(string, V) bool) {
		for layer := t; layer != nil && layer != other; layer = layer.under {
			for name := range layer.values {
				if v, _ := t.get(name); !yield(name, v) {
					return
				}
			}
		}
	}
}
