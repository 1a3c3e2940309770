package ecr_test

import (
	"encoding/base64"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecr "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// workerLogin gets the worker's registry login as the worker does.
func workerLogin(t *testing.T, s *ecr.Server) (user, password string) {
	t.Helper()
	out, err := workerSDK(s).GetAuthorizationToken(t.Context(), &awsecr.GetAuthorizationTokenInput{})
	if err != nil {
		t.Fatal(err)
	}
	login, err := base64.StdEncoding.DecodeString(*out.AuthorizationData[0].AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, _ = strings.Cut(string(login), ":")
	return user, password
}

func TestSweep(t *testing.T) {
	t.Parallel()
	c := &clock.Clock{}
	var mu sync.Mutex
	var used []string
	s := start(t, ecr.Options{Clock: c, InUse: func() []string { mu.Lock(); defer mu.Unlock(); return used }})
	running, byDigest, idle := sample("running"), sample("by digest"), sample("idle")
	multi := oci.Index(sample("amd64"), oci.Build(oci.Spec{Platform: "linux/arm64"}), oci.Attestation(sample("amd64")))
	sbom := oci.Referrer(running, "application/spdx+json", []byte("{}"))
	idleSBOM := oci.Referrer(idle, "application/spdx+json", []byte(`{"a":1}`))
	for tag, image := range map[string]oci.Image{"run": running, "digest": byDigest, "idle": idle, "multi": multi} {
		mustPush(t, s, "team/app", tag, image)
	}
	mustPush(t, s, "team/app", "", sbom)
	mustPush(t, s, "team/app", "", idleSBOM)
	used = []string{s.Registry + "/team/app:run", "team/app@" + byDigest.Digest(), "team/app:multi", "team/app:none", "elsewhere/x:1"}

	c.Advance(23 * time.Hour)
	if got := s.Sweep(); len(got) != 0 {
		t.Errorf("within the day: %q deleted", got)
	}
	c.Advance(2 * time.Hour)
	mustPush(t, s, "team/app", "new", sample("new"))
	want := []string{"team/app@" + idle.Digest(), "team/app@" + idleSBOM.Digest()}
	slices.Sort(want)
	if got := s.Sweep(); !slices.Equal(got, want) {
		t.Errorf("after a day: %q deleted, want %q", got, want)
	}
	if got := s.Sweep(); len(got) != 0 {
		t.Errorf("a second time: %q deleted", got)
	}
	r := pipelineRemote(s, "team/app", "team/app")
	for _, tag := range []string{"run", "digest", "multi", "new", sbom.Digest()} {
		if _, err := r.Pull(t.Context(), s.Registry, "team/app", tag); err != nil {
			t.Errorf("%s: %v", tag, err)
		}
	}
	_, err := r.Pull(t.Context(), s.Registry, "team/app", "idle")
	doorRefusal(t, "deleted image", err, 404, "MANIFEST_UNKNOWN", "Requested image not found")
	layers, err := workerSDK(s).BatchCheckLayerAvailability(t.Context(), &awsecr.BatchCheckLayerAvailabilityInput{RepositoryName: aws.String("team/app"), LayerDigests: []string{firstLayer(t, idle)}})
	if err != nil || layers.Layers[0].LayerAvailability != types.LayerAvailabilityUnavailable {
		t.Errorf("layer of the deleted image: %+v, %v", layers, err)
	}
	// The tag is free again, for the same image or another.
	mustPush(t, s, "team/app", "idle", idle)

	// Once nothing runs it, an index goes with its children.
	mu.Lock()
	used = used[:2]
	mu.Unlock()
	if got := s.Sweep(); len(got) != 4 {
		t.Errorf("index out of use: %q deleted, want it and three children", got)
	}
}

func TestSweepRegularly(t *testing.T) {
	t.Parallel()
	c := &clock.Clock{}
	s := start(t, ecr.Options{Clock: c, SweepEvery: time.Hour})
	mustPush(t, s, "team/app", "v1", sample("1"))
	c.Advance(25 * time.Hour)
	for deadline := time.Now().Add(30 * time.Second); len(s.Tags("team/app")) > 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the image is still there")
		}
	}
}

// TestPullTime checks who counts as having pulled, and how exact the time is.
func TestPullTime(t *testing.T) {
	t.Parallel()
	c := &clock.Clock{}
	s := start(t, ecr.Options{Clock: c})
	mustPush(t, s, "team/app", "v1", sample("1"))
	user, password := s.KubeletToken()
	last := func() *time.Time {
		t.Helper()
		out, err := workerSDK(s).DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
		if err != nil {
			t.Fatal(err)
		}
		return out.ImageDetails[0].LastRecordedPullTime
	}
	if _, err := remote(s, user, password).Head(t.Context(), s.Registry, "team/app", "v1"); err != nil || last() != nil {
		t.Errorf("looking counts as pulling: %v, %v", last(), err)
	}
	pull := func() {
		t.Helper()
		user, password = s.KubeletToken()
		if _, err := remote(s, user, password).Pull(t.Context(), s.Registry, "team/app", "v1"); err != nil {
			t.Fatal(err)
		}
	}
	pull()
	first := last()
	if first == nil || c.Now().Sub(*first) > time.Minute {
		t.Fatalf("first pull: %v", first)
	}
	c.Advance(20 * time.Hour)
	pull()
	if got := last(); !got.Equal(*first) {
		t.Errorf("20 hours later: %v, want the old %v", got, first)
	}
	c.Advance(5 * time.Hour)
	pull()
	if got := last(); got.Sub(*first) < 24*time.Hour {
		t.Errorf("25 hours later: %v, want a new time", got)
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, ecr.Options{Dir: dir})
	image := oci.Index(sample("1"), oci.Build(oci.Spec{Platform: "linux/arm64"}))
	mustPush(t, s, "team/app", "v1", image)
	user, password := s.PipelineToken("team/app", "team/app")
	id, secret := s.WorkerKey()
	writes := s.Writes()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, ecr.Options{Dir: dir})
	if got := s.Writes(); got["manifests"] != 3 || got["manifests"] != writes["manifests"] || got["layers"] != writes["layers"] {
		t.Errorf("writes after the restart: %v, before: %v", got, writes)
	}
	if got, err := remote(s, user, password).Pull(t.Context(), s.Registry, "team/app", "v1"); err != nil || got.Digest() != image.Digest() {
		t.Errorf("pull with the old login: %v", err)
	}
	err := remote(s, user, password).Push(t.Context(), s.Registry, "team/app", "v1", sample("2"))
	doorRefusal(t, "old tag", err, 400, "TAG_INVALID", "The image tag 'v1' already exists in the 'team/app' repository and cannot be overwritten because the tag is immutable.")
	out, err := sdk(s, id, secret).DescribeImages(t.Context(), &awsecr.DescribeImagesInput{RepositoryName: aws.String("team/app")})
	if err != nil || len(out.ImageDetails) != 3 {
		t.Errorf("images with the old key: %v", err)
	}
}
