package ecr_test

import (
	"context"
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
	"github.com/aws/aws-sdk-go-v2/credentials"

	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func start(t *testing.T, o standin.Options) *standin.Server {
	t.Helper()
	s, err := standin.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func client(t *testing.T, s *standin.Server, id, secret string) *ecr.Client {
	t.Helper()
	limits := pace.ECR()
	limits.Patience = 200 * time.Millisecond
	c, err := ecr.New(t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: s.URL, Attempts: 2, Limits: pace.New(limits), Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func worker(t *testing.T, s *standin.Server) *ecr.Client {
	t.Helper()
	id, secret := s.WorkerKey()
	return client(t, s, id, secret)
}

func push(t *testing.T, s *standin.Server, repository, tag string, image oci.Image) {
	t.Helper()
	user, password := s.PipelineToken("group/app", repository)
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return s.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	if err := remote.Push(t.Context(), s.Registry, repository, tag, image); err != nil {
		t.Fatal(err)
	}
}

func TestRepositories(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	c := worker(t, s)
	_, err := c.Repository(t.Context(), "group/app")
	if !errors.Is(err, ecr.ErrRepositoryNotFound) || fault.ReasonOf(err) != "ecr-repository-missing" {
		t.Errorf("missing: %v (%s)", err, fault.ReasonOf(err))
	}
	r, created, err := c.EnsureRepository(t.Context(), "group/app")
	if err != nil || !created || !r.Immutable || r.URI != s.Registry+"/group/app" || r.Created.IsZero() {
		t.Errorf("created: %+v, %v, %v", r, created, err)
	}
	again, created, err := c.EnsureRepository(t.Context(), "group/app")
	if err != nil || created || again != r {
		t.Errorf("again: %+v, %v, %v", again, created, err)
	}
	if _, _, err := c.EnsureRepository(t.Context(), "Group/App"); fault.ClassOf(err) != fault.Permanent {
		t.Errorf("illegal name: %v (%s)", err, fault.ClassOf(err))
	}
}

func TestImages(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{Rates: map[string]standin.Rate{"PutImage": {PerSecond: 1e6, Burst: 1e6}}})
	c := worker(t, s)
	if _, _, err := c.EnsureRepository(t.Context(), "group/app"); err != nil {
		t.Fatal(err)
	}
	one := oci.Build(oci.Spec{Layers: []oci.Layer{{"n": "1"}}})
	arm := oci.Build(oci.Spec{Platform: "linux/arm64", Layers: []oci.Layer{{"n": "2"}}})
	index := oci.Index(one, arm)
	push(t, s, "group/app", "1", one)
	push(t, s, "group/app", "one", one)
	push(t, s, "group/app", "index", index)
	images, err := c.Images(t.Context(), "group/app")
	if err != nil || len(images) != 3 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for _, i := range images {
		slices.Sort(i.Tags)
		want := map[string]string{one.Digest(): "1 one", arm.Digest(): "", index.Digest(): "index"}[i.Digest]
		if strings.Join(i.Tags, " ") != want || i.MediaType == "" || i.Bytes == 0 || i.PushedAt.IsZero() || !i.LastPull.IsZero() {
			t.Errorf("%+v, want tags %q", i, want)
		}
	}
	if _, err := c.Images(t.Context(), "group/none"); !errors.Is(err, ecr.ErrRepositoryNotFound) {
		t.Errorf("images of no repository: %v", err)
	}

	// ECR refuses a whole batch for one tag that is missing.
	tags := []string{"one", "index", "1"}
	for n := range 120 {
		tags = append(tags, fmt.Sprint("none", n))
	}
	found, err := c.ImagesByTag(t.Context(), "group/app", tags)
	if err != nil || len(found) != 3 || found["one"].Digest != one.Digest() || found["index"].Digest != index.Digest() {
		t.Errorf("by tag: %v, %v", found, err)
	}

	var digests []string
	for d := range one.Blobs {
		digests = append(digests, d)
	}
	for n := range 150 {
		digests = append(digests, oci.Digest(fmt.Append(nil, n)))
	}
	before := s.Requests()["BatchCheckLayerAvailability"]
	layers, err := c.Layers(t.Context(), "group/app", digests)
	if err != nil {
		t.Fatal(err)
	}
	for n, d := range digests {
		if layers[d] != (n < len(one.Blobs)) {
			t.Errorf("layer %d: %v", n, layers[d])
		}
	}
	if n := s.Requests()["BatchCheckLayerAvailability"] - before; n != 2 {
		t.Errorf("%d requests for 152 layers", n)
	}
	if layers, err := c.Layers(t.Context(), "group/app", nil); err != nil || len(layers) != 0 {
		t.Errorf("no layers: %v, %v", layers, err)
	}
}

// Whoever says that a token was refused never gets the same one again, however
// many ask at once: the copy would take the second refusal for a denial.
func TestRefusedTokenStaysAway(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	c := worker(t, s)
	var wait sync.WaitGroup
	for range 64 {
		wait.Go(func() {
			for range 20 {
				token, err := c.Token(t.Context())
				if err != nil {
					t.Error(err)
					return
				}
				c.Refused(token.Password)
				if again, err := c.Token(t.Context()); err == nil && again.Password == token.Password {
					t.Error("a refused token was given out again")
					return
				}
			}
		})
	}
	wait.Wait()
}

func TestToken(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	c := worker(t, s)
	var wait sync.WaitGroup
	for range 20 {
		wait.Go(func() {
			token, err := c.Token(t.Context())
			if err != nil || token.User != "AWS" || token.Endpoint != s.URL || time.Until(token.Expires) < 11*time.Hour {
				t.Errorf("%v, %v", token, err)
			}
		})
	}
	wait.Wait()
	if n := s.Requests()["GetAuthorizationToken"]; n != 1 {
		t.Errorf("%d requests, want 1", n)
	}
	token, _ := c.Token(t.Context())
	if text := fmt.Sprintf("%v %+v %#v %s", token, token, token, token.LogValue()); strings.Contains(text, token.Password) {
		t.Error("the password is printed")
	}
	c.Refused("another password")
	_, _ = c.Token(t.Context())
	c.Refused(token.Password)
	_, _ = c.Token(t.Context())
	if n := s.Requests()["GetAuthorizationToken"]; n != 2 {
		t.Errorf("%d requests, want one more only after the refusal of this password", n)
	}

	short := start(t, standin.Options{TokenLife: 200 * time.Millisecond})
	c = worker(t, short)
	for deadline := time.Now().Add(30 * time.Second); short.Requests()["GetAuthorizationToken"] < 2 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		// It is replaced ahead of its end, so it is never handed out when over. The time is
		// taken before: a busy machine may stop this test behind the call.
		asked := time.Now()
		if token, err := c.Token(t.Context()); err != nil || asked.After(token.Expires) {
			t.Fatalf("%v, %v", token, err)
		}
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := start(t, standin.Options{})
	if _, err := s.CreateRepository("group/app"); err != nil {
		t.Fatal(err)
	}
	id, secret := s.PipelineKey("group/app", "group/app")
	_, _, err := client(t, s, id, secret).EnsureRepository(t.Context(), "group/other")
	if fault.ReasonOf(err) != "ecr-denied" || fault.ClassOf(err) != fault.Attention || !strings.Contains(fault.RemedyOf(err), "ecr:DescribeRepositories") {
		t.Errorf("pipeline's key: %v (%s, %s)", err, fault.ReasonOf(err), fault.RemedyOf(err))
	}
	for name, c := range map[string]*ecr.Client{
		"unknown key":  client(t, s, "AKIAUNKNOWN", "x"),
		"wrong secret": client(t, s, id, "x"),
	} {
		if _, err := c.Token(t.Context()); fault.ReasonOf(err) != "aws-credentials" || fault.ClassOf(err) != fault.Attention || fault.RemedyOf(err) == "" {
			t.Errorf("%s: %v (%s)", name, err, fault.ReasonOf(err))
		}
	}
	none, err := ecr.New(t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: s.URL, Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
		return aws.Credentials{}, errors.New("no EC2 IMDS role found")
	})})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := none.Token(t.Context()); fault.ReasonOf(err) != "aws-credentials" || !strings.Contains(fault.RemedyOf(err), "AWS_ACCESS_KEY_ID") {
		t.Errorf("no credentials: %v (%s)", err, fault.ReasonOf(err))
	}
}

