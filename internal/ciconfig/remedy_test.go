package ciconfig

import (
	"strings"
	"testing"
)

// TestRemedyByHand: a finding on an image that is written out says what to write.
func TestRemedyByHand(t *testing.T) {
	t.Parallel()
	const (
		ci   = "build:\n  script:\n    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"
		kind = "apiVersion: apps/v1\nkind: Deployment\nspec: {containers: [{image: registry.uninett.no/group/project/api:latest}]}\n"
	)
	for name, c := range map[string]struct{ path, content, more, want string }{
		"manifest":  {"k8s/api.yaml", kind, "README.md", `sed "s|registry.uninett.no/group/project/api:latest|$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}|" k8s/api.yaml | kubectl apply -f -`},
		"kustomize": {"k8s/api.yaml", kind, "k8s/kustomization.yaml", "kustomize edit set image registry.uninett.no/group/project/api=$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}"},
		"newName":   {"k8s/kustomization.yaml", "images: [{name: app, newName: registry.uninett.no/group/project/api, newTag: x}]\n", "README.md", "kustomize edit set image app=$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}"},
		"terraform": {"infra/main.tf", "image = \"registry.uninett.no/group/project/api:${var.tag}\"\n", "README.md", "export TF_VAR_image=$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}"},
		"whole":     {"chart/values.yaml", "web: {image: registry.uninett.no/group/project/api:latest}\n", "chart/Chart.yaml", "--set web.image=$CI_REGISTRY_IMAGE:api-${CI_COMMIT_SHA}"},
		"pair":      {"chart/values.yaml", "image: {repository: registry.uninett.no/group/project/api, tag: latest}\n", "chart/Chart.yaml", "--set image.repository=$CI_REGISTRY_IMAGE,image.tag=api-${CI_COMMIT_SHA}"},
		"argo":      {"k8s/api.yaml", kind, "argo.yaml", "Argo CD or Flux may read the file"},
	} {
		more := map[string]string{"k8s/kustomization.yaml": "resources: [api.yaml]\n", "argo.yaml": "apiVersion: argoproj.io/v1alpha1\n"}[c.more]
		in := Input{Project: Project{Path: "group/project", OldHost: "registry.uninett.no"}, Files: []File{
			{".gitlab-ci.yml", []byte(ci)}, {c.path, []byte(c.content)}, {c.more, []byte(more)}}}
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, f := range res.Findings {
			if f.Code == "literal-in-file" {
				got = append(got, f.Remedy)
			}
		}
		if len(got) != 1 || !strings.Contains(got[0], c.want) {
			t.Errorf("%s: the remedies are %q, want one with %q", name, got, c.want)
		}
	}
}

// TestRemedyRedefined: what a file gives to $CI_REGISTRY_IMAGE is told once, with the line.
func TestRemedyRedefined(t *testing.T) {
	t.Parallel()
	ci := "variables:\n  CI_REGISTRY: registry.uninett.no\n  CI_REGISTRY_IMAGE: $CI_REGISTRY/group/project\nbuild:\n  script:\n" +
		strings.Repeat("    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n", 5)
	res, err := Rewrite(Input{Project: Project{Path: "group/project", OldHost: "registry.uninett.no"}, Files: []File{{".gitlab-ci.yml", []byte(ci)}}})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range res.Findings {
		if f.Severity == Blocking {
			got = append(got, f.Message)
		}
	}
	if len(got) != 1 || !strings.Contains(got[0], ".gitlab-ci.yml:3 gives $CI_REGISTRY_IMAGE a value of its own") {
		t.Errorf("what blocks is %q, want the line that gives the value, once", got)
	}
}
