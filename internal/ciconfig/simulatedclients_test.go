package ciconfig

import (
	"encoding/csv"
	"fmt"
	"path"
	"strings"
)

// The clients of registries beside docker, crane and skopeo, and what crane and regctl do
// beyond copies.

// oras handles artifacts, and takes further tags of its destination behind commas.
// https://oras.land/docs/commands/oras_push
func (c *call) oras() error {
	args := operands(c.args[1:], "--artifact-type", "--annotation", "-a", "--config", "-o", "--output", "--format")
	if len(args) < 2 {
		return status(false)
	}
	rest := args[1:]
	switch args[0] {
	case "push":
		what := fmt.Sprint(c.place.pipeline, " ", c.place.job, " ", strings.Join(rest[1:], " "))
		c.built[what]++
		return c.pushList(rest[0], fmt.Sprint(what, " ", c.built[what]))
	case "cp", "copy":
		return c.pushList(rest[1], c.source(rest[0]))
	case "tag":
		image := c.source(rest[0])
		for _, tag := range rest[1:] {
			if err := c.push(repository(rest[0])+":"+tag, image); err != nil {
				return err
			}
		}
		return nil
	case "resolve":
		return c.crane()
	}
	c.use(rest[len(rest)-1])
	return status(c.has(rest[len(rest)-1]) != "")
}

// pushList pushes an image under the first tag of a list, and then under the others.
func (c *call) pushList(list, image string) error {
	first, more, _ := strings.Cut(list, ",")
	err := c.push(first, image)
	for tag := range strings.SplitSeq(more, ",") {
		if err == nil && tag != "" {
			err = c.push(repository(first)+":"+tag, image)
		}
	}
	return err
}

// source is an own image that a command reads from the registry.
func (c *call) source(ref string) string {
	if !strings.Contains(ref, "team/shop") {
		return ref
	}
	c.uses[c.place] = append(c.uses[c.place], event{ref, c.has(ref)})
	if c.has(ref) == "" {
		c.fault("not there", ref)
	}
	return c.has(ref)
}

// changed pushes what a command makes of an image; without a name for it by its digest.
func (c *call) changed(how, from string, to []string) error {
	image := c.source(from)
	if image == "" {
		return status(false)
	}
	image += " " + how
	if to == nil {
		c.digests[repository(from)+"@"+digest(image)] = image
	}
	for _, t := range to {
		if err := c.push(t, image); err != nil {
			return err
		}
	}
	return nil
}

// craneMore are the commands of crane that make an image of another.
// https://github.com/google/go-containerregistry/blob/main/cmd/crane/doc/crane.md
func (c *call) craneMore() error {
	to := flags(c.args, "-t", "--tag", "--new_tag")
	switch c.args[1] {
	case "mutate":
		return c.changed("changed", operands(c.args[2:], "-t", "--tag", "--label", "-l", "--annotation", "-a", "--entrypoint")[0], to)
	case "flatten":
		return c.changed("flat", operands(c.args[2:], "-t", "--tag")[0], to)
	case "append":
		return c.changed("with a layer", append(flags(c.args, "-b", "--base"), "scratch")[0], to)
	case "index":
		var parts []string
		for _, ref := range flags(c.args, "-m", "--manifest") {
			if parts = append(parts, c.source(ref)); c.source(ref) == "" {
				return status(false)
			}
		}
		return c.push(to[0], strings.Join(parts, " + "))
	}
	return c.crane()
}

// regctlMore are those of regctl.
// https://regclient.org/cli/regctl/image/mod/
func (c *call) regctlMore() error {
	switch strings.Join(c.args[1:3], " ") {
	case "image mod":
		from := operands(c.args[3:], "--create", "--label", "--annotation")[0]
		to := flags(c.args, "--create")
		for i, t := range to {
			if !strings.ContainsAny(t, "/:") { // a tag beside that of the source
				to[i] = repository(from) + ":" + t
			}
		}
		if strings.Contains(strings.Join(c.args, " "), " --replace") {
			to = []string{from}
		}
		return c.changed("changed", from, to)
	case "index create":
		var parts []string
		for _, ref := range flags(c.args, "--ref") {
			if parts = append(parts, c.source(ref)); c.source(ref) == "" {
				return status(false)
			}
		}
		return c.push(operands(c.args[3:], "--ref", "--annotation")[0], strings.Join(parts, " + "))
	}
	return c.regctl()
}

