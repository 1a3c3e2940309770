package ecr_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func TestLogin(t *testing.T) {
	t.Parallel()
	c := &clock.Clock{}
	s := start(t, ecr.Options{Clock: c})
	mustPush(t, s, "team/app", "v1", sample("1"))

	res, _ := request(t, s, http.MethodGet, "/v2/", "", "", "", "")
	if got, want := res.Header.Get("WWW-Authenticate"), `Basic realm="https://`+s.Registry+`/",service="ecr.amazonaws.com"`; res.StatusCode != 401 || got != want {
		t.Errorf("no login: %d %s, want 401 %s", res.StatusCode, got, want)
	}
	_, err := remote(s, "", "").Pull(t.Context(), s.Registry, "team/app", "v1")
	doorRefusal(t, "pull without a login", err, 401, "", "no basic auth credentials")

	user, password := s.PipelineToken("team/app", "team/app")
	if res, _ := request(t, s, http.MethodGet, "/v2/", user, password+"x", "", ""); res.StatusCode != 400 {
		t.Errorf("forged token: %d", res.StatusCode)
	}
	expired := func(what string) {
		t.Helper()
		_, err := remote(s, user, password).Pull(t.Context(), s.Registry, "team/app", "v1")
		doorRefusal(t, what, err, 403, "DENIED", "Your authorization token has expired. Reauthenticate and try again.")
		if res, _ := request(t, s, http.MethodGet, "/v2/", user, password, "", ""); res.StatusCode != 403 || res.Header.Get("WWW-Authenticate") != "" {
			t.Errorf("%s: %d with challenge %q", what, res.StatusCode, res.Header.Get("WWW-Authenticate"))
		}
	}
	c.Advance(11*time.Hour + 59*time.Minute)
	if _, err := remote(s, user, password).Pull(t.Context(), s.Registry, "team/app", "v1"); err != nil {
		t.Errorf("just before 12 hours: %v", err)
	}
	c.Advance(2 * time.Minute)
	expired("after 12 hours")
	user, password = s.PipelineToken("team/app", "team/app")
	s.Expire()
	expired("after Expire")
	user, password = s.PipelineToken("team/app", "team/app")
	if _, err := remote(s, user, password).Pull(t.Context(), s.Registry, "team/app", "v1"); err != nil {
		t.Errorf("with a new token: %v", err)
	}
}

func TestImmutableTags(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	r := pipelineRemote(s, "team/app", "team/app")
	mustPush(t, s, "team/app", "v1", sample("1"))
	const words = "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable."
	doorRefusal(t, "another digest", r.Push(t.Context(), s.Registry, "team/app", "v1", sample("2")), 400, "TAG_INVALID", words)
	doorRefusal(t, "the same digest", r.Push(t.Context(), s.Registry, "team/app", "v1", sample("1")), 400, "TAG_INVALID", words)
	if err := r.Push(t.Context(), s.Registry, "team/app", "", sample("1")); err != nil {
		t.Errorf("by digest, again: %v", err)
	}
	if err := r.Push(t.Context(), s.Registry, "team/app", "v2", sample("1")); err != nil {
		t.Errorf("another tag of the same image: %v", err)
	}
	if got := s.Tags("team/app"); len(got) != 2 || got["v1"] != sample("1").Digest() {
		t.Errorf("tags: %v", got)
	}
}

