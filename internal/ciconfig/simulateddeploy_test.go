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

// helm takes repository and tag from files of values and from flags.
func (c *call) helm() error {
	values := map[string]any{}
	for _, name := range flags(c.args, "-f", "--values") {
		var more map[string]any
		if yaml.Unmarshal([]byte(c.files[c.file(name)]), &more) == nil {
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
	c.pairs(values)
	return nil
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
		for _, op := range []string{":-", "-"} {
			if k, otherwise, ok := strings.Cut(name, op); ok {
				if env[k] != "" {
					return env[k]
				}
				return composed(otherwise, env)
			}
		}
		return env[name]
	})
}

// compose builds, pushes, pulls and starts the services of a compose file.
func (c *call) compose() error {
	args := slices.DeleteFunc(slices.Clone(c.args), func(a string) bool { return a == "docker" || a == "compose" || a == "docker-compose" })
	name := append(flags(args, "-f", "--file"), "docker-compose.yml")[0]
	env := map[string]string{}
	for line := range strings.Lines(c.files[c.file(".env")]) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			env[k] = v
		}
	}
	maps.Copy(env, c.env)
	var file struct {
		Services map[string]struct {
			Image string
			Build any
		}
	}
	if err := yaml.Unmarshal([]byte(c.files[c.file(name)]), &file); err != nil {
		c.t.Fatal(err)
	}
	verbs := []string{"build", "push", "pull", "up", "run"}
	i := slices.IndexFunc(args, func(a string) bool { return slices.Contains(verbs, a) })
	var named []string
	for _, a := range args[i+1:] {
		if _, ok := file.Services[a]; ok {
			named = append(named, a)
		}
	}
	if named == nil {
		named = slices.Sorted(maps.Keys(file.Services))
	}
	for _, s := range named {
		image := composed(file.Services[s].Image, env)
		switch context := file.Services[s].Build; args[i] {
		case "build":
			if context != nil {
				if err := c.build([]string{"docker", "build", "-t", image, path.Clean(fmt.Sprint(context))}); err != nil {
					return err
				}
			}
		case "push":
			if context != nil {
				if err := c.push(image, c.local[tagged(image)]); err != nil {
					return err
				}
			}
		case "pull":
			_ = c.pull(image)
		default:
			if strings.Contains(image, "team/shop") {
				c.use(image)
			}
		}
	}
	return nil
}
