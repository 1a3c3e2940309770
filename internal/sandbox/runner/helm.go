package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strconv"
	"strings"
	"text/template"

	"go.yaml.in/yaml/v3"
)

const helmValued = "-n --namespace -f --values --set --set-string --set-file --version --timeout --kubeconfig --kube-context --repo --history-max --description --username --password -u -p --post-renderer"

// cmdHelm is helm upgrade, install, template, lint and uninstall of a chart in
// the checkout, with the template functions that small charts use.
func cmdHelm(c *call) int {
	given, rest := flags(c.args, helmValued)
	if len(rest) == 0 {
		return 0
	}
	sub, args := rest[0], rest[1:]
	namespace := last(given, "-n", "--namespace")
	if namespace == "" {
		namespace = c.getenv("KUBE_NAMESPACE")
	}
	switch sub {
	case "upgrade", "install", "template", "lint":
	case "uninstall", "delete":
		if c.j.o.PaaS == nil || len(args) == 0 {
			return c.fail("Error: uninstall: Release not loaded")
		}
		return c.deleteEnvironment(namespace, args[0])
	case "repo", "dependency", "dep", "version", "env", "status", "list", "history", "plugin", "registry", "rollback":
		return 0
	default:
		return c.fail("Error: unknown command %q for \"helm\"", sub)
	}
	release, chart := "release", ""
	switch {
	case len(args) == 1:
		chart = args[0]
	case len(args) >= 2:
		release, chart = args[0], args[1]
	default:
		return c.fail("Error: %q requires 2 arguments", "helm "+sub)
	}
	text, err := c.render(release, chart, namespace, given)
	if err != nil {
		return c.fail("Error: %s", err)
	}
	switch {
	case sub == "template" || has(given, "--dry-run"):
		c.printf("%s", text)
		return 0
	case sub == "lint":
		c.printf("1 chart(s) linted, 0 chart(s) failed\n")
		return 0
	case c.j.o.PaaS == nil:
		return c.fail("Error: Kubernetes cluster unreachable")
	}
	if code := c.rollout(namespace, release, []byte(text)); code != 0 {
		return c.fail("Error: UPGRADE FAILED: context deadline exceeded")
	}
	c.printf("Release %q has been upgraded. Happy Helming!\n", release)
	return 0
}

// render fills a chart's templates.
func (c *call) render(release, chart, namespace string, given map[string][]string) (string, error) {
	dir := c.path(chart)
	raw, err := c.disk.read(path.Join(dir, "Chart.yaml"))
	if err != nil {
		return "", fmt.Errorf("path %q not found", chart)
	}
	meta := map[string]any{}
	if err := yaml.Unmarshal(raw, &meta); err != nil {
		return "", fmt.Errorf("Chart.yaml: %w", err)
	}
	values := map[string]any{}
	files := []string{}
	if _, err := c.disk.stat(path.Join(dir, "values.yaml")); err == nil {
		files = append(files, path.Join(dir, "values.yaml"))
	}
	for _, f := range append(files, all(given, "-f", "--values")...) {
		b, err := c.readFile(f)
		if err != nil {
			return "", fmt.Errorf("open %s: no such file or directory", f)
		}
		more := map[string]any{}
		if err := yaml.Unmarshal(b, &more); err != nil {
			return "", fmt.Errorf("failed to parse %s: %w", f, err)
		}
		overlay(values, more)
	}
	for _, s := range all(given, "--set", "--set-string") {
		for _, kv := range strings.Split(s, ",") {
			k, v, ok := strings.Cut(kv, "=")
			if !ok {
				return "", fmt.Errorf("failed parsing --set data: key %q has no value", kv)
			}
			setValue(values, strings.Split(k, "."), v)
		}
	}
	title := map[string]any{}
	for k, v := range meta {
		title[strings.ToUpper(k[:1])+k[1:]] = v
	}
	data := map[string]any{
		"Values": values, "Chart": title,
		"Release":      map[string]any{"Name": release, "Namespace": namespace, "Service": "Helm", "IsUpgrade": true, "Revision": 1},
		"Capabilities": map[string]any{"KubeVersion": map[string]any{"Version": "v1.33.4"}},
	}
	return c.execute(dir, data)
}

