package ciconfig

import (
	"strings"
	"testing"
)

// TestSecretsPassed: a setting whose value nobody may read still reaches the
// commands that now run in a container, by its name alone.
func TestSecretsPassed(t *testing.T) {
	t.Parallel()
	files := one("build:\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE/tool:$CI_COMMIT_SHA .\n    - docker push $CI_REGISTRY_IMAGE/tool:$CI_COMMIT_SHA\n" +
		"upload:\n  image: $CI_REGISTRY_IMAGE/tool:$CI_COMMIT_SHA\n  script: [twine upload dist/x]\n")
	for name, secrets := range map[string][]string{"none": nil, "two": {"TWINE_PASSWORD", "GIT_DEPTH"}} {
		in := input(files, rule{Project: "group/project"})
		in.Project.Secrets = secrets
		res, err := Rewrite(in)
		if err != nil || len(res.Edits) != 1 {
			t.Fatalf("%v, %+v", err, res)
		}
		got := string(res.Edits[0].After)
		if passed := strings.Contains(got, "-e TWINE_PASSWORD"); passed != (secrets != nil) || strings.Contains(got, "-e GIT_DEPTH") {
			t.Errorf("%s:\n%s", name, got)
		}
	}
}
