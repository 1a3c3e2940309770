package ciconfig

import "slices"

// pushedByCompose says whether a use is the image of a service that a compose
// file builds and a job pushes with it: compose pushes no other. The default of
// a variable that every pipeline sets is for developers.
// https://docs.docker.com/reference/cli/docker/compose/push/
func (r *run) pushedByCompose(u *use) bool {
	if !r.pushesComposed || !u.composed {
		return false
	}
	return u.stability() == uniqueTag || !slices.ContainsFunc(r.uses, func(v *use) bool {
		return v.composed && v.at == u.at && v.stability() == uniqueTag
	})
}

// composedTags reports the tags that compose pushes again and again. They stay:
// the file also serves those who build without a pipeline.
func (r *run) composedTags() {
	for _, u := range r.uses {
		if !r.pushedByCompose(u) || !u.ref.own || u.ref.host || u.ref.joined || u.settled || u.bad != "" || u.retagged != "" {
			continue
		}
		switch u.stability() {
		case movingTag:
			r.report("moving-tag", u.at, u.ref.String())
		case unknownTag:
			r.report("tag-computed", u.at, u.ref.String())
		}
	}
}
