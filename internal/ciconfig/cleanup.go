package ciconfig

import (
	"slices"
	"strings"
)

// registryCalls reports requests to GitLab's API for its container registry: what
// they list or delete is not there any more.
// https://docs.gitlab.com/api/container_registry/
func (r *run) registryCalls(c *command, lits []string) {
	switch lits[0] {
	case "curl", "wget", "http", "https", "glab", "gitlab":
	default:
		r.deletions(c, lits)
		return
	}
	for i := range c.args {
		if s := c.lit(i); strings.Contains(s, "/registry/repositories") {
			_, s, _ = strings.Cut(s, "/registry/")
			r.report("registry-cleanup", c.argSpan(i), "registry/"+s)
			return
		}
	}
}

// deletions reports own images that a command deletes in the registry.
func (r *run) deletions(c *command, lits []string) {
	switch lits[0] {
	case "skopeo", "crane", "regctl", "reg":
	default:
		return
	}
	switch name, verb := lits[0], strings.Join(lits[1:min(len(lits), 3)], " "); {
	case name == "skopeo" && slices.Contains(lits[1:], "delete"), name == "crane" && strings.HasPrefix(verb, "delete"),
		name == "regctl" && (verb == "tag delete" || verb == "tag rm" || verb == "image delete" || verb == "manifest delete"), name == "reg" && strings.HasPrefix(verb, "rm"):
	default:
		return
	}
	for i := range c.args {
		for _, ref := range r.references(c.args[i]) {
			if ref.own {
				r.report("registry-cleanup", c.argSpan(i), ref.String())
			}
		}
	}
}
