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

// asksRegistry says whether what looks like an image of a group v2 is a request to the registry's
// API.
// https://distribution.github.io/distribution/spec/api/
func (u *use) asksRegistry() bool {
	_, path, _ := strings.Cut(u.ref.f.s[u.ref.start:u.ref.end], "/")
	return strings.HasPrefix(path+"/", "v2/") && (strings.HasSuffix(u.ref.f.s[:u.ref.start], "://") || u.lits != nil && u.lits[0] == "curl")
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
		refs := r.references(c.args[i])
		for _, ref := range refs {
			if ref.own {
				r.report("registry-cleanup", c.argSpan(i), ref.String())
			}
		}
		if len(refs) == 0 && r.now != nil && c.args[i].uncertain() {
			r.deleted = append(r.deleted, deletion{r.now, c.argSpan(i)})
		}
	}
}

// deletion is a command that deletes an image which nobody knows.
type deletion struct {
	job *job
	at  span
}

// unknownDeletions reports those of jobs that push own images: they may well be of these.
func (r *run) unknownDeletions() {
	for _, d := range r.deleted {
		if slices.ContainsFunc(r.uses, func(u *use) bool { return u.push && u.ref.own && slices.Contains(u.jobs(), d.job) }) {
			r.reportWhy(Warning, "registry-cleanup", d.at, "", "which image this is nobody can tell here, but the job pushes the project's").
				Remedy = "remove the command, if it is one of the project's: ECR has life-cycle rules and drops what the PaaS does not use"
		}
	}
}
