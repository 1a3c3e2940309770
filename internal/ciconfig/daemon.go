package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// A job in an own image may start containers itself: its script calls docker, or a
// program in it does. It then had a service docker:dind, or the one of .docker. In a
// container of that daemon it reaches it by the daemon's socket, which is there
// whatever port and certificates the daemon uses; the checkout has the same path for
// both, so that volumes and builds of it work as before.
// https://github.com/docker-library/docker/blob/master/dockerd-entrypoint.sh

// clientOfDocker says whether a tool, as callsDocker names it, needs no more than
// the daemon's socket.
func clientOfDocker(tool string) bool {
	name, _, _ := strings.Cut(tool, " ")
	return name == "docker" || name == "docker-compose"
}

// dind says whether a service is docker-in-docker.
func (s imageSpec) dind() bool { return strings.Contains(s.name, "dind") }

// plain says whether a docker-in-docker is like the one that .docker brings.
func (s imageSpec) plain() bool {
	return len(s.command)+len(s.entrypoint)+len(s.variables) == 0 && slices.Equal(serviceNames(s), []string{"docker"})
}

// addressed finds scripts that give their containers the address of another one.
var addressed = regexp.MustCompile(`--add-host|/etc/hosts|\bgetent\b|--net(work)?[= ]host`)

// steersDocker finds scripts that choose their daemon themselves.
var steersDocker = regexp.MustCompile(`DOCKER_(HOST|TLS_|CERT_PATH|CONTEXT|CONFIG)`)

// handDaemon gives a container the daemon that its job talks to, with the login
// that .docker has made there. why says what stands in the way.
func (r *run) handDaemon(s *site, tool string, script []string, c *container) (why string) {
	own, others := r.daemons(s.job.tree.kid("services"))
	platform := own == nil && slices.Contains(s.job.chain, ".docker")
	e := r.cfg.env(s.job.tree)
	hosts, _ := e.lookup("DOCKER_HOST")
	switch {
	case tool == "" && own == nil && !platform:
		r.otherDaemon(s, e)
		return ""
	case tool != "" && !clientOfDocker(tool):
		return "the script calls " + tool + " and that needs privileges of its own"
	case own == nil && !platform:
		return "the script calls " + tool + " and no service docker:dind says which daemon it talks to"
	case own != nil && !own.plain() && (others || s.job.own.kids["services"] == nil):
		return "its service docker:dind has settings of its own that the one of .docker does not have"
	case slices.ContainsFunc(script, steersDocker.MatchString), len(e.defs["DOCKER_CONFIG"])+len(e.defs["DOCKER_CONTEXT"]) > 0:
		return "the job says itself which docker daemon it talks to or where its login is"
	case s.image.user != "" && s.image.user != "root" && s.image.user != "0":
		return "its image runs as " + s.image.user + " who may not use the socket of the docker daemon"
	}
	names := []string{"docker"}
	if own != nil && !own.plain() {
		s.ownDaemon, names = true, serviceNames(*own)
	}
	if hosts == nil {
		hosts = []text{{piece{text: "docker"}}} // what the image of .docker sets
	}
	for _, h := range hosts {
		host, _, _ := strings.Cut(strings.TrimPrefix(h.String(), "tcp://"), ":")
		if !slices.Contains(names, host) {
			return "its docker daemon is " + h.String() + " and not its service docker:dind"
		}
	}
	c.flags = append(c.flags, "-e DOCKER_HOST=unix:///var/run/docker.sock -v /var/run/docker.sock:/var/run/docker.sock")
	for _, n := range sortedKeys(e.defs) {
		if strings.HasPrefix(n, "DOCKER_") && !steersDocker.MatchString(n) {
			c.flags = append(c.flags, "-e "+n)
		}
	}
	for _, n := range names {
		c.flags = append(c.flags, "--add-host "+n+":host-gateway") // ports that its containers publish
	}
	c.addressed = slices.ContainsFunc(script, addressed.MatchString)
	c.before = append(c.before, keepLogin)
	c.first = append(c.first, takeLogin)
	r.report("daemon-handed-in", s.at, s.job.name).cause = "daemon"
	return ""
}

// otherDaemon warns of a daemon of the runner's, or of another machine, to which the job's
// own docker run would talk: the variables of the pipeline name it, and .docker does not.
func (r *run) otherDaemon(s *site, e *env) {
	if t := r.cfg.root.kid(".docker"); t != nil && r.cfg.extended(t, &job{}, 0).kid("variables").kid("DOCKER_HOST") != nil {
		return
	}
	hosts, _ := e.lookup("DOCKER_HOST")
	for _, h := range hosts {
		host, _, _ := strings.Cut(strings.TrimPrefix(h.String(), "tcp://"), ":")
		if !slices.Contains([]string{"", "docker", "localhost", "127.0.0.1"}, host) {
			r.report("other-daemon", s.at, s.job.name+": "+h.String()).cause = h.String()
		}
	}
}

// The login that .docker has made is a file in the job's own container. It takes
// the way beside the checkout, which only the runner and this job see.
const (
	keepLogin = `if [ -f ~/.docker/config.json ]; then mkdir -p "$CI_PROJECT_DIR.tmp" && cp ~/.docker/config.json "$CI_PROJECT_DIR.tmp/docker.json"; fi`
	takeLogin = `if [ -f "$CI_PROJECT_DIR.tmp/docker.json" ]; then mkdir -p ~/.docker && mv "$CI_PROJECT_DIR.tmp/docker.json" ~/.docker/config.json; fi`
)

// login are the lines before another container of the job.
func (c container) login() []string {
	if slices.Contains(c.before, keepLogin) {
		return []string{keepLogin}
	}
	return nil
}

// daemons finds the docker-in-docker among services, and says whether there are others.
func (r *run) daemons(t *tree) (own *imageSpec, others bool) {
	list, _ := r.cfg.services(t)
	for _, x := range list {
		if sp := r.spec(x); sp.dind() {
			own = &sp
		} else {
			others = true
		}
	}
	return own, others
}

// neutral are the keys that a job may well get from .docker: they say how its
// containers run, not when, or what for.
var neutral = map[string]bool{"image": true, "services": true, "before_script": true, "script": true, "after_script": true, "variables": true, "tags": true,
	"id_tokens": true, "secrets": true, "extends": true, "retry": true, "timeout": true, "hooks": true, "interruptible": true, "inherit": true}

// takesOver says which other key, or variable, a job would get from a template
// .docker that it begins to extend: as the last of its templates that one wins over
// all that the job does not say itself.
func (r *run) takesOver(j *job) string {
	docker := r.cfg.root.kid(".docker")
	if docker == nil || slices.Contains(j.chain, ".docker") {
		return ""
	}
	t := r.cfg.extended(docker, &job{}, 0)
	for _, key := range t.keys {
		if !neutral[key] && j.own.kids[key] == nil {
			return "its " + key + ":"
		}
	}
	vars, own, had := t.kid("variables"), j.own.kid("variables"), j.tree.kid("variables")
	if vars == nil {
		return ""
	}
	for _, name := range vars.keys {
		if was := had.kid(name); was != nil && own.kid(name) == nil && !steering.MatchString(name) && was.value() != vars.kids[name].value() {
			return "its variable " + name
		}
	}
	return ""
}
