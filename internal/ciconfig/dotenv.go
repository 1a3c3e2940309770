package ciconfig

import (
	"path"
	"regexp"
	"strings"
)

// assigns is the beginning of NAME=value at the end of a text.
var assigns = regexp.MustCompile(`(?:^|\n)\s*([A-Za-z_][A-Za-z0-9_]*)=["']?$`)

// dotenv remembers which variables a job hands to later ones with an own image
// in them, by a file that is a dotenv report.
// https://docs.gitlab.com/ci/variables/dotenv_variables/
func (r *run) dotenv(vals []text) {
	if r.now == nil || r.now.tree.kid("artifacts").kid("reports").kid("dotenv") == nil {
		return
	}
	for _, v := range vals {
		for _, ref := range r.references(v) {
			if m := assigns.FindStringSubmatch(ref.f.s[:ref.start]); m != nil && ref.own && !ref.host {
				if r.handed == nil {
					r.handed = map[string]bool{}
				}
				r.handed[m[1]] = true
			}
		}
	}
}

// dotenvImages reports the jobs whose image such a variable names. The runner
// knows it when it starts the job, and cannot pull an own image from ECR.
func (r *run) dotenvImages() {
	if len(r.handed) == 0 {
		return
	}
	for _, j := range r.cfg.jobs() {
		e := r.cfg.env(j.tree)
		images := []*tree{j.tree.kid("image")}
		if s := j.tree.kid("services"); s != nil {
			for _, n := range items(s.node) {
				images = append(images, r.cfg.grow(s.doc, deref(n), 0))
			}
		}
		for _, t := range images {
			node, doc := t.nameNode(r.cfg)
			if node == nil || j.hidden {
				continue
			}
			ch := r.cfg.scalar(doc, node)
			if ch == nil {
				continue
			}
			for _, v := range e.expand(ch, doc) {
				for _, p := range v {
					if r.handed[p.hole] {
						r.report("job-image", ch.span(0, len(ch.text)), j.name+": its image comes out of a dotenv report, in $"+p.hole)
					}
				}
			}
		}
	}
}

var anAssignment = regexp.MustCompile(`\b([A-Za-z_][A-Za-z0-9_]*)=`)

// reported are the variables that jobs hand to later ones by a dotenv report, as far
// as the lines that name its file show them, and some that they only set.
func (c *config) reported() []string {
	if c.dotenvs != nil {
		return sortedKeys(c.dotenvs)
	}
	c.dotenvs = map[string]bool{}
	for _, j := range c.jobs() {
		file := path.Base(j.tree.kid("artifacts").kid("reports").kid("dotenv").value())
		if file == "." {
			continue
		}
		for _, key := range []string{"before_script", "script", "after_script"} {
			for _, l := range c.lines(j.tree.kid(key)) {
				if !strings.Contains(l.node.Value, file) {
					continue
				}
				for _, m := range anAssignment.FindAllStringSubmatch(l.node.Value, -1) {
					c.dotenvs[m[1]] = true
				}
			}
		}
	}
	return sortedKeys(c.dotenvs)
}
