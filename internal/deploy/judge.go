package deploy

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// Judge compares the evidence with the expectation.
func Judge(e Expectation, v Evidence) Verdict {
	checks := []Check{checkPipeline(e, v.Pipeline), checkImages(e, v.Images)}
	checks = append(checks, checkEnvironments(e, v, checkCluster)...)
	if v.ClusterAsked {
		checks = append(checks, checkStrays(e, v)...)
	}
	checks = append(checks, checkPull(e, v)...)
	return conclude(e, checks, "ECR")
}

// checkEnvironments asks whether each environment is deployed, answers, and runs
// what it should, which workloads tells by the cluster.
func checkEnvironments(e Expectation, v Evidence, workloads func(Expectation, Evidence, string) []Check) []Check {
	if len(e.Environments) == 0 {
		c := Check{Name: CheckEnvironment, Result: Unknown, Detail: "no environment is known in which the project could be proven to run"}
		if e.DeploysNothing {
			c.Result, c.Detail = Yes, "the project deploys nothing"
		}
		return []Check{c}
	}
	var checks []Check
	for _, environment := range e.Environments {
		checks = append(checks, checkDeployment(e, v, environment))
		if a, ok := v.URLs[environment]; ok {
			checks = append(checks, checkURL(environment, a))
		}
		if v.ClusterAsked {
			checks = append(checks, workloads(e, v, environment)...)
			continue
		}
		checks = append(checks, Check{
			Name: CheckRunning, Environment: environment, Result: Unknown, Accepted: e.AcceptGitLabOnly,
			Detail: "the cluster was not asked which image runs",
		})
	}
	return checks
}

// conclude draws the verdict: one no refutes, else something pending makes it
// pending, else something unknown makes it unproven.
func conclude(e Expectation, checks []Check, where string) Verdict {
	var no, pending, unknown, accepted []Check
	asked := 0
	for _, c := range checks {
		if c.Hint {
			continue
		}
		asked++
		switch {
		case c.Result == Yes:
		case c.Result == No:
			no = append(no, c)
		case c.Pending:
			pending = append(pending, c)
		case c.Accepted:
			accepted = append(accepted, c)
		default:
			// Whatever is not an answer that we know is no answer.
			unknown = append(unknown, c)
		}
	}
	v := Verdict{Checks: checks}
	switch {
	case len(no) > 0:
		v.Outcome = Refuted
		v.Summary = "it does not run from " + where + " as it should: " + tell(no)
	case len(pending) > 0:
		v.Outcome = Pending
		v.Summary = "not finished yet: " + tell(pending)
	case len(unknown) > 0:
		v.Outcome = Unproven
		v.Summary = "not proven: " + tell(unknown)
	case asked == 0:
		v.Outcome = Unproven
		v.Summary = "not proven: nothing was looked at"
	case len(e.Environments) == 0:
		v.Outcome = Proven
		v.Summary = "the pipeline is green and pushed to ECR; there is nothing deployed"
	case slices.ContainsFunc(accepted, func(c Check) bool { return c.Name == CheckRunning }):
		v.Outcome = Proven
		v.Summary = strings.Join(e.Environments, " and ") + " was deployed by the pipeline, on GitLab's word alone: " + tell(accepted)
	default:
		v.Outcome = Proven
		v.Summary = strings.Join(e.Environments, " and ") + " runs from " + where + " at " + short(e.SHA)
	}
	return v
}

// tell puts the first check into words and counts the others.
func tell(checks []Check) string {
	s := checks[0].Detail
	if env := checks[0].Environment; env != "" {
		s = env + ": " + s
	}
	if n := len(checks) - 1; n > 0 {
		s += fmt.Sprintf(" (and %d more)", n)
	}
	return s
}

func checkImages(e Expectation, images map[string]string) Check {
	c := Check{Name: CheckImages, Subject: e.Registry + "/" + e.Repository, Result: Yes}
	switch {
	case images == nil:
		c.Result, c.Detail = Unknown, "ECR was not asked for the project's images"
	case len(images) == 0:
		c.Result, c.Detail = No, "ECR holds no image of the project"
	default:
		c.Detail = "ECR holds images of the project"
	}
	return c
}

func checkURL(environment string, a Answer) Check {
	c := Check{Name: CheckURL, Environment: environment, Subject: a.URL, Result: Yes}
	switch {
	case a.Refused:
		// Whoever chose the address can't keep the rest from being proven.
		c.Result, c.Accepted, c.Detail = Unknown, true, "the address was not asked: "+a.Error
	case a.Status == 0:
		// A service that has just been deployed may need a moment.
		c.Result, c.Pending, c.Detail = Unknown, true, "the address does not answer: "+a.Error
	case a.Status >= 500:
		c.Result, c.Pending, c.Detail = Unknown, true, fmt.Sprintf("the address answers with status %d", a.Status)
	default:
		// 401 and 404 are answers of a running service too.
		c.Detail = fmt.Sprintf("the address answers with status %d", a.Status)
	}
	return c
}

// checkPull tells whether ECR has seen the images pulled since the pipeline
// began that the workloads name, or without the cluster's word any image. It is
// a hint only: whoever pulls counts, and of an image that is pulled often ECR
// records one pull a day.
func checkPull(e Expectation, v Evidence) []Check {
	if v.Pulled == nil {
		return nil
	}
	named := map[string]string{} // reference to name
	for _, w := range v.Workloads {
		for _, c := range w.Containers {
			if _, reference := cut(c.Image); fromECR(e, c.Image) {
				named[reference] = c.Image
			}
		}
	}
	if !v.ClusterAsked {
		for reference := range v.Pulled {
			named[reference] = e.Registry + "/" + e.Repository + ":" + reference
		}
	}
	c := Check{Name: CheckPull, Subject: e.Registry + "/" + e.Repository, Result: Unknown, Hint: true,
		Detail: "ECR has recorded no pull since the pipeline began; it does so with a delay"}
	var latest time.Time
	for _, reference := range slices.Sorted(maps.Keys(named)) {
		at := v.Pulled[reference]
		if at.Before(e.Since) || !at.After(latest) {
			continue
		}
		latest = at
		c.Subject, c.Result = named[reference], Yes
		c.Detail = fmt.Sprintf("ECR recorded a pull at %s: a hint that it is used, whoever pulled it", at.UTC().Format(time.DateTime))
	}
	return []Check{c}
}

func short(sha string) string {
	if len(sha) > 8 {
		return sha[:8]
	}
	if sha == "" {
		return "an unknown commit"
	}
	return sha
}
