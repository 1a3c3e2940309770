package cluster

import (
	"cmp"
	"context"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Workload is a Deployment, StatefulSet, DaemonSet or CronJob.
type Workload struct {
	Kind, Name string
	Labels     map[string]string
	// Environment is the GitLab environment that labels or annotations name, by
	// name or slug; "" if none does. The platform also names workloads after
	// their environment, which is left to the reader: "redis" is none.
	Environment    string
	Containers     []Container // init containers too
	Desired, Ready int32
	// Complete says that the rollout is complete as kubectl rollout status
	// judges it. A CronJob has no rollout and is always complete.
	Complete bool
	// Failed says why the rollout failed, "" if it has not.
	Failed string
	// Problems are what keeps containers from running, such as
	// "app: ImagePullBackOff: Back-off pulling image …", sorted.
	Problems []string
}

// Container is a container of a workload's pod template.
type Container struct {
	Name, Image string
	Init        bool
	// RunningDigests are the digests of the images that the workload's pods run
	// in this container, sorted, each once. Pods of older revisions count while
	// they run. For a CronJob they are those of runs with this very Image.
	RunningDigests []string
}

// Workloads returns what runs in a namespace, sorted by kind and name. A
// namespace that does not exist has none.
func (c *Client) Workloads(ctx context.Context, namespace string) ([]Workload, error) {
	n, err := c.snapshot(ctx, namespace)
	if err != nil {
		return nil, err
	}
	var all []Workload
	for _, d := range n.deployments {
		w := n.workload("Deployment", d.ObjectMeta, d.Spec.Template)
		w.Desired, w.Ready = orOne(d.Spec.Replicas), d.Status.ReadyReplicas
		w.Complete, w.Failed = deploymentComplete(d)
		all = append(all, w)
	}
	for _, s := range n.statefulSets {
		w := n.workload("StatefulSet", s.ObjectMeta, s.Spec.Template)
		w.Desired, w.Ready = orOne(s.Spec.Replicas), s.Status.ReadyReplicas
		w.Complete = statefulSetComplete(s)
		all = append(all, w)
	}
	for _, d := range n.daemonSets {
		w := n.workload("DaemonSet", d.ObjectMeta, d.Spec.Template)
		w.Desired, w.Ready = d.Status.DesiredNumberScheduled, d.Status.NumberReady
		w.Complete = daemonSetComplete(d)
		all = append(all, w)
	}
	for _, j := range n.cronJobs {
		w := n.workload("CronJob", j.ObjectMeta, j.Spec.JobTemplate.Spec.Template)
		w.Complete = true
		all = append(all, w)
	}
	slices.SortFunc(all, func(a, b Workload) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Name, b.Name))
	})
	return all, nil
}

// snapshot is what a namespace holds. The lists are read one after the other, so
// a rollout in between may show in one and not in the other; pods come last, so
// that they are never older than the workload that is judged by them.
type snapshot struct {
	deployments  []appsv1.Deployment
	statefulSets []appsv1.StatefulSet
	daemonSets   []appsv1.DaemonSet
	cronJobs     []batchv1.CronJob
	pods         map[types.UID][]corev1.Pod // by workload
}

func (c *Client) snapshot(ctx context.Context, namespace string) (snapshot, error) {
	var n snapshot
	var err error
	apps, batch := c.api.AppsV1(), c.api.BatchV1()
	if n.deployments, err = list(ctx, "deployments", namespace, apps.Deployments(namespace).List,
		func(l *appsv1.DeploymentList) []appsv1.Deployment { return l.Items }); err != nil {
		return n, err
	}
	if n.statefulSets, err = list(ctx, "statefulsets", namespace, apps.StatefulSets(namespace).List,
		func(l *appsv1.StatefulSetList) []appsv1.StatefulSet { return l.Items }); err != nil {
		return n, err
	}
	if n.daemonSets, err = list(ctx, "daemonsets", namespace, apps.DaemonSets(namespace).List,
		func(l *appsv1.DaemonSetList) []appsv1.DaemonSet { return l.Items }); err != nil {
		return n, err
	}
	if n.cronJobs, err = list(ctx, "cronjobs", namespace, batch.CronJobs(namespace).List,
		func(l *batchv1.CronJobList) []batchv1.CronJob { return l.Items }); err != nil {
		return n, err
	}
	if len(n.deployments)+len(n.statefulSets)+len(n.daemonSets)+len(n.cronJobs) == 0 {
		return n, nil
	}
	// Pods of a Deployment belong to a ReplicaSet, those of a CronJob to a Job.
	above := map[types.UID]types.UID{}
	if len(n.deployments) > 0 {
		sets, err := list(ctx, "replicasets", namespace, apps.ReplicaSets(namespace).List,
			func(l *appsv1.ReplicaSetList) []appsv1.ReplicaSet { return l.Items })
		if err != nil {
			return n, err
		}
		for _, s := range sets {
			above[s.UID] = controller(s.ObjectMeta)
		}
	}
	if len(n.cronJobs) > 0 {
		jobs, err := list(ctx, "jobs", namespace, batch.Jobs(namespace).List,
			func(l *batchv1.JobList) []batchv1.Job { return l.Items })
		if err != nil {
			return n, err
		}
		for _, j := range jobs {
			above[j.UID] = controller(j.ObjectMeta)
		}
	}
	pods, err := list(ctx, "pods", namespace, c.api.CoreV1().Pods(namespace).List,
		func(l *corev1.PodList) []corev1.Pod { return l.Items })
	if err != nil {
		return n, err
	}
	n.pods = map[types.UID][]corev1.Pod{}
	for _, p := range pods {
		owner := controller(p.ObjectMeta)
		if o, ok := above[owner]; ok {
			owner = o
		}
		n.pods[owner] = append(n.pods[owner], p)
	}
	return n, nil
}

