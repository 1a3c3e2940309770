package ciconfig

import (
	"cmp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// A runner cannot log in to ECR, so a job cannot run in an image of the own
// repository ("no basic auth credentials"), nor have one as a service. The
// platform's answer is docker-in-docker: the job extends .docker and starts the
// image itself. This file finds such jobs and decides what is rewritten where;
// container.go writes the docker run.

// jobImages rewrites the jobs that run in an own image. It looks at
// configuration whose names are the new ones already.
func (r *run) jobImages() []change {
	var out []change
	r.scriptsUnseen()
	sites := r.sites()
	r.contained, r.containedBy = map[string]bool{}, map[*yaml.Node]bool{}
	for _, s := range sites {
		r.contained[s.job.name] = true
		for _, u := range s.users {
			r.contained[u.name] = true
		}
	}
	var fine []*site
	changes := map[*site][]change{}
	for _, s := range sites {
		var why string
		if changes[s], why = r.contain(s); why != "" {
			r.reportWhy(Blocking, "job-image", s.at, s.job.name, why)
			continue
		}
		fine = append(fine, s)
	}
	lent := r.lenders(fine)
	for _, s := range fine {
		if why := lent(s); why != "" {
			r.reportWhy(Blocking, "job-image", s.at, s.job.name, why)
			continue
		}
		if !r.agreed(s, fine) {
			r.reportWhy(Blocking, "job-image", s.at, s.job.name, "it shares its image by a merge key with a job that stays as it is")
			continue
		}
		out = append(out, changes[s]...)
	}
	out = distinct(out)
	if len(out) > 0 {
		inc, why := r.dockerTemplate()
		if why != "" {
			for _, s := range fine {
				r.reportWhy(Blocking, "job-image", fine[0].at, s.job.name, why)
			}
			return nil
		}
		out = append(out, inc...)
	}
	return out
}

// agreed says whether all jobs that merge the values which a site takes out are
// put into containers too.
func (r *run) agreed(s *site, fine []*site) bool {
	if len(s.shared) == 0 {
		return true
	}
	in := map[string]bool{}
	for _, f := range fine {
		in[f.job.name] = true
		for _, u := range f.users {
			in[u.name] = true
		}
	}
	for _, j := range r.cfg.jobs() {
		if j.hidden || in[j.name] {
			continue
		}
		for _, k := range decisive {
			if t := j.tree.kid(k); t != nil && slices.Contains(s.shared, t.node) {
				return false
			}
		}
	}
	return true
}

// distinct drops repeated changes.
func distinct(list []change) []change {
	seen := map[change]bool{}
	var out []change
	for _, c := range list {
		if !seen[c] {
			seen[c] = true
			out = append(out, c)
		}
	}
	return out
}

// site is a job, or a template that holds all that matters of several jobs,
// which is rewritten as one.
type site struct {
	job   *job
	at    span // where the image is named
	image imageSpec
	users []*job
	// shared are values that come by a merge key and are taken out there.
	shared []*yaml.Node
	// ownDaemon says that its service docker:dind stays.
	ownDaemon bool
}

// sites finds the jobs in own images and gathers those that say no more of it than
// one template, or one job, which they extend.
func (r *run) sites() []*site {
	jobs := r.cfg.jobs()
	affected := map[string]*site{}
	for _, j := range jobs {
		if !j.hidden && (len(r.cfg.lines(j.tree.kid("script"))) > 0 || j.tree.kid("run") != nil) {
			if s := r.ownImage(j); s != nil {
				affected[j.name] = s
			}
		}
	}
	var out []*site
	done := map[string]*site{}
	for _, j := range jobs {
		s := affected[j.name]
		if s == nil {
			continue
		}
		top := r.climb(j, jobs, affected)
		if top == nil {
			out = append(out, s)
			continue
		}
		t := affected[top.name] // a job that others extend
		if t == nil {
			t = done[top.name]
		}
		if t != nil {
			t.users = append(t.users, j)
			continue
		}
		t = &site{job: top, at: s.at, image: s.image, users: []*job{j}}
		done[top.name] = t
		out = append(out, t)
	}
	return out
}

// scriptsUnseen reports jobs in own images that take their script from a template which
// cannot be read: what they would run in a container is not known.
func (r *run) scriptsUnseen() {
	for _, j := range r.cfg.jobs() {
		if j.hidden || len(j.gone) == 0 || j.tree.kid("script") != nil || j.tree.kid("run") != nil || j.tree.kid("trigger") != nil {
			continue
		}
		t := r.cfg.extended(j.own, &job{}, 0) // an image of default: is one that the template may have another for
		if s := r.ownImage(&job{name: j.name, own: j.own, tree: t}); s != nil {
			r.reportWhy(Blocking, "job-image", s.at, j.name, "its script: is in no file that could be read"+r.cfg.notRead())
		}
	}
}

// lostWith names a template that cannot be read and whose before_script, after_script or
// services are lost behind those of .docker.
func lostWith(j *job) string {
	for _, name := range j.gone {
		if name == ".docker" {
			continue
		}
		for _, key := range []string{"before_script", "after_script", "services"} {
			if j.own.kids[key] == nil {
				return name
			}
		}
	}
	return ""
}

// unreadReferences names what a script takes by !reference from no file that could be read,
// but for what .docker has, which a job that extends it has too.
func (c *config) unreadReferences(t *tree) []string {
	_, unread := c.entries(t)
	var out []string
	for _, n := range unread {
		var from []string
		for _, x := range n.Content {
			if x = deref(x); x != nil {
				from = append(from, x.Value)
			}
		}
		if len(from) > 0 && from[0] != ".docker" {
			out = append(out, "!reference ["+strings.Join(from, ", ")+"]")
		}
	}
	return out
}

// ownImage is the site of a job that runs in an own image or beside one.
func (r *run) ownImage(j *job) *site {
	e := r.cfg.env(j.tree)
	own := false
	s := &site{job: j}
	check := func(t *tree) {
		node, doc := t.nameNode(r.cfg)
		if node == nil {
			return
		}
		ch := r.cfg.scalar(doc, node)
		if ch == nil {
			return
		}
		for _, v := range e.expand(ch, doc) {
			for _, ref := range r.references(v) {
				if ref.own && !ref.host && !r.keepsSlash(ref) {
					own = true
					if s.at.src == nil {
						s.at = ch.span(0, len(ch.text))
					}
				}
			}
		}
	}
	if !r.cfg.dockerSays("image", j.own, 0) {
		check(j.tree.kid("image"))
	}
	s.image = r.spec(j.tree.kid("image")).withEntry(r.entries[j.name])
	if sv := j.tree.kid("services"); sv != nil && !r.cfg.dockerSays("services", j.own, 0) {
		list, _ := r.cfg.services(sv)
		for _, t := range list {
			check(t)
		}
	}
	if !own {
		return nil
	}
	return s
}

// keepsSlash says whether a reference has not come to its new name: that is reported, and
// docker run would not find it either.
func (r *run) keepsSlash(ref *reference) bool {
	if ref.sep < 0 {
		return false
	}
	s, ok := ref.f.at(ref.sep)
	return ok && r.files[s.src.path] == s.src
}

// dockerSays says whether a key of a job is what .docker has for it, though .docker
// is in no file that can be read: it wins over the templates before it in extends.
func (c *config) dockerSays(key string, t *tree, depth int) bool {
	if t.kid(key) != nil || t.kid("extends") == nil || depth > 11 {
		return false
	}
	list := items(t.kid("extends").node)
	for i := len(list) - 1; i >= 0; i-- {
		n := deref(list[i])
		if n == nil {
			continue
		}
		parent := c.root.kid(n.Value)
		switch {
		case parent == nil && n.Value == ".docker", c.dockerSays(key, parent, depth+1):
			return true
		case c.extended(parent, &job{}, 0).kid(key) != nil:
			return false
		}
	}
	return false
}

// nameNode is the scalar that names an image.
func (t *tree) nameNode(c *config) (*yaml.Node, *document) {
	for range 5 {
		switch {
		case t == nil:
			return nil, nil
		case t.kids != nil:
			t = t.kid("name")
		case t.node != nil && t.node.Tag == "!reference":
			t = c.reference(t.node)
		case t.node != nil && t.node.Kind == yaml.ScalarNode:
			return t.node, t.doc
		default:
			return nil, nil
		}
	}
	return nil, nil
}

var decisive = []string{"image", "services", "before_script", "script", "after_script"}

// climb finds the template, or the job, that says all about the job's image and script, nil
// when the job itself has a say or others who extend the template differ.
func (r *run) climb(j *job, jobs []*job, affected map[string]*site) *job {
	var top *job
	own := j.own
	for range 11 {
		ext := own.kid("extends")
		if ext == nil || own.node == nil {
			break
		}
		if slices.ContainsFunc(decisive, func(k string) bool { return own.kids[k] != nil }) {
			break
		}
		list := items(ext.node)
		if len(list) != 1 || deref(list[0]) == nil {
			break
		}
		name := deref(list[0]).Value
		parent := r.cfg.root.kid(name)
		if parent == nil || !parent.doc.src.editable {
			break
		}
		same := strings.HasPrefix(name, ".") || affected[name] != nil
		for _, other := range jobs {
			if !other.hidden && slices.Contains(other.chain, name) && (affected[other.name] == nil || other.tree.kid("inherit") != nil) {
				same = false
			}
		}
		if !same {
			break
		}
		own = parent
		top = &job{name: name, own: parent, hidden: true}
		top.tree = r.cfg.extended(parent, top, 0)
	}
	if top == nil || top.tree.kid("script") == nil || top.tree.kid("image") == nil {
		return nil
	}
	if s := affected[top.name]; s != nil {
		return s.job
	}
	top.tree = r.cfg.withDefaults(top.tree) // its jobs have them, and .docker would take their place
	return top
}

// dockerTemplate makes sure that .docker is there to be extended.
func (r *run) dockerTemplate() ([]change, string) {
	if t := r.cfg.root.kid(".docker"); t != nil {
		if why := r.noDind(t); why != "" {
			return nil, "the project has a template .docker of its own that is no docker-in-docker (" + why + "); with another name for it the platform's could be included"
		}
		return nil, ""
	}
	if slices.ContainsFunc(r.cfg.includes(), func(inc Include) bool { return platformTemplate(inc, "docker/") }) {
		return nil, ""
	}
	return r.includeHelpers()
}

// noDind says what keeps a template .docker of the project from starting
// containers that see the checkout.
func (r *run) noDind(t *tree) string {
	x := r.cfg.extended(t, &job{}, 0)
	node, doc := x.kid("image").nameNode(r.cfg)
	if node == nil {
		return "it has no image"
	}
	e := r.cfg.env(x)
	docker := func(v text) bool { return strings.Contains(v.String(), "docker") }
	if !slices.ContainsFunc(e.expand(r.cfg.scalar(doc, node), doc), docker) {
		return "its image is " + node.Value
	}
	hosts, _ := e.lookup("DOCKER_HOST")
	for _, h := range hosts {
		if strings.HasPrefix(h.String(), "unix:") {
			return "its DOCKER_HOST is " + h.String() + " and so the runner's own daemon that does not see the checkout where the job has it"
		}
	}
	return ""
}

// includes are those that were asked for, readable or not.
func (c *config) includes() []Include {
	out := slices.Clone(c.missing)
	for _, g := range c.in.Included {
		out = append(out, g.Include)
	}
	return out
}

// notRead names the includes that could not be read, for a finding.
func (c *config) notRead() string {
	var out []string
	for _, g := range c.in.Included {
		if name := cmp.Or(g.Project, g.Component, g.File); g.Missing != "" && !slices.Contains(out, name) {
			out = append(out, name)
		}
	}
	if out == nil {
		return ""
	}
	return "; not read: " + strings.Join(out, " ")
}
