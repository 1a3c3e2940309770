package runner_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

const deployment = `apiVersion: apps/v1
kind: Deployment
metadata: {name: hei-api}
spec:
  replicas: $REPLICAS
  selector: {matchLabels: {app: hei-api}}
  template:
    metadata: {labels: {app: hei-api}}
    spec:
      containers:
        - {name: api, image: "%s"}
`

// pipeline compiles a configuration of testdata and runs its jobs in order, all
// of them. It returns the failed ones with their logs.
func (w *world) pipeline(t *testing.T, name, image string, migrated bool) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	repo := files{
		".gitlab-ci.yml":  string(content),
		"deployment.yaml": fmt.Sprintf(deployment, image),
		"api/Dockerfile":  "FROM python:3.12-slim\nWORKDIR /app\nCOPY . .\nRUN pip install -r requirements.txt && install selftest\n",
		"api/app.py":      "print('hei')\n",
	}
	e := w.job()
	e.Settings = w.settings(migrated)
	e.Settings.Project = append(e.Settings.Project, ci.Variable{Key: "REPLICAS", Value: "1"})
	p, err := ci.Compile(w.project, e.Trigger, e.Settings, repo, nil)
	if err != nil {
		t.Fatal(err)
	}
	e.Checkout = nil
	paths, _ := repo.Paths("", "")
	for _, path := range paths {
		e.Checkout = append(e.Checkout, ci.Artifact{Path: path, Content: []byte(repo[path]), Mode: 0o100644})
	}
	failed := map[string]string{}
	for i, job := range p.Jobs {
		e.Job, e.JobID = job, int64(i+1)
		if r, log := w.run(t, e); r.Status != "success" {
			failed[job.Name] = log
		}
	}
	return failed
}

// A project whose configuration was not rewritten works with the old registry,
// fails with the platform's words once the console has been there, and works
// again when it is rewritten.
func TestPipelineBeforeAndAfter(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	oldImage, newImage := "$CI_REGISTRY_IMAGE-api:$CI_REGISTRY_TAG", "${CI_REGISTRY_IMAGE}:api-${CI_REGISTRY_TAG}"

	if failed := w.pipeline(t, "before.yml", oldImage, false); len(failed) > 0 {
		t.Fatalf("with the old registry: %v", failed)
	}
	running := fmt.Sprint(w.paas.InUse())
	if !strings.Contains(running, "registry.uninett.no/team/hei-api@sha256:") {
		t.Fatalf("in use: %s", running)
	}

	failed := w.pipeline(t, "before.yml", oldImage, true)
	for job, want := range map[string]string{
		"api":     "denied: User: arn:aws:sts::123456789012:assumed-role/",
		"test":    "no basic auth credentials (manager.go:250:0s)",
		"staging": "ErrImagePull: Failed to pull image",
	} {
		if !strings.Contains(failed[job], want) {
			t.Errorf("not rewritten: the log of %s has no %q:\n%s", job, want, failed[job])
		}
	}
	if got := fmt.Sprint(w.paas.InUse()); got != running {
		t.Errorf("the failed rollout changed what runs: %s", got)
	}

	if failed := w.pipeline(t, "after.yml", newImage, true); len(failed) > 0 {
		t.Fatalf("rewritten: %v", failed)
	}
	digest, err := w.remote.Head(t.Context(), w.ecr.Registry, "team/hei", "api-12345678")
	if err != nil {
		t.Fatal(err)
	}
	if want := w.ecr.Registry + "/team/hei@" + digest; !slices.Contains(w.paas.InUse(), want) {
		t.Errorf("in use: %v, want %s", w.paas.InUse(), want)
	}
}