// Of many clients that push different images to one tag, one wins.
func TestRace(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	r := pipelineRemote(s, "team/app", "team/app")
	var won atomic.Int32
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			image := oci.Index(sample(fmt.Sprint("amd64 ", i)), sample(fmt.Sprint("arm64 ", i)))
			err := r.Push(t.Context(), s.Registry, "team/app", "v1", image)
			if err == nil {
				won.Add(1)
				if got := s.Tags("team/app")["v1"]; got != image.Digest() {
					t.Errorf("v1 is %s, its winner pushed %s", got, image.Digest())
				}
			} else if e, ok := errors.AsType[*oci.Error](err); !ok || e.Code != "TAG_INVALID" {
				t.Errorf("loser: %v", err)
			}
		})
	}
	all.Wait()
	if won.Load() != 1 {
		t.Errorf("%d clients won, want 1", won.Load())
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	if _, err := s.CreateRepository("team/other"); err != nil {
		t.Fatal(err)
	}
	r := pipelineRemote(s, "team/app", "team/app")
	doorRefusal(t, "another repository", r.Push(t.Context(), s.Registry, "team/other", "v1", sample("1")), 403, "DENIED",
		"User: arn:aws:sts::123456789012:assumed-role/gitlab-ci/team-app is not authorized to perform: ecr:InitiateLayerUpload on resource: "+
			"arn:aws:ecr:eu-north-1:123456789012:repository/team/other because no identity-based policy allows the ecr:InitiateLayerUpload action")
	doorRefusal(t, "own repository, not created", pipelineRemote(s, "team/new", "team/new").Push(t.Context(), s.Registry, "team/new", "v1", sample("1")),
		404, "NAME_UNKNOWN", "The repository with name 'team/new' does not exist in the registry with id '123456789012'")
	user, password := s.KubeletToken()
	if err := remote(s, user, password).Push(t.Context(), s.Registry, "team/app", "v1", sample("1")); err == nil {
		t.Error("a kubelet may push")
	}
	_, err := r.Pull(t.Context(), s.Registry, "team/app", "none")
	doorRefusal(t, "missing tag", err, 404, "MANIFEST_UNKNOWN", "Requested image not found")

	user, password = s.PipelineToken("team/app", "team/app")
	put := func(reference string, image oci.Image) (int, string) {
		t.Helper()
		res, body := request(t, s, http.MethodPut, "/v2/team/app/manifests/"+reference, user, password, image.MediaType, string(image.Manifest))
		var told struct{ Errors []struct{ Code string } }
		if res.StatusCode != 201 {
			if err := json.Unmarshal([]byte(body), &told); err != nil || len(told.Errors) == 0 {
				t.Errorf("%s: %d %s", reference, res.StatusCode, body)
				return res.StatusCode, ""
			}
			return res.StatusCode, told.Errors[0].Code
		}
		return 201, ""
	}
	many := oci.Build(oci.Spec{})
	m, err := many.Parsed()
	if err != nil {
		t.Fatal(err)
	}
	for len(m.Layers) <= 500 {
		m.Layers = append(m.Layers, m.Layers[0])
	}
	if many.Manifest, err = json.Marshal(m); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, "team/app", "base", oci.Build(oci.Spec{}))
	for _, tc := range []struct {
		name, reference string
		image           oci.Image
		status          int
		code            string
	}{
		{"missing layers", "v1", sample("never pushed"), 404, "MANIFEST_BLOB_UNKNOWN"},
		{"missing child", "v1", oci.Index(sample("never pushed")), 404, "MANIFEST_UNKNOWN"},
		{"501 layers", "v1", many, 405, "UNSUPPORTED"},
		{"not JSON", "v1", oci.Image{MediaType: oci.OCIManifest, Manifest: []byte("{")}, 405, "UNSUPPORTED"},
		{"unknown media type", "v1", oci.Image{MediaType: "text/plain", Manifest: sample("1").Manifest}, 405, "UNSUPPORTED"},
		{"wrong digest", oci.Digest(nil), oci.Build(oci.Spec{}), 400, "DIGEST_INVALID"},
		{"tag with plus", "v1+1", oci.Build(oci.Spec{}), 400, "TAG_INVALID"},
		{"tag of 129", strings.Repeat("a", 129), oci.Build(oci.Spec{}), 400, "TAG_INVALID"},
		{"tag of 128", strings.Repeat("a", 128), oci.Build(oci.Spec{}), 201, ""},
	} {
		if status, code := put(tc.reference, tc.image); status != tc.status || code != tc.code {
			t.Errorf("%s: %d %s, want %d %s", tc.name, status, code, tc.status, tc.code)
		}
	}
}

