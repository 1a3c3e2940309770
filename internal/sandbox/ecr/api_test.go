package ecr_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func TestSignatures(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	id, secret := s.WorkerKey()
	get := func(c *awsecr.Client) error {
		_, err := c.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
		return err
	}
	if err := get(sdk(s, id, secret)); err != nil {
		t.Errorf("right key: %v", err)
	}
	refusal(t, "unknown key", get(sdk(s, "AKIAUNKNOWNUNKNOWN00", secret)), "UnrecognizedClientException", "The security token included in the request is invalid.")
	refusal(t, "wrong secret", get(sdk(s, id, "wrong")), "InvalidSignatureException", "does not match")
	elsewhere := awsecr.New(awsecr.Options{
		BaseEndpoint: aws.String(s.URL), Region: "eu-west-1", Retryer: aws.NopRetryer{}, Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
	refusal(t, "wrong region", get(elsewhere), "InvalidSignatureException", "valid region")
	res, body := request(t, s, http.MethodPost, "/", "", "", "application/x-amz-json-1.1", "{}")
	if res.StatusCode != 400 || !strings.Contains(body, "UnknownOperationException") {
		t.Errorf("no operation: %d %s", res.StatusCode, body)
	}
}

// A body that was changed on its way has another signature.
func TestTamperedBody(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	id, secret := s.WorkerKey()
	c := awsecr.New(awsecr.Options{
		BaseEndpoint: aws.String(s.URL), Region: "eu-north-1", Retryer: aws.NopRetryer{}, Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
		HTTPClient: roundTrip(func(r *http.Request) (*http.Response, error) {
			body := `{"repositoryName":"team/bad"}`
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
			return http.DefaultTransport.RoundTrip(r)
		}),
	})
	_, err := c.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: aws.String("team/new")})
	refusal(t, "changed body", err, "InvalidSignatureException", "does not match")
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) Do(r *http.Request) (*http.Response, error) { return f(r) }

func TestRepositories(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	c := workerSDK(s)
	made, err := c.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{
		RepositoryName: aws.String("team/other"), ImageTagMutability: types.ImageTagMutabilityImmutableWithExclusion,
		ImageTagMutabilityExclusionFilters: []types.ImageTagMutabilityExclusionFilter{{Filter: aws.String("latest*"), FilterType: types.ImageTagMutabilityExclusionFilterTypeWildcard}},
		Tags:                               []types.Tag{{Key: aws.String("owner"), Value: aws.String("team")}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := *made.Repository.RepositoryUri, s.Registry+"/team/other"; got != want {
		t.Errorf("uri %s, want %s", got, want)
	}
	_, err = c.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: aws.String("team/other")})
	refusal(t, "again", err, "RepositoryAlreadyExistsException", "already exists in the registry with id '123456789012'")
	for _, name := range []string{"Team/app", "a", "team//app", "team/app-", strings.Repeat("a", 257)} {
		_, err = c.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: aws.String(name)})
		refusal(t, "name "+name, err, "InvalidParameterException", "repositoryName")
	}
	labels, err := c.ListTagsForResource(t.Context(), &awsecr.ListTagsForResourceInput{ResourceArn: made.Repository.RepositoryArn})
	if err != nil || len(labels.Tags) != 1 || *labels.Tags[0].Value != "team" {
		t.Errorf("labels: %+v, %v", labels, err)
	}
	_, err = c.DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{RepositoryNames: []string{"team/app", "team/none"}})
	refusal(t, "one is missing", err, "RepositoryNotFoundException", "The repository with name 'team/none' does not exist in the registry with id '123456789012'")
	for i := range 25 {
		if _, err := s.CreateRepository(fmt.Sprintf("many/r%02d", i)); err != nil {
			t.Fatal(err)
		}
	}
	var names []string
	pages := awsecr.NewDescribeRepositoriesPaginator(c, &awsecr.DescribeRepositoriesInput{MaxResults: aws.Int32(10)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range page.Repositories {
			names = append(names, *r.RepositoryName)
		}
	}
	if len(names) != 27 || !slices.IsSorted(names) {
		t.Errorf("%d repositories by pages, want 27: %q", len(names), names)
	}
	if created, err := s.CreateRepository("team/app"); created || err != nil {
		t.Errorf("the console creates what exists: %t, %v", created, err)
	}
	if got := s.Writes(); got["repositories"] != 1 {
		t.Errorf("writes: %v; want one repository from outside", got)
	}
}

