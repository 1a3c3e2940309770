package copy

import (
	"context"
	"fmt"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// A list of pairs may hold thousands of images of many repositories. What the
// old registry does not give of one of them, by a refusal or because its storage
// cannot read it any more, must not keep the others from being copied: the row
// is failed, and the error comes back when the others are done (Plan.Err).

// excuses is what a plan could not find out, of requests for pairs only.
type excuses struct {
	mu      sync.Mutex
	first   error            // the first worth another try, or else the first
	denied  map[string]error // by repository
	outages int              // in a row
	down    error            // the old registry does not answer
	got     time.Time        // when a row was last read
}

// known returns why there is no use in asking for anything of a repository.
func (x *excuses) known(repository string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.down != nil {
		return x.down
	}
	return x.denied[repository]
}

// heard takes note of an answer.
func (x *excuses) heard() {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.got = time.Now()
}

// note takes note of an error of a request that began then. Several in a row
// without a row being read beside them are an outage: the others would only
// wait for the same.
func (x *excuses) note(repository string, err error, began time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	class := fault.ClassOf(err)
	if x.first == nil || class == fault.Transient && fault.ClassOf(x.first) != fault.Transient {
		x.first = err
	}
	switch {
	case class == fault.Attention:
		if x.denied == nil {
			x.denied = make(map[string]error)
		}
		x.denied[repository] = err
	case class == fault.Transient:
		if x.outages++; x.got.After(began) {
			x.outages = 0
		}
		if x.outages >= outage {
			x.down = err
		}
	}
}

// excused does act for a row, unless it is known to be of no use. In a request
// for pairs an error fails the row; in any other it comes back.
func (p *planner) excused(ctx context.Context, r *row, act func(context.Context, *row) error) error {
	if len(p.req.Pairs) == 0 {
		return act(ctx, r)
	}
	if err := p.excuses.known(r.SourceRepository); err != nil {
		r.settle(Failed, reason(err))
		return nil
	}
	began := time.Now()
	err := act(ctx, r)
	if err == nil {
		p.excuses.heard()
		return nil
	}
	if ctx.Err() != nil {
		return err
	}
	p.excuses.note(r.SourceRepository, err, began)
	r.settle(Failed, reason(err))
	return nil
}

// eachRow does act for every row, several side by side, as far as it is excused.
func (p *planner) eachRow(ctx context.Context, rows []*row, act func(context.Context, *row) error) error {
	return each(ctx, p.limit, rows, func(ctx context.Context, r *row) error { return p.excused(ctx, r, act) })
}

// blame fails the rows that a digest belongs to, as what is about it cannot be
// found out. Without pairs the error comes back.
func (p *planner) blame(ctx context.Context, subject string, err error) error {
	if err == nil || len(p.req.Pairs) == 0 || ctx.Err() != nil {
		return err
	}
	p.excuses.note("", err, time.Time{})
	for _, r := range p.rows {
		if r.State == Planned && p.trees[r.SourceDigest].holds(subject) {
			r.settle(Failed, reason(fmt.Errorf("what refers to it cannot be found out: %w", err)))
		}
	}
	return nil
}

// holds tells whether a manifest is in a tree.
func (t *tree) holds(digest string) bool {
	if t == nil || t.manifest.Digest == digest {
		return t != nil
	}
	for _, c := range t.children {
		if c.holds(digest) {
			return true
		}
	}
	return false
}

// Err returns what kept rows from being planned that are failed for it, or nil:
// after the others have been copied, planning again may help.
func (plan Plan) Err() error { return plan.trouble }
