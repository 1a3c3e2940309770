package deploy

import (
	"fmt"
	"strings"
)

// JudgeRestored judges a rollback: does the service run from the old registry
// again, as it did before the change? ECR is not asked, and neither is the old
// registry: a rollout that is complete has pulled its image.
func JudgeRestored(e Expectation, v Evidence) Verdict {
	checks := append([]Check{checkPipeline(e, v.Pipeline)}, checkEnvironments(e, v, checkRestored)...)
	return conclude(e, checks, "the old registry")
}

// checkRestored asks whether the workloads of an environment name the old
// registry again, and none ECR.
func checkRestored(e Expectation, v Evidence, environment string) []Check {
	var checks []Check
	left := Check{
		Name: CheckECR, Environment: environment, Subject: "workloads of " + environment, Result: Yes,
		Detail: "nothing runs from ECR",
	}
	restored := 0
	for _, w := range v.Workloads {
		if home(e, v, w) != environment {
			continue
		}
		w.Environment = environment
		mine := false
		for _, c := range w.Containers {
			switch {
			case e.Registry != "" && strings.HasPrefix(c.Image, e.Registry+"/"):
				left.Result, left.Subject = No, w.subject()
				left.Detail = fmt.Sprintf("%s still names %s", w.subject(), c.Image)
			case fromOld(e, c.Image):
				restored++
				mine = true
			}
		}
		if mine {
			checks = append(checks, w.rollout())
		}
	}
	run := Check{
		Name: CheckRunning, Environment: environment, Subject: "workloads of " + environment, Result: Yes,
		Detail: fmt.Sprintf("%d containers name the old registry", restored),
	}
	if restored == 0 {
		run.Result, run.Detail = Unknown, "no workload of this environment names the old registry"
	}
	return append(checks, left, run)
}