func (c *call) execute(dir string, data map[string]any) (string, error) {
	t := template.New("chart").Option("missingkey=zero")
	t.Funcs(helmFunctions(t))
	var names []string
	err := c.disk.walk(path.Join(dir, "templates"), func(name string, _ fs.FileInfo) error {
		b, err := c.disk.read(path.Join(dir, "templates", name))
		if err != nil {
			return err
		}
		if _, err := t.New(name).Parse(string(b)); err != nil {
			return fmt.Errorf("parse error: %w", err)
		}
		if base := path.Base(name); !strings.HasPrefix(base, "_") && base != "NOTES.txt" {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	var out strings.Builder
	for _, name := range names {
		var b bytes.Buffer
		if err := t.ExecuteTemplate(&b, name, data); err != nil {
			return "", fmt.Errorf("execution error: %w", err)
		}
		if text := strings.ReplaceAll(b.String(), "<no value>", ""); strings.TrimSpace(text) != "" {
			out.WriteString("---\n" + text + "\n")
		}
	}
	return out.String(), nil
}

func overlay(into, from map[string]any) {
	for k, v := range from {
		old, ok1 := into[k].(map[string]any)
		m, ok2 := v.(map[string]any)
		if ok1 && ok2 {
			overlay(old, m)
		} else {
			into[k] = v
		}
	}
}

func setValue(values map[string]any, keys []string, v string) {
	for _, k := range keys[:len(keys)-1] {
		next, ok := values[k].(map[string]any)
		if !ok {
			next = map[string]any{}
			values[k] = next
		}
		values = next
	}
	var value any = v
	switch {
	case v == "true" || v == "false":
		value = v == "true"
	case len(v) < 10 && !strings.HasPrefix(v, "0"):
		if n, err := strconv.Atoi(v); err == nil {
			value = n
		}
	}
	values[keys[len(keys)-1]] = value
}

// helmFunctions are the most common of Helm's template functions.
func helmFunctions(t *template.Template) template.FuncMap {
	empty := func(v any) bool {
		truth, ok := template.IsTrue(v)
		return !ok || !truth
	}
	toYAML := func(v any) string {
		b, err := yaml.Marshal(v)
		if err != nil {
			return ""
		}
		return strings.TrimSuffix(string(b), "\n")
	}
	indent := func(n int, s string) string {
		pad := strings.Repeat(" ", max(min(n, 200), 0))
		return pad + strings.ReplaceAll(s, "\n", "\n"+pad)
	}
	return template.FuncMap{
		"default": func(d any, v ...any) any {
			if len(v) == 0 || empty(v[0]) {
				return d
			}
			return v[0]
		},
		"quote":      func(v any) string { return strconv.Quote(fmt.Sprint(v)) },
		"squote":     func(v any) string { return "'" + fmt.Sprint(v) + "'" },
		"toYaml":     toYAML,
		"indent":     indent,
		"nindent":    func(n int, s string) string { return "\n" + indent(n, s) },
		"upper":      strings.ToUpper,
		"lower":      strings.ToLower,
		"trim":       strings.TrimSpace,
		"trunc":      func(n int, s string) string { return s[:max(min(n, len(s)), 0)] },
		"trimSuffix": func(suffix, s string) string { return strings.TrimSuffix(s, suffix) },
		"trimPrefix": func(prefix, s string) string { return strings.TrimPrefix(s, prefix) },
		"replace":    func(old, with, s string) string { return strings.ReplaceAll(s, old, with) },
		"contains":   func(sub, s string) bool { return strings.Contains(s, sub) },
		"toString":   func(v any) string { return fmt.Sprint(v) },
		"empty":      empty,
		"required": func(message string, v any) (any, error) {
			if v == nil || v == "" {
				return nil, errors.New(message)
			}
			return v, nil
		},
		"include": func(name string, data any) (string, error) {
			var b strings.Builder
			err := t.ExecuteTemplate(&b, name, data)
			return b.String(), err
		},
	}
}
