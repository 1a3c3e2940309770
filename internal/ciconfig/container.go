package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// imageSpec is image: or an entry of services:, as far as it is understood.
type imageSpec struct {
	name       string // as written, variables unexpanded
	alias      string
	entrypoint []string
	hasEntry   bool
	command    []string
	user       string
	variables  []string // NAME=value
	odd        string   // a key that is not understood
	doc        *document
}

func (r *run) spec(t *tree) imageSpec {
	var s imageSpec
	node, doc := t.nameNode(r.cfg)
	if node == nil {
		return s
	}
	s.name, s.doc = node.Value, doc
	if t.node != nil && t.node.Tag == "!reference" {
		t = r.cfg.reference(t.node)
	}
	for _, k := range t.keys {
		v := t.kids[k]
		switch k {
		case "name", "pull_policy":
		case "alias":
			s.alias = v.value()
		case "entrypoint":
			s.hasEntry = true
			s.entrypoint = words(v)
		case "command":
			s.command = words(v)
		case "variables":
			for _, n := range v.keys {
				s.variables = append(s.variables, n+"="+v.kids[n].value())
			}
		case "docker":
			s.user = v.kid("user").value()
		default:
			s.odd = k
		}
	}
	return s
}

func words(t *tree) []string {
	var out []string
	for _, n := range items(t.node) {
		if n = deref(n); n != nil {
			out = append(out, n.Value)
		}
	}
	return out
}

// shellEntry says whether the entrypoint is none, or a shell, which the
// container gets anyway.
func (s imageSpec) shellEntry() bool {
	switch e := strings.Join(s.entrypoint, " "); e {
	case "", "sh", "bash", "/bin/sh", "/bin/bash", "/bin/sh -c", "/bin/bash -c", "sh -c", "bash -c", "/usr/bin/env bash", "/usr/bin/env":
		return true
	}
	return false
}

// contain writes a job anew so that its script runs in a container that the
// job starts. why says what stands in the way.
func (r *run) contain(s *site) (out []change, why string) {
	t := s.job.tree
	d := s.job.own.doc
	m := s.job.own.node
	if !d.src.editable {
		return nil, "the job is defined in an included file"
	}
	if m == nil || m.Style&yaml.FlowStyle != 0 {
		return nil, "the job is written in one line"
	}
	for _, key := range []string{"run", "secrets"} {
		if t.kid(key) != nil {
			return nil, "the job has " + key + ":"
		}
	}
	for _, j := range append([]*job{s.job}, s.users...) {
		if tag := r.special(j); tag != "" {
			return nil, "its runner is chosen by the tag " + tag + ", and what that one has does not reach a container by itself"
		}
	}
	for _, key := range append([]string{"extends"}, decisive...) {
		if i := slices.IndexFunc(m.Content, func(n *yaml.Node) bool { return n.Value == key }); i >= 0 && i%2 == 0 && !written(m, s.job.own.kids[key]) {
			return nil, "a merge key behind " + key + ": takes its place"
		}
	}
	if k := s.job.own.kids["after_script"]; k != nil && !has(m, "after_script") {
		return nil, "after_script: comes by a merge key"
	}
	script, why := r.commands(t.kid("before_script"), t.kid("script"))
	if why != "" {
		return nil, why
	}
	after, why := r.commands(t.kid("after_script"))
	if why != "" {
		return nil, why
	}
	if s.image.name == "" && t.kid("image") == nil {
		return nil, "a service is the own image, and the job's image: is not in any file that can be read"
	}
	if s.image.name == "" || s.image.odd != "" {
		return nil, "image: is not understood"
	}
	if s.image.hasEntry && !s.image.shellEntry() {
		return nil, "the entrypoint of image: is not understood"
	}
	run := r.dockerRun(s)
	lines, why := r.services(t.kid("services"), s, &run)
	if why != "" {
		return nil, why
	}
	return r.layout(s, lines, run, script, after)
}

// written says whether a value stands in a mapping itself, not in what it merges.
func written(m *yaml.Node, t *tree) bool {
	for i := 1; i < len(m.Content); i += 2 {
		if t != nil && deref(m.Content[i]) == t.node {
			return true
		}
	}
	return false
}

// specialRunner is a tag of runners with hardware, or a system, that docker run
// does not hand on.
var specialRunner = regexp.MustCompile(`(?i)(^|[-_. /])(gpu|cuda|nvidia|windows|win|macos|mac|osx|darwin|ios|xcode)[0-9]*([-_. /]|$)`)

// special is a tag of such a runner that a job asks for.
func (r *run) special(j *job) string {
	t := j.tree.kid("tags")
	if t == nil {
		return ""
	}
	for _, l := range r.cfg.lines(t) {
		if specialRunner.MatchString(l.node.Value) {
			return l.node.Value
		}
	}
	return ""
}

