// Package oci makes small real container images and moves them between
// registries. Its images have a config, gzip tar layers and true digests, in
// Docker's schema 2 or OCI form, alone, in an index, with attestations, and
// with referrers or cosign's digest tags. The same Spec always gives the same
// bytes.
//
// Remote speaks the distribution protocol as docker push and docker pull do,
// and gives a registry's refusal back as *Error. See
// https://github.com/opencontainers/image-spec and
// https://github.com/opencontainers/distribution-spec.
package oci

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Media types of what this package builds.
const (
	DockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
	DockerList     = "application/vnd.docker.distribution.manifest.list.v2+json"
	OCIManifest    = "application/vnd.oci.image.manifest.v1+json"
	OCIIndex       = "application/vnd.oci.image.index.v1+json"

	dockerConfig = "application/vnd.docker.container.image.v1+json"
	dockerLayer  = "application/vnd.docker.image.rootfs.diff.tar.gzip"
	ociConfig    = "application/vnd.oci.image.config.v1+json"
	ociLayer     = "application/vnd.oci.image.layer.v1.tar+gzip"
	ociEmpty     = "application/vnd.oci.empty.v1+json"
)

// Layer is the files of one layer: path to content.
type Layer map[string]string

// Spec describes an image to build.
type Spec struct {
	Layers      []Layer           // none means one layer with a small file
	Config      Config            // what the image's config says beside platform and layers
	Created     time.Time         // zero means 2024-01-01
	Platform    string            // os/architecture[/variant]; "" means linux/amd64
	Docker      bool              // schema 2 instead of OCI
	Annotations map[string]string // of the manifest; OCI only
}

// Config is the part of an image's config that decides how a container runs.
type Config struct {
	Env        []string          `json:"Env,omitempty"`
	Entrypoint []string          `json:"Entrypoint,omitempty"`
	Cmd        []string          `json:"Cmd,omitempty"`
	WorkingDir string            `json:"WorkingDir,omitempty"`
	Labels     map[string]string `json:"Labels,omitempty"`
}

// Platform is the system that an image runs on.
type Platform struct {
	Architecture string `json:"architecture"`
	OS           string `json:"os"`
	Variant      string `json:"variant,omitempty"`
}

// Descriptor points to a blob or manifest.
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	URLs         []string          `json:"urls,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Platform     *Platform         `json:"platform,omitempty"`
	ArtifactType string            `json:"artifactType,omitempty"`
}

// Manifest is the JSON of a manifest or index, of either family.
type Manifest struct {
	SchemaVersion int               `json:"schemaVersion"`
	MediaType     string            `json:"mediaType,omitempty"`
	ArtifactType  string            `json:"artifactType,omitempty"`
	Config        *Descriptor       `json:"config,omitempty"`
	Layers        []Descriptor      `json:"layers,omitempty"`
	Manifests     []Descriptor      `json:"manifests,omitempty"`
	Subject       *Descriptor       `json:"subject,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

// Image is a manifest with everything below it.
type Image struct {
	MediaType string
	Manifest  []byte            // exactly as pushed
	Blobs     map[string][]byte // config and layers by digest
	Children  []Image           // of an index, in its order

	// How an index describes this image.
	Platform    *Platform
	Annotations map[string]string
}

