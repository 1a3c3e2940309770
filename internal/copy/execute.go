package copy

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Execute copies what a plan says and verifies it. Each image that reaches
// another state is given to report, one at a time; report may be nil.
//
// The error says that trying again may help, or that a human has to act, or
// that ctx ended. What an image itself is to blame for is only its state. After
// an error plan again: whatever arrived will be seen as present.
func (e *Engine) Execute(ctx context.Context, plan Plan, report func(Image)) error {
	return e.Watch(ctx, plan, report, nil)
}

// Watch is Execute, and tells progress how far it is: at the start, then about
// once a second, and at the end. Calls do not overlap; progress may be nil.
func (e *Engine) Watch(ctx context.Context, plan Plan, report func(Image), progress func(Progress)) (err error) {
	defer fault.Wrap(&err, "copying to %s", plan.Target)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	r := &run{
		engine: e, plan: plan, report: report, cancel: cancel,
		images: slices.Clone(plan.Images), rows: make(map[string][]int), nodes: make(map[string]*node, len(plan.Manifests)),
	}
	if m := plan.mover; m != nil && !m.taken.Swap(true) {
		r.mover = m
		m.join(ctx, cancel)
	} else {
		r.mover = newMover(ctx, e, plan.Target)
		r.mover.end = cancel
		r.mover.begin(plan.Blobs)
	}
	r.meter = &r.mover.meter
	for i, image := range r.images {
		r.rows[image.SourceDigest] = append(r.rows[image.SourceDigest], i)
	}
	start := time.Now()
	stop := r.watch(progress)
	defer stop()
	r.start(ctx)
	r.wait.Wait()
	r.mover.wait.Wait()
	if ctx.Err() == nil && r.copied > 0 {
		if err := r.verify(ctx); err != nil {
			return err
		}
	}
	e.log.Info("copy ended", slog.String("target", plan.Target), slog.Int("copied", r.copied), slog.Int("rows", len(r.images)),
		slog.Int64("bytes", plan.Forecast.Bytes), slog.Duration("duration", time.Since(start)))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if r.err != nil {
		return r.err
	}
	return plan.trouble
}

// run is one call of Execute.
type run struct {
	engine *Engine
	plan   Plan
	cancel context.CancelCauseFunc
	nodes  map[string]*node // by manifest digest
	mover  *mover
	wait   sync.WaitGroup
	rows   map[string][]int // places in images, by source digest
	meter  *meter

	mu     sync.Mutex // guards what follows, and serialises report
	images []Image
	report func(Image)
	copied int
	err    error // the first that is worth another try
}

// node is a manifest on its way.
type node struct {
	Manifest
	arrived chan struct{} // closed when it is at the target, or will not be
	done    chan struct{} // closed when its tags are too, or will not be
	err     error         // why it is not at the target
	once    sync.Once
}

// arrive tells those who wait for the manifest itself.
func (n *node) arrive(there bool, err error) {
	n.once.Do(func() {
		if !there {
			n.err = err // what waits for this manifest does not mind a tag
		}
		close(n.arrived)
	})
}

// start sets a goroutine going for each manifest, which waits for what it needs.
func (r *run) start(ctx context.Context) {
	for _, m := range r.plan.Manifests {
		r.nodes[m.Digest] = &node{Manifest: m, arrived: make(chan struct{}), done: make(chan struct{})}
	}
	for _, m := range r.plan.Manifests {
		n := r.nodes[m.Digest]
		r.wait.Go(func() { r.write(ctx, n) })
	}
}

// write brings one manifest to the target, under all its tags. One with referrers
// is written by digest first: they follow it, and its tags follow them.
func (r *run) write(ctx context.Context, n *node) {
	err := r.needs(ctx, n)
	there, began := n.There, time.Now()
	bare := func() {
		_, _, err = r.put(ctx, n, n.Digest)
		r.mover.strike(err, began)
		there = err == nil
	}
	if err == nil && len(n.Referrers) > 0 {
		if !there {
			bare()
		}
		n.arrive(there, err)
		if err == nil {
			err = r.referrers(ctx, n)
		}
	}
	for _, tag := range n.Tags {
		if err != nil {
			break
		}
		state, held, failure := r.put(ctx, n, tag)
		if failure != nil {
			err = failure
			r.mover.strike(err, began)
			break
		}
		there = there || state == Copied || state == Present
		r.settle(n.Digest, tag, state, held)
	}
	// A child has no tag, and one whose tags were all taken is still needed.
	if err == nil && !there {
		bare()
	}
	if err == nil {
		r.settle(n.Digest, "", Copied, "")
	}
	n.arrive(there, err)
	close(n.done)
	if err != nil {
		r.fail(ctx, n.Digest, err)
	}
}