// controller returns the object that manages this one, or "".
func controller(m metav1.ObjectMeta) types.UID {
	if o := metav1.GetControllerOfNoCopy(&m); o != nil {
		return o.UID
	}
	return ""
}

func (n snapshot) workload(kind string, meta metav1.ObjectMeta, template corev1.PodTemplateSpec) Workload {
	w := Workload{Kind: kind, Name: meta.Name, Labels: meta.Labels, Environment: environment(meta, template.ObjectMeta)}
	for _, c := range template.Spec.InitContainers {
		w.Containers = append(w.Containers, Container{Name: c.Name, Image: c.Image, Init: true})
	}
	for _, c := range template.Spec.Containers {
		w.Containers = append(w.Containers, Container{Name: c.Name, Image: c.Image})
	}
	for _, p := range n.pods[meta.UID] {
		if !counts(kind, p) {
			continue
		}
		images := map[string]string{}
		for _, c := range slices.Concat(p.Spec.InitContainers, p.Spec.Containers) {
			images[c.Name] = c.Image
		}
		for _, s := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
			if s.State.Waiting != nil && s.State.Waiting.Reason != "" && s.State.Waiting.Reason != "ContainerCreating" && s.State.Waiting.Reason != "PodInitializing" {
				w.Problems = append(w.Problems, strings.TrimSuffix(s.Name+": "+s.State.Waiting.Reason+": "+s.State.Waiting.Message, ": "))
			}
			i := slices.IndexFunc(w.Containers, func(c Container) bool { return c.Name == s.Name })
			d := digest(s.ImageID)
			// What a CronJob ran before its image was changed says nothing of
			// what it will run.
			if i < 0 || d == "" || kind == "CronJob" && images[s.Name] != w.Containers[i].Image {
				continue
			}
			w.Containers[i].RunningDigests = append(w.Containers[i].RunningDigests, d)
		}
	}
	for i := range w.Containers {
		d := w.Containers[i].RunningDigests
		slices.Sort(d)
		w.Containers[i].RunningDigests = slices.Compact(d)
	}
	slices.Sort(w.Problems)
	w.Problems = slices.Compact(w.Problems)
	return w
}

// counts says whether a pod shows what its workload runs. Evicted pods and those
// on their way out are no longer part of a service; a finished run of a CronJob
// is all there is of it.
func counts(kind string, p corev1.Pod) bool {
	if kind == "CronJob" {
		return true
	}
	return p.DeletionTimestamp == nil && p.Status.Phase != corev1.PodSucceeded && p.Status.Phase != corev1.PodFailed
}

// digest returns the digest in a container's imageID, or "". Runtimes write
// "repository@sha256:…", some with "docker-pullable://" before it. A bare
// "sha256:…" is the id of the configuration, which no registry knows as digest.
func digest(imageID string) string {
	_, d, _ := strings.Cut(imageID, "@")
	if !strings.HasPrefix(d, "sha256:") {
		return ""
	}
	return d
}

// environment reads GitLab's own annotation, then the labels in use.
// https://docs.gitlab.com/user/clusters/deploy_boards/
func environment(metas ...metav1.ObjectMeta) string {
	for _, m := range metas {
		for _, name := range []string{m.Annotations["app.gitlab.com/env"], m.Labels["app.gitlab.com/env"], m.Labels["environment"]} {
			if name != "" {
				return name
			}
		}
	}
	return ""
}

func orOne(replicas *int32) int32 {
	if replicas == nil {
		return 1
	}
	return *replicas
}
