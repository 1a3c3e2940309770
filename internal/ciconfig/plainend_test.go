package ciconfig

import "testing"

// TestColonAtTheEnd: a colon at the end of a plain scalar, or before a space, would make a key
// of it, so the slash that stands there stays. In quotes and in a block it goes.
func TestColonAtTheEnd(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		line  string
		edits int
	}{
		{"- REG=$CI_REGISTRY_IMAGE/", 0},
		{"- !!str REG=$CI_REGISTRY_IMAGE/ # names", 0},
		{"- REG=$CI_REGISTRY_IMAGE/ REGISTRY=x", 0},
		{"- 'REG=$CI_REGISTRY_IMAGE/'", 1},
		{"- |-\n      REG=$CI_REGISTRY_IMAGE/", 1},
	} {
		res, err := Rewrite(input(one("build:\n  script:\n    "+c.line+"\n    - docker push ${REG}api:$CI_COMMIT_SHA\n"), rule{Project: "group/project"}))
		if err != nil {
			t.Fatal(err)
		}
		if len(res.Edits) != c.edits || res.Blocked() != (c.edits == 0) {
			t.Errorf("%q: %d edits, %v", c.line, len(res.Edits), res.Findings)
		}
	}
}
