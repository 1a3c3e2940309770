package gitlab

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// specification is GitLab's own description of its API as of a server slightly
// older than the stand-in. It is not part of the project.
const specification = "../../../../shared/facts/gitlab-openapi.yaml"

// The faults of that file, each by name. What is not named here must fit.
var (
	// absent are endpoints of GitLab that the file leaves out.
	absent = []string{
		"POST /api/v4/projects/{id}/issues",
		"PUT /api/v4/projects/{id}/issues/{iid}",
		"GET /api/v4/projects/{id}/merge_requests/{iid}/notes",
		"POST /api/v4/projects/{id}/merge_requests/{iid}/notes",
		"PUT /api/v4/projects/{id}/merge_requests/{iid}/notes/{note}",
	}
	// requests are operations whose parameters or body the file gets wrong: a
	// branch is no number, refs is sent as refs[] as for every list, and the
	// commits endpoint takes actions where the file has an uploaded file.
	requests = []string{
		"GET /api/v4/projects/{id}/repository/branches/{branch}",
		"GET /api/v4/projects/{id}/repository/merge_base",
		"POST /api/v4/projects/{id}/repository/commits",
	}
	// statuses are operations that GitLab answers with another status than the
	// file declares: lib/api/commits.rb creates with 201, and
	// lib/api/ci/pipelines.rb sets 200 when it cancels.
	declared = map[string]int{
		"POST /api/v4/projects/{id}/repository/commits":             200,
		"POST /api/v4/projects/{id}/pipelines/{pipeline_id}/cancel": 201,
	}
	// lists are operations whose answer the file gives as a single element.
	lists = []string{
		"GET /api/v4/projects/{id}/issues",
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/commits",
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/diffs",
		"GET /api/v4/projects/{id}/merge_requests/{merge_request_iid}/pipelines",
		"GET /api/v4/projects/{id}/repository/tree",
		"GET /api/v4/projects/{id}/variables",
	}
	// shapes are operations whose answer the file gives as that of another form:
	// without simple=true projects are listed as fully as one is shown.
	shapes = map[string]string{"GET /api/v4/projects": "API_Entities_ProjectWithAccess"}
	// mistyped are properties that the file makes strings or single objects for
	// want of a type, with the type that GitLab's entities give them.
	mistyped = map[string]string{
		"access_level": "integer", "approvals_before_merge": "integer", "assignees": "array", "blocking_discussions_resolved": "boolean", "can_merge": "boolean",
		"changes": "array", "ci_job_token_scope_enabled": "boolean", "downvotes": "integer", "draft": "boolean", "first_contribution": "boolean",
		"force_remove_source_branch": "boolean", "has_conflicts": "boolean", "imported": "boolean", "labels": "array",
		"merge_when_pipeline_succeeds": "boolean", "mirror": "boolean", "overflow": "boolean", "project_access": "object",
		"rebase_in_progress": "boolean", "reviewers": "array", "should_remove_source_branch": "boolean", "source_project_id": "integer",
		"squash": "boolean", "squash_on_merge": "boolean", "subscribed": "boolean", "target_project_id": "integer",
		"task_completion_status": "object", "upvotes": "integer", "user_notes_count": "integer", "work_in_progress": "boolean",
	}
	// dates are properties that the file takes for times.
	dates = map[string]string{"API_Entities_PersonalAccessTokenWithLastUsedIps": "expires_at"}
	// further are properties of today's answers that the file does not have.
	further = map[string][]string{
		"API_Entities_CurrentUser": {"bot", "can_create_project", "commit_email", "created_at", "external", "is_admin", "locked", "state", "web_url"},
	}
)

// checker validates what passes through it.
type checker struct {
	doc  *openapi3.T
	mu   sync.Mutex
	seen map[string]bool
	bad  map[string]bool
}

func (c *checker) fault(format string, args ...any) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad[fmt.Sprintf(format, args...)] = true
}