// commands are the lines of a script as text; comments between entries stay.
func (r *run) commands(parts ...*tree) (lines []string, why string) {
	for _, t := range parts {
		var last *yaml.Node
		for _, l := range r.cfg.lines(t) {
			if l.list != nil && l.list == last {
				lines = append(lines, commentsAbove(l)...)
			}
			last = l.list
			text := strings.TrimRight(l.node.Value, "\n")
			if strings.Contains(text, "$[[") {
				return nil, "the script uses inputs"
			}
			lines = append(lines, strings.Split(text, "\n")...)
			ch := r.cfg.scalar(l.doc, l.node)
			if ch == nil {
				continue
			}
			if f := ch.shell(); f == nil {
				return nil, "a line of the script is not understood by a shell parser"
			} else if tool := r.callsDocker(f, 0); tool != "" {
				return nil, "the script calls " + tool + " itself"
			}
		}
	}
	return lines, ""
}

// commentsAbove are the comment lines directly above a script entry.
func commentsAbove(l line) []string {
	var out []string
	if l.node.HeadComment != "" {
		out = strings.Split(l.node.HeadComment, "\n")
	}
	return out
}

// callsDocker says which container tool a script calls, itself or in a script
// of the repository.
func (r *run) callsDocker(f *syntax.File, depth int) (tool string) {
	syntax.Walk(f, func(n syntax.Node) bool {
		c, ok := n.(*syntax.CallExpr)
		if !ok || tool != "" {
			return tool == ""
		}
		for i, a := range c.Args {
			w := a.Lit()
			switch w {
			case "docker", "podman", "buildah", "docker-compose", "dockerd", "nerdctl", "kind", "k3d":
				if (i == 0 || c.Args[0].Lit() == "sudo") && !onlyVersion(c.Args[i+1:]) {
					tool = w
				}
			}
			if i > 1 || !strings.Contains(w, ".") && !strings.Contains(w, "/") || depth >= maxCalls {
				continue
			}
			if s := r.find(w); s != nil && isShell(s) {
				if g := s.whole().shell(); g != nil {
					if t := r.callsDocker(g, depth+1); t != "" {
						tool = t + " (in " + s.path + ")"
					}
				}
			}
		}
		return tool == ""
	})
	return tool
}

// onlyVersion says whether a tool is only asked which one it is, which needs no
// daemon and no privileges.
func onlyVersion(args []*syntax.Word) bool {
	if len(args) == 0 {
		return false
	}
	switch args[0].Lit() {
	case "-v", "--version", "--help", "-h":
		return true
	}
	return false
}

var shellVariable = regexp.MustCompile(`\$\{?([A-Za-z_][A-Za-z0-9_]*)`)

// ambient are variables that every shell has by itself.
var ambient = map[string]bool{"HOME": true, "PATH": true, "PWD": true, "OLDPWD": true, "RANDOM": true, "SHELL": true, "USER": true, "HOSTNAME": true, "IFS": true,
	"UID": true, "EUID": true, "LINENO": true, "SECONDS": true, "BASH_SOURCE": true, "FUNCNAME": true, "PIPESTATUS": true, "REPLY": true, "OPTARG": true, "OPTIND": true, "PS1": true, "TERM": true}

// steering says whether a variable steers the runner or the platform, not the
// commands of a job.
func steering(name string) bool {
	for _, p := range []string{"GIT_", "DOCKER_", "FF_", "KUBE_", "CI_", "ARTIFACT_", "CACHE_", "TRANSFER_METER"} {
		if strings.HasPrefix(name, p) {
			return true
		}
	}
	return name == "REPLICAS" || name == "HTTP_PORT"
}

// container is a docker run in the making.
type container struct {
	flags []string
	image string
}

func (r *run) dockerRun(s *site) container {
	c := container{image: s.image.name}
	if s.image.hasEntry {
		c.flags = append(c.flags, `--entrypoint ""`)
	}
	if s.image.user != "" {
		c.flags = append(c.flags, "--user "+s.image.user)
	}
	return c
}

