package ciconfig

import (
	"cmp"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// composeFlags are the flags of docker compose that take a value.
var composeFlags = []string{"-f", "--file", "-p", "--project-name", "--env-file", "--profile", "--project-directory"}

// compose builds, pushes, pulls, lists and starts the services of compose files that are laid
// over one another.
// https://docs.docker.com/reference/compose-file/merge/
func (c *call) compose() error {
	args := slices.DeleteFunc(slices.Clone(c.args), func(a string) bool { return a == "docker" || a == "compose" || a == "docker-compose" })
	words := operands(args, composeFlags...)
	if len(words) == 0 {
		return status(false)
	}
	verb, named := words[0], words[1:]
	if verb == "run" {
		named = named[:1]
	}
	services, err := c.composeServices(args, named)
	if err != nil {
		return err
	}
	for _, name := range sortedKeys(services) {
		if err := c.composeOne(verb, services[name], slices.Contains(args, "--push")); err != nil {
			return err
		}
	}
	return nil
}

// composeServices are the services that a call works on, those that it names or all that no
// profile keeps away.
func (c *call) composeServices(args, named []string) (map[string]map[string]any, error) {
	env := map[string]string{}
	for _, name := range append(flags(args, "--env-file"), ".env") {
		for line := range strings.Lines(c.files[c.file(name)]) {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && env[k] == "" {
				env[k] = composed(v, c.env)
			}
		}
		if name != ".env" {
			break // it takes the place of the file that is there by default
		}
	}
	maps.Copy(env, c.env)
	names := flags(args, "-f", "--file")
	if len(names) == 0 && env["COMPOSE_FILE"] != "" {
		names = strings.Split(env["COMPOSE_FILE"], ":")
	}
	if len(names) == 0 {
		names = []string{"docker-compose.yml"}
		if _, ok := c.files[c.file("docker-compose.override.yml")]; ok {
			names = append(names, "docker-compose.override.yml")
		}
	}
	services := map[string]map[string]any{}
	for _, name := range names {
		text, ok := c.files[c.file(name)]
		if !ok {
			return nil, status(false)
		}
		var file struct{ Services map[string]map[string]any }
		if err := yaml.Unmarshal([]byte(text), &file); err != nil {
			c.t.Fatalf("%s: %v\n%s", name, err, text)
		}
		for service, keys := range file.Services {
			services[service] = composeMerged(services[service], interpolated(keys, env).(map[string]any))
		}
	}
	profiles := append(flags(args, "--profile"), strings.Split(env["COMPOSE_PROFILES"], ",")...)
	maps.DeleteFunc(services, func(name string, keys map[string]any) bool {
		if len(named) > 0 {
			return !slices.Contains(named, name)
		}
		own := list(keys["profiles"])
		return own != nil && !slices.ContainsFunc(own, func(p string) bool { return slices.Contains(profiles, p) })
	})
	return services, nil
}

// interpolated is a value with the variables that compose puts in.
func interpolated(v any, env map[string]string) any {
	switch v := v.(type) {
	case string:
		return composed(v, env)
	case []any:
		out := []any{}
		for _, e := range v {
			out = append(out, interpolated(e, env))
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k, e := range v {
			out[k] = interpolated(e, env)
		}
		return out
	}
	return v
}

// composeMerged lays a service over one of the same name: lists are appended.
func composeMerged(under, over map[string]any) map[string]any {
	out := maps.Clone(under)
	if out == nil {
		out = map[string]any{}
	}
	if context, ok := over["build"].(string); ok {
		over["build"] = map[string]any{"context": context}
	}
	for k, v := range over {
		switch v := v.(type) {
		case map[string]any:
			below, _ := out[k].(map[string]any)
			out[k] = composeMerged(below, v)
		case []any:
			below, _ := out[k].([]any)
			out[k] = append(slices.Clone(below), v...)
		default:
			out[k] = v
		}
	}
	return out
}

// composeOne does with a service what a call says.
func (c *call) composeOne(verb string, service map[string]any, push bool) error {
	image, _ := service["image"].(string)
	build, built := service["build"].(map[string]any)
	tags := append([]string{image}, list(build["tags"])...)
	switch verb {
	case "build":
		if !built {
			return nil
		}
		call := []string{"docker", "build"}
		for _, t := range tags {
			call = append(call, "-t", t)
		}
		if push {
			call = append(call, "--push")
		}
		return c.build(append(call, path.Clean(cmp.Or(fmt.Sprint(build["context"]), "."))))
	case "push":
		for _, t := range tags {
			if !built {
				break
			}
			if err := c.push(t, c.local[tagged(t)]); err != nil {
				return err
			}
		}
	case "pull":
		if strings.Contains(image, "team/shop") {
			_ = c.pull(image)
		}
	case "config":
		fmt.Fprintln(c.out, image)
	case "up", "run":
		if strings.Contains(image, "team/shop") {
			c.use(image)
		}
	}
	return nil
}
