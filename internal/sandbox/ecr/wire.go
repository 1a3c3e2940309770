package ecr

import (
	"encoding/json"
	"fmt"
	"time"
)

// The API's requests and answers, member by member as the SDK writes them.

const (
	jsonType     = "application/x-amz-json-1.1"
	targetPrefix = "AmazonEC2ContainerRegistry_V20150921."
)

// stamp is a time as AWS JSON 1.1 writes it: seconds, with milliseconds.
type stamp struct{ time.Time }

func (s stamp) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", float64(s.UnixMilli())/1000), nil
}

func (s *stamp) UnmarshalJSON(b []byte) error {
	var seconds float64
	if err := json.Unmarshal(b, &seconds); err != nil {
		return err
	}
	s.Time = time.UnixMilli(int64(seconds * 1000)).UTC()
	return nil
}

func stampOf(t time.Time) *stamp {
	if t.IsZero() {
		return nil
	}
	return &stamp{t}
}

// in is the head of requests and answers about one repository.
type in struct {
	RegistryID     string `json:"registryId,omitempty"`
	RepositoryName string `json:"repositoryName,omitempty"`
}

func (i in) head() in { return i }

// page asks for a part of a list.
type page struct {
	MaxResults *int   `json:"maxResults,omitempty"`
	NextToken  string `json:"nextToken,omitempty"`
}

type empty struct{}

type (
	exclusion struct {
		Filter     string `json:"filter"`
		FilterType string `json:"filterType"`
	}
	encryption struct {
		EncryptionType string `json:"encryptionType"`
		KmsKey         string `json:"kmsKey,omitempty"`
	}
	scanning struct {
		ScanOnPush bool `json:"scanOnPush"`
	}
	label struct {
		Key   string `json:"Key"`
		Value string `json:"Value"`
	}
	repositoryOut struct {
		in
		CreatedAt                          *stamp      `json:"createdAt,omitempty"`
		EncryptionConfiguration            *encryption `json:"encryptionConfiguration,omitempty"`
		ImageScanningConfiguration         *scanning   `json:"imageScanningConfiguration,omitempty"`
		ImageTagMutability                 string      `json:"imageTagMutability,omitempty"`
		ImageTagMutabilityExclusionFilters []exclusion `json:"imageTagMutabilityExclusionFilters,omitempty"`
		RepositoryARN                      string      `json:"repositoryArn,omitempty"`
		RepositoryURI                      string      `json:"repositoryUri,omitempty"`
	}
)

// Repositories and settings.
type (
	getAuthorizationTokenIn struct {
		RegistryIDs []string `json:"registryIds,omitempty"`
	}
	getAuthorizationTokenOut struct {
		AuthorizationData []authorizationData `json:"authorizationData"`
	}
	authorizationData struct {
		AuthorizationToken string `json:"authorizationToken"`
		ExpiresAt          *stamp `json:"expiresAt"`
		ProxyEndpoint      string `json:"proxyEndpoint"`
	}
	describeRepositoriesIn struct {
		page
		RegistryID      string   `json:"registryId,omitempty"`
		RepositoryNames []string `json:"repositoryNames,omitempty"`
	}
	describeRepositoriesOut struct {
		NextToken    string          `json:"nextToken,omitempty"`
		Repositories []repositoryOut `json:"repositories"`
	}
	createRepositoryIn struct {
		in
		EncryptionConfiguration            *encryption `json:"encryptionConfiguration,omitempty"`
		ImageScanningConfiguration         *scanning   `json:"imageScanningConfiguration,omitempty"`
		ImageTagMutability                 string      `json:"imageTagMutability,omitempty"`
		ImageTagMutabilityExclusionFilters []exclusion `json:"imageTagMutabilityExclusionFilters,omitempty"`
		Tags                               []label     `json:"tags,omitempty"`
	}
	createRepositoryOut struct {
		Repository repositoryOut `json:"repository"`
	}
	deleteRepositoryIn struct {
		in
		Force bool `json:"force,omitempty"`
	}
	deleteRepositoryOut struct {
		Repository repositoryOut `json:"repository"`
	}
	mutability struct {
		in
		ImageTagMutability                 string      `json:"imageTagMutability"`
		ImageTagMutabilityExclusionFilters []exclusion `json:"imageTagMutabilityExclusionFilters,omitempty"`
	}
	putLifecyclePolicy struct {
		in
		LifecyclePolicyText string `json:"lifecyclePolicyText"`
	}
	getLifecyclePolicyOut struct {
		in
		LastEvaluatedAt     *stamp `json:"lastEvaluatedAt,omitempty"`
		LifecyclePolicyText string `json:"lifecyclePolicyText"`
	}
	setRepositoryPolicyIn struct {
		in
		Force      bool   `json:"force,omitempty"`
		PolicyText string `json:"policyText"`
	}
	repositoryPolicy struct {
		in
		PolicyText string `json:"policyText"`
	}
	resource struct {
		ResourceARN string `json:"resourceArn"`
	}
	tagResourceIn struct {
		ResourceARN string  `json:"resourceArn"`
		Tags        []label `json:"tags"`
	}
	listTagsForResourceOut struct {
		Tags []label `json:"tags"`
	}
	getAccountSettingIn struct {
		Name string `json:"name"`
	}
	accountSetting struct {
		Name  string `json:"name"`
		Value string `json:"value"`
	}
)

