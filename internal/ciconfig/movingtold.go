package ciconfig

import (
	"regexp"
	"slices"
	"strings"
)

// What is said of the tags that do not move any more.

// reportMoved says what became of the tags of a cluster.
func (r *run) reportMoved(cluster []*movings, cuts []*use) {
	for _, p := range pushesOf(cluster) {
		if slices.Contains(cuts, p) {
			if r.gitTag(p) && !r.pushesGitTag(p.ref.name()) && slices.ContainsFunc(p.jobs(), func(j *job) bool { return j != nil && asksForTags(j) }) {
				r.reportWhy(Warning, "tag-dropped", p.place(), p.ref.String(), "in the pipelines for git tags that the job is in it was the git tag").
					Remedy = "if anything takes the image by its release, push $CI_COMMIT_TAG in a job for git tags alone"
			} else if r.onlyRestarts(cluster, p) {
				r.reportWhy(Warning, "tag-dropped", p.place(), p.ref.String(), "a job only restarts what runs, by the tag that it has").
					Remedy = "let that job give it the tag of the build: kubectl set image deployment/NAME CONTAINER=$CI_REGISTRY_IMAGE:name-tag"
			} else if why := r.builtTwice(cluster, p); why != "" {
				r.reportWhy(Warning, "tag-dropped", p.place(), p.ref.String(), why).Remedy = onlyOneBuilds
			} else if r.ofAnotherBuild(cluster, p) {
				r.reportWhy(Warning, "tag-dropped", p.place(), p.ref.String(), "the job gave it to an image that another pipeline had pushed, and what takes it there takes that of its own pipeline now").
					Remedy = "name the tag of that image where the job uses it; versions that are not deployed are deleted after one day"
			} else if r.takesOwn(cluster, p) {
				r.reportWhy(Warning, "tag-dropped", p.place(), p.ref.String(), "pipelines that did not push it took what an earlier one had left, and take the image of their own build now").
					Remedy = "see that this is what the jobs of other branches are to take; if it is not, let only the pipelines that pushed the tag have them"
			} else {
				r.report("tag-dropped", p.place(), p.ref.String())
			}
		} else if why := r.builtTwice(cluster, p); p.retagged != "" && why != "" {
			r.reportWhy(Warning, "tag-replaced", p.place(), p.ref.String(), why).Remedy = onlyOneBuilds
		} else if p.retagged != "" && !deployed(cluster, p) {
			why := ""
			if r.gitTag(p) && !p.gitTagged {
				why = "a pipeline for a git tag pushed it under that name"
				if ofACommit.MatchString(p.retagged) {
					why += ", and now that of a commit which its branch may have pushed already"
				}
			}
			r.reportWhy(Warning, "tag-replaced", p.place(), p.ref.String(), why)
		}
	}
	if slices.ContainsFunc(pushesOf(cluster), func(p *use) bool { return slices.Contains(cuts, p) }) {
		return // that the tag went says the same of the cache
	}
	for _, u := range cuts {
		if cacheFlag(u) != "" {
			r.cacheDropped(u)
		}
	}
}

// takesOwn says whether a pipeline without the push of a moving tag before a use has the use
// take another tag now, which it pushes itself.
func (r *run) takesOwn(cluster []*movings, push *use) bool {
	return slices.ContainsFunc(cluster, func(g *movings) bool {
		return slices.Contains(g.pushes, push) && slices.ContainsFunc(g.all, func(u *use) bool {
			return !u.push && u.retagged != "" && (!u.document || u.filled) && !r.isCache(u) && !g.madeIn(u) && r.missedBy(g.pushes, u)
		})
	})
}

// missedBy says of a use, or of one in a file that jobs fill in, whether a pipeline has it and no
// push of the image before.
func (r *run) missedBy(pushes []*use, u *use) bool {
	if !u.document {
		return r.missed(pushes, u)
	}
	return slices.ContainsFunc(r.usedBy(u), func(j *job) bool { return j != nil && r.missed(pushes, &use{ref: u.ref, job: j}) })
}

