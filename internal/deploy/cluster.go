package deploy

import (
	"fmt"
	"slices"
	"strings"
)

// checkCluster asks what the workloads of an environment run.
func checkCluster(e Expectation, v Evidence, environment string) []Check {
	var checks []Check
	old := Check{
		Name: CheckOldRegistry, Environment: environment, Subject: "workloads of " + environment, Result: Yes,
		Detail: "nothing runs from the old registry",
	}
	// ours and running count the containers that name, and the workloads that
	// run, an image of the project's repository.
	looked, ours, running := 0, 0, 0
	for _, w := range v.Workloads {
		if home(e, v, w) != environment {
			continue
		}
		w.Environment = environment
		looked++
		mine := false
		for _, c := range w.Containers {
			switch {
			case fromOld(e, c.Image):
				old.Result, old.Subject = No, w.subject()
				old.Detail = fmt.Sprintf("%s still names %s", w.subject(), c.Image)
			case fromECR(e, c.Image):
				ours++
				mine = true
				in, run := checkContainer(e, v.Images, w, c)
				checks = append(checks, in)
				if run.Result != "" {
					checks = append(checks, run)
					running++
				}
			}
		}
		if mine {
			checks = append(checks, w.rollout())
		}
	}
	if e.OldRegistry == "" && len(e.OldBases) == 0 {
		old.Result, old.Detail = Unknown, "it is not known what the old registry is called"
	}
	if looked == 0 {
		old.Result, old.Detail = Unknown, "the namespace holds no workload of this environment"
	}
	checks = append(checks, old)
	switch {
	case ours == 0:
		checks = append(checks, Check{
			Name: CheckRunning, Environment: environment, Subject: "workloads of " + environment, Result: Unknown,
			Detail: "no workload of this environment names an image of " + e.Registry + "/" + e.Repository,
		})
	case running == 0:
		checks = append(checks, Check{
			Name: CheckRunning, Environment: environment, Subject: "workloads of " + environment, Result: Unknown,
			Detail: "no pod of this environment has run the image yet",
		})
	}
	return checks
}

// checkContainer asks whether the image is in ECR and whether the pods run it.
// The second answer is empty for a CronJob that has not run: it proves nothing
// and speaks against nothing.
func checkContainer(e Expectation, images map[string]string, w Workload, c Container) (in, run Check) {
	in = Check{Name: CheckImage, Environment: w.Environment, Subject: c.Image}
	run = Check{Name: CheckRunning, Environment: w.Environment, Subject: w.subject()}
	_, reference := cut(c.Image)
	want, ok := images[reference]
	switch {
	case images == nil:
		in.Result, in.Detail = Unknown, "ECR was not asked for "+c.Image
	case !ok || want == "":
		in.Result, in.Detail = No, fmt.Sprintf("%s names %s, which is not in ECR", w.subject(), c.Image)
	default:
		in.Result, in.Detail = Yes, fmt.Sprintf("%s is in ECR as %s", c.Image, want)
	}
	if len(c.RunningDigests) == 0 {
		if w.Kind == "CronJob" {
			return in, Check{}
		}
		run.Result, run.Pending = Unknown, !w.Complete
		run.Detail = w.subject() + " has no pod that runs " + c.Image
		return in, run
	}
	if in.Result != Yes {
		run.Result, run.Detail = Unknown, "what "+w.subject()+" runs can't be compared with ECR"
		return in, run
	}
	for _, d := range c.RunningDigests {
		if d == want || images[d] == want {
			continue
		}
		run.Detail = fmt.Sprintf("%s runs %s, but %s is %s", w.subject(), d, c.Image, want)
		// While the rollout goes on, older pods are still there.
		if run.Pending = !w.Complete; run.Pending {
			run.Result = Unknown
		} else {
			run.Result = No
		}
		return in, run
	}
	run.Result, run.Detail = Yes, fmt.Sprintf("%s runs %s from ECR", w.subject(), want)
	return in, run
}

// OldIn returns the workloads of an environment that run from the old registry,
// as "Deployment/staging". It says nothing where the cluster was not asked.
func OldIn(e Expectation, v Evidence, environment string) []string {
	var out []string
	for _, w := range v.Workloads {
		if home(e, v, w) == environment && slices.ContainsFunc(w.Containers, func(c Container) bool { return fromOld(e, c.Image) }) {
			out = append(out, w.subject())
		}
	}
	return out
}

