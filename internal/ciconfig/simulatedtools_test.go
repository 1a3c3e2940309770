package ciconfig

import (
	"crypto/sha256"
	"fmt"
	"path"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/interp"
)

// flags are the values of a flag, which may be joined to it by an equals sign.
func flags(args []string, names ...string) (out []string) {
	for i, a := range args {
		for _, name := range names {
			if a == name && i+1 < len(args) {
				out = append(out, args[i+1])
			} else if v, ok := strings.CutPrefix(a, name+"="); ok {
				out = append(out, v)
			}
		}
	}
	return out
}

func status(ok bool) error {
	if ok {
		return nil
	}
	return interp.ExitStatus(1)
}

// tagged is a reference with the tag that it has where it has none, without a transport.
func tagged(ref string) string {
	for _, transport := range []string{"docker://", "docker-daemon:", "containers-storage:"} {
		ref = strings.TrimPrefix(ref, transport)
	}
	if _, rest, _ := strings.Cut(ref, "team/shop"); !strings.ContainsAny(rest, ":@") {
		ref += ":latest"
	}
	return ref
}

// repository is a reference without tag and digest. A branch with a slash may be the tag: a
// registry refuses that, but for its name the tags of branches are as any others.
func repository(ref string) string {
	if host, rest, ok := strings.Cut(ref, "team/shop"); ok {
		rest, _, _ = strings.Cut(rest, "@")
		rest, _, _ = strings.Cut(rest, ":")
		return host + "team/shop" + rest
	}
	return ref
}

func digest(image string) string { return fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image))) }

// has is what the registry has under a reference.
func (s *simulator) has(ref string) string {
	if strings.Contains(ref, "@") {
		return s.digests[ref]
	}
	return s.tags[tagged(ref)]
}

// use is an image that a job runs, builds on or deploys.
func (d *machine) use(ref string) {
	ref = tagged(ref)
	image, ok := d.local[ref]
	if !ok {
		image = d.has(ref)
	}
	d.uses[d.place] = append(d.uses[d.place], event{ref, image})
}

func (d *machine) push(ref, image string) error {
	ref = tagged(ref)
	was, there := d.tags[ref]
	switch {
	case strings.HasSuffix(ref, ":"), strings.HasPrefix(ref, ":"):
		return d.invalid(ref)
	case image == "":
		d.fault("not there", ref)
		return status(false)
	case there && d.immutable && was != image:
		d.fault("pushed again", ref)
		return status(false)
	}
	if there && was != image && d.pushedBy[ref].job != d.place.job {
		d.twice[repository(ref)+":"] = true
	}
	d.tags[ref], d.pushedBy[ref] = image, d.place
	d.digests[repository(ref)+"@"+digest(image)] = image
	d.pushed[image], d.pusher[image] = ref, d.place
	if _, known := d.first[image]; !known {
		d.first[image] = d.place
	}
	if strings.Contains(ref, "v1.2.3") {
		d.released[ref] = image
	}
	return nil
}

// invalid refuses a reference without a tag behind its colon, or without anything.
func (d *machine) invalid(ref string) error {
	d.fault("invalid", ref)
	return status(false)
}

// pull is what a docker gets from the registry.
func (d *machine) pull(ref string) error {
	if d.has(ref) != "" {
		d.local[tagged(ref)] = d.has(ref)
	}
	return status(d.has(ref) != "")
}

