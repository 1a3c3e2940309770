package ecr

import (
	"fmt"
	"slices"
	"strings"
)

// maxBatch is how many images or layers a batch request may name.
const maxBatch = 100

// matches tells whether an image passes a filter.
func (f imageFilter) matches(img *image) bool {
	switch f.TagStatus {
	case "TAGGED":
		if len(img.Tags) == 0 {
			return false
		}
	case "UNTAGGED":
		if len(img.Tags) > 0 {
			return false
		}
	}
	// Nothing is ever archived here.
	return f.ImageStatus == "" || f.ImageStatus == "ACTIVE" || f.ImageStatus == "ANY"
}

func (f imageFilter) check() *failure {
	if !slices.Contains([]string{"", "TAGGED", "UNTAGGED", "ANY"}, f.TagStatus) {
		return invalid("filter.tagStatus", "Member must satisfy enum value set: [TAGGED, UNTAGGED, ANY]")
	}
	if !slices.Contains([]string{"", "ACTIVE", "ARCHIVED", "ACTIVATING", "ANY"}, f.ImageStatus) {
		return invalid("filter.imageStatus", "Member must satisfy enum value set: [ACTIVE, ARCHIVED, ACTIVATING, ANY]")
	}
	return nil
}

func (s *Server) describeImages(_ principal, request *describeImagesIn) (*describeImagesOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if f := request.Filter.check(); f != nil {
		return nil, f
	}
	out := &describeImagesOut{ImageDetails: []imageDetail{}}
	var chosen []string
	switch ids := request.ImageIDs; {
	case len(ids) > maxBatch:
		return nil, invalid("imageIds", "Member must have length less than or equal to 100")
	case len(ids) > 0 && (request.MaxResults != nil || request.NextToken != ""):
		return nil, invalid("maxResults", "must not be given together with imageIds")
	case len(ids) > 0:
		for _, id := range ids {
			img := r.find(id)
			if img == nil {
				return nil, s.noImage(r.Name, id)
			}
			if !slices.Contains(chosen, img.Digest) {
				chosen = append(chosen, img.Digest)
			}
		}
	default:
		all := slices.DeleteFunc(r.digests(), func(d string) bool { return !request.Filter.matches(r.Images[d]) })
		var f *failure
		if chosen, out.NextToken, f = cut(all, request.page, 1000); f != nil {
			return nil, f
		}
	}
	for _, digest := range chosen {
		img := r.Images[digest]
		out.ImageDetails = append(out.ImageDetails, imageDetail{
			in: s.head(r.Name), ArtifactMediaType: img.ArtifactType, ImageDigest: digest, ImageManifestMediaType: img.MediaType,
			ImagePushedAt: stampOf(img.Pushed), ImageSizeInBytes: img.Bytes, ImageStatus: "ACTIVE", ImageTags: slices.Clone(img.Tags),
			LastRecordedPullTime: stampOf(img.Pulled), SubjectManifestDigest: img.Subject,
		})
	}
	return out, nil
}

func (s *Server) listImages(_ principal, request *listImagesIn) (*listImagesOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if f := request.Filter.check(); f != nil {
		return nil, f
	}
	// One row a tag; the keys sort by digest, then tag.
	var rows []string
	for _, digest := range r.digests() {
		img := r.Images[digest]
		if !request.Filter.matches(img) {
			continue
		}
		if len(img.Tags) == 0 {
			rows = append(rows, digest+" ")
		}
		for _, tag := range slices.Sorted(slices.Values(img.Tags)) {
			rows = append(rows, digest+" "+tag)
		}
	}
	part, next, f := cut(rows, request.page, 1000)
	if f != nil {
		return nil, f
	}
	out := &listImagesOut{ImageIDs: []imageID{}, NextToken: next}
	for _, row := range part {
		digest, tag, _ := strings.Cut(row, " ")
		out.ImageIDs = append(out.ImageIDs, imageID{ImageDigest: digest, ImageTag: tag})
	}
	return out, nil
}

