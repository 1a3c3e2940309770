package registry

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// Errors that callers act upon. They are found with errors.Is beneath the
// class and reason.
var (
	// ErrNotFound: the manifest, blob or repository is not there.
	ErrNotFound = errors.New("not found")
	// ErrTagExists: the tag is taken and cannot be overwritten. The digest may
	// even be the same: look.
	ErrTagExists = errors.New("tag exists and is immutable")
	// ErrBlobMissing: a manifest was refused because a blob or child manifest of
	// it is not in the target repository.
	ErrBlobMissing = errors.New("manifest refers to something that is missing")
	// ErrCorrupt: what came is not what its digest or length says.
	ErrCorrupt = errors.New("content does not match its digest")
	// ErrNoLogin: user and password could not be had, so nothing was sent.
	// Whoever gives them has tried often enough already.
	ErrNoLogin = errors.New("no login")
	// ErrStale: a stream was refused because its login had just expired. A fresh
	// one is at hand, so there is nothing to wait for.
	ErrStale = errors.New("login expired")
	// ErrStalled: a stream stood still for too long.
	ErrStalled = errors.New("no progress")
)

// StatusError is an answer of the registry other than success.
type StatusError struct {
	Method  string
	Path    string // without the query, which may hold signatures
	Status  int
	Code    string // the first entry of the answer's errors array, if any
	Message string
	After   time.Duration // Retry-After
}

// Error says what was asked and answered.
func (e *StatusError) Error() string {
	text := fmt.Sprintf("%s %s: %d", e.Method, e.Path, e.Status)
	if e.Code != "" {
		text += " " + e.Code
	}
	if e.Message != "" {
		text += ": " + e.Message
	}
	return text
}

