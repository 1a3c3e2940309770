package ci

import (
	"math/big"
	"strconv"
	"strings"
)

// A configuration is a tree of nil, bool, int64, *big.Int, float64, string,
// []any, *hash and *reference. Trees are never changed once built, so that
// anchors and extends may share parts of them.

// hash is a mapping that remembers the order of its keys, as Ruby's does: a key
// given again keeps its place and takes the new value.
type hash struct {
	keys []string
	vals map[string]any
}

func newHash() *hash { return &hash{vals: map[string]any{}} }

func (h *hash) set(key string, value any) {
	if _, ok := h.vals[key]; !ok {
		h.keys = append(h.keys, key)
	}
	h.vals[key] = value
}

func (h *hash) get(key string) any {
	if h == nil {
		return nil
	}
	return h.vals[key]
}

func (h *hash) has(key string) bool {
	if h == nil {
		return false
	}
	_, ok := h.vals[key]
	return ok
}

func (h *hash) len() int {
	if h == nil {
		return 0
	}
	return len(h.keys)
}

// without is a copy that lacks the key.
func (h *hash) without(key string) *hash {
	out := newHash()
	for _, k := range h.keys {
		if k != key {
			out.set(k, h.vals[k])
		}
	}
	return out
}

// text renders a scalar as Ruby's to_s does.
func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case bool:
		return strconv.FormatBool(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case *big.Int:
		return v.String()
	case float64:
		s := strconv.FormatFloat(v, 'f', -1, 64)
		if !strings.ContainsAny(s, ".NI") {
			s += ".0"
		}
		return s
	}
	return ""
}

func isScalar(v any) bool {
	switch v.(type) {
	case string, bool, int64, *big.Int, float64:
		return true
	}
	return false
}

// stringList accepts a list of strings.
func stringList(v any) ([]string, bool) {
	list, ok := v.([]any)
	if !ok {
		return nil, false
	}
	out := make([]string, 0, len(list))
	for _, e := range list {
		s, ok := e.(string)
		if !ok {
			return nil, false
		}
		out = append(out, s)
	}
	return out, true
}

// stringOrList accepts one string or a list of strings.
func stringOrList(v any) ([]string, bool) {
	if s, ok := v.(string); ok {
		return []string{s}, true
	}
	return stringList(v)
}

// wrap makes a list of a value that may stand alone.
func wrap(v any) []any {
	switch v := v.(type) {
	case nil:
		return nil
	case []any:
		return v
	}
	return []any{v}
}

// blank is ActiveSupport's blank?, which GitLab's presence checks use.
func blank(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case bool:
		return !v
	case string:
		return strings.TrimSpace(v) == ""
	case []any:
		return len(v) == 0
	case *hash:
		return v.len() == 0
	}
	return false
}
