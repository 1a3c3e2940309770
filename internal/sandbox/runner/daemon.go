package runner

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

type login struct{ user, pass string }

// daemon is the job's docker: images, containers and log-ins, gone with the job.
type daemon struct {
	j *job

	mu         sync.Mutex
	images     map[string]oci.Image // by ref.key
	auths      map[string]login     // by host
	containers map[string]*container
	networks   map[string]bool
	manifests  map[string][]string // lists made by docker manifest create: list -> members
}

func newDaemon(j *job) *daemon {
	return &daemon{
		j: j, images: map[string]oci.Image{}, auths: map[string]login{},
		containers: map[string]*container{}, networks: map[string]bool{"bridge": true, "host": true, "none": true},
		manifests: map[string][]string{},
	}
}

// running tells whether the job has a daemon: docker-in-docker as a service, or
// an address of one.
func (d *daemon) running() bool {
	if d.j.env["DOCKER_HOST"] != "" {
		return true
	}
	return slices.ContainsFunc(d.j.e.Job.Services, func(s ci.Image) bool {
		return strings.Contains(ci.Expand(s.Name, d.j.vars), "dind")
	})
}

// served tells whether a registry is one of the sandbox's.
func (j *job) served(host string) bool { return slices.Contains(j.o.Registries, host) }

// remote speaks to the registries with the given log-ins.
func (j *job) remote(auth func(host string) (login, bool)) oci.Remote {
	return oci.Remote{
		HTTP: j.o.HTTP, Locate: j.o.Locate,
		Credentials: func(host string) (string, string, bool) {
			l, ok := auth(host)
			return l.user, l.pass, ok
		},
	}
}

func (d *daemon) auth(host string) (login, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, ok := d.auths[host]
	return l, ok
}

func (d *daemon) remote() oci.Remote { return d.j.remote(d.auth) }

func (d *daemon) setLogin(host string, l login) {
	d.j.log.mask(l.pass)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.auths[host] = l
}

func (d *daemon) local(r ref) (oci.Image, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	image, ok := d.images[r.key()]
	return image, ok
}

func (d *daemon) keep(r ref, image oci.Image) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.images[r.key()] = image
	pinned := ref{Host: r.Host, Repository: r.Repository, Digest: image.Digest()}
	d.images[pinned.key()] = image
}

// public stands in for an image of a registry that the sandbox does not serve.
func public(r ref) oci.Image {
	return oci.Build(oci.Spec{Docker: true, Layers: []oci.Layer{{"etc/image": r.String() + "\n"}}})
}

// fetch gets an image from its registry.
func (j *job) fetch(ctx context.Context, remote oci.Remote, r ref) (oci.Image, error) {
	if !j.served(r.Host) {
		return public(r), nil
	}
	return remote.Pull(ctx, r.Host, r.Repository, r.reference())
}

func (d *daemon) pull(ctx context.Context, r ref) (oci.Image, error) {
	image, err := d.j.fetch(ctx, d.remote(), r)
	if err != nil {
		return image, err
	}
	d.keep(r, image)
	return image, nil
}

// words is what docker prints of a registry's refusal of a push.
func words(err error) string {
	var refused *oci.Error
	if errors.As(err, &refused) && refused.Code == "" && refused.Message != "" {
		return refused.Message
	}
	return err.Error()
}

// pullWords is what the docker daemon says when a pull is refused.
func pullWords(r ref, err error) string {
	const daemon = "Error response from daemon: "
	var refused *oci.Error
	if !errors.As(err, &refused) {
		return daemon + err.Error()
	}
	code := strings.ToUpper(refused.Code)
	switch {
	case code == "MANIFEST_UNKNOWN" || refused.Status == http.StatusNotFound && code == "":
		return daemon + fmt.Sprintf("manifest for %s not found: %s", r, words(err))
	case code == "NAME_UNKNOWN":
		return daemon + words(err)
	case code == "DENIED" && !strings.HasPrefix(refused.Message, "requested access"):
		return daemon + words(err)
	case code == "DENIED":
		return daemon + fmt.Sprintf("pull access denied for %s, repository does not exist or may require 'docker login': %s", r.familiar(), words(err))
	}
	return daemon + fmt.Sprintf("Head \"https://%s/v2/%s/manifests/%s\": %s", r.Host, r.Repository, r.reference(), words(err))
}

