package ecr

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// repository is the index of one repository; its content is in the backend.
type repository struct {
	Name       string            `json:"name"`
	Created    time.Time         `json:"created"`
	Mutability string            `json:"mutability"`
	Exclusions []exclusion       `json:"exclusions,omitempty"`
	ScanOnPush bool              `json:"scan_on_push,omitempty"`
	Encryption encryption        `json:"encryption"`
	Labels     map[string]string `json:"labels,omitempty"` // resource tags
	Policy     string            `json:"policy,omitempty"`
	Lifecycle  string            `json:"lifecycle,omitempty"`
	Images     map[string]*image `json:"images"`
	Tags       map[string]string `json:"tags"` // to digest
	Layers     map[string]*layer `json:"layers"`
}

// image is what ECR knows of a manifest or index.
type image struct {
	Digest       string            `json:"digest"`
	MediaType    string            `json:"media_type"`
	ArtifactType string            `json:"artifact_type,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	Subject      string            `json:"subject,omitempty"`
	Length       int64             `json:"length"` // of the manifest
	Bytes        int64             `json:"bytes"`  // compressed; of an index that of its largest child
	Blobs        []string          `json:"blobs,omitempty"`
	Children     []string          `json:"children,omitempty"`
	Tags         []string          `json:"tags,omitempty"`
	Pushed       time.Time         `json:"pushed"`
	Pulled       time.Time         `json:"pulled"`
}

type layer struct {
	Bytes    int64     `json:"bytes"`
	Uploaded time.Time `json:"uploaded"`
}

const (
	maxManifest = 4 << 20 // bytes
	maxLayers   = 500     // measured at ECR, documented nowhere
	maxTags     = 1000    // of one image
)

var (
	digestForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)
	tagForm    = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)
)

// immutable tells whether a tag that exists must stay as it is.
func (r *repository) immutable(tag string) bool {
	excluded := slices.ContainsFunc(r.Exclusions, func(e exclusion) bool {
		ok, err := path.Match(e.Filter, tag) // tags hold no slash, so * matches anything
		return err == nil && ok
	})
	return strings.HasPrefix(r.Mutability, "IMMUTABLE") != excluded
}

// find resolves a digest, a tag, or both, which must agree then.
func (r *repository) find(id imageID) *image {
	digest := id.ImageDigest
	if id.ImageTag != "" {
		tagged, ok := r.Tags[id.ImageTag]
		if !ok || digest != "" && digest != tagged {
			return nil
		}
		digest = tagged
	}
	return r.Images[digest]
}

// digests lists all images in a stable order that means nothing.
func (r *repository) digests() []string { return slices.Sorted(maps.Keys(r.Images)) }

// push is a manifest on its way in.
type push struct {
	repository, tag, digest, mediaType string // tag or digest may be ""
	manifest                           []byte
	door                               bool // came through the registry door
}

// putImage checks a manifest as ECR does and adds it. Through the API an image
// that is there already is an error. Through the door the same push again is
// fine, except when it names an immutable tag: ECR refuses that even for the
// same digest (aws/containers-roadmap#2179).
func (s *Server) putImage(p push) (*image, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(p.repository)
	if r == nil {
		return nil, s.noRepository(p.repository)
	}
	img, f := s.examine(r, &p)
	if f != nil {
		return nil, f
	}
	existing := r.Images[img.Digest]
	if p.tag != "" {
		taken, ok := r.Tags[p.tag]
		switch {
		case ok && taken == img.Digest && !p.door:
			return nil, s.imageExists(p.repository, img.Digest, p.tag)
		case ok && r.immutable(p.tag):
			return nil, tagTaken(p.repository, p.tag)
		case existing != nil && !slices.Contains(existing.Tags, p.tag) && len(existing.Tags) >= maxTags:
			return nil, exception("LimitExceededException", "The maximum number of tags per image %d has been reached", maxTags)
		}
	} else if existing != nil && !p.door {
		return nil, s.imageExists(p.repository, img.Digest, "null")
	}
	if existing == nil {
		if err := s.backend.putManifest(p.repository, img.Digest, img.MediaType, p.manifest); err != nil {
			return nil, internal(err)
		}
		r.Images[img.Digest] = img
		existing = img
	}
	if p.tag != "" {
		r.setTag(p.tag, existing)
	}
	s.wrote("manifests")
	return existing, nil
}

// setTag moves a tag to an image.
func (r *repository) setTag(tag string, img *image) {
	r.dropTag(tag)
	r.Tags[tag] = img.Digest
	img.Tags = append(img.Tags, tag)
}

func (r *repository) dropTag(tag string) {
	if old := r.Images[r.Tags[tag]]; old != nil {
		old.Tags = slices.DeleteFunc(old.Tags, func(t string) bool { return t == tag })
	}
	delete(r.Tags, tag)
}

// examine parses and checks a manifest; everything that it names must be in
// the repository.
func (s *Server) examine(r *repository, p *push) (*image, *failure) {
	if len(p.manifest) > maxManifest {
		return nil, invalid("imageManifest", "Member must have length less than or equal to 4194304")
	}
	var m oci.Manifest
	if err := json.Unmarshal(p.manifest, &m); err != nil || m.SchemaVersion != 2 {
		return nil, invalid("ImageManifest", "Invalid JSON syntax")
	}
	if p.mediaType == "" {
		p.mediaType = m.MediaType
	}
	if p.mediaType == "" && m.Manifests != nil {
		p.mediaType = oci.OCIIndex
	} else if p.mediaType == "" {
		p.mediaType = oci.OCIManifest
	}
	known := []string{oci.DockerManifest, oci.DockerList, oci.OCIManifest, oci.OCIIndex}
	if !slices.Contains(known, p.mediaType) || m.MediaType != "" && m.MediaType != p.mediaType {
		return nil, invalid("imageManifestMediaType", "Media type "+p.mediaType+" does not fit the manifest")
	}
	if f := checkTag(p.tag); f != nil {
		return nil, f
	}
	img := &image{
		Digest: oci.Digest(p.manifest), MediaType: p.mediaType, ArtifactType: m.ArtifactType,
		Annotations: m.Annotations, Length: int64(len(p.manifest)), Pushed: s.now(),
	}
	if p.digest != "" && p.digest != img.Digest {
		return nil, digestMismatch(p.digest, img.Digest)
	}
	if m.Subject != nil {
		img.Subject = m.Subject.Digest
	}
	if p.mediaType == oci.OCIIndex || p.mediaType == oci.DockerList {
		return img, s.examineIndex(r, m, img)
	}
	return img, s.examineLayers(r, m, img)
}

func (s *Server) examineIndex(r *repository, m oci.Manifest, img *image) *failure {
	var missing []string
	for _, d := range m.Manifests {
		child := r.Images[d.Digest]
		if child == nil {
			missing = append(missing, d.Digest)
			continue
		}
		img.Children = append(img.Children, d.Digest)
		img.Bytes = max(img.Bytes, child.Bytes)
	}
	if len(missing) > 0 {
		return s.noReferenced(r.Name, missing)
	}
	return nil
}

func (s *Server) examineLayers(r *repository, m oci.Manifest, img *image) *failure {
	if m.Config == nil {
		return invalid("ImageManifest", "Invalid JSON syntax")
	}
	if len(m.Layers) > maxLayers {
		return invalid("ImageManifest", "Limit on number of layers per image exceeded")
	}
	if img.ArtifactType == "" {
		img.ArtifactType = m.Config.MediaType
	}
	var missing []string
	for _, d := range append([]oci.Descriptor{*m.Config}, m.Layers...) {
		if slices.Contains(img.Blobs, d.Digest) || len(d.URLs) > 0 {
			continue // seen, or foreign: kept elsewhere
		}
		l := r.Layers[d.Digest]
		if l == nil {
			missing = append(missing, d.Digest)
			continue
		}
		img.Blobs = append(img.Blobs, d.Digest)
		img.Bytes += l.Bytes
	}
	if len(missing) > 0 {
		return s.noLayers(r.Name, missing)
	}
	return nil
}

func checkTag(tag string) *failure {
	switch {
	case tag == "":
	case len(tag) > 300:
		return invalid("imageTag", "Member must have length less than or equal to 300")
	case !tagForm.MatchString(tag):
		return invalid("imageTag", "must satisfy regular expression '[a-zA-Z0-9-_.]+'")
	}
	return nil
}

// remove deletes an image and its tags. The caller has seen to it that no
// index holds it.
func (s *Server) remove(r *repository, img *image) error {
	if err := s.backend.remove(r.Name, "manifests", img.Digest); err != nil {
		return fmt.Errorf("remove image: %w", err)
	}
	for _, tag := range slices.Clone(img.Tags) {
		r.dropTag(tag)
	}
	delete(r.Images, img.Digest)
	s.saver.Changed()
	return nil
}

// parents lists the indexes that hold an image.
func (r *repository) parents(digest string) []string {
	return slices.DeleteFunc(r.digests(), func(d string) bool { return !slices.Contains(r.Images[d].Children, digest) })
}

// pulled records a pull. ECR refreshes its time only about once a day, so it
// is not exact for images that are pulled often.
func (s *Server) pulled(img *image) {
	if now := s.now(); img.Pulled.IsZero() || now.Sub(img.Pulled) >= 24*time.Hour {
		img.Pulled = now
		s.saver.Changed()
	}
}
