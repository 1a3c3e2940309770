package copy

import (
	"context"
	"errors"
	"io"
	"sync"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Tries of one blob. Each reads it from the start, so there are few; short
// blips on the way are repeated within package registry.
const (
	blobTries    = 4
	corruptTries = 2
)

// staleLogins is how often one blob may be refused for a login that expired
// while it was sent. That is no failure of the blob's: it says nothing but that
// others had the same login. Without a bound, a registry that takes no login
// for the last request of an upload would be asked for ever.
const staleLogins = 16

// large is where a blob may take so long that small images should not have to
// wait behind it: at most half of the streams carry such blobs.
const large = 64 << 20

// quick is up to which size a blob costs round trips rather than time: while
// one is sent, the next is opened at both ends.
const quick = 1 << 20

// move copies one blob from the old registry to the target, through memory only.
// The first try goes on with what has been opened already, if anything.
func (m *mover) move(ctx context.Context, b Blob, o *opening) error {
	stale := 0
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if o == nil {
			o = m.open(ctx, b)
		}
		err := m.send(ctx, b, o)
		o.close()
		o = nil
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case pace.IsRefused(err):
			// Its limiter knows how long to wait and for how often, and refusals are
			// no failures.
			try--
			continue
		case errors.Is(err, registry.ErrStale) && stale < staleLogins:
			// A fresh login is at hand, so there is nothing to wait for.
			stale++
			try--
			continue
		case errors.Is(err, registry.ErrCorrupt) && try >= corruptTries:
			return permanent(err)
		case !passing(err) || try >= blobTries:
			return err
		}
		m.engine.log.Debug("blob is tried again", "digest", b.Digest, "try", try, "error", err)
		if err := pause(ctx, try, err); err != nil {
			return err
		}
	}
}

// opening is a blob that is open for reading at the source, and has a place at
// the target.
type opening struct {
	body    io.ReadCloser
	upload  *registry.Upload
	mounted bool
	err     error
}

func (o *opening) close() {
	if o != nil && o.body != nil {
		o.body.Close()
	}
}

// sourced is an error of the old registry.
type sourced struct{ error }

func (s *sourced) Unwrap() error { return s.error }

// refused tells whether the old registry gives a blob away to nobody of us: a
// human has to act, but for the images that need it alone. What the target
// refuses for one it refuses for all.
func refused(err error) bool {
	_, source := errors.AsType[*sourced](err)
	return source && fault.ClassOf(err) == fault.Attention
}

// open asks for the place at the target while the source opens: of the three
// round trips that a small blob costs, two go side by side.
func (m *mover) open(ctx context.Context, b Blob) *opening {
	o := &opening{}
	d := b.descriptor()
	if o.mounted, o.err = m.mount(ctx, d); o.mounted || o.err != nil {
		return o
	}
	var place error
	var wait sync.WaitGroup
	wait.Go(func() { o.upload, place = m.engine.target.StartUpload(ctx, m.target, d, "") })
	o.body, o.err = m.engine.source.Blob(ctx, b.Repository, d)
	wait.Wait()
	if o.err != nil {
		o.err = &sourced{o.err}
	} else {
		o.err = place
	}
	return o
}

// send brings an opened blob over.
func (m *mover) send(ctx context.Context, b Blob, o *opening) error {
	if o.mounted || o.err != nil {
		return o.err
	}
	count := &counted{Reader: o.body, meter: &m.meter}
	err := o.upload.Put(ctx, count)
	sent := count.end()
	if err != nil {
		m.meter.bytes.Add(-sent)
		return err
	}
	m.meter.taken(nil)
	m.meter.blobs.Add(1)
	m.engine.moved(sent)
	m.engine.homes.note(b.Digest, m.target)
	return nil
}

// mount takes a blob over from another repository of ours, where that is
// possible. A refusal costs nothing but the request.
func (m *mover) mount(ctx context.Context, d registry.Descriptor) (done bool, err error) {
	from := m.engine.home(m.tally.Of(ctx), d.Digest, m.target)
	if from == "" {
		return false, nil
	}
	u, err := m.engine.target.StartUpload(ctx, m.target, d, from)
	if err != nil || !u.Mounted {
		return false, err
	}
	m.meter.blobs.Add(1)
	m.meter.bytes.Add(d.Size)
	return true, nil
}

// heal sends again what the target says it does not have, although it was seen
// there: blobs that no manifest refers to yet may be cleaned up at any time.
func (r *run) heal(ctx context.Context, n *node) error {
	there, err := r.engine.ecr.Layers(ctx, r.plan.Target, n.Blobs)
	if err != nil {
		return err
	}
	for _, d := range n.Blobs {
		if !there[d] {
			if err := r.mover.move(ctx, r.mover.transfer(d).blob, nil); err != nil {
				return err
			}
		}
	}
	for _, d := range n.Children {
		if child := r.nodes[d]; child != nil {
			if err := r.heal(ctx, child); err != nil {
				return err
			}
			if err := r.post(ctx, child, child.Digest); err != nil && !errors.Is(err, registry.ErrTagExists) {
				return err
			}
		}
	}
	return nil
}