func TestThrottling(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{Rates: map[string]ecr.Rate{"PutImage": {PerSecond: 0.001, Burst: 3}}})
	r := pipelineRemote(s, "team/app", "team/app")
	for i := range 2 {
		mustPush(t, s, "team/app", fmt.Sprintf("v%d", i), sample("1"))
	}
	// The third goes through the API, which shares the quota.
	_, err := workerSDK(s).PutImage(t.Context(), &awsecr.PutImageInput{
		RepositoryName: aws.String("team/app"), ImageManifest: aws.String(string(sample("1").Manifest)), ImageTag: aws.String("v2"),
	})
	if err != nil {
		t.Fatal(err)
	}
	doorRefusal(t, "fourth push", r.Push(t.Context(), s.Registry, "team/app", "v3", sample("1")), 429, "TOOMANYREQUESTS", "Rate exceeded")
	_, err = workerSDK(s).PutImage(t.Context(), &awsecr.PutImageInput{RepositoryName: aws.String("team/app"), ImageManifest: aws.String("{}")})
	refusal(t, "fifth push", err, "ThrottlingException", "Rate exceeded")
	if got := s.Requests()["PutImage"]; got != 5 {
		t.Errorf("%d PutImage requests counted, want 5", got)
	}
}

func TestDefaultQuota(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{Rates: map[string]ecr.Rate{}})
	mustPush(t, s, "team/app", "base", sample("1"))
	user, password := s.PipelineToken("team/app", "team/app")
	began, refused := time.Now(), 0
	for i := range 15 {
		res, _ := request(t, s, http.MethodPut, fmt.Sprintf("/v2/team/app/manifests/v%d", i), user, password, oci.OCIManifest, string(sample("1").Manifest))
		if res.StatusCode == 429 {
			refused++
		}
	}
	if took := time.Since(began); took < 100*time.Millisecond && refused < 4 {
		t.Errorf("16 pushes within %s: %d refused, want at least 4", took, refused)
	}
}

// The registry door leaves the digest out of GET and has it in HEAD.
func TestDigestHeader(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	mustPush(t, s, "team/app", "v1", sample("1"))
	user, password := s.KubeletToken()
	res, body := request(t, s, http.MethodGet, "/v2/team/app/manifests/v1", user, password, "", "")
	if got := res.Header.Values("Docker-Content-Digest"); len(got) != 0 || oci.Digest([]byte(body)) != sample("1").Digest() {
		t.Errorf("GET: header %q, body %s", got, body)
	}
	res, _ = request(t, s, http.MethodHead, "/v2/team/app/manifests/v1", user, password, "", "")
	if got := res.Header.Get("Docker-Content-Digest"); got != sample("1").Digest() || res.ContentLength != int64(len(body)) {
		t.Errorf("HEAD: header %q, length %d", got, res.ContentLength)
	}
	res, _ = request(t, s, http.MethodGet, "/v2/team/app/blobs/"+firstLayer(t, sample("1")), user, password, "", "")
	if res.StatusCode != 307 || !strings.Contains(res.Header.Get("Location"), "Signature=") {
		t.Errorf("layer: %d to %q, want a redirect", res.StatusCode, res.Header.Get("Location"))
	}
}

func TestChunkedUpload(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	user, password := s.PipelineToken("team/app", "team/app")
	begin := func() string {
		res, _ := request(t, s, http.MethodPost, "/v2/team/app/blobs/uploads/", user, password, "", "")
		if res.StatusCode != 202 {
			t.Fatalf("start: %d", res.StatusCode)
		}
		return res.Header.Get("Location")
	}
	patch := func(location, chunk string) (string, string) {
		res, _ := request(t, s, http.MethodPatch, location, user, password, "application/octet-stream", chunk)
		if res.StatusCode != 201 {
			t.Errorf("PATCH: %d, want 201 as at ECR", res.StatusCode)
		}
		return res.Header.Get("Location"), res.Header.Get("Range")
	}
	finish := func(location, content, body string) int {
		res, _ := request(t, s, http.MethodPut, location+"&digest="+oci.Digest([]byte(content)), user, password, "application/octet-stream", body)
		return res.StatusCode
	}

	location, span := patch(begin(), "hello")
	location, again := patch(location, "world")
	if span != "0-4" || again != span {
		t.Errorf("range after the first chunk %q, after the second %q; want 0-4 twice", span, again)
	}
	if got := finish(location, "helloworld", ""); got != 400 {
		t.Errorf("two chunks: %d, want a refused digest", got)
	}
	location, _ = patch(begin(), "hello")
	if got := finish(location, "helloworld", "world"); got != 400 {
		t.Errorf("a chunk and a rest: %d, want a refused digest", got)
	}
	location, _ = patch(begin(), "hello") // docker sends one PATCH, then an empty PUT
	if got := finish(location, "hello", ""); got != 201 {
		t.Errorf("one chunk: %d", got)
	}
	if got := finish(begin(), "whole", "whole"); got != 201 {
		t.Errorf("one PUT: %d", got)
	}
	if got := s.Writes()["layers"]; got != 2 {
		t.Errorf("%d layers, want 2", got)
	}
}

