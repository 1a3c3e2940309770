package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// use is a place where a reference is complete.
type use struct {
	ref       *reference
	role      role
	cmd       *command // the command it is an argument of
	index     int      // among the command's arguments
	arg       int      // its place in lits
	arms      []arm    // of the branches of the script that lead to it
	lits      []string // the command as it runs with this argument
	at        span     // the word, argument or value
	command   string   // "docker push", "image", ...
	push      bool
	shell     bool // in a script: commands can be put in
	expands   bool // variables are expanded here
	job       *job
	also      []*job // further jobs with the same line
	retagged  string // what takes the place of its moving tag
	gitTagged bool   // in a pipeline for a git tag, that one does
	style     int
	changes   []change
	element   span       // in a list of tags, with its comma
	cluster   int        // the moving tags that hang together with its own, 0 for none
	bare      bool       // a tag that stands alone, its image before it
	keyed     bool       // and what stands before it is a key that keeps the old name
	away      bool       // runs on another machine, which does not have the job's variables
	toPush    bool       // what its command prints is pushed
	document  bool       // in a file that no job reads as configuration or script
	composed  bool       // the image of a service that a compose file builds
	pair      bool       // two values that their reader joins by a colon
	third     bool       // and whose tag is a variable of its own, which others use too
	unslashed bool       // the slash before its name goes out of a variable
	filled    bool       // in a document into which a job puts its variables
	applied   []applying // the commands that are going to do that
	value     string     // in a file of YAML, the keys that lead to it: image.tag
	overruled bool       // what stands there is replaced: a default by each reader seen, an image by kubectl
	threefold bool       // three values that it joins: registry, repository and tag
	unread    bool       // a variable that nothing visible reads
	given     bool       // what a container or a Dockerfile gets, which may join something to it
	settled   bool       // handled elsewhere, no change of its own
	bad       Code       // why it stays as it is
	rebased   bool       // a script has given $CI_REGISTRY_IMAGE another registry's value before
	redefined span       // the value that a file gives to $CI_REGISTRY_IMAGE, which can be no other
}

// place is where a finding on the use points to. In text of several lines that is
// the line of the reference, if it is written there.
func (u *use) place() span {
	f, at := u.ref.f, u.at
	if at.src == nil || len(f.via(u.ref.start)) > 0 {
		return at
	}
	if _, end := at.src.line(at.start); at.end <= end || len(bytes.Trim(at.src.data[end:at.end], "\r\n")) == 0 {
		return at // all in one line
	}
	own := f.t[f.piece[u.ref.start]].at
	if s, ok := f.at(u.ref.start); ok {
		own = s
	}
	if own.src != at.src || own.start < at.start || own.end > at.end {
		return at
	}
	from, end := own.src.line(own.start)
	from, end = max(from, at.start), min(end, at.end)
	for from < own.start && strings.IndexByte(" \t", own.src.data[from]) >= 0 {
		from++
	}
	return span{own.src, from, end}
}

