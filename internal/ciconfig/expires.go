package ciconfig

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
	"mvdan.cc/sh/v3/syntax"
)

// expires warns of own images that are used and that the pipeline is not sure
// to push: CI tools, base images, old releases. ECR drops within a day what the
// PaaS does not run, so the next pipeline would not find them.
func (r *run) expires() {
	made := madeImages{named: map[string][]*use{}, found: map[string][]*use{}}
	for _, u := range r.uses {
		if u.ref.own && !u.ref.host && (u.composed && r.composeBuilds || u.document && u.push && r.handsToTasks(u.at.path()) || u.inPipeline() && (u.push || u.cmd != nil && u.tags())) {
			made.add(u)
		}
	}
	if r.buildsUnseen() || len(made.all) == 0 && r.platform() {
		return // built by a file that is not seen, or by the platform's own job
	}
	gone, kept := r.gone(), r.inCluster()
	idle := map[*syntax.CallExpr]bool{} // copies of which nothing is left
	for _, u := range r.uses {
		if u.cmd != nil && (u.push || u.tags()) {
			before, known := idle[u.cmd.call]
			idle[u.cmd.call] = gone[u] && (before || !known)
		}
	}
	for _, u := range r.uses {
		if u.promoted() && idle[u.cmd.call] {
			continue
		}
		if gone[u] || !u.ref.own || u.ref.host || u.ref.joined || u.bad != "" || u.role != imageRole && !buildArg(u) && u.command != bakeBase && !u.deployedByHelm() || u.apart() || u.push || u.cmd != nil && u.tags() || u.settled || u.spare() || u.removes() || u.archived() || cacheFlag(u) != "" {
			continue
		}
		if u.role != imageRole && u.ref.sep < 0 && u.ref.colon < 0 && u.ref.digest < 0 {
			continue // the base, to which a Dockerfile may add a name
		}
		pushes := made.of(u.ref.name())
		if u.ref.name() == "" && r.platform() && len(pushes) == 0 || u.job.needsUnseen() {
			continue // .docker-build pushes the nameless image, or a job that nobody sees may
		}
		if slices.ContainsFunc(pushes, func(p *use) bool { return p.document && !p.composed && tagOf(p) == tagOf(u) }) {
			continue // a task runner that a job calls pushes it
		}
		if (!u.document || u.command == fromArgs) && !r.finds(u, r.made(pushes, u)) || u.ref.digest < 0 && u.retagged == "" && standing(tagOf(u)) && !pushed(pushes, tagOf(u)) {
			why := ""
			if late(pushes, u) {
				if strings.Contains(u.command, "inspect") {
					continue // it asks whether the tag is free
				}
				why = "only jobs that do not come before this one push it"
			}
			r.reportWhy(Warning, "expires", u.place(), u.ref.String(), why).cause = u.ref.String()
		} else if u.command == "image" && slices.ContainsFunc(u.jobs(), stops) && !kept[u.ref.name()] {
			f := r.reportWhy(Warning, "expires", u.place(), u.ref.String(), "stop")
			f.says("a job that stops an environment, perhaps days after its pipeline, runs in an own image; versions that are not deployed are deleted from ECR after one day")
			f.Remedy = "let that job use an upstream image"
		}
	}
}

// archived says whether kaniko only gives an image its name, in an archive that it writes.
func (u *use) archived() bool {
	return u.lits != nil && u.lits[0] == "executor" && (slices.Contains(u.lits, "--no-push") || slices.Contains(u.lits, "--no-push=true"))
}

// stops says whether a job stops an environment: someone starts it when it is not needed any more.
// https://docs.gitlab.com/ci/yaml/#environmentaction
func stops(j *job) bool {
	return j != nil && j.tree.kid("environment").kid("action").value() == "stop"
}

// inCluster are the names of images that are seen to be deployed, so that they are kept.
func (r *run) inCluster() map[string]bool {
	out := map[string]bool{}
	for _, u := range r.uses {
		if u.ref.own && (u.document || u.lits != nil && (u.lits[0] == "kubectl" || u.lits[0] == "helm")) {
			out[u.ref.name()] = true
		}
	}
	return out
}

// late says whether jobs push the very tag of a use, and none of them before it.
func late(pushes []*use, u *use) bool {
	pushes = slices.DeleteFunc(slices.Clone(pushes), func(p *use) bool { return !p.push || tagOf(p) != tagOf(u) })
	return len(pushes) > 0 && !slices.ContainsFunc(pushes, func(p *use) bool { return slices.ContainsFunc(p.jobs(), u.job.follows) })
}

// everyJob are the variables of GitLab's that are the same in all jobs of a pipeline and have no other name.
var everyJob = regexp.MustCompile(`^\$\{CI_(COMMIT_(SHORT_)?SHA|PIPELINE|PROJECT|SERVER|REGISTRY)`)

// variable is a variable, or the output of a command, in a name.
var variable = regexp.MustCompile(`\$\{[^}]*\}+|\$\(…\)`)

