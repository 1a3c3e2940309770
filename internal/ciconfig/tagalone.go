package ciconfig

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A pipeline may hand on the tag of an image alone: to a chart or a repository of
// manifests, to another pipeline, to a script on a server. What takes it joins it to a
// repository that names the image. Where the name has moved into the tag, that is no
// image which the pipeline pushes any more, and nothing in the files shows it.

// handedTag is a text that may hand on a tag.
type handedTag struct {
	at    span
	text  string // with holes as traced writes them
	keyed bool   // where a word before it speaks of a tag
}

// handTag remembers a text that leaves the job.
func (r *run) handTag(at span, t text, keyed bool) {
	r.handedTags = append(r.handedTags, handedTag{at, t.traced(), keyed})
}

// handTags remembers the words of a command that runs on another machine.
func (r *run) handTags(at span, args []text) {
	for _, a := range args {
		r.handTag(at, a, false)
	}
}

// traced renders a text as String does, but for what commands print, which is told apart
// by a sum of the command: the same one prints the same tag in another job.
func (t text) traced() string {
	if !t.uncertain() {
		return t.String()
	}
	named := slices.Clone(t)
	for i, p := range named {
		if p.hole == unknown && p.at.src != nil {
			named[i] = piece{text: fmt.Sprintf("$(%08x)", crc32.ChecksumIEEE([]byte(p.at.text())))}
		}
	}
	return named.String()
}

// traced is a part of a flattened text in the same way.
func (f *flat) traced(i, j int) string {
	var t text
	for k := i; k < j; k++ {
		p := f.t[f.piece[k]]
		if f.s[k] != gap {
			p = piece{text: f.s[k : k+1]}
		}
		t = append(t, p)
	}
	return t.traced()
}

// deployers are commands that hand values to something which is not in the files.
var deployers = map[string]bool{
	"ansible": true, "ansible-playbook": true, "argocd": true, "curl": true, "flux": true, "helmfile": true, "jq": true, "nomad": true,
	"sed": true, "terraform": true, "terragrunt": true, "tofu": true, "wget": true, "yq": true,
}

// recordTags remembers what a command hands on. helm's charts that are in the repository
// are looked at by themselves.
func (r *run) recordTags(sh *shell, c *command, lits []string) {
	if !deployers[lits[0]] && (lits[0] != "helm" || slices.ContainsFunc(lits[1:], func(l string) bool {
		return r.files[path.Join(path.Clean(strings.TrimPrefix(l, "${CI_PROJECT_DIR}/")), "Chart.yaml")] != nil
	})) || slices.ContainsFunc(c.args, r.mentions) {
		return
	}
	for i, a := range c.args[1:] {
		at := c.argSpan(i + 1)
		r.handTag(at, a, true)
		if !a.has('(') {
			continue
		}
		for _, m := range takesEnv.FindAllStringSubmatch(a.String(), -1) {
			vals, _ := sh.lookup(m[1])
			for _, v := range expanded(vals, m[1], at, false) {
				r.handTag(at, append(text{{text: "tag="}}, v...), true)
			}
		}
	}
}

var (
	ofATrigger = regexp.MustCompile(`\bvariables\[[^\[\]]*\]["'\\]*=["'\\]*$`) // of the request that triggers a pipeline
	ofTag      = regexp.MustCompile(`(?i)tag["'\]\\]*\s*[:=][\s"'\\]*$`)
	takesEnv   = regexp.MustCompile(`(?i)tag["'\]\\]*\s*[:=]\s*(?:str)?env\(\s*["']?([A-Za-z_][A-Za-z0-9_]*)`)
	wordBefore = regexp.MustCompile(`(?:^|[\s="'])$`)
	setBefore  = regexp.MustCompile(`([A-Za-z_][A-Za-z0-9_]*)=["'\\]*$`)
	eachTime   = regexp.MustCompile(`(?i)sha|pipeline|tag|version`)
	behindATag = regexp.MustCompile(`^[\w.-]`)
)

