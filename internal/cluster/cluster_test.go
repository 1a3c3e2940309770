package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/paas"
)

const (
	namespace = "platon-kurs-website"
	image     = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/platon/kurs/website:main-1"
	digestA   = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	digestB   = "sha256:bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
)

func meta(name, owner string) metav1.ObjectMeta {
	m := metav1.ObjectMeta{Name: name, Namespace: namespace, UID: types.UID("uid-" + name), Generation: 2}
	if owner != "" {
		m.OwnerReferences = []metav1.OwnerReference{{Name: owner, UID: types.UID("uid-" + owner), Controller: new(true)}}
	}
	return m
}

func template(images ...string) corev1.PodTemplateSpec {
	var t corev1.PodTemplateSpec
	for i, image := range images {
		t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: []string{"app", "sidecar"}[i], Image: image})
	}
	return t
}

func pod(name, owner, imageID string, change ...func(*corev1.Pod)) *corev1.Pod {
	p := &corev1.Pod{
		ObjectMeta: meta(name, owner),
		Spec:       template(image).Spec,
		Status: corev1.PodStatus{Phase: corev1.PodRunning, ContainerStatuses: []corev1.ContainerStatus{
			{Name: "app", Image: image, ImageID: imageID},
		}},
	}
	for _, f := range change {
		f(p)
	}
	return p
}

func TestWorkloads(t *testing.T) {
	t.Parallel()
	const repository = "123456789012.dkr.ecr.eu-north-1.amazonaws.com/platon/kurs/website"
	staging := &appsv1.Deployment{
		ObjectMeta: meta("staging", ""),
		Spec:       appsv1.DeploymentSpec{Replicas: new(int32(2)), Template: template(image, "docker.io/library/nginx:1")},
		Status:     appsv1.DeploymentStatus{ObservedGeneration: 2, Replicas: 3, UpdatedReplicas: 2, ReadyReplicas: 2, AvailableReplicas: 2},
	}
	staging.Annotations = map[string]string{"app.gitlab.com/env": "staging"}
	staging.Spec.Template.Spec.InitContainers = []corev1.Container{{Name: "migrate", Image: image}}
	stateful := &appsv1.StatefulSet{
		ObjectMeta: meta("database", ""),
		Spec:       appsv1.StatefulSetSpec{Template: template("registry.uninett.no/public/postgres:1")},
		Status:     appsv1.StatefulSetStatus{ObservedGeneration: 2, ReadyReplicas: 1, UpdatedReplicas: 1, UpdateRevision: "r2", CurrentRevision: "r2"},
	}
	daemon := &appsv1.DaemonSet{
		ObjectMeta: meta("agent", ""), Spec: appsv1.DaemonSetSpec{Template: template(image)},
		Status: appsv1.DaemonSetStatus{ObservedGeneration: 2, DesiredNumberScheduled: 3, UpdatedNumberScheduled: 2, NumberAvailable: 3, NumberReady: 3},
	}
	daemon.Spec.Template.Labels = map[string]string{"environment": "production"}
	cron := &batchv1.CronJob{ObjectMeta: meta("nightly", "")}
	cron.Spec.JobTemplate.Spec.Template = template(image)

	c := &Client{api: fake.NewClientset(
		staging, stateful, daemon, cron,
		&appsv1.ReplicaSet{ObjectMeta: meta("staging-1", "staging")},
		&appsv1.ReplicaSet{ObjectMeta: meta("staging-2", "staging")},
		&batchv1.Job{ObjectMeta: meta("nightly-1", "nightly")},
		&batchv1.Job{ObjectMeta: meta("nightly-2", "nightly")},
		pod("staging-1-x", "staging-1", repository+"@"+digestA),
		pod("staging-2-x", "staging-2", "docker-pullable://"+repository+"@"+digestB),
		pod("staging-2-y", "staging-2", repository+"@"+digestB, func(p *corev1.Pod) {
			p.Status.InitContainerStatuses = []corev1.ContainerStatus{{Name: "migrate", ImageID: repository + "@" + digestB}}
		}),
		pod("staging-2-evicted", "staging-2", repository+"@sha256:0", func(p *corev1.Pod) { p.Status.Phase = corev1.PodFailed }),
		pod("staging-2-leaving", "staging-2", repository+"@sha256:1", func(p *corev1.Pod) {
			p.DeletionTimestamp, p.Finalizers = new(metav1.Now()), []string{"x/y"}
		}),
		pod("staging-2-config", "staging-2", "sha256:cccc"),
		pod("staging-2-waits", "staging-2", "", func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "Back-off pulling image"}
		}),
		pod("staging-2-starts", "staging-2", "", func(p *corev1.Pod) {
			p.Status.ContainerStatuses[0].State.Waiting = &corev1.ContainerStateWaiting{Reason: "ContainerCreating"}
		}),
		pod("database-0", "database", "docker.io/x@"+digestA),
		pod("agent-x", "agent", repository+"@"+digestA),
		pod("nightly-1-x", "nightly-1", repository+"@"+digestA, func(p *corev1.Pod) {
			p.Spec.Containers[0].Image, p.Status.Phase = "registry.uninett.no/platon/kurs/website:old", corev1.PodSucceeded
		}),
		pod("nightly-2-x", "nightly-2", repository+"@"+digestB, func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }),
		pod("lonely", "", repository+"@"+digestA),
		&appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "elsewhere", Namespace: "other"}},
	)}
	got, err := c.Workloads(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	want := []Workload{
		{Kind: "CronJob", Name: "nightly", Complete: true, Containers: []Container{{Name: "app", Image: image, RunningDigests: []string{digestB}}}},
		{Kind: "DaemonSet", Name: "agent", Environment: "production", Desired: 3, Ready: 3,
			Containers: []Container{{Name: "app", Image: image, RunningDigests: []string{digestA}}}},
		{Kind: "Deployment", Name: "staging", Environment: "staging", Desired: 2, Ready: 2, Problems: []string{"app: ImagePullBackOff: Back-off pulling image"},
			Containers: []Container{
				{Name: "migrate", Image: image, Init: true, RunningDigests: []string{digestB}},
				{Name: "app", Image: image, RunningDigests: []string{digestA, digestB}},
				{Name: "sidecar", Image: "docker.io/library/nginx:1"},
			}},
		{Kind: "StatefulSet", Name: "database", Desired: 1, Ready: 1, Complete: true,
			Containers: []Container{{Name: "app", Image: "registry.uninett.no/public/postgres:1", RunningDigests: []string{digestA}}}},
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("got, want:\n%s", d)
	}
	if got, err = c.Workloads(t.Context(), "nobody"); err != nil || len(got) != 0 {
		t.Errorf("an absent namespace: %v, %v", got, err)
	}
}

