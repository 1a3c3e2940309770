package ci

import (
	"bytes"
	"fmt"
	"math/big"

	"go.yaml.in/yaml/v3"
)

// render writes a configuration as GitLab's merged_yaml: includes, extends and
// references are worked in, hidden jobs and the extends keyword stay.
func (c *compiler) render(config *hash) string {
	var out bytes.Buffer
	out.WriteString("---\n")
	enc := yaml.NewEncoder(&out)
	enc.SetIndent(2)
	if err := enc.Encode(c.yamlNode(config)); err != nil {
		abort(fmt.Errorf("ci: render merged YAML: %w", err))
	}
	if err := enc.Close(); err != nil {
		abort(fmt.Errorf("ci: render merged YAML: %w", err))
	}
	return out.String()
}

func (c *compiler) yamlNode(v any) *yaml.Node {
	c.spend(1)
	switch v := v.(type) {
	case *hash:
		n := &yaml.Node{Kind: yaml.MappingNode}
		for _, k := range v.keys {
			n.Content = append(n.Content, c.yamlNode(k), c.yamlNode(v.vals[k]))
		}
		return n
	case []any:
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for _, e := range v {
			n.Content = append(n.Content, c.yamlNode(e))
		}
		return n
	case nil:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	case *big.Int:
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: v.String()}
	}
	n := &yaml.Node{}
	if err := n.Encode(v); err != nil {
		abort(fmt.Errorf("ci: render merged YAML: %w", err))
	}
	return n
}
