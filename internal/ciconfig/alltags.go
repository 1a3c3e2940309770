package ciconfig

import (
	"regexp"
	"slices"
	"sort"
	"strings"
)

// allTagsFlag is the flag of docker push that names no tag, also among other
// short ones: -qa.
var allTagsFlag = regexp.MustCompile(`^(--all-tags(=true)?|-[a-z]*a[a-z]*)$`)

// pushesAllTags says whether a command pushes every local tag of an image.
func pushesAllTags(lits []string) bool {
	push := slices.Index(lits, "push")
	return push > 0 && slices.ContainsFunc(lits[push+1:], allTagsFlag.MatchString)
}

// oldPushes finds pushes of a name without a tag where the job gives it others: docker before
// 20.10 pushes them all. So it is where latest is none of them, and a later docker would push
// nothing, and where others use one of them.
// https://docs.docker.com/engine/release-notes/20.10/#20100
func (r *run) oldPushes() {
	var named map[string][]*use
	for _, u := range r.uses {
		if !u.push || u.bad != "" || !u.ref.own || !u.withoutTag() || u.settled || u.cmd == nil || len(u.lits) < 3 || u.lits[0] != "docker" || u.lits[1] != "push" || pushesAllTags(u.lits) {
			continue
		}
		if named == nil {
			named = r.usesByName()
		}
		here, there := namedTags{tags: map[string]bool{}}, namedTags{tags: map[string]bool{}}
		for _, v := range named[u.ref.name()] {
			there.see(v)
			if v.sharesJob(u) {
				here.see(v)
			}
		}
		if !here.latest && !here.pushed && len(here.tags) == 0 {
			here = there
		}
		wanted := func(v *use) bool { return here.tags[v.ref.tag()] && !v.sharesJob(u) && !v.push && !v.gives() }
		if len(here.tags) > 0 && !here.pushed && (!here.latest || slices.ContainsFunc(named[u.ref.name()], wanted)) {
			u.bad, u.role, u.push = "all-tags", repositoryRole, false
		}
	}
}

// usesByName are the uses of each image of the project.
func (r *run) usesByName() map[string][]*use {
	out := map[string][]*use{}
	for _, u := range r.uses {
		if u.ref.own && !u.ref.host {
			out[u.ref.name()] = append(out[u.ref.name()], u)
		}
	}
	return out
}

// namedTags says which tags commands give to a name: latest and others; and whether they push
// others one by one.
type namedTags struct {
	tags           map[string]bool
	latest, pushed bool
}

func (t *namedTags) see(u *use) {
	switch latest := u.withoutTag() || u.ref.tag() == "latest"; {
	case latest:
		t.latest = t.latest || u.gives() || strings.HasSuffix(u.command, " tag")
	case u.gives():
		t.tags[u.ref.tag()] = true
	case u.push:
		t.pushed = true
	}
}

// gives says whether the use gives a tag to an image of the daemon, by a command or in a file.
func (u *use) gives() bool { return u.composed || u.cmd != nil && u.tags() }

// withoutTag says whether a use names an image without tag and digest.
func (u *use) withoutTag() bool { return u.ref.colon < 0 && u.ref.digest < 0 }

// allTags finds the tags that docker push --all-tags NAME pushes: those that the
// job gives to that name, or others where it gives none and a daemon that they share
// has them. Tags that it only pulled are in the registry already.
// It marks them as pushed, and returns them for each such command that goes: one
// for the nameless image pushes as many tags of the repository as before.
func (r *run) allTags() map[*use][]*use {
	out := map[*use][]*use{}
	for _, u := range r.uses {
		if !u.ref.own || u.cmd == nil || len(u.lits) < 2 || u.lits[1] != "push" || u.bad != "all-tags" && (u.bad != "" || !pushesAllTags(u.lits)) {
			continue
		}
		var tagged, elsewhere []*use
		ok := u.cmd.at.src.editable
		for _, v := range r.uses {
			if v == u || v.cmd == nil || v.ref.name() != u.ref.name() || !v.ref.own || !v.tags() {
				continue
			}
			if !v.sharesJob(u) {
				elsewhere = append(elsewhere, v)
				continue
			}
			_, fine := v.rewritten(nil)
			ok = ok && fine && v.bad == ""
			tagged = append(tagged, v)
		}
		if len(tagged) == 0 && u.bad == "" {
			tagged = elsewhere
		}
		if u.bad != "" && (!ok || len(tagged) == 0) {
			continue
		}
		for _, v := range tagged {
			v.push = true
		}
		if u.bad != "" {
			out[u] = tagged
		}
	}
	return out
}

