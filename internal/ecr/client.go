// Package ecr asks Amazon ECR's control plane about repositories and images.
//
// Everything that only looks goes through here and not through the registry
// door, because pulling a manifest counts as using the image. Writing images is
// done at the door (package registry), with the password that Token gives.
//
// Credentials, region and endpoint come from where the AWS SDK finds them:
// environment, shared files, container or instance role; AWS_ENDPOINT_URL_ECR
// leads to another endpoint. Errors carry a class, a reason and a remedy.
package ecr

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"golang.org/x/sync/singleflight"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Options adds to what the SDK finds by itself. All fields may be empty.
type Options struct {
	Region   string
	Endpoint string // of the API, instead of AWS_ENDPOINT_URL_ECR and the region's own
	// Credentials are used instead of the SDK's chain.
	Credentials aws.CredentialsProvider
	HTTPClient  *http.Client
	// Around, if set, is put around the transport that carries the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Waited, if set, is told of each wait after a throttled call.
	Waited   func(time.Duration)
	Attempts int          // of one call before its error is returned; 0 means 5
	Log      *slog.Logger // gets a debug line a call
	// Observe, if set, is called after each operation with its last error.
	Observe func(operation string, err error, d time.Duration)
}

// Client is the ECR registry of one account and region. It is safe for
// concurrent use and should be shared, since it holds the token.
type Client struct {
	api     *sdk.Client
	log     *slog.Logger
	observe func(string, error, time.Duration)

	mu     sync.Mutex
	token  Token
	fresh  time.Time // until when token is handed out without asking again
	flight singleflight.Group
}

// New makes a client. It reads configuration; nothing is asked of ECR yet.
func New(ctx context.Context, o Options) (*Client, error) {
	load := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return &patient{retryer(cmp.Or(o.Attempts, 5)), o.Waited} })}
	if o.Region != "" {
		load = append(load, config.WithRegion(o.Region))
	}
	if o.Credentials != nil {
		load = append(load, config.WithCredentialsProvider(o.Credentials))
	}
	if o.HTTPClient != nil {
		load = append(load, config.WithHTTPClient(o.HTTPClient))
	} else {
		load = append(load, config.WithHTTPClient(trusting()))
	}
	cfg, err := config.LoadDefaultConfig(ctx, load...)
	if err != nil {
		return nil, fault.New(fault.Attention, "aws-configuration", "aws configuration: %w", err).
			WithRemedy("check AWS_PROFILE, AWS_REGION and the files that they lead to")
	}
	if cfg.Region == "" {
		return nil, fault.New(fault.Attention, "aws-configuration", "aws configuration: no region").
			WithRemedy("set AWS_REGION, for example to eu-north-1")
	}
	if o.Around != nil {
		cfg.HTTPClient = &http.Client{Transport: o.Around(door{cfg.HTTPClient}), CheckRedirect: never}
	}
	c := &Client{log: o.Log, observe: o.Observe}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	c.api = sdk.NewFromConfig(cfg, func(s *sdk.Options) {
		if o.Endpoint != "" {
			s.BaseEndpoint = aws.String(o.Endpoint)
		}
	})
	return c, nil
}

// door makes a transport of the SDK's client, which holds what AWS_CA_BUNDLE and
// the like ask for.
type door struct{ client aws.HTTPClient }

func (d door) RoundTrip(r *http.Request) (*http.Response, error) { return d.client.Do(r) }

// never follows a redirect, as the SDK's own client.
func never(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }

// trusting is the SDK's own client, but one that trusts the system's
// authorities (SSL_CERT_FILE) also where AWS_CA_BUNDLE names others: the SDK
// would replace them, and add to them if they are set.
func trusting() *awshttp.BuildableClient {
	pool, err := x509.SystemCertPool()
	if err != nil {
		return awshttp.NewBuildableClient()
	}
	return awshttp.NewBuildableClient().WithTransportOptions(func(t *http.Transport) { t.TLSClientConfig.RootCAs = pool.Clone() })
}

// misspelt is how ECR's pages spell ThrottlingException.
var misspelt = map[string]struct{}{"ThrottleException": {}}

// retryer differs from the SDK's own in two codes. A full quota
// (LimitExceededException) does not empty itself while we wait, and
// ThrottleException is how ECR's pages spell what the SDK knows as
// ThrottlingException.
func retryer(attempts int) *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = 8 * time.Second
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if _, ok := errors.AsType[*types.LimitExceededException](err); ok || distrusted(err) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			}),
			retry.RetryableErrorCode{Codes: misspelt},
		}, o.Retryables...)
		o.Throttles = append(o.Throttles, retry.ThrottleErrorCode{Codes: misspelt})
	})
}

var throttles = retry.IsErrorThrottles{
	retry.ThrottleErrorCode{Codes: retry.DefaultThrottleErrorCodes}, retry.ThrottleErrorCode{Codes: misspelt},
}

// patient tells of the waits after throttled calls.
type patient struct {
	*retry.Standard
	waited func(time.Duration)
}

// RetryDelay implements aws.Retryer.
func (p *patient) RetryDelay(attempt int, err error) (time.Duration, error) {
	d, e := p.Standard.RetryDelay(attempt, err)
	if p.waited != nil && e == nil && throttles.IsErrorThrottle(err).Bool() {
		p.waited(d)
	}
	return d, e
}

// call does what every operation needs around it: a log line, a measurement
// and the classification of its error.
func call[In, Out any](ctx context.Context, c *Client, operation string, f func(context.Context, *In, ...func(*sdk.Options)) (*Out, error), in *In) (*Out, error) {
	start := time.Now()
	out, err := f(ctx, in)
	d := time.Since(start)
	c.log.LogAttrs(ctx, slog.LevelDebug, "ecr call", slog.String("operation", operation), slog.Duration("duration", d), slog.Bool("ok", err == nil))
	if c.observe != nil {
		c.observe(operation, err, d)
	}
	if err != nil {
		return nil, classify(ctx, operation, err)
	}
	return out, nil
}

// chunks cuts a list into pieces of at most n.
func chunks[T any](list []T, n int) [][]T {
	var out [][]T
	for len(list) > n {
		out, list = append(out, list[:n]), list[n:]
	}
	if len(list) > 0 {
		out = append(out, list)
	}
	return out
}

func wrap(errp *error, format string, args ...any) {
	fault.Wrap(errp, "ecr: %s", fmt.Sprintf(format, args...))
}