// madeIn says whether the job that uses a tag gives an image that tag itself.
func (g *movings) madeIn(u *use) bool {
	return slices.ContainsFunc(g.all, func(v *use) bool { return (v.push || v.cmd != nil && v.tags()) && v.sharesJob(u) })
}

// onlyRestarts says whether jobs, or the job that pushed the tag, take the image by a restart
// of what runs, and by nothing else.
func (r *run) onlyRestarts(cluster []*movings, push *use) bool {
	return len(r.restarting) > 0 && !deployed(cluster, push) ||
		slices.ContainsFunc(push.jobs(), func(j *job) bool { return r.restarting[j] && !deployedIn(cluster, push, j) })
}

// ofAnotherBuild says whether a job has given a moving tag to an image under a tag that its
// pipeline does not push: one to go back to.
func (r *run) ofAnotherBuild(cluster []*movings, push *use) bool {
	return slices.ContainsFunc(cluster, func(g *movings) bool {
		return slices.ContainsFunc(g.all, func(u *use) bool {
			if u.cmd == nil || !u.push && !u.tags() || u.ref.name() != push.ref.name() || tagOf(u) != tagOf(push) || !u.sharesJob(push) {
				return false
			}
			return slices.ContainsFunc(r.index().calls[u.cmd.call], func(from *use) bool {
				return from != u && !from.push && !from.tags() && !r.isCache(from) && from.ref.own && from.ref.name() == u.ref.name() && tagOf(from) != tagOf(u) &&
					from.ref.colon >= 0 && from.stability() != uniqueTag && !r.makesTag(from)
			})
		})
	})
}

// makesTag says whether the pipeline builds or pushes the image of a use under its tag.
func (r *run) makesTag(u *use) bool {
	return slices.ContainsFunc(r.index().named[u.ref.name()], func(p *use) bool { return (p.push || p.tags()) && tagOf(p) == tagOf(u) })
}

// restartsRunning finds a command that makes what runs pull its image again, without naming one;
// another command may start it, such as xargs.
var restartsRunning = regexp.MustCompile(`\b(?:kubectl|oc)\s.*\brollout restart\b|\bdocker service update\s.*--force\b`)

// restarts says whether a command is such a one.
func restarts(lits []string) bool {
	if !slices.ContainsFunc(lits, func(l string) bool { return strings.Contains(l, "restart") || strings.Contains(l, "--force") }) {
		return false // as nearly all
	}
	line := strings.Join(lits, " ")
	return restartsRunning.MatchString(line) && !strings.Contains(line, "--image")
}

// gitTag says whether a tag that moves with the branch is the git tag in some pipelines, for
// which no rule gives another.
func (r *run) gitTag(u *use) bool {
	if u.ref.colon < 0 {
		return false
	}
	named := false
	for i := u.ref.colon + 1; i < u.ref.tagEnd; i++ {
		named = named || refVariables[u.ref.f.t[u.ref.f.piece[i]].hole]
	}
	return named && r.forGitTags(u) && !r.otherwiseReleased(u)
}

// pushesGitTag says whether an image is pushed under the git tag by its own variable.
func (r *run) pushesGitTag(name string) bool {
	return slices.ContainsFunc(r.uses, func(u *use) bool {
		if !u.push || !u.ref.own || u.ref.name() != name || u.ref.colon < 0 {
			return false
		}
		for i := u.ref.colon + 1; i < u.ref.tagEnd; i++ {
			if u.ref.f.t[u.ref.f.piece[i]].hole == "CI_COMMIT_TAG" {
				return true
			}
		}
		return false
	})
}

// leaves says whether a command gives an image a name in another registry.
func (u *use) leaves() bool {
	own := u.ref.f.s[u.ref.start:u.ref.base]
	return slices.ContainsFunc([]string{" tag", " copy", " cp"}, func(verb string) bool { return strings.Contains(u.command, verb) }) &&
		slices.ContainsFunc(u.lits[min(u.arg+1, len(u.lits)):], func(l string) bool { return hosted(l) && !strings.Contains(l, own) })
}