// tagsAlone reports the tags that are handed on alone.
func (r *run) tagsAlone() {
	if len(r.handedTags)+len(r.sedsElsewhere)+len(r.unseen) == 0 {
		return
	}
	images, read := map[string][]string{}, map[string]bool{}
	known := map[string]bool{}    // images of which the place that lacks its tag is reported
	reported := map[string]bool{} // their tags
	for _, u := range r.uses {
		if u.ref.own && u.bad == "tag-elsewhere" {
			known[u.ref.name()] = true
		}
	}
	for _, u := range r.uses {
		if !u.ref.own || u.ref.sep < 0 || u.ref.colon < 0 || u.bad != "" || u.settled {
			continue
		}
		for i := u.ref.colon + 1; i < u.ref.tagEnd && (u.job == nil || u.document || u.away); i++ {
			for _, s := range u.ref.f.via(i) {
				read[expandedName(s)] = true
			}
			read[u.ref.f.t[u.ref.f.piece[i]].hole] = true
		}
		tag := u.ref.f.traced(u.ref.colon+1, u.ref.tagEnd)
		reported[tag] = reported[tag] || known[u.ref.name()]
		perBuild := strings.Contains(tag, "$(") || strings.Contains(tag, "${") && (eachTime.MatchString(tag) || r.gitTag(u))
		if u.push && u.style != thirdStyle && perBuild && !slices.Contains(images[tag], u.ref.String()) {
			images[tag] = append(images[tag], u.ref.String())
		}
	}
	r.unseenRepositories(images)
	tags := sortedKeys(images)
	for _, e := range r.sedsElsewhere {
		for _, tag := range tags {
			if !reported[tag] && r.keeps(e) {
				e.tagAlone(r, tag, images[tag])
			}
		}
	}
	for _, h := range r.handedTags {
		if slices.ContainsFunc(r.after, func(c change) bool { return c.within(h.at) }) {
			continue // the flag sets the repository too
		}
		for _, tag := range tags {
			if !reported[tag] && r.alone(h, tag, read) && !r.readBack(h.at) {
				for _, image := range few(images[tag]) {
					r.report("tag-handed-on", h.at, image)
				}
			}
		}
	}
}

// few are those of the images of one tag that a finding names: a file may hand on the tag of
// thousands in as many places.
func few(images []string) []string { return images[:min(len(images), 20)] }

// readBack says whether an image has its tag from a place: a job reads the file that one
// has written there.
func (r *run) readBack(at span) bool {
	in := func(s span) bool { return s.src == at.src && at.start <= s.start && s.end <= at.end }
	return slices.ContainsFunc(r.uses, func(u *use) bool {
		for i := u.ref.colon + 1; u.ref.own && u.ref.colon >= 0 && i < u.ref.tagEnd; i++ {
			if !in(u.at) && (in(u.ref.f.t[u.ref.f.piece[i]].at) || slices.ContainsFunc(u.ref.f.via(i), in)) {
				return true
			}
		}
		return false
	})
}

// recordComposedElsewhere remembers the tags that a job has for a file of compose which is
// not in the repository.
func (r *run) recordComposedElsewhere(sh *shell, c *command, lits []string) {
	files := sh.composeFiles(lits)
	if r.now == nil || sh.away || files == nil || !slices.ContainsFunc(lits, func(l string) bool { return l == "up" || l == "run" || l == "deploy" }) {
		return
	}
	for _, f := range r.in.Files {
		if slices.ContainsFunc(files, func(name string) bool {
			return strings.Contains(name, "$") || f.Path == name || strings.HasSuffix(f.Path, "/"+name) || strings.HasSuffix(name, "/"+f.Path)
		}) {
			return
		}
	}
	for _, name := range slices.Concat(sortedKeys(sh.vars.above(nil)), sortedKeys(sh.env.defs)) {
		vals, _ := sh.lookup(name)
		for _, v := range vals {
			if strings.HasSuffix(strings.ToUpper(name), "TAG") {
				r.handTag(c.at, append(text{{text: name + "="}}, v...), true)
			}
		}
	}
}

