package gitlab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// ErrNotFound is in the chain of every error that means: what was asked for is
// not there, or this account may not see it. GitLab does not tell the two apart.
var ErrNotFound = errors.New("not found in GitLab")

// Role is a role in a GitLab project, named in the remedy of a refusal.
type Role string

// The roles that our calls need.
const (
	Guest      Role = "Guest"
	Reporter   Role = "Reporter"
	Developer  Role = "Developer"
	Maintainer Role = "Maintainer"
)

// Reasons of classified errors. They are stored, so their text is fixed.
const (
	ReasonUnavailable  = "gitlab-unavailable"   // transient: 5xx, no answer
	ReasonThrottled    = "gitlab-throttled"     // transient: 429
	ReasonConflict     = "gitlab-conflict"      // transient: 409 without known words
	ReasonTokenInvalid = "gitlab-token-invalid" // permanent: 401
	ReasonTokenScope   = "gitlab-token-scope"   // permanent: scope api is missing
	ReasonNeedsAccess  = "gitlab-needs-access"  // attention: 403
	ReasonNotFound     = "gitlab-not-found"     // attention: 404
	ReasonRefused      = "gitlab-refused"       // permanent: 4xx without known words
	ReasonMoved        = "gitlab-moved"         // permanent: a redirect we do not follow

	ReasonPushNotAllowed = "push-not-allowed" // the branch is protected against us
	ReasonPushRejected   = "push-rejected"    // a push rule or hook said no
	ReasonFileChanged    = "file-changed"     // last_commit_id is stale: read again
	ReasonFileExists     = "file-exists"
	ReasonFileMissing    = "file-missing"
	ReasonBranchExists   = "branch-exists"
	ReasonBranchMissing  = "branch-missing"
	ReasonArchived       = "project-archived"

	ReasonNoPipelineByRules  = "no-pipeline-by-rules"
	ReasonCIDisabled         = "ci-disabled"
	ReasonMissingCIConfig    = "missing-ci-config"
	ReasonInvalidCIConfig    = "invalid-ci-config"
	ReasonVariablesForbidden = "variables-forbidden"
	ReasonPipelineNotAllowed = "pipeline-not-allowed"
	ReasonRefMissing         = "ref-missing"

	ReasonJobUnplayable   = "job-unplayable"
	ReasonJobNotRetryable = "job-not-retryable"
	ReasonJobNotAllowed   = "job-not-allowed" // protected environment

	ReasonVariableExists     = "variable-exists"
	ReasonMergeRequestExists = "merge-request-exists"
	ReasonHeadMoved          = "merge-request-head-moved" // not the sha we meant
	ReasonNotMergeable       = "merge-request-not-mergeable"
	ReasonMergeConflict      = "merge-request-conflict"
	ReasonMergeNotAllowed    = "merge-not-allowed"
)

// Error is GitLab's answer to a call that failed.
type Error struct {
	Method  string
	Route   string // with placeholders for identifiers
	Status  int
	Message string // GitLab's words, shortened; may be empty
}

// Error returns status and words.
func (e *Error) Error() string {
	if e.Message == "" {
		return fmt.Sprintf("GitLab answered %d %s", e.Status, http.StatusText(e.Status))
	}
	return fmt.Sprintf("GitLab answered %d: %s", e.Status, e.Message)
}

// Is reports a 404 as ErrNotFound.
func (e *Error) Is(target error) bool {
	return target == ErrNotFound && e.Status == http.StatusNotFound
}

// saying is a refusal that GitLab explains in words only. The words are those
// of GitLab's own source (lib/api, app/services, lib/gitlab/ci/pipeline/chain),
// compared in lower case; there is no machine-readable code beside them.
type saying struct {
	words  string
	status []int // nil: any 4xx
	reason string
	class  fault.Class
	remedy string
}

