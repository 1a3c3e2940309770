package ciconfig

import (
	"regexp"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

var expansion = regexp.MustCompile(`\$\{[^}]*\}|\$\([^)]*\)`)

// shortest is how many characters a tag has at least, its variables put in.
func shortest(tag string) int {
	return len(expansion.ReplaceAllStringFunc(tag, func(v string) string {
		switch v {
		case "${CI_COMMIT_SHA}":
			return strings.Repeat("0", 40)
		case "${CI_COMMIT_SHORT_SHA}":
			return strings.Repeat("0", 8)
		}
		return "0"
	}))
}

// tooLong reports the tags that no registry takes.
func (r *run) tooLong() {
	for _, u := range r.uses {
		if u.push && u.ref.own && !u.ref.host && !u.ref.joined && u.bad == "" && shortest(u.target()) > naming.MaxTag {
			r.report("tag-too-long", u.place(), u.ref.String())
		}
	}
}