// Images.
type (
	imageID struct {
		ImageDigest string `json:"imageDigest,omitempty"`
		ImageTag    string `json:"imageTag,omitempty"`
	}
	imageFilter struct {
		ImageStatus string `json:"imageStatus,omitempty"`
		TagStatus   string `json:"tagStatus,omitempty"`
	}
	describeImagesIn struct {
		in
		page
		Filter   imageFilter `json:"filter,omitzero"`
		ImageIDs []imageID   `json:"imageIds,omitempty"`
	}
	describeImagesOut struct {
		ImageDetails []imageDetail `json:"imageDetails"`
		NextToken    string        `json:"nextToken,omitempty"`
	}
	imageDetail struct {
		in
		ArtifactMediaType      string   `json:"artifactMediaType,omitempty"`
		ImageDigest            string   `json:"imageDigest"`
		ImageManifestMediaType string   `json:"imageManifestMediaType"`
		ImagePushedAt          *stamp   `json:"imagePushedAt"`
		ImageSizeInBytes       int64    `json:"imageSizeInBytes"`
		ImageStatus            string   `json:"imageStatus"`
		ImageTags              []string `json:"imageTags,omitempty"`
		LastRecordedPullTime   *stamp   `json:"lastRecordedPullTime,omitempty"`
		SubjectManifestDigest  string   `json:"subjectManifestDigest,omitempty"`
	}
	listImagesIn struct {
		in
		page
		Filter imageFilter `json:"filter,omitzero"`
	}
	listImagesOut struct {
		ImageIDs  []imageID `json:"imageIds"`
		NextToken string    `json:"nextToken,omitempty"`
	}
	batchGetImageIn struct {
		in
		AcceptedMediaTypes []string  `json:"acceptedMediaTypes,omitempty"`
		ImageIDs           []imageID `json:"imageIds"`
	}
	batchGetImageOut struct {
		Failures []imageFailure `json:"failures"`
		Images   []imageOut     `json:"images"`
	}
	imageFailure struct {
		FailureCode   string  `json:"failureCode"`
		FailureReason string  `json:"failureReason"`
		ImageID       imageID `json:"imageId"`
	}
	imageOut struct {
		in
		ImageID                imageID `json:"imageId"`
		ImageManifest          string  `json:"imageManifest"`
		ImageManifestMediaType string  `json:"imageManifestMediaType"`
	}
	batchDeleteImageIn struct {
		in
		ImageIDs []imageID `json:"imageIds"`
	}
	batchDeleteImageOut struct {
		Failures []imageFailure `json:"failures"`
		ImageIDs []imageID      `json:"imageIds"`
	}
	putImageIn struct {
		in
		ImageDigest            string `json:"imageDigest,omitempty"`
		ImageManifest          string `json:"imageManifest"`
		ImageManifestMediaType string `json:"imageManifestMediaType,omitempty"`
		ImageTag               string `json:"imageTag,omitempty"`
	}
	putImageOut struct {
		Image imageOut `json:"image"`
	}
	referrerFilter struct {
		ArtifactStatus string   `json:"artifactStatus,omitempty"`
		ArtifactTypes  []string `json:"artifactTypes,omitempty"`
	}
	subjectID struct {
		ImageDigest string `json:"imageDigest"`
	}
	listImageReferrersIn struct {
		in
		page
		Filter    referrerFilter `json:"filter,omitzero"`
		SubjectID subjectID      `json:"subjectId"`
	}
	listImageReferrersOut struct {
		NextToken string     `json:"nextToken,omitempty"`
		Referrers []referrer `json:"referrers"`
	}
	referrer struct {
		Annotations    map[string]string `json:"annotations,omitempty"`
		ArtifactStatus string            `json:"artifactStatus"`
		ArtifactType   string            `json:"artifactType,omitempty"`
		Digest         string            `json:"digest"`
		MediaType      string            `json:"mediaType"`
		Size           int64             `json:"size"`
	}
)

// Layers.
type (
	batchCheckLayerAvailabilityIn struct {
		in
		LayerDigests []string `json:"layerDigests"`
	}
	batchCheckLayerAvailabilityOut struct {
		Failures []layerFailure `json:"failures"`
		Layers   []layerOut     `json:"layers"`
	}
	layerFailure struct {
		FailureCode   string `json:"failureCode"`
		FailureReason string `json:"failureReason"`
		LayerDigest   string `json:"layerDigest"`
	}
	layerOut struct {
		LayerAvailability string `json:"layerAvailability"`
		LayerDigest       string `json:"layerDigest"`
		LayerSize         int64  `json:"layerSize,omitempty"`
		MediaType         string `json:"mediaType,omitempty"`
	}
	initiateLayerUploadOut struct {
		PartSize int64  `json:"partSize"`
		UploadID string `json:"uploadId"`
	}
	uploadLayerPartIn struct {
		in
		LayerPartBlob []byte `json:"layerPartBlob"`
		PartFirstByte int64  `json:"partFirstByte"`
		PartLastByte  int64  `json:"partLastByte"`
		UploadID      string `json:"uploadId"`
	}
	uploadLayerPartOut struct {
		in
		LastByteReceived int64  `json:"lastByteReceived"`
		UploadID         string `json:"uploadId"`
	}
	completeLayerUploadIn struct {
		in
		LayerDigests []string `json:"layerDigests"`
		UploadID     string   `json:"uploadId"`
	}
	completeLayerUploadOut struct {
		in
		LayerDigest string `json:"layerDigest"`
		UploadID    string `json:"uploadId"`
	}
	getDownloadURLForLayerIn struct {
		in
		LayerDigest string `json:"layerDigest"`
	}
	getDownloadURLForLayerOut struct {
		DownloadURL string `json:"downloadUrl"`
		LayerDigest string `json:"layerDigest"`
	}
)