// Digest returns the digest of content, as registries write it.
func Digest(content []byte) string {
	sum := sha256.Sum256(content)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// Digest returns the image's digest.
func (i Image) Digest() string { return Digest(i.Manifest) }

// IsIndex tells whether the image is an index or manifest list.
func (i Image) IsIndex() bool { return i.MediaType == OCIIndex || i.MediaType == DockerList }

// Parsed returns the manifest, decoded.
func (i Image) Parsed() (Manifest, error) {
	var m Manifest
	if err := json.Unmarshal(i.Manifest, &m); err != nil {
		return Manifest{}, fmt.Errorf("manifest %s: %w", i.Digest(), err)
	}
	return m, nil
}

// Descriptor describes the image for an index or as a subject.
func (i Image) Descriptor() Descriptor {
	return Descriptor{MediaType: i.MediaType, Digest: i.Digest(), Size: int64(len(i.Manifest)), Platform: i.Platform, Annotations: i.Annotations}
}

// File returns a file of the image as its uppermost layer shows it. It looks
// into the first child of an index.
func (i Image) File(name string) (content string, ok bool) {
	if len(i.Children) > 0 {
		return i.Children[0].File(name)
	}
	m, err := i.Parsed()
	if err != nil {
		return "", false
	}
	for _, layer := range slices.Backward(m.Layers) {
		files, err := unpack(i.Blobs[layer.Digest])
		if err != nil {
			continue
		}
		if content, ok = files[name]; ok {
			return content, true
		}
	}
	return "", false
}

// Run returns the image's run configuration, of the first child of an index.
func (i Image) Run() (Config, error) {
	if len(i.Children) > 0 {
		return i.Children[0].Run()
	}
	m, err := i.Parsed()
	if err != nil {
		return Config{}, err
	}
	if m.Config == nil {
		return Config{}, fmt.Errorf("manifest %s has no config", i.Digest())
	}
	var c imageConfig
	if err := json.Unmarshal(i.Blobs[m.Config.Digest], &c); err != nil {
		return Config{}, fmt.Errorf("config of %s: %w", i.Digest(), err)
	}
	return c.Config, nil
}

// imageConfig is the config blob; both families share these fields.
type imageConfig struct {
	Created time.Time `json:"created"`
	Platform
	Config Config `json:"config"`
	RootFS rootFS `json:"rootfs"`
}

type rootFS struct {
	Type    string   `json:"type"`
	DiffIDs []string `json:"diff_ids"`
}

// Build makes an image.
func Build(s Spec) Image {
	if len(s.Layers) == 0 {
		s.Layers = []Layer{{"etc/motd": "hello\n"}}
	}
	if s.Created.IsZero() {
		s.Created = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	}
	platform := parsePlatform(cmp.Or(s.Platform, "linux/amd64"))
	mediaType, configType, layerType := OCIManifest, ociConfig, ociLayer
	if s.Docker {
		mediaType, configType, layerType = DockerManifest, dockerConfig, dockerLayer
	}
	blobs := map[string][]byte{}
	m := Manifest{SchemaVersion: 2, MediaType: mediaType}
	if !s.Docker {
		m.Annotations = s.Annotations
	}
	rootfs := rootFS{Type: "layers"}
	for _, layer := range s.Layers {
		plain, packed := pack(layer)
		blobs[Digest(packed)] = packed
		rootfs.DiffIDs = append(rootfs.DiffIDs, Digest(plain))
		m.Layers = append(m.Layers, Descriptor{MediaType: layerType, Digest: Digest(packed), Size: int64(len(packed))})
	}
	config := encode(imageConfig{Created: s.Created.UTC(), Platform: platform, Config: s.Config, RootFS: rootfs})
	blobs[Digest(config)] = config
	m.Config = &Descriptor{MediaType: configType, Digest: Digest(config), Size: int64(len(config))}
	return Image{MediaType: mediaType, Manifest: encode(m), Blobs: blobs, Platform: &platform}
}

func parsePlatform(s string) Platform {
	parts := append(strings.Split(s, "/"), "", "")
	return Platform{OS: parts[0], Architecture: parts[1], Variant: parts[2]}
}

// pack returns a layer as tar and as gzip tar, with sorted names and no times.
func pack(files Layer) (plain, packed []byte) {
	var tarball, zipped bytes.Buffer
	w := tar.NewWriter(&tarball)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		// Writing to a buffer fails only for a header that tar cannot express.
		if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(files[name])), Format: tar.FormatPAX}); err != nil {
			panic(fmt.Sprintf("oci: file name %q: %v", name, err))
		}
		_, _ = w.Write([]byte(files[name]))
	}
	_ = w.Close()
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(tarball.Bytes())
	_ = z.Close()
	return tarball.Bytes(), zipped.Bytes()
}

// encode writes JSON without HTML escapes, as registries' clients do.
func encode(v any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		panic(fmt.Sprintf("oci: encode %T: %v", v, err)) // only our own plain structs come here
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}