// A repository that holds images is deleted by force only, and a push to one that
// is gone fails in ECR's words.
func TestDeleteRepository(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	c, name := workerSDK(s), aws.String("team/app")
	mustPush(t, s, "team/app", "v1", sample("1"))
	_, err := c.DeleteRepository(t.Context(), &awsecr.DeleteRepositoryInput{RepositoryName: name})
	refusal(t, "not empty", err, "RepositoryNotEmptyException", "The repository with name 'team/app' in registry with id '123456789012' cannot be deleted because it still contains images")
	id, secret := s.PipelineKey("team/app", "team/app")
	_, err = sdk(s, id, secret).DeleteRepository(t.Context(), &awsecr.DeleteRepositoryInput{RepositoryName: name, Force: true})
	refusal(t, "a pipeline", err, "AccessDeniedException", "ecr:DeleteRepository")
	if len(s.Tags("team/app")) != 1 {
		t.Fatal("a refused deletion deleted")
	}
	out, err := c.DeleteRepository(t.Context(), &awsecr.DeleteRepositoryInput{RepositoryName: name, Force: true})
	if err != nil || *out.Repository.RepositoryName != "team/app" {
		t.Fatalf("by force: %+v, %v", out, err)
	}
	_, err = c.DeleteRepository(t.Context(), &awsecr.DeleteRepositoryInput{RepositoryName: name})
	refusal(t, "again", err, "RepositoryNotFoundException", "does not exist")
	if err := pipelineRemote(s, "team/app", "team/app").Push(t.Context(), s.Registry, "team/app", "v2", sample("2")); err == nil || !strings.Contains(err.Error(), "The repository with name 'team/app' does not exist in the registry with id '123456789012'") {
		t.Errorf("a push to it: %v", err)
	}
	// Made anew, it is empty, layers included.
	if created, err := s.CreateRepository("team/app"); !created || err != nil {
		t.Fatal(created, err)
	}
	if len(s.Tags("team/app")) != 0 {
		t.Errorf("tags %v in a new repository", s.Tags("team/app"))
	}
	layers := slices.Collect(maps.Keys(sample("1").Blobs))
	checked, err := c.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: name, LayerDigests: layers})
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range checked.Layers {
		if l.LayerAvailability != types.LayerAvailabilityUnavailable {
			t.Errorf("a layer of the deleted repository: %+v", l)
		}
	}
	mustPush(t, s, "team/app", "v1", sample("1"))
	if _, err := c.DeleteRepository(t.Context(), &awsecr.DeleteRepositoryInput{RepositoryName: aws.String("team//app")}); err == nil {
		t.Error("a name that ECR does not allow was deleted")
	}
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	c := workerSDK(s)
	name := aws.String("team/app")
	_, err := c.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: name})
	refusal(t, "no lifecycle policy", err, "LifecyclePolicyNotFoundException", "")
	text := `{"rules":[{"rulePriority":1,"description":"keep","selection":{"tagStatus":"untagged","countType":"sinceImagePushed","countUnit":"days","countNumber":1},"action":{"type":"expire"}}]}`
	if _, err := c.PutLifecyclePolicy(t.Context(), &awsecr.PutLifecyclePolicyInput{RepositoryName: name, LifecyclePolicyText: aws.String(text)}); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetLifecyclePolicy(t.Context(), &awsecr.GetLifecyclePolicyInput{RepositoryName: name}); err != nil || *got.LifecyclePolicyText != text {
		t.Errorf("lifecycle policy: %v", err)
	}
	_, err = c.GetRepositoryPolicy(t.Context(), &awsecr.GetRepositoryPolicyInput{RepositoryName: name})
	refusal(t, "no repository policy", err, "RepositoryPolicyNotFoundException", "")
	if _, err := c.SetRepositoryPolicy(t.Context(), &awsecr.SetRepositoryPolicyInput{RepositoryName: name, PolicyText: aws.String(`{"Version":"2012-10-17"}`)}); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, "team/app", "v1", sample("1"))
	if _, err := c.PutImageTagMutability(t.Context(), &awsecr.PutImageTagMutabilityInput{RepositoryName: name, ImageTagMutability: types.ImageTagMutabilityMutable}); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, "team/app", "v1", sample("2"))
	if got := s.Tags("team/app")["v1"]; got != sample("2").Digest() {
		t.Errorf("moved tag: %s", got)
	}
	if got := s.Writes()["policies"]; got != 3 {
		t.Errorf("%d policies written, want 3", got)
	}
}

