package ciconfig

import (
	"cmp"
	"slices"
	"strings"
)

// Tags in ECR are immutable: a second pipeline that pushes latest, a branch
// name or another constant fails. This file finds such tags and decides, image
// by image, what becomes of them; stability.go knows which tags move, movingways.go
// the ways to go on, and drop.go takes commands out of scripts.
//
//   - Beside a tag that is unique to the build the moving one is dropped: its
//     tag, push, pull and --cache-from. Who uses it gets the unique one.
//   - Where it is the only tag, a unique one takes its place everywhere.
//   - Git tags and release numbers stay: they are pushed once, or reported.
//
// Where not every use is known, the tag stays and a finding says so.

// movings are the uses of one image under one moving tag.
type movings struct {
	name, tag string
	all       []*use
	pushes    []*use
	several   bool // the image has other moving tags elsewhere
	beside    bool // one of these tags is a variable alone
	kept      bool // a pipeline pushes the image under another one of these tags, too
	tail      bool // and what moves is a variable at the end of all of them
	unseen    bool // helm, or kustomize, deploys the image by a tag that is not beside it
}

// movingTags decides what becomes of each moving tag and adds the changes.
func (r *run) movingTags() {
	groups := map[string]*movings{}
	var order []string
	siblings := map[string][]*use{}
	unseen := map[string]bool{}
	var releases []*use
	for _, u := range r.uses {
		bare := u.role == repositoryRole && u.ref.colon < 0
		if u.ref.own && bare && u.lits != nil && u.lits[0] == "helm" || u.ref.own && u.keepsTag() {
			unseen[u.ref.name()] = true
		}
		if u.ref.own && u.cmd != nil && u.cmd.ch.recipe && u.lits != nil && listFunction.MatchString(u.lits[0]) {
			unseen[u.ref.name()] = true
		}
		if !u.ref.own || u.ref.host || u.ref.joined || u.settled || bare || u.bad == "local-file" || u.overruled && u.bad == "literal-in-file" || u.spare() {
			continue
		}
		if u.ref.colon < 0 && (u.role == textRole || u.role == listRole || u.role == unclearRole) {
			continue
		}
		name := u.ref.name()
		st := u.stability()
		if u.push && (st == uniqueTag || st == unknownTag) {
			siblings[name] = append(siblings[name], u)
		}
		if st == releaseTag {
			releases = append(releases, u)
		}
		if st != movingTag {
			continue
		}
		key := name + "\x00" + tagOf(u)
		g := groups[key]
		if g == nil {
			g = &movings{name: name, tag: tagOf(u)}
			groups[key] = g
			order = append(order, key)
		}
		g.all = append(g.all, u)
		if u.push {
			g.pushes = append(g.pushes, u)
		}
	}
	for _, g := range groups {
		g.unseen = unseen[g.name]
	}
	r.joinBranch(groups)
	r.joinReleases(groups, releases)
	joinOpen(groups)
	r.decideMoving(clusters(groups, order), siblings)
	r.composedTags()
}

// decideMoving takes out or replaces the tags that move, each cluster by
// itself: a tag that has to stay, or one that a command computes, is reported
// and holds up no other.
func (r *run) decideMoving(all [][]*movings, siblings map[string][]*use) {
	r.computedTags()
	severalTags(all)
	for _, cluster := range all {
		keptTags(cluster)
	}
	var stay [][]*movings
	for i, cluster := range all {
		for _, g := range cluster {
			for _, u := range g.all {
				u.cluster = i + 1
			}
		}
		pushes := pushesOf(cluster)
		if len(pushes) == 0 {
			r.mayBePushed(cluster)
			continue
		}
		if !slices.ContainsFunc(pushes, func(p *use) bool { return !r.guarded(p) }) {
			continue
		}
		cuts := len(r.cuts)
		if !slices.ContainsFunc(pushes, (*use).inPipeline) || !r.settleMoving(cluster, siblings) {
			asTheyWere(cluster)
			stay = append(stay, cluster)
			continue
		}
		r.reportMoved(cluster, r.cuts[cuts:])
	}
	for _, cluster := range byDefinition(stay) {
		if slices.ContainsFunc(pushesOf(cluster), (*use).inPipeline) && r.settleBy(cluster, siblings, nil, true) {
			r.reportMoved(cluster, nil)
			continue
		}
		asTheyWere(cluster)
		for _, p := range pushesOf(cluster) {
			r.report("moving-tag", p.place(), p.ref.String())
		}
	}
}

// pushesOf are the pushes of a cluster's tags.
func pushesOf(cluster []*movings) (pushes []*use) {
	for _, g := range cluster {
		pushes = append(pushes, g.pushes...)
	}
	return pushes
}