func (w Workload) rollout() Check {
	c := Check{Name: CheckRollout, Environment: w.Environment, Subject: w.subject()}
	switch {
	case w.Failed != "":
		c.Result, c.Detail = No, fmt.Sprintf("the rollout of %s failed: %s", w.subject(), w.Failed)
	case w.Complete:
		c.Result, c.Detail = Yes, fmt.Sprintf("the rollout of %s is complete, %d of %d ready", w.subject(), w.Ready, w.Desired)
	default:
		c.Result, c.Pending, c.Detail = Unknown, true, fmt.Sprintf("the rollout of %s is not complete, %d of %d ready", w.subject(), w.Ready, w.Desired)
	}
	return c
}

func (w Workload) subject() string { return w.Kind + "/" + w.Name }

// checkStrays reports workloads that run from the old registry and of which
// nothing says to which environment they belong: nobody can say that they are
// not the one that is to be proven.
func checkStrays(e Expectation, v Evidence) []Check {
	var checks []Check
	for _, w := range v.Workloads {
		if home(e, v, w) != "" {
			continue
		}
		i := slices.IndexFunc(w.Containers, func(c Container) bool { return fromOld(e, c.Image) })
		if i >= 0 {
			checks = append(checks, Check{
				Name: CheckOldRegistry, Subject: w.subject(), Result: Unknown,
				Detail: fmt.Sprintf("%s names %s, and nothing says to which environment it belongs", w.subject(), w.Containers[i].Image),
			})
		}
	}
	return checks
}

// home returns the environment that a workload belongs to, "" if nothing says so.
// A label that names no environment that we know is still an answer: it is not
// the one that is to be proven.
func home(e Expectation, v Evidence, w Workload) string {
	known := slices.Clone(e.Environments)
	for _, d := range v.Deployments {
		known = append(known, d.Environment)
	}
	// The platform's own, which need not have been deployed through GitLab yet.
	known = append(known, "staging", "production")
	best := ""
	for _, environment := range known {
		if w.Environment != "" && w.Environment == environment {
			return environment
		}
		name := slug(environment)
		if name == "" || len(environment) <= len(best) {
			continue
		}
		if w.Environment != "" {
			// GitLab cuts a long slug and adds a hash to a changed one.
			if name != environment && strings.HasPrefix(w.Environment, name[:min(len(name), 16)]) {
				best = environment
			}
			continue
		}
		if w.Name == name || strings.HasPrefix(w.Name, name+"-") || strings.HasSuffix(w.Name, "-"+name) {
			best = environment
		}
	}
	if best == "" {
		return w.Environment
	}
	return best
}

// slug is an environment's name as it can appear in the names of cluster
// objects, without the hash that GitLab adds to a changed one.
// https://docs.gitlab.com/ci/environments/#environment-slug
func slug(environment string) string {
	return strings.Trim(strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, strings.ToLower(environment)), "-")
}

// cut takes an image's name apart into the repository with its host, and the
// digest, tag or "latest".
func cut(image string) (name, reference string) {
	name, digest, ok := strings.Cut(image, "@")
	colon := strings.LastIndexByte(name, ':')
	// A colon before the last slash is a port's.
	if colon < strings.LastIndexByte(name, '/') {
		colon = -1
	}
	tag := "latest"
	if colon >= 0 {
		name, tag = name[:colon], name[colon+1:]
	}
	if ok {
		return name, digest
	}
	return name, tag
}

func fromECR(e Expectation, image string) bool {
	name, _ := cut(image)
	return e.Registry != "" && e.Repository != "" && name == e.Registry+"/"+e.Repository
}

func fromOld(e Expectation, image string) bool {
	if e.OldRegistry != "" && strings.HasPrefix(image, e.OldRegistry+"/") {
		return true
	}
	name, _ := cut(image)
	for _, base := range e.OldBases {
		// "base-api" and "base/api" are the project's images too.
		if rest, ok := strings.CutPrefix(name, base); base != "" && ok && (rest == "" || rest[0] == '/' || rest[0] == '-') {
			return true
		}
	}
	return false
}