// TestPushThroughAPI pushes an image by the API's own operations.
func TestPushThroughAPI(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	c := workerSDK(s)
	name := aws.String("team/app")
	image := sample("api")
	put := func(tag string) error {
		_, err := c.PutImage(t.Context(), &awsecr.PutImageInput{RepositoryName: name, ImageManifest: aws.String(string(image.Manifest)), ImageTag: aws.String(tag)})
		return err
	}
	refusal(t, "without layers", put("v1"), "LayersNotFoundException", "required for pushing image")
	for digest, content := range image.Blobs {
		up, err := c.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: name})
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: up.UploadId, LayerDigests: []string{digest}})
		refusal(t, "nothing uploaded", err, "EmptyUploadException", "")
		part := func(first, last int) error {
			_, err := c.UploadLayerPart(t.Context(), &awsecr.UploadLayerPartInput{
				RepositoryName: name, UploadId: up.UploadId, LayerPartBlob: content, PartFirstByte: aws.Int64(int64(first)), PartLastByte: aws.Int64(int64(last)),
			})
			return err
		}
		refusal(t, "wrong range", part(5, 5+len(content)-1), "InvalidLayerPartException", "")
		if err := part(0, len(content)-1); err != nil {
			t.Fatal(err)
		}
		_, err = c.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: up.UploadId, LayerDigests: []string{oci.Digest(nil)}})
		refusal(t, "wrong digest", err, "InvalidLayerException", "")
		if _, err := c.CompleteLayerUpload(t.Context(), &awsecr.CompleteLayerUploadInput{RepositoryName: name, UploadId: up.UploadId, LayerDigests: []string{digest}}); err != nil {
			t.Fatal(err)
		}
		link, err := c.GetDownloadUrlForLayer(t.Context(), &awsecr.GetDownloadUrlForLayerInput{RepositoryName: name, LayerDigest: aws.String(digest)})
		if err != nil {
			t.Fatal(err)
		}
		if res, body := request(t, s, http.MethodGet, *link.DownloadUrl, "", "", "", ""); res.StatusCode != 200 || !bytes.Equal([]byte(body), content) {
			t.Errorf("download of %s: %d, %d bytes", digest, res.StatusCode, len(body))
		}
		if res, _ := request(t, s, http.MethodGet, *link.DownloadUrl+"0", "", "", "", ""); res.StatusCode != 403 {
			t.Errorf("download by a forged URL: %d", res.StatusCode)
		}
	}
	if err := put("v1"); err != nil {
		t.Fatal(err)
	}
	refusal(t, "same again", put("v1"), "ImageAlreadyExistsException", "and tag 'v1' already exists")
	mustPush(t, s, "team/app", "v2", sample("other"))
	refusal(t, "taken tag", put("v2"), "ImageTagAlreadyExistsException", "The image tag 'v2' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable.")
	refusal(t, "bad tag", put("v1+x"), "InvalidParameterException", "imageTag")
	_, err := c.PutImage(t.Context(), &awsecr.PutImageInput{RepositoryName: name, ImageManifest: aws.String(string(image.Manifest)), ImageDigest: aws.String(oci.Digest(nil))})
	refusal(t, "wrong image digest", err, "ImageDigestDoesNotMatchException", "")
	if got, err := pipelineRemote(s, "team/app", "team/app").Pull(t.Context(), s.Registry, "team/app", "v1"); err != nil || got.Digest() != image.Digest() {
		t.Errorf("pull through the other door: %v", err)
	}
	layers, err := c.BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{
		RepositoryName: name, LayerDigests: []string{oci.Digest(image.Blobs[firstLayer(t, image)]), oci.Digest([]byte("none")), "nonsense"},
	})
	if err != nil || len(layers.Layers) != 2 || layers.Layers[0].LayerAvailability != types.LayerAvailabilityAvailable || *layers.Layers[0].LayerSize == 0 ||
		layers.Layers[1].LayerAvailability != types.LayerAvailabilityUnavailable || len(layers.Failures) != 1 {
		t.Errorf("availability: %+v, %v", layers, err)
	}
}

