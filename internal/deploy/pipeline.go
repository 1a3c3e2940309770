package deploy

import "fmt"

// checkPipeline asks whether the pipeline of our commit is green.
func checkPipeline(e Expectation, p *Pipeline) Check {
	c := Check{Name: CheckPipeline, Subject: "the pipeline"}
	if p == nil {
		c.Result, c.Detail = Unknown, "no pipeline is known for "+short(e.SHA)
		return c
	}
	c.Subject = fmt.Sprintf("pipeline %d", p.ID)
	switch {
	case e.SHA == "":
		c.Result, c.Detail = Unknown, "it is not known which commit to look for"
		return c
	case p.SHA != e.SHA:
		c.Result, c.Detail = No, fmt.Sprintf("the pipeline is of %s, not of our commit %s", short(p.SHA), short(e.SHA))
		return c
	case e.PipelineID != 0 && p.ID != e.PipelineID:
		c.Result, c.Detail = No, fmt.Sprintf("the pipeline is not the one that was followed, %d", e.PipelineID)
		return c
	}
	c.Result, c.Pending, c.Detail = Status(p)
	return c
}

// Status answers whether a pipeline is green, as the worst of it and all it
// started: a trigger job without strategy: depend is green whatever became of
// the pipeline that it created.
func Status(p *Pipeline) (r Result, pending bool, detail string) {
	r, pending, detail = status(p.Status)
	detail = fmt.Sprintf("pipeline %d %s", p.ID, detail)
	for _, d := range p.Downstream {
		cr, cpending, cdetail := child(d)
		if worse(cr, cpending, r, pending) {
			r, pending, detail = cr, cpending, cdetail
		}
	}
	if r == Yes && p.Hidden {
		r, detail = Unknown, fmt.Sprintf("pipeline %d succeeded, but what it started may not be looked at", p.ID)
	}
	return r, pending, detail
}

func child(d Downstream) (r Result, pending bool, detail string) {
	switch {
	case d.AllowFailure:
		return Yes, false, ""
	case d.Pipeline != nil:
		r, pending, detail = Status(d.Pipeline)
		return r, pending, "started by " + d.Job + ": " + detail
	case d.Status == "manual" || d.Status == "skipped":
		return Yes, false, ""
	}
	switch d.Status {
	case "failed", "canceled":
		return No, false, fmt.Sprintf("trigger job %s %s", d.Job, d.Status)
	case "success":
		return Unknown, false, fmt.Sprintf("the pipeline that %s started is not known", d.Job)
	}
	return Unknown, true, fmt.Sprintf("trigger job %s is %s", d.Job, d.Status)
}

func status(s string) (r Result, pending bool, detail string) {
	switch s {
	case "success":
		return Yes, false, "succeeded"
	case "manual":
		// All that runs by itself has succeeded; a manual job holds up the rest.
		// Whether that comes before or after the deployment is another check.
		return Yes, false, "succeeded as far as its manual job"
	case "failed", "canceled":
		return No, false, s
	case "skipped":
		return No, false, "was skipped: no job ran"
	case "":
		return Unknown, false, "has no known status"
	}
	// GitLab adds states now and then; what is not known is not over.
	return Unknown, true, "is " + s
}

func worse(a Result, aPending bool, b Result, bPending bool) bool {
	rank := func(r Result, pending bool) int {
		switch {
		case r == Yes:
			return 0
		case r == No:
			return 3
		case pending:
			return 2
		}
		return 1
	}
	return rank(a, aPending) > rank(b, bPending)
}

// checkDeployment asks whether the newest successful deployment is ours.
func checkDeployment(e Expectation, v Evidence, environment string) Check {
	c := Check{Name: CheckDeployment, Environment: environment, Subject: "deployments to " + environment}
	var newest, newestOurs *Deployment
	succeeded := false // one of ours
	for i := range v.Deployments {
		d := &v.Deployments[i]
		if d.Environment != environment {
			continue
		}
		if d.Status == "success" && (newest == nil || d.ID > newest.ID) {
			newest = d
		}
		if d.SHA == e.SHA && e.SHA != "" {
			succeeded = succeeded || d.Status == "success"
			if newestOurs == nil || d.ID > newestOurs.ID {
				newestOurs = d
			}
		}
	}
	if newest != nil {
		c.Subject = fmt.Sprintf("deployment %d", newest.ID)
	}
	ours := newest != nil && newest.SHA == e.SHA && e.SHA != ""
	switch {
	case ours && newestOurs.ID > newest.ID && (newestOurs.Status == "failed" || newestOurs.Status == "canceled"):
		c.Result = No
		c.Detail = fmt.Sprintf("our commit was deployed, but a later deployment of it %s", newestOurs.Status)
	case ours && newestOurs.ID > newest.ID:
		c.Result, c.Pending = Unknown, true
		c.Detail = fmt.Sprintf("our commit is being deployed again; the deployment is %s", newestOurs.Status)
	case ours:
		c.Result = Yes
		c.Detail = "the newest successful deployment is of our commit " + short(e.SHA)
	case succeeded:
		c.Result = Unknown
		c.Detail = fmt.Sprintf("our deployment succeeded, but one of %s came after it; judge that one", short(newest.SHA))
	case newestOurs != nil && (newestOurs.Status == "failed" || newestOurs.Status == "canceled"):
		c.Result = No
		c.Detail = "the deployment of our commit " + newestOurs.Status
	case newestOurs != nil:
		c.Result, c.Pending = Unknown, true
		c.Detail = "the deployment of our commit is " + newestOurs.Status
	case underWay(v.Pipeline):
		c.Result, c.Pending = Unknown, true
		c.Detail = "our commit is not deployed yet; its pipeline is " + v.Pipeline.Status
	case newest != nil:
		c.Result = No
		c.Detail = fmt.Sprintf("the newest successful deployment is of %s, not of our commit %s", short(newest.SHA), short(e.SHA))
	default:
		c.Result = Unknown
		c.Detail = "no deployment is known"
	}
	return c
}

// underWay says whether a pipeline, or one that it started, may still deploy.
func underWay(p *Pipeline) bool {
	if p == nil {
		return false
	}
	_, pending, _ := status(p.Status)
	if pending || p.Status == "manual" {
		return true
	}
	for _, d := range p.Downstream {
		if underWay(d.Pipeline) {
			return true
		}
	}
	return false
}
