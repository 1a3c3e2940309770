package registry

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	"github.com/regclient/regclient/types/descriptor"
	"github.com/regclient/regclient/types/manifest"
	"github.com/regclient/regclient/types/mediatype"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Kind is what a manifest is to a copier.
type Kind string

// The kinds of manifest.
const (
	KindImage   Kind = "image"   // config and layers, of an image or any other artifact
	KindIndex   Kind = "index"   // a list of other manifests
	KindSchema1 Kind = "schema1" // Docker's first format, which ends with Docker's first registries
	KindUnknown Kind = "unknown" // none of the formats known here
)

// Media types that decide what is done with an image.
const (
	MediaTypeBuildKitCache = mediatype.BuildkitCacheConfig
	MediaTypeImageConfig   = mediatype.OCI1ImageConfig
	MediaTypeDockerConfig  = mediatype.Docker2ImageConfig
)

// Descriptor points to a manifest or blob.
type Descriptor struct {
	MediaType string   `json:"mediaType"`
	Digest    string   `json:"digest"`
	Size      int64    `json:"size"`
	URLs      []string `json:"urls,omitempty"`
	Platform  string   `json:"platform,omitempty"` // os/architecture[/variant]
}

// Manifest is a manifest, byte for byte as the registry holds it, and what it
// points to.
type Manifest struct {
	Descriptor
	Kind     Kind
	Body     []byte
	Config   *Descriptor  // images only; artifacts of the old artifact format have none
	Layers   []Descriptor // images only
	Children []Descriptor // indexes only
	Subject  *Descriptor  // the manifest that this one is about, if any
}

// accept names every format, or a registry may convert what it answers with.
var accept = []string{strings.Join([]string{
	mediatype.OCI1ManifestList, mediatype.OCI1Manifest, mediatype.Docker2ManifestList, mediatype.Docker2Manifest,
	mediatype.OCI1Artifact, mediatype.Docker1ManifestSigned, mediatype.Docker1Manifest,
}, ", ")}

// maxManifest is what is read at most. ECR takes 4 MiB; a larger one is still
// read, so that it can be reported as what it is.
const maxManifest = 16 << 20

// Head returns the digest, size and media type behind a tag or digest.
func (c *Client) Head(ctx context.Context, repository, reference string) (d Descriptor, err error) {
	defer fault.Wrap(&err, "looking at %s", join(repository, reference))
	header, _, err := c.small(ctx, request{
		method: http.MethodHead, url: c.at(repository + "/manifests/" + reference), route: "manifests",
		scope: pull(repository), header: http.Header{"Accept": accept},
	}, 0)
	if err != nil {
		return Descriptor{}, err
	}
	d.MediaType = mediatype.Base(header.Get("Content-Type"))
	d.Size, _ = strconv.ParseInt(header.Get("Content-Length"), 10, 64)
	d.Digest = header.Get("Docker-Content-Digest")
	if digest.Digest(d.Digest).Validate() != nil {
		// Not every registry names the digest: then its bytes do.
		m, err := c.Manifest(ctx, repository, reference)
		return m.Descriptor, err
	}
	return d, nil
}

// Manifest reads a manifest by tag or digest. Its digest is computed from the
// bytes; what the registry says about it is only compared.
func (c *Client) Manifest(ctx context.Context, repository, reference string) (m Manifest, err error) {
	defer fault.Wrap(&err, "reading manifest %s", join(repository, reference))
	for try := 1; ; try++ {
		header, body, err := c.small(ctx, request{
			method: http.MethodGet, url: c.at(repository + "/manifests/" + reference), route: "manifests",
			scope: pull(repository), header: http.Header{"Accept": accept},
		}, maxManifest)
		if err != nil {
			return Manifest{}, err
		}
		m, err = c.verified(reference, header, body)
		if err == nil || try == 2 {
			return m, err
		}
	}
}

// verified takes a manifest apart and compares its bytes with the digest in the
// reference and the one in the answer.
func (c *Client) verified(reference string, header http.Header, body []byte) (Manifest, error) {
	m := ParseManifest(header.Get("Content-Type"), body)
	said := header.Get("Docker-Content-Digest")
	if m.Kind == KindSchema1 {
		// Its digest leaves out the signatures. Nobody copies it, so the
		// registry's word will do.
		if said != "" {
			m.Digest = said
		}
		return m, nil
	}
	for _, want := range []string{reference, said} {
		d := digest.Digest(want)
		if d.Validate() != nil {
			continue
		}
		if got := d.Algorithm().FromBytes(body); got != d {
			return Manifest{}, fault.New(fault.Transient, "manifest-corrupt", "%s: %w: the manifest is called %s and hashes to %s", c.name, ErrCorrupt, d, got).
				WithRemedy("the registry or something before it changes content; ask its owner")
		}
	}
	if digest.Digest(reference).Validate() == nil {
		m.Digest = reference // it may be of another algorithm than ours
	}
	return m, nil
}