func TestDeploymentComplete(t *testing.T) {
	t.Parallel()
	ok := appsv1.Deployment{
		ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: appsv1.DeploymentSpec{Replicas: new(int32(2))},
		Status: appsv1.DeploymentStatus{ObservedGeneration: 3, Replicas: 2, UpdatedReplicas: 2, AvailableReplicas: 2, ReadyReplicas: 2},
	}
	for name, test := range map[string]struct {
		change   func(*appsv1.Deployment)
		complete bool
		failed   string
	}{
		"complete":         {func(*appsv1.Deployment) {}, true, ""},
		"not observed yet": {func(d *appsv1.Deployment) { d.Generation = 4 }, false, ""},
		"too few updated":  {func(d *appsv1.Deployment) { d.Status.UpdatedReplicas = 1 }, false, ""},
		"old ones left":    {func(d *appsv1.Deployment) { d.Status.Replicas = 3 }, false, ""},
		"not available":    {func(d *appsv1.Deployment) { d.Status.AvailableReplicas = 1 }, false, ""},
		"scaled to zero": {func(d *appsv1.Deployment) {
			d.Spec.Replicas, d.Status = new(int32(0)), appsv1.DeploymentStatus{ObservedGeneration: 3}
		}, true, ""},
		"default replicas": {func(d *appsv1.Deployment) {
			d.Spec.Replicas, d.Status = nil, appsv1.DeploymentStatus{ObservedGeneration: 3}
		}, false, ""},
		"given up": {func(d *appsv1.Deployment) {
			d.Status.UpdatedReplicas = 1
			d.Status.Conditions = []appsv1.DeploymentCondition{{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionFalse, Reason: "ProgressDeadlineExceeded", Message: "has timed out"}}
		}, false, "ProgressDeadlineExceeded: has timed out"},
	} {
		d := *ok.DeepCopy()
		test.change(&d)
		if complete, failed := deploymentComplete(d); complete != test.complete || failed != test.failed {
			t.Errorf("%s: %v, %q; want %v, %q", name, complete, failed, test.complete, test.failed)
		}
	}
}