var sayings = []saying{
	{words: "insufficient_scope", reason: ReasonTokenScope, class: fault.Permanent,
		remedy: "create a token with the scope api and restart the worker with it"},

	// Committing. The order matters: a pre-receive refusal names its cause
	// after a general prefix.
	{words: "not allowed to push", reason: ReasonPushNotAllowed, class: fault.Attention,
		remedy: "deliver by merge request, or allow the account to push to this branch"},
	{words: "not allowed to create protected branches", reason: ReasonPushNotAllowed, class: fault.Attention,
		remedy: "deliver by merge request, or allow the account to push to this branch"},
	{words: "changed since you started editing it", reason: ReasonFileChanged, class: fault.Transient,
		remedy: "read the file again and compute the change anew"},
	{words: "could not update refs/heads", reason: ReasonConflict, class: fault.Transient,
		remedy: "somebody pushed at the same time; read the branch again"},
	{words: "a branch called", status: []int{400}, reason: ReasonBranchExists, class: fault.Permanent,
		remedy: "commit to the branch that exists, or delete it"},
	{words: "branch already exists", status: []int{400}, reason: ReasonBranchExists, class: fault.Permanent,
		remedy: "use the branch that exists, or delete it"},
	{words: "when you are on a branch", reason: ReasonBranchMissing, class: fault.Permanent,
		remedy: "name an existing branch, or a branch to start from"},
	{words: "file with this name already exists", reason: ReasonFileExists, class: fault.Permanent,
		remedy: "read the file and update it with its last commit"},
	{words: "file with the name", status: []int{400}, reason: ReasonFileExists, class: fault.Permanent,
		remedy: "read the file and update it with its last commit"},
	{words: "file with this name doesn't exist", reason: ReasonFileMissing, class: fault.Permanent,
		remedy: "read the branch again: the file is gone"},
	{words: "file to be updated", reason: ReasonFileMissing, class: fault.Permanent,
		remedy: "read the branch again: the file is gone"},
	{words: "pre-receive", reason: ReasonPushRejected, class: fault.Attention,
		remedy: "a push rule or server hook refuses the commit; change the rule or make the change by hand"},
	{words: "does not follow the pattern", reason: ReasonPushRejected, class: fault.Attention,
		remedy: "a push rule refuses the commit; change the rule or make the change by hand"},
	{words: "is not a member of team", reason: ReasonPushRejected, class: fault.Attention,
		remedy: "a push rule wants authors to be members; add the account"},
	{words: "does not match the committer", reason: ReasonPushRejected, class: fault.Attention,
		remedy: "a push rule wants verified committers; verify the account's address"},
	{words: "archived", status: []int{400, 403, 409}, reason: ReasonArchived, class: fault.Attention,
		remedy: "unarchive the project or leave it out"},

	// Pipelines.
	{words: "pipeline will not run for the selected trigger", reason: ReasonNoPipelineByRules, class: fault.Attention,
		remedy: "the rules let no job run; run the pipeline the way the project means it"},
	{words: "no stages / jobs for this pipeline", reason: ReasonNoPipelineByRules, class: fault.Attention,
		remedy: "the rules let no job run; run the pipeline the way the project means it"},
	{words: "pipeline filtered out by workflow rules", reason: ReasonNoPipelineByRules, class: fault.Attention,
		remedy: "the rules let no job run; run the pipeline the way the project means it"},
	{words: "pipelines are disabled", reason: ReasonCIDisabled, class: fault.Attention,
		remedy: "switch CI/CD on in the project's settings or leave the project out"},
	{words: "missing ci config file", reason: ReasonMissingCIConfig, class: fault.Attention,
		remedy: "the project has no CI configuration at this ref"},
	{words: "insufficient permissions to set pipeline variables", reason: ReasonVariablesForbidden, class: fault.Attention,
		remedy: "run the pipeline without variables, or allow the account's role to set them"},
	{words: "insufficient permissions to create a new pipeline", reason: ReasonPipelineNotAllowed, class: fault.Attention,
		remedy: "give the account the role Developer or higher"},
	{words: "sufficient permission to run a pipeline", reason: ReasonPipelineNotAllowed, class: fault.Attention,
		remedy: "allow the account to merge or push to the protected branch"},
	{words: "reference not found", reason: ReasonRefMissing, class: fault.Permanent,
		remedy: "the branch is gone; look at the project's default branch"},
	{words: "commit not found", reason: ReasonRefMissing, class: fault.Permanent,
		remedy: "the branch holds no such commit; look at the project's default branch"},

	// Jobs.
	{words: "unplayable job", reason: ReasonJobUnplayable, class: fault.Permanent,
		remedy: "look at the job: it was played already, or its pipeline is over"},
	{words: "not retryable", reason: ReasonJobNotRetryable, class: fault.Permanent,
		remedy: "look at the job: it was retried already, or it is running"},
	{words: "protected environment", reason: ReasonJobNotAllowed, class: fault.Attention,
		remedy: "let somebody with the right to deploy play the job"},

	// Variables and merge requests.
	{words: "has already been taken", status: []int{400}, reason: ReasonVariableExists, class: fault.Permanent},
	{words: "another open merge request already exists", reason: ReasonMergeRequestExists, class: fault.Permanent,
		remedy: "use the merge request that exists"},
	{words: "sha does not match head", reason: ReasonHeadMoved, class: fault.Attention,
		remedy: "somebody pushed to the merge request's branch; review it and merge it by hand"},
	{words: "branch cannot be merged", reason: ReasonMergeConflict, class: fault.Attention,
		remedy: "resolve the conflict in the merge request"},
}