// ParseManifest takes a manifest apart. What cannot be understood becomes
// KindUnknown: that is a finding about the image, not an error of the registry.
func ParseManifest(contentType string, body []byte) Manifest {
	m := Manifest{Body: body, Kind: KindUnknown, Descriptor: Descriptor{
		MediaType: mediatype.Base(contentType), Digest: digest.FromBytes(body).String(), Size: int64(len(body)),
	}}
	d := descriptor.Descriptor{MediaType: m.MediaType}
	if !strings.HasPrefix(m.MediaType, "application/vnd.") {
		d.MediaType = "" // text/plain and the like: the body says what it is
	}
	if strings.HasPrefix(d.MediaType, "application/vnd.docker.distribution.manifest.v1+") || schemaVersion(body) == 1 {
		m.Kind = KindSchema1
		return m
	}
	parsed, err := manifest.New(manifest.WithDesc(d), manifest.WithRaw(body))
	if err != nil {
		return m
	}
	m.MediaType = parsed.GetDescriptor().MediaType
	if index, ok := parsed.(manifest.Indexer); ok {
		children, err := index.GetManifestList()
		if m.Children, ok = convert(children); err != nil || !ok {
			return m
		}
		m.Kind = KindIndex
	} else if image, ok := parsed.(manifest.Imager); ok {
		layers, err := image.GetLayers()
		if m.Layers, ok = convert(layers); err != nil || !ok {
			return m
		}
		if config, err := image.GetConfig(); err == nil && config.Digest != "" {
			one, ok := convert([]descriptor.Descriptor{config})
			if !ok {
				return m
			}
			m.Config = &one[0]
		}
		m.Kind = KindImage
	}
	if s, ok := parsed.(manifest.Subjecter); ok {
		if subject, err := s.GetSubject(); err == nil && subject != nil && subject.Digest != "" {
			if one, ok := convert([]descriptor.Descriptor{*subject}); ok {
				m.Subject = &one[0]
			}
		}
	}
	return m
}

func schemaVersion(body []byte) int {
	var v struct {
		SchemaVersion int `json:"schemaVersion"`
	}
	_ = json.NewDecoder(bytes.NewReader(body)).Decode(&v)
	return v.SchemaVersion
}

// convert leaves regclient's types behind; ok is false if a descriptor is not valid.
func convert(list []descriptor.Descriptor) (out []Descriptor, ok bool) {
	for _, d := range list {
		if d.Digest.Validate() != nil || d.Size < 0 {
			return nil, false
		}
		o := Descriptor{MediaType: d.MediaType, Digest: d.Digest.String(), Size: d.Size, URLs: d.URLs}
		if d.Platform != nil {
			o.Platform = d.Platform.String()
		}
		out = append(out, o)
	}
	return out, true
}

// PutManifest writes a manifest under a tag or, if reference is its digest,
// without one. But for refusals for too many requests it is tried once, as its
// answer may have been lost.
func (c *Client) PutManifest(ctx context.Context, repository, reference string, m Manifest) (err error) {
	defer fault.Wrap(&err, "writing manifest %s", join(repository, reference))
	return c.limiter(http.MethodPut, "manifests").Do(ctx, func() error { return c.putManifest(ctx, repository, reference, m) })
}

func (c *Client) putManifest(ctx context.Context, repository, reference string, m Manifest) error {
	once, cancel := context.WithTimeoutCause(ctx, c.timeout, errTimeout)
	defer cancel()
	resp, err := c.send(once, request{
		method: http.MethodPut, url: c.at(repository + "/manifests/" + reference), route: "manifests", scope: push(repository),
		header: http.Header{"Content-Type": {m.MediaType}}, body: m.Body,
	})
	if err != nil {
		if ctx.Err() == nil && once.Err() != nil {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: no answer within %v", c.name, c.timeout)
		}
		return err
	}
	defer resp.Body.Close()
	if got := resp.Header.Get("Docker-Content-Digest"); got != "" && got != m.Digest {
		return fault.New(fault.Permanent, "digest-changed", "%s holds %s as %s", c.name, m.Digest, got).
			WithRemedy("the registry converts manifests; its images cannot be trusted to be copies")
	}
	return nil
}

// join writes repository:tag or repository@digest.
func join(repository, reference string) string {
	if digest.Digest(reference).Validate() == nil {
		return fmt.Sprintf("%s@%s", repository, reference)
	}
	return fmt.Sprintf("%s:%s", repository, reference)
}
