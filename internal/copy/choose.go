package copy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// list makes a row for every tag of every source.
func (p *planner) list(ctx context.Context) error {
	lists := make([][]string, len(p.req.Sources))
	places := make([]int, len(lists))
	for i := range places {
		places[i] = i
	}
	err := each(ctx, p.limit, places, func(ctx context.Context, i int) error {
		tags, err := p.engine.source.Tags(ctx, p.req.Sources[i].Repository)
		if errors.Is(err, registry.ErrNotFound) {
			return nil // a repository that has lost its tags may look like none at all
		}
		lists[i] = tags
		return err
	})
	if err != nil {
		return err
	}
	for i, s := range p.req.Sources {
		for _, tag := range lists[i] {
			r := p.row(s, tag, "")
			r.digestTag = naming.IsDigestTag(tag)
			r.inUse = p.req.InUse[s.Repository+":"+tag]
			// An error is found again by Assign, if the tag is chosen at all.
			r.TargetTag, _ = naming.Tag(s.Name, tag)
		}
	}
	for _, pair := range p.req.Pairs {
		r := p.row(Source{Repository: pair.Repository}, pair.Tag, pair.Digest)
		r.pinned, r.TargetTag, r.TargetDigest = true, pair.TargetTag, pair.Digest
	}
	p.inUseMissing()
	return nil
}

func (p *planner) row(s Source, tag, digest string) *row {
	r := &row{Image: Image{
		SourceRepository: s.Repository, SourceTag: tag, SourceDigest: digest, Name: s.Name, TargetRepository: p.req.Target,
	}}
	p.rows = append(p.rows, r)
	return r
}

// inUseMissing adds a row for every tag that is in use but not in the list.
func (p *planner) inUseMissing() {
	listed := make(map[string]bool, len(p.rows))
	for _, r := range p.rows {
		listed[r.SourceRepository+":"+r.SourceTag] = true
	}
	for _, u := range p.inUse() {
		if u.tag != "" && u.digest == "" && !listed[u.source.Repository+":"+u.tag] {
			r := p.row(u.source, u.tag, "")
			r.TargetTag, _ = naming.Tag(u.source.Name, u.tag)
			r.settle(Gone, "in use ("+u.why+"), but not in the old registry")
		}
	}
}

type use struct {
	source      Source
	tag, digest string
	why         string
}

// inUse takes the keys of Request.InUse apart, in a stable order. Those of
// other projects are not ours to answer for.
func (p *planner) inUse() (list []use) {
	sources := make(map[string]Source, len(p.req.Sources))
	for _, s := range p.req.Sources {
		sources[s.Repository] = s
	}
	for key, why := range p.req.InUse {
		rest, digest, _ := strings.Cut(key, "@")
		repository, tag, _ := strings.Cut(rest, ":")
		if s, ok := sources[repository]; ok {
			list = append(list, use{source: s, tag: tag, digest: digest, why: why})
		}
	}
	slices.SortFunc(list, func(a, b use) int {
		return cmp.Or(cmp.Compare(a.source.Repository, b.source.Repository), cmp.Compare(a.tag, b.tag), cmp.Compare(a.digest, b.digest))
	})
	return list
}

// choose applies what must stay free and then the policy. What it leaves
// unsettled is to be copied.
func (p *planner) choose(ctx context.Context) error {
	p.keepFree()
	byName := make(map[string][]*row)
	var names []string
	for _, r := range p.rows {
		if r.settled || r.digestTag || r.pinned {
			continue
		}
		if r.inUse == "" {
			if why := p.policy.refuses(r.SourceRepository, r.SourceTag); why != "" {
				r.settle(LeftOut, why)
				continue
			}
		}
		name := naming.Prefix(r.Name)
		if byName[name] == nil {
			names = append(names, name)
		}
		byName[name] = append(byName[name], r)
	}
	return each(ctx, p.limit, names, func(ctx context.Context, name string) error {
		return p.rank(ctx, byName[name])
	})
}

