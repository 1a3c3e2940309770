package runner

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/shell"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// provides is the file of a built image that lists the programs which its
// Dockerfile brings, so that docker run of any later job knows them.
const provides = "etc/sandbox/provides"

// recipe is what to build.
type recipe struct {
	context    string // directory, absolute in the job
	dockerfile string // path, absolute in the job
	content    []byte // of the Dockerfile when it does not come from a file
	args       map[string]string
	target     string
	labels     map[string]string
	pull       bool
	oci        bool // OCI media types rather than schema 2

	remote func() oci.Remote
	local  func(ref) (oci.Image, bool)
}

const buildValued = "-t --tag -f --file --build-arg --cache-from --cache-to --target --platform --network --secret --ssh --label --progress " +
	"-o --output --iidfile --metadata-file --builder --build-context --add-host --shm-size --ulimit -m --memory --no-cache-filter --attest " +
	"--annotation --allow --format --volume -v --authfile --creds --security-opt --isolation --layers-from"

func dockerBuild(c *call) int {
	given, rest := flags(c.args, buildValued)
	if len(rest) != 1 {
		return c.fail("ERROR: \"%s\" requires exactly 1 argument.\nSee '%s --help'.", c.name, c.name)
	}
	d := c.j.docker
	b := recipe{
		target: last(given, "--target"), pull: has(given, "--pull"),
		args: c.keyValues(all(given, "--build-arg")), labels: c.keyValues(all(given, "--label")),
		remote: d.remote, local: d.local,
		oci: strings.Contains(c.name, "buildx"),
	}
	if err := c.source(&b, rest[0], last(given, "-f", "--file")); err != nil {
		return c.fail("ERROR: %s", err)
	}
	var tags []ref
	for _, t := range all(given, "-t", "--tag") {
		r, err := parseRef(t)
		if err != nil || r.Digest != "" {
			return c.fail("ERROR: failed to build: invalid tag %q: %s", t, cmpErr(err, errReference))
		}
		tags = append(tags, r)
	}
	image, err := c.build(b)
	if err != nil {
		return c.fail("ERROR: failed to solve: %s", err)
	}
	fmt.Fprintf(c.err, "#9 exporting to image\n#9 writing image %s done\n", image.Digest())
	for _, r := range tags {
		d.keep(r, image)
		fmt.Fprintf(c.err, "#9 naming to %s done\n", r.key())
	}
	if file := last(given, "--iidfile"); file != "" {
		if err := c.disk.write(c.path(file), []byte(image.Digest()), 0o644); err != nil {
			return c.fail("ERROR: %s", err)
		}
	}
	output := last(given, "-o", "--output")
	if has(given, "--push") || strings.Contains(output, "push=true") || strings.Contains(output, "type=registry") {
		for _, r := range tags {
			if !c.j.served(r.Host) {
				return c.fail("ERROR: failed to solve: failed to push %s: denied: requested access to the resource is denied", r)
			}
			if err := d.remote().Push(c.ctx, r.Host, r.Repository, r.reference(), image); err != nil {
				return c.fail("ERROR: failed to solve: failed to push %s: %s", r, words(err))
			}
			fmt.Fprintf(c.err, "#10 pushing manifest for %s@%s done\n", r, image.Digest())
		}
	}
	if has(given, "-q", "--quiet") {
		c.printf("%s\n", image.Digest())
	}
	return 0
}

// source finds context and Dockerfile of a build.
func (c *call) source(b *recipe, context, dockerfile string) error {
	if context == "-" {
		b.context, b.content = "/tmp", c.stdin()
		return nil
	}
	if strings.Contains(context, "://") {
		return fmt.Errorf("unable to prepare context: unable to 'git clone' to temporary context directory: Could not resolve host")
	}
	b.context = c.path(context)
	if info, err := c.disk.stat(b.context); err != nil || !info.IsDir() {
		return fmt.Errorf("failed to build: unable to prepare context: path %q not found", context)
	}
	switch {
	case dockerfile == "-":
		b.content = c.stdin()
		return nil
	case dockerfile == "":
		b.dockerfile = path.Join(b.context, "Dockerfile")
	default:
		b.dockerfile = c.path(dockerfile)
	}
	content, err := c.disk.read(b.dockerfile)
	if err != nil {
		return fmt.Errorf("failed to build: failed to solve: failed to read dockerfile: open %s: no such file or directory", path.Base(b.dockerfile))
	}
	b.content = content
	return nil
}

