package ciconfig

import (
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

var imageLine = regexp.MustCompile(`(?m)^[\s-]*"?image"?:\s*"?([^"\s]+)"?`)

// kubectl sets images and applies manifests.
func (c *call) kubectl() error {
	if len(c.args) > 2 && c.args[1] == "set" {
		for _, a := range c.args[4:] {
			if _, ref, ok := strings.Cut(a, "="); ok && !strings.HasPrefix(a, "-") {
				c.use(ref)
			}
		}
		return nil
	}
	if len(c.args) > 2 && c.args[1] == "kustomize" {
		return c.print(c.kustomized(path.Join(c.dir, c.args[2])))
	}
	for _, ref := range flags(c.args, "--image") {
		c.use(ref)
	}
	for _, dir := range flags(c.args, "-k", "--kustomize") {
		text, err := c.kustomized(path.Join(c.dir, dir))
		if err != nil {
			return err
		}
		for _, m := range imageLine.FindAllStringSubmatch(text, -1) {
			c.use(m[1])
		}
	}
	for _, name := range flags(c.args, "-f", "--filename") {
		text := c.files[c.file(name)]
		if name == "-" {
			read, _ := io.ReadAll(c.in)
			text = string(read)
		}
		for _, m := range imageLine.FindAllStringSubmatch(text, -1) {
			c.use(m[1])
		}
	}
	return nil
}

// helm fills in the templates of a chart; where there is none, it takes the pairs of repository
// and tag from what it is given. Flags win over files, and those over the chart's own values.
// https://helm.sh/docs/chart_template_guide/values_files/
func (c *call) helm() error {
	values := map[string]any{}
	words := operands(c.args[1:], "-f", "--values", "--set", "--set-string", "-n", "--namespace", "--version")
	chart := ""
	if len(words) > 2 {
		chart = c.file(words[2])
	}
	for _, name := range append([]string{chart + "/values.yaml"}, flags(c.args, "-f", "--values")...) {
		if name = inCheckout(c.dir, name); chart == "" || name != chart+"/values.yaml" {
			if _, ok := c.files[name]; !ok {
				return status(false)
			}
		}
		var more map[string]any
		if yaml.Unmarshal([]byte(c.files[name]), &more) == nil {
			layOver(values, more)
		}
	}
	for _, sets := range flags(c.args, "--set", "--set-string") {
		for set := range strings.SplitSeq(sets, ",") {
			key, v, _ := strings.Cut(set, "=")
			var leaf any = v
			keys := strings.Split(key, ".")
			for _, k := range slices.Backward(keys) {
				leaf = map[string]any{k: leaf}
			}
			layOver(values, leaf.(map[string]any))
		}
	}
	rendered := false
	for _, name := range sortedKeys(c.files) {
		if chart != "" && strings.HasPrefix(name, chart+"/templates/") {
			rendered = true
			for _, m := range imageLine.FindAllStringSubmatch(c.rendered(c.files[name], chart, values), -1) {
				c.use(m[1])
			}
		}
	}
	if !rendered {
		c.pairs(values)
	}
	return nil
}

var madeTemplate = regexp.MustCompile(`\{\{-? *\.Values\.([\w.]+)(?: *\| *default +\.Chart\.AppVersion)?(?: *\| *quote)? *-?\}\}`)

// rendered is a template with its values.
func (c *call) rendered(text, chart string, values map[string]any) string {
	out := madeTemplate.ReplaceAllStringFunc(text, func(m string) string {
		var at any = values
		for key := range strings.SplitSeq(madeTemplate.FindStringSubmatch(m)[1], ".") {
			in, _ := at.(map[string]any)
			at = in[key]
		}
		if (at == nil || at == "") && strings.Contains(m, "AppVersion") {
			_, version, _ := strings.Cut(c.files[chart+"/Chart.yaml"], "appVersion: ")
			at = strings.TrimSpace(version)
		}
		if at == nil {
			return ""
		}
		return fmt.Sprint(at)
	})
	if strings.Contains(out, "{{") {
		c.t.Fatal(text)
	}
	return out
}

func (c *call) pairs(values map[string]any) {
	if values["repository"] != nil {
		tag := ""
		if values["tag"] != nil {
			tag = ":" + fmt.Sprint(values["tag"])
		}
		c.use(fmt.Sprint(values["repository"]) + tag)
	}
	for _, k := range slices.Sorted(maps.Keys(values)) {
		if m, ok := values[k].(map[string]any); ok {
			c.pairs(m)
		}
	}
}

// composed is text with the variables that a Dockerfile or a compose file puts in.
func composed(text string, env map[string]string) string {
	return os.Expand(text, func(name string) string {
		for _, op := range []string{":-", ":?", ":+", "-", "?"} {
			if k, otherwise, ok := strings.Cut(name, op); ok {
				if op == ":+" && env[k] != "" || !strings.HasSuffix(op, "+") && !strings.HasSuffix(op, "?") && env[k] == "" {
					return composed(otherwise, env)
				}
				if op == ":+" {
					return ""
				}
				return env[k]
			}
		}
		return env[name]
	})
}