// outputs are the names that the outputs of a build give an image, and how they take it.
// https://docs.docker.com/build/exporters/image-registry/
func (c *call) outputs(flag ...string) (names []string, push, byDigest bool) {
	for _, text := range flags(c.args, flag...) {
		fields, err := csv.NewReader(strings.NewReader(text)).Read()
		if err != nil {
			c.t.Fatal(err)
		}
		for _, f := range fields {
			switch k, v, _ := strings.Cut(f, "="); k {
			case "name":
				names = append(names, strings.Split(v, ",")...)
			case "type":
				push = push || v == "registry"
			case "push":
				push = push || v == "true"
			case "push-by-digest":
				byDigest = byDigest || v == "true"
			}
		}
	}
	return names, push, byDigest
}

// buildctl builds what its option context says.
func (c *call) buildctl() error {
	return c.exported(".", "--output", "-o")
}

// exported builds an image that goes where its outputs say.
func (c *call) exported(context string, flag ...string) error {
	what := fmt.Sprint(c.place.pipeline, " ", c.place.job, " ", context)
	c.built[what]++
	image := fmt.Sprint(what, " ", c.built[what])
	names, push, byDigest := c.outputs(flag...)
	for _, to := range flags(c.args, "--export-cache") {
		if _, ref, ok := strings.Cut(to, "ref="); ok {
			ref, _, _ = strings.Cut(ref, ",")
			if err := c.push(ref, "cache of "+image); err != nil {
				return err
			}
		}
	}
	for _, name := range names {
		switch {
		case byDigest:
			c.digests[repository(name)+"@"+digest(image)] = image
			c.pushed[image], c.pusher[image] = name, c.place
		case push:
			if err := c.push(name, image); err != nil {
				return err
			}
		default:
			c.local[tagged(name)] = image
		}
	}
	for _, name := range flags(c.args, "--metadata-file") {
		c.files[c.file(name)] = `{"containerimage.digest": "` + digest(image) + `"}` + "\n"
	}
	return nil
}

// pack builds by buildpacks.
// https://buildpacks.io/docs/for-platform-operators/how-to/build-inputs/specify-buildpacks/
func (c *call) pack() error {
	what := fmt.Sprint(c.place.pipeline, " ", c.place.job, " pack")
	c.built[what]++
	image := fmt.Sprint(what, " ", c.built[what])
	publish := strings.Contains(strings.Join(c.args, " "), " --publish")
	for _, name := range append([]string{operands(c.args[2:], "--tag", "-t", "--builder", "-B", "--path", "-p", "--cache-image", "--env", "-e")[0]}, flags(c.args, "--tag", "-t")...) {
		if !publish {
			c.local[tagged(name)] = image
		} else if err := c.push(name, image); err != nil {
			return err
		}
	}
	for _, name := range flags(c.args, "--cache-image") {
		return c.push(name, "cache of "+image)
	}
	return nil
}

// cosign signs, and looks at, what the registry has.
func (c *call) cosign() error {
	args := operands(c.args[1:], "--key", "--predicate", "--type", "--sbom", "-a")
	if args[0] == "copy" {
		return c.push(args[2], c.source(args[1]))
	}
	return status(c.source(args[len(args)-1]) != "")
}

// jq prints the digest of a file of metadata, the only thing that it is asked for.
func (c *call) jq() error {
	_, rest, _ := strings.Cut(c.input(operands(c.args[2:])), `"containerimage.digest": "`)
	text, _, _ := strings.Cut(rest, `"`)
	fmt.Fprintln(c.out, text)
	return status(text != "")
}

// touch makes a file that is empty, of which the interpreter's patterns see the name.
func (c *call) touch() error {
	for _, name := range operands(c.args[1:]) {
		c.files[c.file(name)] += ""
	}
	return nil
}

// below are the names of the files in a folder.
func (d *machine) below(dir string) (names []string) {
	for _, name := range sortedKeys(d.files) {
		if path.Dir("/"+name) == path.Join("/", dir) {
			names = append(names, path.Base(name))
		}
	}
	return names
}
