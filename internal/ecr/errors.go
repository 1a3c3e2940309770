package ecr

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// Errors that callers act upon, found with errors.Is.
var (
	ErrRepositoryNotFound = errors.New("repository not found")
	errRepositoryExists   = errors.New("repository exists")
	errImageNotFound      = errors.New("image not found")
)

// codes says what ECR's error codes mean to a job.
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/CommonErrors.html
var codes = map[string]struct {
	class          fault.Class
	reason, remedy string
	kind           error
}{
	"RepositoryNotFoundException":          {fault.Attention, "ecr-repository-missing", "run \"Update configuration\" for the project in the PaaS console", ErrRepositoryNotFound},
	"RepositoryAlreadyExistsException":     {fault.Permanent, "ecr-repository-exists", "", errRepositoryExists},
	"ImageNotFoundException":               {fault.Permanent, "ecr-image-missing", "", errImageNotFound},
	"LimitExceededException":               {fault.Attention, "ecr-quota", "raise the quota that is full in the AWS service quotas console", nil},
	"ServerException":                      {fault.Transient, "ecr-unavailable", "wait until ECR answers again", nil},
	"InternalFailure":                      {fault.Transient, "ecr-unavailable", "wait until ECR answers again", nil},
	"ServiceUnavailable":                   {fault.Transient, "ecr-unavailable", "wait until ECR answers again", nil},
	"ExpiredTokenException":                {fault.Attention, "aws-credentials", "renew the AWS credentials of the worker", nil},
	"ExpiredToken":                         {fault.Attention, "aws-credentials", "renew the AWS credentials of the worker", nil},
	"UnrecognizedClientException":          {fault.Attention, "aws-credentials", "check AWS_ACCESS_KEY_ID and AWS_SESSION_TOKEN of the worker", nil},
	"InvalidClientTokenId":                 {fault.Attention, "aws-credentials", "check AWS_ACCESS_KEY_ID of the worker", nil},
	"InvalidSignatureException":            {fault.Attention, "aws-credentials", "check AWS_SECRET_ACCESS_KEY and the clock of the worker", nil},
	"RequestTimeTooSkewed":                 {fault.Attention, "aws-credentials", "set the clock of the worker right", nil},
	"RequestExpired":                       {fault.Attention, "aws-credentials", "set the clock of the worker right", nil},
	"SignatureDoesNotMatch":                {fault.Attention, "aws-credentials", "check AWS_SECRET_ACCESS_KEY of the worker", nil},
	"IncompleteSignature":                  {fault.Attention, "aws-credentials", "check the AWS credentials of the worker", nil},
	"OptInRequired":                        {fault.Attention, "aws-credentials", "the AWS account is not subscribed to ECR", nil},
	"BlockedByOrganizationPolicyException": {fault.Attention, "ecr-denied", "ask the owner of the AWS organisation's policies", nil},
	"InvalidParameterException":            {fault.Permanent, "ecr-request-refused", "", nil},
	"ValidationException":                  {fault.Permanent, "ecr-request-refused", "", nil},
}

// action finds what a principal may not do in AWS's sentence about it.
var action = regexp.MustCompile(`not authorized to perform: ([a-z0-9-]+:[A-Za-z]+)`)

// classify is the one place where the SDK's errors become ours.
func classify(ctx context.Context, operation string, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if throttled(err) {
		var after time.Duration
		if r, ok := errors.AsType[*awshttp.ResponseError](err); ok {
			after = pace.RetryAfter(r.Response.Header)
		}
		if api, ok := errors.AsType[smithy.APIError](err); ok {
			err = api
		}
		return &pace.Refused{After: after, Err: fault.New(fault.Transient, "ecr-throttled", "%s: %w", operation, err)}
	}
	if api, ok := errors.AsType[smithy.APIError](err); ok {
		code := api.ErrorCode()
		if known, ok := codes[code]; ok {
			f := fault.New(known.class, known.reason, "%s: %s: %s", operation, code, api.ErrorMessage()).WithRemedy(known.remedy)
			if known.kind != nil {
				f.Err = &kinded{kind: known.kind, err: f.Err}
			}
			return f
		}
		if strings.HasPrefix(code, "AccessDenied") {
			missing := "ecr:" + operation
			if m := action.FindStringSubmatch(api.ErrorMessage()); m != nil {
				missing = m[1]
			}
			return fault.New(fault.Attention, "ecr-denied", "%s: %s: %s", operation, code, api.ErrorMessage()).
				WithRemedy("give the worker's AWS role the permission " + missing)
		}
	}
	text := err.Error()
	switch {
	case distrusted(err):
		return fault.New(fault.Attention, "ecr-certificate", "%s: %w", operation, err).
			WithRemedy("add the certificate authority before ECR to SSL_CERT_FILE, or to AWS_CA_BUNDLE where that is set")
	case strings.Contains(text, "get credentials") || strings.Contains(text, "failed to refresh cached credentials"):
		return fault.New(fault.Attention, "aws-credentials", "%s: no AWS credentials were found", operation).
			WithRemedy("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, or run the worker with a role")
	case transport(err):
		return fault.New(fault.Transient, "ecr-unavailable", "%s: %w", operation, err).WithRemedy("wait until ECR answers again")
	}
	return fault.New(fault.Unclassified, "ecr-answer-unknown", "%s: %w", operation, err)
}

// throttles are the codes of refusals for too many requests. ECR's pages spell
// what it is known to send as ThrottlingException.
var throttles = retry.IsErrorThrottles{
	retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes},
	retry.ThrottleErrorCode{Codes: map[string]struct{}{"ThrottleException": {}}},
}

// throttled tells whether a call was one too many, by its code or its status. A
// full quota is none: the SDK counts it among them.
func throttled(err error) bool {
	if _, full := errors.AsType[*types.LimitExceededException](err); full {
		return false
	}
	r, ok := errors.AsType[*awshttp.ResponseError](err)
	return ok && r.HTTPStatusCode() == http.StatusTooManyRequests || throttles.IsErrorThrottle(err).Bool()
}

// distrusted tells whether the other side's certificate was not accepted.
func distrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// transport tells whether ECR was not reached, or answered with a 5xx that
// holds no code.
func transport(err error) bool {
	if r, ok := errors.AsType[*awshttp.ResponseError](err); ok && r.HTTPStatusCode() >= 500 {
		return true
	}
	if _, ok := errors.AsType[*url.Error](err); ok {
		return true
	}
	_, ok := errors.AsType[net.Error](err)
	return ok
}

// kinded adds one of the errors above to a chain without adding to its text.
type kinded struct{ kind, err error }

func (k *kinded) Error() string   { return k.err.Error() }
func (k *kinded) Unwrap() []error { return []error{k.kind, k.err} }