// needs waits until everything that the manifest refers to is at the target.
func (r *run) needs(ctx context.Context, n *node) error {
	for _, d := range n.Blobs {
		t := r.mover.transfer(d)
		if err := closed(ctx, t.done); err != nil {
			return err
		}
		if t.err != nil {
			return t.err
		}
	}
	if !n.There {
		for _, d := range n.Children {
			if child := r.nodes[d]; child != nil {
				if err := child.follow(ctx, child.done); err != nil {
					return err
				}
			}
		}
	}
	for _, d := range n.After {
		if subject := r.nodes[d]; subject != nil {
			if err := subject.follow(ctx, subject.arrived); err != nil {
				return err
			}
		}
	}
	return ctx.Err()
}

// follow waits for a manifest, and gives the reason why it is not at the target.
func (n *node) follow(ctx context.Context, until <-chan struct{}) error {
	if err := closed(ctx, until); err != nil {
		return err
	}
	if n.err != nil {
		return fmt.Errorf("%s was not written: %w", n.Digest, n.err)
	}
	return nil
}

// referrers waits until what refers to the manifest is at the target, or will not
// be: one that is lost or damaged at the source holds no image back.
func (r *run) referrers(ctx context.Context, n *node) error {
	for _, d := range n.Referrers {
		if referrer := r.nodes[d]; referrer != nil {
			if err := closed(ctx, referrer.done); err != nil {
				return err
			}
		}
	}
	return nil
}

func closed(ctx context.Context, until <-chan struct{}) error {
	select {
	case <-until:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// settle gives the rows of a digest and tag their state. Rows without a tag
// count as copied with the first time their digest is written.
func (r *run) settle(digest, tag string, state State, held string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, i := range r.rows[digest] {
		image := &r.images[i]
		if image.State != Planned || image.TargetTag != tag {
			continue
		}
		image.State = state
		switch state {
		case Copied:
			r.copied++
		case Conflict:
			image.TargetDigest = held
			image.Reason = fmt.Sprintf("the target tag holds %s, the old registry has %s", held, digest)
		}
		r.tell(*image)
	}
}

// tell reports a row; the caller holds mu.
func (r *run) tell(image Image) {
	if r.report != nil {
		r.report(image)
	}
}

// fail gives the open rows of a digest up. An error that is not about the image
// alone ends the run when a human has to act, and else is kept for the end.
func (r *run) fail(ctx context.Context, digest string, err error) {
	if ctx.Err() != nil {
		return // the rows stay planned
	}
	class := fault.ClassOf(err)
	if class == fault.Attention && !refused(err) {
		r.cancel(err)
		return
	}
	state := Failed
	if registry.IsGone(err) {
		state = Invalid // damaged at the source: no later try will be better
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if class != fault.Permanent && state == Failed && (r.err == nil || refused(r.err)) {
		r.err = err
	}
	for _, i := range r.rows[digest] {
		image := &r.images[i]
		if image.State == Planned {
			image.State, image.Reason = state, reason(err)
			r.tell(*image)
		}
	}
}

// reason is an error's text with its code in front, for a row.
func reason(err error) string {
	if code := fault.ReasonOf(err); code != "" {
		return code + ": " + err.Error()
	}
	return err.Error()
}

// permanent makes an error final that has been tried often enough.
func permanent(err error) error {
	if f, ok := errors.AsType[*fault.Error](err); ok {
		return fault.New(fault.Permanent, f.Reason, "%w", err).WithRemedy(f.Remedy)
	}
	return err
}

// longestPause is how long a run sits out what a registry in trouble asks for.
// Whoever would have to wait longer can give up its place meanwhile.
const longestPause = 30 * time.Second

// passing tells whether an error may be over at the next try. Who has no turn and
// who has no login has been waited for already.
func passing(err error) bool {
	return fault.ClassOf(err) == fault.Transient && fault.RetryAfter(err) <= longestPause &&
		!errors.Is(err, pace.ErrThrottled) && !errors.Is(err, registry.ErrNoLogin)
}

// pause waits between tries, longer each time.
func pause(ctx context.Context, try int, err error) error {
	d := max(250*time.Millisecond<<min(try, 6), fault.RetryAfter(err))
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(d):
		return nil
	}
}
