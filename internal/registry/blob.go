package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/opencontainers/go-digest"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// resumes is how often in a row a download is taken up again without a single
// byte having come.
const resumes = 4

// Blob opens a blob for reading. The reader takes up a cut download where it was
// cut, gives up on one that stands still, and verifies length and digest: the
// last bytes of a blob that is not what it is called are never handed out, so
// nobody can take it for complete.
func (c *Client) Blob(ctx context.Context, repository string, d Descriptor) (io.ReadCloser, error) {
	algorithm := digest.Digest(d.Digest).Algorithm()
	if !algorithm.Available() {
		return nil, fault.New(fault.Permanent, "digest-unknown", "blob %s: no such digest algorithm", d.Digest)
	}
	b := &blobReader{client: c, repository: repository, want: d, hash: algorithm.Hash()}
	b.ctx, b.abort = context.WithCancel(ctx)
	if err := b.open(); err != nil {
		b.abort()
		return nil, fmt.Errorf("reading blob %s: %w", join(repository, d.Digest), err)
	}
	return b, nil
}

// Holds tells whether the registry has a blob, of the size that is said.
func (c *Client) Holds(ctx context.Context, repository string, d Descriptor) (bool, error) {
	header, _, err := c.small(ctx, request{
		method: http.MethodHead, url: c.at(repository + "/blobs/" + d.Digest), route: "blobs", scope: pull(repository),
	}, 0)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("looking at blob %s: %w", join(repository, d.Digest), err)
	}
	return header.Get("Content-Length") == strconv.FormatInt(d.Size, 10), nil
}

// Small reads a whole blob of at most limit bytes, such as an image's config.
func (c *Client) Small(ctx context.Context, repository string, d Descriptor, limit int64) ([]byte, error) {
	if d.Size > limit {
		return nil, fault.New(fault.Permanent, "answer-too-large", "blob %s has %d bytes", d.Digest, d.Size)
	}
	r, err := c.Blob(ctx, repository, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, limit+1))
}

type blobReader struct {
	client     *Client
	ctx        context.Context // of the whole reading
	abort      context.CancelFunc
	repository string
	want       Descriptor
	hash       hash.Hash

	// mu is held while reading: a transport may go on reading a request's body
	// after the request has failed and its caller closes the body's source.
	mu       sync.Mutex
	offset   int64
	skip     int64 // of this answer, what has been read before
	failures int   // since the last byte

	body   io.ReadCloser
	cancel context.CancelCauseFunc
	err    error // what every further Read answers
}

// open sends the request for what is still missing, and repeats it as often as
// any small request.
func (b *blobReader) open() error {
	c := b.client
	return c.again(b.ctx, c.limiter(http.MethodGet, "blobs"), func() error {
		ctx, cancel := context.WithCancelCause(b.ctx)
		timer := time.AfterFunc(c.timeout, func() { cancel(errTimeout) })
		r := request{method: http.MethodGet, url: c.at(b.repository + "/blobs/" + b.want.Digest), route: "blobs", scope: pull(b.repository), header: http.Header{"Accept-Encoding": {"identity"}}}
		if b.offset > 0 {
			r.header.Set("Range", fmt.Sprintf("bytes=%d-", b.offset))
		}
		resp, err := c.send(ctx, r)
		if !timer.Stop() && b.ctx.Err() == nil && err != nil {
			err = fault.New(fault.Transient, c.reason("unavailable"), "%s: no answer within %v", c.name, c.timeout)
		}
		if err != nil {
			cancel(nil)
			return err
		}
		b.body, b.cancel = resp.Body, cancel
		// A storage that knows no ranges, or not this one, sends more than was
		// asked for: what is there already is read over.
		b.skip = b.offset - begins(resp, b.offset)
		switch {
		case b.skip < 0:
			b.shut()
			return b.corrupt(fmt.Sprintf("is answered with %q instead of from byte %d", resp.Header.Get("Content-Range"), b.offset))
		case b.offset == 0 && resp.ContentLength >= 0 && resp.ContentLength != b.want.Size:
			b.shut()
			return b.corrupt(fmt.Sprintf("has %d bytes instead of %d", resp.ContentLength, b.want.Size))
		}
		return nil
	})
}

func (b *blobReader) Read(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(p) == 0 {
		return 0, nil
	}
	for b.err == nil {
		if b.offset == b.want.Size {
			b.err = b.finish()
			break
		}
		n, err := b.read(p[:min(int64(len(p)), cmp.Or(b.skip, b.want.Size-b.offset))])
		if b.skip > 0 {
			b.skip -= int64(n)
			n = 0
		}
		if n > 0 {
			b.failures = 0
			b.hash.Write(p[:n])
			b.offset += int64(n)
			if b.offset == b.want.Size && digest.NewDigest(digest.Digest(b.want.Digest).Algorithm(), b.hash) != digest.Digest(b.want.Digest) {
				b.err = b.corrupt("hashes to something else")
				return 0, b.err
			}
			return n, nil
		}
		if err == nil {
			continue
		}
		b.shut()
		if b.ctx.Err() != nil {
			b.err = context.Cause(b.ctx)
			break
		}
		if b.failures++; b.failures > resumes {
			b.err = fault.New(fault.Transient, b.client.reason("unavailable"), "%s: blob %s was cut at byte %d of %d, %d times: %w",
				b.client.name, b.want.Digest, b.offset, b.want.Size, b.failures, err)
			break
		}
		b.err = b.open()
	}
	return 0, b.err
}

// begins returns the byte that an answer begins with; one that does not say so
// begins where it was asked to.
func begins(resp *http.Response, asked int64) (first int64) {
	if resp.StatusCode != http.StatusPartialContent {
		return 0
	}
	if n, err := fmt.Sscanf(resp.Header.Get("Content-Range"), "bytes %d-", &first); n != 1 || err != nil {
		return asked
	}
	return first
}

// read is one read that must not stand still.
func (b *blobReader) read(p []byte) (int, error) {
	cancel := b.cancel
	timer := time.AfterFunc(b.client.stall, func() { cancel(ErrStalled) })
	defer timer.Stop()
	n, err := b.body.Read(p)
	if errors.Is(err, io.EOF) && n == 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// finish ends the stream. An empty blob is verified here; any other has been
// before its last byte was handed out, and what a registry may send beyond the
// size in the manifest is not read.
func (b *blobReader) finish() error {
	if b.want.Size == 0 && digest.NewDigest(digest.Digest(b.want.Digest).Algorithm(), b.hash) != digest.Digest(b.want.Digest) {
		return b.corrupt("is empty")
	}
	return io.EOF
}

func (b *blobReader) corrupt(how string) error {
	return fault.New(fault.Transient, "blob-corrupt", "%s: %w: blob %s %s", b.client.name, ErrCorrupt, b.want.Digest, how).
		WithRemedy("the old registry holds or sends damaged content; build the image again")
}

func (b *blobReader) shut() {
	if b.body != nil {
		b.body.Close()
		b.cancel(nil)
		b.body = nil
	}
}

// Close gives the connection back.
func (b *blobReader) Close() error {
	b.abort() // ends a Read in progress
	b.mu.Lock()
	defer b.mu.Unlock()
	b.shut()
	if b.err == nil {
		b.err = errors.New("read after close")
	}
	return nil
}
