package reconcile

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// Judge compares what was seen of a project with what should be, and returns
// what it finds, the gravest first; never nothing: what is as it should be is in
// sync.
func Judge(p Project, e Expectation, l Limits) []Finding {
	j := judge{p: p, e: e, l: l}
	j.progress()
	if e.switched() && !p.Gone {
		j.moved()
		j.configuration()
		j.pushes()
		j.files()
		j.workloads()
		j.images()
	}
	slices.SortStableFunc(j.found, func(a, b Finding) int { return rank(a.Class) - rank(b.Class) })
	if len(j.found) == 0 {
		return []Finding{find(InSync, false, j.peace())}
	}
	return j.found
}

// Unobserved is the finding about a subject that could not be looked at. Nobody
// can say that it does not need the old registry.
func Unobserved(why string) []Finding {
	return []Finding{find(NotObserved, true, "it could not be looked at: "+why)}
}

// Ownerless is the finding about a repository of the old registry that belongs to
// no project, or to one of several.
func Ownerless(repository string, tags int, candidates []string) []Finding {
	detail := "no project owns it"
	if len(candidates) > 1 {
		detail = "it may belong to " + strings.Join(candidates, " or ")
	}
	if tags == 0 {
		return []Finding{find(Nobody, false, detail+"; it holds no tag", repository)}
	}
	return []Finding{find(Nobody, true, fmt.Sprintf("%s; it holds %s", detail, count(tags, "tag", "tags")), repository)}
}

type judge struct {
	p     Project
	e     Expectation
	l     Limits
	found []Finding
}

func (j *judge) add(f Finding) { j.found = append(j.found, f) }

// progress says where the migration is, unless it ended well.
func (j *judge) progress() {
	e, p := j.e, j.p
	why, needs := j.uses()
	age := j.l.Now.Sub(e.Since)
	switch {
	case p.Gone:
		j.add(find(Gone, false, "GitLab no longer knows the project, or the worker may not see it"))
	case e.State == "":
		j.add(find(NewProject, needs, "it has never been enqueued; "+why))
	case e.Kind == "rollback" && (e.State == "done" || e.State == "exceptions"):
		j.add(find(RolledBack, needs, "it was taken back to the old registry on "+day(e.Since)+"; "+why))
	case e.ownRequest() && p.MergeRequest != nil && p.MergeRequest.State == "closed" && len(p.OldNames) > 0:
		// What stopped the migration, or will at the worker's next look; where the
		// change came in by hand, the migration goes on.
		mr := p.MergeRequest
		j.add(find(Closed, needs, fmt.Sprintf("somebody closed merge request !%d, which brings the project to ECR: %s; %s", mr.IID, mr.URL, why), fmt.Sprintf("!%d", mr.IID)))
	case e.stopped():
		class := Failed
		if age > j.l.Failed {
			class = Forgotten
		}
		f := find(class, needs, fmt.Sprintf("%s at %s since %s (%s): %s", e.State, e.Step, day(e.Since), orUnknown(e.Reason), e.Message))
		if !needs {
			f.Detail += "; " + why
		}
		j.add(f)
	case e.active():
		j.underWay(why, needs, age)
	case e.State == "skipped" && needs:
		f := find(NewProject, true, "it was skipped ("+orUnknown(e.Reason)+"), but "+why)
		f.Remedy = "enqueue the project again: what it was skipped for no longer holds"
		j.add(f)
	}
}

func (j *judge) underWay(why string, needs bool, age time.Duration) {
	e, mr, job := j.e, j.p.MergeRequest, j.p.Production
	switch {
	case mr != nil && mr.State == "opened" && !e.switched() && j.l.Now.Sub(mr.CreatedAt) > j.l.MergeRequest:
		j.add(find(MergeRequest, true, fmt.Sprintf("merge request !%d is open since %s: %s", mr.IID, day(mr.CreatedAt), mr.URL), fmt.Sprintf("!%d", mr.IID)))
	case e.waitsFor("production") && age > j.l.Production && (job == nil || job.Status == "manual"):
		name, url := "its manual job", ""
		if job != nil {
			name, url = job.Name, ": "+job.URL
		}
		j.add(find(Production, true, fmt.Sprintf("production waits for %s since %s%s", name, day(e.Since), url), name))
	default:
		j.add(find(UnderWay, needs || !e.switched(), fmt.Sprintf("%s at %s since %s; %s", e.State, e.Step, day(e.Since), why)))
	}
}

// uses says whether the project, as it is now, needs the old registry.
func (j *judge) uses() (why string, needs bool) {
	p := j.p
	switch running := j.fromOld(func(Workload) bool { return true }); {
	case len(running) > 0:
		return "it runs from the old registry: " + list(running, 3), true
	case p.Archived:
		if len(p.Old) > 0 && !p.ClusterAsked {
			return "it is archived, and nobody has asked the cluster whether its images still run", true
		}
		return "it is archived and nothing of it runs from the old registry", false
	case len(p.OldNames) > 0 && p.Pipelines:
		return "its files name the old registry: " + list(p.OldNames, 2), true
	case len(p.Old) > 0 && p.Pipelines && !j.inECR():
		return "its pipeline pushes to the old registry, which holds " + count(len(p.Old), "tag", "tags") + " of it", true
	case len(p.Old) > 0 && !p.ClusterAsked:
		return "the old registry holds " + count(len(p.Old), "tag", "tags") + " of it, and nobody has asked the cluster whether they run", true
	case len(p.Old) > 0:
		return "the old registry holds " + count(len(p.Old), "tag", "tags") + " of it, but nothing was seen to use them", false
	}
	return "nothing of it is in the old registry", false
}