// classify makes the error of a failed call. An ended context stays what it is.
func classify(ctx context.Context, n *note, role Role, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	if p, ok := errors.AsType[*pausedError](err); ok {
		reason := ReasonThrottled
		if n.status == http.StatusServiceUnavailable {
			reason = ReasonUnavailable
		}
		return fault.New(fault.Transient, reason, "%s: %w", doing, p).WithRetryAfter(p.after)
	}
	if n.status < 300 {
		// No answer at all, or an answer that is not JSON (a sign-in page of a
		// proxy, a connection cut in the middle).
		return fault.New(fault.Transient, ReasonUnavailable, "%s: %w", doing, err)
	}
	answer := &Error{Method: n.method, Route: n.route, Status: n.status, Message: message(n.body)}
	wrap := func(class fault.Class, reason, remedy string) error {
		return fault.New(class, reason, "%s: %w", doing, answer).WithRemedy(remedy).WithRetryAfter(n.after)
	}
	switch {
	case n.status >= 500:
		return wrap(fault.Transient, ReasonUnavailable, "")
	case n.status == http.StatusTooManyRequests:
		return wrap(fault.Transient, ReasonThrottled, "")
	case n.status < 400:
		return wrap(fault.Permanent, ReasonMoved, "use the address to which GitLab redirects, or the project's number instead of its path")
	}
	words := strings.ToLower(answer.Message)
	for _, s := range sayings {
		if strings.Contains(words, s.words) && (s.status == nil || slices.Contains(s.status, n.status)) {
			return wrap(s.class, s.reason, s.remedy)
		}
	}
	switch n.status {
	case http.StatusUnauthorized:
		if strings.HasSuffix(n.route, "/merge") || strings.HasSuffix(n.route, "/approve") {
			// Merging without the right to is a 401 in GitLab, not a 403.
			return wrap(fault.Attention, ReasonMergeNotAllowed, "let somebody with the right to merge it do so")
		}
		return wrap(fault.Permanent, ReasonTokenInvalid, "the token is wrong, expired or revoked; give the worker a new one with the scope api")
	case http.StatusForbidden:
		return wrap(fault.Attention, ReasonNeedsAccess, fmt.Sprintf("give the account the role %s or higher in the project", role))
	case http.StatusNotFound:
		return wrap(fault.Attention, ReasonNotFound, "see whether it exists, and whether the account may see it")
	case http.StatusMethodNotAllowed, http.StatusNotAcceptable:
		if strings.HasSuffix(n.route, "/merge") {
			return wrap(fault.Transient, ReasonNotMergeable, "look at the merge request: a check, an approval or a pipeline may be missing")
		}
	case http.StatusConflict:
		return wrap(fault.Transient, ReasonConflict, "")
	}
	if strings.HasSuffix(n.route, "/pipeline") && n.status == http.StatusBadRequest {
		// Whatever else POST pipeline refuses is a complaint about the YAML.
		return wrap(fault.Attention, ReasonInvalidCIConfig, "correct the CI configuration")
	}
	return wrap(fault.Permanent, ReasonRefused, "")
}

// message takes GitLab's words out of an answer: {"message": …}, {"error": …,
// "error_description": …}, plain text, or a proxy's HTML page.
func message(body []byte) string {
	var raw any
	text := string(body)
	if json.Unmarshal(body, &raw) == nil {
		var parts []string
		flatten(raw, &parts)
		text = strings.Join(parts, ": ")
	} else if strings.Contains(strings.ToLower(text), "<html") {
		text = ""
	}
	text = strings.Join(strings.Fields(text), " ")
	const longest = 300
	if len(text) > longest {
		text = strings.ToValidUTF8(text[:longest], "") + "…"
	}
	return text
}

// flatten collects the texts of an answer in a stable order. Keys are left out
// but for those that name what a complaint is about.
func flatten(v any, parts *[]string) {
	switch v := v.(type) {
	case string:
		*parts = append(*parts, v)
	case []any:
		for _, e := range v {
			flatten(e, parts)
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		slices.Sort(keys)
		for _, k := range keys {
			switch k {
			case "message", "error", "error_description", "base":
			case "scope":
				continue
			default:
				*parts = append(*parts, k)
			}
			flatten(v[k], parts)
		}
	}
}
