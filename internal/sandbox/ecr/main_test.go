package ecr_test

import (
	"errors"
	"io"
	"math"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/smithy-go"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// start starts a stand-in without a PutImage quota, unless one is given, and
// with the repository team/app.
func start(t *testing.T, o ecr.Options) *ecr.Server {
	t.Helper()
	if o.Rates == nil {
		o.Rates = map[string]ecr.Rate{"PutImage": {PerSecond: math.Inf(1), Burst: 1}}
	}
	s, err := ecr.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.CreateRepository("team/app"); err != nil {
		t.Fatal(err)
	}
	return s
}

// sdk returns an unmodified AWS client that does not retry.
func sdk(s *ecr.Server, id, secret string) *awsecr.Client {
	return awsecr.New(awsecr.Options{
		BaseEndpoint: aws.String(s.URL), Region: "eu-north-1", Retryer: aws.NopRetryer{},
		Credentials: credentials.NewStaticCredentialsProvider(id, secret, ""),
	})
}

func workerSDK(s *ecr.Server) *awsecr.Client {
	id, secret := s.WorkerKey()
	return sdk(s, id, secret)
}

// remote returns a docker-like client with a login; "" is nobody.
func remote(s *ecr.Server, user, password string) oci.Remote {
	return oci.Remote{
		Locate:      func(host string) (string, bool) { return s.URL, host == s.Registry },
		Credentials: func(string) (string, string, bool) { return user, password, user != "" },
	}
}

func pipelineRemote(s *ecr.Server, project, repository string) oci.Remote {
	user, password := s.PipelineToken(project, repository)
	return remote(s, user, password)
}

func mustPush(t *testing.T, s *ecr.Server, repository, tag string, image oci.Image) {
	t.Helper()
	if err := pipelineRemote(s, repository, repository).Push(t.Context(), s.Registry, repository, tag, image); err != nil {
		t.Fatalf("push %s:%s: %v", repository, tag, err)
	}
}

// sample is a small image that differs from others by its content.
func sample(content string) oci.Image {
	return oci.Build(oci.Spec{Layers: []oci.Layer{{"content": content}}})
}

// refusal checks the code of an API error.
func refusal(t *testing.T, what string, err error, code, message string) {
	t.Helper()
	e, ok := errors.AsType[smithy.APIError](err)
	if !ok || e.ErrorCode() != code || !strings.Contains(e.ErrorMessage(), message) {
		t.Errorf("%s: %v; want %s %q", what, err, code, message)
	}
}

// doorRefusal checks status, code and text of a registry error.
func doorRefusal(t *testing.T, what string, err error, status int, code, message string) {
	t.Helper()
	e, ok := errors.AsType[*oci.Error](err)
	if !ok || e.Status != status || e.Code != code || e.Message != message {
		t.Errorf("%s: %#v; want %d %s %q", what, err, status, code, message)
	}
}

// request sends a raw request to the registry door.
func request(t *testing.T, s *ecr.Server, method, path, user, password, contentType, body string) (*http.Response, string) {
	t.Helper()
	if strings.HasPrefix(path, "/") {
		path = s.URL + path
	}
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	if contentType != "" {
		req.Header.Set("Content-Type", contentType)
	}
	res, err := http.DefaultTransport.RoundTrip(req) // shows redirects
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	content, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res, string(content)
}