func (c *call) docker() error {
	args := c.args
	verb := ""
	if len(args) > 1 {
		verb = args[1]
	}
	last := args[len(args)-1]
	switch {
	case verb == "image" || verb == "buildx" && (args[2] == "build" || args[2] == "inspect"):
		args = args[1:]
		if verb = args[1]; verb == "inspect" && c.args[1] == "buildx" {
			return nil
		}
	case verb == "buildx" && args[2] == "imagetools", verb == "manifest":
		return c.lists()
	case verb == "buildx" && args[2] == "bake":
		return c.bake()
	case verb == "compose":
		return c.compose()
	}
	if slices.Contains([]string{"push", "pull", "tag", "rmi", "commit"}, verb) && len(args) < 3 {
		return status(false)
	}
	switch verb {
	case "build", "bud":
		return c.build(args)
	case "push":
		if ref := tagged(args[2]); len(args) > 3 && c.args[0] != "docker" { // another destination
			return c.push(last, c.local[ref])
		}
		return c.push(last, c.local[tagged(last)])
	case "pull":
		return c.pull(last)
	case "tag":
		from, ok := c.local[tagged(args[2])]
		if !ok {
			return status(false)
		}
		c.local[tagged(last)] = from
	case "commit":
		c.local[tagged(last)] = c.containers[args[2]]
	case "rmi":
		delete(c.local, tagged(last))
	case "inspect":
		return c.inspect(last)
	case "save":
		return c.save(args)
	case "load":
		for line := range strings.Lines(c.files[c.file(flags(args, "-i", "--input")[0])]) {
			ref, image, _ := strings.Cut(strings.TrimSpace(line), "\t")
			c.local[ref] = image
		}
	case "run":
		return c.container(args)
	}
	return nil
}

func (c *call) inspect(ref string) error {
	image, ok := c.local[tagged(ref)]
	if ok && slices.ContainsFunc(c.args, func(a string) bool { return strings.Contains(a, "RepoDigests") }) {
		fmt.Fprintln(c.out, repository(ref)+"@"+digest(image))
	}
	return status(ok)
}

// save writes images into a file.
func (c *call) save(args []string) error {
	var text string
	for _, a := range args {
		if image, ok := c.local[tagged(a)]; ok {
			text += tagged(a) + "\t" + image + "\n"
		}
	}
	for _, name := range flags(args, "-o", "--output") {
		c.files[c.file(name)] = text
	}
	return nil
}

// build builds a Dockerfile. What comes out is named after the job, the target and the
// directory, and how many times the job has built that before.
func (c *call) build(args []string) error {
	what := fmt.Sprint(c.place.pipeline, " ", c.place.job, " ", strings.Join(flags(args, "--target"), " "), " ", args[len(args)-1])
	c.built[what]++
	image := fmt.Sprint(what, " ", c.built[what])
	c.bases(args, args[len(args)-1])
	if len(flags(c.args, "--output", "-o")) > 0 && c.args[1] == "buildx" {
		return c.exported(args[len(args)-1], "--output", "-o")
	}
	for _, to := range flags(args, "--cache-to") {
		if _, ref, ok := strings.Cut(to, "ref="); ok {
			ref, _, _ = strings.Cut(ref, ",")
			if err := c.push(ref, "cache of "+image); err != nil {
				return err
			}
		}
	}
	for _, tag := range flags(args, "-t", "--tag") {
		if strings.HasSuffix(tag, ":") || tag == "" {
			return c.invalid(tag)
		}
		c.local[tagged(tag)] = image
		if slices.Contains(args, "--push") {
			if err := c.push(tag, image); err != nil {
				return err
			}
		}
	}
	return nil
}

// bases are the own images that a Dockerfile builds on.
func (c *call) bases(args []string, context string) {
	name := path.Join(context, "Dockerfile")
	for _, f := range flags(args, "-f", "--file", "--dockerfile") {
		name = f
	}
	given, vars := map[string]string{}, map[string]string{}
	for _, a := range flags(args, "--build-arg") {
		k, v, ok := strings.Cut(a, "=")
		if !ok {
			v = c.env[k]
		}
		given[k] = v
	}
	for line := range strings.Lines(c.files[c.file(name)]) {
		words := strings.Fields(line)
		switch {
		case len(words) < 2:
		case words[0] == "ARG":
			k, v, _ := strings.Cut(words[1], "=")
			vars[k] = composed(v, vars)
			if v, ok := given[k]; ok {
				vars[k] = v
			}
		case words[0] == "FROM":
			if ref := composed(words[1], vars); strings.Contains(ref, "team/shop") {
				c.use(ref)
			}
		}
	}
}

