package copy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// resolve finds out which digest is behind each chosen tag.
func (p *planner) resolve(ctx context.Context) error {
	whole := ctx
	rivals := make(map[string]int) // rows that want a target tag
	named := make(map[string]int)  // the same, with those that the policy leaves out
	for _, r := range p.rows {
		named[r.TargetTag]++
		if !r.settled && !r.digestTag {
			rivals[r.TargetTag]++
		}
	}
	var open []*row
	for _, r := range p.rows {
		if r.settled || r.digestTag || p.untagged(r) || rivals[r.TargetTag] == 1 && p.trust(r) {
			continue
		}
		open = append(open, r)
	}
	if p.req.Soon && slices.ContainsFunc(open, func(r *row) bool { return p.tags[r.TargetTag] == "" }) {
		p.login = true // counts as executing
		go p.engine.target.Login((*pace.Tally)(nil).Of(context.WithoutCancel(ctx)))
	}
	return p.eachRow(ctx, open, func(ctx context.Context, r *row) error {
		if err := p.ask(ctx, r); err != nil || r.settled || r.TargetTag != "" && named[r.TargetTag] > 1 || p.tags[r.TargetTag] != "" {
			return err
		}
		// Nothing can come between this image and the target: its children are
		// read now, and not when all tags have been.
		t, err := p.grow(ctx, r.SourceRepository, r.SourceDigest, 0)
		if registry.IsGone(err) {
			return nil // found again when its turn comes
		}
		if err == nil && t.state == "" {
			p.askEarly(whole, r.SourceRepository, r.SourceDigest)
			if _, bad := naming.Tag(r.Name, r.SourceTag); r.pinned || bad == nil {
				p.feed(t, 1)
			}
		}
		return err
	})
}

// untagged settles a row that goes to the target by digest, and is there.
func (p *planner) untagged(r *row) bool {
	i, there := p.held[r.SourceDigest]
	if there = there && r.TargetTag == ""; there {
		r.MediaType, r.Bytes = i.MediaType, i.Bytes
		r.settle(Present, "")
	}
	return there
}

// trust settles a row whose target tag exists, if the request says that this
// is enough, or that an earlier run has copied just this.
func (p *planner) trust(r *row) bool {
	held := p.tags[r.TargetTag]
	if held != "" && p.req.Known[r.SourceRepository+":"+r.SourceTag] == held && (r.SourceDigest == "" || r.SourceDigest == held) {
		r.SourceDigest, r.TargetDigest, r.MediaType, r.Bytes = held, held, p.held[held].MediaType, p.held[held].Bytes
		p.remembered[held] = true
		r.settle(Present, "")
		return true
	}
	if !p.req.Trust || r.TargetTag == "" || held == "" || r.SourceDigest != "" && r.SourceDigest != held {
		return false
	}
	r.TargetDigest, r.MediaType, r.Bytes = held, p.held[held].MediaType, p.held[held].Bytes
	r.settle(Present, "the target has the tag; it was not compared with the old registry")
	return true
}

// ask reads the manifest of a tag, or only its digest if the target tag exists:
// then there is nothing to copy.
func (p *planner) ask(ctx context.Context, r *row) error {
	if r.SourceDigest != "" {
		return nil
	}
	if p.tags[r.TargetTag] == "" {
		return p.read(ctx, r)
	}
	d, err := p.reader.head(ctx, r.SourceRepository, r.SourceTag)
	if err != nil {
		return r.broken(err)
	}
	r.SourceDigest, r.TargetDigest, r.MediaType = d.Digest, d.Digest, d.MediaType
	return nil
}

func (p *planner) read(ctx context.Context, r *row) error {
	m, err := p.reader.tag(ctx, r.SourceRepository, r.SourceTag)
	if err != nil {
		return r.broken(err)
	}
	r.SourceDigest, r.TargetDigest, r.MediaType = m.Digest, m.Digest, m.MediaType
	return nil
}

// broken settles a row whose image is absent or damaged. Any other error is
// about the registry and comes back.
func (r *row) broken(err error) error {
	switch {
	case errors.Is(err, registry.ErrNotFound):
		if r.pinned {
			r.settle(Gone, "not in the old registry")
			break
		}
		r.settle(Gone, "deleted between listing and reading")
	case errors.Is(err, registry.ErrCorrupt):
		r.settle(Invalid, err.Error())
	default:
		return err
	}
	return nil
}

// collisions settles the chosen tags that meet another image at the target
// under their name. Also a tag that the policy leaves out can be that other
// image: the name would then mean something else than it did.
func (p *planner) collisions(ctx context.Context) error {
	chosen := make(map[string]bool)
	for _, r := range p.rows {
		if !r.settled && !r.digestTag {
			chosen[r.TargetTag] = true
		}
	}
	var rows, unknown []*row
	for _, r := range p.rows {
		if r.digestTag || !chosen[r.TargetTag] {
			continue
		}
		rows = append(rows, r)
		if r.SourceDigest == "" {
			unknown = append(unknown, r)
		}
	}
	rows, unknown = p.tagged(rows), p.tagged(unknown)
	unknown = doubt(rows, unknown)
	err := each(ctx, p.limit, unknown, func(ctx context.Context, r *row) error {
		d, err := p.reader.head(ctx, r.SourceRepository, r.SourceTag)
		if err != nil && !registry.IsGone(err) {
			return err
		}
		r.SourceDigest = d.Digest
		return nil
	})
	if err != nil {
		return err
	}
	p.assign(rows)
	clash(rows)
	return nil
}