// madeImages are the uses that make images, by their names.
type madeImages struct {
	all   []*use
	named map[string][]*use // those that have one name alone
	open  []openName        // the others
	found map[string][]*use // what has been asked for
}

// openName is a use with a name that is different from job to job.
type openName struct {
	*use
	may *regexp.Regexp
}

func (m *madeImages) add(u *use) {
	m.all = append(m.all, u)
	if may := mayBeNamed(u.ref.name()); may != nil {
		m.open = append(m.open, openName{u, may})
	} else {
		m.named[u.ref.name()] = append(m.named[u.ref.name()], u)
	}
}

// of are the uses that may make an image of a name.
func (m *madeImages) of(name string) []*use {
	if list, known := m.found[name]; known {
		return list
	}
	list := slices.Clone(m.named[name])
	may := mayBeNamed(name)
	if may != nil {
		for _, other := range sortedKeys(m.named) {
			if other != name && may.MatchString(other) {
				list = append(list, m.named[other]...)
			}
		}
	}
	for _, o := range m.open {
		if o.ref.name() == name || o.may.MatchString(name) || may != nil && may.MatchString(o.ref.name()) {
			list = append(list, o.use)
		}
	}
	m.found[name] = list
	return list
}

// mayBeNamed are the names that a name may be, nil for itself alone: any value may take
// the place of a variable that a job has for itself.
func mayBeNamed(name string) *regexp.Regexp {
	expr, at := "^", 0
	for _, m := range variable.FindAllStringIndex(name, -1) {
		if !everyJob.MatchString(name[m[0]:m[1]]) {
			expr += regexp.QuoteMeta(name[at:m[0]]) + ".*"
			at = m[1]
		}
	}
	if at == 0 {
		return nil
	}
	return regexp.MustCompile(expr + regexp.QuoteMeta(name[at:]) + "$")
}

// deployedByHelm says whether a value of a chart is the whole reference.
func (u *use) deployedByHelm() bool {
	return u.lits != nil && u.lits[0] == "helm" && u.ref.colon >= 0 && strings.Contains(u.at.text(), "image")
}

// finds says whether each job with a use is sure to have the job of one of the pushes in its
// pipeline, be it of the default branch or for a git tag.
func (r *run) finds(u *use, pushes []*use) bool {
	var makers []*job
	for _, p := range pushes {
		makers = append(makers, p.jobs()...)
	}
	return !r.missed(pushes, u) && !slices.ContainsFunc(u.jobs(), func(j *job) bool {
		return !slices.ContainsFunc(makers, func(m *job) bool {
			return reliesOn(j, m) && (r.in.Project.before(m, j) || j.asksFor(m))
		})
	})
}

// made are the pushes that may have made what a use finds. A job that promotes an image,
// as docker tag B:$SHA B:$TAG does, finds none where all that push it are in pipelines
// of another kind: for branches, while releases are for git tags.
func (r *run) made(pushes []*use, u *use) []*use {
	if !u.promoted() {
		return pushes
	}
	elsewhere := false
	for _, p := range pushes {
		if !p.push || tagOf(p) != tagOf(u) {
			continue
		}
		if slices.ContainsFunc(p.jobs(), func(j *job) bool { return r.in.Project.together(j, u.job) }) {
			return pushes
		}
		elsewhere = true
	}
	if elsewhere {
		return nil
	}
	return pushes
}

// removes says whether a command takes an image off the machine, which needs none in the registry.
func (u *use) removes() bool {
	return len(u.lits) > 2 && (u.lits[1] == "rmi" || u.lits[1] == "image" && (u.lits[2] == "rm" || u.lits[2] == "remove"))
}

// promoted says whether a command gives the image of a use another tag.
func (u *use) promoted() bool {
	if u.cmd == nil || u.push || u.tags() || len(u.lits) < 3 || strings.Contains(tagOf(u), "$(") {
		return false
	}
	switch u.lits[1] {
	case "tag":
		return imageTools[u.lits[0]]
	case "copy", "cp":
		return u.lits[0] == "skopeo" || u.lits[0] == "crane"
	case "image":
		return u.lits[0] == "regctl" && u.lits[2] == "copy"
	}
	return false
}

// apart says whether a use is in a file that no job fills in, is replaced there, or has
// no tag that is written out. A Dockerfile counts by the values that its builds give it.
func (u *use) apart() bool {
	return u.document && u.command != fromArgs && u.command != bakeBase && (!u.filled || u.command != "manifest" || u.overruled || u.composed || !strings.Contains(u.at.text(), ":"+tagOf(u)))
}

// needsUnseen says whether a job needs another one that is in no file that can be read,
// or that takes its script from there.
func (j *job) needsUnseen() bool {
	if j == nil || j.in == nil {
		return false
	}
	return slices.ContainsFunc(append(j.needed("needs"), j.needed("dependencies")...), func(n neededJob) bool {
		return j.in.root.kid(n.name) == nil || j.in.scriptUnseen(n.name, 0)
	})
}

// standing says whether a tag is written out and does not follow the build.
func standing(tag string) bool { return tag != "" && !strings.ContainsRune(tag, '$') }

