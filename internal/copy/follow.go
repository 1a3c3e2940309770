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
	begun := f.begun()
	for _, subject := range subjects {
		_, held := f.held[subject]
		if !f.asked[subject] && !(held && !begun[subject] && (f.req.Trust || f.remembered[subject])) {
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

// begun returns the digests that are at the target without a tag and are to get
// one: an earlier run may have ended before their referrers came.
func (f *follower) begun() map[string]bool {
	list := make(map[string]bool)
	for _, r := range f.rows {
		if i, held := f.held[r.SourceDigest]; held && len(i.Tags) == 0 && r.State == Planned && r.TargetTag != "" {
			list[r.SourceDigest] = true
		}
	}
	return list
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

// subjects sets what each manifest must not precede: what it is about, by its
// subject field or by the tag that leads to it. Where only the old registry's API
// names a referrer, also the tags of its subject wait for it: whoever is killed in
// between must not leave an image behind that counts as done, and whose signatures
// nobody would ask for again.
func (p *planner) subjects(manifests []Manifest, at map[string]int) {
	bare := make(map[string]bool)
	for _, r := range p.rows {
		if r.State != Planned {
			continue
		}
		if r.SourceTag == "" && r.TargetTag == "" {
			bare[r.SourceDigest] = true
		}
		if naming.IsDigestTag(r.SourceTag) {
			subject, _ := naming.Subject(r.SourceTag)
			precede(manifests, at, at[r.SourceDigest], subject)
		}
	}
	for i, m := range manifests {
		s := p.trees[m.Digest].manifest.Subject
		if s == nil {
			continue
		}
		precede(manifests, at, i, s.Digest)
		if j, ok := at[s.Digest]; ok && bare[m.Digest] && !waits(manifests, at, moment{i, true}, moment{j, true}) {
			manifests[j].Referrers = append(manifests[j].Referrers, m.Digest)
		}
	}
}

// precede makes a manifest wait for its subject, unless that waits for it: tags
// can be set so that two manifests are about each other.
func precede(manifests []Manifest, at map[string]int, i int, subject string) {
	j, ok := at[subject]
	if ok && j != i && !slices.Contains(manifests[i].After, subject) && !waits(manifests, at, moment{j, false}, moment{i, false}) {
		manifests[i].After = append(manifests[i].After, subject)
	}
}

// moment is that of a manifest's arrival at the target, or of its completion
// with all tags.
type moment struct {
	manifest int // its place in the plan
	complete bool
}

// waits tells whether one moment has to wait for another, by what Execute does.
func waits(manifests []Manifest, at map[string]int, one, other moment) bool {
	seen := make(map[moment]bool)
	var search func(moment) bool
	search = func(from moment) bool {
		if from == other || seen[from] {
			return from == other
		}
		seen[from] = true
		m := manifests[from.manifest]
		follow := func(digests []string, complete bool) bool {
			return slices.ContainsFunc(digests, func(d string) bool {
				j, ok := at[d]
				return ok && search(moment{j, complete})
			})
		}
		if from.complete {
			return search(moment{from.manifest, false}) || follow(m.Referrers, true)
		}
		return follow(m.Children, true) || follow(m.After, false)
	}
	return search(one)
}