// route finds the operation of a request; literal parts of a path win over
// parameters.
func (c *checker) route(r *http.Request) (*routers.Route, map[string]string) {
	got := strings.Split(r.URL.EscapedPath(), "/")
	var best *routers.Route
	var bestParams map[string]string
	literals := -1
	for path, item := range c.doc.Paths.Map() {
		want := strings.Split(path, "/")
		operation := item.GetOperation(r.Method)
		if len(want) != len(got) || operation == nil {
			continue
		}
		params, n, ok := map[string]string{}, 0, true
		for i := range want {
			if strings.HasPrefix(want[i], "{") && strings.HasSuffix(want[i], "}") {
				params[strings.Trim(want[i], "{}")] = got[i]
			} else if want[i] == got[i] {
				n++
			} else {
				ok = false
				break
			}
		}
		if ok && n > literals {
			best, bestParams, literals = &routers.Route{Spec: c.doc, Path: path, PathItem: item, Method: r.Method, Operation: operation}, params, n
		}
	}
	return best, bestParams
}

func (c *checker) RoundTrip(r *http.Request) (*http.Response, error) {
	var sent []byte
	if r.Body != nil {
		sent, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(sent))
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	body, _ := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	answer.Body = io.NopCloser(bytes.NewReader(body))
	c.check(r, sent, answer, body)
	return answer, nil
}

func (c *checker) check(r *http.Request, sent []byte, answer *http.Response, body []byte) {
	route, params := c.route(r)
	if route == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen["absent "+r.Method+" "+r.URL.Path] = true
		return
	}
	name := r.Method + " " + route.Path
	c.mu.Lock()
	c.seen[name] = true
	c.mu.Unlock()
	again := r.Clone(r.Context())
	again.Body = io.NopCloser(bytes.NewReader(sent))
	input := &openapi3filter.RequestValidationInput{Request: again, PathParams: params, Route: route, QueryParams: r.URL.Query(), Options: &openapi3filter.Options{
		ExcludeRequestBody: len(sent) == 0 || string(sent) == "null", AuthenticationFunc: openapi3filter.NoopAuthenticationFunc}}
	if err := openapi3filter.ValidateRequest(r.Context(), input); err != nil && !slices.Contains(requests, name) {
		c.fault("%s: request: %v", name, firstLine(err))
	}
	status := answer.StatusCode
	if status >= 400 {
		return
	}
	if other, known := declared[name]; known {
		status = other
	}
	response := route.Operation.Responses.Status(status)
	if response == nil {
		c.fault("%s: answers %d, declared are %v", name, status, statusesOf(route.Operation))
		return
	}
	content := response.Value.Content.Get("application/json")
	if content == nil || content.Schema == nil || r.Method == http.MethodHead || !strings.HasPrefix(answer.Header.Get("Content-Type"), "application/json") {
		return
	}
	var value any
	if err := json.Unmarshal(body, &value); err != nil {
		c.fault("%s: answer: %v", name, err)
		return
	}
	schema := content.Schema
	if shape := shapes[name]; shape != "" {
		schema.Value.Items = &openapi3.SchemaRef{Ref: "#/components/schemas/" + shape, Value: c.doc.Components.Schemas[shape].Value}
	}
	if slices.Contains(lists, name) {
		schema = &openapi3.SchemaRef{Value: openapi3.NewArraySchema()}
		schema.Value.Items = content.Schema
	}
	value = withoutNulls(value)
	c.compare(name, schema, value)
	if err := schema.Value.VisitJSON(value, openapi3.MultiErrors()); err != nil {
		for line := range strings.SplitSeq(err.Error(), "Error at ") {
			if line = firstLine(errors.New(line)); line != "" {
				c.fault("%s: answer: %s", name, line)
			}
		}
	}
}

