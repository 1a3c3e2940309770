package ciconfig

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// Limits on hostile input. GitLab itself refuses CI files over 2 MB and more
// than 150 includes (https://docs.gitlab.com/administration/instance_limits/).
const (
	maxFile     = 2 << 20
	maxDepth    = 100
	maxIncludes = 150
	maxNodes    = 200_000
)

// parseYAML reads all documents of a file.
func parseYAML(data []byte) (docs []*yaml.Node, err error) {
	defer func() { // the parser is not ours
		if p := recover(); p != nil {
			docs, err = nil, fmt.Errorf("yaml: %v", p)
		}
	}()
	if len(data) > maxFile {
		return nil, fmt.Errorf("file has %d bytes, more than %d are not read", len(data), maxFile)
	}
	if !utf8.Valid(data) {
		return nil, errors.New("file is not UTF-8")
	}
	if n := nesting(data); n > maxDepth {
		return nil, fmt.Errorf("file nests %d deep, more than %d is not read", n, maxDepth)
	}
	docs, err = decodeYAML(data)
	if err != nil && bytes.Contains(data, []byte(`\/`)) {
		return withSlashes(data)
	}
	return docs, err
}

func decodeYAML(data []byte) (docs []*yaml.Node, err error) {
	dec := yaml.NewDecoder(bytes.NewReader(data))
	for {
		var doc yaml.Node
		if err := dec.Decode(&doc); err != nil {
			if errors.Is(err, io.EOF) {
				return docs, nil
			}
			return nil, err
		}
		if doc.Kind == yaml.DocumentNode && len(doc.Content) == 1 {
			docs = append(docs, doc.Content[0])
		}
		if len(docs) > 1000 {
			return nil, errors.New("file has more than 1000 documents")
		}
	}
}

// withSlashes reads a file with \/ in double quotes, which YAML and GitLab know and the
// parser does not: it is given another escape of that length, one that the file has not.
func withSlashes(data []byte) ([]*yaml.Node, error) {
	for _, c := range []byte("_LPN") {
		written := `\` + string(c)
		if bytes.Contains(data, []byte(written)) || bytes.Contains(data, []byte(escapes[c])) {
			continue
		}
		docs, err := decodeYAML(escapedSlash.ReplaceAllFunc(data, func(b []byte) []byte {
			if string(b) == `\/` {
				return []byte(written)
			}
			return b
		}))
		seen := map[*yaml.Node]bool{}
		var restore func(n *yaml.Node)
		restore = func(n *yaml.Node) {
			if n == nil || seen[n] {
				return
			}
			seen[n] = true
			n.Value = strings.NewReplacer(escapes[c], "/", written, `\/`).Replace(n.Value)
			for _, x := range n.Content {
				restore(x)
			}
		}
		for _, d := range docs {
			restore(d)
		}
		return docs, err
	}
	return decodeYAML(data)
}

// escapedSlash finds backslashes with what they escape.
var escapedSlash = regexp.MustCompile(`(?s)\\.`)

// nesting is a cheap upper bound of the depth of flow collections, which the
// parser handles in time that grows faster than the input. None begins right behind
// a word, as brackets do that colour the output: \e[0K.
func nesting(data []byte) (deepest int) {
	if n := bytes.Count(data, []byte("[")) + bytes.Count(data, []byte("{")); n <= maxDepth {
		return n
	}
	depth := 0
	for i, c := range data {
		switch c {
		case '[', '{':
			if depth == 0 && i > 0 && wordByte(data[i-1]) {
				continue
			}
			depth++
			deepest = max(deepest, depth)
		case ']', '}':
			depth = max(depth-1, 0)
		case '\n':
			if depth > 0 && deepest > maxDepth {
				return deepest
			}
		}
	}
	return deepest
}

// deref follows an alias.
func deref(n *yaml.Node) *yaml.Node {
	for i := 0; n != nil && n.Kind == yaml.AliasNode && i < maxDepth; i++ {
		n = n.Alias
	}
	return n
}

// entry is a key and value of a mapping.
type entry struct{ key, value *yaml.Node }

// entries are the keys of a mapping with its merge keys resolved as GitLab's
// parser does: what is merged wins over what stands before it and gives way to
// what follows; of a list of mappings the first wins.
// https://github.com/ruby/psych/blob/master/lib/psych/visitors/to_ruby.rb
func entries(n *yaml.Node, depth int) []entry {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > maxDepth {
		return nil
	}
	if keysOnce(n.Content) { // as nearly all
		return plainEntries(n)
	}
	return mergedEntries(n, depth, map[*yaml.Node][]entry{})
}

// mergedEntries looks at each merged mapping once, so a bomb of merge keys costs
// no more than its text.
func mergedEntries(n *yaml.Node, depth int, memo map[*yaml.Node][]entry) []entry {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode || depth > maxDepth {
		return nil
	}
	if got, ok := memo[n]; ok {
		return got
	}
	if keysOnce(n.Content) {
		return plainEntries(n)
	}
	memo[n] = nil // a mapping that merges itself
	var out []entry
	index := map[string]int{}
	put := func(e entry) {
		if at, ok := index[e.key.Value]; ok {
			out[at] = e // a duplicate key: the last wins
			return
		}
		index[e.key.Value] = len(out)
		out = append(out, e)
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if !merges(k) {
			put(entry{k, v})
			continue
		}
		list := items(v)
		for m := len(list) - 1; m >= 0; m-- {
			for _, e := range mergedEntries(list[m], depth+1, memo) {
				put(e)
			}
		}
	}
	memo[n] = out
	return out
}

// plainEntries are the keys of a mapping as they stand there.
func plainEntries(n *yaml.Node) []entry {
	out := make([]entry, 0, len(n.Content)/2)
	for i := 0; i+1 < len(n.Content); i += 2 {
		out = append(out, entry{n.Content[i], n.Content[i+1]})
	}
	return out
}

// keysOnce says whether a mapping is small and has no key twice and none that merges.
func keysOnce(content []*yaml.Node) bool {
	if len(content) > 40 {
		return false
	}
	for i := 0; i+1 < len(content); i += 2 {
		for k := 0; k < i; k += 2 {
			if content[k].Value == content[i].Value {
				return false
			}
		}
		if merges(content[i]) {
			return false
		}
	}
	return true
}

// child is the value of a key in a mapping, nil when it is not there.
func child(n *yaml.Node, key string) *yaml.Node {
	n = deref(n)
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	var found *yaml.Node
	for i := 0; i+1 < len(n.Content); i += 2 {
		k := n.Content[i]
		if merges(k) {
			return childOf(entries(n, 0), key)
		}
		if k.Value == key {
			found = n.Content[i+1] // of a duplicate key the last wins
		}
	}
	return deref(found)
}

func childOf(list []entry, key string) *yaml.Node {
	for _, e := range list {
		if e.key.Value == key {
			return deref(e.value)
		}
	}
	return nil
}

// merges says whether a key merges another mapping in, quoted or not.
func merges(k *yaml.Node) bool {
	return k.Value == "<<" && k.Kind == yaml.ScalarNode && !(k.Style&yaml.TaggedStyle != 0 && k.Tag == "!!str")
}

// items are the elements of a list; one scalar is a list of one, and null of none.
func items(n *yaml.Node) []*yaml.Node {
	switch n = deref(n); {
	case n == nil || isNull(n):
		return nil
	case n.Kind == yaml.SequenceNode:
		return n.Content
	}
	return []*yaml.Node{n}
}

// isNull says whether a scalar is null, which stands for nothing at all.
func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }
