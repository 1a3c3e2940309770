package runner

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// project is a compose file, as far as images and how to start them go.
type project struct {
	Services map[string]*service `yaml:"services"`
	name     string
	dir      string
	order    []string
}

type service struct {
	Image       string         `yaml:"image"`
	Build       *composeBuild  `yaml:"build"`
	Command     words1         `yaml:"command"`
	Entrypoint  words1         `yaml:"entrypoint"`
	Environment settings       `yaml:"environment"`
	EnvFile     words1         `yaml:"env_file"`
	DependsOn   dependencies   `yaml:"depends_on"`
	WorkingDir  string         `yaml:"working_dir"`
	Volumes     []yaml.Node    `yaml:"volumes"`
	Rest        map[string]any `yaml:",inline"`
}

// composeBuild is a context alone or a mapping.
type composeBuild struct {
	Context    string   `yaml:"context"`
	Dockerfile string   `yaml:"dockerfile"`
	Args       settings `yaml:"args"`
	Target     string   `yaml:"target"`
}

func (b *composeBuild) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		b.Context = n.Value
		return nil
	}
	type plain composeBuild
	return n.Decode((*plain)(b))
}

// words1 is a list or one string.
type words1 []string

func (w *words1) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.ScalarNode {
		*w = strings.Fields(n.Value)
		return nil
	}
	return n.Decode((*[]string)(w))
}

// settings is a list of KEY=value or a mapping.
type settings []string

func (s *settings) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return n.Decode((*[]string)(s))
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		kv := n.Content[i].Value
		if v := n.Content[i+1]; v.Tag != "!!null" {
			kv += "=" + v.Value
		}
		*s = append(*s, kv)
	}
	return nil
}

// dependencies is a list or a mapping whose keys count.
type dependencies []string

func (d *dependencies) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind != yaml.MappingNode {
		return n.Decode((*[]string)(d))
	}
	for i := 0; i < len(n.Content); i += 2 {
		*d = append(*d, n.Content[i].Value)
	}
	return nil
}

var composeNames = []string{"compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml"}

// loadCompose reads the compose files of a call.
func (c *call) loadCompose(files []string, directory string) (*project, error) {
	if len(files) == 0 && c.getenv("COMPOSE_FILE") != "" {
		files = strings.Split(c.getenv("COMPOSE_FILE"), ":")
	}
	if len(files) == 0 {
		for _, name := range composeNames {
			if _, err := c.disk.stat(c.path(name)); err == nil {
				files = []string{name}
				break
			}
		}
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no configuration file provided: not found")
	}
	p := &project{Services: map[string]*service{}, dir: path.Dir(c.path(files[0]))}
	if directory != "" {
		p.dir = c.path(directory)
	}
	if p.name = c.getenv("COMPOSE_PROJECT_NAME"); p.name == "" {
		p.name = strings.ToLower(path.Base(p.dir))
	}
	env := c.exported()
	if b, err := c.disk.read(path.Join(p.dir, ".env")); err == nil {
		for _, line := range strings.Split(string(b), "\n") {
			if k, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(k, "#") {
				if _, set := env[k]; !set {
					env[k] = strings.Trim(v, `"'`)
				}
			}
		}
	}
	for _, name := range files {
		b, err := c.readFile(name)
		if err != nil {
			return nil, fmt.Errorf("open %s: no such file or directory", c.path(name))
		}
		text, err := interpolate(string(b), env)
		if err != nil {
			return nil, err
		}
		one := &project{}
		if err := yaml.Unmarshal([]byte(text), one); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		for n, s := range one.Services {
			if s == nil {
				s = &service{}
			}
			if old := p.Services[n]; old != nil { // a later file wins field by field
				if s.Image == "" {
					s.Image = old.Image
				}
				if s.Build == nil {
					s.Build = old.Build
				}
				s.Environment = append(slices.Clone(old.Environment), s.Environment...)
				s.DependsOn = append(old.DependsOn, s.DependsOn...)
			}
			p.Services[n] = s
		}
	}
	return p, p.sort()
}

// sort puts services after those that they depend on.
func (p *project) sort() error {
	state := map[string]int{}
	var visit func(name string) error
	visit = func(name string) error {
		s := p.Services[name]
		switch {
		case s == nil:
			return fmt.Errorf("service %q is not defined", name)
		case state[name] == 1:
			return fmt.Errorf("dependency cycle detected: %s", name)
		case state[name] == 2:
			return nil
		}
		state[name] = 1
		for _, d := range s.DependsOn {
			if err := visit(d); err != nil {
				return err
			}
		}
		state[name] = 2
		p.order = append(p.order, name)
		return nil
	}
	for _, name := range sortedKeys(p.Services) {
		if err := visit(name); err != nil {
			return err
		}
	}
	return nil
}

var composeVariable = regexp.MustCompile(`\$(?:\$|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)(?:(:?[-?+])([^}]*))?\})`)

// interpolate replaces variables as compose does, see
// https://docs.docker.com/reference/compose-file/interpolation/.
func interpolate(text string, env map[string]string) (string, error) {
	var failed error
	out := composeVariable.ReplaceAllStringFunc(text, func(s string) string {
		if s == "$$" {
			return "$"
		}
		m := composeVariable.FindStringSubmatch(s)
		name := m[1] + m[2]
		value, set := env[name]
		if strings.HasPrefix(m[3], ":") {
			set = value != ""
		}
		switch strings.TrimPrefix(m[3], ":") {
		case "-":
			if !set {
				return m[4]
			}
		case "?":
			if !set {
				failed = fmt.Errorf("required variable %s is missing a value: %s", name, m[4])
			}
		case "+":
			if set {
				return m[4]
			}
			return ""
		}
		return value
	})
	return out, failed
}

