package runner

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// dockerCommands are the subcommands; management forms such as docker image push
// lead to the same.
var dockerCommands map[string]command

func init() {
	dockerCommands = map[string]command{
		"login": dockerLogin, "logout": dockerLogout, "build": dockerBuild, "tag": dockerTag, "push": dockerPush, "pull": dockerPull,
		"run": dockerRun, "create": dockerRun, "exec": dockerExec, "images": dockerImages, "ls": dockerImages, "inspect": dockerInspect,
		"rmi": dockerRemoveImage, "manifest": dockerManifest, "buildx": dockerBuildx, "compose": cmdCompose, "network": dockerNetwork,
		"rm": dockerRemove, "stop": dockerRemove, "kill": dockerRemove, "logs": dockerLogs, "ps": dockerPs, "wait": say("0"),
		"version": dockerVersion, "--version": dockerVersion, "info": say("Server Version: 27.5.1"), "save": dockerAbsent, "load": dockerAbsent, "cp": dockerAbsent,
		"system": cmdOK, "volume": cmdOK, "start": cmdOK, "prune": cmdOK, "history": cmdOK, "port": cmdOK, "context": cmdOK,
	}
}

// clientOnly are the subcommands that do without a daemon.
var clientOnly = set("login logout manifest version --version context compose")

func cmdDocker(c *call) int {
	args := c.args
	for len(args) > 0 && strings.HasPrefix(args[0], "-") && args[0] != "--version" {
		if takes := set("-H --host --config -c --context -l --log-level"); takes[args[0]] && len(args) > 1 {
			args = args[1:]
		}
		args = args[1:]
	}
	if len(args) == 0 {
		c.printf("Usage:  docker [OPTIONS] COMMAND\n")
		return 0
	}
	sub, rest := args[0], args[1:]
	if (sub == "image" || sub == "container" || sub == "builder") && len(rest) > 0 {
		group := sub
		sub, rest = rest[0], rest[1:]
		if group == "container" && sub == "ls" {
			sub = "ps"
		}
		if group == "image" && sub == "rm" {
			sub = "rmi"
		}
	}
	f := dockerCommands[sub]
	if f == nil {
		fmt.Fprintf(c.err, "docker: '%s' is not a docker command.\nSee 'docker --help'\n", sub)
		return 1
	}
	if c.name == "docker" && !clientOnly[sub] && !c.j.docker.running() {
		return c.fail("ERROR: Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?")
	}
	return f(c.with("docker "+sub, rest...))
}

// dockerAbsent refuses what would need archives of images and containers: a
// success without the file would only mislead.
func dockerAbsent(c *call) int { return c.fail("%s is not available here", c.name) }

func cmdBuildah(c *call) int {
	if len(c.args) == 0 {
		return 0
	}
	switch sub := c.args[0]; sub {
	case "bud", "build", "build-using-dockerfile":
		return dockerBuild(c.with("docker build", c.args[1:]...))
	case "push", "pull", "tag", "login", "logout", "images", "rmi", "inspect", "manifest":
		args := c.args[1:]
		// buildah push IMAGE docker://DESTINATION
		if sub == "push" {
			_, rest := flags(args, "--creds --authfile --digestfile --format -f")
			if len(rest) == 2 {
				dest := strings.TrimPrefix(rest[1], "docker://")
				if code := dockerTag(c.with("docker tag", rest[0], dest)); code != 0 {
					return code
				}
				args = []string{dest}
			}
		}
		return dockerCommands[sub](c.with("docker "+sub, args...))
	case "version", "--version":
		return dockerVersion(c)
	default:
		return c.fail("Error: unrecognized command `buildah %s`", sub)
	}
}

