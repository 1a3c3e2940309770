package runner_test

import (
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

func TestBuildPushPullRun(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.expect(t, w.job(login, `docker build -t "$CI_REGISTRY_IMAGE:$TAG" .`, `docker push "$CI_REGISTRY_IMAGE:$TAG"`), 0,
		"Login Succeeded", "The push refers to repository [123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/hei]", "t1: digest: sha256:", "Job succeeded")
	first, err := w.remote.Head(t.Context(), w.ecr.Registry, "team/hei", "t1")
	if err != nil {
		t.Fatal(err)
	}
	// A later job has an empty store and pulls.
	w.expect(t, w.job(login, `docker run --rm "$CI_REGISTRY_IMAGE:$TAG" hei på`), 0, "Unable to find image", "hei på")
	// The same build is the same image, another context is another.
	again := w.job(login, `docker build -t "$CI_REGISTRY_IMAGE:t2" .`, `docker push "$CI_REGISTRY_IMAGE:t2"`, `echo more >> hei.sh`,
		`docker build -t "$CI_REGISTRY_IMAGE:t3" .`, `docker push "$CI_REGISTRY_IMAGE:t3"`)
	w.expect(t, again, 0)
	second, _ := w.remote.Head(t.Context(), w.ecr.Registry, "team/hei", "t2")
	third, _ := w.remote.Head(t.Context(), w.ecr.Registry, "team/hei", "t3")
	if first != second || first == third || third == "" {
		t.Errorf("digests %s, %s, %s: want the first two equal and the third different", first, second, third)
	}
}

func TestRegistrysWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	build := `docker build -q -t "$IMAGE" .`
	for name, tt := range map[string]struct {
		image  string
		script []string
		want   string
	}{
		"another name":       {"$CI_REGISTRY_IMAGE-api:1", []string{login, build, `docker push "$IMAGE"`}, "is not authorized to perform: ecr:InitiateLayerUpload on resource: arn:aws:ecr:eu-north-1:123456789012:repository/team/hei-api"},
		"same tag twice":     {"$CI_REGISTRY_IMAGE:twice", []string{login, build, `docker push "$IMAGE"`, `echo x > x; echo 'COPY x /x' >> Dockerfile`, build, `docker push "$IMAGE"`}, "tag invalid: The image tag 'twice' already exists in the 'team/hei' repository and cannot be overwritten because the tag is immutable."},
		"no login":           {"$CI_REGISTRY_IMAGE:nologin", []string{build, `docker push "$IMAGE"`}, "no basic auth credentials"},
		"run without login":  {"$CI_REGISTRY_IMAGE:x", []string{`docker run --rm "$IMAGE" true`}, "no basic auth credentials"},
		"pull of absent tag": {"$CI_REGISTRY_IMAGE:absent", []string{login, `docker pull "$IMAGE"`}, "manifest for 123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/hei:absent not found: manifest unknown"},
		"absent base image":  {"registry.uninett.no/team/hei/base:1", []string{`echo "FROM $IMAGE" > Dockerfile`, `docker login -u x -p "$OLD" registry.uninett.no || true`, `docker build .`}, "failed to resolve source metadata for registry.uninett.no/team/hei/base:1"},
		"upper case":         {"$CI_REGISTRY_IMAGE/API:1", []string{build}, "must be lowercase"},
		"not built":          {"$CI_REGISTRY_IMAGE:nothing", []string{login, `docker push "$IMAGE"`}, "An image does not exist locally with the tag"},
		"elsewhere":          {"someone/else:1", []string{build, `docker push "$IMAGE"`}, "denied: requested access to the resource is denied"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := w.job(tt.script...)
			e.Job.Variables = append(e.Job.Variables, ci.Variable{Key: "IMAGE", Value: tt.image})
			r, log := w.run(t, e)
			if r.Status != "failed" || r.FailureReason != "script_failure" || !strings.Contains(log, tt.want) {
				t.Errorf("%s (%s), want a failure with %q:\n%s", r.Status, r.FailureReason, tt.want, log)
			}
		})
	}
}

func TestMovedProject(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.moved = true
	w.expect(t, w.job(login), 254, "An error occurred (AccessDenied) when calling the AssumeRoleWithWebIdentity operation: Not authorized to perform sts:AssumeRoleWithWebIdentity")
	w.expect(t, w.job(`aws ecr get-login-password --region eu-north-1 | docker login --username AWS --password-stdin "$CI_REGISTRY"`), 254, "AssumeRoleWithWebIdentity")
	w.moved = false
	w.expect(t, w.job(`aws ecr get-login-password --region eu-north-1 | docker login --username AWS --password-stdin "$CI_REGISTRY"`), 0, "Login Succeeded")
}

