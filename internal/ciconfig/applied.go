package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Nobody puts variables into a manifest that kubectl applies as it is, so an image that
// it writes out cannot become $CI_REGISTRY_IMAGE by itself. Where only commands of jobs
// read it, which find the image that their pipeline pushes, it takes the variables, and
// the jobs put them in:
//
//	kubectl apply -f api.yaml
//	->  sed "s|\$CI_REGISTRY_IMAGE|$CI_REGISTRY_IMAGE|" api.yaml | kubectl apply -f -
//	kubectl apply -f k8s/
//	->  sed -i "s|\$CI_REGISTRY_IMAGE|$CI_REGISTRY_IMAGE|" k8s/api.yaml; kubectl apply -f k8s/

// applying is a command that applies a file or a folder of the repository.
type applying struct {
	job  *job
	at   span   // the command
	word string // what it applies, as it stands there
	arg  span   // where, with the flag that is joined to it
	flag string // this flag
	one  bool   // it applies nothing else
	path string // the same in the repository, "" where that is not known
	open bool   // no command can be put before it
	only bool   // it wants no more than the names in the file
	deep bool   // and the folders in it

	sed    bool // it is sed, which changes the file before; arg is its script
	behind bool // which stands behind -e
}

// plainPath is a path that a shell takes as it stands.
var plainPath = regexp.MustCompile(`^[A-Za-z0-9_./-]+$`)

