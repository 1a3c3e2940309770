package ciconfig

import (
	"bytes"
	"fmt"
	"maps"
	"path"
	"slices"
	"sort"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// run is one look at a set of files: what they mean, and what has to change.
type run struct {
	in      *Input
	files   map[string]*source
	byBase  map[string][]*source // the editable ones by the last part of their paths
	cfg     *config
	uses    []*use
	seen    map[string]*use // uses by place, kind and origin
	byPlace *usesIndex      // see index
	visited map[string]bool // files that a job reads as a script or configuration
	looked  bool

	findings []Finding
	reported map[findingKey]int // their index in findings
	uncached map[span]bool      // builds of which it has been told that they lose caches

	after   []change
	cuts    []*use        // commands and flags to take out
	going   map[*use]bool // these, as far as they have been told; see isCut
	told    int
	dropped []*job

	jobs []*job
	now  *job // the job whose script is followed

	// What the look has seen of each subject, see seen.go.
	scriptsSeen
	dockerfilesSeen
	othersSeen
	variableFilesSeen
	composeSeen
	makeSeen
	skaffoldSeen
	bakeSeen
	chartsSeen
	filledSeen
	sedSeen
	partsSeen
	remoteSeen
	kustomize   kustomizing
	autoDeploys []span              // calls of auto-deploy
	jibNamed    bool                // a job names the image that Jib builds
	gitPushes   map[*job]bool       // jobs whose scripts push commits
	entries     map[string][]string // see imageEntries
	dockers     map[string]string   // see recordDocker, by the name of the job
	privileged  map[string]bool     // the same
	contained   map[string]bool     // jobs that are put into containers
	containedBy map[*yaml.Node]bool // see containedAll
	answers
}

type declared struct {
	function
	name string
	sh   *shell
}

// operation is a string operation on a value that names an image.
type operation struct {
	at     span
	value  text
	colon  bool // the value is a colon before a tag, which may get a prefix, and has to stay
	joined bool // what it took apart is one reference again, see rejoined
}

// newRun looks at files. Those that an earlier run has seen as they are, it takes
// over with all that was parsed of them.
func newRun(in *Input, earlier *run) *run {
	r := &run{
		in: in, files: map[string]*source{}, seen: map[string]*use{}, visited: map[string]bool{},
		reported: map[findingKey]int{}, uncached: map[span]bool{}, dockers: map[string]string{}, privileged: map[string]bool{}, gitPushes: map[*job]bool{},
		scriptsSeen: scriptsSeen{
			following: map[*source]bool{}, called: map[function]bool{}, assigned: map[string][]text{}, exported: map[string]bool{}, restarting: map[*job]bool{},
			lineOf: map[*chunk]line{}, followed: map[*chunk]bool{},
		},
		othersSeen: othersSeen{apart: map[string]bool{}, shared: map[span]bool{}},
		makeSeen:   makeSeen{recipes: map[span]bool{}, recipeOf: map[*chunk]span{}},
		partsSeen:  partsSeen{unseenPushed: map[string]bool{}},
		remoteSeen: remoteSeen{folders: map[string]bool{}, patterns: map[string]bool{}},
	}
	if earlier != nil {
		maps.Copy(r.files, earlier.files)
	}
	for _, f := range in.Files {
		if s := r.files[f.Path]; s == nil || !bytes.Equal(s.data, f.Content) {
			r.files[f.Path] = newSource(f.Path, f.Content, true)
		}
	}
	return r
}

// look evaluates everything, once: jobs, then the files that no job reads.
func (r *run) look() {
	if r.looked {
		return
	}
	r.looked = true
	if r.cfg == nil {
		r.cfg = load(r.in, r.files)
	}
	for _, p := range r.cfg.problems {
		r.report(p.code, p.at, p.detail)
	}
	r.cfg.handed = nil // what an earlier run has found, and what came of it
	for _, p := range r.cfg.pipelines() {
		p.passed, p.envs = nil, nil
	}
	used := r.cfg.extendedAnywhere()
	r.each(func() {
		jobs := r.cfg.jobs()
		r.jobs = append(r.jobs, jobs...)
		for _, d := range r.cfg.docs {
			r.visited[d.src.path] = true
		}
		for _, j := range r.cfg.writersFirst(jobs) {
			if !j.hidden {
				r.job(j)
				r.handOn(j)
			}
		}
	})
	r.each(func() {
		for _, j := range r.cfg.jobs() {
			if j.hidden && !used[j.own.node] && !r.referenced(j) {
				r.job(j)
				r.handOn(j)
			}
		}
	})
	r.each(func() {
		for _, j := range r.cfg.templates() {
			if r.overridden(j) {
				r.job(j)
			}
		}
	})
	r.joinSetParts()
	r.uncalled(0)
	r.now = nil
	r.each(r.includeInputs)
	r.documents()
	r.makefiles()
	r.localFiles()
	r.halfWritten()
	r.definitions()
	for _, p := range r.cfg.problems { // also those that came up on the way
		r.report(p.code, p.at, p.detail)
	}
}

// uncalled follows the functions that nobody calls, from one of them on.
func (r *run) uncalled(from int) {
	for i := from; i < len(r.functions); i++ {
		if f := r.functions[i]; !r.called[f.function] {
			r.called[f.function] = true
			f.sh.clone().stmt(f.ch, f.body)
		}
	}
}

// overridden says whether a template holds an image or a script that none of
// the jobs which extend it has kept. It is changed with the rest, so that a
// template does not teach the old names.
func (r *run) overridden(j *job) bool {
	if n, d := j.own.kid("image").nameNode(r.cfg); n != nil && !r.followed[r.cfg.scalar(d, n)] {
		return true
	}
	for _, key := range []string{"before_script", "script", "after_script"} {
		for _, l := range r.cfg.lines(j.own.kid(key)) {
			if ch := r.cfg.scalar(l.doc, l.node); ch != nil && !r.followed[ch] {
				return true
			}
		}
	}
	return false
}

// referenced says whether jobs have all of the image and the scripts of a template: what they
// take by !reference has been looked at with their own variables.
func (r *run) referenced(j *job) bool {
	has := j.own.kid("image") != nil
	for _, key := range []string{"before_script", "script", "after_script"} {
		has = has || len(r.cfg.lines(j.own.kid(key))) > 0
	}
	return has && !r.overridden(j)
}

// job evaluates all that a job says about images.
func (r *run) job(j *job) {
	r.now = j
	e := r.cfg.env(j.tree)
	r.imageOf(j, e, j.tree.kid("image"), "image")
	services, _ := r.cfg.services(j.tree.kid("services"))
	for _, t := range services {
		r.imageOf(j, e, t, "service")
	}
	sh := newShell(r, e)
	for _, key := range []string{"before_script", "script", "after_script"} {
		if key == "after_script" {
			sh = newShell(r, e)
		}
		if t := j.tree.kids[key]; t != nil && t.under != nil {
			r.replacedScripts(t, sh)
		}
		for _, l := range r.cfg.lines(j.tree.kid(key)) {
			if l.node.Kind == yaml.MappingNode {
				r.noText(j, l)
				continue
			}
			ch := r.cfg.scalar(l.doc, l.node)
			if ch == nil {
				continue
			}
			r.lineOf[ch] = l
			r.followed[ch] = true
			sh.script(ch)
		}
	}
	r.rest(j, e)
}

// replacedScripts evaluates what a job runs where a file that not all pipelines include does not
// give it another script: other ways, of which a pipeline takes one.
func (r *run) replacedScripts(t *tree, sh *shell) {
	ways := &syntax.Block{}
	for u := t.under; u != nil; u = u.under {
		b := sh.clone()
		b.arms = append(slices.Clip(sh.arms), arm{among: ways, one: &syntax.Stmt{}})
		for _, l := range r.cfg.lines(u) {
			if ch := r.cfg.scalar(l.doc, l.node); ch != nil && l.node.Kind == yaml.ScalarNode {
				r.lineOf[ch] = l
				r.followed[ch] = true
				b.script(ch)
			}
		}
	}
	sh.arms = append(slices.Clip(sh.arms), arm{among: ways, one: &syntax.Stmt{}})
}

// noText reports a line of a job's script that a colon and a space in it have made a
// mapping of: GitLab refuses the whole pipeline then.
// https://docs.gitlab.com/ci/yaml/script/#use-special-characters-with-script
func (r *run) noText(j *job, l line) {
	if j.hidden {
		return // GitLab does not look at it
	}
	at := l.doc.src.offset(l.node.Line, l.node.Column)
	r.report("yaml-invalid", span{l.doc.src, at, at}, j.name+": a line of its script is a mapping, for the colon and the space in it; put the line in quotes")
}

// imageOf evaluates the image of a job or of a service.
func (r *run) imageOf(j *job, e *env, t *tree, what string) {
	if t == nil {
		return
	}
	if t.kids != nil {
		t = t.kid("name")
	}
	if t == nil || t.node == nil {
		return
	}
	if t.node.Tag == "!reference" {
		r.imageOf(j, e, r.cfg.reference(t.node), what)
		return
	}
	ch := r.cfg.scalar(t.doc, t.node)
	if ch == nil {
		return
	}
	r.followed[ch] = true
	for _, v := range e.expand(ch, t.doc) {
		for _, ref := range r.references(v) {
			r.add(&use{ref: ref, at: ch.span(0, len(ch.text)), command: what, role: imageRole, expands: true, job: j})
		}
	}
}

// emptyBehindName says whether nothing stands behind a name that has moved into the tag.
func (ref *reference) emptyBehindName() bool {
	return ref.own && ref.sep < 0 && ref.colon >= 0 && ref.tagEnd == ref.end && ref.f.s[ref.end-1] == '-'
}

// add records a use once.
func (r *run) add(u *use) {
	if u.job == nil {
		u.job = r.now
	}
	if ref := u.ref; u.role == imageRole && (ref.end < len(ref.f.s) && strings.IndexByte("!~^*?+", ref.f.s[ref.end]) >= 0 || ref.end == ref.colon+1 || ref.emptyBehindName()) {
		ref.open = true // no image has such a name
	}
	if u.ref.host {
		if !u.ref.f.t[u.ref.f.piece[u.ref.start]].exact() {
			return // $CI_REGISTRY alone
		}
	}
	key := u.command + "\x00" + u.ref.f.key() + "\x00" + string(rune(u.ref.start)) + string(rune(u.at.start))
	if u.at.src != nil {
		key += u.at.src.path
	}
	key += u.conditions() // another job may take the same value by itself
	first := r.seen[key]
	if first != nil && first.job != u.job && !slices.Equal(first.arms, u.arms) { // it gets there on another way
		for _, a := range u.arms {
			key += fmt.Sprintf("\x00%p%p%s", a.among, a.one, a.asked)
		}
		key += "\x00"
		first = r.seen[key]
	}
	if first != nil {
		first.ref.f.t.loosens(u.ref.f.t)
		if u.job != first.job && !slices.Contains(first.also, u.job) {
			first.also = append(first.also, u.job)
		}
		return
	}
	if len(r.uses) > 2*maxUses {
		return // too many already, so that none is changed
	}
	r.seen[key] = u
	r.uses = append(r.uses, u)
}

// find is the file of the repository that a script names.
func (r *run) find(name string) *source {
	name = strings.TrimPrefix(name, "${CI_PROJECT_DIR}/")
	name = strings.TrimPrefix(name, "$(…)/")
	if s := r.files[path.Clean(name)]; s != nil && s.editable {
		return s
	}
	if strings.HasPrefix(name, "/") || strings.Contains(name, "$") {
		return nil
	}
	// A script may run after a cd; an unambiguous ending is good enough.
	want := "/" + path.Clean(strings.TrimLeft(name, "./"))
	if r.byBase == nil {
		r.byBase = map[string][]*source{}
		for p, s := range r.files {
			if base := path.Base(p); s.editable {
				r.byBase[base] = append(r.byBase[base], s)
			}
		}
	}
	var hit *source
	for _, s := range r.byBase[path.Base(want)] {
		if strings.HasSuffix("/"+s.path, want) {
			if hit != nil {
				return nil
			}
			hit = s
		}
	}
	return hit
}

// assignment looks at what a script assigns: a value with a tag is a complete
// reference wherever it is used, and the bare repository is written out for nobody else.
func (r *run) assignment(sh *shell, name string, vals []text, at span) {
	for _, v := range vals {
		for _, ref := range r.references(v) {
			if ref.own && (ref.colon >= 0 || ref.digest >= 0 || r.now != nil && ref.sep < 0 && !ref.joined && !ref.baseIsVariable) || !ref.own && !ref.host {
				r.add(&use{ref: ref, at: at, command: "variable", role: textRole, shell: true, expands: true, away: sh.away && !sh.local})
			}
		}
	}
}

// rest looks at the other keys of a job that may carry a reference.
func (r *run) rest(j *job, e *env) {
	for _, key := range []string{"environment", "trigger", "release", "pages"} {
		if t := j.tree.kid(key); t != nil && !(key == "trigger" && r.cfg.followed(j)) {
			r.scalars(t, e, key, 0)
		}
	}
}

func (r *run) scalars(t *tree, e *env, what string, depth int) {
	if t == nil || depth > 8 {
		return
	}
	for _, k := range t.keys {
		r.scalars(t.kids[k], e, what, depth+1)
	}
	if t.kids != nil || t.node == nil {
		return
	}
	for _, n := range items(t.node) {
		if n = deref(n); n == nil || n.Value == "" {
			continue
		}
		ch := r.cfg.scalar(t.doc, n)
		if ch == nil {
			continue
		}
		for _, v := range e.expand(ch, t.doc) {
			for _, ref := range r.references(v) {
				u := &use{ref: ref, at: ch.span(0, len(ch.text)), command: what, role: unclearRole, expands: true}
				if what == "release" { // for people
					u.role = textRole
				}
				r.add(u)
			}
		}
	}
}

func sortUses(uses []*use) {
	sort.SliceStable(uses, func(i, j int) bool {
		a, b := uses[i].at, uses[j].at
		if a.src != b.src && a.src != nil && b.src != nil {
			return a.src.path < b.src.path
		}
		return a.start < b.start
	})
}