// pushed says whether one of the pushes may be of this very tag: one that is
// the same, or one that only a variable of the project's names.
func pushed(pushes []*use, tag string) bool {
	return slices.ContainsFunc(pushes, func(p *use) bool {
		t := tagOf(p)
		return t == tag || strings.HasPrefix(t, "$") && !strings.Contains(t, "CI_")
	})
}

// registryCaches takes out build caches that are kept in the registry under a
// tag: it would be pushed again and again. The result of a build is the same
// without its cache. What jobs push as an image is none, nor is one that they only
// build, to load it from a file.
func (r *run) registryCaches() {
	pushed, built, written := map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, u := range r.uses {
		image := u.ref.name() + "\x00" + tagOf(u)
		switch flag := cacheFlag(u); {
		case !u.ref.own:
		case flag != "":
			written[image] = written[image] || flag != "--cache-from" && flag != "--import-cache"
		case u.push:
			pushed[image] = true
		case u.cmd != nil && u.tags():
			built[image] = true
		}
	}
	word, decided := map[span][]*use{}, map[span]bool{} // the values of one word go together
	for _, u := range r.uses {
		if u.cmd != nil && cacheFlag(u) != "" {
			word[u.at] = append(word[u.at], u)
		}
	}
	for _, u := range r.uses {
		image := u.ref.name() + "\x00" + tagOf(u)
		if cacheFlag(u) == "" || !u.ref.own || u.ref.host || u.role == repositoryRole || pushed[image] || built[image] && !written[image] {
			continue
		}
		gone, known := decided[u.at]
		if all := word[u.at]; len(all) < 2 || !known {
			cut, ok := r.droppable(append([]*use{u}, r.warmedFor(u)...))
			switch {
			case len(all) > 1:
				cut, ok = r.droppable(all)
			case !ok:
				cut, ok = r.droppable([]*use{u})
			}
			if ok {
				r.cuts = append(r.cuts, cut...)
			}
			gone, decided[u.at] = ok, ok
		}
		if gone {
			r.cacheDropped(u)
		} else {
			r.report("registry-cache", u.place(), u.ref.String())
		}
	}
}

// cacheDropped tells of a build that loses its caches, once.
func (r *run) cacheDropped(u *use) {
	if u.cmd != nil && !r.uncached[u.cmd.at] {
		r.uncached[u.cmd.at] = true
		r.report("cache-dropped", u.place(), u.ref.String())
	}
}

// warmedFor are the pulls in the job of a cache that do nothing but bring it.
func (r *run) warmedFor(cache *use) (pulls []*use) {
	for _, v := range r.uses {
		switch {
		case v == cache || v.job != cache.job || v.ref.String() != cache.ref.String() || cacheFlag(v) != "" || v.cmd != nil && v.tags():
		case !r.isCache(v):
			return nil // something else takes the image that is pulled
		default:
			pulls = append(pulls, v)
		}
	}
	return pulls
}

// buildArg says whether a use is handed to a build, as base images are.
func buildArg(u *use) bool {
	return u.lits != nil && (handsArg(u.lits[max(u.arg-1, 0)], u.lits[u.arg]) || strings.HasPrefix(u.lits[u.arg], "--build-arg="))
}

// handsArg says whether a word gives an ARG a value: of docker, of buildctl --opt or of bake.
func handsArg(flag, word string) bool {
	return flag == "--build-arg" || strings.HasPrefix(word, "build-arg:") || flag == "--set" && strings.Contains(word, ".args.")
}

// cacheFlag is the flag that makes a use a build cache, or "".
func cacheFlag(u *use) string {
	if u.lits == nil {
		return ""
	}
	return cacheOf(u.lits[u.arg], u.lits[max(u.arg-1, 0)])
}

// cacheOf is cacheFlag for an argument and the one before it.
func cacheOf(arg, before string) string {
	for _, l := range []string{arg, before} {
		flag, _, _ := strings.Cut(l, "=")
		if flag == "--cache-from" || flag == "--cache-to" || flag == "--import-cache" || flag == "--export-cache" || flag == "--cache-image" {
			return flag
		}
		if m := bakedCache.FindStringSubmatch(l); m != nil {
			return "--" + m[1]
		}
	}
	return ""
}

// bakedCache is a cache that a call of bake sets for its targets.
var bakedCache = regexp.MustCompile(`^(?:--set=)?[\w*.-]+\.(cache-from|cache-to)\+?=`)

// scriptUnseen says whether a job has no script but may have one from a template that is
// in no file that can be read.
func (c *config) scriptUnseen(name string, depth int) bool {
	t := c.root.kid(name)
	if t == nil {
		return true
	}
	if t.kid("script") != nil || t.kid("extends") == nil || depth > maxCalls {
		return false
	}
	return slices.ContainsFunc(items(t.kid("extends").node), func(n *yaml.Node) bool {
		n = deref(n)
		return n != nil && n.Kind == yaml.ScalarNode && c.scriptUnseen(n.Value, depth+1)
	})
}