// commandUses records the references in the words of a command.
func (r *run) commandUses(sh *shell, c *command, name string) {
	if same, ok := sameTools[name]; ok {
		name = same
	}
	lits := c.lits
	if len(lits) == 0 || lits[0] != name {
		lits = append([]string{name}, lits[min(1, len(lits)):]...)
	}
	r.recordBuild(sh, c, lits)
	r.recordSubstitution(sh, c, lits)
	r.recordSets(lits)
	r.recordTags(sh, c, lits)
	r.recordUnseen(c, lits)
	r.recordComposedElsewhere(sh, c, lits)
	r.recordSetTags(c, lits)
	r.recordSetImage(lits)
	r.recordApplied(sh, c, lits)
	r.recordKustomized(sh, lits)
	r.recordSedSlashes(c, lits)
	r.recordSedRun(sh, c, lits)
	r.recordSedElsewhere(sh, c, lits)
	sed := r.recordSed(sh, c, lits)
	if !sed && !r.recordYq(sh, c, lits) {
		r.recordWides(sh, c, lits)
	}
	r.recordSkaffold(c, lits)
	r.recordHelm(c, lits)
	r.helmfiles = r.helmfiles || r.now != nil && lits[0] == "helmfile"
	r.runsTasks = r.runsTasks || r.now != nil && taskRunners[lits[0]]
	r.playbooks = r.playbooks || r.now != nil && lits[0] == "ansible-playbook"
	r.recordCopies(lits)
	r.recordRemoteCompose(sh, lits)
	if r.now != nil && restarts(lits) {
		r.restarting[r.now] = true
	}
	r.recordBake(sh, lits)
	r.registryCalls(c, lits)
	r.patched(c, lits)
	r.recordCompared(c, lits)
	if slices.ContainsFunc(lits, func(l string) bool { return strings.Contains(l, "compose") || strings.Contains(l, "bake") }) {
		r.recordComposed(sh, c, lits)
	}
	r.recordAutoDeploy(c, lits)
	r.ko(sh, c, lits)
	r.registriesApart(sh, c, lits)
	r.foreign(c, lits)
	if !slices.ContainsFunc(c.args, r.mentions) {
		return
	}
	if isLogin(lits) {
		r.login(c)
		return
	}
	r.recordCredentials(c, lits)
	r.kanikoCache(c, lits)
	if r.skopeoSync(c, lits) {
		return
	}
	switch verb := verb(lits); lits[0] {
	case "curl", "wget", "http", "ssh":
		r.sentBy(c, verb)
	}
	verb := verb(lits)
	r.elsewhere(c)
	r.bareTag(c, lits)
	said := spokenBy(lits)
	for i := range c.args {
		for _, ref := range r.references(c.args[i]) {
			if ref.lacks() && imageTools[lits[0]] && r.elseComplete(c, i, ref) {
				continue
			}
			u := &use{ref: ref, at: c.argSpan(i), command: verb, shell: true, expands: true, cmd: c, index: i, away: sh.away && !sh.local, toPush: sh.pushes, arms: sh.arms, rebased: sh.rebased()}
			u.lits, u.arg = c.view(i, lits)
			line, at := said, u.arg
			if c.alt[i] > 0 {
				line = spokenBy(u.lits)
			}
			if with, k, ok := c.spread(i); ok {
				with[0] = lits[0]
				u.lits, u.arg = with, k
				line, at = spokenBy(with), k
			}
			u.role = argRole(line, at, c.lit(i))
			u.push = pushes(line, at, c.lit(i))
			half := ref.half()
			written := half && u.role == textRole && sh.readOn(lits)
			switch {
			case written && sh.isLine(ref):
				r.halves = append(r.halves, u)
				continue
			case half && r.setsPart(u):
				continue
			case written:
				r.half(u)
			case half && u.role == textRole && sh.feeds && sh.print != nil:
				if _, known := c.prints(lits[0]); known {
					continue // what gets it may want a tag behind it
				}
			}
			if sed && r.searched(u) {
				r.sought = append(r.sought, ref.f.t[ref.f.piece[ref.start]].at)
				continue
			}
			if namesFile(line.lits, at, c.lit(i)) {
				continue
			}
			r.inColumns(sh, u)
			if flag, sets := setsImage(u.lits, u.arg); sets && r.imageKey(u, flag, sh.dir) || u.role == repositoryRole && r.flagPairs(u) {
				continue
			}
			r.add(u)
		}
	}
}

// half says whether a reference is a name of ours without a tag.
func (ref *reference) half() bool {
	return ref.own && ref.sep >= 0 && ref.colon < 0 && ref.digest < 0
}

// half looks at a name without a tag that is written for something else to read.
func (r *run) half(u *use) {
	if _, shared := u.separator(); shared {
		severity := Warning
		if word, ok := u.putFor(); ok && r.joinsTag(word) {
			severity = Blocking
		}
		r.reportAs(severity, "tag-elsewhere", u.place(), u.ref.String())
	} else {
		u.bad = "tag-elsewhere"
	}
}

// readOn says whether something reads what a text command writes: a name alone
// is harmless in a message, and half a reference in a file or a request.
func (sh *shell) readOn(lits []string) bool {
	switch lits[0] {
	case "echo", "printf":
		return sh.piped
	}
	return textWriters[lits[0]]
}

// sentBy looks at what a command sends to another machine. A script of the project that
// is fed to it takes the tags there, and is looked at by itself.
func (r *run) sentBy(c *command, to string) {
	if to == "ssh" && !slices.ContainsFunc(c.reads, func(file string) bool { return r.find(file) != nil }) {
		r.handTags(c.at, c.args)
	}
	r.handedOut(c.at, c.args, to)
}

// handedOut reports own images that leave the project.
func (r *run) handedOut(at span, args []text, to string) {
	for _, a := range args {
		for _, ref := range r.references(a) {
			if ref.own && (ref.colon >= 0 || ref.sep >= 0) {
				r.report("handed-out", at, to)
				return
			}
		}
	}
}

