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
	"github.com/aws/aws-sdk-go-v2/aws/ratelimit"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/aws-sdk-go-v2/config"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go/logging"
	"golang.org/x/sync/singleflight"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
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
	// Limits hold the calls back. They are those of the registry door too: give it
	// the client's own, see Client.Limits, if none are given here.
	Limits   *pace.Limits
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
	limits  *pace.Limits

	mu     sync.Mutex
	token  Token
	fresh  time.Time // until when token is handed out without asking again
	flight singleflight.Group
}

// New makes a client. It reads configuration; nothing is asked of ECR yet.
func New(ctx context.Context, o Options) (*Client, error) {
	load := []func(*config.LoadOptions) error{config.WithRetryer(func() aws.Retryer { return retryer(cmp.Or(o.Attempts, 5)) })}
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
	// What the SDK would write to the standard error by itself is in its errors too.
	load = append(load, config.WithLogger(logging.Nop{}))
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
	c := &Client{log: o.Log, observe: o.Observe, limits: o.Limits}
	if c.limits == nil {
		c.limits = pace.New(pace.ECR())
	}
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

// retryer leaves the SDK the short blips: lost connections and 5xx. Refusals for
// too many requests are for our limiters, which all callers share, and so is the
// SDK's own limit of repetitions. A full quota (LimitExceededException) does not
// empty itself while we wait.
func retryer(attempts int) *retry.Standard {
	return retry.NewStandard(func(o *retry.StandardOptions) {
		o.MaxAttempts = attempts
		o.MaxBackoff = 8 * time.Second
		o.RateLimiter = ratelimit.None
		o.Retryables = append([]retry.IsErrorRetryable{
			retry.IsErrorRetryableFunc(func(err error) aws.Ternary {
				if _, ok := errors.AsType[*types.LimitExceededException](err); ok || distrusted(err) || throttled(err) {
					return aws.FalseTernary
				}
				return aws.UnknownTernary
			}),
		}, o.Retryables...)
	})
}

// call does what every operation needs around it: a turn, a log line, a
// measurement and the classification of its error.
func call[In, Out any](ctx context.Context, c *Client, operation string, f func(context.Context, *In, ...func(*sdk.Options)) (*Out, error), in *In) (out *Out, err error) {
	err = c.limits.Of(operation).Do(ctx, func() error {
		pace.Sent(ctx, operation)
		start := time.Now()
		out, err = f(ctx, in)
		d := time.Since(start)
		c.log.LogAttrs(ctx, slog.LevelDebug, "ecr call", slog.String("operation", operation), slog.Duration("duration", d), slog.Bool("ok", err == nil))
		if c.observe != nil {
			c.observe(operation, err, d)
		}
		if err != nil {
			return classify(ctx, operation, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Limits are those of the account, which its registry door shares.
func (c *Client) Limits() *pace.Limits { return c.limits }

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
