package copy

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Tries of one blob. Each reads it from the start, so there are few; short
// blips on the way are repeated within package registry.
const (
	blobTries    = 4
	corruptTries = 2
)

// large is where a blob may take so long that small images should not have to
// wait behind it: at most half of the streams carry such blobs.
const large = 64 << 20

// transfer is a blob on its way, shared by all manifests that need it.
type transfer struct {
	blob Blob
	done chan struct{}
	err  error
}

// stream starts the goroutines that move the missing blobs in the plan's order.
func (r *run) stream(ctx context.Context) {
	var small, big []*transfer
	for _, b := range r.plan.Blobs {
		if b.There {
			continue
		}
		if b.Size >= large {
			big = append(big, r.blobs[b.Digest])
		} else {
			small = append(small, r.blobs[b.Digest])
		}
	}
	smalls, bigs := queue(small), queue(big)
	work := func(queues ...<-chan *transfer) {
		for _, q := range queues {
			r.work(ctx, q)
		}
	}
	n := min(r.engine.streams, len(small)+len(big))
	for i := range n {
		// Half may only take large blobs when nothing small is left to start.
		if i < n/2 || n == 1 {
			r.wait.Go(func() { work(bigs, smalls) })
		} else {
			r.wait.Go(func() { work(smalls) })
		}
	}
}

// quick is up to which size a blob costs round trips rather than time: while
// one is sent, the next is opened at both ends.
const quick = 1 << 20

// work moves the blobs of a queue, one after the other.
func (r *run) work(ctx context.Context, q <-chan *transfer) {
	next := func(open bool) (*transfer, *opening) {
		t := <-q
		if !open || t == nil || t.blob.Size > quick {
			return t, nil
		}
		return t, r.open(ctx, t.blob)
	}
	t, o := next(false)
	for t != nil {
		var following *transfer
		var opened *opening
		var ahead sync.WaitGroup
		eager := t.blob.Size <= quick // else what waits is better taken by others
		if t.err = r.slot(ctx); t.err == nil {
			if eager {
				ahead.Go(func() { following, opened = next(true) })
			}
			t.err = r.move(ctx, t.blob, o)
			<-r.engine.slots
		} else {
			eager = false
		}
		o.close()
		close(t.done)
		r.strike(t.err)
		if ahead.Wait(); !eager {
			following, opened = next(false)
		}
		t, o = following, opened
	}
}

// slot waits for one of the engine's streams.
func (r *run) slot(ctx context.Context) error {
	select {
	case r.engine.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

func queue(list []*transfer) <-chan *transfer {
	c := make(chan *transfer, len(list))
	for _, t := range list {
		c <- t
	}
	close(c)
	return c
}

// move copies one blob from the old registry to the target, through memory only.
// The first try goes on with what has been opened already, if anything.
func (r *run) move(ctx context.Context, b Blob, o *opening) error {
	var refused time.Time // since when
	for try := 1; ; try++ {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if o == nil {
			o = r.open(ctx, b)
		}
		err := r.send(ctx, b, o)
		o.close()
		o = nil
		if errors.Is(err, registry.ErrThrottled) && fault.RetryAfter(err) <= longestHold {
			// The pacer knows how long to wait, and refusals are no failures.
			if refused.IsZero() {
				refused = time.Now()
			}
			if r.meter.fruitless(refused) < r.engine.patience {
				try--
				continue
			}
		}
		switch {
		case err == nil || ctx.Err() != nil:
			return err
		case errors.Is(err, registry.ErrCorrupt) && try >= corruptTries:
			return permanent(err)
		case errors.Is(err, registry.ErrNoLogin) || fault.ClassOf(err) != fault.Transient || try >= blobTries || fault.RetryAfter(err) > longestHold:
			return err
		}
		r.engine.log.Debug("blob is tried again", "digest", b.Digest, "try", try, "error", err)
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

// open asks for the place at the target while the source opens: of the three
// round trips that a small blob costs, two go side by side.
func (r *run) open(ctx context.Context, b Blob) *opening {
	o := &opening{}
	if o.err = r.engine.uploads.Wait(ctx); o.err != nil {
		return o
	}
	d := b.descriptor()
	if o.mounted, o.err = r.mount(ctx, d); o.mounted || o.err != nil {
		return o
	}
	var place error
	var wait sync.WaitGroup
	wait.Go(func() { o.upload, place = r.engine.target.StartUpload(ctx, r.plan.Target, d, "") })
	o.body, o.err = r.engine.source.Blob(ctx, b.Repository, d)
	wait.Wait()
	if o.err != nil {
		if errors.Is(o.err, registry.ErrThrottled) { // not by ECR
			o.err = pauseThen(ctx, o.err)
		}
		return o
	}
	if o.err = place; place != nil {
		r.engine.uploads.Report(errors.Is(place, registry.ErrThrottled), fault.RetryAfter(place))
	}
	return o
}

// send brings an opened blob over.
func (r *run) send(ctx context.Context, b Blob, o *opening) error {
	if o.mounted || o.err != nil {
		return o.err
	}
	count := &counted{Reader: o.body, meter: &r.meter}
	err := o.upload.Put(ctx, count)
	r.engine.uploads.Report(errors.Is(err, registry.ErrThrottled), fault.RetryAfter(err))
	if err != nil {
		count.undo()
		return err
	}
	r.meter.taken(nil)
	r.meter.blobs.Add(1)
	r.engine.moved(count.n)
	r.engine.homes.note(b.Digest, r.plan.Target)
	return nil
}

// mount takes a blob over from another repository of ours, where that is
// possible. A refusal costs nothing but the request.
func (r *run) mount(ctx context.Context, d registry.Descriptor) (done bool, err error) {
	from := r.engine.home(ctx, d.Digest, r.plan.Target)
	if from == "" {
		return false, nil
	}
	u, err := r.engine.target.StartUpload(ctx, r.plan.Target, d, from)
	r.engine.uploads.Report(errors.Is(err, registry.ErrThrottled), fault.RetryAfter(err))
	if err != nil || !u.Mounted {
		return false, err
	}
	r.meter.blobs.Add(1)
	r.meter.bytes.Add(d.Size)
	return true, nil
}

// pauseThen waits as long as an error asks for, and gives it back.
func pauseThen(ctx context.Context, err error) error {
	if e := pause(ctx, 1, err); e != nil {
		return e
	}
	return err
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
			if err := r.move(ctx, r.blobs[d].blob, nil); err != nil {
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