// statusError reads an answer that is not a success.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
func statusError(resp *http.Response) *StatusError {
	e := &StatusError{Method: resp.Request.Method, Path: resp.Request.URL.Path, Status: resp.StatusCode, After: pace.RetryAfter(resp.Header)}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var answer struct {
		Errors []struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"errors"`
	}
	if json.Unmarshal(body, &answer) == nil && len(answer.Errors) > 0 {
		e.Code, e.Message = answer.Errors[0].Code, answer.Errors[0].Message
	} else if text := strings.TrimSpace(string(body)); text != "" && !strings.HasPrefix(text, "<") {
		e.Message = text[:min(len(text), 200)]
	}
	return e
}

// tokenExpired tells ECR's expired password from a refusal: it is a 403 without
// a challenge, "Your authorization token has expired. Reauthenticate and try again."
func (e *StatusError) tokenExpired() bool {
	return (e.Status == http.StatusForbidden || e.Status == http.StatusUnauthorized) &&
		strings.Contains(strings.ToLower(e.Message), "token has expired")
}

// throttled also knows the form in which the code is only in the text.
func (e *StatusError) throttled() bool {
	return e.Status == http.StatusTooManyRequests || e.Code == "TOOMANYREQUESTS" ||
		e.Status >= 400 && (e.says("rate exceeded") || e.says("toomanyrequests") || e.says("throttlingexception"))
}

// says looks for words in the code and message, whatever their case: the codes
// of ECR's API come through its registry door now as code, now as text.
func (e *StatusError) says(words string) bool {
	return strings.Contains(strings.ToLower(e.Code+" "+e.Message), words)
}

// tagExists knows ECR's answer to a second push of a tag, old and new words.
func (e *StatusError) tagExists() bool {
	if e.Status < 400 || e.Status >= 500 {
		return false
	}
	return e.says("is immutable") || e.says("tag_immutable") || e.says("imagetagalreadyexists") || e.says("imagealreadyexists") ||
		e.Method == http.MethodPut && strings.Contains(e.Path, "/manifests/") && (e.Status == http.StatusConflict || e.says("already exists in the"))
}

// missingPart knows the answers to a manifest whose blobs or children are absent.
func (e *StatusError) missingPart() bool {
	return e.Code == "MANIFEST_BLOB_UNKNOWN" || e.Code == "BLOB_UNKNOWN" && e.Method == http.MethodPut ||
		e.says("layersnotfound") || e.says("referencedimagesnotfound") || e.says("required for pushing image") ||
		e.Code == "MANIFEST_UNKNOWN" && e.Method == http.MethodPut
}

// classify turns an answer into an error with a class, a reason and a remedy. A
// refusal for too many requests is for the limiter of the request.
func (c *Client) classify(e *StatusError) error {
	wrap := func(class fault.Class, reason string, kind error, remedy string) error {
		f := fault.New(class, reason, "%s: %w", c.name, e).WithRemedy(remedy).WithRetryAfter(e.After)
		if kind != nil {
			f.Err = &kinded{kind: kind, err: f.Err}
		}
		return f
	}
	switch {
	case e.throttled():
		return &pace.Refused{After: e.After, Err: wrap(fault.Transient, c.reason("throttled"), nil, "wait; lower the configured rate if it goes on")}
	case e.tokenExpired():
		return wrap(fault.Transient, c.reason("token-expired"), nil, "try again; a fresh token is fetched")
	case e.tagExists():
		return wrap(fault.Permanent, "tag-immutable", ErrTagExists, "compare the digest that holds the tag with the one to be copied")
	case e.missingPart():
		return wrap(fault.Transient, "blob-missing", ErrBlobMissing, "try again; what is missing is sent again")
	case e.Status == http.StatusUnauthorized, e.Status == http.StatusForbidden:
		return wrap(fault.Attention, "registry-denied", nil, "check the user, its password and its permissions at "+c.name)
	case e.Code == "NAME_UNKNOWN" && e.Method != http.MethodGet && e.Method != http.MethodHead:
		return wrap(fault.Attention, c.reason("repository-missing"), nil, "create the repository; for a project of the PaaS by \"Update configuration\" in its console")
	case e.Status == http.StatusNotFound && strings.Contains(e.Path, "/blobs/uploads/"):
		return wrap(fault.Transient, "blob-upload-unknown", nil, "try again; the upload was lost")
	case e.Status == http.StatusNotFound:
		return wrap(fault.Permanent, notFoundReason(e), ErrNotFound, "")
	case e.Status == http.StatusRequestTimeout, e.Status >= 500:
		return wrap(fault.Transient, c.reason("unavailable"), nil, "wait until "+c.name+" answers again")
	case e.Code == "DIGEST_INVALID", e.Code == "SIZE_INVALID":
		return wrap(fault.Transient, "blob-refused", nil, "try again; the blob was damaged on its way to "+c.name)
	case e.Code == "MANIFEST_INVALID", e.Code == "UNSUPPORTED", e.Code == "TAG_INVALID", e.Status == http.StatusRequestEntityTooLarge:
		return wrap(fault.Permanent, "manifest-refused", nil, "read the registry's words; the image cannot be held there as it is")
	}
	return wrap(fault.Unclassified, "registry-answer-unknown", nil, "")
}

func notFoundReason(e *StatusError) string {
	switch {
	case e.Code == "NAME_UNKNOWN":
		return "repository-unknown"
	case strings.Contains(e.Path, "/blobs/"):
		return "blob-unknown"
	}
	return "manifest-unknown"
}

// reason names which of the two registries is meant: they have different owners.
func (c *Client) reason(what string) string {
	if c.ecr {
		return "ecr-" + what
	}
	return "old-registry-" + what
}

// classifyTransport gives a class to a request that got no answer.
func (c *Client) classifyTransport(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if _, ok := errors.AsType[*fault.Error](err); ok {
		return err
	}
	// The text of a url.Error holds the URL with its query: keep the cause only.
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if errors.Is(err, errRedirect) {
		return fault.New(fault.Attention, "registry-redirect", "%s: %w", c.name, err).
			WithRemedy("ask the owner of " + c.name + " why it redirects there")
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return fault.New(fault.Attention, "registry-certificate", "%s: %w", c.name, err).
			WithRemedy("add the certificate authority of " + c.name + " to SSL_CERT_FILE")
	}
	return fault.New(fault.Transient, c.reason("unavailable"), "%s: %w", c.name, err).
		WithRemedy("wait until " + c.name + " answers again")
}

// kinded adds one of the errors above to a chain without adding to its text.
type kinded struct{ kind, err error }

func (k *kinded) Error() string   { return k.err.Error() }
func (k *kinded) Unwrap() []error { return []error{k.kind, k.err} }

// IsGone tells an error about one image, which is absent or damaged at the
// source, from one about the registry.
func IsGone(err error) bool { return errors.Is(err, ErrNotFound) || errors.Is(err, ErrCorrupt) }