// environment are the -e flags: what the pipeline defines and what the
// commands name.
func (r *run) environment(s *site, script []string) []string {
	t := s.job.tree
	e := r.cfg.env(t)
	want := map[string]bool{"CI": true}
	for name := range e.defs {
		vals, _ := e.lookup(name)
		if !steering(name) && !slices.ContainsFunc(vals, r.mentions) {
			want[name] = true
		}
	}
	for name, vals := range e.received {
		if !steering(name) && !slices.ContainsFunc(vals, r.mentions) {
			want[name] = true
		}
	}
	for _, j := range s.users {
		if v := j.tree.kid("variables"); v != nil {
			for _, name := range v.keys {
				if !steering(name) {
					want[name] = true
				}
			}
		}
		if tok := j.tree.kid("id_tokens"); tok != nil {
			for _, name := range tok.keys {
				want[name] = true
			}
		}
	}
	if tok := t.kid("id_tokens"); tok != nil {
		for _, name := range tok.keys {
			want[name] = true
		}
	}
	for name := range r.in.Project.Variables {
		if !steering(name) {
			want[name] = true
		}
	}
	for _, name := range r.in.Project.Secrets {
		if !steering(name) {
			want[name] = true
		}
	}
	for _, n := range named(script) {
		if !n.assigned || len(e.defs[n.name]) > 0 {
			want[n.name] = true
		}
	}
	if reachesCluster(script) {
		want["KUBECONFIG"] = true
	}
	var out []string
	for _, n := range sortedKeys(want) {
		out = append(out, "-e "+n)
	}
	return out
}

// reachesCluster says whether a script calls a tool that reads $KUBECONFIG. The
// runner writes that file beside the checkout, to $CI_PROJECT_DIR.tmp.
// https://docs.gitlab.com/user/clusters/agent/ci_cd_workflow/
func reachesCluster(script []string) bool {
	found := false
	f := parseText(script)
	if f == nil {
		return false
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		if c, ok := n.(*syntax.CallExpr); ok && len(c.Args) > 0 {
			switch c.Args[0].Lit() {
			case "kubectl", "helm", "helmfile", "helmwave", "oc", "flux", "kustomize", "kapp", "skaffold", "k9s":
				found = true
			}
		}
		return !found
	})
	return found
}

// privileged are services that start containers or file systems of their own.
// The runner gave them the privileges that docker-in-docker has; docker run
// gives none.
var privileged = regexp.MustCompile(`(^|[/-])(k3s|k3d|kind|kindest|k0s|rke2|microk8s|minikube|buildkit|podman|buildah|systemd)([/:@-]|$)`)

// services starts the job's services beside the container.
func (r *run) services(t *tree, s *site, c *container) (lines []string, why string) {
	if t == nil {
		return nil, ""
	}
	network := "job"
	for _, n := range items(t.node) {
		n = deref(n)
		if n == nil {
			continue
		}
		sp := r.spec(r.cfg.grow(t.doc, n, 0))
		switch {
		case sp.name == "" || sp.odd != "":
			return nil, "an entry of services: is not understood"
		case strings.Contains(sp.name, "dind"):
			continue // .docker brings its own
		case sp.hasEntry && len(sp.entrypoint) > 0 && strings.Join(sp.entrypoint, "") != "":
			return nil, "a service has an entrypoint of its own"
		}
		if len(lines) == 0 {
			r.report("service-started", s.at, s.job.name)
			lines = append(lines, "docker network create "+network)
			c.flags = append([]string{"--network " + network}, c.flags...)
		}
		for _, alias := range serviceNames(sp) {
			if strings.Contains(alias, "$") {
				return nil, "a service is named by a variable"
			}
		}
		flags := []string{}
		if privileged.MatchString(sp.name) {
			flags = append(flags, "--privileged")
		}
		names := serviceNames(sp)
		flags = append(flags, "--name "+names[0])
		if len(names) > 1 { // the name is an alias by itself
			for _, alias := range names {
				flags = append(flags, "--network-alias "+alias)
			}
		}
		for _, e := range r.environment(s, nil) {
			if e != "-e CI" {
				flags = append(flags, e)
			}
		}
		for _, v := range sp.variables {
			flags = append(flags, "-e "+quote(v))
		}
		if sp.hasEntry && len(sp.entrypoint) > 0 {
			flags = append(flags, `--entrypoint ""`)
		}
		line := "docker run -d --network " + network + " " + strings.Join(flags, " ") + ` "` + sp.name + `"`
		for _, w := range sp.command {
			line += " " + quote(w)
		}
		lines = append(lines, line)
	}
	return lines, ""
}

// serviceNames are the host names that a service gets from GitLab.
// https://docs.gitlab.com/ci/services/#accessing-the-services
func serviceNames(s imageSpec) []string {
	if s.alias != "" {
		return strings.FieldsFunc(s.alias, func(r rune) bool { return r == ',' || r == ' ' })
	}
	name := s.name
	if i := strings.LastIndexByte(name, ':'); i > strings.LastIndexByte(name, '/') {
		name = name[:i]
	}
	a, b := strings.ReplaceAll(name, "/", "__"), strings.ReplaceAll(name, "/", "-")
	if a == b {
		return []string{a}
	}
	return []string{b, a}
}

// quote is a word in double quotes where it needs them; variables stay.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\"'\\;&|<>()*?[]#~`!") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`").Replace(s) + `"`
}
