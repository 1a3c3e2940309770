package copy

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// follow brings along what is about the chosen images: signatures, attestations
// and other referrers, whether they are found by their tags or by the
// referrers API, and what is about these in turn.
func (p *planner) follow(ctx context.Context) error {
	f := &follower{planner: p, known: make(map[string]Source)}
	for _, r := range p.rows {
		if r.digestTag && !r.settled {
			p.trust(r)
		}
		f.learn(r)
	}
	for len(f.fresh) > 0 {
		subjects := f.fresh
		f.fresh = nil
		if err := f.expand(ctx, subjects); err != nil {
			return err
		}
		if err := f.digestTags(ctx); err != nil {
			return err
		}
		if err := f.referrers(ctx, slices.Concat(subjects, f.fresh)); err != nil {
			return err
		}
	}
	for _, r := range p.rows {
		if r.digestTag && !r.settled {
			subject, _ := naming.Subject(r.SourceTag)
			r.settle(LeftOut, "what it is about is not copied ("+subject+")")
		}
	}
	return nil
}

type follower struct {
	*planner
	known map[string]Source // digests that are, or will be, at the target
	fresh []string          // those not yet asked about
	asked map[string]bool
}

// learn takes note of a row that is going to be at the target, with all below it.
func (f *follower) learn(r *row) {
	if r.State != Planned && r.State != Present {
		return
	}
	s := Source{Repository: r.SourceRepository, Name: r.Name}
	f.note(cmp.Or(r.SourceDigest, r.TargetDigest), s)
	var walk func(*tree)
	walk = func(t *tree) {
		f.note(t.manifest.Digest, s)
		for _, c := range t.children {
			walk(c)
		}
	}
	if t := f.trees[r.SourceDigest]; t != nil {
		walk(t)
	}
}

func (f *follower) note(digest string, s Source) {
	if _, ok := f.known[digest]; !ok {
		f.known[digest] = s
		f.fresh = append(f.fresh, digest)
	}
}

// expand reads the children of indexes that are present and so have not been
// read. That is worth a request only if something might be about a child.
func (f *follower) expand(ctx context.Context, digests []string) error {
	curious := slices.ContainsFunc(f.rows, func(r *row) bool { return r.digestTag && !r.settled })
	if !curious {
		return nil
	}
	for _, d := range digests {
		if f.trees[d] != nil || !isIndex(f.held[d].MediaType) {
			continue
		}
		m, err := f.reader.digest(ctx, f.known[d].Repository, d)
		if registry.IsGone(err) {
			continue
		}
		if err != nil {
			return err
		}
		for _, c := range m.Children {
			f.note(c.Digest, f.known[d])
		}
	}
	return nil
}

func isIndex(mediaType string) bool {
	return strings.Contains(mediaType, "image.index") || strings.Contains(mediaType, "manifest.list")
}

// digestTags chooses the digest tags whose subject is known by now.
func (f *follower) digestTags(ctx context.Context) error {
	var wave []*row
	for _, r := range f.rows {
		if !r.digestTag || r.settled {
			continue
		}
		if subject, ok := naming.Subject(r.SourceTag); ok {
			if _, known := f.known[subject]; known {
				wave = append(wave, r)
			}
		}
	}
	if err := each(ctx, f.limit, wave, f.ask); err != nil {
		return err
	}
	f.assign(wave)
	for _, r := range wave {
		if r.settled {
			continue
		}
		// A bare sha256-<hex> is a list of referrers. Registries have been seen
		// to answer with the subject itself.
		subject, _ := naming.Subject(r.SourceTag)
		if !strings.Contains(r.SourceTag, ".") && (r.SourceDigest == subject || !isIndex(r.MediaType)) {
			r.settle(LeftOut, "the tag has the form of a list of referrers, but is none")
			continue
		}
		if err := f.weigh(ctx, r); err != nil {
			return err
		}
		f.learn(r)
	}
	return nil
}

// referrers asks the API of the old registry, if it has one, and adds a row for
// each referrer that no tag has led to.
func (f *follower) referrers(ctx context.Context, subjects []string) error {
	if f.asked == nil {
		f.asked = make(map[string]bool)
	}
	var open []string
	for _, subject := range subjects {
		_, held := f.held[subject]
		if !f.asked[subject] && !(held && (f.req.Trust || f.remembered[subject])) {
			f.asked[subject] = true
			open = append(open, subject)
		}
	}
	found, err := f.refer(ctx, open)
	if err != nil {
		return err
	}
	for _, subject := range open {
		s := f.known[subject]
		for _, d := range found[subject] {
			if _, known := f.known[d.Digest]; known {
				continue
			}
			r := f.row(s, "", d.Digest)
			r.TargetDigest, r.MediaType = d.Digest, d.MediaType
			if i, ok := f.held[d.Digest]; ok {
				r.Bytes = i.Bytes
				r.settle(Present, "refers to "+subject)
			} else if err := f.excused(ctx, r, f.weigh); err != nil {
				return err
			} else if r.State == Planned {
				r.Reason = "refers to " + subject
			}
			f.learn(r)
		}
	}
	return nil
}