// foreign remembers the arguments of an image tool that a variable with a
// visible value begins and that name no own image: another job may put an own
// name into the same words.
func (r *run) foreign(c *command, lits []string) {
	if !imageTools[lits[0]] || r.now == nil || r.now.hidden || isLogin(lits) {
		return
	}
	for i, a := range c.args[1:] {
		if len(a) < 2 || len(a[0].via) == 0 || r.mentions(a) || r.unset(c, i+1) {
			continue
		}
		s := a.String()
		if hole := a[0].hole; !hosted(s) && (hole == "" || strings.HasPrefix(hole, "CI_") || hole == unknown && !strings.Contains(s, "/")) {
			continue
		}
		r.shared[c.argSpan(i+1)], r.shared[c.at] = true, true
		if key := a.key(); !r.apart[key] {
			r.apart[key] = true
			r.others = append(r.others, a)
		}
	}
}

// unset says whether an argument begins with a variable that nobody gives a value, so that
// the default beside it holds, which names an own image: ${REPO:-$CI_REGISTRY_IMAGE}.
func (r *run) unset(c *command, i int) bool {
	p := c.args[i][0]
	m := ownDefault.FindStringSubmatch(p.at.text())
	if m == nil || m[1] != p.hole || r.defined(p.hole) || slices.Contains(r.in.Project.Secrets, p.hole) {
		return false
	}
	for k, w := range c.words {
		if w == c.words[i] && r.mentions(c.args[k]) {
			return true
		}
	}
	return false
}

var ownDefault = regexp.MustCompile(`^\$\{(\w+):?[-=]`)

// elsewhere remembers the other values of a word that names an own image: a
// loop over two registries, of which only one is to be changed, or over an image and the
// registry itself.
func (r *run) elsewhere(c *command) {
	if !slices.ContainsFunc(c.alt, func(alt int) bool { return alt > 0 }) {
		return
	}
	for i, v := range c.args {
		names := r.mentions(v)
		for k, w := range c.words {
			if w == c.words[i] && k != i && r.mentions(c.args[k]) {
				if names && r.hostAlone(v) || !names && hosted(v.String()) {
					r.others = append(r.others, v)
					r.shared[c.argSpan(i)], r.shared[c.at] = true, true
				}
				break
			}
		}
	}
}

// hostAlone says whether all that a text names is the registry.
func (r *run) hostAlone(t text) bool {
	refs := r.references(t)
	return len(refs) > 0 && !slices.ContainsFunc(refs, func(ref *reference) bool { return !ref.host })
}

var anyHost = regexp.MustCompile(`(^|[=/ ])[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?/`)

// hosted says whether a text names an image of some registry.
func hosted(s string) bool { return anyHost.MatchString(s) }

func (c *command) argSpan(i int) span {
	w := c.words[i]
	if c.items != nil && w.Pos().Offset() < c.words[0].Pos().Offset() { // what xargs puts behind the command
		if t := c.args[i]; len(t) > 0 {
			if from, to := t[0].outer(), t[len(t)-1].outer(); from.src == c.ch.src && to.src == from.src && from.start <= to.end {
				return span{from.src, from.start, to.end}
			}
		}
	}
	return c.ch.span(int(w.Pos().Offset()), int(w.End().Offset()))
}

// textUses records references in text that a script writes somewhere, if only as a
// message; expands says that variables are put into it.
func (r *run) textUses(sh *shell, vals []text, at span, message, expands bool) {
	sh.writes(vals)
	for _, v := range vals {
		if r.mentions(v) && authFile.MatchString(v.String()) {
			r.recordLogin(credentials{at, v.String(), false})
		}
		for _, ref := range r.references(v) {
			u := &use{ref: ref, at: at, command: "text", role: laterRole(ref), shell: true, expands: expands}
			if u.role == unclearRole && sh.isLine(ref) {
				u.role = textRole
				r.halves = append(r.halves, u)
				continue
			}
			if u.role == unclearRole && !message && r.textPair(u) {
				continue
			}
			if message && u.role == unclearRole {
				u.role = textRole
			}
			if u.role == textRole && ref.half() && sh.feeds && sh.print != nil {
				continue
			}
			r.add(u)
		}
		if !message {
			r.laterUses(sh, v, at)
		}
	}
}

// verb names a command with its subcommand.
func verb(lits []string) string {
	words := []string{lits[0]}
	for _, l := range lits[1:] {
		if strings.HasPrefix(l, "-") {
			continue
		}
		if strings.ContainsAny(l, "/:$.=") {
			break
		}
		if l == "bud" && lits[0] == "buildah" { // its older name
			l = "build"
		}
		if words = append(words, l); len(words) == 3 {
			break
		}
	}
	return strings.Join(words, " ")
}

func isLogin(lits []string) bool {
	for _, l := range lits[1:min(len(lits), 4)] {
		if l == "login" || l == "logout" {
			return true
		}
	}
	return false
}