// container is docker run: a script in it has the variables that it is given, no others.
func (c *call) container(args []string) error {
	i := slices.IndexFunc(args, func(a string) bool { return strings.HasPrefix(a, c.base) })
	if i < 0 {
		return nil
	}
	if slices.Contains(args, "-d") && slices.Contains(flags(args, "--network"), "job") {
		c.uses[c.services()] = append(c.uses[c.services()], event{args[i], c.has(args[i])})
		return nil
	}
	c.use(args[i])
	image, ok := c.local[tagged(args[i])]
	if !ok {
		if image = c.has(args[i]); image == "" {
			return interp.ExitStatus(125)
		}
		c.local[tagged(args[i])] = image
	}
	for _, name := range flags(args[:i], "--name") {
		c.containers[name] = image
	}
	env := map[string]string{}
	for _, e := range flags(args[:i], "-e", "--env") {
		k, v, given := strings.Cut(e, "=")
		if !given {
			if v, given = c.env[k]; !given {
				continue
			}
		}
		env[k] = v
	}
	if rest := args[i+1:]; len(rest) > 0 && strings.HasSuffix(rest[0], "sh") {
		inner := &call{c.machine, c.t, rest, env, c.dir, c.in, c.out}
		return inner.shell()
	}
	return nil
}

// kaniko builds and pushes at once.
func (c *call) kaniko() error {
	context := append(flags(c.args, "--context", "-c"), ".")[0]
	what := fmt.Sprint(c.place.pipeline, " ", c.place.job, " ", strings.Join(flags(c.args, "--target"), " "), " ", context)
	c.built[what]++
	c.bases(c.args, context)
	image := fmt.Sprint(what, " ", c.built[what])
	for _, to := range flags(c.args, "--destination", "-d") {
		if err := c.push(to, image); err != nil {
			return err
		}
	}
	for _, name := range flags(c.args, "--digest-file") {
		c.files[c.file(name)] = digest(image)
	}
	return nil
}

// scan looks at an image of the registry.
func (c *call) scan() error {
	for _, a := range c.args[1:] {
		if strings.HasPrefix(a, c.base) {
			c.uses[c.place] = append(c.uses[c.place], event{a, c.has(a)})
			return status(c.has(a) != "")
		}
	}
	return nil
}

// lists are docker manifest and docker buildx imagetools.
func (c *call) lists() error {
	args := c.args[3:]
	switch c.args[2] {
	case "inspect":
		return status(c.has(args[len(args)-1]) != "")
	case "push":
		return c.push(args[len(args)-1], c.local["list "+tagged(args[len(args)-1])])
	}
	tags := flags(args, "-t", "--tag")
	var parts []string
	for i, a := range args {
		switch {
		case strings.HasPrefix(a, "-"), i > 0 && (args[i-1] == "-t" || args[i-1] == "--tag"):
		case c.args[1] == "manifest" && len(tags) == 0:
			tags = []string{a}
		case c.has(a) == "":
			c.fault("not there", a)
			return status(false)
		default:
			parts = append(parts, c.has(a))
		}
	}
	for _, tag := range tags {
		if c.args[1] == "manifest" {
			c.local["list "+tagged(tag)] = strings.Join(parts, " + ")
		} else if err := c.push(tag, strings.Join(parts, " + ")); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) crane() error {
	args := c.args[2:]
	last := args[len(args)-1]
	switch c.args[1] {
	case "copy", "cp":
		return c.push(last, c.has(args[0]))
	case "tag":
		if len(args) < 2 { // the second one is empty
			return c.invalid(last + ":")
		}
		return c.push(repository(args[0])+":"+last, c.has(args[0]))
	case "digest":
		if image := c.has(last); image != "" {
			fmt.Fprintln(c.out, digest(image))
			return nil
		}
		return status(false)
	}
	return status(c.has(last) != "")
}

func (c *call) regctl() error {
	last := c.args[len(c.args)-1]
	switch c.args[2] {
	case "copy":
		return c.push(last, c.has(c.args[3]))
	case "digest":
		c.args = []string{"crane", "digest", last}
		return c.crane()
	}
	return status(c.has(last) != "")
}

func (c *call) skopeo() error {
	last := tagged(c.args[len(c.args)-1])
	if c.args[1] == "inspect" {
		return status(c.has(last) != "")
	}
	return c.push(last, c.has(tagged(c.args[len(c.args)-2])))
}
