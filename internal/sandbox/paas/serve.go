package paas

import (
	"crypto/subtle"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// kinds are the served resources: plural -> group version and kind.
var kinds = map[string]struct{ group, kind string }{
	"pods": {"v1", "Pod"}, "namespaces": {"v1", "Namespace"},
	"deployments": {"apps/v1", "Deployment"}, "statefulsets": {"apps/v1", "StatefulSet"},
	"daemonsets": {"apps/v1", "DaemonSet"}, "replicasets": {"apps/v1", "ReplicaSet"},
	"cronjobs": {"batch/v1", "CronJob"}, "jobs": {"batch/v1", "Job"},
}

// item is an object of an answer with what selectors look at.
type item struct {
	meta  *metav1.ObjectMeta
	phase string
	value any
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, http.StatusOK, map[string]string{"major": "1", "minor": "33", "gitVersion": "v1.33.4"})
	})
	mux.HandleFunc("/", s.serve)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.mu.Lock()
		watch := s.watch
		s.mu.Unlock()
		if watch != nil {
			watch(r)
		}
		token, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
		if !ok || subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) != 1 {
			refuse(w, http.StatusUnauthorized, metav1.StatusReasonUnauthorized, "Unauthorized")
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	group, rest, ok := splitGroup(r.URL.Path)
	parts := strings.Split(strings.Trim(rest, "/"), "/")
	namespace := ""
	if ok && parts[0] == "namespaces" && len(parts) > 2 {
		namespace, parts = parts[1], parts[2:]
	}
	served, known := kinds[parts[0]]
	if !ok || !known || served.group != group || len(parts) > 2 {
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	gv, _ := schema.ParseGroupVersion(group)
	resource := schema.GroupResource{Group: gv.Group, Resource: parts[0]}
	if r.Method != http.MethodGet {
		refuse(w, http.StatusForbidden, metav1.StatusReasonForbidden, fmt.Sprintf(
			`%s is forbidden: User "reader" cannot %s resource %q in API group %q in the namespace %q`,
			resource, strings.ToLower(r.Method), parts[0], gv.Group, namespace))
		return
	}
	if r.URL.Query().Get("watch") == "true" || r.URL.Query().Get("watch") == "1" {
		refuse(w, http.StatusMethodNotAllowed, metav1.StatusReasonMethodNotAllowed, "watch is not supported on resources of kind "+strconv.Quote(resource.String()))
		return
	}
	items := s.items(served.kind, namespace)
	if len(parts) == 2 {
		for _, it := range items {
			if it.meta.Name == parts[1] {
				answer(w, http.StatusOK, it.value)
				return
			}
		}
		refuse(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", resource, parts[1]))
		return
	}
	s.list(w, r, group, served.kind, items)
}

func splitGroup(path string) (group, rest string, ok bool) {
	if rest, ok := strings.CutPrefix(path, "/api/v1/"); ok {
		return "v1", rest, true
	}
	rest, ok = strings.CutPrefix(path, "/apis/")
	parts := strings.SplitN(rest, "/", 3)
	if !ok || len(parts) < 3 {
		return "", "", false
	}
	return parts[0] + "/" + parts[1], parts[2], true
}

// list answers a collection, filtered and in pages as the API server does.
func (s *Server) list(w http.ResponseWriter, r *http.Request, group, kind string, items []item) {
	q := r.URL.Query()
	selector, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	field, err := fields.ParseSelector(q.Get("fieldSelector"))
	if err != nil {
		refuse(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	items = slices.DeleteFunc(items, func(it item) bool {
		return !selector.Matches(labels.Set(it.meta.Labels)) || !field.Matches(fields.Set{
			"metadata.name": it.meta.Name, "metadata.namespace": it.meta.Namespace, "status.phase": it.phase,
		})
	})
	meta := metav1.ListMeta{ResourceVersion: "1"}
	from, _ := strconv.Atoi(q.Get("continue"))
	items = items[min(max(from, 0), len(items)):]
	if limit, _ := strconv.Atoi(q.Get("limit")); limit > 0 && len(items) > limit {
		left := int64(len(items) - limit)
		meta.Continue, meta.RemainingItemCount = strconv.Itoa(from+limit), &left
		items = items[:limit]
	}
	values := make([]any, len(items))
	for i, it := range items {
		values[i] = it.value
	}
	answer(w, http.StatusOK, map[string]any{"kind": kind + "List", "apiVersion": group, "metadata": meta, "items": values})
}

// items returns the objects of a kind; namespace "" means all.
func (s *Server) items(kind, namespace string) []item {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []item
	if kind == "Namespace" {
		for _, name := range slices.Sorted(maps.Keys(s.state.Namespaces)) {
			ns := &corev1.Namespace{
				TypeMeta:   metav1.TypeMeta{Kind: "Namespace", APIVersion: "v1"},
				ObjectMeta: metav1.ObjectMeta{Name: name, UID: uid("", "Namespace", name), CreationTimestamp: metav1.NewTime(s.state.Namespaces[name]), Labels: map[string]string{"kubernetes.io/metadata.name": name}},
				Status:     corev1.NamespaceStatus{Phase: corev1.NamespaceActive},
			}
			out = append(out, item{&ns.ObjectMeta, "Active", ns})
		}
		return out
	}
	for _, k := range slices.Sorted(maps.Keys(s.state.Workloads)) {
		w := s.state.Workloads[k]
		if namespace != "" && w.Namespace != namespace {
			continue
		}
		switch {
		case kind == "Pod":
			for _, p := range w.pods() {
				p.TypeMeta = metav1.TypeMeta{Kind: "Pod", APIVersion: "v1"}
				out = append(out, item{&p.ObjectMeta, string(p.Status.Phase), &p})
			}
		case kind == "ReplicaSet" && w.Kind == "Deployment":
			rs := w.replicaSet()
			out = append(out, item{&rs.ObjectMeta, "", rs})
		case kind == w.Kind:
			if it, ok := w.object(); ok {
				out = append(out, it)
			}
		}
	}
	return out
}

// object returns the workload with its status.
func (w *Workload) object() (item, bool) {
	one := w.Replicas
	switch w.Kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		w.read(d, &d.ObjectMeta, &d.TypeMeta)
		d.Status = appsv1.DeploymentStatus{
			ObservedGeneration: w.Generation, Replicas: one, UpdatedReplicas: one, ReadyReplicas: one, AvailableReplicas: one,
			Conditions: []appsv1.DeploymentCondition{
				{Type: appsv1.DeploymentAvailable, Status: corev1.ConditionTrue, Reason: "MinimumReplicasAvailable", LastUpdateTime: metav1.NewTime(w.Applied)},
				{Type: appsv1.DeploymentProgressing, Status: corev1.ConditionTrue, Reason: "NewReplicaSetAvailable", LastUpdateTime: metav1.NewTime(w.Applied)},
			},
		}
		return item{&d.ObjectMeta, "", d}, true
	case "StatefulSet":
		d := &appsv1.StatefulSet{}
		w.read(d, &d.ObjectMeta, &d.TypeMeta)
		revision := w.Name + "-" + templateHash(w.Manifest)
		d.Status = appsv1.StatefulSetStatus{
			ObservedGeneration: w.Generation, Replicas: one, ReadyReplicas: one, CurrentReplicas: one, UpdatedReplicas: one, AvailableReplicas: one,
			CurrentRevision: revision, UpdateRevision: revision,
		}
		return item{&d.ObjectMeta, "", d}, true
	case "DaemonSet":
		d := &appsv1.DaemonSet{}
		w.read(d, &d.ObjectMeta, &d.TypeMeta)
		d.Status = appsv1.DaemonSetStatus{
			ObservedGeneration: w.Generation, DesiredNumberScheduled: one, CurrentNumberScheduled: one, NumberReady: one, UpdatedNumberScheduled: one, NumberAvailable: one,
		}
		return item{&d.ObjectMeta, "", d}, true
	case "CronJob":
		d := &batchv1.CronJob{}
		w.read(d, &d.ObjectMeta, &d.TypeMeta)
		last := metav1.NewTime(w.Applied)
		d.Status = batchv1.CronJobStatus{LastScheduleTime: &last, LastSuccessfulTime: &last}
		return item{&d.ObjectMeta, "", d}, true
	case "Job":
		d := &batchv1.Job{}
		w.read(d, &d.ObjectMeta, &d.TypeMeta)
		d.Status = batchv1.JobStatus{Succeeded: 1, Conditions: []batchv1.JobCondition{{Type: batchv1.JobComplete, Status: corev1.ConditionTrue}}}
		return item{&d.ObjectMeta, "", d}, true
	}
	return item{}, false
}

// read decodes the stored manifest and sets what the API server adds to it.
func (w *Workload) read(into any, meta *metav1.ObjectMeta, t *metav1.TypeMeta) {
	// The manifest was checked when it was applied.
	_ = json.Unmarshal(w.Manifest, into)
	t.Kind, t.APIVersion = w.Kind, groups[w.Kind]
	meta.Name, meta.Namespace, meta.UID = w.Name, w.Namespace, uid(w.Namespace, w.Kind, w.Name)
	meta.Generation, meta.ResourceVersion = w.Generation, fmt.Sprint(w.Generation)
	meta.CreationTimestamp = metav1.NewTime(w.Created)
	labels := maps.Clone(meta.Labels)
	if labels == nil {
		labels = map[string]string{}
	}
	if _, ok := labels["app"]; !ok {
		labels["app"] = w.Name
	}
	if w.Environment != "" {
		labels["environment"] = w.Environment
	}
	meta.Labels = labels
	if w.Kind == "Deployment" {
		annotations := maps.Clone(meta.Annotations)
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations["deployment.kubernetes.io/revision"] = fmt.Sprint(w.Generation)
		meta.Annotations = annotations
	}
}

func (w *Workload) replicaSet() *appsv1.ReplicaSet {
	d := &appsv1.Deployment{}
	w.read(d, &d.ObjectMeta, &d.TypeMeta)
	hash := templateHash(w.Manifest)
	rs := &appsv1.ReplicaSet{
		TypeMeta: metav1.TypeMeta{Kind: "ReplicaSet", APIVersion: "apps/v1"},
		ObjectMeta: metav1.ObjectMeta{
			Name: w.Name + "-" + hash, Namespace: w.Namespace, Labels: maps.Clone(d.Spec.Template.Labels),
			UID: uid(w.Namespace, "ReplicaSet", w.Name+"-"+hash), CreationTimestamp: metav1.NewTime(w.Applied),
			Annotations:     d.Annotations,
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "apps/v1", Kind: "Deployment", Name: w.Name, UID: d.UID, Controller: new(true)}},
		},
		Spec:   appsv1.ReplicaSetSpec{Replicas: new(w.Replicas), Selector: d.Spec.Selector, Template: d.Spec.Template},
		Status: appsv1.ReplicaSetStatus{Replicas: w.Replicas, ReadyReplicas: w.Replicas, AvailableReplicas: w.Replicas, ObservedGeneration: w.Generation},
	}
	if rs.Labels == nil {
		rs.Labels = map[string]string{}
	}
	rs.Labels["pod-template-hash"] = hash
	return rs
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

func refuse(w http.ResponseWriter, code int, reason metav1.StatusReason, message string) {
	answer(w, code, metav1.Status{
		TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"},
		Status:   metav1.StatusFailure, Message: message, Reason: reason, Code: int32(code),
	})
}