func cmdCompose(c *call) int {
	options, rest := leading(c.args, "-f --file -p --project-name --project-directory --profile --env-file --ansi --progress")
	given, _ := flags(options, "-f --file -p --project-name --project-directory --profile --env-file --ansi --progress")
	if len(rest) == 0 {
		if has(given, "--version") {
			c.printf("Docker Compose version v2.32.4\n")
		}
		return 0
	}
	sub, args := rest[0], rest[1:]
	if sub == "version" {
		c.printf("Docker Compose version v2.32.4\n")
		return 0
	}
	p, err := c.loadCompose(all(given, "-f", "--file"), last(given, "--project-directory"))
	if err != nil {
		return c.fail("%s", err)
	}
	if name := last(given, "-p", "--project-name"); name != "" {
		p.name = name
	}
	if sub != "config" && !c.j.docker.running() {
		return c.fail("Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	}
	own := c.with("docker compose "+sub, args...)
	switch sub {
	case "run", "exec":
		return own.composeRun(p)
	case "config", "ps", "logs", "stop", "start", "restart", "top", "images", "wait", "kill":
		return 0
	case "down", "rm":
		return own.composeDown(p)
	}
	given, names := flags(args, "--build-arg --progress --scale -t --timeout --wait-timeout --policy --exit-code-from")
	for _, n := range names {
		if p.Services[n] == nil {
			return c.fail("no such service: %s", n)
		}
	}
	for _, name := range p.order {
		if len(names) > 0 && !slices.Contains(names, name) && !(sub == "up" && p.needs(names, name)) {
			continue
		}
		s := p.Services[name]
		code := 0
		switch sub {
		case "build":
			if s.Build != nil {
				code = own.composeBuild(p, name, given)
			}
		case "push":
			if s.Image != "" && s.Build != nil {
				code = own.composePush(s)
			}
		case "pull":
			if s.Image != "" {
				code = dockerPull(own.with("docker pull", s.Image))
			}
		case "up", "create":
			if code = own.composeImage(p, name, has(given, "--build")); code == 0 {
				_, code = own.composeStart(p, name, nil)
			}
		default:
			return c.fail("unknown docker command: \"compose %s\"", sub)
		}
		if code != 0 {
			return code
		}
	}
	return 0
}

func (p *project) needs(names []string, name string) bool {
	for _, n := range names {
		if s := p.Services[n]; s != nil && (slices.Contains(s.DependsOn, name) || p.needs(s.DependsOn, name)) {
			return true
		}
	}
	return false
}

// tag is the name of a service's image.
func (p *project) tag(name string) string {
	if s := p.Services[name]; s.Image != "" {
		return s.Image
	}
	return p.name + "-" + name
}

func (c *call) composeBuild(p *project, name string, given map[string][]string) int {
	s := p.Services[name]
	inner := *c
	inner.dir = p.dir
	args := []string{"-t", p.tag(name)}
	for _, a := range s.Build.Args {
		args = append(args, "--build-arg", a)
	}
	for _, a := range given["--build-arg"] {
		args = append(args, "--build-arg", a)
	}
	if s.Build.Target != "" {
		args = append(args, "--target", s.Build.Target)
	}
	context := virtual(p.dir, s.Build.Context)
	if s.Build.Dockerfile != "" {
		args = append(args, "-f", virtual(context, s.Build.Dockerfile))
	}
	return dockerBuild(inner.with("docker build", append(args, context)...))
}

func (c *call) composePush(s *service) int {
	r, err := parseRef(s.Image)
	if err != nil {
		return c.fail("%s: %s", s.Image, err)
	}
	return c.push(r)
}

// composeImage makes sure that a service's image is there: pulled if possible,
// else built, unless a build is asked for.
func (c *call) composeImage(p *project, name string, build bool) int {
	s := p.Services[name]
	r, err := parseRef(p.tag(name))
	if err != nil {
		return c.fail("%s: %s", p.tag(name), err)
	}
	if build && s.Build != nil {
		return c.composeBuild(p, name, nil)
	}
	if _, ok := c.j.docker.local(r); ok {
		return 0
	}
	if s.Image != "" && (s.Build == nil || c.j.served(r.Host)) {
		if _, err = c.j.docker.pull(c.ctx, r); err == nil {
			return 0
		}
		if s.Build == nil {
			return c.fail("%s", pullWords(r, err))
		}
		fmt.Fprintf(c.err, " %s Warning %s\n", name, strings.TrimPrefix(pullWords(r, err), "Error response from daemon: "))
	}
	if s.Build == nil {
		return c.fail("service %q has neither an image nor a build context specified", name)
	}
	return c.composeBuild(p, name, nil)
}

// composeStart makes a service's container. options are further ones of docker run.
func (c *call) composeStart(p *project, name string, options map[string][]string) (*container, int) {
	s := p.Services[name]
	inner := *c
	inner.dir = p.dir
	given := map[string][]string{"-e": s.Environment, "--env-file": s.EnvFile, "--name": {p.name + "-" + name + "-1"}}
	if s.WorkingDir != "" {
		given["-w"] = []string{s.WorkingDir}
	}
	for _, v := range s.Volumes {
		if v.Kind == yaml.ScalarNode {
			given["-v"] = append(given["-v"], v.Value)
		}
	}
	for k, v := range options {
		given[k] = append(slices.Clone(given[k]), v...)
	}
	k, code := inner.newContainer(p.tag(name), given)
	if code != 0 {
		return nil, code
	}
	if len(s.Command) > 0 {
		k.config.Cmd = s.Command
	}
	if len(s.Entrypoint) > 0 {
		k.config.Entrypoint = s.Entrypoint
	}
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	d.containers[k.name] = k
	fmt.Fprintf(c.err, " Container %s  Started\n", k.name)
	return k, 0
}

func (c *call) composeRun(p *project) int {
	options, rest := leading(c.args, runValued+" -T")
	given, _ := flags(options, runValued)
	if len(rest) == 0 {
		return c.fail("requires at least 1 arg(s), only received 0")
	}
	name := rest[0]
	s := p.Services[name]
	if s == nil {
		return c.fail("no such service: %s", name)
	}
	if c.name == "docker compose exec" {
		d := c.j.docker
		d.mu.Lock()
		k := d.containers[p.name+"-"+name+"-1"]
		d.mu.Unlock()
		if k == nil {
			return c.fail("service %q is not running", name)
		}
		return c.inContainer(k, rest[1:], merge(k.env, c.keyValues(given["-e"])), k.dir, c.in)
	}
	for _, n := range p.order {
		if n != name && !(p.needs([]string{name}, n) && !has(given, "--no-deps")) {
			continue
		}
		if code := c.composeImage(p, n, has(given, "--build")); code != 0 {
			return code
		}
		if n != name {
			if _, code := c.composeStart(p, n, nil); code != 0 {
				return code
			}
		}
	}
	k, code := c.composeStart(p, name, map[string][]string{"-e": all(given, "-e", "--env"), "--name": {p.name + "-" + name + "-run-" + oci.Digest([]byte(name))[7:15]}})
	if code != 0 {
		return code
	}
	return c.inContainer(k, k.command(given, rest[1:]), k.env, k.dir, c.in)
}

func (c *call) composeDown(p *project) int {
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.containers {
		if strings.HasPrefix(name, p.name+"-") {
			delete(d.containers, name)
		}
	}
	return 0
}
