package ciconfig

import (
	"bytes"
	"path"
	"regexp"
	"slices"
	"strings"
)

// A deployment may have the repository of an image from a variable that only settings
// define, and the tag of the build beside it:
//
//	kubectl set image deployment/api api=$API_IMAGE:$CI_COMMIT_SHA
//
// Where the name of the image has moved into the tag, that is no image any more.

// unseenRepository is such an image.
type unseenRepository struct {
	at       span
	image    string // without its tag
	variable string
	name     string // the last part of the path behind the variable, "" for none
	tag      string
	line     span // of the file into which sed puts the tag
}

// behindAVariable finds images whose repository begins with a variable.
var behindAVariable = regexp.MustCompile(`(?:^|[\s=,"'\[])(\$\{([A-Za-z_][A-Za-z0-9_]*)\}(?:/[\w.${}-]+)*):([\w.${}()-]+)`)

// setByGitLab are variables that GitLab gives a value.
var setByGitLab = regexp.MustCompile(`^(CI|GITLAB)_`)

// unseenIn are the images of a text whose repository nobody knows here.
func unseenIn(at span, t text) (out []unseenRepository) {
	if !t.has(':') || !slices.ContainsFunc(t, func(p piece) bool { return p.hole != "" && p.hole != unknown && !setByGitLab.MatchString(p.hole) }) {
		return nil
	}
	return unseenBefore(at, t.traced())
}

func unseenBefore(at span, s string) (out []unseenRepository) {
	for _, m := range behindAVariable.FindAllStringSubmatch(s, -1) {
		if setByGitLab.MatchString(m[2]) || m[2] == "env" { // $env:CI_REGISTRY_IMAGE, of PowerShell
			continue
		}
		name := ""
		if m[1] != "${"+m[2]+"}" {
			name = path.Base(m[1])
		}
		out = append(out, unseenRepository{at: at, image: m[1], variable: m[2], name: name, tag: m[3]})
	}
	return out
}

var (
	withDefault = regexp.MustCompile(`\$(?:\{([A-Za-z_]\w*)(?::?[-?][^{}]*)?\}|([A-Za-z_]\w*))`)
	sedGroup    = regexp.MustCompile(`\\[0-9]|&`)
)

// maxSedLines bounds the lines to which substitutions are applied.
const maxSedLines = 10_000

// recordUnseenBySed remembers those that a file has once sed has put something into it:
//
//	sed -i "s|__TAG__|$CI_COMMIT_SHA|" stack.yml     # image: ${API_IMAGE}:__TAG__
func (r *run) recordUnseenBySed(e sedEdit) {
	for at := 0; ; {
		i := bytes.Index(e.src.data[at:], []byte("image:"))
		if i < 0 {
			return
		}
		from, end := e.src.line(at + i)
		at = end
		was := string(e.src.data[from:end])
		if !strings.Contains(was, "$") {
			continue
		}
		if r.sedLines += len(e.subs); r.sedLines > maxSedLines {
			return
		}
		now := was
		for _, sub := range e.subs {
			value := strings.ReplaceAll(sub.value.traced(), "$", "$$")
			value = sedGroup.ReplaceAllStringFunc(value, func(g string) string { return "${" + strings.TrimLeft(strings.Replace(g, "&", "0", 1), `\`) + "}" })
			now = sub.pattern.ReplaceAllString(now, value)
		}
		if now == was {
			continue
		}
		for _, u := range unseenBefore(e.script, withDefault.ReplaceAllString(now, "${$1$2}")) {
			u.line = span{e.src, from, end}
			r.unseen = append(r.unseen, u)
		}
	}
}

// recordUnseen remembers those in the words of a command.
func (r *run) recordUnseen(c *command, lits []string) {
	var said *spoken
	for i, a := range c.args {
		for _, u := range unseenIn(c.argSpan(i), a) {
			var line *spoken
			at := c.pos[i]
			if with, k, ok := c.spread(i); ok {
				with[0] = lits[0]
				line, at = spokenBy(with), k
			} else if c.alt[i] > 0 {
				with, at = c.view(i, lits)
				line = spokenBy(with)
			} else {
				if said == nil {
					said = spokenBy(lits)
				}
				line = said
			}
			prev := line.lits[max(at-1, 0)]
			if pushValues[prev] || line.says(" build ") && strings.HasPrefix(prev, "-") && prev != "-t" && prev != "--tag" {
				continue // credentials, a mount
			}
			if pushes(line, at, c.lit(i)) {
				r.unseenPushed[u.image] = true
				r.unseenPushes = append(r.unseenPushes, u)
			} else {
				r.unseen = append(r.unseen, u)
			}
		}
	}
}

// unseenRepositories reports those that have the tag of an image whose name is a part of the
// tag now.
func (r *run) unseenRepositories(images map[string][]string) {
	written := map[span]bool{} // places and lines that name an own image too, and are changed for it
	for _, u := range r.uses {
		if u.ref.own && u.bad == "" && u.at.src != nil {
			from, end := u.at.src.line(u.at.start)
			written[u.at], written[span{u.at.src, from, end}] = true, true
		}
	}
	named := map[[2]string][]string{} // by name and tag
	for tag, all := range images {
		for _, image := range all {
			key := [2]string{path.Base(image[:strings.LastIndexByte(image, ':')]), tag}
			named[key] = append(named[key], image)
		}
	}
	var jobs *env
	for _, u := range r.unseen {
		if r.unseenPushed[u.image] || written[u.at] || written[u.line] {
			continue
		}
		if u.line.src != nil {
			if jobs == nil {
				jobs = r.everyone()
			}
			if jobs.defines(u.variable) {
				continue // what a job puts in there is seen
			}
		}
		of := few(images[u.tag])
		if u.name != "" {
			of = named[[2]string{u.name, u.tag}]
		}
		for _, image := range of {
			r.reportWhy(Warning, "tag-handed-on", u.at, image, "the repository comes from "+u.variable+", whose value is not known here").
				Remedy = "if this is the image that the pipeline pushes, write $CI_REGISTRY_IMAGE:name-tag in its place"
		}
	}
}

// registriesUnseen reports images that are pushed behind such a variable, which may hold the
// old registry. Where the project's own path stands there, it most likely does.
func (r *run) registriesUnseen() {
	own := map[span]bool{} // the variable has a default that names an own image
	for _, u := range r.uses {
		own[u.at] = own[u.at] || u.ref.own
	}
	for _, u := range append(r.unseenPushes, r.unseen...) {
		if !r.unseenPushed[u.image] || u.line.src != nil || own[u.at] {
			continue
		}
		severity := Note
		behind := strings.Replace(strings.TrimPrefix(u.image, "${"+u.variable+"}/")+"/", "${CI_PROJECT_PATH}/", r.in.Project.Path+"/", 1)
		if strings.HasPrefix(behind, r.in.Project.Path+"/") {
			severity = Warning
		}
		r.reportAs(severity, "registry-unseen", u.at, u.image+":"+u.tag).cause = u.variable
	}
}
