package registry

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// PushBlob writes a blob: one POST, then one PUT with the whole body. There is
// no chunked upload, also not as a fall-back: ECR acknowledges chunks that it
// then drops (https://github.com/aws/containers-roadmap/issues/2831).
//
// The body is read once. On a transient error the caller opens its source again
// and calls again.
func (c *Client) PushBlob(ctx context.Context, repository string, d Descriptor, body io.Reader) error {
	u, err := c.StartUpload(ctx, repository, d, "")
	if err != nil {
		return err
	}
	return u.Put(ctx, body)
}

// Upload is a place for one blob, which the registry keeps for a while. It may
// be forgotten.
type Upload struct {
	client     *Client
	repository string
	blob       Descriptor
	location   *url.URL
	// Mounted: the blob is there already, taken over from another repository.
	Mounted bool
}

// StartUpload asks for a place for a blob. That can be done while its source is
// still being opened. With from, the registry is asked to take the blob over
// from that repository of its own; where it does not, it gives a place as ever.
func (c *Client) StartUpload(ctx context.Context, repository string, d Descriptor, from string) (u *Upload, err error) {
	defer fault.Wrap(&err, "writing blob %s", join(repository, d.Digest))
	at := c.at(repository + "/blobs/uploads/")
	if from != "" {
		at = withQuery(withQuery(at, "mount", d.Digest), "from", from)
	}
	header, _, err := c.small(ctx, request{
		method: http.MethodPost, url: at, route: "blobs/uploads", scope: push(repository),
	}, 1<<20)
	if err != nil {
		return nil, err
	}
	if from != "" && strings.HasSuffix(strings.TrimSuffix(header.Get("Location"), "/"), "/blobs/"+d.Digest) {
		return &Upload{client: c, repository: repository, blob: d, Mounted: true}, nil
	}
	location, err := c.base.Parse(header.Get("Location"))
	if err != nil || header.Get("Location") == "" {
		// ECR is said to answer so when the repository is not to be written.
		return nil, fault.New(fault.Transient, c.reason("unavailable"), "%s: the upload was accepted without a place to put it", c.name)
	}
	if location.Scheme != c.base.Scheme && location.Scheme != "https" || isLocal(location.Hostname()) && !isLocal(c.base.Hostname()) {
		return nil, fault.New(fault.Attention, "registry-redirect", "%s: the upload is to go to %s, which is not a safe address", c.name, location.Host)
	}

	return &Upload{client: c, repository: repository, blob: d, location: location}, nil
}

// Put sends the whole blob. If the error is a pace.Refused, the blob was one
// request too many, and it is worth to open it again.
func (u *Upload) Put(ctx context.Context, body io.Reader) (err error) {
	defer fault.Wrap(&err, "writing blob %s", join(u.repository, u.blob.Digest))
	return u.client.limiter(http.MethodPut, "blobs/uploads/put").Once(ctx, func() error { return u.put(ctx, body) })
}

func (u *Upload) put(ctx context.Context, body io.Reader) error {
	c, d, repository := u.client, u.blob, u.repository
	up, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := newWatched(body, c.stall, func() { cancel(ErrStalled) })
	defer w.stop()
	r := request{
		method: http.MethodPut, url: closing(u.location, d.Digest), route: "blobs/uploads/put", scope: push(repository),
		header: http.Header{"Content-Type": {"application/octet-stream"}}, stream: w, length: d.Size,
	}
	if d.Size == 0 {
		r.stream = nil // a stream of length 0 would be sent as one of unknown length
	}
	resp, err := c.send(up, r)
	// Whoever feeds the body knows better why it ended than the transport.
	if source := w.failure(); source != nil {
		if err == nil {
			resp.Body.Close()
		}
		return source
	}
	if err != nil {
		if ctx.Err() == nil && errors.Is(context.Cause(up), ErrStalled) {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: %w for %v", c.name, ErrStalled, c.stall)
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated && resp.StatusCode != http.StatusNoContent {
		return fault.New(fault.Transient, c.reason("unavailable"), "%s: the blob was answered with %s instead of 201", c.name, resp.Status)
	}
	return nil
}

// closing adds the digest to an upload's address and leaves what else is in its
// query as it came: that may be signed, or not be of the form key=value.
func closing(location *url.URL, digest string) *url.URL {
	u := *location
	if u.RawQuery != "" {
		u.RawQuery += "&"
	}
	u.RawQuery += "digest=" + url.QueryEscape(digest)
	return &u
}

// watched calls stalled when the reader of a body has not come back for more,
// or when the answer has not come, for too long. The time that the body's own
// source needs does not count: it has a watch of its own.
type watched struct {
	body  io.Reader
	limit time.Duration
	timer *time.Timer

	mu   sync.Mutex
	fail error
}

func newWatched(body io.Reader, limit time.Duration, stalled func()) *watched {
	return &watched{body: body, limit: limit, timer: time.AfterFunc(limit, stalled)}
}

func (w *watched) Read(p []byte) (int, error) {
	w.timer.Stop()
	n, err := w.body.Read(p)
	w.timer.Reset(w.limit)
	if err != nil && !errors.Is(err, io.EOF) {
		w.mu.Lock()
		w.fail = err
		w.mu.Unlock()
	}
	return n, err
}

func (w *watched) failure() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.fail
}

func (w *watched) stop() { w.timer.Stop() }