func TestMount(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	if _, err := s.CreateRepository("team/base"); err != nil {
		t.Fatal(err)
	}
	mustPush(t, s, "team/base", "v1", sample("1"))
	id, secret := s.WorkerKey()
	c := sdk(s, id, secret)
	mount := func(user, password string) int {
		res, _ := request(t, s, http.MethodPost, "/v2/team/app/blobs/uploads/?mount="+firstLayer(t, sample("1"))+"&from=team/base", user, password, "", "")
		if res.Header.Get("Location") == "" {
			t.Errorf("no location with %d", res.StatusCode)
		}
		return res.StatusCode
	}
	user, password := s.PipelineToken("team/app", "team/app")
	if got := mount(user, password); got != 202 {
		t.Errorf("mounting is off: %d, want a session", got)
	}
	if _, err := c.PutAccountSetting(t.Context(), &awsecr.PutAccountSettingInput{Name: aws.String("BLOB_MOUNTING"), Value: aws.String("ENABLED")}); err != nil {
		t.Fatal(err)
	}
	if got := mount(user, password); got != 202 {
		t.Errorf("no right to the source: %d, want a session", got)
	}
	workerUser, workerPassword := workerLogin(t, s)
	if got := mount(workerUser, workerPassword); got != 201 {
		t.Errorf("mounting is on: %d", got)
	}
	res, _ := request(t, s, http.MethodHead, "/v2/team/app/blobs/"+firstLayer(t, sample("1")), user, password, "", "")
	if res.StatusCode != 200 {
		t.Errorf("mounted layer: %d", res.StatusCode)
	}
}

func TestTagPages(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	var want []string
	for i := range 105 {
		want = append(want, fmt.Sprintf("v%03d", i))
		mustPush(t, s, "team/app", want[i], sample("1"))
	}
	user, password := s.PipelineToken("team/app", "team/app")
	res, body := request(t, s, http.MethodGet, "/v2/team/app/tags/list", user, password, "", "")
	var page struct{ Tags []string }
	if err := json.Unmarshal([]byte(body), &page); err != nil || len(page.Tags) != 100 || !strings.Contains(res.Header.Get("Link"), `rel="next"`) {
		t.Errorf("first page: %d tags, link %q", len(page.Tags), res.Header.Get("Link"))
	}
	got, err := remote(s, user, password).Tags(t.Context(), s.Registry, "team/app")
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("all pages: %q, %v", got, err)
	}
	res, body = request(t, s, http.MethodGet, "/v2/team/app/tags/list?n=1001", user, password, "", "")
	if res.StatusCode != 405 || !strings.Contains(body, "Member must have value less than or equal to 1000") {
		t.Errorf("n=1001: %d %s", res.StatusCode, body)
	}
}

func TestInject(t *testing.T) {
	t.Parallel()
	s := start(t, ecr.Options{})
	s.Inject(func(r *http.Request) (int, string, bool) {
		return 500, `{"__type":"ServerException","message":"injected"}`, strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeImages")
	})
	_, err := workerSDK(s).DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	refusal(t, "injected", err, "ServerException", "injected")
	if _, err := workerSDK(s).DescribeRepositories(t.Context(), &awsecr.DescribeRepositoriesInput{}); err != nil {
		t.Errorf("another operation: %v", err)
	}
}