// pullImages gets the images of the job and of its services, as the runner does
// before the script: with what GitLab knows, which is nothing about ECR.
func (j *job) pullImages(ctx context.Context) error {
	main := j.image()
	j.log.line("\x1b[0KUsing Docker executor with image " + main + " ...\x1b[0;m")
	names := []string{}
	for _, s := range j.e.Job.Services {
		names = append(names, ci.Expand(s.Name, j.vars))
	}
	names = append(names, main)
	remote := j.remote(func(host string) (login, bool) {
		if strings.Contains(host, ".dkr.ecr.") {
			return login{}, false
		}
		l, ok := j.granted[host]
		return l, ok
	})
	for i, name := range names {
		if i < len(names)-1 {
			j.log.line("\x1b[0KStarting service " + name + " ...\x1b[0;m")
		}
		j.log.line("\x1b[0KUsing effective pull policy of [always] for container " + name + "\x1b[0;m")
		j.log.line("\x1b[0KPulling docker image " + name + " ...\x1b[0;m")
		r, err := parseRef(name)
		message := ""
		if err != nil {
			message = "Error response from daemon: invalid reference format"
			if name != "" && !strings.Contains(err.Error(), "must be lowercase") {
				message = err.Error()
			}
		} else if image, err := j.fetch(ctx, remote, r); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			message = pullWords(r, err)
		} else {
			if i == len(names)-1 && j.served(r.Host) {
				j.main = &container{image: r}
				j.main.take(imageFiles(image), true)
			}
			j.log.line(fmt.Sprintf("\x1b[0KUsing docker image %s for %s with digest %s@%s ...\x1b[0;m", image.Digest(), name, r.familiar(), image.Digest()))
			continue
		}
		j.log.line(fmt.Sprintf("\x1b[0;33mWARNING: Failed to pull image with policy \"always\": %s (manager.go:250:0s)\x1b[0;m", message))
		return &pullError{name, message}
	}
	return nil
}

// check asks a registry whether it accepts a log-in, as docker login does.
func (j *job) check(ctx context.Context, host string, l login) error {
	base, ok := j.o.Locate(host)
	if !ok {
		return nil
	}
	get := func(target string, auth bool) (*http.Response, error) {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
		if err != nil {
			return nil, err
		}
		if auth {
			req.SetBasicAuth(l.user, l.pass)
		}
		res, err := j.o.HTTP.Do(req)
		if err == nil {
			res.Body.Close()
		}
		return res, err
	}
	res, err := get(strings.TrimSuffix(base, "/")+"/v2/", true)
	if err != nil {
		return err
	}
	if realm, service, ok := bearer(res.Header.Get("WWW-Authenticate")); ok && res.StatusCode == http.StatusUnauthorized {
		if res, err = get(realm+"?service="+service+"&account="+l.user, true); err != nil {
			return err
		}
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("login attempt to https://%s/v2/ failed with status: %d %s", host, res.StatusCode, http.StatusText(res.StatusCode))
	}
	return nil
}

func bearer(challenge string) (realm, service string, ok bool) {
	if !strings.HasPrefix(challenge, "Bearer ") {
		return "", "", false
	}
	for _, part := range strings.Split(strings.TrimPrefix(challenge, "Bearer "), ",") {
		k, v, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch v = strings.Trim(v, `"`); k {
		case "realm":
			realm = v
		case "service":
			service = v
		}
	}
	return realm, service, realm != ""
}

// configFile reads the log-ins of a docker config file in the job's file system.
func (c *call) configFile(dir string) map[string]login {
	b, err := c.disk.read(path.Join(dir, "config.json"))
	if err != nil {
		return nil
	}
	var config struct {
		Auths       map[string]struct{ Auth, Username, Password string }
		CredHelpers map[string]string `json:"credHelpers"`
	}
	if json.Unmarshal(b, &config) != nil {
		return nil
	}
	out := map[string]login{}
	for host, a := range config.Auths {
		l := login{a.Username, a.Password}
		if plain, err := base64.StdEncoding.DecodeString(a.Auth); err == nil && a.Auth != "" {
			l.user, l.pass, _ = strings.Cut(string(plain), ":")
		}
		out[strings.TrimSuffix(strings.TrimPrefix(strings.TrimPrefix(host, "https://"), "http://"), "/")] = l
	}
	for host, helper := range config.CredHelpers {
		if l, ok := c.j.granted[host]; ok && helper == "ecr-login" {
			out[host] = l
		}
	}
	return out
}

// accounts are all log-ins that a tool of the job finds: those of docker login
// and of the config file.
func (c *call) accounts(host string) (login, bool) {
	if l, ok := c.j.docker.auth(host); ok {
		return l, true
	}
	for _, dir := range []string{c.getenv("DOCKER_CONFIG"), path.Join(c.getenv("HOME"), ".docker"), "/kaniko/.docker"} {
		if dir == "" {
			continue
		}
		if l, ok := c.configFile(dir)[host]; ok {
			return l, true
		}
	}
	return login{}, false
}
