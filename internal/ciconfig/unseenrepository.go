package ciconfig

import (
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
}

// behindAVariable finds images whose repository begins with a variable.
var behindAVariable = regexp.MustCompile(`(?:^|[\s=,"'\[])(\$\{([A-Za-z_][A-Za-z0-9_]*)\}(?:/[\w.-]+)*):([\w.${}()-]+)`)

// setByGitLab are variables that GitLab gives a value.
var setByGitLab = regexp.MustCompile(`^(CI|GITLAB)_`)

// unseenIn are the images of a text whose repository nobody knows here.
func unseenIn(at span, t text) (out []unseenRepository) {
	if !t.has(':') || !slices.ContainsFunc(t, func(p piece) bool { return p.hole != "" && p.hole != unknown && !setByGitLab.MatchString(p.hole) }) {
		return nil
	}
	for _, m := range behindAVariable.FindAllStringSubmatch(t.traced(), -1) {
		if setByGitLab.MatchString(m[2]) {
			continue
		}
		name := ""
		if m[1] != "${"+m[2]+"}" {
			name = path.Base(m[1])
		}
		out = append(out, unseenRepository{at, m[1], m[2], name, m[3]})
	}
	return out
}

// recordUnseen remembers those in the words of a command.
func (r *run) recordUnseen(c *command, lits []string) {
	for i, a := range c.args {
		for _, u := range unseenIn(c.argSpan(i), a) {
			run, at := c.view(i, lits)
			if with, k, ok := c.spread(i); ok {
				with[0] = lits[0]
				run, at = with, k
			}
			if pushes(run, at, c.lit(i), " "+strings.Join(run, " ")+" ") {
				r.unseenPushed[u.image] = true
			} else {
				r.unseen = append(r.unseen, u)
			}
		}
	}
}

// unseenRepositories reports those that have the tag of an image whose name is a part of the
// tag now.
func (r *run) unseenRepositories(images map[string][]string) {
	written := map[span]bool{} // places that name an own image too, and are changed for it
	for _, u := range r.uses {
		written[u.at] = written[u.at] || u.ref.own && u.bad == ""
	}
	named := map[[2]string][]string{} // by name and tag
	for tag, all := range images {
		for _, image := range all {
			key := [2]string{path.Base(image[:strings.LastIndexByte(image, ':')]), tag}
			named[key] = append(named[key], image)
		}
	}
	for _, u := range r.unseen {
		if r.unseenPushed[u.image] || written[u.at] {
			continue
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