func firstLayer(t *testing.T, image oci.Image) string {
	t.Helper()
	m, err := image.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	return m.Layers[0].Digest
}

func TestImages(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	c := workerSDK(s)
	name := aws.String("team/app")
	child := sample("amd64")
	index := oci.Index(child, oci.Build(oci.Spec{Platform: "linux/arm64"}), oci.Attestation(child))
	mustPush(t, s, "team/app", "multi", index)
	for i := range 5 {
		mustPush(t, s, "team/app", fmt.Sprintf("v%d", i), sample(fmt.Sprint(i)))
	}
	mustPush(t, s, "team/app", "v0-again", sample("0"))

	got := map[string]types.ImageDetail{}
	pages := awsecr.NewDescribeImagesPaginator(c, &awsecr.DescribeImagesInput{RepositoryName: name, MaxResults: aws.Int32(2)})
	for pages.HasMorePages() {
		page, err := pages.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range page.ImageDetails {
			got[*d.ImageDigest] = d
		}
	}
	if len(got) != 9 { // index, three children, five images
		t.Errorf("%d images, want 9", len(got))
	}
	if d := got[index.Digest()]; *d.ImageManifestMediaType != oci.OCIIndex || !slices.Equal(d.ImageTags, []string{"multi"}) || d.LastRecordedPullTime != nil {
		t.Errorf("index: %+v", d)
	}
	if d := got[index.Digest()]; *d.ImageSizeInBytes <= 0 || *d.ImageSizeInBytes != max(*got[child.Digest()].ImageSizeInBytes, *got[index.Children[1].Digest()].ImageSizeInBytes, *got[index.Children[2].Digest()].ImageSizeInBytes) {
		t.Errorf("size of the index: %d, want that of its largest child", *d.ImageSizeInBytes)
	}
	if d := got[sample("0").Digest()]; !slices.Equal(d.ImageTags, []string{"v0", "v0-again"}) {
		t.Errorf("two tags: %q", d.ImageTags)
	}
	tagged, err := c.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: name, Filter: &types.DescribeImagesFilter{TagStatus: types.TagStatusUntagged}})
	if err != nil || len(tagged.ImageDetails) != 3 {
		t.Errorf("untagged: %d images, %v; want the 3 children", len(tagged.ImageDetails), err)
	}
	_, err = c.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("v1")}, {ImageTag: aws.String("none")}}})
	refusal(t, "one is missing", err, "ImageNotFoundException", "The image with imageId {imageDigest:'null', imageTag:'none'} does not exist")
	_, err = c.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: name, MaxResults: aws.Int32(1001)})
	refusal(t, "too long a page", err, "InvalidParameterException", "less than or equal to 1000")
	_, err = c.DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String("team/none")})
	refusal(t, "no repository", err, "RepositoryNotFoundException", "")

	rows := 0
	list := awsecr.NewListImagesPaginator(c, &awsecr.ListImagesInput{RepositoryName: name, MaxResults: aws.Int32(4)})
	for list.HasMorePages() {
		page, err := list.NextPage(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		rows += len(page.ImageIds)
	}
	if rows != 10 {
		t.Errorf("%d rows of ListImages, want one a tag and one an untagged image: 10", rows)
	}

	batch, err := c.BatchGetImage(t.Context(), &awsecr.BatchGetImageInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{{ImageTag: aws.String("multi")}, {ImageTag: aws.String("none")}, {ImageDigest: aws.String("x")}}})
	if err != nil || len(batch.Images) != 1 || *batch.Images[0].ImageManifest != string(index.Manifest) || len(batch.Failures) != 2 ||
		batch.Failures[0].FailureCode != types.ImageFailureCodeImageNotFound || batch.Failures[1].FailureCode != types.ImageFailureCodeInvalidImageDigest {
		t.Errorf("batch: %+v, %v", batch, err)
	}

	deleted, err := c.BatchDeleteImage(t.Context(), &awsecr.BatchDeleteImageInput{RepositoryName: name, ImageIds: []types.ImageIdentifier{
		{ImageTag: aws.String("v0-again")}, {ImageDigest: aws.String(child.Digest())}, {ImageTag: aws.String("v1")},
	}})
	if err != nil || len(deleted.ImageIds) != 2 || len(deleted.Failures) != 1 || deleted.Failures[0].FailureCode != types.ImageFailureCodeImageReferencedByManifestList {
		t.Errorf("deleted: %+v, %v", deleted, err)
	}
	if tags := s.Tags("team/app"); tags["v0"] == "" || tags["v0-again"] != "" || tags["v1"] != "" {
		t.Errorf("tags after deletion: %v", tags)
	}
}

