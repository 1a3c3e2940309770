package runner

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
)

var (
	shellVariable = regexp.MustCompile(`\$(?:([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})`)
	kubeKinds     = map[string]string{
		"deployment": "Deployment", "deploy": "Deployment", "statefulset": "StatefulSet", "sts": "StatefulSet", "daemonset": "DaemonSet", "ds": "DaemonSet",
		"cronjob": "CronJob", "cj": "CronJob", "job": "Job", "pod": "Pod", "po": "Pod", "service": "Service", "svc": "Service", "ingress": "Ingress", "ing": "Ingress",
		"secret": "Secret", "configmap": "ConfigMap", "cm": "ConfigMap", "namespace": "Namespace", "ns": "Namespace",
	}
)

func kubeKind(word string) (string, bool) {
	word, _, _ = strings.Cut(strings.ToLower(word), ".")
	if k, ok := kubeKinds[word]; ok {
		return k, true
	}
	k, ok := kubeKinds[strings.TrimSuffix(word, "s")]
	return k, ok
}

// substitute replaces $NAME and ${NAME} as envsubst does; unknown ones become
// empty. only, when not nil, names the variables that are replaced.
func substitute(text string, get func(string) string, only map[string]bool) string {
	return shellVariable.ReplaceAllStringFunc(text, func(s string) string {
		m := shellVariable.FindStringSubmatch(s)
		name := m[1] + m[2]
		if only != nil && !only[name] {
			return s
		}
		return get(name)
	})
}

func cmdEnvsubst(c *call) int {
	var only map[string]bool
	_, rest := flags(c.args, "-i -o")
	if len(rest) > 0 {
		only = map[string]bool{}
		for _, m := range shellVariable.FindAllStringSubmatch(rest[0], -1) {
			only[m[1]+m[2]] = true
		}
	}
	env := c.exported()
	c.printf("%s", substitute(string(c.stdin()), func(n string) string { return env[n] }, only))
	return 0
}