// lookup finds an image of a batch, or says why not inside a good answer.
func (r *repository) lookup(id imageID) (*image, *imageFailure) {
	refuse := func(code, reason string) (*image, *imageFailure) {
		return nil, &imageFailure{FailureCode: code, FailureReason: reason, ImageID: id}
	}
	switch {
	case id == imageID{}:
		return refuse("MissingDigestAndTag", "Invalid request parameters: both tag and digest cannot be null")
	case id.ImageDigest != "" && !digestForm.MatchString(id.ImageDigest):
		return refuse("InvalidImageDigest", "Invalid request parameters: image digest should satisfy the regex '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	case checkTag(id.ImageTag) != nil:
		return refuse("InvalidImageTag", "Invalid request parameters: image tag should satisfy the regex '[a-zA-Z0-9-_.]+'")
	}
	if img := r.find(id); img != nil {
		return img, nil
	}
	if id.ImageTag != "" && id.ImageDigest != "" && r.Images[id.ImageDigest] != nil && r.Tags[id.ImageTag] != "" {
		return refuse("ImageTagDoesNotMatchDigest", "The image tag does not match the image digest")
	}
	return refuse("ImageNotFound", "Requested image not found")
}

func (s *Server) batchGetImage(_ principal, request *batchGetImageIn) (*batchGetImageOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if n := len(request.ImageIDs); n < 1 || n > maxBatch {
		return nil, invalid("imageIds", "Member must have length between 1 and 100")
	}
	if len(request.AcceptedMediaTypes) > 100 {
		return nil, invalid("acceptedMediaTypes", "Member must have length less than or equal to 100")
	}
	out := &batchGetImageOut{Failures: []imageFailure{}, Images: []imageOut{}}
	for _, id := range request.ImageIDs {
		img, refusal := r.lookup(id)
		if refusal != nil {
			out.Failures = append(out.Failures, *refusal)
			continue
		}
		content, err := s.backend.manifest(r.Name, img.Digest, img.MediaType)
		if err != nil {
			return nil, internal(err)
		}
		s.pulled(img)
		out.Images = append(out.Images, imageOut{
			in: s.head(r.Name), ImageID: imageID{ImageDigest: img.Digest, ImageTag: id.ImageTag},
			ImageManifest: string(content), ImageManifestMediaType: img.MediaType,
		})
	}
	return out, nil
}

func (s *Server) batchDeleteImage(_ principal, request *batchDeleteImageIn) (*batchDeleteImageOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if n := len(request.ImageIDs); n < 1 || n > maxBatch {
		return nil, invalid("imageIds", "Member must have length between 1 and 100")
	}
	out := &batchDeleteImageOut{Failures: []imageFailure{}, ImageIDs: []imageID{}}
	for _, id := range request.ImageIDs {
		img, refusal := r.lookup(id)
		if refusal != nil {
			out.Failures = append(out.Failures, *refusal)
			continue
		}
		// A tag goes alone unless it is the last; a digest takes all tags along.
		if id.ImageTag != "" && len(img.Tags) > 1 {
			r.dropTag(id.ImageTag)
			out.ImageIDs = append(out.ImageIDs, imageID{ImageDigest: img.Digest, ImageTag: id.ImageTag})
			s.wrote("deletions")
			continue
		}
		if parents := r.parents(img.Digest); len(parents) > 0 {
			out.Failures = append(out.Failures, imageFailure{
				FailureCode: "ImageReferencedByManifestList", ImageID: id,
				FailureReason: fmt.Sprintf("Requested image referenced by manifest list: [%s]", strings.Join(parents, ", ")),
			})
			continue
		}
		tags := slices.Clone(img.Tags)
		if err := s.remove(r, img); err != nil {
			return nil, internal(err)
		}
		if len(tags) == 0 {
			tags = []string{""}
		}
		for _, tag := range tags {
			out.ImageIDs = append(out.ImageIDs, imageID{ImageDigest: img.Digest, ImageTag: tag})
		}
		s.wrote("deletions")
	}
	return out, nil
}

func (s *Server) putImageAPI(_ principal, request *putImageIn) (*putImageOut, *failure) {
	if request.ImageManifest == "" {
		return nil, invalid("imageManifest", "Member must have length greater than or equal to 1")
	}
	img, f := s.putImage(push{
		repository: request.RepositoryName, tag: request.ImageTag, digest: request.ImageDigest,
		mediaType: request.ImageManifestMediaType, manifest: []byte(request.ImageManifest),
	})
	if f != nil {
		return nil, f
	}
	return &putImageOut{Image: imageOut{
		in: s.head(request.RepositoryName), ImageID: imageID{ImageDigest: img.Digest, ImageTag: request.ImageTag},
		ImageManifest: request.ImageManifest, ImageManifestMediaType: img.MediaType,
	}}, nil
}

// referrers lists what has a digest as its subject.
func (r *repository) referrers(subject string, artifactTypes []string) []string {
	return slices.DeleteFunc(r.digests(), func(d string) bool {
		img := r.Images[d]
		return img.Subject != subject || len(artifactTypes) > 0 && !slices.Contains(artifactTypes, img.ArtifactType)
	})
}

func (s *Server) listImageReferrers(_ principal, request *listImageReferrersIn) (*listImageReferrersOut, *failure) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.repository(request.RepositoryName)
	if !digestForm.MatchString(request.SubjectID.ImageDigest) {
		return nil, invalid("subjectId.imageDigest", "must satisfy regular expression '[a-zA-Z0-9-_+.]+:[a-fA-F0-9]+'")
	}
	part, next, f := cut(r.referrers(request.SubjectID.ImageDigest, request.Filter.ArtifactTypes), request.page, 50)
	if f != nil {
		return nil, f
	}
	out := &listImageReferrersOut{NextToken: next, Referrers: []referrer{}}
	for _, digest := range part {
		img := r.Images[digest]
		out.Referrers = append(out.Referrers, referrer{
			Annotations: img.Annotations, ArtifactStatus: "ACTIVE", ArtifactType: img.ArtifactType,
			Digest: digest, MediaType: img.MediaType, Size: img.Length,
		})
	}
	return out, nil
}