// keepFree leaves out the tags that a pipeline will push: once in ECR, a tag
// cannot be pushed again, and that pipeline would fail.
func (p *planner) keepFree() {
	taken := make(map[string]string) // target tag to the reason why it must stay free
	for _, r := range p.rows {
		if r.settled || r.digestTag || p.req.Moving == nil {
			continue
		}
		if why := p.req.Moving(r.SourceTag); why != "" {
			r.settle(LeftOut, p.withUse(r, why))
			taken[r.TargetTag] = fmt.Sprintf("must stay free for %s:%s, %s", r.SourceRepository, r.SourceTag, why)
		}
	}
	for _, r := range p.rows {
		if r.settled || r.digestTag {
			continue
		}
		if why := cmp.Or(p.req.Reserved[r.TargetTag], taken[r.TargetTag]); why != "" {
			r.settle(LeftOut, p.withUse(r, why))
		}
	}
}

func (p *planner) withUse(r *row, why string) string {
	if r.inUse != "" {
		return why + "; in use: " + r.inUse
	}
	return why
}

// rank applies the policy to the tags of one image name. It reads when images
// were built only if that can make a difference.
func (p *planner) rank(ctx context.Context, rows []*row) error {
	if p.policy.MaxAge > 0 || !p.policy.All && p.policy.Newest > 0 && len(rows) > p.policy.Newest {
		err := each(ctx, p.limit, rows, func(ctx context.Context, r *row) error {
			if err := p.read(ctx, r); err != nil || r.settled {
				return err
			}
			m, err := p.reader.digest(ctx, r.SourceRepository, r.SourceDigest)
			if err == nil {
				r.Created, err = p.reader.builtAt(ctx, r.SourceRepository, m)
			}
			return err
		})
		if err != nil {
			return err
		}
	}
	newest := newestDigests(rows, p.policy.Newest)
	for _, r := range rows {
		switch {
		case r.settled || r.inUse != "":
		case p.policy.MaxAge > 0 && !r.Created.IsZero() && p.engine.now().Sub(r.Created) > p.policy.MaxAge:
			r.settle(LeftOut, "built "+r.Created.Format(time.DateOnly)+", longer ago than the policy's age limit")
		case p.policy.All || newest[r.SourceDigest]:
		case p.policy.Newest > 0:
			r.settle(LeftOut, fmt.Sprintf("not in use, and not among the newest %d of its name", p.policy.Newest))
		default:
			r.settle(LeftOut, "not in use")
		}
	}
	return nil
}

// newestDigests returns the digests of the newest n images. Several tags of one
// image count once. Rows without a digest were few enough not to be read.
func newestDigests(rows []*row, n int) map[string]bool {
	order := slices.Clone(rows)
	slices.SortStableFunc(order, func(a, b *row) int {
		return cmp.Or(b.Created.Compare(a.Created), natural(b.SourceTag, a.SourceTag))
	})
	keep := make(map[string]bool)
	for _, r := range order {
		if r.settled {
			continue
		}
		if r.SourceDigest == "" && n > 0 || len(keep) < n {
			keep[r.SourceDigest] = true
		}
	}
	return keep
}

// natural compares tags as people do: v10 comes after v9.
func natural(a, b string) int {
	for a != "" && b != "" {
		na, nb := digits(a), digits(b)
		if na > 0 && nb > 0 {
			x, y := strings.TrimLeft(a[:na], "0"), strings.TrimLeft(b[:nb], "0")
			if c := cmp.Or(cmp.Compare(len(x), len(y)), cmp.Compare(x, y)); c != 0 {
				return c
			}
			a, b = a[na:], b[nb:]
			continue
		}
		if c := cmp.Compare(a[0], b[0]); c != 0 {
			return c
		}
		a, b = a[1:], b[1:]
	}
	return cmp.Compare(len(a), len(b))
}

func digits(s string) int {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		n++
	}
	return n
}
