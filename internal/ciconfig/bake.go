package ciconfig

import (
	"path"
	"regexp"
	"slices"
)

// bakeJoins is a function of a bake file that joins a name to a variable:
// format("%s/api:%s", REG, TAG), join("/", [REG, "api"]).
// https://docs.docker.com/build/bake/functions/
var bakeJoins = regexp.MustCompile(`\b(?:format\(\s*"%s[/-][^"]*"\s*,|join\(\s*"[/-]"\s*,\s*\[)\s*([A-Za-z_][A-Za-z0-9_]*)`)

// isHCL says whether a file is in HCL, where a string takes only variables that
// the file declares itself: $CI_REGISTRY_IMAGE is none of them.
func isHCL(p string) bool { return path.Ext(p) == ".hcl" }

// bakeLine reports names that a function of a bake file joins to the base.
func (r *run) bakeLine(ch *chunk, e *env) {
	for _, m := range bakeJoins.FindAllStringSubmatchIndex(ch.text, -1) {
		at := ch.span(m[0], m[1])
		name := ch.text[m[2]:m[3]]
		vals, _ := e.lookup(name)
		if slices.ContainsFunc(expanded(vals, name, at, false), func(v text) bool {
			return slices.ContainsFunc(r.references(v), func(ref *reference) bool { return ref.own || ref.host })
		}) {
			r.report("name-unknown", at, name)
		}
	}
}
