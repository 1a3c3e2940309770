package ciconfig

import (
	"slices"
	"strings"
)

// Where slashes delimit what sed looks for and puts in, those of an image stand behind
// backslashes, and $CI_REGISTRY_IMAGE, which has its own, cannot stand there at all. Such a
// script gets another delimiter before anything else is looked at:
//
//	s/registry.uninett.no\/group\/project\/api:.*/registry.uninett.no\/group\/project\/api:$T/
//	->  s|registry.uninett.no/group/project/api:.*|registry.uninett.no/group/project/api:$T|

// recordSedSlashes remembers the scripts of a sed that write the old registry that way.
func (r *run) recordSedSlashes(c *command, lits []string) {
	if lits[0] != "sed" {
		return
	}
	for _, a := range c.args {
		if f := r.flatten(a); strings.Contains(f.s, r.in.Project.OldHost+`\/`) {
			for _, ch := range r.withoutSlashes(f) {
				if !slices.Contains(r.sedSlashes, ch) {
					r.sedSlashes = append(r.sedSlashes, ch)
				}
			}
		}
	}
}

// withoutSlashes gives the substitutions of a script that name the old registry another
// delimiter, and takes the backslashes out that its path has no need of then; nothing where
// one of them is not written in the script itself.
func (r *run) withoutSlashes(f *flat) (out []change) {
	subs, ok := sedScript(f, false)
	if !ok {
		return nil
	}
	at := func(i int) span {
		s, exact := f.at(i)
		if ok = ok && exact && s.src != nil && s.src.editable && len(f.via(i)) == 0; !ok {
			return span{}
		}
		return s
	}
	for _, sub := range subs {
		all := f.s[sub.from:sub.last]
		free := strings.IndexFunc("|#,", func(c rune) bool { return !strings.ContainsRune(all, c) })
		if f.s[sub.to] != '/' || free < 0 || !strings.Contains(all, r.in.Project.OldHost+`\/`) {
			continue
		}
		for _, i := range []int{sub.from - 1, sub.to, sub.last} {
			out = append(out, change{span: at(i), with: "|#,"[free : free+1]})
		}
		for i := sub.from; i < sub.last-1; i++ {
			if f.s[i] != '\\' {
				continue
			}
			if next := f.s[i+1]; next == '/' || i > sub.to && strings.IndexByte(":.-", next) >= 0 {
				out = append(out, change{span: at(i)})
			}
			i++
		}
	}
	if !ok {
		return nil
	}
	return out
}

// behindBackslashes says whether an own image follows the registry's name whose slashes
// stand behind backslashes, and which some job pushes.
func (r *run) behindBackslashes(ref *reference) bool {
	p := r.in.Project
	path := strings.ReplaceAll(ref.f.s[ref.start:], `\/`, "/")
	return strings.HasPrefix(ref.f.s[ref.end:], `\/`) && strings.HasPrefix(path, p.OldHost+"/"+p.Path) &&
		slices.ContainsFunc(r.uses, func(u *use) bool { return u.push && u.ref.own })
}
