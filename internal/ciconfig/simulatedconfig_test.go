package ciconfig

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// configuration is a CI file with its local includes, its references put in.
type configuration struct{ root map[string]any }

// configuration reads one, once.
func (s *simulator) configuration(t *testing.T, file string) configuration {
	t.Helper()
	root, ok := s.read[file]
	if !ok {
		root = s.merged(t, file)
		root, _ = referred(root, root, 0).(map[string]any)
		s.read[file] = root
	}
	return configuration{root}
}

func (s *simulator) merged(t *testing.T, file string) map[string]any {
	t.Helper()
	return s.mergedWith(t, file, nil)
}

// mergedWith is a file with its includes, and the inputs that it is given.
func (s *simulator) mergedWith(t *testing.T, file string, given map[string]any) map[string]any {
	t.Helper()
	var n yaml.Node
	text := s.files[file]
	if head, body, ok := strings.Cut(text, "\n---\n"); ok {
		var spec struct {
			Spec struct {
				Inputs map[string]struct{ Default any }
			}
		}
		if err := yaml.Unmarshal([]byte(head), &spec); err != nil {
			t.Fatal(err)
		}
		for name, input := range spec.Spec.Inputs {
			value := input.Default
			if v, ok := given[name]; ok {
				value = v
			}
			body = strings.ReplaceAll(body, "$[[ inputs."+name+" ]]", fmt.Sprint(value))
		}
		text = body
	}
	if err := yaml.Unmarshal([]byte(text), &n); err != nil || len(n.Content) == 0 {
		t.Fatalf("%s: %v\n%s", file, err, s.files[file])
	}
	own, _ := plain(n.Content[0]).(map[string]any)
	root := map[string]any{}
	entries, several := own["include"].([]any)
	if !several {
		entries = []any{own["include"]}
	}
	for _, e := range entries {
		m, _ := e.(map[string]any)
		given, _ := m["inputs"].(map[string]any)
		for _, name := range localIncludes(e) {
			layOver(root, s.mergedWith(t, name, given))
		}
	}
	layOver(root, own)
	return root
}

// localIncludes are the local files of an include.
func localIncludes(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{strings.TrimPrefix(v, "/")}
	case map[string]any:
		if v["local"] != nil {
			return localIncludes(v["local"])
		}
	case []any:
		for _, e := range v {
			out = append(out, localIncludes(e)...)
		}
	}
	return out
}

// keyPath is what !reference names.
type keyPath []string

// plain is a node as maps, lists and texts, with anchors and merge keys resolved.
func plain(n *yaml.Node) any {
	switch n.Kind {
	case yaml.AliasNode:
		return plain(n.Alias)
	case yaml.ScalarNode:
		if n.Tag == "!!null" {
			return nil
		}
		return n.Value
	case yaml.SequenceNode:
		out := []any{}
		for _, e := range n.Content {
			out = append(out, plain(e))
		}
		if n.Tag == "!reference" {
			return keyPath(list(out))
		}
		return out
	}
	out := map[string]any{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			out[n.Content[i].Value] = plain(n.Content[i+1])
		}
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value != "<<" {
			continue
		}
		merged := plain(n.Content[i+1])
		all, ok := merged.([]any)
		if !ok {
			all = []any{merged}
		}
		for _, m := range all {
			for k, v := range m.(map[string]any) {
				if _, ok := out[k]; !ok {
					out[k] = v
				}
			}
		}
	}
	return out
}

// referred is a value with what its references name.
func referred(v any, root map[string]any, depth int) any {
	switch v := v.(type) {
	case keyPath:
		var at any = root
		for _, key := range v {
			m, _ := at.(map[string]any)
			at = m[key]
		}
		if depth < 10 {
			return referred(at, root, depth+1)
		}
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = referred(e, root, depth)
		}
		return out
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, referred(e, root, depth))
		}
		return out
	}
	return v
}

// layOver lays a mapping over another, as extends and include do: lists are replaced.
func layOver(under, over map[string]any) {
	for k, v := range over {
		m, ok := v.(map[string]any)
		if !ok {
			under[k] = v
			continue
		}
		both := map[string]any{}
		if u, ok := under[k].(map[string]any); ok {
			maps.Copy(both, u)
		}
		layOver(both, m)
		under[k] = both
	}
}

// list is one text or a list of them, with the lists in it.
func list(v any) (out []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, e := range v {
			out = append(out, list(e)...)
		}
	}
	return out
}
