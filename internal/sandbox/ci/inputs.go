package ci

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"
	"slices"
	"strings"
)

// divider separates the header with `spec:` from the configuration.
var divider = regexp.MustCompile(`(?m)^---\s+`)

// document splits a file into its header's specification, nil without one, and
// the configuration's text.
func (c *compiler) document(content []byte) (spec *hash, body string, err error) {
	docs := divider.Split(string(content), 3)
	if len(docs) == 1 {
		return nil, docs[0], nil
	}
	first, err := c.load([]byte(docs[0]))
	if err == nil && first == nil { // nothing, or comments, before a leading divider
		docs = docs[1:]
		if len(docs) == 1 {
			return nil, docs[0], nil
		}
		first, err = c.load([]byte(docs[0]))
	}
	if err != nil {
		return nil, "", err
	}
	header, ok := first.(*hash)
	if !ok || !header.has("spec") {
		return nil, docs[0], nil
	}
	spec, ok = header.get("spec").(*hash)
	if !ok && header.get("spec") != nil {
		return nil, "", errors.New("header:spec config should be a hash")
	}
	if spec == nil {
		spec = newHash()
	}
	return spec, docs[len(docs)-1], nil
}

// read loads a file: header, inputs, interpolation, YAML.
func (c *compiler) read(content []byte, inputs *hash) (*hash, error) {
	c.fetched += len(content)
	if c.fetched > maxText {
		return nil, errors.New("config too large")
	}
	spec, body, err := c.document(content)
	if err != nil {
		return nil, err
	}
	switch {
	case spec == nil && inputs.len() > 0:
		return nil, errors.New("Given inputs not defined in the `spec` section of the included configuration file") //nolint:staticcheck // GitLab's words
	case spec != nil:
		values, problems := arguments(spec, inputs)
		if len(problems) > 0 {
			return nil, errors.New(strings.Join(problems[:min(3, len(problems))], ", "))
		}
		if body, err = c.interpolate(body, values); err != nil {
			return nil, err
		}
	}
	v, err := c.load([]byte(body))
	if err != nil {
		return nil, err
	}
	h, ok := v.(*hash)
	if !ok {
		return nil, errors.New("Invalid configuration format") //nolint:staticcheck // GitLab's words
	}
	return h, nil
}

var inputTypes = []string{"array", "boolean", "number", "string"}

// arguments gives every input of a specification its value.
func arguments(spec, given *hash) (values map[string]any, problems []string) {
	declared, ok := spec.get("inputs").(*hash)
	if !ok && spec.get("inputs") != nil {
		return nil, []string{"header:spec:inputs config should be a hash"}
	}
	if declared == nil {
		declared = newHash()
	}
	if given != nil {
		var unknown []string
		for _, name := range given.keys {
			if !declared.has(name) {
				unknown = append(unknown, name)
			}
		}
		if len(unknown) > 0 {
			problems = append(problems, "unknown input arguments: "+strings.Join(unknown, ", "))
		}
	}
	values = map[string]any{}
	for _, name := range declared.keys {
		in, ok := declared.get(name).(*hash)
		if !ok && declared.get(name) != nil {
			problems = append(problems, fmt.Sprintf("header:spec:inputs:%s config should be a hash", name))
			continue
		}
		kind := "string"
		if t := in.get("type"); t != nil {
			kind = text(t)
		}
		if !slices.Contains(inputTypes, kind) {
			problems = append(problems, fmt.Sprintf("unknown input specification for `%s` (valid types: %s)", name, strings.Join(inputTypes, ", ")))
			continue
		}
		in, err := chosen(in, values)
		if err != nil {
			problems = append(problems, fmt.Sprintf("`%s` input: %s", name, err))
			continue
		}
		value, faults := argument(in, kind, given.get(name))
		for _, f := range faults {
			problems = append(problems, fmt.Sprintf("`%s` input: %s", name, f))
		}
		values[name] = value
	}
	return values, problems
}

// chosen is an input's specification with the default and the options of the
// first of its rules that holds; conditions name inputs declared before.
// See https://docs.gitlab.com/ci/inputs/#define-conditional-input-options-with-specinputsrules.
func chosen(in *hash, values map[string]any) (*hash, error) {
	rules, ok := in.get("rules").([]any)
	if !ok {
		return in, nil
	}
	out := in.without("rules")
	known := map[string]string{}
	for k, v := range values {
		known["inputs."+k] = text(v)
	}
	for _, r := range rules {
		rule, ok := r.(*hash)
		if !ok {
			return nil, errors.New("rules should be an array of hashes")
		}
		if cond := rule.get("if"); cond != nil {
			e, err := parse(text(cond))
			if err != nil {
				return nil, err
			}
			if !truthful(e, known) {
				continue
			}
		}
		for _, key := range []string{"default", "options"} {
			if rule.has(key) {
				out.set(key, rule.get(key))
			}
		}
		return out, nil
	}
	if !out.has("default") {
		out.set("default", nil)
	}
	return out, nil
}

func argument(in *hash, kind string, given any) (value any, faults []string) {
	if given == nil && !in.has("default") {
		return nil, []string{"required value has not been provided"}
	}
	check := func(v any, origin string) {
		if !hasType(v, kind) {
			article := "a"
			if kind == "array" {
				article = "an"
			}
			faults = append(faults, fmt.Sprintf("%s value is not %s %s", origin, article, kind))
			return
		}
		if options, ok := in.get("options").([]any); ok {
			var words []string
			for _, o := range options {
				words = append(words, text(o))
			}
			if !slices.Contains(words, text(v)) {
				faults = append(faults, fmt.Sprintf("`%s` cannot be used because it is not in the list of allowed options", text(v)))
			}
		}
		if expr, ok := in.get("regex").(string); ok {
			re, err := regexp.Compile(expr)
			switch {
			case err != nil:
				faults = append(faults, "invalid regular expression")
			case !re.MatchString(text(v)):
				faults = append(faults, origin+" value does not match required RegEx pattern")
			}
		}
	}
	if in.has("default") && in.get("default") != nil {
		check(in.get("default"), "default")
	}
	if given == nil {
		return in.get("default"), faults
	}
	check(given, "provided")
	return given, faults
}

func hasType(v any, kind string) bool {
	switch v.(type) {
	case string:
		return kind == "string"
	case bool:
		return kind == "boolean"
	case int64, *big.Int, float64:
		return kind == "number"
	case []any:
		return kind == "array"
	}
	return false
}

// plain turns a tree into what encoding/json knows.
func plain(v any) any {
	switch v := v.(type) {
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = plain(e)
		}
		return out
	case *hash:
		out := map[string]any{}
		for _, k := range v.keys {
			out[k] = plain(v.vals[k])
		}
		return out
	case *reference:
		return v.String()
	}
	return v
}
