package cluster

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
)

// The rules are those of kubectl rollout status
// (k8s.io/kubectl/pkg/polymorphichelpers/rollout_status.go).

// deploymentComplete says whether a Deployment's rollout is complete, or why it
// failed.
func deploymentComplete(d appsv1.Deployment) (complete bool, failed string) {
	if d.Generation > d.Status.ObservedGeneration {
		return false, ""
	}
	for _, c := range d.Status.Conditions {
		if c.Type == appsv1.DeploymentProgressing && c.Status == corev1.ConditionFalse && c.Reason == "ProgressDeadlineExceeded" {
			if c.Message == "" {
				return false, c.Reason
			}
			return false, c.Reason + ": " + c.Message
		}
	}
	s := d.Status
	return s.UpdatedReplicas >= orOne(d.Spec.Replicas) && s.Replicas <= s.UpdatedReplicas && s.AvailableReplicas >= s.UpdatedReplicas, ""
}

func statefulSetComplete(s appsv1.StatefulSet) bool {
	want := orOne(s.Spec.Replicas)
	if s.Status.ObservedGeneration == 0 || s.Generation > s.Status.ObservedGeneration || s.Status.ReadyReplicas < want {
		return false
	}
	if s.Spec.UpdateStrategy.Type == appsv1.OnDeleteStatefulSetStrategyType {
		// Pods are replaced when somebody deletes them: kubectl gives no answer
		// here, and it is complete only when that has happened to all.
		return s.Status.UpdatedReplicas >= want
	}
	if r := s.Spec.UpdateStrategy.RollingUpdate; r != nil && r.Partition != nil && *r.Partition > 0 {
		return s.Status.UpdatedReplicas >= want-*r.Partition
	}
	return s.Status.UpdateRevision == s.Status.CurrentRevision
}

func daemonSetComplete(d appsv1.DaemonSet) bool {
	s := d.Status
	return d.Generation <= s.ObservedGeneration && s.UpdatedNumberScheduled >= s.DesiredNumberScheduled && s.NumberAvailable >= s.DesiredNumberScheduled
}