// keyValues reads KEY=value flags; a key alone takes its value from the environment.
func (c *call) keyValues(list []string) map[string]string {
	out := map[string]string{}
	for _, kv := range list {
		k, v, ok := strings.Cut(kv, "=")
		if !ok {
			env := c.env.Get(k)
			if !env.IsSet() {
				continue
			}
			v = env.String()
		}
		out[k] = v
	}
	return out
}

// made is a stage that was built.
type made struct {
	layers   []oci.Layer
	config   oci.Config
	provides []string
}

// build makes the image of a Dockerfile. The same inputs give the same image.
func (c *call) build(b recipe) (oci.Image, error) {
	fmt.Fprintf(c.err, "#0 building with \"default\" instance using docker driver\n#1 [internal] load build definition from %s\n", cmp.Or(path.Base(b.dockerfile), "Dockerfile"))
	stages, globals, err := parseDockerfile(b.content, b.args)
	if err != nil {
		return oci.Image{}, err
	}
	target := len(stages) - 1
	if b.target != "" {
		i, ok := find(stages, b.target, len(stages))
		if !ok {
			return oci.Image{}, fmt.Errorf("target stage %q could not be found", b.target)
		}
		target = i
	}
	built := map[int]*made{}
	for i, s := range stages[:target+1] {
		if !needed(stages, i, target) {
			continue
		}
		m, err := c.stage(b, stages, built, i, s, globals)
		if err != nil {
			return oci.Image{}, err
		}
		built[i] = m
	}
	m := built[target]
	if len(b.labels) > 0 {
		m.config.Labels = merge(m.config.Labels, b.labels)
	}
	slices.Sort(m.provides)
	layers := append(slices.Clone(m.layers), oci.Layer{provides: strings.Join(slices.Compact(m.provides), "\n")})
	return oci.Build(oci.Spec{Layers: layers, Config: m.config, Docker: !b.oci}), nil
}

// needed tells whether the target depends on a stage: others are not built, so
// their images need not exist, as with BuildKit.
func needed(stages []stage, i, target int) bool {
	if i == target {
		return true
	}
	seen := map[int]bool{}
	var visit func(n int)
	visit = func(n int) {
		if seen[n] {
			return
		}
		seen[n] = true
		if k, ok := find(stages, stages[n].base, n); ok {
			visit(k)
		}
		for _, step := range stages[n].steps {
			if k, ok := find(stages, step.from(), n); ok {
				visit(k)
			}
		}
	}
	visit(target)
	return seen[i]
}

