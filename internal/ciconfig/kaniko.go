package ciconfig

import (
	"slices"
	"strings"
)

// kanikoCache gives kaniko's cache a place. Without --cache-repo it is
// <destination>/cache, another repository, which ECR does not have.
// https://github.com/GoogleContainerTools/kaniko#flag---cache-repo
func (r *run) kanikoCache(c *command, lits []string) {
	if lits[0] != "executor" {
		return
	}
	flag := -1
	own := false
	for i, l := range lits {
		switch {
		case l == "--cache" || strings.HasPrefix(l, "--cache=") && l != "--cache=false":
			flag = i
		case strings.HasPrefix(l, "--cache-repo"):
			return
		}
	}
	for _, a := range c.args {
		for _, ref := range r.references(a) {
			own = own || ref.own
		}
	}
	if flag < 0 || !own {
		return
	}
	at := c.argSpan(slices.Index(c.pos, flag))
	if text := at.text(); text != "--cache" && !strings.HasPrefix(text, "--cache=") || !at.src.editable {
		return // it comes out of a variable
	}
	if lits[flag] == "--cache" && flag+1 < len(lits) && (lits[flag+1] == "true" || lits[flag+1] == "false") {
		return
	}
	r.after = append(r.after, change{span: span{at.src, at.end, at.end}, with: ` --cache-repo $CI_REGISTRY_IMAGE`})
}
