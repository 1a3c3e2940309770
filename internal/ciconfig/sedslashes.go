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
		f := r.flatten(a)
		if strings.Contains(f.s, string(gap)+`\/`) {
			r.sedComputed = append(r.sedComputed, sedComputed{c.at, f})
		}
		if r.slashed(f.s) {
			for _, ch := range r.withoutSlashes(f) {
				if !slices.Contains(r.sedSlashes, ch) {
					r.sedSlashes = append(r.sedSlashes, ch)
				}
			}
		}
	}
}

// slashed says whether the old registry, or the project's path in it, is written with
// backslashes before its slashes.
func (r *run) slashed(s string) bool {
	p := r.in.Project
	return strings.Contains(s, p.OldHost+`\/`) || strings.Contains(s, strings.ReplaceAll(p.Path, "/", `\/`))
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
		if f.s[sub.to] != '/' || free < 0 || !r.slashed(all) {
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

// sedComputed is a script of sed with text that a command has computed, before a slash
// behind a backslash.
type sedComputed struct {
	at span
	f  *flat
}

// namesBehind reports where the name of an image stands behind such text, which may be
// $CI_REGISTRY_IMAGE with backslashes in it:
//
//	s/IMAGE/$(echo $CI_REGISTRY_IMAGE | sed 's|/|\\/|g')\/api:$T/
func (r *run) namesBehind() {
	for _, c := range r.sedComputed {
		script := strings.ReplaceAll(c.f.s, `\/`, "/")
		if slices.ContainsFunc(r.uses, func(u *use) bool {
			ref := u.ref
			return u.push && ref.own && ref.sep >= 0 && ref.colon >= 0 && strings.Contains(script, string(gap)+"/"+ref.f.s[ref.sep+1:ref.colon+1])
		}) {
			r.reportWhy(Blocking, "text-left", c.at, "", "a command puts backslashes into $CI_REGISTRY_IMAGE for sed").
				Remedy = "let sed have another delimiter, as in s|…|…|, and write $CI_REGISTRY_IMAGE:name-tag"
		}
	}
}