// Answers that a well-behaved ECR gives rarely.
func TestErrorsOfTheService(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		status  int
		body    string
		class   fault.Class
		reason  string
		retried bool
	}{
		"throttled":               {400, `{"__type":"ThrottlingException","message":"Rate exceeded"}`, fault.Transient, "ecr-throttled", true},
		"as the page spells it":   {400, `{"__type":"ThrottleException","message":"Rate exceeded"}`, fault.Transient, "ecr-throttled", true},
		"a quota is full":         {400, `{"__type":"LimitExceededException","message":"full"}`, fault.Attention, "ecr-quota", false},
		"server":                  {500, `{"__type":"ServerException","message":"oops"}`, fault.Transient, "ecr-unavailable", true},
		"proxy in between":        {503, `<html>`, fault.Transient, "ecr-unavailable", true},
		"expired session":         {400, `{"__type":"ExpiredTokenException","message":"The security token included in the request is expired"}`, fault.Attention, "aws-credentials", false},
		"clock":                   {400, `{"__type":"RequestTimeTooSkewed","message":"?"}`, fault.Attention, "aws-credentials", false},
		"denied":                  {400, `{"__type":"AccessDeniedException","message":"User: arn:aws:iam::1:user/x is not authorized to perform: ecr:DescribeImages on resource: y"}`, fault.Attention, "ecr-denied", false},
		"nobody has ever seen it": {400, `{"__type":"NewException","message":"?"}`, fault.Unclassified, "ecr-answer-unknown", false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := start(t, standin.Options{})
			c := worker(t, s)
			var n atomic.Int32
			s.Inject(func(*http.Request) (int, string, bool) { n.Add(1); return tt.status, tt.body, true })
			_, err := c.Images(t.Context(), "group/app")
			if fault.ClassOf(err) != tt.class || fault.ReasonOf(err) != tt.reason {
				t.Errorf("%v (%s, %s)", err, fault.ClassOf(err), fault.ReasonOf(err))
			}
			if (n.Load() > 1) != tt.retried {
				t.Errorf("%d tries", n.Load())
			}
		})
	}
}

