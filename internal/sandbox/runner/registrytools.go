package runner

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// credentialed is a remote with the job's log-ins, or the user:password given on
// the command line.
func (c *call) credentialed(creds string) oci.Remote {
	if user, pass, ok := strings.Cut(creds, ":"); ok {
		c.j.log.mask(pass)
		return c.j.remote(func(string) (login, bool) { return login{user, pass}, true })
	}
	return c.j.remote(c.accounts)
}

// cmdKaniko is /kaniko/executor.
func cmdKaniko(c *call) int {
	given, _ := flags(c.args, "--context -c --dockerfile -f --destination -d --build-arg --target --cache-repo --label --digest-file --image-name-with-digest-file "+
		"--registry-mirror --snapshot-mode --log-format --verbosity -v --cache-ttl --context-sub-path --customPlatform --custom-platform --ignore-path --tar-path")
	context := strings.TrimPrefix(last(given, "--context", "-c"), "dir://")
	if context == "" {
		context = "/workspace"
	}
	if sub := last(given, "--context-sub-path"); sub != "" {
		context = path.Join(context, sub)
	}
	dockerfile := last(given, "--dockerfile", "-f")
	if dockerfile != "" && !strings.HasPrefix(dockerfile, "/") {
		if _, err := c.disk.stat(c.path(dockerfile)); err != nil {
			dockerfile = path.Join(context, dockerfile) // kaniko looks in both places
		}
	}
	destinations := all(given, "--destination", "-d")
	push := !has(given, "--no-push", "--no-push=true")
	if push && len(destinations) == 0 {
		return c.fail("Error: you must provide --destination, or use --no-push")
	}
	remote := c.credentialed("")
	var refs []ref
	for _, d := range destinations {
		r, err := parseRef(d)
		if err != nil {
			return c.fail("Error: getting tag for destination: could not parse reference: %s", d)
		}
		if push && !c.j.served(r.Host) {
			return c.fail("error checking push permissions -- make sure you entered the correct tag name, and that you are authenticated correctly, and try again: checking push permission for %q: UNAUTHORIZED", d)
		}
		refs = append(refs, r)
	}
	b := recipe{
		target: last(given, "--target"), args: c.keyValues(given["--build-arg"]), labels: c.keyValues(given["--label"]),
		remote: func() oci.Remote { return remote },
	}
	if err := c.source(&b, context, dockerfile); err != nil {
		return c.fail("Error: error resolving dockerfile path: %s", err)
	}
	image, err := c.build(b)
	if err != nil {
		return c.fail("error building image: %s", err)
	}
	if !push {
		return 0
	}
	for _, r := range refs {
		fmt.Fprintf(c.err, "INFO[0003] Pushing image to %s\n", r)
		if err := remote.Push(c.ctx, r.Host, r.Repository, r.reference(), image); err != nil {
			return c.fail("error pushing image: failed to push to destination %s: %s", r, kanikoWords(r, err))
		}
		fmt.Fprintf(c.err, "INFO[0004] Pushed %s/%s@%s\n", r.Host, r.Repository, image.Digest())
	}
	if file := last(given, "--digest-file"); file != "" {
		if err := c.disk.write(c.path(file), []byte(image.Digest()), 0o644); err != nil {
			return c.fail("Error: %s", err)
		}
	}
	return 0
}

// kanikoWords is the form of go-containerregistry.
func kanikoWords(r ref, err error) string {
	var refused *oci.Error
	if !errors.As(err, &refused) {
		return err.Error()
	}
	code := strings.ToUpper(refused.Code)
	switch {
	case code == "TAG_INVALID":
		return fmt.Sprintf("PUT https://%s/v2/%s/manifests/%s: %s: %s", r.Host, r.Repository, r.Tag, code, refused.Message)
	case code == "":
		return fmt.Sprintf("POST https://%s/v2/%s/blobs/uploads/: unexpected status code %d %s: %s", r.Host, r.Repository, refused.Status, http.StatusText(refused.Status), refused.Message)
	}
	return fmt.Sprintf("POST https://%s/v2/%s/blobs/uploads/: %s: %s", r.Host, r.Repository, code, refused.Message)
}