// forgetNoAPI is how long an engine remembers that the old registry has no API
// for referrers: registries get updated while a worker runs.
const forgetNoAPI = time.Hour

// refer asks for the referrers of many subjects. The first question is alone:
// most old registries answer it by not knowing the API.
func (f *follower) refer(ctx context.Context, subjects []string) (map[string][]registry.Descriptor, error) {
	found := make(map[string][]registry.Descriptor)
	var mu sync.Mutex
	ask := func(ctx context.Context, subject string) error {
		list, err := f.referrersOf(ctx, f.known[subject].Repository, subject)
		mu.Lock()
		defer mu.Unlock()
		found[subject] = list
		return f.blame(ctx, subject, err)
	}
	// What has been asked early is the first, wherever it stands.
	f.early.wait.Wait()
	if i := slices.Index(subjects, f.early.subject); i > 0 {
		subjects = slices.Concat(subjects[i:i+1], subjects[:i], subjects[i+1:])
	}
	if len(subjects) == 0 {
		return nil, nil
	}
	if err := ask(ctx, subjects[0]); err != nil {
		return nil, err
	}
	return found, each(ctx, f.limit, subjects[1:], ask)
}

// early is the first question about referrers, asked while manifests are read.
type early struct {
	once    sync.Once
	wait    sync.WaitGroup
	subject string
	list    []registry.Descriptor
	err     error
}

// askEarly asks about the first image that is sure to be copied.
func (p *planner) askEarly(ctx context.Context, repository, subject string) {
	p.early.once.Do(func() {
		p.early.wait.Go(func() {
			p.early.list, p.early.err = p.referrersOf(ctx, repository, subject)
			p.early.subject = subject
		})
	})
}

// referrersOf asks the old registry about one subject, unless it is known to
// have no API for that, or has been asked early.
func (p *planner) referrersOf(ctx context.Context, repository, subject string) ([]registry.Descriptor, error) {
	e := p.engine
	if time.Since(time.Unix(e.noAPI.Load(), 0)) < forgetNoAPI {
		return nil, nil
	}
	if p.early.subject == subject && ctx.Err() == nil {
		return p.early.list, p.early.err
	}
	release, err := p.reader.slot(ctx)
	if err != nil {
		return nil, err
	}
	defer release()
	list, err := e.source.Referrers(ctx, repository, subject)
	switch {
	case err == nil:
		e.api.Store(true)
	case errors.Is(err, registry.ErrNoReferrers) && e.api.Load():
		return nil, nil // this repository alone is not known there
	case errors.Is(err, registry.ErrNoReferrers):
		e.noAPI.Store(time.Now().Unix())
		return nil, nil
	}
	return list, err
}

// subjects sets what each manifest must not precede: what is about it, by a
// subject field or by the tag that leads there. An image shows when that is
// there too: whoever is killed in between does not leave an image behind that
// looks complete, and whose signatures nobody would ask for again. Registries
// take either order:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests-with-subject
func (p *planner) subjects(manifests []Manifest, at map[string]int) {
	after := func(i int, subject string) {
		j, ok := at[subject]
		digest := manifests[i].Digest
		// Tags can be set so that two manifests are about each other.
		if ok && j != i && !slices.Contains(manifests[j].After, digest) && !reaches(manifests, at, i, j, make(map[int]bool)) {
			manifests[j].After = append(manifests[j].After, digest)
		}
	}
	for i := range manifests {
		if s := p.trees[manifests[i].Digest].manifest.Subject; s != nil {
			after(i, s.Digest)
		}
	}
	for _, r := range p.rows {
		if naming.IsDigestTag(r.SourceTag) && r.State == Planned {
			subject, _ := naming.Subject(r.SourceTag)
			after(at[r.SourceDigest], subject)
		}
	}
}

// reaches tells whether from has to wait for to.
func reaches(manifests []Manifest, at map[string]int, from, to int, seen map[int]bool) bool {
	if from == to {
		return true
	}
	if seen[from] {
		return false
	}
	seen[from] = true
	for _, list := range [][]string{manifests[from].Children, manifests[from].After} {
		for _, d := range list {
			if j, ok := at[d]; ok && reaches(manifests, at, j, to, seen) {
				return true
			}
		}
	}
	return false
}
