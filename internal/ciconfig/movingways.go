package ciconfig

import (
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// replaceMoving puts a unique tag in the place of the moving one, another than
// those that the image is pushed under already. defined says to do it where the tag is
// defined, and not where it is put in.
func (r *run) replaceMoving(g *movings, siblings map[string][]*use, defined bool) (changes []change, drops []*use, ok bool) {
	if r.pushedTwice(g) || g.kept && defined {
		return nil, nil, false
	}
	with := r.successor(g, siblings)
	if g.kept && r.takenBy(g, bracedTail(with), siblings) {
		return nil, nil, false // that of another image whose name may be the same
	}
	released := !defined && r.keepsGitTag(g, with)
	for _, u := range g.all {
		if r.isCache(u) && !r.pushedBefore(g.pushes, u) || r.givenAlready(u, with) {
			drops = append(drops, u)
			continue
		}
		if released && tagOf(u) == "${CI_COMMIT_TAG}" {
			continue // it finds what it asks for
		}
		c, ok := u.tagChange(with)
		if defined && u.command == "chart" {
			c, ok = u.tagPlace(with)
		}
		if g.kept && ok {
			c = u.keptChange(c, g, with)
		}
		if defined && ok {
			c, ok = r.tagDefinition(u, c, with)
		}
		if !ok || !r.reaches(g.pushes, u) || r.before(g, u) {
			return nil, nil, false
		}
		u.retagged, u.gitTagged = bracedTail(with), released
		if released {
			c.with = "${CI_COMMIT_TAG:-" + c.with + "}"
		}
		changes = append(changes, c)
	}
	return changes, drops, true
}

// keepsGitTag says whether a tag that is the name of the branch or the git tag can go on
// being the latter, in jobs that their rules put into pipelines for git tags too: where a
// shell reads all that is written. So no second pipeline pushes the tag of the commit. A
// slug is not what the git tag is.
func (r *run) keepsGitTag(g *movings, with string) bool {
	if g.tag != "${CI_COMMIT_REF_NAME}" || with != "$CI_COMMIT_SHA" {
		return false
	}
	for _, u := range g.all {
		if c, ok := u.tagPlace(with); !ok || u.cmd == nil || u.document || !u.shell || !r.inScript(c.span) {
			return false
		}
	}
	return slices.ContainsFunc(g.pushes, func(p *use) bool {
		return slices.ContainsFunc(p.jobs(), func(j *job) bool { return j != nil && asksForTags(j) && !onlyTags(j) })
	})
}

// tagDefinition puts the tag of the build where the moving one is defined, in place of
// the change c where it is put in: rules may give the variable another tag there, such
// as the git tag, which stays. Nothing else may read the variable.
func (r *run) tagDefinition(u *use, c change, with string) (change, bool) {
	at, ok := u.tagWritten()
	if !ok || !at.src.editable || at == c.span {
		return c, ok && at.src.editable // written where it is put in
	}
	if !strings.Contains(at.text(), "$") && !r.latestAlone(u, at) {
		return change{}, false // a word that may mean something else, or is in quotes
	}
	f := u.ref.f
	for _, e := range f.via(u.ref.colon + 1)[len(commonVia(f.via(u.ref.colon+1), f.via(u.ref.colon))):] {
		if !at.within(e) && r.readBeside(expandedName(e)) { // it is not the word behind :-
			return change{}, false
		}
	}
	if strings.Contains(at.text(), "{") {
		with = bracedTail(with)
	}
	return change{span: at, with: with}, true
}

// latestAlone says whether the tag is the word latest, which means nothing but a tag, where a
// variable can stand in its place: not in a matrix, as it is a part of the job's name, not
// where it has to be one of several, and not in single quotes of a script.
func (r *run) latestAlone(u *use, at span) bool {
	by := u.ref.f.t[u.ref.f.piece[u.ref.colon+1]].by
	if at.text() != "latest" || by != nil && by.value != nil && !by.byRule() {
		return false
	}
	if r.inScript(at) {
		return at.start > 0 && at.src.data[at.start-1] != '\''
	}
	docs, _ := at.src.documents()
	return !slices.ContainsFunc(docs, func(n *yaml.Node) bool { return at.src.oneOfSeveral(n, at, 0) })
}

// oneOfSeveral says whether a value stands beside the list of those that are allowed.
// https://docs.gitlab.com/ci/yaml/#variablesoptions
func (s *source) oneOfSeveral(n *yaml.Node, at span, depth int) bool {
	if n == nil || depth > maxDepth {
		return false
	}
	for _, key := range []string{"value", "default"} {
		if v := child(n, key); v != nil && (child(n, "options") != nil || child(n, "regex") != nil) {
			if ch := s.scalar(v); ch != nil && at.within(ch.span(0, len(ch.text))) {
				return true
			}
		}
	}
	return slices.ContainsFunc(n.Content, func(c *yaml.Node) bool { return s.oneOfSeveral(c, at, depth+1) })
}

// readBeside says whether something takes a variable beside the tags of own images.
func (r *run) readBeside(name string) bool {
	if r.tagPuts == nil {
		r.tagPuts, r.beside = map[span]bool{}, map[string]bool{}
		for _, v := range r.uses {
			if v.ref.own && v.ref.colon >= 0 && v.ref.colon+1 < v.ref.tagEnd {
				for _, x := range v.ref.f.via(v.ref.colon + 1) {
					r.tagPuts[x] = true
				}
			}
		}
	}
	is, known := r.beside[name]
	if !known {
		is = len(r.readElsewhere(name, r.tagPuts)) > 0
		r.beside[name] = is
	}
	return is
}

// tagWritten is the place where the use's tag is written, behind all variables.
func (u *use) tagWritten() (span, bool) {
	f, first, last := u.ref.f, u.ref.colon+1, u.ref.tagEnd-1
	if u.ref.colon < 0 || last < first {
		return span{}, false
	}
	from, ok := f.level(first, f.via(first))
	to, fine := f.level(last, f.via(last))
	return span{from.src, from.start, to.end}, ok && fine && from.src == to.src && from.start < to.end
}

// givenAlready says whether a build gives the image the tag already by a flag of its own,
// so that the one of the moving tag can go.
func (r *run) givenAlready(u *use, with string) bool {
	if !slices.ContainsFunc(r.uses, func(v *use) bool { return v != u && v.bad == "" && v.builtWith(u) && tagOf(v) == bracedTail(with) }) {
		return false
	}
	_, ok := r.droppable([]*use{u})
	return ok
}

// pushedTwice says whether two jobs of one pipeline push the tag: one of the
// build in its place would be there already when the second comes.
func (r *run) pushedTwice(g *movings) bool {
	if strings.Contains(g.name+g.tag, "$(") { // each job may have a name of its own
		return false
	}
	var jobs []*job
	for _, p := range g.pushes {
		for _, j := range p.jobs() {
			if j == nil || slices.Contains(jobs, j) {
				continue
			}
			if r.repeated(p, j) {
				return true
			}
			for _, other := range jobs {
				if onePlace(j, other, "") && !j.hidden && !other.hidden && (sameRules(j, other) || r.in.Project.plainlyTogether(j, other)) {
					return true
				}
			}
			jobs = append(jobs, j)
		}
	}
	return false
}

// dropMoving drops a tag that is pushed beside a unique one.
func (r *run) dropMoving(g *movings, sibling *use) (changes []change, drops []*use, ok bool) {
	if r.pushedAs(g) {
		return nil, nil, false
	}
	for _, p := range g.pushes { // who builds the image must push it under another tag
		if r.mayBuildIn(p.job, g.name) && !r.pushesUnique(p, g) {
			return nil, nil, false
		}
	}
	with, there, portable := r.tagOfSibling(sibling)
	for _, u := range g.all {
		if r.isCache(u) && !r.pushedBefore(g.pushes, u) || u.push || u.element.src != nil || u.cmd != nil && u.tags() {
			drops = append(drops, u)
			continue
		}
		if u.printed() {
			continue
		}
		c, ok := u.takesTag(with, sibling)
		if !ok || !portable(u, c) || !r.carries(with, sibling, u) || !r.reaches(there, u) || r.begets(u, sibling) {
			return nil, nil, false
		}
		changes = append(changes, c)
	}
	return changes, drops, true
}

// dropPushes drops no more than the pushes of a moving tag. The jobs that make
// it keep it as a name that no registry hears of.
func (r *run) dropPushes(g *movings, sibling *use) (changes []change, drops []*use, ok bool) {
	home, made := map[*job]bool{}, map[*job]bool{}
	for _, p := range g.pushes {
		if !singlePurpose(p.lits) || !strings.HasSuffix(p.command, " push") || r.mayBuildIn(p.job, g.name) && !r.pushesUnique(p, g) {
			return nil, nil, false
		}
		for _, j := range p.jobs() {
			home[j] = true
		}
	}
	for _, u := range g.all {
		if u.cmd != nil && u.tags() && !u.push {
			made[u.job] = true
			for _, j := range u.also {
				made[j] = true
			}
		}
	}
	for j := range home {
		if !made[j] {
			return nil, nil, false
		}
	}
	with, there, portable := r.tagOfSibling(sibling)
	for _, u := range g.all {
		switch away := slices.ContainsFunc(u.jobs(), func(j *job) bool { return !home[j] }); {
		case u.push || r.isCache(u):
			drops = append(drops, u)
		case u.printed():
		case !away && u.cmd != nil && strings.Contains(u.command, " pull"):
			return nil, nil, false
		case !away && u.cmd != nil:
		default:
			c, ok := u.takesTag(with, sibling)
			if !ok || !portable(u, c) || !r.carries(with, sibling, u) || !r.reaches(there, u) || r.begets(u, sibling) {
				return nil, nil, false
			}
			changes = append(changes, c)
		}
	}
	return changes, drops, true
}

// bracedTail is braces for a tag whose end is the variable.
func bracedTail(tag string) string {
	i := strings.LastIndexByte(tag, '$')
	return tag[:max(i, 0)] + braces(tag[max(i, 0):])
}

// braces writes a variable as references show it: ${NAME}.
func braces(tag string) string {
	if name, ok := strings.CutPrefix(tag, "$"); ok && !strings.HasPrefix(name, "{") {
		return "${" + name + "}"
	}
	return tag
}

// buildsIn says whether a job builds an image.
func (r *run) buildsIn(j *job, name string) bool {
	for _, u := range r.index().named[name] {
		if u.cmd == nil || !slices.Contains(u.jobs(), j) || !u.tags() && !u.push {
			continue
		}
		switch built := strings.Contains(u.command, " build") && !strings.Contains(u.command, " imagetools"); {
		case u.tags() && (built || !r.fromSame(u)), u.push && buildsAndPushes[u.lits[0]]:
			return true
		}
	}
	return false
}

// mayBuildIn says whether a job builds an image, or hands its name to something that nobody
// knows and that may.
func (r *run) mayBuildIn(j *job, name string) bool {
	return r.buildsIn(j, name) || slices.ContainsFunc(r.index().named[name], func(u *use) bool {
		return u.cmd != nil && !u.push && u.ref.colon >= 0 && slices.Contains(u.jobs(), j) && u.unseenBy() != ""
	})
}

// buildsAndPushes are the tools that do both at once.
var buildsAndPushes = map[string]bool{"executor": true, "buildctl": true, "buildctl-daemonless.sh": true, "pack": true, "mvn": true, "mvnw": true, "gradle": true, "gradlew": true}

// fromSame says whether a docker tag only gives another tag to the same image.
func (r *run) fromSame(u *use) bool {
	for _, v := range r.index().calls[u.cmd.call] {
		if v != u && v.ref.own && v.ref.name() == u.ref.name() && !v.tags() {
			return true
		}
	}
	return false
}

// never says whether a use is in the script of a job that pushes a moving tag, and on another
// way through it: where the one is pushed, the other is not.
func (r *run) never(g *movings, s *use) bool {
	return slices.ContainsFunc(g.pushes, func(p *use) bool { return p.sharesJob(s) && !comesTo(p.arms, s.arms) })
}

// pushesUnique says whether the job that pushes a moving tag pushes the image under a tag of
// the build, too.
func (r *run) pushesUnique(p *use, g *movings) bool {
	for _, u := range r.index().named[g.name] {
		if u.sharesJob(p) && comesTo(p.arms, u.arms) && u.push && u.lasts(g) && sameImage(g, u) {
			return true
		}
	}
	return false
}