func cmdSkopeo(c *call) int {
	valued := "--src-creds --dest-creds --creds --format -f --authfile --src-authfile --dest-authfile --override-os --override-arch --retry-times -u --username -p --password --policy --additional-tag --sign-by"
	given, rest := flags(c.args, valued)
	if len(rest) == 0 {
		return 0
	}
	fatal := func(format string, a ...any) int {
		return c.fail("time=%q level=fatal msg=%q", c.j.o.Clock.Now().Format("2006-01-02T15:04:05Z"), fmt.Sprintf(format, a...))
	}
	sub, rest := rest[0], rest[1:]
	switch sub {
	case "login":
		return dockerLogin(c.with("docker login", c.args[1:]...))
	case "logout":
		return dockerLogout(c.with("docker logout", rest...))
	case "copy":
		if len(rest) != 2 {
			return fatal("Exactly two arguments expected")
		}
		from, err1 := transport(rest[0])
		to, err2 := transport(rest[1])
		if err := cmpErr(err1, err2); err != nil {
			return fatal("%s", err)
		}
		source := c.credentialed(last(given, "--src-creds"))
		image, err := c.j.fetch(c.ctx, source, from)
		if err != nil {
			return fatal("initializing source docker://%s: reading manifest %s in %s/%s: %s", from, from.reference(), from.Host, from.Repository, words(err))
		}
		if image.IsIndex() && !has(given, "--all", "-a", "--multi-arch") && len(image.Children) > 0 {
			image = image.Children[0]
		}
		for _, tag := range append([]string{to.reference()}, given["--additional-tag"]...) {
			if i := strings.LastIndexByte(tag, ':'); i >= 0 && !strings.HasPrefix(tag, "sha256:") {
				tag = tag[i+1:]
			}
			if err := c.upload(c.credentialed(last(given, "--dest-creds")), to, tag, image); err != nil {
				return fatal("writing manifest to image destination: uploading manifest %s to %s/%s: %s", tag, to.Host, to.Repository, words(err))
			}
		}
		c.printf("Writing manifest to image destination\n")
		return 0
	case "inspect", "list-tags":
		if len(rest) == 0 {
			return fatal("Exactly one argument expected")
		}
		r, err := transport(rest[0])
		if err != nil {
			return fatal("%s", err)
		}
		remote := c.credentialed(last(given, "--creds"))
		if sub == "list-tags" {
			tags, err := remote.Tags(c.ctx, r.Host, r.Repository)
			if err != nil {
				return fatal("Error listing repository tags: %s", words(err))
			}
			c.printf("{\"Repository\": %q, \"Tags\": [\"%s\"]}\n", r.Host+"/"+r.Repository, strings.Join(tags, `", "`))
			return 0
		}
		image, err := c.j.fetch(c.ctx, remote, r)
		if err != nil {
			return fatal("Error parsing image name %q: reading manifest %s in %s/%s: %s", rest[0], r.reference(), r.Host, r.Repository, words(err))
		}
		switch format := last(given, "--format", "-f"); {
		case has(given, "--raw"):
			c.out.Write(image.Manifest)
		case strings.Contains(format, "Digest"):
			c.printf("%s\n", image.Digest())
		default:
			c.printf("{\"Name\": %q, \"Digest\": %q}\n", r.Host+"/"+r.Repository, image.Digest())
		}
		return 0
	case "--version":
		c.printf("skopeo version 1.17.0\n")
		return 0
	}
	return fatal("unknown command %q for \"skopeo\"", sub)
}

func transport(s string) (ref, error) {
	name, ok := strings.CutPrefix(s, "docker://")
	if !ok {
		return ref{}, fmt.Errorf("Invalid image name %q, unknown transport", s) //nolint:staticcheck // skopeo's words
	}
	return parseRef(name)
}

// upload pushes to a registry of the sandbox; others refuse.
func (c *call) upload(remote oci.Remote, r ref, reference string, image oci.Image) error {
	if !c.j.served(r.Host) {
		return &oci.Error{Status: http.StatusUnauthorized, Code: "DENIED", Message: "requested access to the resource is denied"}
	}
	return remote.Push(c.ctx, r.Host, r.Repository, reference, image)
}

