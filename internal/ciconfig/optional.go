package ciconfig

import "regexp"

// optionalPart is a part of a name that brings its slash along, if there is one at all:
// $CI_REGISTRY_IMAGE${NAME:+/$NAME}:$TAG
var optionalPart = regexp.MustCompile(`^\$\{(\w+)(:?\+)/([^/{}]*|\$\{\w+\})\}$`)

// optional changes a name that consists of such parts, each with its dash behind it then:
// $CI_REGISTRY_IMAGE:${NAME:+$NAME-}$TAG. So the image without a name stays right.
func (u *use) optional(base []span) bool {
	ref, f := u.ref, u.ref.f
	if !u.shell || ref.colon < 0 || above(f.via(ref.sep), base) || !above(f.via(ref.colon), base) {
		return false
	}
	var parts []change
	for i := ref.sep; i < ref.nameEnd; i++ {
		via := f.via(i)
		if above(via, base) {
			return false // a part that is always there
		}
		at := via[len(commonVia(via, base))]
		if n := len(parts); n > 0 && parts[n-1].span == at {
			if f.s[i] == '/' {
				return false
			}
			continue
		}
		m := optionalPart.FindStringSubmatch(at.text())
		if m == nil || f.s[i] != '/' {
			return false
		}
		parts = append(parts, change{span: at, with: "${" + m[1] + m[2] + m[3] + "-}", soft: true})
	}
	colon, ok := f.at(ref.colon)
	before, why := u.behind(ref.base - 1)
	if !ok || why != "" || before.end > parts[0].start {
		return false
	}
	u.change(change{span: span{before.src, before.end, before.end}, with: ":", soft: true})
	for _, c := range parts {
		u.change(c)
	}
	u.change(change{span: colon, soft: true})
	return true
}