func TestStatefulSetComplete(t *testing.T) {
	t.Parallel()
	ok := appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Generation: 3}, Spec: appsv1.StatefulSetSpec{Replicas: new(int32(3))},
		Status: appsv1.StatefulSetStatus{ObservedGeneration: 3, ReadyReplicas: 3, UpdatedReplicas: 3, UpdateRevision: "b", CurrentRevision: "b"},
	}
	for name, test := range map[string]struct {
		change func(*appsv1.StatefulSet)
		want   bool
	}{
		"complete":         {func(*appsv1.StatefulSet) {}, true},
		"not observed yet": {func(s *appsv1.StatefulSet) { s.Generation = 4 }, false},
		"never observed":   {func(s *appsv1.StatefulSet) { s.Generation, s.Status.ObservedGeneration = 0, 0 }, false},
		"not ready":        {func(s *appsv1.StatefulSet) { s.Status.ReadyReplicas = 2 }, false},
		"older revision":   {func(s *appsv1.StatefulSet) { s.Status.CurrentRevision = "a" }, false},
		"partition": {func(s *appsv1.StatefulSet) {
			s.Status.CurrentRevision, s.Status.UpdatedReplicas = "a", 1
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(2))}
		}, true},
		"partition not reached": {func(s *appsv1.StatefulSet) {
			s.Status.CurrentRevision, s.Status.UpdatedReplicas = "a", 0
			s.Spec.UpdateStrategy.RollingUpdate = &appsv1.RollingUpdateStatefulSetStrategy{Partition: new(int32(2))}
		}, false},
		"on delete": {func(s *appsv1.StatefulSet) {
			s.Spec.UpdateStrategy.Type, s.Status.UpdatedReplicas = appsv1.OnDeleteStatefulSetStrategyType, 2
		}, false},
	} {
		s := *ok.DeepCopy()
		test.change(&s)
		if got := statefulSetComplete(s); got != test.want {
			t.Errorf("%s: %v, want %v", name, got, test.want)
		}
	}
}

func TestErrors(t *testing.T) {
	t.Parallel()
	pods := schema.GroupResource{Resource: "pods"}
	for name, test := range map[string]struct {
		err    error
		class  fault.Class
		reason string
	}{
		"unauthorized": {apierrors.NewUnauthorized("x"), fault.Permanent, ReasonTokenInvalid},
		"forbidden":    {apierrors.NewForbidden(pods, "", errors.New("x")), fault.Attention, ReasonNeedsAccess},
		"busy":         {apierrors.NewTooManyRequests("x", 7), fault.Transient, ReasonUnavailable},
		"down":         {errors.New("connection refused"), fault.Transient, ReasonUnavailable},
	} {
		api := fake.NewClientset()
		api.PrependReactor("list", "*", func(clienttesting.Action) (bool, runtime.Object, error) { return true, nil, test.err })
		_, err := (&Client{api: api}).Workloads(t.Context(), namespace)
		if fault.ClassOf(err) != test.class || fault.ReasonOf(err) != test.reason {
			t.Errorf("%s: %s, %s of %v", name, fault.ClassOf(err), fault.ReasonOf(err), err)
		}
		if name == "busy" && fault.RetryAfter(err).Seconds() != 7 {
			t.Errorf("retry after %v", fault.RetryAfter(err))
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := classify(ctx, "x", errors.New("y")); !errors.Is(err, context.Canceled) || fault.ClassOf(err) != fault.Unclassified {
		t.Errorf("an ended context: %v", err)
	}
}

func TestNew(t *testing.T) {
	t.Parallel()
	if _, err := New("", Options{}); err == nil {
		t.Error("no kubeconfig: no error")
	}
	if _, err := New(filepath.Join(t.TempDir(), "absent"), Options{}); err == nil {
		t.Error("an absent kubeconfig: no error")
	}
}

// The stand-in cluster speaks to an unmodified client over TLS.
func TestAgainstTheSandbox(t *testing.T) {
	t.Parallel()
	server, err := paas.Start(paas.Options{
		Hosts: []string{"ecr.example"},
		Pull:  func(_ context.Context, _, _, _ string) (string, error) { return digestA, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	err = server.Apply(t.Context(), namespace, "staging", []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: staging}
spec:
  replicas: 2
  selector: {matchLabels: {app: website}}
  template:
    metadata: {labels: {app: website}}
    spec:
      containers:
        - {name: app, image: "ecr.example/g/p:1"}
`))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "kubeconfig")
	if err := os.WriteFile(file, server.Kubeconfig(), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := New(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Workloads(t.Context(), namespace)
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(got, func(w Workload) bool { return w.Kind == "Deployment" && w.Name == "staging" })
	if i < 0 {
		t.Fatalf("no deployment among %+v", got)
	}
	w := got[i]
	if !w.Complete || w.Environment != "staging" || w.Desired != 2 || w.Ready != 2 {
		t.Errorf("%+v", w)
	}
	want := []Container{{Name: "app", Image: "ecr.example/g/p:1", RunningDigests: []string{digestA}}}
	if d := cmp.Diff(w.Containers, want); d != "" {
		t.Errorf("containers, want:\n%s", d)
	}

	forged := strings.Replace(string(server.Kubeconfig()), server.Token, "wrong", 1)
	if err := os.WriteFile(file, []byte(forged), 0o600); err != nil {
		t.Fatal(err)
	}
	if c, err = New(file, Options{}); err != nil {
		t.Fatal(err)
	}
	if _, err = c.Workloads(t.Context(), namespace); fault.ReasonOf(err) != ReasonTokenInvalid {
		t.Errorf("a wrong token: %v (%s)", err, fault.ReasonOf(err))
	}
}
