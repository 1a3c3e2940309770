package ciconfig

import (
	"slices"
	"testing"
)

// TestMapping looks at the table that the owners of a project read: what was renamed,
// by tag or by digest, and nothing else.
func TestMapping(t *testing.T) {
	t.Parallel()
	res, err := Rewrite(Input{
		Project: Project{Path: "group/project", OldHost: "registry.uninett.no", DefaultBranch: "main", CIPath: ".gitlab-ci.yml"},
		Files: []File{{Path: ".gitlab-ci.yml", Content: []byte(`a:
  image: docker:28
  script:
    - docker build -t $CI_REGISTRY_IMAGE/Api/v2:$CI_COMMIT_SHA -t $CI_REGISTRY_IMAGE:$CI_COMMIT_SHA .
    - docker push $CI_REGISTRY_IMAGE/Api/v2:$CI_COMMIT_SHA
    - docker push $CI_REGISTRY_IMAGE:$CI_COMMIT_SHA
    - cosign sign $CI_REGISTRY_IMAGE/Api/v2@$DIGEST
`)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	const old = "registry.uninett.no/group/project"
	want := []Mapped{
		{old + "/Api/v2:${CI_COMMIT_SHA}", "$CI_REGISTRY_IMAGE:api-v2-${CI_COMMIT_SHA}"},
		{old + "/Api/v2@${DIGEST}", "$CI_REGISTRY_IMAGE@${DIGEST}"},
	}
	if !slices.Equal(res.Mapping, want) {
		t.Errorf("mapping %v, want %v", res.Mapping, want)
	}
}