func TestJobImages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"app/own": "x"}}})
	if err := w.remote.Push(t.Context(), w.old.Name, "team/hei", "here", image); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct{ image, service, reason, want string }{
		"in ECR":         {"$CI_REGISTRY_IMAGE:t1", "", "runner_system_failure", `ERROR: Job failed: failed to pull image "123456789012.dkr.ecr.eu-north-1.amazonaws.com/team/hei:t1" with specified policies [always]: Error response from daemon: Head "https://123456789012.dkr.ecr.eu-north-1.amazonaws.com/v2/team/hei/manifests/t1": no basic auth credentials (manager.go:250:0s)`},
		"service in ECR": {"node:22", "$CI_REGISTRY_IMAGE:t1", "runner_system_failure", "no basic auth credentials"},
		"old, present":   {"registry.uninett.no/team/hei:here", "", "", "Job succeeded"},
		"old, absent":    {"registry.uninett.no/team/hei:gone", "", "runner_system_failure", "manifest unknown"},
		"public":         {"node:22", "", "", "Job succeeded"},
		"not a name":     {"a b", "", "runner_system_failure", "invalid reference format"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			e := w.job("own --check || true")
			e.Job.Image.Name, e.Job.Services = tt.image, nil
			if tt.service != "" {
				e.Job.Services = []ci.Image{{Name: tt.service}}
			}
			r, log := w.run(t, e)
			if r.FailureReason != tt.reason || !strings.Contains(log, tt.want) {
				t.Errorf("reason %q, want %q and %q:\n%s", r.FailureReason, tt.reason, tt.want, log)
			}
		})
	}
}

func TestDockerNeedsClientAndDaemon(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job("docker build .")
	e.Job.Services = nil
	w.expect(t, e, 1, "Cannot connect to the Docker daemon")
	e = w.job("docker version")
	e.Job.Image.Name = "node:22"
	w.expect(t, e, 127, "docker: command not found")
}

// What runs in a container sees only the variables that it is given, and its
// failures count.
func TestContainers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	in := func(flags, script string) []string {
		return []string{`docker build -q -t hei .`, "docker run --rm -i " + flags + " hei /bin/sh -eux -c '\n" + script + "\n'"}
	}
	for name, tt := range map[string]struct {
		flags, script string
		code          int
		want          string
	}{
		"variables stay outside": {"", `echo "tag=[${TAG:-}] sha=[${CI_COMMIT_SHA:-}]"`, 0, "tag=[] sha=[]"},
		"given ones come in":     {"-e TAG -e OTHER=two", `echo "$TAG $OTHER"`, 0, "t1 two"},
		"failure counts":         {"", "false\necho never", 1, "Job failed: exit code 1"},
		"exit code":              {"", "exit 42", 42, "exit code 42"},
		"image's program":        {"", "hei du", 0, "hei du"},
		"installed by nobody":    {"", "frobnicate", 127, "frobnicate: command not found"},
		"no docker inside":       {"", "docker push x", 127, "docker: command not found"},
		"known tool":             {"", "pytest -q", 0, "pytest"},
		"no checkout inside":     {"", "cat Dockerfile", 1, "No such file"},
		"mounted":                {`-v "$CI_PROJECT_DIR:/work" -w /work`, "cat Dockerfile; echo new > made", 0, "FROM alpine"},
		"not out of the mount":   {`-v "$CI_PROJECT_DIR:/work" -w /work`, "cat ../../../../etc/passwd", 1, "No such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w.expect(t, w.job(in(tt.flags, tt.script)...), tt.code, tt.want)
		})
	}
}

