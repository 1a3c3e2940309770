package ecr

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// maxDoorTag is the registry protocol's bound, tighter than the API's.
const maxDoorTag = 128

// id reads a manifest reference.
func (k knock) id() (imageID, *failure) {
	if strings.Contains(k.reference, ":") {
		if !digestForm.MatchString(k.reference) {
			return imageID{}, &failure{exception: "InvalidParameterException", code: "DIGEST_INVALID", door: http.StatusBadRequest, message: "provided digest did not match uploaded content"}
		}
		return imageID{ImageDigest: k.reference}, nil
	}
	if len(k.reference) > maxDoorTag || checkTag(k.reference) != nil {
		f := invalid("imageTag", "must satisfy regular expression '[a-zA-Z0-9_][a-zA-Z0-9-_.]{0,127}'")
		f.door, f.code = http.StatusBadRequest, "TAG_INVALID"
		return imageID{}, f
	}
	return imageID{ImageTag: k.reference}, nil
}

// getManifest serves a manifest. GET counts as a pull and, as at ECR, does not
// name the digest; HEAD does (aws/containers-roadmap#1931).
func (s *Server) getManifest(w http.ResponseWriter, r *http.Request, k knock) *failure {
	id, f := k.id()
	if f != nil {
		return f
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	img := s.repository(k.repository).find(id)
	if img == nil {
		return &failure{exception: "ImageNotFoundException", code: "MANIFEST_UNKNOWN", door: http.StatusNotFound, message: "Requested image not found"}
	}
	content, err := s.backend.manifest(k.repository, img.Digest, img.MediaType)
	if err != nil {
		return internal(err)
	}
	w.Header().Set("Content-Type", img.MediaType)
	w.Header().Set("Content-Length", strconv.Itoa(len(content)))
	if r.Method == http.MethodHead {
		w.Header().Set("Docker-Content-Digest", img.Digest)
		return nil
	}
	s.pulled(img)
	_, _ = w.Write(content)
	return nil
}

func (s *Server) putManifest(w http.ResponseWriter, r *http.Request, k knock) *failure {
	id, f := k.id()
	if f != nil {
		return f
	}
	content, err := io.ReadAll(io.LimitReader(r.Body, maxManifest+1))
	if err != nil {
		return internal(err)
	}
	mediaType, _, _ := strings.Cut(r.Header.Get("Content-Type"), ";")
	img, f := s.putImage(push{
		repository: k.repository, tag: id.ImageTag, digest: id.ImageDigest,
		mediaType: strings.TrimSpace(mediaType), manifest: content, door: true,
	})
	if f != nil {
		return f
	}
	w.Header().Set("Docker-Content-Digest", img.Digest)
	w.Header().Set("Location", fmt.Sprintf("/v2/%s/manifests/%s", k.repository, k.reference))
	if img.Subject != "" {
		w.Header().Set("OCI-Subject", img.Subject)
	}
	w.WriteHeader(http.StatusCreated)
	return nil
}

func (s *Server) referrerList(w http.ResponseWriter, r *http.Request, k knock) *failure {
	if !digestForm.MatchString(k.reference) {
		return &failure{exception: "InvalidParameterException", code: "DIGEST_INVALID", door: http.StatusBadRequest, message: "invalid subject digest"}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	repo := s.repository(k.repository)
	var types []string
	if r.URL.Query().Has("artifactType") {
		types = r.URL.Query()["artifactType"]
		w.Header().Set("OCI-Filters-Applied", "artifactType")
	}
	list := []oci.Descriptor{}
	for _, digest := range repo.referrers(k.reference, types) {
		img := repo.Images[digest]
		list = append(list, oci.Descriptor{MediaType: img.MediaType, Digest: digest, Size: img.Length, ArtifactType: img.ArtifactType, Annotations: img.Annotations})
	}
	w.Header().Set("Content-Type", oci.OCIIndex)
	_ = json.NewEncoder(w).Encode(map[string]any{"schemaVersion": 2, "mediaType": oci.OCIIndex, "manifests": list})
	return nil
}

// getBlob sends layers by a redirect to storage.
func (s *Server) getBlob(w http.ResponseWriter, r *http.Request, k knock) *failure {
	s.mu.Lock()
	l := s.repository(k.repository).Layers[k.reference]
	s.mu.Unlock()
	if l == nil {
		return &failure{exception: "LayersNotFoundException", code: "BLOB_UNKNOWN", door: http.StatusNotFound, message: "blob unknown to registry"}
	}
	w.Header().Set("Docker-Content-Digest", k.reference)
	if r.Method == http.MethodGet {
		http.Redirect(w, r, s.layerURL(k.repository, k.reference), http.StatusTemporaryRedirect)
		return nil
	}
	w.Header().Set("Content-Type", "application/octet-stream")
	w.Header().Set("Content-Length", strconv.FormatInt(l.Bytes, 10))
	return nil
}

// chunked is an upload that got a chunk. ECR keeps the first one only, and
// says nothing of it (aws/containers-roadmap#2831).
type chunked struct{ location, span string }

// startUpload begins a session, or mounts a layer of another repository where
// the account allows it. A refused mount is a session like any other.
func (s *Server) startUpload(w http.ResponseWriter, r *http.Request, k knock) *failure {
	q := r.URL.Query()
	digest, from := q.Get("mount"), q.Get("from")
	s.mu.Lock()
	source := s.kept.Repositories[from]
	var mounted *layer
	if digest != "" && source != nil && s.setting("BLOB_MOUNTING") == "ENABLED" {
		mounted = source.Layers[digest]
	}
	s.mu.Unlock()
	if mounted != nil && s.authorize(k.principal, "GetDownloadUrlForLayer", from) != nil {
		mounted = nil
	}
	plain := r.Clone(r.Context())
	plain.Body, plain.ContentLength = http.NoBody, 0
	plain.URL.RawQuery = ""
	if mounted != nil {
		plain.URL.RawQuery = "mount=" + digest + "&from=" + from
	}
	answer := &watcher{ResponseWriter: w}
	s.backend.ServeHTTP(answer, plain)
	if answer.status == http.StatusCreated {
		s.addLayer(k.repository, digest, mounted.Bytes)
	}
	return nil
}

// patchUpload takes a chunk. The answer is 201 where the protocol wants 202,
// and every chunk after the first is dropped.
func (s *Server) patchUpload(w http.ResponseWriter, r *http.Request, k knock) *failure {
	key := path.Base(r.URL.Path)
	s.mu.Lock()
	before := s.chunked[key]
	s.mu.Unlock()
	if before != nil {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return internal(err)
		}
		w.Header().Set("Location", before.location)
		w.Header().Set("Range", before.span)
		w.Header().Set("Docker-Upload-UUID", key)
		w.WriteHeader(http.StatusCreated)
		return nil
	}
	answer := &watcher{ResponseWriter: w, change: map[int]int{http.StatusAccepted: http.StatusCreated}}
	s.backend.ServeHTTP(answer, r)
	if answer.status == http.StatusAccepted {
		s.mu.Lock()
		s.chunked[key] = &chunked{location: w.Header().Get("Location"), span: w.Header().Get("Range")}
		s.mu.Unlock()
	}
	return nil
}

// finishUpload completes a layer. A body after a chunk would be a further
// chunk, and is dropped like one: the digest does not match then.
func (s *Server) finishUpload(w http.ResponseWriter, r *http.Request, k knock) *failure {
	key := path.Base(r.URL.Path)
	s.mu.Lock()
	_, hadChunk := s.chunked[key]
	delete(s.chunked, key)
	s.mu.Unlock()
	if hadChunk && r.ContentLength != 0 {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return internal(err)
		}
		r = r.Clone(r.Context())
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(nil)), 0
	}
	digest := r.URL.Query().Get("digest")
	answer := &watcher{ResponseWriter: w, before: func(status int) error {
		if status != http.StatusCreated {
			return nil
		}
		size, err := s.backend.size(k.repository, digest)
		if err == nil {
			s.addLayer(k.repository, digest, size)
		}
		return err
	}}
	s.backend.ServeHTTP(answer, r)
	return nil
}

func (s *Server) addLayer(repository, digest string, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.kept.Repositories[repository]; r != nil {
		r.Layers[digest] = &layer{Bytes: size, Uploaded: s.now()}
	}
	s.wrote("layers")
}

// watcher looks at the status of an answer on its way out, and may change it.
type watcher struct {
	http.ResponseWriter
	status int // as the backend gave it
	change map[int]int
	before func(status int) error // runs before the client sees the status
}

func (a *watcher) WriteHeader(status int) {
	a.status = status
	if to, ok := a.change[status]; ok {
		status = to
	}
	if a.before != nil {
		if a.before(status) != nil {
			status = http.StatusInternalServerError
		}
	}
	a.ResponseWriter.WriteHeader(status)
}
