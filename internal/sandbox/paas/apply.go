package paas

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Change is what a rollout did to one object, as kubectl apply says it.
type Change struct {
	Resource string // deployment.apps/name
	Action   string // created, configured, unchanged
}

// PullError says that an image of a rollout could not be pulled.
type PullError struct {
	Resource string // deployment.apps/name
	Pod      string
	Image    string
	Status   string // ErrImagePull or InvalidImageName, as the kubelet says
	Message  string // the container runtime's words with those of the registry
}

func (e *PullError) Error() string {
	return fmt.Sprintf("%s: %s: Failed to pull image %q: %s", e.Resource, e.Status, e.Image, e.Message)
}

// Apply creates or updates the objects of a multi-document manifest. Nothing is
// changed if the manifest is not valid or if one of its images cannot be pulled
// (*PullError). environment labels the workloads.
func (s *Server) Apply(ctx context.Context, namespace, environment string, manifest []byte) error {
	_, err := s.Rollout(ctx, namespace, environment, manifest)
	return err
}

// Rollout is Apply and tells what it did.
func (s *Server) Rollout(ctx context.Context, namespace, environment string, manifest []byte) ([]Change, error) {
	objects, err := parse(manifest)
	if err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("error: no objects passed to apply")
	}
	return s.roll(ctx, namespace, environment, objects)
}

