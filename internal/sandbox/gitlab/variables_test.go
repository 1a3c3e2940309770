package gitlab

import (
	"testing"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

func TestVariables(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	create := func(o api.CreateProjectVariableOptions) error {
		_, _, err := b.api.ProjectVariables.CreateVariable("team/app", &o)
		return err
	}
	v, answer, err := b.api.ProjectVariables.CreateVariable("team/app", &api.CreateProjectVariableOptions{Key: api.Ptr("CI_REGISTRY"), Value: api.Ptr("ecr"), Description: api.Ptr("why")})
	b.must(err)
	b.equal([]any{answer.StatusCode, v.EnvironmentScope, v.VariableType, v.Description}, []any{201, "*", "env_var", "why"})
	b.refused(create(api.CreateProjectVariableOptions{Key: api.Ptr("CI_REGISTRY"), Value: api.Ptr("x")}), 400, "(CI_REGISTRY) has already been taken")
	b.must(create(api.CreateProjectVariableOptions{Key: api.Ptr("CI_REGISTRY"), Value: api.Ptr("x"), EnvironmentScope: api.Ptr("production")}))
	b.refused(create(api.CreateProjectVariableOptions{Key: api.Ptr("A-B"), Value: api.Ptr("x")}), 400, "can contain only letters, digits and '_'.")
	b.refused(create(api.CreateProjectVariableOptions{Key: api.Ptr("SHORT"), Value: api.Ptr("x"), Masked: api.Ptr(true)}), 400, "is invalid")
	b.refused(create(api.CreateProjectVariableOptions{Key: api.Ptr("NONE")}), 400, "value is missing")
	b.must(create(api.CreateProjectVariableOptions{Key: api.Ptr("EMPTY"), Value: api.Ptr("")}))
	b.must(create(api.CreateProjectVariableOptions{Key: api.Ptr("HIDDEN"), Value: api.Ptr("longenough"), MaskedAndHidden: api.Ptr(true)}))

	_, _, err = b.api.ProjectVariables.GetVariable("team/app", "CI_REGISTRY", nil)
	b.refused(err, 409, "There are multiple variables with provided parameters")
	at := &api.VariableFilter{EnvironmentScope: "production"}
	v, _, err = b.api.ProjectVariables.GetVariable("team/app", "CI_REGISTRY", &api.GetProjectVariableOptions{Filter: at})
	b.must(err)
	b.equal(v.Value, "x")
	v, _, err = b.api.ProjectVariables.UpdateVariable("team/app", "CI_REGISTRY", &api.UpdateProjectVariableOptions{Value: api.Ptr("y"), Filter: at})
	b.must(err)
	b.equal([]string{v.Value, v.EnvironmentScope}, []string{"y", "production"})
	v, _, err = b.api.ProjectVariables.GetVariable("team/app", "HIDDEN", nil)
	b.must(err)
	b.equal([]any{v.Value, v.Hidden, v.Masked}, []any{"", true, true})
	_, err = b.api.ProjectVariables.RemoveVariable("team/app", "CI_REGISTRY", &api.RemoveProjectVariableOptions{Filter: at})
	b.must(err)
	_, _, err = b.api.ProjectVariables.GetVariable("team/app", "NOTHING", nil)
	b.refused(err, 404, "")
	all, _, err := b.api.ProjectVariables.ListVariables("team/app", nil)
	b.must(err)
	b.equal(len(all), 3)
	b.equal(b.Writes()["variables"], 6)
}
