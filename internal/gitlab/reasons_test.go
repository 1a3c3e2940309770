package gitlab

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// The answers are GitLab's: lib/api, app/services and
// lib/gitlab/ci/pipeline/chain of its source.
func TestRefusals(t *testing.T) {
	t.Parallel()
	commit := func(c *Client, t *testing.T) error {
		_, err := c.Commit(t.Context(), 7, CommitRequest{Branch: "main", Message: "m", Edits: []Edit{{Path: "f", LastCommitID: "x"}}})
		return err
	}
	run := func(c *Client, t *testing.T) error {
		_, err := c.CreatePipeline(t.Context(), 7, "main", nil)
		return err
	}
	play := func(c *Client, t *testing.T) error { _, err := c.PlayJob(t.Context(), 7, 9); return err }
	retry := func(c *Client, t *testing.T) error { _, err := c.RetryJob(t.Context(), 7, 9); return err }
	merge := func(c *Client, t *testing.T) error {
		_, err := c.AcceptMergeRequest(t.Context(), 7, 2, Acceptance{})
		return err
	}
	open := func(c *Client, t *testing.T) error {
		_, err := c.CreateMergeRequest(t.Context(), 7, MergeRequestRequest{})
		return err
	}
	lint := func(c *Client, t *testing.T) error { _, err := c.Lint(t.Context(), 7, LintRequest{}); return err }
	base := func(s string) string { return fmt.Sprintf(`{"message":{"base":[%q]}}`, s) }
	msg := func(s string) string { return fmt.Sprintf(`{"message":%q}`, s) }

	for name, test := range map[string]struct {
		do     func(*Client, *testing.T) error
		status int
		body   string
		class  fault.Class
		reason string
	}{
		"protected branch": {commit, 403, msg("403 Forbidden - You are not allowed to push into this branch"), fault.Attention, ReasonPushNotAllowed},
		"protected branch, from the hook": {commit, 400, msg("GitLab: You are not allowed to push code to protected branches on this project."),
			fault.Attention, ReasonPushNotAllowed},
		"stale file": {commit, 400, msg("You are attempting to update a file `f` that has changed since you started editing it."), fault.Transient, ReasonFileChanged},
		"branch exists": {commit, 400, msg("A branch called 'ecrferry' already exists. Switch to that branch in order to make changes"),
			fault.Permanent, ReasonBranchExists},
		"file exists":  {commit, 400, msg("A file with this name already exists"), fault.Permanent, ReasonFileExists},
		"file missing": {commit, 400, msg("A file with this name doesn't exist"), fault.Permanent, ReasonFileMissing},
		"no branch":    {commit, 400, msg("You can only create or edit files when you are on a branch"), fault.Permanent, ReasonBranchMissing},
		"push rule":    {commit, 400, msg("Commit message does not follow the pattern '^[A-Z]+-[0-9]+'"), fault.Attention, ReasonPushRejected},
		"hook":         {commit, 400, msg("pre-receive hook declined"), fault.Attention, ReasonPushRejected},
		"archived":     {commit, 403, msg("403 Forbidden - The project is archived"), fault.Attention, ReasonArchived},

		"rules": {run, 400, base("Pipeline will not run for the selected trigger. The rules configuration prevented any jobs from being added to the pipeline."),
			fault.Attention, ReasonNoPipelineByRules},
		"rules, older":    {run, 400, base("No stages / jobs for this pipeline."), fault.Attention, ReasonNoPipelineByRules},
		"ci off":          {run, 400, base("Pipelines are disabled!"), fault.Attention, ReasonCIDisabled},
		"no ci file":      {run, 400, base("Missing CI config file"), fault.Attention, ReasonMissingCIConfig},
		"variables":       {run, 400, base("Insufficient permissions to set pipeline variables"), fault.Attention, ReasonVariablesForbidden},
		"may not run":     {run, 400, base("Insufficient permissions to create a new pipeline"), fault.Attention, ReasonPipelineNotAllowed},
		"protected ref":   {run, 400, base("You do not have sufficient permission to run a pipeline on 'main'. Please select a different branch"), fault.Attention, ReasonPipelineNotAllowed},
		"no ref":          {run, 400, base("Reference not found"), fault.Permanent, ReasonRefMissing},
		"bad yaml":        {run, 400, base("jobs:build config should implement the script:, run:, or trigger: keyword"), fault.Attention, ReasonInvalidCIConfig},
		"unplayable":      {play, 400, msg("400 Bad request - Unplayable Job"), fault.Permanent, ReasonJobUnplayable},
		"protected env":   {play, 403, msg("403 Forbidden - You don't have access to this protected environment"), fault.Attention, ReasonJobNotAllowed},
		"play, no rights": {play, 403, msg("403 Forbidden"), fault.Attention, ReasonNeedsAccess},
		"not retryable":   {retry, 403, msg("403 Forbidden - Job is not retryable"), fault.Permanent, ReasonJobNotRetryable},

		"second merge request": {open, 409, `{"message":["Another open merge request already exists for this source branch: !7"]}`, fault.Permanent, ReasonMergeRequestExists},
		"merge, 401":           {merge, 401, msg("401 Unauthorized"), fault.Attention, ReasonMergeNotAllowed},
		"merge, not ready":     {merge, 405, msg("405 Method Not Allowed"), fault.Transient, ReasonNotMergeable},
		"merge, conflict":      {merge, 422, msg("Branch cannot be merged"), fault.Attention, ReasonMergeConflict},
		"merge, other head":    {merge, 409, msg("SHA does not match HEAD of source branch: abc"), fault.Attention, ReasonHeadMoved},

		"bad token":       {lint, 401, `{"error":"invalid_token","error_description":"Token was revoked. You have to re-authorize from the user."}`, fault.Permanent, ReasonTokenInvalid},
		"small scope":     {lint, 403, `{"error":"insufficient_scope","error_description":"The request requires higher privileges than provided by the access token.","scope":"api"}`, fault.Permanent, ReasonTokenScope},
		"no rights":       {lint, 403, msg("403 Forbidden"), fault.Attention, ReasonNeedsAccess},
		"absent":          {lint, 404, msg("404 Project Not Found"), fault.Attention, ReasonNotFound},
		"resource locked": {lint, 409, msg("409 Conflict: Resource lock"), fault.Transient, ReasonConflict},
		"unknown":         {lint, 418, msg("I'm a teapot"), fault.Permanent, ReasonRefused},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, map[string]http.HandlerFunc{
				"POST /": answer(test.status, test.body),
				"PUT /":  answer(test.status, test.body),
				// Playing looks first.
				"GET /projects/7/jobs/9": answer(200, `{"id":9,"status":"manual"}`),
			})
			err := test.do(connect(t, s.URL), t)
			if fault.ClassOf(err) != test.class || fault.ReasonOf(err) != test.reason {
				t.Errorf("%s, %q of %v; want %s, %q", fault.ClassOf(err), fault.ReasonOf(err), err, test.class, test.reason)
			}
			if got, want := errors.Is(err, ErrNotFound), test.status == 404; got != want {
				t.Errorf("is ErrNotFound: %v, want %v", got, want)
			}
			if test.class == fault.Attention && fault.RemedyOf(err) == "" {
				t.Error("no remedy for the human")
			}
			writes := slices.DeleteFunc(s.seen(), func(c string) bool { return strings.HasPrefix(c, "GET ") })
			if len(writes) != 1 {
				t.Errorf("sent %d times, want once", len(writes))
			}
			if strings.Contains(err.Error(), token) {
				t.Errorf("the token is in %v", err)
			}
		})
	}
}

func TestRoleIsNamed(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects/7/variables": answer(403, `{"message":"403 Forbidden"}`)})
	_, err := connect(t, s.URL).Variables(t.Context(), 7)
	if got := fault.RemedyOf(err); !strings.Contains(got, "Maintainer") {
		t.Errorf("remedy %q, want the role in it", got)
	}
}

func TestMessage(t *testing.T) {
	t.Parallel()
	for body, want := range map[string]string{
		``:                          "",
		`Retry later`:               "Retry later",
		`{"message":"404 Project"}`: "404 Project",
		`{"message":{"value":["is invalid"],"key":["too long","taken"]}}`: "key: too long: taken: value: is invalid",
		`{"error":"ref is missing"}`:                                      "ref is missing",
		`<HTML><body>x</body></HTML>`:                                     "",
		`"plain"`:                                                         "plain",
		`{"message":null}`:                                                "",
	} {
		if got := message([]byte(body)); got != want {
			t.Errorf("message(%s) = %q, want %q", body, got, want)
		}
	}
	if got := message([]byte(strings.Repeat("é", 1000))); len(got) > 310 {
		t.Errorf("a long message has %d bytes", len(got))
	}
}