func statusesOf(o *openapi3.Operation) (out []string) {
	for k := range o.Responses.Map() {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func firstLine(err error) string {
	line, _, _ := strings.Cut(strings.ReplaceAll(err.Error(), "\nSchema:", " |Schema:"), "|Schema:")
	return strings.Join(strings.Fields(line), " ")
}

// withoutNulls drops empty fields: the file says of none that it may be null.
func withoutNulls(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x != nil {
				out[k] = withoutNulls(x)
			}
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, withoutNulls(x))
		}
		return out
	}
	return v
}

// compare reports fields of the answer that the schema does not have: nearly
// all of the file's fields are optional, so a misspelt one would pass otherwise.
func (c *checker) compare(at string, schema *openapi3.SchemaRef, v any) {
	if schema == nil || schema.Value == nil {
		return
	}
	name := strings.TrimPrefix(schema.Ref, "#/components/schemas/")
	switch v := v.(type) {
	case []any:
		for _, x := range v {
			c.compare(at, schema.Value.Items, x)
		}
	case map[string]any:
		if len(schema.Value.Properties) == 0 {
			return
		}
		for k, x := range v {
			p, ok := schema.Value.Properties[k]
			if !ok && !slices.Contains(further[name], k) {
				c.fault("%s: %s has no field %s", at, name, k)
			}
			c.compare(at, p, x)
		}
	}
}

func loadSpecification(t *testing.T) *openapi3.T {
	t.Helper()
	text, err := os.ReadFile(filepath.FromSlash(specification))
	if err != nil {
		t.Skipf("GitLab's OpenAPI file is not here, so requests and answers are not compared with it: %v", err)
	}
	doc, err := openapi3.NewLoader().LoadFromData(text)
	if err != nil {
		t.Fatal(err)
	}
	for name, property := range dates {
		doc.Components.Schemas[name].Value.Properties[property].Value.Format = "date"
	}
	done := map[*openapi3.Schema]bool{}
	for _, schema := range doc.Components.Schemas {
		retype(schema, done)
	}
	return doc
}

// retype gives the mistyped properties their type, in nested objects too.
func retype(s *openapi3.SchemaRef, done map[*openapi3.Schema]bool) {
	if s == nil || s.Value == nil || done[s.Value] {
		return
	}
	done[s.Value] = true
	for name, p := range s.Value.Properties {
		if kind := mistyped[name]; kind != "" && (p.Value.Type.Is("string") || p.Value.Type.Is("object")) {
			s.Value.Properties[name] = &openapi3.SchemaRef{Value: &openapi3.Schema{Type: &openapi3.Types{kind}}}
			continue
		}
		retype(p, done)
	}
	retype(s.Value.Items, done)
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	c := &checker{doc: loadSpecification(t), seen: map[string]bool{}, bad: map[string]bool{}}
	b := serve(t)
	var err error
	b.api, err = api.NewClient(BotToken, api.WithBaseURL(b.URL), api.WithoutRetries(), api.WithCustomLimiter(unlimited{}), api.WithHTTPClient(&http.Client{Transport: c}))
	b.must(err)
	b.everything()
	for _, r := range b.routes() {
		request := httpRequest(t, r.pattern)
		route, _ := c.route(request)
		switch {
		case route == nil && !slices.Contains(absent, r.pattern):
			t.Errorf("the file knows no %s", r.pattern)
		case route != nil && !c.seen[request.Method+" "+route.Path]:
			t.Errorf("%s was not called", r.pattern)
		}
	}
	var bad []string
	for f := range c.bad {
		bad = append(bad, f)
	}
	slices.Sort(bad)
	for _, f := range bad {
		t.Error(f)
	}
}

// httpRequest makes a request that fits a route's pattern.
func httpRequest(t *testing.T, pattern string) *http.Request {
	t.Helper()
	method, path, _ := strings.Cut(pattern, " ")
	parts := strings.Split(path, "/")
	for i, p := range parts {
		if strings.HasPrefix(p, "{") {
			parts[i] = "1"
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), method, "http://127.0.0.1"+strings.Join(parts, "/"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}
