package ci

import (
	"bytes"
	"fmt"
	"math/big"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// GitLab's limits for one parsed file: max_yaml_size_bytes and max_yaml_depth
// (https://docs.gitlab.com/administration/instance_limits/), counted after
// aliases are expanded.
const (
	maxSize  = 2 << 20
	maxDepth = 100
	nodeSize = 40 // bytes of a small Ruby object
)

// loader turns one YAML document into a tree with the rules of Ruby's Psych,
// which GitLab reads configurations with: YAML 1.1 scalars, and merge keys that
// take effect at the place where they stand.
type loader struct {
	c    *compiler
	size int
}

// load reads one document. The error is in Psych's or GitLab's words.
func (c *compiler) load(content []byte) (v any, err error) {
	defer catch(&err)
	var doc yaml.Node
	if err := yaml.Unmarshal(bytes.TrimPrefix(content, []byte("\ufeff")), &doc); err != nil {
		return nil, fmt.Errorf("%s", syntax(err))
	}
	if doc.Kind == 0 {
		return nil, nil
	}
	l := &loader{c: c}
	return l.node(&doc, 0), nil
}

var unknownAnchor = regexp.MustCompile(`unknown anchor '([^']*)' referenced`)

func syntax(err error) string {
	s := strings.TrimPrefix(err.Error(), "yaml: ")
	if m := unknownAnchor.FindStringSubmatch(s); m != nil {
		return "An alias referenced an unknown anchor: " + m[1]
	}
	return "(<unknown>): " + s
}

func (l *loader) grow(n int) {
	l.size += n
	l.c.spend(1)
	if l.size > maxSize {
		fail(tooBig)
	}
}

func (l *loader) node(n *yaml.Node, depth int) any {
	if depth > maxDepth {
		fail(tooBig)
	}
	l.grow(nodeSize)
	switch n.Kind {
	case yaml.DocumentNode:
		return l.node(n.Content[0], depth)
	case yaml.AliasNode:
		return l.node(n.Alias, depth+1)
	case yaml.SequenceNode:
		list := make([]any, 0, len(n.Content))
		for _, e := range n.Content {
			list = append(list, l.node(e, depth+1))
		}
		if n.Tag == "!reference" {
			return &reference{seq: list}
		}
		return list
	case yaml.MappingNode:
		if n.Tag == "!reference" {
			fail("!reference {} is not valid")
		}
		return l.mapping(n, depth)
	}
	if n.Tag == "!reference" {
		fail("!reference %q is not valid", n.Value)
	}
	l.grow(len(n.Value))
	return scalar(n)
}

func (l *loader) mapping(n *yaml.Node, depth int) any {
	h := newHash()
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		if key.Kind == yaml.ScalarNode && key.Value == "<<" && key.Style == 0 {
			l.merge(h, value, depth)
			continue
		}
		k := l.node(key, depth+1)
		switch k.(type) {
		case []any, *hash, *reference:
			fail("Invalid configuration format")
		}
		name := text(k)
		if k == nil {
			name = ""
		}
		h.set(name, l.node(value, depth+1))
	}
	return h
}

// merge applies a `<<` key. Unlike the YAML type's text, Psych lets it override
// the keys that stand above it; of a list, the first mapping wins.
func (l *loader) merge(h *hash, value *yaml.Node, depth int) {
	switch v := l.node(value, depth+1).(type) {
	case *hash:
		for _, k := range v.keys {
			h.set(k, v.vals[k])
		}
	case []any:
		merged := newHash()
		for i := len(v) - 1; i >= 0; i-- {
			e, ok := v[i].(*hash)
			if !ok {
				h.set("<<", v)
				return
			}
			for _, k := range e.keys {
				merged.set(k, e.vals[k])
			}
		}
		for _, k := range merged.keys {
			h.set(k, merged.vals[k])
		}
	default:
		h.set("<<", v)
	}
}

// Psych's scalar patterns (psych/scalar_scanner.rb).
var (
	trueWord    = regexp.MustCompile(`^(?i:yes|true|on)$`)
	falseWord   = regexp.MustCompile(`^(?i:no|false|off)$`)
	decimal     = regexp.MustCompile(`^[-+]?(?:0|[1-9](?:[0-9]|[,_][0-9])*)$`)
	octal       = regexp.MustCompile(`^[-+]?0[0-7_,]+$`)
	hexadecimal = regexp.MustCompile(`^[-+]?0x[0-9a-fA-F_,]+$`)
	binary      = regexp.MustCompile(`^[-+]?0b[01_,]+$`)
	base60      = regexp.MustCompile(`^[-+]?[0-9][0-9_]*(:[0-5]?[0-9]){1,2}$`)
	floating    = regexp.MustCompile(`^[-+]?(?:[0-9][0-9_,]*)?\.[0-9]*(?:[eE][+-][0-9]+)?$`)
	date        = regexp.MustCompile(`^\d{4}-(?:1[012]|0\d|\d)-(?:[12]\d|3[01]|0\d|\d)$`)
)

func scalar(n *yaml.Node) any {
	if n.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle|yaml.LiteralStyle|yaml.FoldedStyle) != 0 ||
		n.Style&yaml.TaggedStyle != 0 && n.Tag == "!!str" {
		return n.Value
	}
	s := n.Value
	switch {
	case s == "" || s == "~" || strings.EqualFold(s, "null"):
		return nil
	case trueWord.MatchString(s):
		return true
	case falseWord.MatchString(s):
		return false
	case date.MatchString(s):
		fail("Tried to load unspecified class: Date")
	}
	first := s[0]
	if first != '-' && first != '+' && first != '.' && (first < '0' || first > '9') {
		return s
	}
	digits := strings.NewReplacer("_", "", ",", "").Replace(s)
	switch {
	case base60.MatchString(s):
		return sexagesimal(digits)
	case decimal.MatchString(s):
		return integer(digits, 10, s)
	case octal.MatchString(s):
		return integer(digits, 8, s)
	case hexadecimal.MatchString(s):
		return integer(strings.Replace(digits, "0x", "", 1), 16, s)
	case binary.MatchString(s):
		return integer(strings.Replace(digits, "0b", "", 1), 2, s)
	case floating.MatchString(s) && s != "." && s != "-." && s != "+.":
		if f, err := strconv.ParseFloat(digits, 64); err == nil {
			return f
		}
	}
	return s
}

func integer(digits string, base int, original string) any {
	n, ok := new(big.Int).SetString(digits, base)
	if !ok {
		return original
	}
	if n.IsInt64() {
		return n.Int64()
	}
	return n
}

func sexagesimal(s string) any {
	negative := strings.HasPrefix(s, "-")
	var n int64
	for part := range strings.SplitSeq(strings.TrimLeft(s, "+-"), ":") {
		d, err := strconv.ParseInt(part, 10, 32)
		if err != nil {
			return s
		}
		n = n*60 + d
	}
	if negative {
		n = -n
	}
	return n
}
