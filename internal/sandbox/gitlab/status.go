package gitlab

import "slices"

// finished are the statuses after which nothing happens by itself.
func finished(status string) bool {
	return slices.Contains([]string{"success", "failed", "canceled", "skipped"}, status)
}

// composite is the common status of several jobs, as GitLab computes it for
// what came before a job and for whole pipelines; "" when there is none. With
// needs set the jobs are those that a job names in needs, all of which must run.
//
// The order of the questions is the meaning: a manual job that may fail is
// passed over, one that may not holds everything behind it.
// See https://docs.gitlab.com/ci/pipelines/pipeline_processing/.
func composite(jobs []*job, needs bool) string {
	if len(jobs) == 0 {
		return ""
	}
	seen := map[string]bool{}
	for _, j := range jobs {
		status := j.Status
		if j.Spec.AllowFailure {
			switch status {
			case "failed", "canceled":
				status = "warning"
			case "manual":
				status = "ignored"
			}
		}
		seen[status] = true
	}
	only := func(names ...string) bool {
		n := 0
		for _, name := range names {
			if seen[name] {
				n++
			}
		}
		return n == len(seen)
	}
	switch {
	case needs && (seen["skipped"] || seen["ignored"]):
		return "skipped"
	case needs && !only("success", "failed", "canceled", "skipped", "warning"):
		return "pending"
	case only("skipped", "ignored"):
		return "skipped"
	case only("success", "skipped", "warning", "ignored"):
		return "success"
	case only("created", "warning", "ignored"):
		return "created"
	case only("canceled", "success", "skipped", "warning", "ignored"):
		return "canceled"
	case only("pending", "created", "skipped", "warning", "ignored"):
		return "pending"
	case seen["running"] || seen["pending"]:
		return "running"
	case seen["waiting_for_resource"]:
		return "waiting_for_resource"
	case seen["manual"]:
		return "manual"
	case seen["created"]:
		return "running"
	}
	return "failed"
}

// admits says whether a job starts after what came before it had this status;
// otherwise it is skipped.
func admits(j *job, before string) bool {
	switch j.Spec.When {
	case "on_failure":
		return before == "failed"
	case "always":
		return before == "success" || before == "failed" || before == "skipped"
	}
	return before == "success" || before == "skipped" && !j.Spec.HasNeeds
}
