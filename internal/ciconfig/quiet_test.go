package ciconfig

import (
	"fmt"
	"strings"
	"testing"
)

// TestQuiet: a script that is too much to be followed holds up a rewrite only if it
// may have to do with images.
func TestQuiet(t *testing.T) {
	t.Parallel()
	// noise are functions that call each other more than a million times.
	noise := func(last string) string {
		var b strings.Builder
		b.WriteString("#!/bin/sh\nf0() { " + last + "; }\n")
		for i := range 5 {
			fmt.Fprintf(&b, "f%d() { %s }\n", i+1, strings.Repeat(fmt.Sprintf("f%d a; ", i), 16))
		}
		return b.String() + "f5\n"
	}
	const build = "build:\n  script:\n    - ./noise.sh\n    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"
	for name, c := range map[string]struct {
		files   map[string]string
		blocked bool
	}{
		"says nothing of images":         {map[string]string{"noise.sh": noise("echo hello")}, false},
		"speaks of docker in a comment":  {map[string]string{"noise.sh": "#!/bin/sh\n\t# as in our docker images\n" + noise("echo hello")}, false},
		"calls docker":                   {map[string]string{"noise.sh": noise("docker push $1")}, true},
		"names a variable of an image":   {map[string]string{"noise.sh": noise("./tool $API"), "more.yml": "variables: {API: $CI_REGISTRY_IMAGE/api}\n"}, true},
		"runs a script that pushes":      {map[string]string{"noise.sh": noise("./push.sh"), "push.sh": "docker push $CI_REGISTRY_IMAGE/web:1\n"}, true},
		"runs a script by a variable":    {map[string]string{"noise.sh": noise("sh $1"), "push.sh": "docker push $CI_REGISTRY_IMAGE/web:1\n"}, true},
		"runs a script by a part":        {map[string]string{"noise.sh": noise("./pu${1}h.sh"), "push.sh": "docker push $CI_REGISTRY_IMAGE/web:1\n"}, true},
		"runs scripts of another folder": {map[string]string{"noise.sh": noise("./tests/${1}.sh"), "ci/push.sh": "docker push $CI_REGISTRY_IMAGE/web:1\n"}, false},
		"is run by nobody":               {map[string]string{"noise.sh": "true\n", "m4/ltmain.sh": noise("echo DEPLOY the image")}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ci := build
			if c.files["more.yml"] != "" {
				ci = "include: more.yml\n" + ci
			}
			files := []File{{Path: ".gitlab-ci.yml", Content: []byte(ci)}}
			for _, p := range sortedKeys(c.files) {
				files = append(files, File{Path: p, Content: []byte(c.files[p])})
			}
			in := input(files, rule{Project: "group/project"})
			res, err := Rewrite(in)
			if err != nil {
				t.Fatal(err)
			}
			invariants(t, in, res)
			if res.Blocked() != c.blocked {
				t.Errorf("blocked: %v, want %v: %+v", res.Blocked(), c.blocked, res.Findings)
			}
			if !c.blocked && !strings.Contains(res.Diff(), "+    - docker push $CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA") {
				t.Errorf("the push behind the script is not rewritten:\n%s", res.Diff())
			}
		})
	}
}
