package ci

import (
	"slices"
)

// variables reads a variables keyword. Keys lists what a value written as a
// mapping may have; without keys it must be a scalar.
func (c *compiler) variables(location string, v any, keys ...string) []Variable {
	if v == nil {
		return nil
	}
	h, ok := v.(*hash)
	if !ok {
		c.problem(location, "config should be a hash")
		return nil
	}
	out := make([]Variable, 0, h.len())
	for _, name := range h.keys {
		if val, ok := c.variable(location+":"+name, h.vals[name], keys); ok {
			val.Key = name
			out = append(out, val)
		}
	}
	return out
}

func (c *compiler) variable(location string, v any, keys []string) (Variable, bool) {
	if v == nil {
		v = newHash() // GitLab takes nothing for an empty mapping
	}
	if isScalar(v) {
		return Variable{Value: text(v)}, true
	}
	h, ok := v.(*hash)
	if !ok {
		c.complain("variable definition must be either a string or a hash")
		return Variable{}, false
	}
	if len(keys) == 0 {
		c.problem(location, "config must be a string")
		return Variable{}, false
	}
	if extra := unknownKeys(h, keys); extra != "" {
		c.problem(location, "config uses invalid data keys: %s", extra)
	}
	value := h.get("value")
	if value != nil && !isScalar(value) {
		c.problem(location, "config value must be a scalar")
	}
	out := Variable{Value: text(value)}
	if e := h.get("expand"); e != nil {
		b, ok := e.(bool)
		if !ok {
			c.problem(location, "config expand should be a boolean value")
		}
		out.Raw = ok && !b
	}
	if o := h.get("options"); o != nil {
		options, ok := stringList(o)
		switch {
		case !ok:
			c.problem(location, "config options should be an array of strings")
		case len(options) > 0 && !slices.Contains(options, out.Value):
			c.problem(location, "config value must be present in options")
		}
	}
	return out, true
}

// override lays later variables over earlier ones, by name.
func override(lists ...[]Variable) []Variable {
	var out []Variable
	index := map[string]int{}
	for _, list := range lists {
		for _, v := range list {
			if i, ok := index[v.Key]; ok {
				out[i] = v
				continue
			}
			index[v.Key] = len(out)
			out = append(out, v)
		}
	}
	return out
}

// values is what expressions see: the values as written.
func values(vars []Variable) map[string]string {
	out := make(map[string]string, len(vars))
	for _, v := range vars {
		out[v.Key] = v.Value
	}
	return out
}
