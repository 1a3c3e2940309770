package ciconfig

import (
	"path"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// In kustomize the old name of an image is a key: what stands under name, or
// before the equals sign of a command, is looked for in the resources and is
// never pulled. It has to stay the name that the resources write.
// https://kubectl.docs.kubernetes.io/references/kustomize/kustomization/images/

// kustomizing are the keys that scripts set, and which kustomization reads what.
type kustomizing struct {
	set     map[string]map[inFolder]bool // keys to which scripts give a new name
	builds  map[string]map[*job]bool     // folders that jobs build
	written map[span]string              // what is put in for a key, and where
	known   bool
	files   []*kustomization
}

// inFolder is where a job, nil for a script that no job is seen to run, works on a
// kustomization: its folder, "" for the top of the checkout or one that is not known.
type inFolder struct {
	dir string
	job *job
}

// kustomization is one kustomization file.
type kustomization struct {
	path    string
	renames map[string]bool   // keys with a newName
	keys    map[string]string // by newName
	reads   map[string]bool   // all files below it, itself included
	inner   bool              // another one reads it
}

// setsImage says whether an argument of a command sets an image by its key, and how long
// the flag is that is joined to it: kustomize edit set image, or Argo CD's way to do so.
// https://argo-cd.readthedocs.io/en/stable/user-guide/commands/argocd_app_set/
func setsImage(lits []string, i int) (flag int, yes bool) {
	switch lits[0] {
	case "kustomize":
		var words []string
		for _, l := range lits[1:] {
			if !strings.HasPrefix(l, "-") {
				words = append(words, l)
			}
		}
		return 0, len(words) > 3 && slices.Equal(words[:3], []string{"edit", "set", "image"})
	case "argocd":
		const name = "--kustomize-image"
		if strings.HasPrefix(lits[i], name+"=") {
			return len(name) + 1, true
		}
		return 0, lits[i-1] == name
	}
	return 0, false
}

// imageKey handles a reference in an argument that sets an image by its key, behind a
// flag. It says whether the reference is a key and no image.
//
//	$B/api=$B/api:$T  ->  registry.uninett.no/group/app/api=$B:api-$T
//	$B/api:$T         ->  registry.uninett.no/group/app/api=$B:api-$T
//	$B/api=*:$T       ->  registry.uninett.no/group/app/api=$B:api-$T
func (r *run) imageKey(u *use, flag int, dir string) bool {
	if u.lits[0] != "kustomize" {
		dir = ""
	}
	where := inFolder{dir, r.now}
	ref := u.ref
	f := ref.f
	if !ref.own || ref.host || ref.joined {
		return false
	}
	equals := strings.IndexByte(f.s[flag:], '=')
	if equals >= 0 {
		equals += flag
	}
	switch {
	case equals >= ref.end:
		r.kustomize.sets(f.show(ref.start, ref.nameEnd), where)
		r.literalKey(u)
		r.keepsName(u, equals+1)
		return true
	case equals >= 0:
		r.kustomize.sets(f.show(flag, equals), where)
		if (ref.colon < 0 || f.s[ref.nameEnd:] == ":*") && ref.digest < 0 && ref.sep >= 0 {
			u.bad = "tag-elsewhere" // the tag is the one in the kustomization or the resource
		}
		return false
	}
	r.kustomize.sets(f.show(ref.start, ref.nameEnd), where)
	if key, ok := r.oldName(ref); ok && ref.start == flag {
		at := f.t[f.piece[flag]].outer()
		if s, ok := f.at(flag); ok && len(f.via(flag)) == 0 {
			at = s
		}
		at.end = at.start
		r.putKey(u, change{span: at, with: key + "="})
	} else {
		u.bad = "name-unknown"
	}
	return false
}

// keepsName writes out the image where a star, or nothing, says that it keeps the name of
// its key and gets another tag or digest.
func (r *run) keepsName(u *use, from int) {
	f, with := u.ref.f, "$CI_REGISTRY_IMAGE"
	joint := from
	if strings.HasPrefix(f.s[from:], "*") {
		joint++
	}
	switch {
	case strings.HasPrefix(f.s[joint:], ":"):
		with += ":"
		r.keyedTag(u, joint+1)
	case strings.HasPrefix(f.s[joint:], "@"):
		with += "@"
	default:
		return
	}
	begin, ok := f.at(from)
	end, known := f.at(joint)
	if !ok || !known || begin.src != end.src || len(f.via(from))+len(f.via(joint)) > 0 {
		r.report("name-unknown", u.place(), u.ref.String())
		return
	}
	if f.t[f.piece[from]].single {
		with = begin.src.encoded(begin.start, `'"`+with+`"'`)
	}
	r.putKey(u, change{span: span{begin.src, begin.start, end.end}, with: with})
}

// keyedTag records the tag that a command gives the image of a key, whose name comes before
// it where the image has one.
func (r *run) keyedTag(u *use, from int) {
	f := u.ref.f
	whole := append(append(f.cut(u.ref.start, u.ref.nameEnd), piece{text: ":"}), f.cut(from, len(f.s))...)
	for _, ref := range r.references(whole) {
		tagged := *u
		tagged.ref, tagged.role, tagged.keyed, tagged.bare = ref, imageRole, true, ref.sep >= 0
		r.add(&tagged)
	}
}

// keepsTag says whether kustomize gives an image a name, and the tag stays that of a file: NAME=$B:*
func (u *use) keepsTag() bool {
	if u.lits == nil || u.lits[0] != "kustomize" || u.keyed {
		return false
	}
	_, sets := setsImage(u.lits, u.arg)
	return sets && u.ref.digest < 0 && (u.ref.colon < 0 || u.ref.tagEnd == u.ref.colon+1)
}

func (k *kustomizing) sets(key string, where inFolder) {
	if k.set == nil {
		k.set = map[string]map[inFolder]bool{}
	}
	if k.set[key] == nil {
		k.set[key] = map[inFolder]bool{}
	}
	k.set[key][where] = true
}

// isSet says whether a job, nil for any, gives a key of a kustomization a new name.
func (k *kustomizing) isSet(key, kustomization string, by *job) bool {
	set, dir := k.set[key], folderOf(kustomization)
	if by == nil {
		for s := range set {
			if s.dir == "" || s.dir == dir {
				return true
			}
		}
	}
	return set[inFolder{dir, by}] || set[inFolder{dir, nil}] || set[inFolder{"", by}] || set[inFolder{"", nil}]
}

// folderOf is the folder of a file, "" for the top of the checkout.
func folderOf(file string) string { return strings.TrimPrefix(path.Dir(file), ".") }

// recordKustomized remembers which kustomization a command builds.
func (r *run) recordKustomized(sh *shell, lits []string) {
	var words []string
	for _, l := range lits[1:] {
		if !strings.HasPrefix(l, "-") {
			words = append(words, l)
		}
	}
	dir, built := "", false
	switch lits[0] {
	case "kustomize":
		built = len(words) > 0 && words[0] == "build"
		dir = append(words, "", "")[1]
	case "kubectl", "oc":
		if built = len(words) > 0 && words[0] == "kustomize"; built {
			dir = append(words, "", "")[1]
		}
		for i, l := range lits {
			if word, joined := strings.CutPrefix(l, "--kustomize="); joined {
				dir, built = word, true
			} else if (l == "-k" || l == "--kustomize") && i+1 < len(lits) {
				dir, built = lits[i+1], true
			}
		}
	}
	if built && !strings.Contains(dir, "$") {
		at := gone(sh.dir, dir)
		if r.kustomize.builds == nil {
			r.kustomize.builds = map[string]map[*job]bool{}
		}
		if r.kustomize.builds[at] == nil {
			r.kustomize.builds[at] = map[*job]bool{}
		}
		r.kustomize.builds[at][r.now] = true
	}
}

// setByBuilders says whether each job that is seen to build what reads a kustomization gives
// one of its keys a new name, or, where none is, whether any script does.
func (r *run) setByBuilders(key, kustomization string) bool {
	seen := false
	for _, k := range r.kustomizations() {
		if !k.reads[kustomization] {
			continue
		}
		for by := range r.kustomize.builds[folderOf(k.path)] {
			seen = true
			if !r.kustomize.isSet(key, kustomization, by) {
				return false
			}
		}
	}
	return seen || r.kustomize.isSet(key, kustomization, nil)
}

// literalKey writes the old registry out where a variable names it: the
// variable gets another value, and the resources keep the old name.
func (r *run) literalKey(u *use) {
	f := u.ref.f
	first := f.t[f.piece[u.ref.start]]
	if first.hole == "" && len(first.via) == 0 {
		return
	}
	at, end := first.outer(), u.ref.start
	for end < len(f.s) && f.t[f.piece[end]].outer() == at {
		end++
	}
	if end > u.ref.nameEnd || strings.ContainsRune(f.s[u.ref.start:end], gap) {
		r.report("name-unknown", u.place(), u.ref.String())
		return
	}
	r.putKey(u, change{span: at, with: f.s[u.ref.start:end]})
}

// putKey makes a change unless another value of the same word wants another one.
func (r *run) putKey(u *use, c change) {
	if c.src == nil || !c.src.editable {
		r.report("in-template", u.place(), u.ref.String())
		return
	}
	k := &r.kustomize
	if was, ok := k.written[c.span]; ok {
		if was != c.with {
			r.report("uses-disagree", u.place(), u.ref.String())
		}
		return
	}
	if k.written == nil {
		k.written = map[span]string{}
	}
	k.written[c.span] = c.with
	r.after = append(r.after, c)
}

// oldName is the name of an image in the old registry, with the variables in it
// as they are written.
func (r *run) oldName(ref *reference) (string, bool) {
	f := ref.f
	var b strings.Builder
	b.WriteString(f.s[ref.start:ref.base])
	base := f.via(ref.base - 1)
	for i := ref.base; i < ref.nameEnd; {
		p := f.t[f.piece[i]]
		if above(p.via, base) {
			if p.hole == unknown {
				return "", false
			}
			if p.hole != "" {
				b.WriteString("${" + p.hole + "}")
			} else {
				b.WriteByte(f.s[i])
			}
			i++
			continue
		}
		at := p.via[len(commonVia(p.via, base))]
		b.WriteString(at.text())
		for i < ref.nameEnd && slices.Contains(f.via(i), at) {
			i++
		}
	}
	return b.String(), !strings.ContainsRune(b.String(), gap)
}

func isKustomization(p string) bool {
	switch path.Base(untemplated(p)) {
	case "kustomization.yaml", "kustomization.yml", "Kustomization":
		return true
	}
	return false
}

// keys looks at the images of a kustomization. It returns the nodes that name
// no image of their own: keys with a new name beside them, and what a command
// replaces.
func (r *run) keys(s *source, root *yaml.Node) []*yaml.Node {
	list := child(deref(root), "images")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var out []*yaml.Node
	for _, n := range list.Content {
		n = deref(n)
		name, renamed := child(n, "name"), child(n, "newName")
		if name == nil || name.Kind != yaml.ScalarNode {
			continue
		}
		set := r.setByBuilders(name.Value, s.path)
		switch ch := s.scalar(name); {
		case ch == nil:
		case strings.Contains(name.Value, "CI_REGISTRY"):
			r.report("name-unknown", ch.span(0, len(ch.text)), name.Value)
			out = append(out, name)
		case set || renamed != nil:
			out = append(out, name)
		}
		if set && renamed != nil {
			out = append(out, renamed)
		}
	}
	return out
}

// replacing says which of the kustomizations that read a file give the image that stands there
// a new name, so that it is only what it is found by.
type replacing struct {
	some  bool // one does
	built bool // all that jobs are seen to build, of which there are some
	all   bool // and all others
}

// replaced looks at the kustomizations for a literal behind a key.
func (r *run) replaced(key string, s *source, ref *reference) (by replacing) {
	if key != "image" || ref.start > 0 || !ref.own || ref.end < len(ref.f.s) || !literalBase(ref) {
		return by
	}
	name := ref.f.show(ref.start, ref.nameEnd)
	found, seen, missed, left := false, false, false, false
	for _, k := range r.kustomizations() {
		builders := r.kustomize.builds[folderOf(k.path)]
		if !k.reads[s.path] || k.inner && builders == nil {
			continue
		}
		found, seen = true, seen || builders != nil
		jobs := builders
		if jobs == nil {
			jobs = map[*job]bool{nil: true}
		}
		for j := range jobs {
			renames := slices.ContainsFunc(r.kustomize.files, func(l *kustomization) bool {
				return k.reads[l.path] && l.reads[s.path] && (l.renames[name] || r.kustomize.isSet(name, l.path, j))
			})
			by.some = by.some || renames
			missed = missed || !renames && builders != nil
			left = left || !renames
		}
	}
	return replacing{by.some, seen && !missed, found && !left}
}

// kustomizations reads the kustomization files, once.
func (r *run) kustomizations() []*kustomization {
	if r.kustomize.known {
		return r.kustomize.files
	}
	r.kustomize.known = true
	below := map[string][]string{}
	for _, f := range r.in.Files {
		if !isKustomization(f.Path) {
			continue
		}
		docs, err := r.files[f.Path].documents()
		if err != nil || len(docs) == 0 {
			continue
		}
		root := deref(docs[0])
		k := &kustomization{path: f.Path, renames: map[string]bool{}, keys: map[string]string{}, reads: map[string]bool{}}
		for _, key := range []string{"resources", "bases", "components", "patchesStrategicMerge"} {
			for _, n := range items(child(root, key)) {
				if n = deref(n); n == nil || n.Kind != yaml.ScalarNode {
					continue
				}
				to := path.Join(path.Dir(f.Path), n.Value)
				below[f.Path] = append(below[f.Path], to, to+"/kustomization.yaml", to+"/kustomization.yml", to+"/Kustomization")
			}
		}
		for _, n := range items(child(root, "images")) {
			if name, renamed := child(deref(n), "name"), child(deref(n), "newName"); name != nil && renamed != nil {
				k.renames[name.Value], k.keys[renamed.Value] = true, name.Value
			}
		}
		r.kustomize.files = append(r.kustomize.files, k)
	}
	for _, k := range r.kustomize.files {
		todo := []string{k.path}
		for len(todo) > 0 {
			p := todo[len(todo)-1]
			todo = todo[:len(todo)-1]
			if !k.reads[p] {
				k.reads[p] = true
				todo = append(todo, below[p]...)
			}
		}
	}
	for _, k := range r.kustomize.files {
		k.inner = slices.ContainsFunc(r.kustomize.files, func(l *kustomization) bool { return l != k && l.reads[k.path] })
	}
	return r.kustomize.files
}
