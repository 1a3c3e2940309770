// Package cluster looks at what runs in a Kubernetes namespace.
//
// It is a thin, reading room around client-go: workloads with the images they
// name, the digests that their pods really run, and whether their rollout is
// complete. It changes nothing and needs only the rights to list workloads and
// pods. What the findings mean is decided in internal/deploy.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/flowcontrol"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// Reasons of classified errors. They are stored.
const (
	ReasonUnavailable  = "cluster-unavailable"   // transient
	ReasonTokenInvalid = "cluster-token-invalid" // permanent: 401
	ReasonNeedsAccess  = "cluster-needs-access"  // attention: 403
)

const (
	timeout  = 30 * time.Second // of one request
	pageSize = 500
)

// Client is a connection to one cluster. It is safe for concurrent use.
type Client struct {
	api kubernetes.Interface
}

// Options add to what the kubeconfig says. All fields may be empty.
type Options struct {
	// Around, if set, is put around the transport that carries the requests.
	Around func(http.RoundTripper) http.RoundTripper
	// Waited, if set, is told of each wait by which our own pace held a request back.
	Waited func(time.Duration)
}

// New returns a client for the current context of a kubeconfig file. It does
// not talk to the cluster yet.
func New(kubeconfigPath string, o Options) (*Client, error) {
	if kubeconfigPath == "" {
		return nil, errors.New("cluster: no kubeconfig given")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfigPath)
	if err != nil {
		return nil, fmt.Errorf("cluster: reading %s: %w", kubeconfigPath, err)
	}
	config.Timeout = timeout
	config.UserAgent = "ecrferry"
	// Many migrations are verified at once; the default of 5 a second would
	// make them wait for each other.
	config.RateLimiter = pace{flowcontrol.NewTokenBucketRateLimiter(30, 60), o.Waited}
	if o.Around != nil {
		config.Wrap(o.Around)
	}
	config.WarningHandler = rest.NoWarnings{}
	api, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return &Client{api: api}, nil
}

// pace is a limiter that tells how long it held back.
type pace struct {
	flowcontrol.RateLimiter
	waited func(time.Duration)
}

// Wait implements flowcontrol.RateLimiter.
func (p pace) Wait(ctx context.Context) error {
	start := time.Now()
	err := p.RateLimiter.Wait(ctx)
	if d := time.Since(start); p.waited != nil && d > time.Millisecond {
		p.waited(d)
	}
	return err
}

// list reads a collection to its end in pages.
func list[L metav1.ListInterface, T any](ctx context.Context, what, namespace string, get func(context.Context, metav1.ListOptions) (L, error), items func(L) []T) ([]T, error) {
	var all []T
	opt := metav1.ListOptions{Limit: pageSize}
	for {
		l, err := get(ctx, opt)
		if err != nil {
			return nil, classify(ctx, fmt.Sprintf("listing the %s of namespace %s", what, namespace), err)
		}
		all = append(all, items(l)...)
		if opt.Continue = l.GetContinue(); opt.Continue == "" {
			return all, nil
		}
	}
}

// classify makes the error of a failed request.
func classify(ctx context.Context, doing string, err error) error {
	if cause := ctx.Err(); cause != nil {
		return fmt.Errorf("%s: %w", doing, cause)
	}
	switch {
	case apierrors.IsUnauthorized(err):
		return fault.New(fault.Permanent, ReasonTokenInvalid, "%s: %w", doing, err).
			WithRemedy("give the worker a kubeconfig with valid credentials")
	case apierrors.IsForbidden(err):
		return fault.New(fault.Attention, ReasonNeedsAccess, "%s: %w", doing, err).
			WithRemedy("allow the kubeconfig's account to list deployments, statefulsets, daemonsets, replicasets, cronjobs, jobs and pods of the namespace")
	}
	e := fault.New(fault.Transient, ReasonUnavailable, "%s: %w", doing, err)
	if seconds, ok := apierrors.SuggestsClientDelay(err); ok {
		e = e.WithRetryAfter(time.Duration(seconds) * time.Second)
	}
	return e
}
