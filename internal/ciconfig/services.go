package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// The runner starts a job's services; beside a container that the job starts itself
// it has to start them too. This file writes those lines.

// privileged are services that start containers or file systems of their own.
// The runner gave them the privileges that docker-in-docker has; docker run
// gives none.
var privileged = regexp.MustCompile(`(^|[/-])(k3s|k3d|kind|kindest|k0s|rke2|microk8s|minikube|buildkit|podman|buildah|systemd)([/:@-]|$)`)

// services are the entries of services:, and whether all of them are seen.
func (c *config) services(t *tree) (list []*tree, all bool) {
	lines, unread := c.entries(t)
	for _, l := range lines {
		list = append(list, c.grow(l.doc, l.node, 0))
	}
	return list, len(unread) == 0
}

// services starts the job's services beside the container.
func (r *run) services(t *tree, s *site, script []string, c *container) (why string) {
	started := false
	network := "job"
	list, all := r.cfg.services(t)
	if !all {
		return "an entry of services: is in no file that could be read"
	}
	for _, t := range list {
		sp := r.spec(t)
		switch {
		case sp.name == "" || sp.odd != "":
			return "an entry of services: is not understood"
		case sp.dind():
			continue // .docker brings its own
		}
		if !started {
			started = true
			if name := r.atLocalhost(s.job, script); name != "" {
				r.reportWhy(Warning, "service-started", s.at, s.job.name, name+" names localhost, where a runner on Kubernetes has the services of a job, but containers do not").
					Remedy = "write the name of the service in place of localhost, in " + name
			} else if c.addressed {
				r.reportWhy(Warning, "service-started", s.at, s.job.name, "a container that the commands start is in another network of the same docker, which does not reach them").
					Remedy = "start it by docker run --network " + network + ", where it finds them by their names"
			} else {
				r.report("service-started", s.at, s.job.name).cause = "services"
			}
			c.before = append(c.before, "docker network create "+network)
			c.flags = append([]string{"--network " + network}, c.flags...)
		}
		for _, alias := range serviceNames(sp) {
			if strings.Contains(alias, "$") {
				return "a service without an alias has its host name from its image, which a variable names; give it an alias, and use that name in the script"
			}
		}
		flags := sp.dockerFlags()
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
		variables, _ := r.environment(s, nil)
		flags = append(flags, variables...)
		for _, v := range sp.variables {
			flags = append(flags, "-e "+quote(v))
		}
		first := sp.entrypoint
		switch {
		case len(first) == 0:
		case strings.Join(first, "") == "":
			flags, first = append(flags, `--entrypoint ""`), nil
		default:
			flags, first = append(flags, "--entrypoint "+quote(first[0])), first[1:]
		}
		words := append(flags, `"`+sp.name+`"`)
		for _, w := range slices.Concat(first, sp.command) {
			words = append(words, quote(w))
		}
		c.before = append(c.before, broken("docker run -d --network "+network, words))
	}
	return ""
}

// localhost is an address on the machine itself, background the end of a command that the
// script goes on beside, which may be what listens there.
var (
	localhost  = regexp.MustCompile(`\b(localhost|127\.0\.0\.1)\b`)
	background = regexp.MustCompile(`(?m)[^&>]&[ \t]*($|\n|#)`)
)

// atLocalhost is a variable of a job that has such an address, or its script if a line of that
// has, or "".
// https://docs.gitlab.com/runner/executors/kubernetes/#using-services
func (r *run) atLocalhost(j *job, script []string) string {
	defs := r.cfg.env(j.tree).defs
	for _, name := range sortedKeys(defs) {
		if name == "DOCKER_HOST" {
			continue
		}
		for _, d := range defs[name] {
			if localhost.MatchString(d.node.Value) {
				return name
			}
		}
	}
	says := func(re *regexp.Regexp) bool {
		return slices.ContainsFunc(script, func(l string) bool { return re.MatchString(uncommented(l)) })
	}
	if says(localhost) && !says(background) {
		return "the script"
	}
	return ""
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
