package ciconfig

import (
	"regexp"
	"strings"
)

// optionalPart is a part of a name that brings its slash or dash along, if there is one at all:
// $CI_REGISTRY_IMAGE${NAME:+/$NAME}:$TAG
var optionalPart = regexp.MustCompile(`^\$\{(\w+)(:?\+)[/-]([^/{}]*|\$\{\w+\})\}$`)

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
		if m == nil || f.s[i] != '/' && (f.s[i] != '-' || i > ref.sep) {
			return false
		}
		parts = append(parts, change{span: at, with: "${" + m[1] + m[2] + m[3] + "-}", soft: true})
	}
	colon, ok := f.at(ref.colon)
	before, exact := f.level(ref.base-1, commonVia(base, f.via(ref.sep)))
	if !ok || !exact || before.src != parts[0].src || before.end > parts[0].start {
		return false
	}
	u.change(change{span: span{before.src, before.end, before.end}, with: ":", soft: true})
	for _, c := range parts {
		u.change(c)
	}
	u.change(change{span: colon, soft: true})
	return true
}

// led changes a name whose variable brings the slash along: NAME=/api, used as
// $CI_REGISTRY_IMAGE$NAME:$TAG. The slash goes, and the colon is written where the two
// are joined. Who reads the variable for something else would miss it: see guardTags.
func (u *use) led(base []span) bool {
	ref, f := u.ref, u.ref.f
	via := f.via(ref.sep)
	if ref.colon < 0 || above(via, base) || !above(f.via(ref.colon), base) || ref.sep != ref.base {
		return false
	}
	for i := ref.sep + 1; i < ref.nameEnd; i++ {
		if c := f.s[i]; c == '/' || c >= 'A' && c <= 'Z' {
			return false
		}
	}
	slash, exact := f.at(ref.sep)
	before, written := f.level(ref.base-1, commonVia(base, via))
	colon, ok := f.at(ref.colon)
	if !exact || !written || !ok || strings.HasPrefix(via[len(via)-1].text(), "${") && strings.ContainsAny(via[len(via)-1].text(), ":+-/#%") {
		return false
	}
	u.change(change{span: slash})
	u.change(change{span: span{before.src, before.end, before.end}, with: ":"})
	u.change(change{span: colon, with: "-"})
	u.unslashed = true
	return true
}
