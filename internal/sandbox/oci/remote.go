package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// Remote is a registry client that does what docker does and no more: blobs
// by HEAD, POST and one PUT of the whole body, then manifests, children first.
// Every call logs in by itself when the registry asks it to.
type Remote struct {
	HTTP *http.Client // nil means http.DefaultClient
	// Locate tells where a registry's host is reached: a base URL. Nil or
	// false: there is no such host.
	Locate func(host string) (baseURL string, ok bool)
	// Credentials of a host; nil or false: none.
	Credentials func(host string) (user, pass string, ok bool)
}

// Error is a registry's refusal: the first entry of its errors array.
type Error struct {
	Status  int
	Code    string // as the registry wrote it, such as TAG_INVALID; "" when it gave none
	Message string
}

func (e *Error) Error() string {
	if e.Code == "" {
		return fmt.Sprintf("unexpected status %d %s", e.Status, strings.TrimSpace(http.StatusText(e.Status)+" "+e.Message))
	}
	return fmt.Sprintf("%s: %s", strings.ReplaceAll(strings.ToLower(e.Code), "_", " "), e.Message)
}

// accept lists every manifest form, so that no registry converts one.
var accept = strings.Join([]string{OCIIndex, DockerList, OCIManifest, DockerManifest}, ", ")

// Push uploads an image with all below it. The reference is a tag or a digest;
// "" means the image's digest.
func (r Remote) Push(ctx context.Context, host, repository, reference string, image Image) error {
	s, err := r.open(host, repository, "pull,push")
	if err != nil {
		return err
	}
	return s.push(ctx, reference, image)
}

// Pull downloads an image with all below it and checks every digest.
func (r Remote) Pull(ctx context.Context, host, repository, reference string) (Image, error) {
	s, err := r.open(host, repository, "pull")
	if err != nil {
		return Image{}, err
	}
	return s.pull(ctx, reference)
}

// Head returns the digest of a reference.
func (r Remote) Head(ctx context.Context, host, repository, reference string) (string, error) {
	s, err := r.open(host, repository, "pull")
	if err != nil {
		return "", err
	}
	res, err := s.do(ctx, http.MethodHead, "manifests/"+reference, http.Header{"Accept": {accept}}, nil)
	if err != nil {
		return "", err
	}
	drain(res)
	if res.StatusCode != http.StatusOK {
		// The answer to HEAD has no body; ask again for the reason.
		if _, err := s.manifest(ctx, reference); err != nil {
			return "", err
		}
		return "", &Error{Status: res.StatusCode}
	}
	return res.Header.Get("Docker-Content-Digest"), nil
}