func dockerLogin(c *call) int {
	given, rest := flags(c.args, "-u --username -p --password --authfile")
	host := "docker.io"
	if len(rest) > 0 {
		host, _, _ = strings.Cut(strings.TrimPrefix(strings.TrimPrefix(rest[0], "https://"), "http://"), "/")
	}
	l := login{last(given, "-u", "--username"), last(given, "-p", "--password")}
	if has(given, "--password-stdin") {
		l.pass = strings.TrimRight(string(c.stdin()), "\r\n")
	} else if has(given, "-p", "--password") {
		fmt.Fprintln(c.err, "WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
	}
	if err := c.j.denied[host]; err != nil && l.pass == "" {
		// The platform's pipelines get their password from AWS for this job.
		fmt.Fprintln(c.err, err)
		return 254
	}
	if l.user == "" || l.pass == "" {
		return c.fail("Error: Cannot perform an interactive login from a non TTY device")
	}
	if c.j.served(host) {
		if err := c.j.check(c.ctx, host, l); err != nil {
			return c.fail("Error response from daemon: %s", err)
		}
	}
	c.j.docker.setLogin(host, l)
	fmt.Fprintln(c.err, "WARNING! Your password will be stored unencrypted in /root/.docker/config.json.")
	c.printf("Login Succeeded\n")
	return 0
}

func dockerLogout(c *call) int {
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	host := "docker.io"
	if len(c.args) > 0 {
		host = c.args[0]
	}
	delete(d.auths, host)
	c.printf("Removing login credentials for %s\n", host)
	return 0
}

func dockerTag(c *call) int {
	_, rest := flags(c.args, "")
	if len(rest) != 2 {
		return c.fail("\"docker tag\" requires exactly 2 arguments.")
	}
	source, err1 := parseRef(rest[0])
	target, err2 := parseRef(rest[1])
	if err1 != nil || err2 != nil {
		return c.fail("Error parsing reference: %q is not a valid repository/tag: %v", rest[min(1, len(rest))], cmpErr(err2, err1))
	}
	image, ok := c.j.docker.local(source)
	if !ok {
		return c.fail("Error response from daemon: No such image: %s", source)
	}
	c.j.docker.keep(target, image)
	return 0
}

func cmpErr(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func dockerPush(c *call) int {
	given, rest := flags(c.args, "--platform --creds --authfile --digestfile --format -f")
	if len(rest) == 0 {
		return c.fail("\"docker push\" requires exactly 1 argument.")
	}
	name := strings.TrimPrefix(rest[len(rest)-1], "docker://")
	r, err := parseRef(name)
	if err != nil {
		return c.fail("%s", err)
	}
	if !has(given, "-a", "--all-tags") {
		return c.push(r)
	}
	d := c.j.docker
	var tags []string
	d.mu.Lock()
	for key := range d.images {
		if tag, ok := strings.CutPrefix(key, r.Host+"/"+r.Repository+":"); ok {
			tags = append(tags, tag)
		}
	}
	d.mu.Unlock()
	if len(tags) == 0 {
		return c.fail("An image does not exist locally with the tag: %s", r.familiar())
	}
	slices.Sort(tags)
	for _, tag := range tags {
		r.Tag, r.Digest = tag, ""
		if code := c.push(r); code != 0 {
			return code
		}
	}
	return 0
}

// push sends one image of the local store.
func (c *call) push(r ref) int {
	d := c.j.docker
	image, ok := d.local(r)
	c.printf("The push refers to repository [%s/%s]\n", r.Host, r.Repository)
	if !ok {
		return c.fail("An image does not exist locally with the tag: %s", r.familiar())
	}
	if !c.j.served(r.Host) {
		return c.fail("denied: requested access to the resource is denied")
	}
	m, _ := image.Parsed()
	for _, l := range m.Layers {
		c.printf("%s: Preparing\n", l.Digest[7:19])
	}
	if err := d.remote().Push(c.ctx, r.Host, r.Repository, r.reference(), image); err != nil {
		return c.fail("%s", words(err))
	}
	for _, l := range m.Layers {
		c.printf("%s: Pushed\n", l.Digest[7:19])
	}
	c.printf("%s: digest: %s size: %d\n", r.Tag, image.Digest(), len(image.Manifest))
	return 0
}

func dockerPull(c *call) int {
	given, rest := flags(c.args, "--platform --creds --authfile")
	if len(rest) != 1 {
		return c.fail("\"docker pull\" requires exactly 1 argument.")
	}
	r, err := parseRef(strings.TrimPrefix(rest[0], "docker://"))
	if err != nil {
		return c.fail("%s", err)
	}
	image, err := c.j.docker.pull(c.ctx, r)
	if err != nil {
		return c.fail("%s", pullWords(r, err))
	}
	if !has(given, "-q", "--quiet") {
		c.printf("%s: Pulling from %s\nDigest: %s\nStatus: Downloaded newer image for %s\n", r.Tag, r.Repository, image.Digest(), r)
	}
	c.printf("%s/%s:%s\n", r.Host, r.Repository, r.Tag)
	return 0
}

func dockerImages(c *call) int {
	given, _ := flags(c.args, "-f --filter --format")
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	if !has(given, "-q") {
		c.printf("REPOSITORY\tTAG\tIMAGE ID\n")
	}
	for _, key := range slices.Sorted(maps.Keys(d.images)) {
		r, err := parseRef(key)
		if err != nil || r.Tag == "" {
			continue
		}
		id := d.images[key].Digest()[7:19]
		if has(given, "-q") {
			c.printf("%s\n", id)
		} else {
			c.printf("%s\t%s\t%s\n", r.familiar(), r.Tag, id)
		}
	}
	return 0
}

func dockerInspect(c *call) int {
	given, rest := flags(c.args, "-f --format --type")
	code := 0
	for _, name := range rest {
		d := c.j.docker
		d.mu.Lock()
		_, isContainer := d.containers[name]
		d.mu.Unlock()
		r, err := parseRef(name)
		image, ok := oci.Image{}, false
		if err == nil {
			image, ok = d.local(r)
		}
		switch format := last(given, "-f", "--format"); {
		case isContainer:
			c.printf("[{\"Name\":\"/%s\",\"State\":{\"Status\":\"running\",\"Running\":true,\"ExitCode\":0}}]\n", name)
		case !ok:
			c.printf("[]\n")
			code = c.fail("Error response from daemon: No such image: %s", name)
		case strings.Contains(format, "RepoDigests"):
			c.printf("%s@%s\n", r.familiar(), image.Digest())
		case format != "":
			c.printf("%s\n", image.Digest())
		default:
			c.printf("[{\"Id\":%q,\"RepoTags\":[%q],\"RepoDigests\":[\"%s@%s\"]}]\n", image.Digest(), r, r.familiar(), image.Digest())
		}
	}
	return code
}

func dockerRemoveImage(c *call) int {
	_, rest := flags(c.args, "")
	d := c.j.docker
	code := 0
	for _, name := range rest {
		r, err := parseRef(name)
		if _, ok := d.local(r); err != nil || !ok {
			code = c.fail("Error response from daemon: No such image: %s", name)
			continue
		}
		d.mu.Lock()
		delete(d.images, r.key())
		d.mu.Unlock()
		c.printf("Untagged: %s\n", r)
	}
	return code
}

func dockerNetwork(c *call) int {
	_, rest := flags(c.args, "-d --driver --subnet --filter -f")
	if len(rest) < 2 {
		return 0
	}
	d := c.j.docker
	d.mu.Lock()
	defer d.mu.Unlock()
	name := rest[len(rest)-1]
	switch rest[0] {
	case "create":
		if d.networks[name] {
			return c.fail("Error response from daemon: network with name %s already exists", name)
		}
		d.networks[name] = true
		c.printf("%s\n", oci.Digest([]byte(name))[7:])
	case "rm", "remove":
		if !d.networks[name] {
			return c.fail("Error response from daemon: network %s not found", name)
		}
		delete(d.networks, name)
		c.printf("%s\n", name)
	}
	return 0
}

func dockerVersion(c *call) int {
	c.printf("Docker version 27.5.1, build 9f9e405\n")
	return 0
}

// dockerManifest is docker manifest create, push, inspect and annotate.
func dockerManifest(c *call) int {
	given, rest := flags(c.args, "--amend --os --arch --variant")
	if len(rest) < 2 {
		return c.fail("\"docker manifest\" requires a command")
	}
	// --amend takes no value in docker; what it swallowed is a member.
	members := append(slices.Clone(given["--amend"]), rest[2:]...)
	members = slices.DeleteFunc(members, func(s string) bool { return s == "" })
	r, err := parseRef(rest[1])
	if err != nil {
		return c.fail("%s", err)
	}
	d := c.j.docker
	remote := c.j.remote(c.accounts)
	switch rest[0] {
	case "create":
		d.mu.Lock()
		d.manifests[r.key()] = append(d.manifests[r.key()], members...)
		d.mu.Unlock()
		for _, m := range members {
			mr, err := parseRef(m)
			if err == nil {
				_, err = c.j.fetch(c.ctx, remote, mr)
			}
			if err != nil {
				return c.fail("no such manifest: %s", m)
			}
		}
		c.printf("Created manifest list %s\n", r.key())
	case "annotate":
	case "push":
		d.mu.Lock()
		members := slices.Clone(d.manifests[r.key()])
		d.mu.Unlock()
		if len(members) == 0 {
			return c.fail("manifest list not found: %s", r)
		}
		var children []oci.Image
		for _, m := range members {
			mr, err := parseRef(m)
			if err != nil {
				return c.fail("%s", err)
			}
			image, err := c.j.fetch(c.ctx, remote, mr)
			if err != nil {
				return c.fail("%s", words(err))
			}
			children = append(children, image)
		}
		index := oci.Index(children...)
		if err := remote.Push(c.ctx, r.Host, r.Repository, r.reference(), index); err != nil {
			return c.fail("%s", words(err))
		}
		c.printf("%s\n", index.Digest())
	case "inspect":
		image, err := c.j.fetch(c.ctx, remote, r)
		if err != nil {
			return c.fail("no such manifest: %s", r)
		}
		c.printf("%s\n", image.Manifest)
	default:
		return c.fail("docker manifest: unknown command %q", rest[0])
	}
	return 0
}

// dockerBuildx is docker buildx build and imagetools; builders are there already.
func dockerBuildx(c *call) int {
	if len(c.args) == 0 {
		return 0
	}
	sub, rest := c.args[0], c.args[1:]
	switch sub {
	case "build":
		return dockerBuild(c.with("docker buildx build", rest...))
	case "bake":
		return c.fail("ERROR: docker buildx bake is not available here")
	case "imagetools":
		given, args := flags(rest, "-t --tag -f --file --format")
		if len(args) < 2 {
			return c.fail("ERROR: \"docker buildx imagetools\" requires a source")
		}
		remote := c.j.remote(c.accounts)
		var sources []oci.Image
		for _, name := range args[1:] {
			r, err := parseRef(name)
			if err != nil {
				return c.fail("ERROR: %s", err)
			}
			image, err := c.j.fetch(c.ctx, remote, r)
			if err != nil {
				return c.fail("ERROR: %s: %s", r, words(err))
			}
			sources = append(sources, image)
		}
		if args[0] == "inspect" {
			c.printf("Name:      %s\nMediaType: %s\nDigest:    %s\n", args[1], sources[0].MediaType, sources[0].Digest())
			return 0
		}
		image := sources[0]
		if len(sources) > 1 {
			image = oci.Index(sources...)
		}
		for _, t := range all(given, "-t", "--tag") {
			r, err := parseRef(t)
			if err != nil {
				return c.fail("ERROR: %s", err)
			}
			if err := remote.Push(c.ctx, r.Host, r.Repository, r.reference(), image); err != nil {
				return c.fail("ERROR: failed to push %s: %s", r, words(err))
			}
		}
	}
	return 0
}
