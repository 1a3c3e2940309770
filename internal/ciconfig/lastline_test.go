package ciconfig

import (
	"strings"
	"testing"
)

// TestLastLine: a file without a line break at its end has none afterwards, also
// where its last line goes.
func TestLastLine(t *testing.T) {
	t.Parallel()
	for _, eol := range []string{"\n", "\r\n"} {
		ci := strings.ReplaceAll("build:\n  script:\n    - docker build -t $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA .\n    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"+
			"    - crane tag $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA latest", "\n", eol)
		for _, end := range []string{"", eol} {
			in := input(one(ci+end), rule{Project: "group/project"})
			res, err := Rewrite(in)
			if err != nil || len(res.Edits) != 1 {
				t.Fatalf("%v, %+v", err, res)
			}
			if got, want := string(res.Edits[0].After), "docker push $CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA"+end; !strings.HasSuffix(got, want) {
				t.Errorf("ends in %q, want %q", got[max(0, len(got)-90):], want)
			}
			invariants(t, in, res)
		}
	}
}
