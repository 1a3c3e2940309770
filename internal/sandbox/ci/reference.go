package ci

import (
	"strconv"
	"strings"
)

// reference is a `!reference [job, keyword, …]` tag. It is resolved after
// includes and extends, against the whole configuration.
type reference struct {
	seq       []any
	resolving bool
	done      bool
	value     any
}

func (r *reference) String() string {
	parts := make([]string, len(r.seq))
	for i, e := range r.seq {
		if s, ok := e.(string); ok {
			parts[i] = strconv.Quote(s)
		} else {
			parts[i] = text(e)
		}
	}
	return "!reference [" + strings.Join(parts, ", ") + "]"
}

// resolve replaces every reference below v.
func (c *compiler) resolve(root *hash, v any) any {
	c.spend(1)
	switch v := v.(type) {
	case *hash:
		out := newHash()
		for _, k := range v.keys {
			out.set(k, c.resolve(root, v.vals[k]))
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = c.resolve(root, e)
		}
		return out
	case *reference:
		return c.dereference(root, v)
	}
	return v
}

func (c *compiler) dereference(root *hash, r *reference) any {
	if r.done {
		return r.value
	}
	path, ok := stringList(r.seq)
	switch {
	case !ok || len(path) == 0:
		fail("%s is not valid", r)
	case r.resolving:
		fail("%s is part of a circular chain", r)
	}
	r.resolving = true
	var at any = root
	for _, key := range path {
		h, ok := at.(*hash)
		if !ok || !h.has(key) {
			fail("%s could not be found", r)
		}
		at = h.get(key)
	}
	value := c.resolve(root, at)
	if value == nil || value == false {
		fail("%s could not be found", r)
	}
	r.value, r.done, r.resolving = value, true, false
	return value
}