func TestMultiStageBuilds(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job(
		`docker build --target unused -t first . && echo reached`,
	)
	e.Checkout = []ci.Artifact{
		{Path: "Dockerfile", Content: []byte("ARG VERSION=3.20\nFROM alpine:${VERSION} AS base\nRUN apk add hadolint\nFROM registry.uninett.no/team/absent:1 AS unused\nFROM base\nARG NAME\nCOPY --from=base /bin/sh /sh\nLABEL a=b c=\"d e\"\nENV X=${NAME:-none}\nCMD [\"sh\"]\n")},
	}
	w.expect(t, e, 1, "registry.uninett.no/team/absent:1")
	e.Job.Script = []string{
		`docker build --build-arg NAME=a -t one .`, `docker build --build-arg NAME=b -t two .`,
		`test "$(docker inspect -f '{{.Id}}' one)" != "$(docker inspect -f '{{.Id}}' two)"`,
		`docker run --rm one sh -c 'test "$X" = a; hadolint Dockerfile'`,
		`docker build --target nope . || echo "target refused"`,
		`echo 'nonsense' > bad; docker build -f bad . || echo "parse refused"`,
	}
	w.expect(t, e, 0, "target refused", "parse refused", `target stage "nope" could not be found`)
}

// A program that one stage builds and another copies is there.
func TestProgramOfAnotherStage(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := w.job(`docker build -t x .`, `docker run --rm x /app/api selftest`, `docker run --rm x /app/other`)
	e.Checkout = []ci.Artifact{{Path: "Dockerfile", Content: []byte("FROM golang:1.24 AS b\nCOPY . .\nRUN go build -o /app/api .\nFROM debian:12\nCOPY --from=b /app /app\n")}}
	w.expect(t, e, 127, "api: done", "/app/other: No such file or directory")
}

func TestMissingCopySource(t *testing.T) {
	t.Parallel()
	e := func(w *world) ci.Execution {
		e := w.job("docker build -t x .")
		e.Checkout[0].Content = []byte("FROM alpine\nCOPY app.jar /app.jar\n")
		return e
	}
	w := newWorld(t)
	w.expect(t, e(w), 0, "an empty file stands in for it")
	w = newWorld(t, strict)
	w.expect(t, e(w), 1, `failed to solve`, `"/app.jar": not found`)
}

func TestOtherBuilders(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	config := `mkdir -p /kaniko/.docker; echo "{\"auths\":{\"$CI_REGISTRY\":{\"username\":\"$CI_REGISTRY_USER\",\"password\":\"$CI_REGISTRY_PASSWORD\"}}}" > /kaniko/.docker/config.json`
	w.expect(t, w.job(config, `/kaniko/executor --context "$CI_PROJECT_DIR" --dockerfile "$CI_PROJECT_DIR/Dockerfile" --destination "$CI_REGISTRY_IMAGE:k1" --cache=true --cache-repo "$CI_REGISTRY_IMAGE" --build-arg A=b`), 0, "Pushed")
	w.expect(t, w.job(config, `/kaniko/executor --context . --destination "$CI_REGISTRY_IMAGE/api:k1"`), 1, "is not authorized to perform: ecr:InitiateLayerUpload")
	w.expect(t, w.job(`/kaniko/executor --context . --destination "$CI_REGISTRY_IMAGE:k2"`), 1, "no basic auth credentials")
	w.expect(t, w.job(login, `docker buildx build --push -t "$CI_REGISTRY_IMAGE:b1" .`, `docker buildx imagetools create -t "$CI_REGISTRY_IMAGE:b2" "$CI_REGISTRY_IMAGE:b1"`), 0)
	w.expect(t, w.job(login, `skopeo copy "docker://$CI_REGISTRY_IMAGE:k1" "docker://$CI_REGISTRY_IMAGE:k3"`, `crane copy $CI_REGISTRY_IMAGE:k3 $CI_REGISTRY_IMAGE:k4`,
		`test "$(crane digest $CI_REGISTRY_IMAGE:k4)" = "$(skopeo inspect --format '{{.Digest}}' docker://$CI_REGISTRY_IMAGE:k1)"`,
		`trivy image "$CI_REGISTRY_IMAGE:k4"`), 0)
	w.expect(t, w.job(login, `skopeo copy "docker://$CI_REGISTRY_IMAGE:none" "docker://$CI_REGISTRY_IMAGE:k9"`), 1, "level=fatal")
	w.expect(t, w.job(login, `trivy image "$CI_REGISTRY_IMAGE:none"`), 1, "unable to find the specified image")
	w.expect(t, w.job(login, `docker manifest create $CI_REGISTRY_IMAGE:list --amend $CI_REGISTRY_IMAGE:k1 --amend $CI_REGISTRY_IMAGE:b1`, `docker manifest push $CI_REGISTRY_IMAGE:list`), 0)
	image, err := w.remote.Pull(t.Context(), w.ecr.Registry, "team/hei", "list")
	if err != nil || len(image.Children) != 2 {
		t.Errorf("manifest list: %d children, %v", len(image.Children), err)
	}
}