// mayBePushed warns of tags that move and that nothing is seen to push, where something that
// is not understood, or was not seen, gets them.
func (r *run) mayBePushed(cluster []*movings) {
	for _, g := range cluster {
		prints := slices.ContainsFunc(g.all, func(u *use) bool { return u.toPush })
		for _, u := range g.all {
			by := u.unseenBy()
			if by == "" || prints && !u.toPush || u.unread && r.pushesName(g.name) { // or nobody needs the variable any more
				continue
			}
			why := "no job is seen to push it, and " + by + " may"
			if u.toPush {
				why = "what " + by + " prints is pushed"
			}
			r.reportWhy(Warning, "moving-tag", u.place(), u.ref.String(), why)
		}
	}
}

// pushesName says whether something pushes an image, under whatever tag.
func (r *run) pushesName(name string) bool {
	return slices.ContainsFunc(r.uses, func(u *use) bool { return u.push && u.ref.own && u.ref.name() == name })
}

// unseenBy is what gets an image and may push it, as nobody knows what it does: a program, a
// template or a component that could not be read; "" for none.
func (u *use) unseenBy() string {
	switch {
	case u.unread && !scanned(u.command):
		return "what reads the " + u.command + ", which was not seen,"
	case u.role != unclearRole || u.document || buildArg(u):
	case u.cmd != nil:
		return u.lits[0]
	case u.job != nil && len(u.job.gone) > 0 && strings.HasPrefix(u.command, "variable "):
		return u.job.gone[0] + ", which could not be read,"
	case strings.HasPrefix(u.command, "input "):
		return "what is included, which could not be read,"
	}
	return ""
}

// scanned says whether a variable names an image for one of GitLab's own scanners.
// https://docs.gitlab.com/user/application_security/container_scanning/
func scanned(variable string) bool {
	return variable == "variable CS_IMAGE" || variable == "variable DOCKER_IMAGE"
}

// asTheyWere forgets what an attempt would have made of a cluster's tags.
func asTheyWere(cluster []*movings) {
	for _, g := range cluster {
		for _, u := range g.all {
			u.retagged, u.gitTagged = "", false
		}
	}
}

// byDefinition puts the clusters together whose tags one definition gives.
func byDefinition(all [][]*movings) [][]*movings {
	var out [][]*movings
	at := map[span]int{}
	for _, cluster := range all {
		s, ok := cluster[0].all[0].tagWritten()
		k, known := at[s]
		if !ok || !known {
			k = len(out)
			out = append(out, nil)
			if ok {
				at[s] = k
			}
		}
		out[k] = append(out[k], cluster...)
	}
	return out
}

// inPipeline says whether a job is seen to make a use. A script that none runs is for
// hands: with a tag of the build it would push what no pipeline finds.
func (u *use) inPipeline() bool { return u.job != nil || !u.document }

// deployed says whether something in the pipeline uses the image that a push leaves
// behind, beside the tools that build and push it. A file that no job is seen to read
// does not show who used the old tag.
func deployed(cluster []*movings, push *use) bool {
	return deployedIn(cluster, push, nil)
}

// deployedIn says whether something in a job does so, in any where that is nil.
func deployedIn(cluster []*movings, push *use, j *job) bool {
	return slices.ContainsFunc(cluster, func(g *movings) bool {
		return slices.ContainsFunc(g.all, func(u *use) bool {
			return (j == nil || slices.Contains(u.jobs(), j)) && mayBeSame(u.ref.name(), push.ref.name()) && u.deploys()
		})
	})
}

// deploys says whether a use is one beside the tools that build and push images, by something
// that is seen to run.
func (u *use) deploys() bool {
	switch {
	case u.push || u.printed() || u.document && !u.filled && u.applied == nil:
		return false
	case u.cmd == nil || u.document:
		return true
	}
	switch u.lits[0] {
	case "docker", "podman", "buildah", "crane", "gcrane", "skopeo", "regctl", "trivy", "grype", "syft", "cosign",
		"buildctl", "buildctl-daemonless.sh", "executor", "img", "nerdctl", "build-push":
		return slices.ContainsFunc([]string{" run", " up", " deploy", " save"}, func(verb string) bool { return strings.Contains(u.command, verb) }) || u.leaves()
	}
	return true
}

// clusters puts the groups together that meet in a word of a script, such as
// the images of a loop: they change together or not at all.
func clusters(groups map[string]*movings, order []string) [][]*movings {
	owner := map[span]int{}
	parent := make([]int, len(order))
	var find func(i int) int
	find = func(i int) int {
		if parent[i] != i {
			parent[i] = find(parent[i])
		}
		return parent[i]
	}
	for i, key := range order {
		parent[i] = i
		for _, u := range groups[key].all {
			if k, ok := owner[u.at]; ok {
				parent[find(i)] = find(k)
			} else {
				owner[u.at] = i
			}
		}
	}
	var out [][]*movings
	at := map[int]int{}
	for i, key := range order {
		root := find(i)
		k, ok := at[root]
		if !ok {
			k = len(out)
			at[root] = k
			out = append(out, nil)
		}
		out[k] = append(out[k], groups[key])
	}
	return out
}

