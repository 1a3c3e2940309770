package ci

import (
	"slices"
	"strings"
)

// maxExtends is how many levels of extends GitLab follows.
const maxExtends = 10

// merge lays b over a: mappings are merged, everything else is replaced.
func (c *compiler) merge(a, b *hash) *hash {
	c.spend(a.len() + b.len())
	out := newHash()
	for _, k := range a.keys {
		out.set(k, a.vals[k])
	}
	for _, k := range b.keys {
		over := b.vals[k]
		if below, ok := out.vals[k].(*hash); ok {
			if above, ok := over.(*hash); ok {
				over = c.merge(below, above)
			}
		}
		out.set(k, over)
	}
	return out
}

// extended is an entry after its extends, and how many levels it took.
type extended struct {
	value *hash
	depth int
}

// extends applies the keyword to every entry of the configuration. The keyword
// itself stays, as GitLab's merged YAML shows it.
func (c *compiler) extends(config *hash) *hash {
	done := map[string]extended{}
	out := newHash()
	for _, key := range config.keys {
		if entry, ok := config.vals[key].(*hash); ok && entry.has("extends") {
			out.set(key, c.extend(config, done, key, nil).value)
			continue
		}
		out.set(key, config.vals[key])
	}
	return out
}

func (c *compiler) extend(config *hash, done map[string]extended, key string, ancestors []string) extended {
	entry := config.vals[key].(*hash)
	if !entry.has("extends") {
		return extended{value: entry}
	}
	if e, ok := done[key]; ok {
		if len(ancestors)+e.depth-1 > maxExtends {
			fail("%s: nesting too deep in `extends`", key)
		}
		return e
	}
	var bases, unknown, invalid []string
	for _, b := range wrap(entry.get("extends")) {
		base := text(b)
		bases = append(bases, base)
		if !config.has(base) {
			unknown = append(unknown, base)
		} else if _, ok := config.get(base).(*hash); !ok {
			invalid = append(invalid, base)
		}
	}
	switch {
	case len(unknown) > 0:
		fail("%s: unknown keys in `extends` (%s)", key, strings.Join(unknown, ", "))
	case len(invalid) > 0:
		fail("%s: invalid base hashes in `extends` (%s)", key, strings.Join(invalid, ", "))
	case slices.Contains(ancestors, key):
		fail("%s: circular dependency detected in `extends`", key)
	case len(ancestors) > maxExtends:
		fail("%s: nesting too deep in `extends`", key)
	}
	merged, depth := newHash(), 0
	for _, base := range bases {
		e := c.extend(config, done, base, append(slices.Clone(ancestors), key))
		merged = c.merge(merged, e.value)
		depth = max(depth, e.depth)
	}
	e := extended{value: c.merge(merged, entry), depth: depth + 1}
	done[key] = e
	return e
}