func cmdCrane(c *call) int {
	given, rest := flags(c.args, "-u --username -p --password --platform")
	if len(rest) == 0 {
		return 0
	}
	sub, rest := rest[0], rest[1:]
	if sub == "auth" && len(rest) > 0 && rest[0] == "login" {
		args := []string{"-u", last(given, "-u", "--username")}
		if has(given, "--password-stdin") {
			args = append(args, "--password-stdin")
		} else {
			args = append(args, "-p", last(given, "-p", "--password"))
		}
		return dockerLogin(c.with("docker login", append(args, rest[1:]...)...))
	}
	remote := c.credentialed("")
	get := func(name string) (ref, oci.Image, error) {
		r, err := parseRef(name)
		if err != nil {
			return r, oci.Image{}, fmt.Errorf("could not parse reference: %s", name)
		}
		image, err := c.j.fetch(c.ctx, remote, r)
		if err != nil {
			err = fmt.Errorf("GET https://%s/v2/%s/manifests/%s: %s", r.Host, r.Repository, r.reference(), kanikoReason(err))
		}
		return r, image, err
	}
	need := map[string]int{"copy": 2, "cp": 2, "tag": 2, "digest": 1, "manifest": 1, "ls": 1, "validate": 1, "pull": 1}
	if n, ok := need[sub]; ok && len(rest) < n {
		return c.fail("Error: accepts %d arg(s), received %d", n, len(rest))
	}
	switch sub {
	case "copy", "cp", "tag":
		source, image, err := get(rest[0])
		if err != nil {
			return c.fail("Error: fetching %q: %s", rest[0], err)
		}
		to := source
		if sub == "tag" {
			to.Tag, to.Digest = rest[1], ""
		} else if to, err = parseRef(rest[1]); err != nil {
			return c.fail("Error: could not parse reference: %s", rest[1])
		}
		if err := c.upload(remote, to, to.reference(), image); err != nil {
			return c.fail("Error: failed to copy image: %s", kanikoWords(to, err))
		}
		return 0
	case "digest", "manifest", "validate", "pull":
		_, image, err := get(rest[0])
		switch {
		case err != nil:
			return c.fail("Error: computing digest: %s", err)
		case sub == "digest":
			c.printf("%s\n", image.Digest())
		case sub == "manifest":
			c.printf("%s\n", image.Manifest)
		}
		return 0
	case "ls":
		r, err := parseRef(rest[0])
		if err != nil {
			return c.fail("Error: could not parse reference: %s", rest[0])
		}
		tags, err := remote.Tags(c.ctx, r.Host, r.Repository)
		if err != nil {
			return c.fail("Error: reading tags for %s: %s", rest[0], words(err))
		}
		return c.print(tags)
	case "version":
		c.printf("v0.20.3\n")
		return 0
	}
	return c.fail("Error: unknown command %q for \"crane\"", sub)
}

func kanikoReason(err error) string {
	var refused *oci.Error
	if errors.As(err, &refused) && refused.Code != "" {
		return strings.ToUpper(refused.Code) + ": " + refused.Message
	}
	return words(err)
}

// cmdTrivy scans an image: it has to be there or to be pulled.
func cmdTrivy(c *call) int {
	given, rest := flags(c.args, "--severity --exit-code --format -f --output -o --ignorefile --timeout --username --password --template -t --cache-dir --scanners --vuln-type --pkg-types --db-repository --input")
	if c.name == "trivy" {
		if len(rest) == 0 || rest[0] != "image" && rest[0] != "i" {
			return 0 // a scan of files, a version
		}
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return c.fail("FATAL\tFatal error\trequires at least 1 argument")
	}
	r, err := parseRef(rest[0])
	if err != nil {
		return c.fail("FATAL\tFatal error\trun error: image scan error: failed to parse the image name: could not parse reference: %s", rest[0])
	}
	image, ok := c.j.docker.local(r)
	if !ok {
		creds := ""
		if has(given, "--username") {
			creds = last(given, "--username") + ":" + last(given, "--password")
		} else if user := c.getenv("TRIVY_USERNAME"); user != "" {
			creds = user + ":" + c.getenv("TRIVY_PASSWORD")
		}
		if image, err = c.j.fetch(context.WithoutCancel(c.ctx), c.credentialed(creds), r); err != nil {
			return c.fail("FATAL\tFatal error\trun error: image scan error: scan error: unable to initialize a scan service: unable to initialize an image scan service: "+
				"unable to find the specified image %q in [\"docker\" \"containerd\" \"podman\" \"remote\"]: remote error: GET https://%s/v2/%s/manifests/%s: %s",
				rest[0], r.Host, r.Repository, r.reference(), kanikoReason(err))
		}
	}
	if file := last(given, "--output", "-o"); file != "" {
		if err := c.disk.write(c.path(file), []byte("{\"ArtifactName\": \""+r.String()+"\", \"Results\": []}\n"), 0o644); err != nil {
			return c.fail("FATAL\t%s", err)
		}
	}
	c.printf("%s (%s)\nTotal: 0 (UNKNOWN: 0, LOW: 0, MEDIUM: 0, HIGH: 0, CRITICAL: 0)\n", r, image.Digest())
	return 0
}

func sortedKeys[V any](m map[string]V) []string {
	out := make([]string, 0, len(m))
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}
