package ciconfig

import (
	"bytes"
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// imageSpec is image: or an entry of services:, as far as it is understood.
type imageSpec struct {
	name       string // as written, variables unexpanded
	alias      string
	entrypoint []string
	hasEntry   bool
	command    []string
	user       string
	platform   string
	variables  []string // NAME=value
	odd        string   // a key that is not understood
	doc        *document
}

// otherInShell is what a shell does not read in double quotes as GitLab reads it in a name.
var otherInShell = regexp.MustCompile("[\"`\\\\]|\\$([^A-Za-z_{]|$)")

func (r *run) spec(t *tree) imageSpec {
	var s imageSpec
	node, doc := t.nameNode(r.cfg)
	if node == nil {
		return s
	}
	s.name, s.doc = node.Value, doc
	if otherInShell.MatchString(s.name) {
		s.odd = "name"
	}
	if t.node != nil && t.node.Tag == "!reference" {
		t = r.cfg.reference(t.node)
	}
	for _, k := range t.keys {
		v := t.kids[k]
		if v.node != nil && v.node.Tag == "!reference" && k != "name" {
			if v = r.cfg.reference(v.node); v == nil {
				s.odd = k
				continue
			}
		}
		switch k {
		case "name", "pull_policy":
		case "alias":
			s.alias = v.value()
		case "entrypoint":
			s.hasEntry = true
			s.entrypoint = r.cfg.words(v)
		case "command":
			s.command = r.cfg.words(v)
		case "variables":
			for _, n := range v.keys {
				s.variables = append(s.variables, n+"="+v.kids[n].value())
			}
		case "docker":
			s.user, s.platform = v.kid("user").value(), v.kid("platform").value()
		default:
			s.odd = k
		}
	}
	return s
}

// words are those of a list.
func (c *config) words(t *tree) []string {
	var out []string
	for _, l := range c.lines(t) {
		out = append(out, l.node.Value)
	}
	return out
}

// contain writes a job anew so that its script runs in a container that the
// job starts. why says what stands in the way.
func (r *run) contain(s *site) (out []change, why string) {
	t := s.job.tree
	d := s.job.own.doc
	m := s.job.own.node
	if !d.src.editable {
		return nil, "the job is defined in an included file"
	}
	if m == nil || m.Style&yaml.FlowStyle != 0 {
		return nil, "the job is written in braces, and not in one line of its own"
	}
	if t.kid("run") != nil {
		return nil, "the job has run:"
	}
	for _, j := range append([]*job{s.job}, s.users...) {
		if j.tree.kid("release") != nil { // https://docs.gitlab.com/ci/yaml/#release
			return nil, "release: runs release-cli or glab in the job's image, and that of .docker has neither; a job of its own, in an image that has, can make the release"
		}
		for _, key := range sortedKeys(containerKeys) {
			if k := j.tree.kids[key]; k != nil && k.under != nil {
				return nil, "a file that only some pipelines include gives it another " + key
			}
		}
		if tag := r.special(j); tag != "" {
			return nil, "its runner is chosen by the tag " + tag + " and what that one has does not reach a container by itself"
		}
	}
	if what := r.takesOver(s.job); what != "" {
		return nil, "the template .docker would give it " + what + " too"
	}
	for _, key := range append([]string{"extends"}, decisive...) {
		if i := slices.IndexFunc(m.Content, func(n *yaml.Node) bool { return n.Value == key }); i >= 0 && i%2 == 0 && !written(m, s.job.own.kids[key]) {
			return nil, "a merge key behind " + key + ": takes its place"
		}
	}
	if k := s.job.own.kids["after_script"]; k != nil && !has(m, "after_script") {
		return nil, "after_script: comes by a merge key"
	}
	if names := r.cfg.unreadReferences(t.kid("script")); len(names) > 0 {
		return nil, "its script: takes " + names[0] + ", which is in no file that could be read" + r.cfg.notRead()
	}
	script, tool, why := r.commands(t.kid("before_script"), t.kid("script"))
	if why != "" {
		return nil, why
	}
	after, cleaner, why := r.commands(t.kid("after_script"))
	if why != "" {
		return nil, why
	}
	all := r.withCalled(slices.Concat(script, after), 0)
	if what := r.asksForGPU(s.job, all); what != "" {
		return nil, what + " asks for a GPU and that does not reach a container by itself"
	}
	if s.image.name == "" && t.kid("image") == nil {
		return nil, "a service is the own image, and the job's own image: is in no file that could be read" + r.cfg.notRead()
	}
	if s.image.name == "" || s.image.odd != "" {
		return nil, "image: is not understood"
	}
	if why := s.image.entryOdd(); why != "" {
		return nil, why
	}
	tool = cmp.Or(tool, cleaner, r.dockers[s.job.name])
	run := r.dockerRun(s)
	if r.privileged[s.job.name] || needsPrivileges(all) {
		run.flags = append(run.flags, "--privileged")
	}
	if why := r.handDaemon(s, tool, all, &run); why != "" {
		return nil, why
	}
	if why := r.services(t.kid("services"), s, all, &run); why != "" {
		return nil, why
	}
	return r.layout(s, run, script, after)
}

// written says whether a value stands in a mapping itself, not in what it merges.
func written(m *yaml.Node, t *tree) bool {
	for i := 1; i < len(m.Content); i += 2 {
		if t != nil && deref(m.Content[i]) == t.node {
			return true
		}
	}
	return false
}

// specialRunner is a tag of runners with hardware, or a system, that docker run
// does not hand on.
var specialRunner = regexp.MustCompile(`(?i)(^|[-_. /])(gpu|cuda|nvidia|kvm|windows|win|macos|mac|osx|darwin|ios|xcode)[0-9]*([-_. /]|$)`)

// special is a tag of such a runner that a job asks for.
func (r *run) special(j *job) string {
	t := j.tree.kid("tags")
	if t == nil {
		return ""
	}
	for _, l := range r.cfg.lines(t) {
		if specialRunner.MatchString(l.node.Value) {
			return l.node.Value
		}
	}
	return ""
}

// gpuProgram is a program that only shows what a graphics card does.
var gpuProgram = regexp.MustCompile(`(^|[\s;&|(])(nvidia-smi|rocm-smi|amd-smi|rocminfo)([\s;&|)]|$)`)

// asksForGPU is what shows that a job runs on a graphics card: a program in its script, or a
// variable for NVIDIA's runtime.
// https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html
func (r *run) asksForGPU(j *job, script []string) string {
	for _, l := range script {
		if m := gpuProgram.FindStringSubmatch(l); m != nil && !strings.HasPrefix(l, "#") {
			return m[2]
		}
	}
	if vals, _ := r.cfg.env(j.tree).lookup("NVIDIA_VISIBLE_DEVICES"); slices.ContainsFunc(vals, func(v text) bool { return !slices.Contains([]string{"", "none", "void"}, v.String()) }) {
		return "NVIDIA_VISIBLE_DEVICES"
	}
	return ""
}

// commands are the lines of a script as text, and the container tool that they
// call; comments above entries stay.
func (r *run) commands(parts ...*tree) (lines []string, tool, why string) {
	for _, t := range parts {
		for _, l := range r.cfg.lines(t) {
			lines = append(lines, commentsAbove(l)...)
			text := strings.TrimRight(l.node.Value, "\n")
			if l.several || strings.Contains(text, "$[[") {
				return nil, "", "the script uses inputs"
			}
			lines = append(lines, strings.Split(text, "\n")...)
			ch := r.cfg.scalar(l.doc, l.node)
			if ch == nil {
				continue
			}
			f := ch.shell()
			if f == nil {
				return nil, "", "a line of the script is not understood by a shell parser"
			}
			if t := r.callsDocker(f, 0); tool == "" || t != "" && !clientOfDocker(t) {
				tool = t
			}
		}
	}
	return lines, tool, ""
}

// commentsAbove are the comment lines between a script entry and what stands
// before it. Lines that are indented further are text of the entry before.
func commentsAbove(l line) []string {
	s := l.doc.src
	at := s.offset(l.node.Line, l.node.Column)
	from, _ := s.line(at)
	dash := bytes.IndexByte(s.data[from:at], '-')
	if dash < 0 || len(bytes.TrimSpace(s.data[from:from+dash])) > 0 {
		return nil
	}
	var out []string
	for from > 0 {
		up, _ := s.line(from - 1)
		text := bytes.TrimSpace(s.data[up:from])
		if len(text) > 0 && (text[0] != '#' || bytes.IndexByte(s.data[up:from], '#') > dash) {
			break
		}
		if len(text) > 0 {
			out = append(out, string(text))
		}
		from = up
	}
	slices.Reverse(out)
	return out
}

// container is a docker run in the making.
type container struct {
	flags     []string
	ofImage   []string // those that say which image, and as whom
	image     string
	entry     []string // words of the entrypoint that go before the command
	logsIn    bool     // the shell reads the profile first
	name      string   // of a container that stays for after_script
	before    []string // lines of the job before the container starts
	first     []string // lines in the container before the job's own
	addressed bool     // its commands give containers that they start the addresses of others
}

func (r *run) dockerRun(s *site) container {
	c := container{image: `"` + s.image.name + `"`, ofImage: s.image.dockerFlags()}
	c.flags, c.entry = s.image.entry()
	_, c.logsIn = s.image.logsIn()
	c.flags = append(c.flags, c.ofImage...)
	return c
}

// kept is the name of the container of a job's script, which stays for after_script.
const kept = "job"

// commit is the line that makes what is left of that container the job's image, here
// alone: the runner has one container for both scripts, so what the first installs or
// leaves outside of the checkout is there afterwards. Where the first has not come to
// its container, after_script takes the image as it is.
func (c container) commit() string {
	return "docker commit " + kept + " " + c.image + " || true"
}

// dockerFlags are the flags of docker run for image:docker.
func (s imageSpec) dockerFlags() []string {
	var out []string
	if s.user != "" {
		out = append(out, "--user "+quote(s.user))
	}
	if s.platform != "" {
		out = append(out, "--platform "+quote(s.platform))
	}
	return out
}

// predefinedLine is the line that makes $predefined of what GitLab and the platform set
// for the job: a -e for each, by its name alone, so that a value with quotes or line
// breaks arrives as it is. Programs read such variables by themselves. Other variables
// that the job may have or not come with them if it has them: docker run takes away
// from the image's own environment what -e names and the job has not.
// https://docs.docker.com/reference/cli/docker/container/run/#env
func predefinedLine(others []string) string {
	return `predefined=$(env | sed -nE 's/^(` + strings.Join(append([]string{"(CI|GITLAB|KUBE)[A-Z0-9_]*"}, others...), "|") + `)=.*/-e \1/p')`
}

// givenByName finds the variables that $predefined holds.
var givenByName = regexp.MustCompile(`^(CI|GITLAB|KUBE)[A-Z0-9_]*$`)

// steering are variables for the runner or docker itself, not for the commands of a job. What
// docker in the container needs is in handDaemon.
// https://docs.gitlab.com/ci/runners/configure_runners/#configure-runner-behavior-with-variables
// https://docs.docker.com/reference/cli/docker/#environment-variables
var steering = regexp.MustCompile(`^(GIT_(STRATEGY|DEPTH|CHECKOUT|CLEAN_FLAGS|CLONE_PATH|CLONE_EXTRA_FLAGS|FETCH_EXTRA_FLAGS|SUBMODULE_[A-Z_]+)|` +
	`DOCKER_(HOST|DRIVER|TLS_CERTDIR|TLS_VERIFY|TLS|CERT_PATH|AUTH_CONFIG|BUILDKIT|CONFIG|CONTEXT)|` +
	`FF_(NETWORK_PER_BUILD|TIMESTAMPS|SCRIPT_SECTIONS|(USE|KUBERNETES|DISABLE|ENABLE|CMD)_[A-Z_]+)|` +
	`CACHE_(COMPRESSION_LEVEL|COMPRESSION_FORMAT|FALLBACK_KEY|REQUEST_TIMEOUT)|ARTIFACT_(COMPRESSION_LEVEL|[A-Z_]*TIMEOUT)|TRANSFER_METER_FREQUENCY|(GET_SOURCES|ARTIFACT_DOWNLOAD|RESTORE_CACHE|EXECUTOR_JOB_SECTION)_ATTEMPTS)$`)

// environment are the -e flags for all other variables, which the pipeline and the known
// settings define. maybe are those that the job may have or not: the ones of dotenv
// reports, what only the commands name, which may come from the settings of a group
// or from the image, and what some of the pipelines that read the job's file do not have.
func (r *run) environment(s *site, script []string) (flags, maybe []string) {
	named := r.named(script, 0)
	all := r.cfg.variablesOf(append([]*job{s.job}, s.users...))
	want, optional := maps.Clone(all), r.cfg.reported()
	for n, sure := range all {
		if !sure {
			delete(want, n)
			optional = append(optional, n)
		}
	}
	for _, c := range r.cfg.top().pipelines() {
		if c == r.cfg || c.byPath[s.job.own.doc.src.path] == nil {
			continue
		}
		there := c.variablesOf(c.jobsLike(s.job.name))
		optional = slices.Concat(optional, c.reported())
		for n := range all {
			if !there[n] {
				delete(want, n)
				optional = append(optional, n)
			}
		}
		for n := range there {
			if !all[n] {
				optional = append(optional, n)
			}
		}
	}
	for _, n := range append(sortedKeys(r.in.Project.Variables), r.in.Project.Secrets...) {
		want[n] = true
	}
	flags = []string{"$predefined"}
	passed := func(n string) bool {
		return !givenByName.MatchString(n) && (!steering.MatchString(n) || slices.Contains(named, n))
	}
	for _, n := range sortedKeys(want) {
		if passed(n) {
			flags = append(flags, "-e "+n)
		}
	}
	for _, n := range slices.Concat(optional, named) {
		if !want[n] && passed(n) && !slices.Contains(maybe, n) {
			maybe = append(maybe, n)
		}
	}
	slices.Sort(maybe)
	return flags, maybe
}

// variablesOf are the variables that a pipeline gives jobs, the tokens and secrets among them,
// and whether a job has them whatever rule holds.
func (c *config) variablesOf(jobs []*job) map[string]bool {
	out := map[string]bool{}
	for _, j := range jobs {
		e := c.env(j.tree)
		for n, defs := range e.defs {
			out[n] = out[n] || slices.ContainsFunc(defs, func(d definition) bool { return d.by == nil || !d.by.byRule() })
		}
		for n := range e.received {
			out[n] = true
		}
		for _, key := range []string{"id_tokens", "secrets"} {
			if t := j.tree.kid(key); t != nil {
				for _, n := range t.keys {
					out[n] = true
				}
			}
		}
	}
	return out
}

// jobsLike are the jobs of a name, and those that extend it.
func (c *config) jobsLike(name string) (out []*job) {
	for _, j := range append(c.templates(), c.jobs()...) {
		if j.name == name || !j.hidden && slices.Contains(j.chain, name) {
			out = append(out, j)
		}
	}
	return out
}

// quote is a word in double quotes where it needs them. Variables are put in, as
// the runner does; it runs no commands.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\r\n\"'\\;&|<>()*?[]#~`!$") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "`", "\\`", "$(", `\$(`).Replace(s) + `"`
}
