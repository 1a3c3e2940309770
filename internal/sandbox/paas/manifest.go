package paas

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/validation"
	yamlutil "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// object is one document of a manifest.
type object struct {
	Kind       string
	APIVersion string
	Meta       metav1.ObjectMeta
	Template   *corev1.PodTemplateSpec // nil for kinds that run no image
	Replicas   int32
	JSON       json.RawMessage // with defaults filled in
}

// groups are the API groups of the kinds with images; the first is the one served.
var groups = map[string]string{
	"Deployment": "apps/v1", "StatefulSet": "apps/v1", "DaemonSet": "apps/v1",
	"CronJob": "batch/v1", "Job": "batch/v1", "Pod": "v1",
}

// parse splits a manifest into its objects; List kinds are opened.
func parse(manifest []byte) ([]object, error) {
	reader := yamlutil.NewYAMLReader(newLineReader(manifest))
	var out []object
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("error parsing manifest: %w", err)
		}
		raw, err := yaml.YAMLToJSON(doc)
		if err != nil {
			return nil, fmt.Errorf("error parsing manifest: error converting YAML to JSON: %w", err)
		}
		if bytes.Equal(bytes.TrimSpace(raw), []byte("null")) {
			continue
		}
		var list struct {
			Kind  string
			Items []json.RawMessage
		}
		if json.Unmarshal(raw, &list) == nil && list.Kind == "List" {
			for _, item := range list.Items {
				o, err := decode(item)
				if err != nil {
					return nil, err
				}
				out = append(out, o)
			}
			continue
		}
		o, err := decode(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
}

func decode(raw []byte) (object, error) {
	var head struct {
		Kind       string
		APIVersion string
		Metadata   metav1.ObjectMeta
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return object{}, fmt.Errorf("error validating data: %w", err)
	}
	o := object{Kind: head.Kind, APIVersion: head.APIVersion, Meta: head.Metadata, JSON: raw}
	switch {
	case o.Kind == "":
		return o, errors.New(`error validating data: Object 'Kind' is missing`)
	case o.APIVersion == "":
		return o, errors.New(`error validating data: apiVersion not set`)
	case o.Meta.Name == "":
		return o, fmt.Errorf("error when creating %s: resource name may not be empty", o.Kind)
	}
	if msgs := validation.IsDNS1123Subdomain(o.Meta.Name); len(msgs) > 0 {
		return o, fmt.Errorf("The %s %q is invalid: metadata.name: Invalid value: %q: %s", o.Kind, o.Meta.Name, o.Meta.Name, msgs[0])
	}
	if want, ok := groups[o.Kind]; ok && want != o.APIVersion {
		return o, fmt.Errorf("no matches for kind %q in version %q", o.Kind, o.APIVersion)
	}
	return o, o.fill()
}

// fill decodes the kinds with pods and sets what the API server defaults. Two
// fields that it requires, selector and template labels, are defaulted to the
// name: the platform's deploy script does so for old manifests.
func (o *object) fill() error {
	var err error
	strict := func(into any) error {
		if err := json.Unmarshal(o.JSON, into); err != nil {
			return fmt.Errorf("The %s %q is invalid: %w", o.Kind, o.Meta.Name, err)
		}
		return nil
	}
	var typed any
	switch o.Kind {
	case "Deployment":
		d := &appsv1.Deployment{}
		err = strict(d)
		o.Replicas = replicas(&d.Spec.Replicas)
		o.Template, typed = &d.Spec.Template, d
		err = errors.Join(err, o.selector(&d.Spec.Selector))
	case "StatefulSet":
		d := &appsv1.StatefulSet{}
		err = strict(d)
		o.Replicas = replicas(&d.Spec.Replicas)
		o.Template, typed = &d.Spec.Template, d
		err = errors.Join(err, o.selector(&d.Spec.Selector))
	case "DaemonSet":
		d := &appsv1.DaemonSet{}
		err = strict(d)
		o.Replicas = nodes
		o.Template, typed = &d.Spec.Template, d
		err = errors.Join(err, o.selector(&d.Spec.Selector))
	case "CronJob":
		d := &batchv1.CronJob{}
		err = strict(d)
		o.Template, typed = &d.Spec.JobTemplate.Spec.Template, d
		o.Replicas = 1
		if err == nil && d.Spec.Schedule == "" {
			err = fmt.Errorf("The CronJob %q is invalid: spec.schedule: Required value", o.Meta.Name)
		}
	case "Job":
		d := &batchv1.Job{}
		err = strict(d)
		o.Template, typed = &d.Spec.Template, d
		o.Replicas = 1
	case "Pod":
		d := &corev1.Pod{}
		err = strict(d)
		o.Template = &corev1.PodTemplateSpec{ObjectMeta: metav1.ObjectMeta{Labels: d.Labels}, Spec: d.Spec}
		typed = d
		o.Replicas = 1
	default:
		return nil
	}
	if err != nil {
		return err
	}
	if len(o.Template.Spec.Containers) == 0 {
		return fmt.Errorf("The %s %q is invalid: spec.template.spec.containers: Required value", o.Kind, o.Meta.Name)
	}
	for i, c := range o.Template.Spec.Containers {
		if c.Image == "" {
			return fmt.Errorf("The %s %q is invalid: spec.template.spec.containers[%d].image: Required value", o.Kind, o.Meta.Name, i)
		}
	}
	o.JSON, err = json.Marshal(typed)
	return err
}

// nodes is the size of the cluster: a DaemonSet runs one pod on each.
const nodes = 2

func replicas(p **int32) int32 {
	if *p == nil {
		one := int32(1)
		*p = &one
	}
	return **p
}

func (o *object) selector(s **metav1.LabelSelector) error {
	if *s == nil {
		if len(o.Template.Labels) == 0 {
			o.Template.Labels = map[string]string{"app": o.Meta.Name}
		}
		*s = &metav1.LabelSelector{MatchLabels: o.Template.Labels}
		return nil
	}
	match, err := metav1.LabelSelectorAsSelector(*s)
	if err != nil {
		return err
	}
	if !match.Matches(labels.Set(o.Template.Labels)) {
		return fmt.Errorf("The %s %q is invalid: spec.template.metadata.labels: Invalid value: `selector` does not match template `labels`", o.Kind, o.Meta.Name)
	}
	return nil
}

// resource is the name that kubectl prints: deployment.apps, cronjob.batch, service.
func resource(kind, apiVersion string) string {
	name := strings.ToLower(kind)
	if group, _, ok := strings.Cut(apiVersion, "/"); ok {
		return name + "." + group
	}
	return name
}