// pushEach replaces the commands that push all tags, which in the one repository
// would push every local image, by a push of each tag that has stayed.
func (r *run) pushEach(tagged map[*use][]*use) {
	for u, list := range tagged {
		var commands []string
		push := u.toVerb()
		for _, v := range list {
			if w, ok := v.rewritten(r.after); ok && v.bad == "" && !slices.Contains(r.cuts, v) && !slices.Contains(commands, push+" "+w) {
				commands = append(commands, push+" "+w)
			}
		}
		if len(commands) == 0 {
			continue // it stays, and is reported
		}
		u.bad = ""
		u.changes = []change{{span: u.cmd.at, with: strings.Join(commands, " && ")}}
	}
}

// toVerb is the command of a use as far as its subcommand, with what starts it.
func (u *use) toVerb() string {
	if verb := u.cmd.argSpan(1); verb.within(u.cmd.at) {
		return string(verb.src.data[u.cmd.at.start:verb.end])
	}
	return u.lits[0] + " " + u.lits[1]
}

// tagFlag is a flag that gives an image its name, and the quote before it.
var tagFlag = regexp.MustCompile(`^(["']?)--tag=`)

// tags says whether the use gives a local image its name.
func (u *use) tags() bool {
	switch {
	case (strings.Contains(u.command, " tag") || len(u.lits) > 3 && u.lits[1] == "commit") && u.arg == len(u.lits)-1:
		return true
	case strings.Contains(u.command, " build"):
		prev := u.lits[max(u.arg-1, 0)]
		output := prev == "-o" || prev == "--output" || strings.HasPrefix(u.lits[u.arg], "--output=") // type=image,name=...
		return prev == "-t" || prev == "--tag" || strings.HasPrefix(u.lits[u.arg], "--tag=") || output && strings.Contains(u.lits[u.arg], "name=")
	case strings.HasSuffix(u.command, " manifest create"), strings.HasSuffix(u.command, " manifest annotate"):
		for _, l := range u.lits[3:max(u.arg, 3)] {
			if !strings.HasPrefix(l, "-") {
				return false // what the list is made of
			}
		}
		return true
	}
	return false
}

// rewritten is the word of an argument as it will be; later changes win over the use's own.
func (u *use) rewritten(later []change) (string, bool) {
	if u.at.src == nil || isArray(u.cmd.words[u.index]) {
		return "", false
	}
	flag := tagFlag.FindSubmatch(u.at.src.data[u.at.start:u.at.end])
	if flag == nil && strings.HasPrefix(u.lits[u.arg], "-") {
		return "", false
	}
	var inside []change
	for _, c := range slices.Concat(u.changes, later) {
		if c.within(u.at) {
			inside = append(slices.DeleteFunc(inside, func(o change) bool { return o.span == c.span }), c)
		}
	}
	sort.Slice(inside, func(i, j int) bool { return inside[i].start < inside[j].start })
	var b strings.Builder
	at := u.at.start
	if flag != nil {
		b.Write(flag[1])
		at += len(flag[0])
	}
	for _, c := range inside {
		if c.start < at {
			return "", false
		}
		b.Write(u.at.src.data[at:c.start])
		b.WriteString(c.with)
		at = c.end
	}
	b.Write(u.at.src.data[at:u.at.end])
	return b.String(), true
}