// alone says whether a text hands on a tag alone; read are the variables that own
// references in files which no job runs take their tags from.
func (r *run) alone(h handedTag, tag string, read map[string]bool) bool {
	for at := 0; ; {
		i := strings.Index(h.text[at:], tag)
		if i < 0 {
			return false
		}
		i += at
		at = i + len(tag)
		before, behind := h.text[:i], h.text[at:]
		if behindATag.MatchString(behind) {
			continue
		}
		if m := setBefore.FindStringSubmatch(before); m != nil && (read[m[1]] || strings.Contains(m[1], "_") && read[strings.ToUpper(m[1])]) {
			continue // a file of the project takes it, from Ansible by the same name in capitals
		}
		if ofTag.MatchString(before) || ofATrigger.MatchString(before) || !h.keyed && wordBefore.MatchString(before) && !r.knows(before[strings.LastIndexByte(before, '\n')+1:]) {
			return true
		}
	}
}

// knows says whether a command line is one of git, or runs a script of the project,
// which is looked at by itself.
func (r *run) knows(line string) bool {
	return slices.ContainsFunc(strings.Fields(line), func(w string) bool {
		w = strings.Trim(w, `"';`)
		return w == "git" || path.Ext(w) == ".sh" && r.find(path.Base(w)) != nil
	})
}

// handsOn says whether a file is a report that brings variables to later jobs.
func (r *run) handsOn(file string) bool {
	return r.now != nil && slices.Contains(r.cfg.dotenvsOf(r.now), file)
}

// joinsTag says whether a file has a colon and a tag behind a word in whose place sed puts a name.
func (r *run) joinsTag(word string) bool {
	return word != "" && slices.ContainsFunc(r.behind(word), func(s string) bool {
		return len(s) > 1 && s[0] == ':' && !strings.ContainsRune(" \t\r\n", rune(s[1]))
	})
}

// putsIn says whether sed puts the bare base in the place of a word to which the files
// join a name, or of one that they do not show: s|REGISTRY|$CI_REGISTRY_IMAGE|.
func (r *run) putsIn(u *use) bool {
	word, ok := u.putFor()
	if !ok {
		return false
	}
	behind := r.behind(word)
	return len(behind) == 0 || slices.ContainsFunc(behind, func(s string) bool { return strings.HasPrefix(s, "/") || strings.HasPrefix(s, "-") })
}

// beginsImages says whether sed puts the old registry, or the first part of the project's
// path in it, where the files have the rest, of images that the pipeline pushes.
func (r *run) beginsImages(u *use) bool {
	word, ok := u.putFor()
	return ok && slices.ContainsFunc(r.behind(word), func(s string) bool { return strings.HasPrefix(s, "/") }) &&
		slices.ContainsFunc(r.uses, func(v *use) bool { return v.push && v.ref.own })
}

// putFor is the word in whose place sed puts what a use names.
func (u *use) putFor() (word string, ok bool) {
	if u.lits == nil || u.lits[0] != "sed" {
		return "", false
	}
	for _, s := range substitutions(u.ref.f.s) {
		if s.from == u.ref.start {
			return s.word, true
		}
	}
	return "", false
}

// behind is what stands behind a word in the files that no job runs.
func (r *run) behind(word string) (out []string) {
	for _, f := range r.in.Files {
		if s := r.files[f.Path]; s != nil && !r.visited[f.Path] && !prose(f.Path) {
			out = append(out, strings.Split(string(s.data), word)[1:]...)
		}
	}
	return out
}

// movesNames says whether a name has moved into a tag.
func (r *run) movesNames() bool {
	return slices.ContainsFunc(r.uses, func(u *use) bool { return u.ref.own && !u.ref.host && u.ref.sep >= 0 && u.bad == "" && !u.settled })
}

// inTerraform says whether a file of the project takes a variable of Terraform's: what
// it joins it to can be seen there.
func (r *run) inTerraform(name string) bool {
	return slices.ContainsFunc(r.in.Files, func(f File) bool {
		return path.Ext(f.Path) == ".tf" && bytes.Contains(f.Content, []byte("var."+name))
	})
}
