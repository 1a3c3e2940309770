package ciconfig

import (
	"slices"
	"strings"
)

// koBuilds are the commands of ko that build images and push them to
// $KO_DOCKER_REPO, each under the import path of its program; with --bare, under the
// repository's own name.
// https://ko.build/configuration/#naming-images
var koBuilds = map[string]bool{"build": true, "publish": true, "resolve": true, "apply": true, "create": true, "run": true}

// ko reports builds whose images get a name from ko, or a tag that moves.
func (r *run) ko(sh *shell, c *command, lits []string) {
	if lits[0] != "ko" || len(lits) < 2 || !koBuilds[lits[1]] || slices.Contains(lits, "--local") || slices.Contains(lits, "-L") {
		return
	}
	bare, tagged := false, false
	for _, l := range lits {
		bare = bare || l == "--bare" || l == "--bare=true"
		tagged = tagged || l == "-t" || strings.HasPrefix(l, "--tags")
	}
	vals, _ := sh.lookup("KO_DOCKER_REPO")
	for _, v := range vals {
		for _, ref := range r.references(v) {
			switch {
			case !ref.own || ref.host:
			case !bare:
				r.report("tool-names", c.at, ref.String())
			case ref.sep >= 0:
				r.add(&use{ref: ref, at: c.at, command: "ko " + lits[1], role: repositoryRole, shell: true, expands: true, cmd: c, lits: lits})
			case !tagged:
				r.report("moving-tag", c.at, ref.String()+":latest")
			}
		}
	}
}
