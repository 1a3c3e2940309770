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

// skopeoSync reports what skopeo sync copies to the project's repository: each image gets its own
// name behind it.
// https://github.com/containers/skopeo/blob/main/docs/skopeo-sync.1.md
func (r *run) skopeoSync(c *command, lits []string) (reported bool) {
	all := strings.ReplaceAll(strings.Join(lits, " "), "=", " ")
	if len(lits) < 4 || lits[0] != "skopeo" || lits[1] != "sync" || !strings.Contains(all, " --dest docker ") && !strings.Contains(all, " -d docker ") {
		return false
	}
	last := len(c.args) - 1
	for i := last; i >= 0 && c.words[i] == c.words[last]; i-- { // its values
		for _, ref := range r.references(c.args[i]) {
			if !ref.own || ref.host || reported {
				continue
			}
			reported = true
			r.report("tool-names", c.argSpan(i), ref.String()).Remedy = "copy each image by itself: skopeo copy docker://docker.io/library/redis:7 docker://$CI_REGISTRY_IMAGE:redis-7"
		}
	}
	return reported
}
