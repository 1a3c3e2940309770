package ciconfig

import (
	"slices"
	"strings"
)

// guarded says whether a script pushes a tag only where the registry has it not yet, as
// docker manifest inspect X || docker push X does: ECR takes it, and the tag is right as it is.
func (r *run) guarded(push *use) bool {
	return slices.ContainsFunc(push.arms, func(a arm) bool {
		cond, fails := strings.CutSuffix(a.asked, "||")
		cond = strings.TrimSuffix(cond, "&&")
		for _, not := range []string{"!", "-z"} { // if ! docker pull, if [ -z "$(crane digest ...)" ]
			if strings.HasPrefix(cond, not) || strings.Contains(cond, "[ "+not) {
				fails = !fails
			}
		}
		return fails && slices.ContainsFunc(r.uses, func(v *use) bool {
			return v.cmd != nil && v.job == push.job && !v.push && v.looksUp() && v.ref.String() == push.ref.String() && strings.Contains(cond, v.cmd.at.text())
		})
	})
}

// looksUp says whether the command of a use fails where the registry has no such image.
func (u *use) looksUp() bool {
	if len(u.lits) < 2 {
		return false
	}
	switch u.lits[0] {
	case "docker", "podman", "nerdctl":
		return u.lits[1] == "pull" || (u.lits[1] == "manifest" || u.lits[1] == "buildx") && slices.Contains(u.lits, "inspect")
	case "crane", "gcrane":
		return u.lits[1] == "digest" || u.lits[1] == "manifest" || u.lits[1] == "config"
	case "skopeo", "regctl":
		return slices.Contains(u.lits, "inspect") || slices.Contains(u.lits, "digest") || slices.Contains(u.lits, "head")
	}
	return false
}