// Tags lists all tags of a repository, page by page.
func (r Remote) Tags(ctx context.Context, host, repository string) ([]string, error) {
	s, err := r.open(host, repository, "pull")
	if err != nil {
		return nil, err
	}
	var all []string
	for next := "tags/list"; next != ""; {
		res, err := s.do(ctx, http.MethodGet, next, nil, nil)
		if err != nil {
			return nil, err
		}
		var page struct{ Tags []string }
		body, err := read(res, http.StatusOK)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("tags of %s: %w", repository, err)
		}
		all = append(all, page.Tags...)
		link, _, found := strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">")
		if next = ""; found {
			if next, err = s.resolve(res, link); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// session is one call's conversation with one repository.
type session struct {
	Remote
	host, base, repository, actions string
	authorization                   string
}

func (r Remote) open(host, repository, actions string) (*session, error) {
	base, ok := "", false
	if r.Locate != nil {
		base, ok = r.Locate(host)
	}
	if !ok {
		return nil, fmt.Errorf("Get \"https://%s/v2/\": dial tcp: lookup %s: no such host", host, host) //nolint:staticcheck // docker's words
	}
	if r.HTTP == nil {
		r.HTTP = http.DefaultClient
	}
	return &session{Remote: r, host: host, base: strings.TrimSuffix(base, "/"), repository: repository, actions: actions}, nil
}

func (s *session) push(ctx context.Context, reference string, image Image) error {
	for _, child := range image.Children {
		if err := s.push(ctx, "", child); err != nil {
			return err
		}
	}
	for _, digest := range slices.Sorted(maps.Keys(image.Blobs)) {
		if err := s.pushBlob(ctx, digest, image.Blobs[digest]); err != nil {
			return err
		}
	}
	if reference == "" {
		reference = image.Digest()
	}
	res, err := s.do(ctx, http.MethodPut, "manifests/"+reference, http.Header{"Content-Type": {image.MediaType}}, image.Manifest)
	if err != nil {
		return err
	}
	_, err = read(res, http.StatusCreated)
	return err
}

func (s *session) pushBlob(ctx context.Context, digest string, content []byte) error {
	res, err := s.do(ctx, http.MethodHead, "blobs/"+digest, nil, nil)
	if err != nil {
		return err
	}
	drain(res)
	if res.StatusCode == http.StatusOK {
		return nil
	}
	// Any other answer is left to the POST, which can say why.
	if res, err = s.do(ctx, http.MethodPost, "blobs/uploads/", nil, nil); err != nil {
		return err
	}
	if _, err := read(res, http.StatusAccepted); err != nil {
		return err
	}
	location, err := s.resolve(res, res.Header.Get("Location"))
	if err != nil {
		return err
	}
	u, err := url.Parse(location)
	if err != nil {
		return err
	}
	q := u.Query()
	q.Set("digest", digest)
	u.RawQuery = q.Encode()
	if res, err = s.do(ctx, http.MethodPut, u.String(), http.Header{"Content-Type": {"application/octet-stream"}}, content); err != nil {
		return err
	}
	_, err = read(res, http.StatusCreated)
	return err
}

func (s *session) pull(ctx context.Context, reference string) (Image, error) {
	image, err := s.manifest(ctx, reference)
	if err != nil {
		return Image{}, err
	}
	m, err := image.Parsed()
	if err != nil {
		return Image{}, err
	}
	for _, d := range m.Manifests {
		child, err := s.pull(ctx, d.Digest)
		if err != nil {
			return Image{}, err
		}
		child.Platform, child.Annotations = d.Platform, d.Annotations
		image.Children = append(image.Children, child)
	}
	blobs := m.Layers
	if m.Config != nil {
		blobs = append(blobs, *m.Config)
	}
	for _, d := range blobs {
		res, err := s.do(ctx, http.MethodGet, "blobs/"+d.Digest, nil, nil)
		if err != nil {
			return Image{}, err
		}
		content, err := read(res, http.StatusOK)
		if err != nil {
			return Image{}, err
		}
		if Digest(content) != d.Digest {
			return Image{}, fmt.Errorf("blob %s of %s: content has digest %s", d.Digest, s.repository, Digest(content))
		}
		if image.Blobs == nil {
			image.Blobs = map[string][]byte{}
		}
		image.Blobs[d.Digest] = content
	}
	return image, nil
}

func (s *session) manifest(ctx context.Context, reference string) (Image, error) {
	res, err := s.do(ctx, http.MethodGet, "manifests/"+reference, http.Header{"Accept": {accept}}, nil)
	if err != nil {
		return Image{}, err
	}
	body, err := read(res, http.StatusOK)
	if err != nil {
		return Image{}, err
	}
	image := Image{MediaType: res.Header.Get("Content-Type"), Manifest: body}
	if strings.HasPrefix(reference, "sha256:") && image.Digest() != reference {
		return Image{}, fmt.Errorf("manifest %s of %s: content has digest %s", reference, s.repository, image.Digest())
	}
	return image, nil
}

// resolve makes a Location or Link of a response absolute.
func (s *session) resolve(res *http.Response, reference string) (string, error) {
	u, err := url.Parse(reference)
	if err != nil || reference == "" {
		return "", fmt.Errorf("%s %s: bad or no location %q in answer", res.Request.Method, res.Request.URL.Path, reference)
	}
	return res.Request.URL.ResolveReference(u).String(), nil
}

// do sends a request; target is relative to the repository, or a whole URL.
func (s *session) do(ctx context.Context, method, target string, header http.Header, body []byte) (*http.Response, error) {
	if !strings.Contains(target, "://") {
		target = s.base + "/v2/" + s.repository + "/" + target
	}
	for again := true; ; again = false {
		req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
		if err != nil {
			return nil, err
		}
		maps.Copy(req.Header, header)
		if s.authorization != "" {
			req.Header.Set("Authorization", s.authorization)
		}
		res, err := s.HTTP.Do(req)
		if err != nil {
			return nil, err
		}
		if res.StatusCode != http.StatusUnauthorized || !again {
			return res, nil
		}
		drain(res)
		if err := s.login(ctx, res.Header.Get("WWW-Authenticate")); err != nil {
			return nil, err
		}
	}
}

func drain(res *http.Response) {
	_, _ = io.Copy(io.Discard, io.LimitReader(res.Body, 1<<20))
	_ = res.Body.Close()
}

// read returns the body of an answer with the wanted status, else an *Error.
func read(res *http.Response, want int) ([]byte, error) {
	defer res.Body.Close() //nolint:errcheck // nothing to lose on a read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", res.Request.Method, res.Request.URL.Path, err)
	}
	if res.StatusCode == want {
		return body, nil
	}
	refusal := &Error{Status: res.StatusCode}
	var told struct {
		Errors []struct{ Code, Message string }
	}
	if json.Unmarshal(body, &told) == nil && len(told.Errors) > 0 {
		refusal.Code, refusal.Message = told.Errors[0].Code, told.Errors[0].Message
	}
	return nil, refusal
}