func (c *call) stage(b recipe, stages []stage, built map[int]*made, i int, s stage, globals map[string]string) (*made, error) {
	m, err := c.base(b, stages, built, i, s.base)
	if err != nil {
		return nil, err
	}
	args := map[string]string{}
	env := map[string]string{}
	for _, kv := range m.config.Env {
		k, v, _ := strings.Cut(kv, "=")
		env[k] = v
	}
	lex := shell.NewLex('\\')
	for n, in := range s.steps {
		fmt.Fprintf(c.err, "#%d [%d/%d] %s\n", n+5, n+2, len(s.steps)+1, in.text)
		m.provides = append(m.provides, in.programs()...)
		expand := func(w string) (string, error) { return expandWord(lex, w, both(args, env)) }
		switch in.verb {
		case "ARG":
			for _, a := range in.args {
				name, value, _ := strings.Cut(a, "=")
				if value, err = expand(value); err != nil {
					return nil, err
				}
				if g, ok := globals[name]; ok && !strings.Contains(a, "=") {
					value = g
				}
				if v, ok := b.args[name]; ok {
					value = v
				}
				args[name] = value
			}
		case "ENV", "LABEL":
			// The parser gives triples: name, value, separator.
			for k := 0; k+1 < len(in.args); k += 3 {
				value, err := expand(in.args[k+1])
				if err != nil {
					return nil, err
				}
				if in.verb == "ENV" {
					env[in.args[k]] = value
				} else {
					m.config.Labels = merge(m.config.Labels, map[string]string{in.args[k]: value})
				}
			}
		case "WORKDIR":
			dir, err := expand(strings.Join(in.args, " "))
			if err != nil {
				return nil, err
			}
			m.config.WorkingDir = virtual(cmp.Or(m.config.WorkingDir, "/"), dir)
		case "CMD":
			m.config.Cmd = command0(in)
		case "ENTRYPOINT":
			m.config.Entrypoint, m.config.Cmd = command0(in), nil
		case "COPY", "ADD":
			layer, err := c.copyStep(b, stages, built, i, in, m, expand)
			if err != nil {
				return nil, err
			}
			m.layers = append(m.layers, layer)
		case "RUN":
			m.layers = append(m.layers, oci.Layer{
				fmt.Sprintf("var/lib/sandbox/run-%03d", len(m.layers)): strings.Join(append(append([]string{in.text}, in.docs...), both(args, env)...), "\n"),
			})
		}
	}
	m.config.Env = pairs(env)
	return m, nil
}

func command0(in instruction) []string {
	if in.json {
		return in.args
	}
	return []string{"/bin/sh", "-c", strings.Join(in.args, " ")}
}

func merge(a, b map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range []map[string]string{a, b} {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

// base resolves what a stage starts from.
func (c *call) base(b recipe, stages []stage, built map[int]*made, i int, name string) (*made, error) {
	if name == "scratch" {
		return &made{}, nil
	}
	if k, ok := find(stages, name, i); ok {
		m := *built[k]
		m.layers, m.provides = slices.Clone(m.layers), slices.Clone(m.provides)
		return &m, nil
	}
	r, err := parseRef(name)
	if err != nil {
		return nil, fmt.Errorf("failed to parse stage name %q: %w", name, err)
	}
	fmt.Fprintf(c.err, "#2 [internal] load metadata for %s\n", r.key())
	image, ok := oci.Image{}, false
	if b.local != nil {
		image, ok = b.local(r)
	}
	if !ok || b.pull {
		pulled, err := c.j.fetch(c.ctx, b.remote(), r)
		if err != nil {
			return nil, fmt.Errorf("%s: failed to resolve source metadata for %s: %s", r, r.key(), solveWords(r, err))
		}
		image = pulled
	}
	m := &made{layers: []oci.Layer{{"var/lib/sandbox/base": r.key() + "\n" + image.Digest() + "\n"}}}
	if !c.j.served(r.Host) {
		return m, nil
	}
	files := imageFiles(image)
	m.layers = append(m.layers, oci.Layer(files))
	m.provides = strings.Fields(files[provides])
	delete(files, provides)
	if config, err := image.Run(); err == nil {
		m.config = config
	}
	return m, nil
}

// solveWords is what BuildKit says when a base image cannot be had.
func solveWords(r ref, err error) string {
	var refused *oci.Error
	if !errors.As(err, &refused) {
		return err.Error()
	}
	switch refused.Status {
	case http.StatusNotFound:
		return r.key() + ": not found"
	case http.StatusUnauthorized, http.StatusForbidden:
		return fmt.Sprintf("unexpected status from HEAD request to https://%s/v2/%s/manifests/%s: %d %s",
			r.Host, r.Repository, r.reference(), refused.Status, http.StatusText(refused.Status))
	}
	return words(err)
}