func TestReferrers(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	image := sample("1")
	sbom := oci.Referrer(image, "application/spdx+json", []byte("{}"))
	mustPush(t, s, "team/app", "v1", image)
	mustPush(t, s, "team/app", "", sbom)
	out, err := workerSDK(s).ListImageReferrers(t.Context(), &awsecr.ListImageReferrersInput{RepositoryName: aws.String("team/app"), SubjectId: &types.SubjectIdentifier{ImageDigest: aws.String(image.Digest())}})
	if err != nil || len(out.Referrers) != 1 || *out.Referrers[0].Digest != sbom.Digest() || *out.Referrers[0].ArtifactType != "application/spdx+json" {
		t.Errorf("referrers: %+v, %v", out, err)
	}
}

func TestAPIPermissions(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	if _, err := s.CreateRepository("team/other"); err != nil {
		t.Fatal(err)
	}
	id, secret := s.PipelineKey("team/app", "team/app")
	c := sdk(s, id, secret)
	if _, err := c.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String("team/app")}); err != nil {
		t.Errorf("own repository: %v", err)
	}
	_, err := c.InitiateLayerUpload(t.Context(), &awsecr.InitiateLayerUploadInput{RepositoryName: aws.String("team/other")})
	refusal(t, "another repository", err, "AccessDeniedException", "User: arn:aws:sts::123456789012:assumed-role/gitlab-ci/team-app is not authorized to perform: ecr:InitiateLayerUpload "+
		"on resource: arn:aws:ecr:eu-north-1:123456789012:repository/team/other because no identity-based policy allows the ecr:InitiateLayerUpload action")
	_, err = c.CreateRepository(t.Context(), &awsecr.CreateRepositoryInput{RepositoryName: aws.String("team/app/x")})
	refusal(t, "create", err, "AccessDeniedException", "ecr:CreateRepository")

	// The login that a pipeline gets has the pipeline's rights.
	out, err := c.GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	data := out.AuthorizationData[0]
	if *data.ProxyEndpoint != s.URL {
		t.Errorf("proxy endpoint %s, want %s", *data.ProxyEndpoint, s.URL)
	}
	login, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ := strings.Cut(string(login), ":")
	r := remote(s, user, password)
	if err := r.Push(t.Context(), s.Registry, "team/app", "v1", sample("1")); err != nil {
		t.Errorf("push to the own repository: %v", err)
	}
	if err := r.Push(t.Context(), s.Registry, "team/other", "v1", sample("1")); err == nil {
		t.Error("push to another repository went through")
	}
}
