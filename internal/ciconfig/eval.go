package ciconfig

import (
	"regexp"
	"strings"
)

var evalAssigns = regexp.MustCompile(`(?:^|[\s;&|(])(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=`)

// evaluated forgets the variables that eval sets from text which is not followed:
// eval $SET_TAG, where SET_TAG is "export TAG=$(date +%s)".
func (sh *shell) evaluated(c *command) {
	var all strings.Builder
	for i := 1; i < len(c.args); i++ {
		all.WriteString(c.lit(i) + " ")
	}
	for _, m := range evalAssigns.FindAllStringSubmatch(all.String(), -1) {
		if !predefined(m[1]) {
			sh.set(m[1], []text{{piece{hole: unknown, at: c.at}}})
		}
	}
}
