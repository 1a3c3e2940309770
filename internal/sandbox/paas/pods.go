package paas

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// podName follows the controllers: Deployment pods carry the template's hash,
// StatefulSet pods their number, those of jobs the job's name.
func podName(kind, name string, manifest []byte, i int) string {
	hash := templateHash(manifest)
	suffix := fmt.Sprintf("%x", sha256.Sum256(fmt.Appendf(nil, "%s/%s/%d", hash, name, i)))[:5]
	switch kind {
	case "Deployment":
		return name + "-" + hash + "-" + suffix
	case "StatefulSet":
		return fmt.Sprintf("%s-%d", name, i)
	case "CronJob":
		return jobName(name, manifest) + "-" + suffix
	case "Pod":
		return name
	}
	return name + "-" + suffix
}

func templateHash(manifest []byte) string {
	return fmt.Sprintf("%x", sha256.Sum256(manifest))[:10]
}

// jobName is the job that a CronJob started last.
func jobName(cronJob string, manifest []byte) string {
	sum := sha256.Sum256(manifest)
	return fmt.Sprintf("%s-29%06d", cronJob, (int(sum[0])<<16|int(sum[1])<<8|int(sum[2]))%1000000)
}

// template returns the pod template of a stored workload.
func (w *Workload) template() *corev1.PodTemplateSpec {
	o := object{Kind: w.Kind, JSON: w.Manifest}
	if err := json.Unmarshal(w.Manifest, &struct {
		Metadata *metav1.ObjectMeta
	}{&o.Meta}); err != nil {
		return &corev1.PodTemplateSpec{}
	}
	if o.fill() != nil || o.Template == nil {
		return &corev1.PodTemplateSpec{}
	}
	return o.Template
}

// pods returns the pods of a workload as the API server would list them.
func (w *Workload) pods() []corev1.Pod {
	template := w.template()
	finished := w.Kind == "CronJob" || w.Kind == "Job"
	started := metav1.NewTime(w.Applied)
	var out []corev1.Pod
	for i := range int(w.Replicas) {
		name := podName(w.Kind, w.Name, w.Manifest, i)
		labels := maps.Clone(template.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		owner := metav1.OwnerReference{APIVersion: groups[w.Kind], Kind: w.Kind, Name: w.Name, UID: uid(w.Namespace, w.Kind, w.Name), Controller: new(true)}
		switch w.Kind {
		case "Deployment":
			hash := templateHash(w.Manifest)
			labels["pod-template-hash"] = hash
			owner.Kind, owner.Name = "ReplicaSet", w.Name+"-"+hash
			owner.UID = uid(w.Namespace, "ReplicaSet", owner.Name)
		case "CronJob":
			job := jobName(w.Name, w.Manifest)
			labels["batch.kubernetes.io/job-name"], labels["job-name"] = job, job
			owner.Kind, owner.Name, owner.UID = "Job", job, uid(w.Namespace, "Job", job)
		case "Job":
			labels["batch.kubernetes.io/job-name"], labels["job-name"] = w.Name, w.Name
		}
		if w.Environment != "" {
			labels["environment"] = w.Environment
		}
		pod := corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{
				Name: name, Namespace: w.Namespace, Labels: labels, UID: uid(w.Namespace, "Pod", name),
				CreationTimestamp: started, OwnerReferences: []metav1.OwnerReference{owner},
				ResourceVersion: fmt.Sprint(w.Generation),
			},
			Spec:   template.Spec,
			Status: corev1.PodStatus{Phase: corev1.PodRunning, StartTime: &started},
		}
		if w.Kind == "Pod" {
			pod.OwnerReferences = nil
		}
		ready := corev1.ConditionTrue
		if finished {
			pod.Status.Phase, ready = corev1.PodSucceeded, corev1.ConditionFalse
		}
		pod.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodReady, Status: ready, LastTransitionTime: started}}
		for _, c := range w.Containers {
			st := corev1.ContainerStatus{Name: c.Name, Image: c.Image, ImageID: c.ImageID, Ready: !finished}
			if finished || c.Init {
				st.State.Terminated = &corev1.ContainerStateTerminated{Reason: "Completed", StartedAt: started, FinishedAt: started}
				st.Ready = c.Init
			} else {
				st.State.Running = &corev1.ContainerStateRunning{StartedAt: started}
				st.Started = new(true)
			}
			if c.Init {
				pod.Status.InitContainerStatuses = append(pod.Status.InitContainerStatuses, st)
			} else {
				pod.Status.ContainerStatuses = append(pod.Status.ContainerStatuses, st)
			}
		}
		out = append(out, pod)
	}
	return out
}

func uid(namespace, kind, name string) types.UID {
	sum := sha256.Sum256([]byte(key(namespace, kind, name)))
	return types.UID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}
