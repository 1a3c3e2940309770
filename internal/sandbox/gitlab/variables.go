package gitlab

import (
	"net/http"
	"regexp"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

func newVariable(v ci.Variable) *variable {
	if v.EnvironmentScope == "" {
		v.EnvironmentScope = "*"
	}
	return &variable{Variable: v}
}

func (v *variable) entity() object {
	kind := "env_var"
	if v.File {
		kind = "file"
	}
	var value, description any = v.Value, nil
	if v.Hidden {
		value = nil
	}
	if v.Description != "" {
		description = v.Description
	}
	return object{
		"variable_type": kind, "key": v.Key, "value": value, "protected": v.Protected, "masked": v.Masked, "hidden": v.Hidden,
		"raw": v.Raw, "environment_scope": v.EnvironmentScope, "description": description,
	}
}

func listVariables(c *call) (int, any, error) {
	some, err := page(c, c.project.Variables)
	out := make([]object, 0, len(some))
	for _, v := range some {
		out = append(out, v.entity())
	}
	return http.StatusOK, out, err
}

// variable finds the one that key and filter[environment_scope] name.
func (c *call) variable() (*variable, error) {
	filter := c.params.object("filter")
	var found []*variable
	for _, v := range c.project.Variables {
		if v.Key == c.path("key") && (!filter.has("environment_scope") || v.EnvironmentScope == filter.str("environment_scope")) {
			found = append(found, v)
		}
	}
	switch len(found) {
	case 0:
		return nil, notFound("Variable")
	case 1:
		return found[0], nil
	}
	return nil, refuse(http.StatusConflict, "There are multiple variables with provided parameters. Please use 'filter[environment_scope]'")
}

func getVariable(c *call) (int, any, error) {
	v, err := c.variable()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, v.entity(), nil
}

var (
	variableKey = regexp.MustCompile(`\A[a-zA-Z0-9_]{1,255}\z`)
	// Masked values follow https://docs.gitlab.com/ci/variables/#mask-a-cicd-variable.
	maskable = regexp.MustCompile(`\A[^\s]{8,}\z`)
)

// settle fills a variable from the parameters and validates it as a whole.
func (c *call) settle(v variable) (variable, error) {
	var errs []error
	flag := func(name string, into *bool) {
		b, err := c.params.boolean(name, *into)
		*into = b
		errs = append(errs, err)
	}
	flag("protected", &v.Protected)
	flag("masked", &v.Masked)
	flag("raw", &v.Raw)
	hidden := v.Hidden
	flag("masked_and_hidden", &hidden)
	v.Hidden, v.Masked = hidden, v.Masked || hidden
	kind, err := c.params.oneOf("variable_type", map[bool]string{true: "file", false: "env_var"}[v.File], "env_var", "file")
	v.File = kind == "file"
	for _, err := range append(errs, err) {
		if err != nil {
			return v, err
		}
	}
	if c.params.has("value") {
		v.Value = c.params.str("value")
	}
	if c.params.has("environment_scope") {
		v.EnvironmentScope = c.params.str("environment_scope")
	}
	if c.params.has("description") {
		v.Description = c.params.str("description")
	}
	messages := map[string][]string{}
	if !variableKey.MatchString(v.Key) {
		messages["key"] = append(messages["key"], "can contain only letters, digits and '_'.")
	}
	if v.Masked && !maskable.MatchString(v.Value) {
		messages["value"] = append(messages["value"], "is invalid")
	}
	if v.EnvironmentScope == "" || len(v.EnvironmentScope) > 255 {
		messages["environment_scope"] = append(messages["environment_scope"], "can't be blank")
	}
	if len(messages) > 0 {
		return v, refuse(http.StatusBadRequest, messages)
	}
	return v, nil
}

// taken says whether another variable has the key and scope already.
func (p *project) taken(v variable, except *variable) bool {
	return slices.ContainsFunc(p.Variables, func(x *variable) bool {
		return x != except && x.Key == v.Key && x.EnvironmentScope == v.EnvironmentScope
	})
}

func errTaken(key string) error {
	return refuse(http.StatusBadRequest, object{"key": []string{"(" + key + ") has already been taken"}})
}

func createVariable(c *call) (int, any, error) {
	if !c.params.has("key") || !c.params.has("value") {
		return 0, nil, c.params.required("key", "value")
	}
	v, err := c.settle(variable{Variable: ci.Variable{Key: strings.TrimSpace(c.params.str("key")), EnvironmentScope: "*"}})
	if err != nil {
		return 0, nil, err
	}
	if c.project.taken(v, nil) {
		return 0, nil, errTaken(v.Key)
	}
	c.project.Variables = append(c.project.Variables, &v)
	c.s.touch(c.project)
	return http.StatusCreated, v.entity(), nil
}

func updateVariable(c *call) (int, any, error) {
	old, err := c.variable()
	if err != nil {
		return 0, nil, err
	}
	v, err := c.settle(*old)
	if err != nil {
		return 0, nil, err
	}
	if old.Hidden && !v.Masked {
		return 0, nil, refuse(http.StatusBadRequest, object{"base": []string{"Updating hidden or masked attribute is not allowed for hidden variables"}})
	}
	if c.project.taken(v, old) {
		return 0, nil, errTaken(v.Key)
	}
	*old = v
	c.s.touch(c.project)
	return http.StatusOK, v.entity(), nil
}

func deleteVariable(c *call) (int, any, error) {
	v, err := c.variable()
	if err != nil {
		return 0, nil, err
	}
	c.project.Variables = slices.DeleteFunc(c.project.Variables, func(x *variable) bool { return x == v })
	c.s.touch(c.project)
	return http.StatusNoContent, nil, nil
}