// tagged drops the rows that go to the target by digest.
func (p *planner) tagged(rows []*row) []*row {
	return slices.DeleteFunc(rows, func(r *row) bool { return r.TargetTag == "" })
}

// doubt settles the rows that want the target tag of one that could not be read,
// and drops the latter: which image the tag would mean is not known.
func doubt(rows, unknown []*row) []*row {
	unread := make(map[string]*row)
	for _, r := range unknown {
		if r.State == Failed {
			unread[r.TargetTag] = r
		}
	}
	for _, r := range rows {
		if o := unread[r.TargetTag]; o != nil && !r.settled {
			r.settle(Failed, fmt.Sprintf("%s:%s wants the target tag too, and could not be read: %s", o.SourceRepository, o.SourceTag, o.Reason))
		}
	}
	return slices.DeleteFunc(unknown, func(r *row) bool { return r.State == Failed })
}

// clash settles rows of different digests on one target tag, where that tag was
// named and not derived.
func clash(rows []*row) {
	byTarget := make(map[string][]*row)
	for _, r := range rows {
		byTarget[r.TargetTag] = append(byTarget[r.TargetTag], r)
	}
	for _, r := range rows {
		for _, o := range byTarget[r.TargetTag] {
			if !r.settled && r.SourceDigest != "" && o.SourceDigest != "" && o.SourceDigest != r.SourceDigest {
				r.settle(Collision, fmt.Sprintf("target tag %s would mean %s (%s:%s) and %s (%s:%s)",
					r.TargetTag, r.SourceDigest, r.SourceRepository, r.SourceTag, o.SourceDigest, o.SourceRepository, o.SourceTag))
			}
		}
	}
}

// assign settles the rows that naming finds a problem with.
func (p *planner) assign(rows []*row) {
	var entries []naming.Entry
	var known []*row
	for _, r := range rows {
		if r.SourceDigest != "" && !r.pinned {
			entries = append(entries, naming.Entry{Repository: r.SourceRepository, Name: r.Name, Tag: r.SourceTag, Digest: r.SourceDigest})
			known = append(known, r)
		}
	}
	for i, a := range naming.Assign(entries) {
		r := known[i]
		if r.settled || a.Problem == "" {
			continue
		}
		switch a.Problem {
		case naming.Collision:
			o := a.Others[0]
			r.settle(Collision, fmt.Sprintf("target tag %s would mean %s (%s:%s) and %s (%s:%s)",
				a.Target, r.SourceDigest, r.SourceRepository, r.SourceTag, o.Digest, o.Repository, o.Tag))
		default:
			_, err := naming.Tag(r.Name, r.SourceTag)
			r.settle(Invalid, err.Error())
		}
	}
}

// compare holds the chosen tags against the target and reads what is missing
// there down to the last manifest.
func (p *planner) compare(ctx context.Context) error {
	var open []*row
	for _, r := range p.rows {
		if !r.settled && !r.digestTag {
			open = append(open, r)
		}
	}
	return p.eachRow(ctx, open, p.weigh)
}

// weigh decides about one row whose digest is known.
func (p *planner) weigh(ctx context.Context, r *row) error {
	if held := p.tags[r.TargetTag]; r.TargetTag != "" && held != "" {
		r.Bytes = p.held[held].Bytes
		if held == r.SourceDigest {
			r.settle(Present, "")
			return nil
		}
		r.TargetDigest = held
		r.settle(Conflict, fmt.Sprintf("the target tag holds %s, the old registry has %s", held, r.SourceDigest))
		return nil
	}
	if p.untagged(r) {
		return nil
	}
	t, err := p.grow(ctx, r.SourceRepository, r.SourceDigest, 0)
	if err != nil {
		return r.broken(err)
	}
	r.MediaType, r.Bytes = t.manifest.MediaType, t.bytes()
	if i, there := p.held[r.SourceDigest]; there {
		r.Bytes = i.Bytes
	}
	if t.state != "" {
		r.settle(t.state, t.reason)
		return nil
	}
	r.settle(Planned, r.inUse)
	p.feed(t, 1)
	return nil
}

// inUseByDigest adds rows for images that are referred to by digest and that
// no chosen tag covers.
func (p *planner) inUseByDigest(ctx context.Context) error {
	covered := make(map[string]bool)
	for _, r := range p.rows {
		if r.State == Planned || r.State == Present {
			covered[r.SourceDigest] = true
		}
	}
	for _, u := range p.inUse() {
		if u.digest == "" || covered[u.digest] {
			continue
		}
		covered[u.digest] = true
		r := p.row(u.source, "", u.digest)
		r.inUse, r.TargetDigest = u.why, u.digest
		if i, ok := p.held[u.digest]; ok {
			r.MediaType, r.Bytes = i.MediaType, i.Bytes
			r.settle(Present, "")
			continue
		}
		if err := p.weigh(ctx, r); err != nil {
			return err
		}
		if r.State == Gone {
			r.Reason = "in use (" + u.why + "), but not in the old registry"
		}
	}
	return nil
}