var textTools = map[string]bool{
	"echo": true, "printf": true, "sed": true, "grep": true, "cat": true, "tee": true, "curl": true, "jq": true, "yq": true, "test": true, "[": true, ":": true,
}

// announcers write texts for people: the notes of a release.
var announcers = map[string]bool{"release-cli": true, "glab": true, "gh": true}

// textWriters are those that write it into a file or a request, from which something
// takes it.
var textWriters = map[string]bool{"yq": true, "jq": true, "sed": true, "tee": true, "curl": true}

// printed says whether a use is no more than text for people.
func (u *use) printed() bool {
	return u.role == textRole && !(u.lits != nil && textWriters[u.lits[0]])
}

// argRole says what a missing tag means in an argument.
func argRole(line *spoken, i int, arg string) role {
	lits := line.lits
	flag := ""
	if strings.HasPrefix(arg, "-") {
		flag, _, _ = strings.Cut(arg, "=")
	} else if i > 0 && strings.HasPrefix(lits[i-1], "-") && !strings.Contains(lits[i-1], "=") {
		flag = lits[i-1]
	}
	switch {
	case flag == "--cache-repo", strings.Contains(arg, "push-by-digest=true"), pushesAllTags(lits):
		return repositoryRole
	case lits[0] == "helm" && (strings.Contains(arg, "repository") || strings.Contains(arg, "image=") || strings.Contains(arg, "egistry=")):
		return repositoryRole
	case lits[0] == "helm" && strings.Contains(arg, "oci://"):
		return repositoryRole
	case lits[0] == "skopeo" && len(lits) > 1 && lits[1] == "list-tags", lits[0] == "crane" && len(lits) > 1 && (lits[1] == "ls" || lits[1] == "catalog"),
		lits[0] == "regctl" && line.says("tag ls"):
		return repositoryRole
	case listsImages(lits):
		return listRole
	case textTools[lits[0]], announcers[lits[0]], strings.Contains(arg, "kubernetes.io/change-cause="):
		return textRole
	case handsArg(flag, arg), flag == "-e", flag == "--env", lits[0] == "oc" && (flag == "-p" || flag == "--param"), notes(lits, flag):
		return unclearRole
	case jibImage(lits, arg), strings.HasPrefix(arg, "docker://"), strings.HasPrefix(arg, "oras://"), pushes(line, i, arg):
		return imageRole
	case imageTools[lits[0]]:
		return imageRole
	}
	return unclearRole
}

// notes says whether kubectl writes down what it is given, for whoever reads it.
func notes(lits []string, flag string) bool {
	return (lits[0] == "kubectl" || lits[0] == "oc") && len(lits) > 1 && (flag == "--from-literal" || lits[1] == "annotate" || lits[1] == "label")
}

// fileFlags are those of image tools behind which a file stands.
var fileFlags = map[string]bool{
	"-o": true, "--output": true, "--input": true, "--iidfile": true, "--metadata-file": true,
	"--digest-file": true, "--digestfile": true, "--tar-path": true, "--tarPath": true,
}

// namesFile says whether an argument of an image tool is a file, such as the archive of an
// image, which may be named like one.
func namesFile(lits []string, i int, arg string) bool {
	flag, value, joined := strings.Cut(arg, "=")
	if !strings.HasPrefix(arg, "-") || !joined {
		if i == 0 {
			return false
		}
		flag, value = lits[i-1], arg
	}
	return imageTools[lits[0]] && fileFlags[flag] && !strings.Contains(value, "=") // type=image,name=
}

// listsImages says whether a command lists the images that the machine has. Their
// names and tags may be patterns there.
// https://docs.docker.com/reference/cli/docker/image/ls/
func listsImages(lits []string) bool {
	switch lits[0] {
	case "docker", "podman", "nerdctl", "buildah":
		words := strings.Fields(verb(lits))
		return len(words) > 1 && words[1] == "images" || len(words) > 2 && words[1] == "image" && (words[2] == "ls" || words[2] == "list")
	}
	return false
}

// isShell says whether a file is a shell script.
func isShell(s *source) bool {
	switch path.Ext(s.path) {
	case ".sh", ".bash", ".envrc", ".ksh":
		return true
	}
	if otherLanguage(s.path) {
		return false
	}
	first, _, _ := strings.Cut(string(s.data[:min(len(s.data), 200)]), "\n")
	if strings.HasPrefix(first, "#!") {
		return strings.Contains(first, "sh")
	}
	return false
}

// otherLanguage says whether a file's name shows that it is no shell script.
func otherLanguage(p string) bool {
	switch path.Ext(p) {
	case ".go", ".yml", ".yaml", ".json", ".hcl", ".toml":
		return true
	}
	return program(p)
}
