package paas_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
)

const (
	host   = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"
	digest = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
)

// registry knows the references that can be pulled.
func registry(known map[string]string) paas.Puller {
	return func(_ context.Context, host, repository, reference string) (string, error) {
		if d, ok := known[repository+":"+reference]; ok {
			return d, nil
		}
		return "", fmt.Errorf("%s/%s:%s: not found", host, repository, reference)
	}
}

func start(t *testing.T, dir string, known map[string]string) *paas.Server {
	t.Helper()
	s, err := paas.Start(paas.Options{Dir: dir, Hosts: []string{host}, Pull: registry(known)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func client(t *testing.T, s *paas.Server) *kubernetes.Clientset {
	t.Helper()
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func deployment(image string) []byte {
	return fmt.Appendf(nil, `apiVersion: v1
kind: Service
metadata: {name: hei}
spec: {selector: {app: hei}}
---
apiVersion: apps/v1
kind: Deployment
metadata:
  name: hei
spec:
  replicas: 2
  selector:
    matchLabels: {app: hei}
  template:
    metadata:
      labels: {app: hei}
    spec:
      initContainers:
        - {name: wait, image: "busybox:1.36"}
      containers:
        - {name: hei, image: %q}
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: hei-cron}
spec:
  schedule: "*/10 * * * *"
  jobTemplate:
    spec:
      template:
        spec:
          restartPolicy: Never
          containers: [{name: cron, image: %q}]
`, image, image)
}

func TestClientGoReadsWorkloads(t *testing.T) {
	t.Parallel()
	s := start(t, "", map[string]string{"team/hei:1": digest})
	ctx := t.Context()
	if err := s.Apply(ctx, "team-hei", "staging", deployment(host+"/team/hei:1")); err != nil {
		t.Fatal(err)
	}
	c := client(t, s)

	d, err := c.AppsV1().Deployments("team-hei").Get(ctx, "hei", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got := d.Status.UpdatedReplicas; got != 2 || d.Status.ObservedGeneration != d.Generation {
		t.Errorf("updated replicas %d, generation %d observed %d; want 2 and equal", got, d.Generation, d.Status.ObservedGeneration)
	}
	if got := d.Labels["environment"]; got != "staging" {
		t.Errorf("environment label = %q, want staging", got)
	}
	selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
	if err != nil {
		t.Fatal(err)
	}
	pods, err := c.CoreV1().Pods("team-hei").List(ctx, metav1.ListOptions{LabelSelector: selector.String()})
	if err != nil {
		t.Fatal(err)
	}
	if len(pods.Items) != 2 {
		t.Fatalf("%d pods, want 2", len(pods.Items))
	}
	for _, p := range pods.Items {
		if got, want := p.Status.ContainerStatuses[0].ImageID, host+"/team/hei@"+digest; got != want {
			t.Errorf("imageID = %s, want %s", got, want)
		}
		if len(p.Status.InitContainerStatuses) != 1 {
			t.Errorf("init container statuses: %v", p.Status.InitContainerStatuses)
		}
	}
	crons, err := c.BatchV1().CronJobs("team-hei").List(ctx, metav1.ListOptions{})
	if err != nil || len(crons.Items) != 1 {
		t.Errorf("cron jobs: %v, %v", crons, err)
	}
	all, err := c.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 2})
	if err != nil || len(all.Items) != 2 || all.Continue == "" {
		t.Fatalf("first page: %d pods, continue %q, %v", len(all.Items), all.Continue, err)
	}
	all, err = c.CoreV1().Pods("").List(ctx, metav1.ListOptions{Limit: 2, Continue: all.Continue})
	if err != nil || len(all.Items) != 1 || all.Continue != "" {
		t.Errorf("second page: %d pods, continue %q, %v", len(all.Items), all.Continue, err)
	}
	spaces, err := c.CoreV1().Namespaces().List(ctx, metav1.ListOptions{})
	if err != nil || len(spaces.Items) != 1 || spaces.Items[0].Name != "team-hei" {
		t.Errorf("namespaces: %v, %v", spaces, err)
	}
	if _, err := c.AppsV1().Deployments("team-hei").Get(ctx, "none", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("absent deployment: %v, want NotFound", err)
	}
	if err := c.AppsV1().Deployments("team-hei").Delete(ctx, "hei", metav1.DeleteOptions{}); !apierrors.IsForbidden(err) {
		t.Errorf("delete: %v, want Forbidden", err)
	}
}

func TestTokenIsNeeded(t *testing.T) {
	t.Parallel()
	s := start(t, "", nil)
	config, err := clientcmd.RESTConfigFromKubeConfig(s.Kubeconfig())
	if err != nil {
		t.Fatal(err)
	}
	config.BearerToken = "other"
	c, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.CoreV1().Pods("x").List(t.Context(), metav1.ListOptions{}); !apierrors.IsUnauthorized(err) {
		t.Errorf("list with a wrong token: %v, want Unauthorized", err)
	}
}

func TestFailedRolloutKeepsWhatRan(t *testing.T) {
	t.Parallel()
	s := start(t, "", map[string]string{"team/hei:1": digest})
	ctx := t.Context()
	if err := s.Apply(ctx, "ns", "staging", deployment(host+"/team/hei:1")); err != nil {
		t.Fatal(err)
	}
	before := fmt.Sprint(s.Workloads("ns"))
	writes := s.Writes()["workloads"]

	err := s.Apply(ctx, "ns", "staging", deployment(host+"/team/hei:2"))
	var pull *paas.PullError
	if !errors.As(err, &pull) || pull.Status != "ErrImagePull" || !strings.Contains(pull.Message, "not found") {
		t.Fatalf("rollout of an absent tag: %v", err)
	}
	if got := fmt.Sprint(s.Workloads("ns")); got != before {
		t.Errorf("a failed rollout changed the workloads:\n%s\n%s", got, before)
	}
	if got := s.Writes()["workloads"]; got != writes {
		t.Errorf("writes = %d, want %d", got, writes)
	}
	err = s.Apply(ctx, "ns", "staging", deployment("$CI_REGISTRY_IMAGE:x"))
	if !errors.As(err, &pull) || pull.Status != "InvalidImageName" {
		t.Errorf("rollout of a name with a variable: %v", err)
	}
	if err := s.SetImage(ctx, "ns", "Deployment", "hei", "hei", host+"/team/hei:3"); !errors.As(err, &pull) {
		t.Errorf("set image to an absent tag: %v", err)
	}
	if err := s.SetImage(ctx, "ns", "Deployment", "hei", "none", host+"/team/hei:1"); err == nil || !strings.Contains(err.Error(), "unable to find container") {
		t.Errorf("set image of an absent container: %v", err)
	}
}

func TestRefusedManifests(t *testing.T) {
	t.Parallel()
	s := start(t, "", nil)
	for name, tt := range map[string]struct{ manifest, want string }{
		"not yaml":    {"a: b: c", "error parsing"},
		"empty":       {"---\n", "no objects"},
		"no kind":     {"a: b", "Kind"},
		"bad name":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: A_B}", "invalid"},
		"old group":   {"apiVersion: extensions/v1beta1\nkind: Deployment\nmetadata: {name: a}", "no matches for kind"},
		"no image":    {"apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nspec: {containers: [{name: a}]}", "Required value"},
		"replicas":    {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {replicas: many}", "invalid"},
		"label match": {"apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: a}\nspec: {selector: {matchLabels: {app: a}}, template: {metadata: {labels: {app: b}}, spec: {containers: [{name: a, image: a}]}}}", "does not match"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := s.Apply(t.Context(), "ns", "", []byte(tt.manifest)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
	if got := s.Workloads("ns"); len(got) != 0 {
		t.Errorf("refused manifests left %v", got)
	}
}

func TestStateSurvivesRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	known := map[string]string{"team/hei:1": digest}
	s := start(t, dir, known)
	if err := s.Apply(t.Context(), "ns", "staging", deployment(host+"/team/hei:1")); err != nil {
		t.Fatal(err)
	}
	// No Close: a killed process must leave the same behind.
	again := start(t, dir, known)
	if got, want := fmt.Sprint(again.InUse()), fmt.Sprint(s.InUse()); got != want || !strings.Contains(got, digest) {
		t.Errorf("in use after restart:\n%s\nwant\n%s", got, want)
	}
	if again.Token != s.Token {
		t.Error("the token changed")
	}
	if err := again.Apply(t.Context(), "ns", "staging", deployment(host+"/team/hei:1")); err != nil {
		t.Fatal(err)
	}
	if got, want := again.Writes()["workloads"], s.Writes()["workloads"]; got != want {
		t.Errorf("applying the same again counted: %d, want %d", got, want)
	}
	if n, err := again.DeleteEnvironment("ns", "staging"); n != 2 || err != nil {
		t.Errorf("deleted %d, %v; want 2", n, err)
	}
	if got := again.InUse(); len(got) != 0 {
		t.Errorf("in use after deletion: %v", got)
	}
}