func TestClusterCommands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	push := []string{login, `docker build -q -t $CI_REGISTRY_IMAGE:a .`, `docker push $CI_REGISTRY_IMAGE:a`, `docker tag $CI_REGISTRY_IMAGE:a $CI_REGISTRY_IMAGE:b`, `docker push $CI_REGISTRY_IMAGE:b`}
	w.expect(t, w.job(push...), 0)
	e := w.job(
		`envsubst < deployment.yaml | kubectl apply -f -`, `kubectl rollout status deployment/hei-api`,
		`kubectl set image deployment/hei-api api=$CI_REGISTRY_IMAGE:b`,
		`kubectl get deployment hei-api -o jsonpath='{.spec.template.spec.containers[0].image}' | grep ':b$'`,
		`kubectl set image deployment/none x=y || echo "absent refused"`,
		`kubectl set image deployment/hei-api api=$CI_REGISTRY_IMAGE:none || echo "rollout refused"`,
		`helm upgrade --install staging ./chart -n "$KUBE_NAMESPACE" -f values.yaml --set image.repository=$CI_REGISTRY_IMAGE --set image.tag=a --wait`,
		`helm upgrade --install staging ./chart --set image.repository=$CI_REGISTRY_IMAGE --set image.tag=none || echo "upgrade refused"`,
		`kubectl delete -f deployment.yaml`, `kubectl delete deployment hei-api || echo "already gone"`,
	)
	e.Job.Variables = append(e.Job.Variables, ci.Variable{Key: "REPLICAS", Value: "1"})
	e.Checkout = append(e.Checkout,
		ci.Artifact{Path: "deployment.yaml", Content: fmt.Appendf(nil, deployment, "$CI_REGISTRY_IMAGE:a")},
		ci.Artifact{Path: "chart/Chart.yaml", Content: []byte("apiVersion: v2\nname: hei\nversion: 0.1.0\n")},
		ci.Artifact{Path: "chart/values.yaml", Content: []byte("image: {repository: '', tag: ''}\nreplicas: 1\n")},
		ci.Artifact{Path: "values.yaml", Content: []byte("replicas: 3\n")},
		ci.Artifact{Path: "chart/templates/_helpers.tpl", Content: []byte(`{{- define "name" -}}{{ .Release.Name }}-hei{{- end -}}`)},
		ci.Artifact{Path: "chart/templates/d.yaml", Content: []byte("apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: {{ include \"name\" . | trunc 20 }}}\nspec:\n  replicas: {{ .Values.replicas | default 1 }}\n  template:\n    spec:\n      containers:\n        - name: hei\n          image: {{ printf \"%s:%s\" .Values.image.repository .Values.image.tag | quote }}\n")},
	)
	w.expect(t, e, 0, "deployment.apps/hei-api created", "image updated", "absent refused", "rollout refused", "upgrade refused", "already gone", "ImagePullBackOff")
	got := w.paas.Workloads("team-hei")
	if len(got) != 1 || got[0].Name != "staging-hei" || got[0].Replicas != 3 || !strings.HasSuffix(got[0].Containers[0].Image, ":a") {
		t.Errorf("workloads: %+v", got)
	}
}

func TestCompose(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	compose := ci.Artifact{Path: "docker-compose.ci.yml", Content: []byte(`services:
  api:
    build: {context: ., args: {BASE: "${CI_REGISTRY_IMAGE}:base"}}
    image: ${CI_REGISTRY_IMAGE}:api-${TAG:-dev}
    depends_on: [db]
  db:
    image: mariadb:11
  e2e:
    build: .
    image: ${CI_REGISTRY_IMAGE}:e2e-${TAG}
    environment: {BASE_URL: "http://api:8080"}
`)}
	job := func(script ...string) ci.Execution {
		e := w.job(script...)
		e.Checkout = append(e.Checkout, compose)
		e.Job.Variables = append(e.Job.Variables, ci.Variable{Key: "COMPOSE_FILE", Value: "docker-compose.ci.yml"})
		return e
	}
	w.expect(t, job(login, "docker compose build", "docker compose push"), 0, "api-t1: digest: sha256:", "e2e-t1: digest: sha256:")
	w.expect(t, job(login, "docker compose up -d api db", `docker compose run --rm e2e sh -c 'echo "at $BASE_URL"; npm test'`, "docker compose down"), 0, "at http://api:8080")
	w.expect(t, job(login, "docker compose run --rm e2e sh -c 'exit 7'"), 7)
	w.expect(t, job("docker compose run --rm nothing"), 1, "no such service: nothing")
}