func tagOf(u *use) string {
	if u.ref.colon < 0 {
		return "latest"
	}
	return u.ref.tag()
}

// dropWay drops a tag that moves beside one that is pushed once.
type dropWay func(g *movings, sibling *use) (changes []change, drops []*use, ok bool)

// settleMoving decides a cluster. It changes nothing unless all uses can be
// changed: without the tag at all, or without its pushes, or with another tag
// in its place.
func (r *run) settleMoving(cluster []*movings, siblings map[string][]*use) bool {
	for _, drop := range []dropWay{r.dropMoving, r.dropPushes, nil} {
		asTheyWere(cluster)
		if r.settleBy(cluster, siblings, drop, false) {
			return true
		}
	}
	return false
}

// settleBy decides a cluster in one way of dropping; nil drops nothing. defined says
// whether a tag is replaced where it is defined.
func (r *run) settleBy(cluster []*movings, siblings map[string][]*use, drop dropWay, defined bool) bool {
	var changes []change
	var drops, all []*use
	for _, g := range cluster {
		all = append(all, g.all...)
		if g.unseen || slices.ContainsFunc(g.all, func(u *use) bool { return u.bad != "" || r.shared[u.at] || u.bare && r.shared[u.cmd.at] }) {
			return false
		}
		if len(g.pushes) == 0 {
			continue // a tag that is there, or not, whatever the pipeline pushes
		}
		var sibling *use
		if drop != nil {
			sibling = r.sibling(g, siblings[g.name])
		}
		var ok bool
		var c []change
		var d []*use
		switch {
		case sibling != nil:
			c, d, ok = drop(g, sibling)
		case !prefixed(g) || r.besideMoving(g): // a tag that nobody can judge would be there else
			c, d, ok = r.replaceMoving(g, siblings, defined)
		}
		if !ok {
			return false
		}
		changes, drops = append(changes, c...), append(drops, d...)
	}
	cut, ok := r.droppable(drops)
	if !ok || !r.free(changes, all) || touching(changes) {
		return false
	}
	r.after = append(r.after, changes...)
	r.cuts = append(r.cuts, cut...)
	return true
}

// touching says whether two changes are not of one place and leave none between them: one word
// may have several tags, as ${CI_COMMIT_TAG:-latest} does, of which each has its own.
func touching(changes []change) bool {
	sorted := slices.SortedFunc(slices.Values(changes), func(a, b change) int {
		return cmp.Or(strings.Compare(a.path(), b.path()), a.start-b.start, a.end-b.end)
	})
	for i := 1; i < len(sorted); i++ {
		if a, b := sorted[i-1], sorted[i]; a.src == b.src && a.span != b.span && b.start <= a.end {
			return true
		}
	}
	return false
}

// released says whether all uses of a moving tag are in pipelines for git tags.
func (g *movings) released() bool {
	for _, u := range g.all {
		if u.job == nil || !onlyTags(u.job) || slices.ContainsFunc(u.also, func(j *job) bool { return j == nil || !onlyTags(j) }) {
			return false
		}
	}
	return len(g.all) > 0
}

// lasts says whether a tag is pushed only once by the pipelines that push the
// moving one.
func (u *use) lasts(g *movings) bool {
	st := u.stability()
	return st == uniqueTag || u.retagged != "" || st == releaseTag && strings.Contains(u.lit(), "CI_COMMIT_TAG") && g.released()
}

// lit is the use as it is written, with the text of what led to it.
func (u *use) lit() string {
	text := u.at.text()
	for i := u.ref.start; i < u.ref.end; i++ {
		p := u.ref.f.t[u.ref.f.piece[i]]
		text += p.hole + p.at.text()
	}
	return text
}

// prefixed says whether a tag of the nameless image looks like that of a named
// one which has its prefix already: api-latest.
func prefixed(g *movings) bool { return g.name == "" && strings.Contains(g.tag, "-") }

// besideMoving says whether a build gives an image such a tag beside another that moves: it
// is the same image, and would go beside what takes the place of the other.
func (r *run) besideMoving(g *movings) bool {
	return slices.ContainsFunc(r.uses, func(v *use) bool {
		return v.ref.own && v.push && v.stability() == movingTag && !strings.Contains(tagOf(v), "-") && slices.ContainsFunc(g.pushes, func(p *use) bool { return v.builtWith(p) })
	})
}
