package gitlab

import (
	"context"
	"errors"
	"fmt"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// EveryEnvironment is the scope of a variable that holds everywhere.
const EveryEnvironment = "*"

// Variable is a project's CI/CD variable. Key and Scope together name it.
type Variable struct {
	Key       string
	Value     string // "" when Hidden
	Scope     string // environment scope; "" is taken as EveryEnvironment
	Protected bool   // only on protected branches
	Masked    bool
	Hidden    bool // the value can't be read back
	Raw       bool // not expanded
	File      bool
}

func variable(v *api.ProjectVariable) Variable {
	return Variable{
		Key: v.Key, Value: v.Value, Scope: v.EnvironmentScope, Protected: v.Protected,
		Masked: v.Masked, Hidden: v.Hidden, Raw: v.Raw, File: v.VariableType == api.FileVariableType,
	}
}

// Variables lists the project's own variables; those of groups and of the
// instance are not among them.
func (c *Client) Variables(ctx context.Context, project int64) ([]Variable, error) {
	opt := &api.ListProjectVariablesOptions{ListOptions: page(0)}
	return collect(ctx, Maintainer, fmt.Sprintf("listing the variables of project %d", project), 0, variable,
		func(opts ...api.RequestOptionFunc) ([]*api.ProjectVariable, *api.Response, error) {
			return c.api.ProjectVariables.ListVariables(project, opt, opts...)
		})
}

// Variable returns one variable of exactly this scope, or ErrNotFound.
func (c *Client) Variable(ctx context.Context, project int64, key, scope string) (Variable, error) {
	opt := &api.GetProjectVariableOptions{Filter: &api.VariableFilter{EnvironmentScope: scopeOf(scope)}}
	v, err := call(ctx, Maintainer, fmt.Sprintf("reading variable %s of project %d", key, project), func(opts ...api.RequestOptionFunc) (*api.ProjectVariable, *api.Response, error) {
		return c.api.ProjectVariables.GetVariable(project, key, opt, opts...)
	})
	if err != nil {
		return Variable{}, err
	}
	return variable(v), nil
}

// SetVariable makes the variable be as given and says whether it had to change
// anything. Nothing is sent when it is so already.
func (c *Client) SetVariable(ctx context.Context, project int64, want Variable) (changed bool, err error) {
	want.Scope = scopeOf(want.Scope)
	doing := fmt.Sprintf("setting variable %s of project %d", want.Key, project)
	// A second round is for the case that somebody created it between our look
	// and our creation.
	for range 2 {
		have, err := c.Variable(ctx, project, want.Key, want.Scope)
		switch {
		case err == nil && have == want:
			return false, nil
		case err == nil:
			opt := &api.UpdateProjectVariableOptions{
				Value: new(want.Value), Protected: new(want.Protected), Masked: new(want.Masked), Raw: new(want.Raw),
				VariableType: kind(want), Filter: &api.VariableFilter{EnvironmentScope: want.Scope},
			}
			_, err = call(ctx, Maintainer, doing, func(opts ...api.RequestOptionFunc) (*api.ProjectVariable, *api.Response, error) {
				return c.api.ProjectVariables.UpdateVariable(project, want.Key, opt, opts...)
			})
			return err == nil, err
		case !errors.Is(err, ErrNotFound):
			return false, err
		}
		opt := &api.CreateProjectVariableOptions{
			Key: new(want.Key), Value: new(want.Value), EnvironmentScope: new(want.Scope),
			Protected: new(want.Protected), Masked: new(want.Masked), Raw: new(want.Raw), VariableType: kind(want),
		}
		_, err = call(ctx, Maintainer, doing, func(opts ...api.RequestOptionFunc) (*api.ProjectVariable, *api.Response, error) {
			return c.api.ProjectVariables.CreateVariable(project, opt, opts...)
		})
		if err == nil || fault.ReasonOf(err) != ReasonVariableExists {
			return err == nil, err
		}
	}
	return false, fault.New(fault.Transient, ReasonConflict, "%s: it comes and goes", doing)
}

// DeleteVariable removes the variable of exactly this scope; one that is gone
// already is fine.
func (c *Client) DeleteVariable(ctx context.Context, project int64, key, scope string) error {
	opt := &api.RemoveProjectVariableOptions{Filter: &api.VariableFilter{EnvironmentScope: scopeOf(scope)}}
	_, err := call(ctx, Maintainer, fmt.Sprintf("deleting variable %s of project %d", key, project), func(opts ...api.RequestOptionFunc) (struct{}, *api.Response, error) {
		resp, err := c.api.ProjectVariables.RemoveVariable(project, key, opt, opts...)
		return struct{}{}, resp, err
	})
	return unlessGone(err)
}

func scopeOf(scope string) string {
	if scope == "" {
		return EveryEnvironment
	}
	return scope
}

func kind(v Variable) *api.VariableTypeValue {
	if v.File {
		return new(api.FileVariableType)
	}
	return new(api.EnvVariableType)
}
