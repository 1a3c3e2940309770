package oci

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"
)

// Index joins images to a multi-platform one: a Docker manifest list when all
// children are schema 2, else an OCI index.
func Index(children ...Image) Image {
	m := Manifest{SchemaVersion: 2, MediaType: OCIIndex}
	if !slices.ContainsFunc(children, func(c Image) bool { return c.MediaType != DockerManifest }) {
		m.MediaType = DockerList
	}
	for _, c := range children {
		m.Manifests = append(m.Manifests, c.Descriptor())
	}
	return Image{MediaType: m.MediaType, Manifest: encode(m), Children: children}
}

// Attestation makes the child that BuildKit puts beside an image in an index:
// platform unknown/unknown, with a pointer to the image in its annotations.
// See https://docs.docker.com/build/metadata/attestations/attestation-storage/.
func Attestation(of Image) Image {
	statement := encode(map[string]any{
		"_type":         "https://in-toto.io/Statement/v0.1",
		"predicateType": "https://slsa.dev/provenance/v0.2",
		"subject":       []map[string]any{{"name": "_", "digest": map[string]string{"sha256": strings.TrimPrefix(of.Digest(), "sha256:")}}},
	})
	unknown := Platform{OS: "unknown", Architecture: "unknown"}
	config := encode(imageConfig{Platform: unknown, RootFS: rootFS{Type: "layers", DiffIDs: []string{Digest(statement)}}})
	image := artifact(Manifest{SchemaVersion: 2, MediaType: OCIManifest}, ociConfig, config, "application/vnd.in-toto+json", statement)
	image.Platform = &unknown
	image.Annotations = map[string]string{
		"vnd.docker.reference.digest": of.Digest(),
		"vnd.docker.reference.type":   "attestation-manifest",
	}
	return image
}

// Referrer makes an OCI 1.1 artifact whose subject is the given image.
func Referrer(subject Image, artifactType string, payload []byte) Image {
	about := Descriptor{MediaType: subject.MediaType, Digest: subject.Digest(), Size: int64(len(subject.Manifest))}
	return artifact(Manifest{SchemaVersion: 2, MediaType: OCIManifest, ArtifactType: artifactType, Subject: &about},
		ociEmpty, []byte("{}"), artifactType, payload)
}

// Signature makes an image as cosign does and the tag under which it belongs:
// sha256-<hex>.sig beside the signed image.
func Signature(of Image) (tag string, image Image) {
	payload := encode(map[string]any{"critical": map[string]any{"image": map[string]string{"docker-manifest-digest": of.Digest()}}})
	config := encode(imageConfig{RootFS: rootFS{Type: "layers", DiffIDs: []string{Digest(payload)}}})
	return DigestTag(of, ".sig"), artifact(Manifest{SchemaVersion: 2, MediaType: OCIManifest}, ociConfig, config, "application/vnd.dev.cosign.simplesigning.v1+json", payload)
}

// DigestTag returns the tag sha256-<hex><suffix> of what belongs to an image.
func DigestTag(of Image, suffix string) string {
	return strings.Replace(of.Digest(), ":", "-", 1) + suffix
}

func artifact(m Manifest, configType string, config []byte, layerType string, payload []byte) Image {
	m.Config = &Descriptor{MediaType: configType, Digest: Digest(config), Size: int64(len(config))}
	m.Layers = []Descriptor{{MediaType: layerType, Digest: Digest(payload), Size: int64(len(payload))}}
	return Image{MediaType: m.MediaType, Manifest: encode(m), Blobs: map[string][]byte{Digest(config): config, Digest(payload): payload}}
}

// unpack returns the regular files of a gzip tar layer.
func unpack(packed []byte) (Layer, error) {
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	files := Layer{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return nil, err
		}
		files[h.Name] = string(content)
	}
}