// TestRefusalsAreForOneLimiter: the SDK does not repeat what was one call too
// many, the limiter of the action does; another action goes on meanwhile.
func TestRefusalsAreForOneLimiter(t *testing.T) {
	t.Parallel()
	for _, code := range []string{"ThrottlingException", "ThrottleException", "TooManyRequestsException"} {
		s := start(t, standin.Options{})
		if _, err := s.CreateRepository("group/app"); err != nil {
			t.Fatal(err)
		}
		id, secret := s.WorkerKey()
		limits := pace.ECR()
		limits.Patience = time.Nanosecond
		c, err := ecr.New(t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: s.URL, Limits: pace.New(limits), Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
		if err != nil {
			t.Fatal(err)
		}
		var n atomic.Int32
		s.Inject(func(r *http.Request) (int, string, bool) {
			refused := strings.HasSuffix(r.Header.Get("X-Amz-Target"), "DescribeImages")
			if refused {
				n.Add(1)
			}
			return 400, fmt.Sprintf(`{"__type":%q,"message":"Rate exceeded"}`, code), refused
		})
		_, err = c.Images(t.Context(), "group/app")
		if !errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) == 0 || fault.ReasonOf(err) != "ecr-throttled" || !strings.Contains(err.Error(), "ecr DescribeImages") {
			t.Errorf("%s: %v (%s), again in %v", code, err, fault.ReasonOf(err), fault.RetryAfter(err))
		}
		if n.Load() != 2 {
			t.Errorf("%s: asked %d times, want the refusal and the one with which patience ends", code, n.Load())
		}
		if _, err := c.Layers(t.Context(), "group/app", []string{oci.Digest(nil)}); err != nil {
			t.Errorf("%s: another action: %v", code, err)
		}
	}
}

func TestEndpointFromTheEnvironment(t *testing.T) {
	s := start(t, standin.Options{})
	id, secret := s.WorkerKey()
	t.Setenv("AWS_ENDPOINT_URL_ECR", s.URL)
	t.Setenv("AWS_REGION", "eu-north-1")
	t.Setenv("AWS_ACCESS_KEY_ID", id)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	c, err := ecr.New(t.Context(), ecr.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Token(t.Context()); err != nil {
		t.Error(err)
	}
	t.Setenv("AWS_REGION", "")
	t.Setenv("AWS_DEFAULT_REGION", "")
	t.Setenv("AWS_CONFIG_FILE", "/nonexistent")
	if _, err := ecr.New(t.Context(), ecr.Options{}); fault.ReasonOf(err) != "aws-configuration" {
		t.Errorf("no region: %v", err)
	}
}