// inECR says whether the project's own variable names a repository in ECR.
func (j *judge) inECR() bool {
	return j.l.ECRHost != "" && strings.HasPrefix(j.p.Image, j.l.ECRHost+"/")
}

// wanted is the repository that the project's path asks for.
func (j *judge) wanted() string {
	name, err := naming.RepositoryName(j.p.Path)
	if err != nil {
		return ""
	}
	return name
}

func (j *judge) moved() {
	if want := j.wanted(); j.e.Repository != "" && want != j.e.Repository {
		j.add(find(Moved, false, fmt.Sprintf("it migrated to the repository %s, and its path is %s now", j.e.Repository, j.p.Path), j.p.Path))
	}
}

func (j *judge) configuration() {
	want := j.l.ECRHost + "/" + j.e.Repository
	if j.e.Repository == "" || j.wanted() != j.e.Repository {
		return // that it moved says it all
	}
	switch p := j.p; {
	case !p.ECR.Exists:
		j.add(find(Unconfigured, false, "its repository "+j.e.Repository+" does not exist in ECR", j.e.Repository))
	case p.Image == "":
		j.add(find(Unconfigured, true, "CI_REGISTRY_IMAGE is not set for the project, so its pipeline uses the old registry", "CI_REGISTRY_IMAGE"))
	case p.Image != want:
		j.add(find(Unconfigured, !j.inECR(), "CI_REGISTRY_IMAGE is "+p.Image+" and should be "+want, "CI_REGISTRY_IMAGE"))
	}
}

// pushes compares the old registry's tags with those that were known.
func (j *judge) pushes() {
	known := make(map[string]string, len(j.e.Known))
	for _, t := range j.e.Known {
		known[t.name()] = t.Digest
	}
	var fresh []string
	for _, t := range j.p.Old {
		before, ok := known[t.name()]
		switch {
		case !ok:
			fresh = append(fresh, t.name())
		case before != "" && t.Digest != "" && before != t.Digest:
			fresh = append(fresh, t.name()+" (another image now)")
		}
	}
	if len(fresh) > 0 {
		j.add(find(NewPush, true, count(len(fresh), "tag was", "tags were")+" pushed to the old registry since the migration: "+list(fresh, 3), fresh...))
	}
}

func (j *judge) files() {
	if len(j.p.OldNames) > 0 {
		j.add(find(NamesOld, true, "its files name the old registry: "+list(j.p.OldNames, 3), j.p.OldNames...))
	}
	if names := j.p.OldVariables; len(names) > 0 {
		f := find(NamesOld, true, "its CI/CD variables name the old registry: "+list(names, 3), names...)
		f.Remedy = "point the variables to ECR, or delete them (Settings, CI/CD, Variables)"
		j.add(f)
	}
}

// workloads finds what runs from the old registry. GitLab's word is taken only
// where the cluster was not asked.
func (j *judge) workloads() {
	waits := j.e.waitsFor("production")
	if j.p.ClusterAsked {
		if running := j.fromOld(func(w Workload) bool { return !waits || !w.production() }); len(running) > 0 {
			j.add(find(RunsOld, true, list(running, 3), running...))
		}
		return
	}
	var old []string
	for _, v := range j.p.Environments {
		if v.State != "stopped" && v.PipelineID != 0 && v.PipelineID < j.e.PipelineID && (!waits || !production(v.Name, v.Tier)) {
			old = append(old, fmt.Sprintf("%s (deployed by pipeline %d)", v.Name, v.PipelineID))
		}
	}
	if len(old) > 0 {
		j.add(find(RunsOld, true, "by GitLab's word, deployed by a pipeline from before the migration: "+list(old, 3), old...))
	}
}

// fromOld returns the containers that name an image of the old registry.
func (j *judge) fromOld(which func(Workload) bool) []string {
	var out []string
	for _, w := range j.p.Workloads {
		if !which(w) {
			continue
		}
		for _, c := range w.Containers {
			if j.isOld(c.Image) {
				out = append(out, w.name()+" runs "+c.Image)
			}
		}
	}
	return out
}

func (j *judge) isOld(image string) bool {
	if j.l.OldHost != "" && strings.HasPrefix(image, j.l.OldHost+"/") {
		return true
	}
	return slices.ContainsFunc(j.l.OldBases, func(base string) bool {
		rest, ok := strings.CutPrefix(image, base)
		return ok && base != "" && (rest == "" || strings.ContainsRune("/-:@", rune(rest[0])))
	})
}

func (w Workload) name() string { return w.Kind + "/" + w.Name }

func (w Workload) production() bool {
	return production(w.Environment, "") || w.Environment == "" && production(w.Name, "")
}

// production says whether an environment is one, by its tier or its name.
func production(name, tier string) bool {
	return tier == "production" || strings.Contains(strings.ToLower(name), "prod")
}

func (j *judge) peace() string {
	switch {
	case j.e.ended() && j.p.Archived:
		return "it was migrated, and is archived now; nothing of it needs the old registry"
	case j.e.ended() && !j.p.Pipelines:
		return "it was migrated, and builds nothing any more: it has no CI configuration, or CI/CD is off; nothing of it needs the old registry"
	case j.e.ended():
		return "it builds in and runs from ECR"
	case j.e.State == "skipped":
		return "there is nothing to migrate: " + orUnknown(j.e.Reason)
	}
	return "nothing is to be said"
}

func orUnknown(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