// recordApplied remembers what kubectl applies.
func (r *run) recordApplied(sh *shell, c *command, lits []string) {
	if lits[0] != "kubectl" && lits[0] != "oc" {
		return
	}
	only := slices.Contains(lits, "delete")
	if !only && !slices.ContainsFunc(lits, func(l string) bool { return l == "apply" || l == "create" || l == "replace" }) {
		return
	}
	deep := slices.ContainsFunc(lits, func(l string) bool { return l == "--recursive" || l == "--recursive=true" || deepFlag.MatchString(l) })
	first := len(r.applied)
	for i, l := range lits {
		const long = "--filename="
		word, joined := strings.CutPrefix(l, long)
		a := applying{job: r.now, at: c.at, only: only, deep: deep, one: len(c.reads)+len(c.input) == 0}
		k := slices.Index(c.pos, i)
		switch {
		case joined:
			a.flag = long
		case i+1 < len(lits) && (l == "--filename" || shortFile.MatchString(l)):
			k, word = slices.Index(c.pos, i+1), lits[i+1]
		default:
			continue
		}
		if k < 0 || word == "-" || strings.Contains(word, "://") {
			continue
		}
		a.word, a.arg = word, c.argSpan(k)
		_, line := r.lineOf[c.ch]
		a.open = !line || r.now == nil || sh.away || !c.at.src.editable
		plain := strings.NewReplacer(`"`, "", "'", "", `\`, "").Replace(a.arg.text()) == a.flag+word
		if plain && plainPath.MatchString(word) && !strings.HasPrefix(word, "/") {
			a.path = path.Join(sh.dir, word)
		}
		r.applied = append(r.applied, a)
	}
	several := len(r.applied) > first+1
	for i := range r.applied[first:] {
		a := &r.applied[first+i]
		a.one = a.one && !several && r.files[a.path] != nil
		a.open = a.open || !a.one && !beginsLine(c.ch.text[:c.call.Pos().Offset()])
	}
}

// shortFile is -f, also behind other short flags, and deepFlag -R: -Rf.
var (
	shortFile = regexp.MustCompile(`^-[A-Za-z]*f$`)
	deepFlag  = regexp.MustCompile(`^-[A-Za-z]*R[A-Za-z]*$`)
)

// reads says whether a command applies a file.
func (a applying) reads(p string) bool {
	return a.path == p || a.path == path.Dir(p) || a.deep && (a.path == "." || strings.HasPrefix(p, a.path+"/"))
}

// beginsLine says whether a command that follows text is the first of its line, and the
// line no rest of the one before.
func beginsLine(before string) bool {
	before = strings.TrimRight(before, " \t")
	if before == "" {
		return true
	}
	if !strings.HasSuffix(before, "\n") {
		return false
	}
	before = strings.TrimRight(before, " \t\r\n")
	return !strings.HasSuffix(before, `\`) && !strings.HasSuffix(before, "|") && !strings.HasSuffix(before, "&&")
}

// appliedBy are the commands that apply a manifest, where nothing else reads it and each
// of them can be told to fill it in.
func (r *run) appliedBy(s *source) []applying {
	if !r.isManifest(s.path) || bytes.Contains(s.data, []byte("$CI_")) || r.inMakefiles(s.path, false) || r.gitops() {
		return nil
	}
	for _, k := range r.kustomizations() {
		if k.reads[s.path] || path.Dir(k.path) == path.Dir(s.path) {
			return nil
		}
	}
	out, ok := r.filledBySed(s)
	if !ok {
		return nil
	}
	for _, a := range r.applied {
		switch {
		case a.path == "": // it may be this one
			return nil
		case !a.reads(s.path), a.only:
		case slices.ContainsFunc(out, func(e applying) bool { return e.sed && e.job == a.job }):
		case a.open:
			return nil
		default:
			out = append(out, a)
		}
	}
	if r.namedBeside(s) || len(out) > 0 && r.amongOthers(s.path) {
		return nil
	}
	return out
}

// gitops says whether something outside of the pipelines applies files of the repository.
func (r *run) gitops() bool {
	if r.syncedBy == nil {
		is := slices.ContainsFunc(r.in.Files, func(f File) bool {
			return isYAML(f.Path) && (bytes.Contains(f.Content, []byte("argoproj.io/")) || bytes.Contains(f.Content, []byte("fluxcd.io/"))) ||
				strings.HasPrefix(f.Path, ".gitlab/agents/") && bytes.Contains(f.Content, []byte("gitops"))
		})
		r.syncedBy = &is
	}
	return *r.syncedBy
}

// synced says whether an application of Argo CD, or a kustomization of Flux, has a file: it
// is read from the repository as it is, and nobody puts variables in.
// https://argo-cd.readthedocs.io/en/stable/user-guide/application-specification/
// https://fluxcd.io/flux/components/kustomize/kustomizations/
func (r *run) synced(p string) bool {
	return slices.ContainsFunc(r.syncedFolders(), func(dir string) bool {
		return dir == "" || strings.HasPrefix(p, dir+"/") || slices.ContainsFunc(r.kustomizations(), func(k *kustomization) bool {
			return path.Dir(k.path) == dir && k.reads[p]
		})
	})
}

// syncedFolders are the folders that such files name; of a pattern the folder before it.
func (r *run) syncedFolders() []string {
	if r.syncs != nil {
		return r.syncs
	}
	r.syncs = []string{}
	for _, f := range r.in.Files {
		if !isYAML(f.Path) || !bytes.Contains(f.Content, []byte("argoproj.io/")) && !bytes.Contains(f.Content, []byte("fluxcd.io/")) {
			continue
		}
		docs, _ := r.files[f.Path].documents()
		for _, doc := range docs {
			kind, version := child(doc, "kind"), child(doc, "apiVersion")
			if kind == nil || version == nil {
				continue
			}
			switch _, group, _ := strings.Cut(version.Value, "."); {
			case strings.HasPrefix(version.Value, "argoproj.io/") && strings.HasPrefix(kind.Value, "Application"):
			case strings.HasPrefix(group, "toolkit.fluxcd.io/") && kind.Value == "Kustomization":
			default:
				continue
			}
			r.syncs = append(r.syncs, pathsIn(doc, 0)...)
		}
	}
	return r.syncs
}

// pathsIn are the folders of the repository under the keys called path.
func pathsIn(n *yaml.Node, depth int) (out []string) {
	if n = deref(n); n == nil || depth > maxDepth {
		return nil
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 && n.Content[i-1].Value == "path" && c.Kind == yaml.ScalarNode {
			before, _, open := strings.Cut(strings.ReplaceAll(c.Value, "{", "*"), "*")
			dir := path.Clean("/" + before)
			if open {
				dir = path.Dir("/" + before + "x")
			}
			if dir != "/" || !open {
				out = append(out, strings.TrimPrefix(dir, "/"))
			}
			continue
		}
		out = append(out, pathsIn(c, depth+1)...)
	}
	return out
}

// namedBeside says whether a file is named outside of the commands that apply it, and of
// comments.
func (r *run) namedBeside(s *source) bool {
	name := []byte(path.Base(s.path))
	for _, f := range r.in.Files {
		from := r.files[f.Path]
		if from == s || prose(f.Path) {
			continue
		}
		for at := 0; ; at += len(name) {
			i := bytes.Index(f.Content[at:], name)
			if i < 0 {
				break
			}
			at += i
			start, _ := from.line(at)
			if bytes.HasPrefix(bytes.TrimSpace(f.Content[start:at+1]), []byte("#")) {
				continue
			}
			there := span{from, at, at}
			if !slices.ContainsFunc(r.applied, func(a applying) bool { return a.reads(s.path) && there.within(a.at) }) && !slices.ContainsFunc(r.sedEdits, func(e sedEdit) bool { return e.src == s && there.within(e.at) }) {
				return true
			}
		}
	}
	return false
}

// takes says whether an image in a manifest is filled in by the jobs that apply it.
func (u *use) takes(by []applying) {
	if len(by) == 0 || !u.ref.own || u.ref.host || u.overruled {
		return
	}
	u.applied, u.expands, u.filled = by, true, true
	for _, a := range by {
		if u.job == nil {
			u.job = a.job
		} else if a.job != u.job && !slices.Contains(u.also, a.job) {
			u.also = append(u.also, a.job)
		}
	}
}

// notFilled leaves a manifest as it is where a tag that moves has found no other in the
// pipelines that apply it.
func (r *run) notFilled() {
	for _, u := range r.uses {
		if u.applied != nil && u.bad == "" && (u.stability() == movingTag && u.retagged == "" || slices.ContainsFunc(u.filling(r.after), func(n string) bool { return strings.Contains(n, "{") || r.sedTakes(u.at.src, n) })) {
			u.bad = "literal-in-file"
		}
	}
}

// variableIn is a variable in a change.
var variableIn = regexp.MustCompile(`\$(?:[A-Za-z_][A-Za-z0-9_]*|\{[^}]*\})`)

// filling are the variables that changes put into the manifest of a use.
func (u *use) filling(changes []change) (names []string) {
	for _, c := range slices.Concat(u.changes, changes) {
		if !c.within(u.at) {
			continue
		}
		for _, n := range variableIn.FindAllString(c.with, -1) {
			if !slices.Contains(names, n) {
				names = append(names, n)
			}
		}
	}
	return names
}

// fillIn lets the commands that apply manifests put in the variables which those take now.
func (r *run) fillIn(changes []change) (out []change) {
	names, files := map[span][]string{}, map[span][]string{}
	piped, seds := map[span]applying{}, map[span]applying{}
	var order []span
	for _, u := range r.uses {
		if u.applied == nil || u.bad != "" {
			continue
		}
		for _, a := range u.applied {
			for _, n := range u.filling(changes) {
				if !slices.Contains(names[a.at], n) {
					names[a.at] = append(names[a.at], n)
				}
			}
			file := a.word
			if a.sed {
				seds[a.at] = a
			}
			if rest := strings.TrimPrefix(u.at.path(), a.path+"/"); a.path != u.at.path() {
				file = strings.TrimSuffix(a.word, "/") + "/" + rest
			}
			if a.one {
				piped[a.at] = a
			}
			if !slices.Contains(order, a.at) {
				order = append(order, a.at)
			}
			if !slices.Contains(files[a.at], file) {
				files[a.at] = append(files[a.at], file)
			}
		}
	}
	for _, at := range order {
		if len(names[at]) == 0 {
			continue
		}
		with := "sed -i " + sedFor(names[at], files[at]) + "; "
		if a, ok := piped[at]; ok {
			with = "sed " + sedFor(names[at], files[at]) + " | "
			out = append(out, change{span: a.arg, with: a.flag + "-"})
		}
		place := at
		if a, ok := seds[at]; ok {
			place, with = a.arg, sedFor(names[at], nil)+"-e "
			if !a.behind {
				with = "-e " + with
			}
		}
		place.end = place.start
		out = append(out, change{span: place, with: at.src.encoded(place.start, with)})
		r.report("manifest-filled", at, strings.Join(files[at], ", "))
	}
	return out
}

// sedFor are the arguments by which sed puts variables into files, each where its own
// name stands.
func sedFor(names, files []string) string {
	var parts []string
	for _, n := range names {
		parts = append(parts, `s|\`+n+"|"+n+"|")
	}
	return `"` + strings.Join(parts, "; ") + `" ` + strings.Join(files, " ")
}
