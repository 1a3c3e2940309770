package ciconfig

import (
	"bytes"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// Rewrite finds what has to change and what cannot be changed. An error means
// that the rewriter itself failed its proof; then nothing may be written.
//
// It works in passes over the files: first the names, then the jobs that run
// in an own image. Each pass looks at what the one before has left.
func Rewrite(in Input) (*Result, error) {
	res := &Result{}
	in.Project.known = newJudged()
	names := newRun(&in, nil)
	names.look()
	if names.truncated {
		again := newRun(&in, names)
		again.quiet = names.quiets(loudWords)
		names = again
		names.look()
	}
	if len(names.sedSlashes) > 0 {
		files, err := names.apply(names.sedSlashes)
		if err != nil {
			return nil, err
		}
		names = names.next(files, names.sedSlashes)
		names.look()
	}
	changes := names.plan()
	names.judge(changes)
	names.readers()
	names.newVariables(changes)
	names.sedMisses(changes)
	names.sedWrites()
	names.namesBehind()
	names.tagsAlone()
	names.tagsRead()
	names.otherCase()
	names.registriesUnseen()
	names.loginsKept(changes)
	names.generated(changes)
	names.collisions()
	names.tooLong()
	if len(names.uses) <= maxUses {
		names.pushedAgain()
		names.expires()
		names.autoDevOps()
	}
	names.summary(res)
	res.Findings = names.findings
	files, err := names.apply(changes)
	if err != nil {
		return nil, err
	}

	names.entries = names.imageEntries()
	images := names.next(files, changes)
	if unfolded := images.unfold(); len(unfolded) > 0 {
		if files, err = images.apply(unfolded); err != nil {
			return nil, err
		}
		images = images.next(files, unfolded)
	}
	contained := images.jobImagesOfAll()
	if files, err = images.apply(contained); err != nil {
		return nil, err
	}
	images.leftovers(names, len(changes) > 0)
	res.Findings = append(res.Findings, images.findings...)

	after := images.next(files, contained)
	if err := prove(names, after, res); err != nil {
		return nil, fmt.Errorf("the rewrite of %s does not hold: %w", in.Project.Path, err)
	}
	if res.Blocked() {
		files = in.Files // half a rewrite helps nobody
	}
	for i, f := range in.Files {
		if after := files[i].Content; !bytes.Equal(after, f.Content) {
			res.Edits = append(res.Edits, Edit{Path: f.Path, Before: f.Content, After: after})
		}
	}
	sort.SliceStable(res.Findings, func(i, j int) bool {
		a, b := res.Findings[i], res.Findings[j]
		if a.File != b.File {
			return a.File < b.File
		}
		return a.Line < b.Line
	})
	res.Findings = gathered(res.Findings)
	return res, nil
}

// next is a run on what changes have made of the files. Where nothing changed it
// has seen everything already.
func (r *run) next(files []File, changes []change) *run {
	in := *r.in
	in.Files = files
	n := newRun(&in, r)
	n.entries, n.dockers, n.privileged = r.entries, r.dockers, r.privileged
	for s := range r.quiet { // no change is made in them
		if n.quiet == nil {
			n.quiet = map[*source]bool{}
		}
		n.quiet[n.files[s.path]] = true
	}
	if len(changes) == 0 {
		n.cfg, n.uses, n.looked = r.cfg, r.uses, r.looked
		return n
	}
	bySource := map[*source][]change{}
	for _, c := range changes {
		bySource[c.src] = append(bySource[c.src], c)
	}
	for p, s := range r.files {
		if after := n.files[p]; after != s {
			after.was = trace(s, bySource[s])
		}
	}
	n.cfg = load(&in, n.files)
	n.cfg.handed = r.cfg.handed // the scripts are not followed again
	return n
}

// apply makes the changes and gives all files as they are then.
func (r *run) apply(changes []change) ([]File, error) {
	after, err := apply(changes)
	if err != nil {
		return nil, err
	}
	out := make([]File, len(r.in.Files))
	for i, f := range r.in.Files {
		out[i] = f
		if b, ok := after[r.files[f.Path]]; ok {
			out[i].Content = b
		}
	}
	return out, nil
}

// judge turns what was not rewritten into findings.
func (r *run) judge(changes []change) {
	sortUses(r.uses)
	if r.truncated {
		r.cutShort()
	}
	for _, o := range r.operations {
		if o.colon && replaced(o.value, changes) || !o.colon && !o.joined && touched(o.value, changes) {
			r.report("string-operation", o.at, o.value.String())
		}
	}
	r.unknownDeletions()
	open := map[string]bool{} // once for each name is enough
	ours := map[string]bool{} // images under paths of others that the project pushes
	for _, u := range r.uses {
		if u.push && !u.ref.own {
			ours[u.ref.f.show(u.ref.start, u.ref.nameEnd)] = true
		}
	}
	for _, u := range r.uses {
		ref := u.ref
		switch {
		case ref.host && r.beginsImages(u):
			r.reportWhy(Blocking, "base-composed", u.place(), "", "sed puts the old registry where images begin, which the pipeline pushes to ECR").
				Remedy = "put $CI_REGISTRY there, with the part of the path that stands behind it now"
		case ref.host && r.behindBackslashes(ref):
			r.reportWhy(Blocking, "text-left", u.place(), "", "its slashes stand behind backslashes").
				Remedy = "let the command have another delimiter, as in s|…|…|, and write $CI_REGISTRY_IMAGE:name-tag"
		case ref.host:
			r.report("old-host", u.place(), "")
		case !ref.own && u.asksRegistry():
			f := r.reportWhy(Warning, "registry-cleanup", u.written(), ref.String(), "a request to its API, which ECR answers by the AWS login of the moment only")
			f.Remedy = "remove the request: ECR has life-cycle rules and drops what the PaaS does not use; a script that has to know the tags asks aws ecr list-images"
		case !ref.own && strings.ContainsRune(ref.f.s[ref.start:ref.nameEnd], gap):
			r.report("owner-unknown", u.place(), ref.String()).cause = "of " + strings.Join(ref.holes(), " ")
		case !ref.own && ours[ref.f.show(ref.start, ref.nameEnd)]:
			f := r.reportWhy(Warning, "foreign-image", u.written(), ref.String(), "so its path says, but a job of this project pushes it")
			f.cause = ref.f.show(ref.start, ref.nameEnd)
			f.Remedy = "if the project owns the image, name it $CI_REGISTRY_IMAGE:name-tag wherever it is pushed and used, as ECR holds no other repository of the project; if not, push it to the GitLab Container Registry of its owner"
		case !ref.own:
			r.report("foreign-image", u.written(), ref.String()).cause = ref.f.show(ref.start, ref.nameEnd)
		case u.bad == "base-composed" && u.redefined.src != nil:
			at := u.redefined.origin()
			line, _ := at.src.position(at.start)
			r.reportWhy(r.weight(u), u.bad, u.place(), ref.String(), fmt.Sprintf("%s:%d gives $CI_REGISTRY_IMAGE a value of its own", at.src.path, line)).
				Remedy = "remove that line, and one that gives $CI_REGISTRY the old host: the settings of the project define $CI_REGISTRY_IMAGE"
		case u.bad != "":
			f := r.reportAs(r.weight(u), u.bad, u.place(), ref.String())
			f.cause = u.cause()
			if remedy := r.byHand(u); remedy != "" {
				f.Remedy = remedy
			}
		case ref.sep < 0 && ref.colon < 0 && ref.digest < 0 && u.lits != nil && !ref.joined && (u.role == unclearRole && !r.undeclared(u) || r.registryValue(u) || r.putsIn(u) && r.movesNames()):
			r.report("base-handed-on", u.at, u.lits[0])
		case ref.sep < 0 && ref.colon < 0 && ref.digest < 0 && u.given && u.filled && !u.settled && !ref.joined && r.movesNames():
			r.report("base-handed-on", u.place(), "")
		case ref.sep < 0 && ref.colon < 0 && ref.digest < 0 && strings.HasPrefix(u.command, "variable TF_VAR_") && r.movesNames():
			r.report("base-handed-on", u.at, "terraform")
		case ref.sep >= 0 && u.role != textRole && !open[ref.name()] && unknownName(ref) && !(u.settled && r.knownName(ref)):
			if ref.colon < 0 && ref.digest < 0 && ref.f.s[ref.nameEnd-1] == gap {
				r.reportWhy(Warning, "name-open", u.place(), ref.String(), "and so would a tag that it brings").Remedy = "see that its values hold no slash and no tag"
			} else {
				r.report("name-open", u.place(), ref.String())
			}
			open[ref.name()] = true
		}
	}
}

// cause is what stands in the way of a use: the place where its name is joined, which other
// uses may share, or for what no job reads the file; for Dockerfiles the image that many
// begin with.
func (u *use) cause() string {
	switch {
	case u.bad == "unseen-builder" && isDockerfile(u.at.path()):
		return u.ref.String()
	case u.bad == "local-file", u.bad == "unseen-builder":
		return u.at.path()
	}
	i := u.ref.sep
	if u.bad == "joined-elsewhere" && u.ref.colon >= 0 {
		i = u.ref.colon
	}
	if i < 0 {
		i = u.ref.start
	}
	s, _ := u.ref.f.at(i)
	return fmt.Sprint(s.path(), ":", s.start)
}

// holes are the variables without a known value in the path of an image.
func (ref *reference) holes() []string {
	var out []string
	for i := ref.start; i < ref.nameEnd; i++ {
		if h := ref.f.t[ref.f.piece[i]].hole; ref.f.s[i] == gap && !slices.Contains(out, h) {
			out = append(out, h)
		}
	}
	return out
}

// weight is the severity of a use that stays as it is: it blocks where the
// pipeline pushes the image, or where another reference to it is rewritten.
func (r *run) weight(u *use) Severity {
	k := vocabulary[u.bad].severity
	if k != Blocking || !alone[u.bad] {
		return k
	}
	if u.overruled || u.bad == "literal-in-file" && r.forHands(u.at) {
		return Warning
	}
	if r.composedFrom(u) || u.composed && r.pushesComposed {
		return Blocking
	}
	others := r.index().own
	if !loose(u.ref) && !u.forAll() {
		others = r.index().alike(u.ref.name())
	}
	for _, v := range others {
		if v.ref.host || v.settled || v.job != nil && v.job.hidden || !sameName(u.ref, v.ref) && !u.forAll() || otherTag(u, v) {
			continue
		}
		if v.push || v.bad == "" && v.ref.sep >= 0 && !r.builtByHand(u) {
			return Blocking
		}
	}
	return Warning
}

// builtByHand says whether a use is a base image in a Dockerfile that no job is seen to
// build: whoever builds it does so, as he does the base image, out of any pipeline.
func (r *run) builtByHand(u *use) bool {
	return u.bad == "unseen-builder" && strings.HasPrefix(u.command, "Dockerfile") &&
		!slices.ContainsFunc(r.builds, func(b *build) bool { return b.files[u.at.path()] })
}

// forAll says whether a value is the bare repository, to which a chart may join the
// names of all images.
func (u *use) forAll() bool {
	return u.command == "manifest" && u.role != imageRole && u.ref.sep < 0 && u.ref.colon < 0 && u.ref.digest < 0
}

// sameName says whether two references may be of one image.
func sameName(a, b *reference) bool {
	return a.name() == b.name() || loose(a) || loose(b)
}

// loose says whether the name of an image may be any.
func loose(ref *reference) bool { return ref.joined || strings.Contains(ref.name(), "$") }

// written is the place of a reference for somebody who has to change it by hand:
// where a variable holds the whole of it, that definition in place of each use.
func (u *use) written() span {
	f := u.ref.f
	first, end := f.t[f.piece[u.ref.start]], f.t[f.piece[u.ref.end-1]]
	shared := first.via
	for i := u.ref.start; i < u.ref.end && len(shared) > 0; i++ {
		shared = commonVia(shared, f.via(i))
	}
	from, to := first.under(shared), end.under(shared)
	if len(shared) == 0 && u.command != "variable" || from.src == nil || !from.src.editable || from.src != to.src || from.start >= to.end {
		return u.place()
	}
	return span{from.src, from.start, to.end}
}

// under is where a piece, or the variable that brings it, stands in the text that
// some expansions have put in.
func (p piece) under(via []span) span {
	if len(p.via) > len(via) {
		return p.via[len(via)]
	}
	return p.at
}

// otherTag says whether a constant tag, at a place where nothing replaces it, is
// not that of another use: another constant, or one that is unique to the build.
func otherTag(u, v *use) bool {
	if u.bad != "literal-in-file" && u.bad != "unseen-builder" || u.command != "file" && !strings.HasPrefix(u.command, "Dockerfile") {
		return false // kustomize and others put another tag into a manifest
	}
	if u.ref.colon < 0 || u.ref.open || u.ref.tagEnd == u.ref.colon+1 || strings.ContainsRune(u.ref.f.s[u.ref.colon+1:u.ref.tagEnd], gap) {
		return false
	}
	if v.ref.colon >= 0 && strings.ContainsRune(v.ref.f.s[v.ref.colon+1:v.ref.tagEnd], gap) || v.ref.open {
		return v.stability() == uniqueTag
	}
	return tagOf(u) != tagOf(v)
}

// unknownName says whether a variable of unknown value is part of the name.
func unknownName(ref *reference) bool {
	for i := ref.sep + 1; i < ref.nameEnd; i++ {
		if h := ref.f.t[ref.f.piece[i]].hole; ref.f.s[i] == gap && h != unknown && !strings.HasPrefix(h, "CI_") {
			return true
		}
	}
	return false
}

// knownName says whether jobs give the variables of a name all their values,
// and no slash among them. An input of an include names such a variable before
// any job has set it.
func (r *run) knownName(ref *reference) bool {
	e := r.everyone()
	for i := ref.sep + 1; i < ref.nameEnd; i++ {
		h := ref.f.t[ref.f.piece[i]].hole
		if ref.f.s[i] != gap || strings.HasPrefix(h, "CI_") {
			continue
		}
		values, ok := e.lookup(h)
		if !ok || len(values) == 0 || slices.ContainsFunc(values, func(t text) bool { return strings.ContainsAny(t.String(), "/$") }) {
			return false
		}
	}
	return true
}

// replaced says whether a change takes the place of what a text is made of.
func replaced(t text, changes []change) bool {
	return touched(t, slices.DeleteFunc(slices.Clone(changes), func(c change) bool { return c.start == c.end }))
}

// touched says whether a change falls into what a text is made of.
func touched(t text, changes []change) bool {
	for _, p := range t {
		for _, c := range changes {
			if c.within(p.at) {
				return true
			}
		}
	}
	return false
}

// summary fills the lists of a result.
func (r *run) summary(res *Result) {
	cut := r.gone()
	refs, pushed, mapped := map[string]bool{}, map[string]bool{}, map[Mapped]bool{}
	dropped := map[string]bool{} // what is left of these is never pushed
	for u := range cut {
		if u.push {
			dropped[u.ref.String()] = true
		}
	}
	for _, u := range r.uses {
		ref := u.ref
		if !ref.own || ref.host || u.role == repositoryRole || u.role == unclearRole || ref.joined {
			continue
		}
		if u.role == textRole && ref.colon < 0 && ref.digest < 0 {
			continue
		}
		old := ref.String()
		if !refs[old] {
			refs[old] = true
			res.References = append(res.References, old)
		}
		if cut[u] {
			continue
		}
		target := u.target()
		if (u.push && r.onDefault(u) || r.pushedByCompose(u)) && !pushed[target] && !strings.Contains(beginnings.ReplaceAllString(target, ""), ":") && !u.spare() && !u.tagless() {
			pushed[target] = true
			res.PushedTags = append(res.PushedTags, target)
		}
		m := Mapped{Old: old, New: "$CI_REGISTRY_IMAGE:" + target}
		if ref.digest >= 0 && ref.colon < 0 { // a digest names the image in the one repository
			m.New = "$CI_REGISTRY_IMAGE" + ref.f.show(ref.digest, ref.end)
		}
		if u.bad == "" && (ref.sep >= 0 || u.retagged != "") && (u.retagged != "" || !dropped[old]) && !mapped[m] {
			mapped[m] = true
			res.Mapping = append(res.Mapping, m)
		}
	}
	sort.Strings(res.References)
	sort.Strings(res.PushedTags)
	sort.Slice(res.Mapping, func(i, j int) bool { return res.Mapping[i].Old < res.Mapping[j].Old })
}

// beginnings are variables of which only so many characters are taken.
var beginnings = regexp.MustCompile(`\$\{\w+:0:[0-9]+\}`)

// tagless says whether nothing stands behind the colon: a variable is empty on this way.
func (u *use) tagless() bool { return u.ref.colon >= 0 && u.ref.tagEnd == u.ref.colon+1 }

// onDefault says whether a job with this use may run in the pipeline of the
// default branch.
func (r *run) onDefault(u *use) bool {
	return slices.ContainsFunc(u.jobs(), func(j *job) bool {
		return j == nil && u.inPipeline() || j != nil && r.in.Project.runs(j)
	})
}

// prefixOf is naming.Prefix for a name that may hold variables.
func prefixOf(name string) string {
	if !strings.Contains(name, "$") {
		return naming.Prefix(name)
	}
	return strings.Trim(strings.ReplaceAll(name, "/", "-"), "-")
}