// manifests reads files and directories of manifests, in order. Only YAML and
// JSON files of a directory count.
func (c *call) manifests(names []string, recursive bool) ([]byte, error) {
	var out []string
	for _, name := range names {
		if name == "-" {
			out = append(out, string(c.stdin()))
			continue
		}
		info, err := c.disk.stat(c.path(name))
		if err != nil {
			return nil, fmt.Errorf("the path %q does not exist", name)
		}
		if !info.IsDir() {
			b, err := c.disk.read(c.path(name))
			if err != nil {
				return nil, err
			}
			out = append(out, string(b))
			continue
		}
		err = c.disk.walk(c.path(name), func(file string, _ fs.FileInfo) error {
			if ext := path.Ext(file); ext != ".yaml" && ext != ".yml" && ext != ".json" || strings.Contains(file, "/") && !recursive {
				return nil
			}
			b, err := c.disk.read(path.Join(c.path(name), file))
			out = append(out, string(b))
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return []byte(strings.Join(out, "\n---\n")), nil
}

// cmdDeploy is the platform's deploy script: it fills variables into manifests,
// applies them and waits for the rollout, which it undoes when it fails.
func cmdDeploy(c *call) int {
	given, names := flags(c.args, "-n --namespace -f")
	names = append(names, given["-f"]...)
	namespace := c.getenv("KUBE_NAMESPACE")
	if n := last(given, "-n", "--namespace"); n != "" {
		namespace = n
	}
	environment := c.environment()
	switch {
	case c.j.o.PaaS == nil:
		return c.fail("deploy: the cluster cannot be reached")
	case namespace == "":
		return c.fail("deploy: KUBE_NAMESPACE is not set")
	case has(given, "--delete", "--stop"):
		return c.deleteEnvironment(namespace, environment)
	case len(names) == 0:
		return c.fail("usage: deploy FILE|DIRECTORY...")
	}
	raw, err := c.manifests(names, true)
	if err != nil {
		return c.fail("error: %s", err)
	}
	env := c.exported()
	text := substitute(string(raw), func(n string) string { return env[n] }, nil)
	c.printf("Deploying %s to namespace %s\n", strings.Join(names, " "), namespace)
	return c.rollout(namespace, environment, []byte(text))
}

func (c *call) environment() string {
	if e := c.getenv("CI_ENVIRONMENT_SLUG"); e != "" {
		return e
	}
	return c.getenv("CI_ENVIRONMENT_NAME")
}

// rollout applies manifests and prints what kubectl apply and kubectl rollout
// status do.
func (c *call) rollout(namespace, environment string, manifest []byte) int {
	changes, err := c.j.o.PaaS.Rollout(c.ctx, namespace, environment, manifest)
	var pull *paas.PullError
	if errors.As(err, &pull) {
		return c.pullFailed(pull)
	}
	if err != nil {
		return c.fail("%s", err)
	}
	for _, ch := range changes {
		c.printf("%s %s\n", ch.Resource, ch.Action)
		if kind, name, _ := strings.Cut(ch.Resource, "/"); strings.HasSuffix(kind, ".apps") {
			c.printf("%s %q successfully rolled out\n", strings.TrimSuffix(kind, ".apps"), name)
		}
	}
	return 0
}

func (c *call) pullFailed(e *paas.PullError) int {
	c.printf("%s configured\n", e.Resource)
	kind, name, _ := strings.Cut(e.Resource, "/")
	kind, _, _ = strings.Cut(kind, ".")
	c.printf("Waiting for %s %q rollout to finish: 0 of 1 updated replicas are available...\n", kind, name)
	fmt.Fprintf(c.err, "pod/%s: %s: Failed to pull image %q: %s\n", e.Pod, e.Status, e.Image, e.Message)
	if e.Status == "ErrImagePull" {
		fmt.Fprintf(c.err, "pod/%s: ImagePullBackOff: Back-off pulling image %q\n", e.Pod, e.Image)
	}
	fmt.Fprintf(c.err, "error: %s %q exceeded its progress deadline\n%s rolled back\n", kind, name, e.Resource)
	return 1
}

func (c *call) deleteEnvironment(namespace, environment string) int {
	n, err := c.j.o.PaaS.DeleteEnvironment(namespace, environment)
	if err != nil {
		return c.fail("error: %s", err)
	}
	c.printf("%d workloads of %s deleted\n", n, environment)
	return 0
}

const kubeValued = "-n --namespace -f --filename -l --selector -o --output --timeout --context --kubeconfig --record --type -p --patch --replicas --for --tail -c --container --token --server -k --kustomize --from-literal --from-file --docker-server --docker-username --docker-password --docker-email"

func cmdKubectl(c *call) int {
	given, rest := flags(c.args, kubeValued)
	namespace := last(given, "-n", "--namespace")
	if namespace == "" {
		namespace = c.getenv("KUBE_NAMESPACE")
	}
	if len(rest) == 0 {
		return 0
	}
	cluster := c.j.o.PaaS
	if cluster == nil {
		return c.fail("The connection to the server localhost:8080 was refused - did you specify the right host or port?")
	}
	sub, args := rest[0], rest[1:]
	files := all(given, "-f", "--filename")
	switch sub {
	case "apply", "create", "replace":
		if len(files) == 0 {
			if sub == "create" && len(args) > 1 {
				c.printf("%s/%s created\n", args[0], args[len(args)-1])
				return 0
			}
			return c.fail("error: must specify one of -f and -k")
		}
		raw, err := c.manifests(files, has(given, "-R", "--recursive"))
		if err != nil {
			return c.fail("error: %s", err)
		}
		if v := last(given, "--dry-run"); has(given, "--dry-run") && v != "none" {
			if has(given, "-o", "--output") {
				c.printf("%s\n", raw)
			}
			return 0
		}
		return c.rollout(namespace, c.environment(), raw)
	case "set":
		return c.setImage(namespace, args)
	case "rollout":
		return c.kubeRollout(namespace, args)
	case "get", "describe", "wait", "scale", "annotate", "label", "patch":
		return c.kubeGet(namespace, sub, args, given)
	case "delete":
		return c.kubeDelete(namespace, args, files, given)
	case "logs", "version", "config", "cluster-info", "auth", "diff", "top", "events", "exec", "port-forward":
		return 0
	}
	return c.fail("error: unknown command %q for \"kubectl\"", sub)
}

// target splits TYPE/NAME or TYPE NAME.
func target(args []string) (kind, name string, rest []string, err error) {
	if len(args) == 0 {
		return "", "", nil, errors.New("error: required resource not specified")
	}
	word, name, slash := strings.Cut(args[0], "/")
	rest = args[1:]
	if !slash && len(rest) > 0 {
		name, rest = rest[0], rest[1:]
	}
	kind, ok := kubeKind(word)
	if !ok {
		return "", "", nil, fmt.Errorf("error: the server doesn't have a resource type %q", word)
	}
	return kind, name, rest, nil
}

func (c *call) setImage(namespace string, args []string) int {
	if len(args) < 3 || args[0] != "image" {
		if len(args) > 0 && (args[0] == "env" || args[0] == "resources") {
			return 0
		}
		return c.fail("error: one or more images must be specified as CONTAINER=IMAGE")
	}
	kind, name, pairs, err := target(args[1:])
	if err != nil {
		return c.fail("%s", err)
	}
	for _, p := range pairs {
		container, image, ok := strings.Cut(p, "=")
		if !ok {
			return c.fail("error: unrecognized image %q", p)
		}
		err := c.j.o.PaaS.SetImage(c.ctx, namespace, kind, name, container, image)
		var pull *paas.PullError
		if errors.As(err, &pull) {
			return c.pullFailed(pull)
		}
		if err != nil {
			return c.fail("%s", err)
		}
	}
	c.printf("%s/%s image updated\n", strings.ToLower(kind), name)
	return 0
}

func (c *call) workload(namespace, kind, name string) bool {
	return slices.ContainsFunc(c.j.o.PaaS.Workloads(namespace), func(w paas.Workload) bool { return w.Kind == kind && w.Name == name })
}

func (c *call) kubeRollout(namespace string, args []string) int {
	if len(args) < 2 {
		return c.fail("error: required resource not specified")
	}
	kind, name, _, err := target(args[1:])
	if err != nil {
		return c.fail("%s", err)
	}
	if !c.workload(namespace, kind, name) {
		return c.fail("Error from server (NotFound): %ss.apps %q not found", strings.ToLower(kind), name)
	}
	if args[0] == "status" {
		c.printf("%s %q successfully rolled out\n", strings.ToLower(kind), name)
	}
	return 0
}

func (c *call) kubeGet(namespace, sub string, args []string, given map[string][]string) int {
	kind, name, _, err := target(args)
	if err != nil {
		return c.fail("%s", err)
	}
	if name != "" && groupsOfWorkloads[kind] && !c.workload(namespace, kind, name) {
		if has(given, "--ignore-not-found") {
			return 0
		}
		return c.fail("Error from server (NotFound): %ss %q not found", strings.ToLower(kind), name)
	}
	if sub != "get" {
		return 0
	}
	jsonpath := strings.Contains(last(given, "-o", "--output"), "image")
	for _, w := range c.j.o.PaaS.Workloads(namespace) {
		if w.Kind != kind || name != "" && w.Name != name {
			continue
		}
		if jsonpath {
			c.printf("%s\n", w.Containers[len(w.Containers)-1].Image)
		} else {
			c.printf("%s/%s\n", strings.ToLower(kind), w.Name)
		}
	}
	return 0
}

var groupsOfWorkloads = map[string]bool{"Deployment": true, "StatefulSet": true, "DaemonSet": true, "CronJob": true, "Job": true}

func (c *call) kubeDelete(namespace string, args, files []string, given map[string][]string) int {
	if selector := last(given, "-l", "--selector"); selector != "" {
		for _, term := range strings.Split(selector, ",") {
			key, value, _ := strings.Cut(term, "=")
			if key == "environment" || key == "env" {
				return c.deleteEnvironment(namespace, strings.TrimPrefix(value, "="))
			}
		}
		kinds := strings.Split(args[0], ",")
		for _, w := range c.j.o.PaaS.Workloads(namespace) {
			key, value, _ := strings.Cut(selector, "=")
			wanted := args[0] == "all" || slices.ContainsFunc(kinds, func(k string) bool { kind, _ := kubeKind(k); return kind == w.Kind })
			if wanted && w.Labels[key] == strings.TrimPrefix(value, "=") {
				if err := c.j.o.PaaS.Delete(namespace, w.Kind, w.Name); err == nil {
					c.printf("%s %q deleted\n", strings.ToLower(w.Kind), w.Name)
				}
			}
		}
		return 0
	}
	if len(files) > 0 {
		return c.deleteManifests(namespace, files, has(given, "--ignore-not-found"))
	}
	kind, name, more, err := target(args)
	if err != nil {
		return c.fail("%s", err)
	}
	for _, n := range append([]string{name}, more...) {
		if err := c.j.o.PaaS.Delete(namespace, kind, n); err != nil {
			if has(given, "--ignore-not-found") {
				continue
			}
			return c.fail("%s", err)
		}
		c.printf("%s %q deleted\n", strings.ToLower(kind), n)
	}
	return 0
}

func (c *call) deleteManifests(namespace string, files []string, lenient bool) int {
	raw, err := c.manifests(files, false)
	if err != nil {
		return c.fail("error: %s", err)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(raw))
	for {
		var o struct {
			Kind     string
			Metadata struct{ Name string }
		}
		err := decoder.Decode(&o)
		if errors.Is(err, io.EOF) {
			return 0
		}
		if err != nil {
			return c.fail("error: error parsing manifest: %s", err)
		}
		if o.Kind == "" {
			continue
		}
		if err := c.j.o.PaaS.Delete(namespace, o.Kind, o.Metadata.Name); err != nil {
			if !lenient {
				return c.fail("%s", err)
			}
			continue
		}
		c.printf("%s %q deleted\n", strings.ToLower(o.Kind), o.Metadata.Name)
	}
}