func (s *Server) roll(ctx context.Context, namespace, environment string, objects []object) ([]Change, error) {
	if namespace == "" {
		namespace = "default"
	}
	s.rollout.Lock()
	defer s.rollout.Unlock()

	// Every image first: a manifest with one bad image must change nothing.
	workloads := make([]*Workload, len(objects))
	for i, o := range objects {
		if o.Meta.Namespace != "" && o.Meta.Namespace != namespace {
			return nil, fmt.Errorf("error: the namespace from the provided object %q does not match the namespace %q", o.Meta.Namespace, namespace)
		}
		if o.Template == nil {
			continue
		}
		w, err := s.pull(ctx, namespace, environment, o)
		if err != nil {
			return nil, err
		}
		workloads[i] = w
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.opts.Clock.Now()
	if _, ok := s.state.Namespaces[namespace]; !ok {
		s.state.Namespaces[namespace] = now
	}
	var changes []Change
	changed := false
	for i, o := range objects {
		k := key(namespace, o.Kind, o.Meta.Name)
		action := "created"
		if w := workloads[i]; w != nil {
			w.Created, w.Applied, w.Generation = now, now, 1
			if old := s.state.Workloads[k]; old != nil {
				w.Created, w.Generation = old.Created, old.Generation
				action = "unchanged"
				if !bytes.Equal(old.Manifest, w.Manifest) || !slices.Equal(old.Containers, w.Containers) {
					action = "configured"
					w.Generation++
				}
			}
			s.state.Workloads[k] = w
		} else {
			if old, ok := s.state.Others[k]; ok {
				action = "unchanged"
				if !bytes.Equal(old, o.JSON) {
					action = "configured"
				}
			}
			s.state.Others[k] = o.JSON
		}
		if action != "unchanged" {
			changed = true
			s.state.Writes++
		}
		changes = append(changes, Change{Resource: resource(o.Kind, o.APIVersion) + "/" + o.Meta.Name, Action: action})
	}
	if !changed {
		return changes, nil
	}
	s.opts.Log.Debug("workloads changed", "namespace", namespace, "environment", environment, "objects", len(objects))
	return changes, s.save()
}

// pull resolves the images of an object to digests, as a node would before it
// starts the containers.
func (s *Server) pull(ctx context.Context, namespace, environment string, o object) (*Workload, error) {
	w := &Workload{
		Kind: o.Kind, Namespace: namespace, Name: o.Meta.Name, Environment: environment,
		Labels: o.Meta.Labels, Replicas: o.Replicas, Manifest: o.JSON,
	}
	add := func(c corev1.Container, init bool) error {
		id, status, err := s.imageID(ctx, c.Image)
		if err != nil {
			return &PullError{
				Resource: resource(o.Kind, o.APIVersion) + "/" + o.Meta.Name,
				Pod:      podName(o.Kind, o.Meta.Name, o.JSON, 0),
				Image:    c.Image, Status: status, Message: err.Error(),
			}
		}
		w.Containers = append(w.Containers, Container{Name: c.Name, Image: c.Image, ImageID: id, Init: init})
		return nil
	}
	for _, c := range o.Template.Spec.InitContainers {
		if err := add(c, true); err != nil {
			return nil, err
		}
	}
	for _, c := range o.Template.Spec.Containers {
		if err := add(c, false); err != nil {
			return nil, err
		}
	}
	return w, nil
}

// reference splits an image name as container runtimes do.
var reference = regexp.MustCompile(`^(?:((?:[a-zA-Z0-9-]+\.)+[a-zA-Z0-9-]+(?::[0-9]+)?|localhost(?::[0-9]+)?|[a-zA-Z0-9-]+:[0-9]+)/)?` +
	`([a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*)` +
	`(?::([\w][\w.-]{0,127}))?(?:@(sha256:[0-9a-f]{64}))?$`)

func (s *Server) imageID(ctx context.Context, image string) (id, status string, err error) {
	m := reference.FindStringSubmatch(image)
	if m == nil {
		return "", "InvalidImageName", fmt.Errorf("failed to apply default image tag %q: couldn't parse image name %q: invalid reference format", image, image)
	}
	host, repository, tag, digest := m[1], m[2], m[3], m[4]
	if !slices.Contains(s.opts.Hosts, host) {
		if host == "" {
			host = "docker.io"
		}
		if digest == "" {
			// A public image: any digest will do as long as it stays the same.
			digest = fmt.Sprintf("sha256:%x", sha256.Sum256([]byte(image)))
		}
		return host + "/" + repository + "@" + digest, "", nil
	}
	ref := digest
	if ref == "" {
		if ref = tag; ref == "" {
			ref = "latest"
		}
	}
	got, err := s.opts.Pull(ctx, host, repository, ref)
	if err != nil {
		return "", "ErrImagePull", fmt.Errorf("rpc error: code = Unknown desc = failed to pull and unpack image %q: failed to resolve reference %q: %w", image, image, err)
	}
	return host + "/" + repository + "@" + got, "", nil
}

// SetImage changes the image of one container ("*" means all) of a workload and
// rolls it out.
func (s *Server) SetImage(ctx context.Context, namespace, kind, name, container, image string) error {
	s.mu.Lock()
	w := s.state.Workloads[key(namespace, kind, name)]
	s.mu.Unlock()
	if w == nil {
		return notFound(kind, name)
	}
	o, err := decode(w.Manifest)
	if err != nil {
		return err
	}
	found := false
	var doc map[string]any
	if err := json.Unmarshal(o.JSON, &doc); err != nil {
		return err
	}
	walkContainers(doc, func(c map[string]any) {
		if c["name"] == container || container == "*" {
			c["image"], found = image, true
		}
	})
	if !found {
		return fmt.Errorf("error: unable to find container named %q", container)
	}
	raw, err := json.Marshal(doc)
	if err != nil {
		return err
	}
	if o, err = decode(raw); err != nil {
		return err
	}
	_, err = s.roll(ctx, namespace, w.Environment, []object{o})
	return err
}

func walkContainers(v any, f func(map[string]any)) {
	switch v := v.(type) {
	case map[string]any:
		for _, name := range []string{"initContainers", "containers"} {
			list, _ := v[name].([]any)
			for _, c := range list {
				if c, ok := c.(map[string]any); ok {
					f(c)
				}
			}
		}
		for _, name := range []string{"spec", "template", "jobTemplate"} {
			walkContainers(v[name], f)
		}
	}
}

// Delete removes an object.
func (s *Server) Delete(namespace, kind, name string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := key(namespace, kind, name)
	_, workload := s.state.Workloads[k]
	_, other := s.state.Others[k]
	if !workload && !other {
		return notFound(kind, name)
	}
	delete(s.state.Workloads, k)
	delete(s.state.Others, k)
	s.state.Writes++
	return s.save()
}

// DeleteEnvironment removes the workloads that an environment's deployments
// applied and returns how many there were.
func (s *Server) DeleteEnvironment(namespace, environment string) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for k, w := range s.state.Workloads {
		if w.Namespace == namespace && w.Environment == environment {
			delete(s.state.Workloads, k)
			n++
		}
	}
	if n == 0 {
		return 0, nil
	}
	s.state.Writes += n
	return n, s.save()
}

func notFound(kind, name string) error {
	plural := strings.ToLower(kind) + "s"
	if group, _, ok := strings.Cut(groups[kind], "/"); ok {
		plural += "." + group
	}
	return fmt.Errorf("Error from server (NotFound): %s %q not found", plural, name)
}

func newLineReader(b []byte) *bufio.Reader { return bufio.NewReader(bytes.NewReader(b)) }
