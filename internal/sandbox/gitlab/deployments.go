package gitlab

import (
	"cmp"
	"net/http"
	"slices"
	"time"
)

func (c *call) deploymentEntity(d *deployment) object {
	p := c.project
	var environment, deployable any
	for _, e := range p.Environments {
		if e.ID == d.Env {
			environment = c.environmentBasic(e)
		}
	}
	if j := c.s.jobs[d.JobID]; j != nil {
		deployable = c.jobEntity(j)
	}
	return object{
		"id": d.ID, "iid": d.IID, "ref": d.Ref, "sha": d.SHA, "created_at": d.CreatedAt, "updated_at": d.UpdatedAt, "status": d.Status,
		"user": c.s.basicUser(d.UserID), "environment": environment, "deployable": deployable,
	}
}

// listDeployments follows https://docs.gitlab.com/api/deployments/#list-project-deployments:
// the oldest comes first unless asked otherwise.
func listDeployments(c *call) (int, any, error) {
	by, err1 := c.params.oneOf("order_by", "id", "id", "iid", "created_at", "updated_at", "finished_at", "ref")
	sort, err2 := c.params.oneOf("sort", "asc", "asc", "desc")
	status, err3 := c.params.oneOf("status", "", "created", "running", "success", "failed", "canceled", "skipped", "blocked")
	times := map[string]time.Time{}
	errs := []error{err1, err2, err3}
	for _, name := range []string{"updated_after", "updated_before", "finished_after", "finished_before"} {
		t, err := c.params.time(name)
		times[name] = t
		errs = append(errs, err)
	}
	for _, err := range errs {
		if err != nil {
			return 0, nil, err
		}
	}
	updated := !times["updated_after"].IsZero() || !times["updated_before"].IsZero()
	ended := !times["finished_after"].IsZero() || !times["finished_before"].IsZero()
	switch {
	case updated && by != "updated_at":
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - `updated_at` filter requires `updated_at` sort")
	case ended && by != "finished_at":
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - `finished_at` filter requires `finished_at` sort")
	case ended && status != "success":
		return 0, nil, refuse(http.StatusBadRequest, "400 Bad request - `finished_at` filter must be combined with `success` status filter.")
	}
	within := func(t time.Time, after, before string) bool {
		return (times[after].IsZero() || t.After(times[after])) && (times[before].IsZero() || t.Before(times[before]))
	}
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return *t
	}
	environment := c.params.str("environment")
	all := slices.DeleteFunc(slices.Clone(c.project.Deployments), func(d *deployment) bool {
		if e := c.project.environment(environment); environment != "" && (e == nil || e.ID != d.Env) {
			return true
		}
		return status != "" && d.Status != status || !within(d.UpdatedAt, "updated_after", "updated_before") || ended && !within(at(d.FinishedAt), "finished_after", "finished_before")
	})
	order(all, sort == "desc", func(a, b *deployment) int {
		switch by {
		case "created_at":
			return a.CreatedAt.Compare(b.CreatedAt)
		case "updated_at":
			return a.UpdatedAt.Compare(b.UpdatedAt)
		case "finished_at":
			return at(a.FinishedAt).Compare(at(b.FinishedAt))
		case "ref":
			return cmp.Compare(a.Ref, b.Ref)
		}
		return 0
	}, func(d *deployment) int64 { return d.ID })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, d := range some {
		out = append(out, c.deploymentEntity(d))
	}
	return http.StatusOK, out, err
}

func getDeployment(c *call) (int, any, error) {
	id, err := c.number("deployment")
	if err != nil {
		return 0, nil, err
	}
	if d := c.project.deployment(id); d != nil {
		return http.StatusOK, c.deploymentEntity(d), nil
	}
	return 0, nil, notFound("Deployment")
}
