package copy

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"golang.org/x/sync/errgroup"

	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Plan is what is to be done, complete: it can be shown, stored as JSON and
// executed later, without reading a manifest twice.
type Plan struct {
	Target    string     `json:"target"`    // name of the ECR repository
	Images    []Image    `json:"images"`    // every row, in the order of sources and tags
	Manifests []Manifest `json:"manifests"` // to be written, children before indexes, subjects before referrers
	Blobs     []Blob     `json:"blobs"`     // what these need, the widest shared first
	Forecast  Forecast   `json:"forecast"`

	mover   *mover // with what is on its way already, of a plan made Soon
	trouble error
	missing bool
}

// Missing tells whether the target repository does not exist yet. ECR may be set
// to create it with the first write.
func (plan Plan) Missing() bool { return plan.missing }

// Manifest is a manifest to be written.
type Manifest struct {
	Digest     string   `json:"digest"`
	MediaType  string   `json:"media_type"`
	Repository string   `json:"repository"` // where it was read
	Body       []byte   `json:"body"`
	Tags       []string `json:"tags,omitempty"`      // target tags; without one it is written by digest
	Blobs      []string `json:"blobs,omitempty"`     // that must be there before it
	Children   []string `json:"children,omitempty"`  // of an index
	After      []string `json:"after,omitempty"`     // subjects, which it must not precede
	Referrers  []string `json:"referrers,omitempty"` // which its tags must not precede
	There      bool     `json:"there,omitempty"`     // only tags are missing
}

// Blob is a blob that a manifest of the plan needs.
type Blob struct {
	Digest     string `json:"digest"`
	MediaType  string `json:"media_type,omitempty"`
	Size       int64  `json:"size"`
	Repository string `json:"repository"`      // where it can be read
	Shared     int    `json:"shared"`          // by how many manifests
	Above      int    `json:"above"`           // writes that must follow one another after it
	There      bool   `json:"there,omitempty"` // at the target already
}

func (b Blob) descriptor() registry.Descriptor {
	return registry.Descriptor{MediaType: b.MediaType, Digest: b.Digest, Size: b.Size}
}

// Plan looks at both registries and says what a copy would do. It changes
// nothing. The error is about the registries; what is wrong with an image is
// the state of its row. Of pairs also what the old registry does not give of one
// of them is: see Plan.Err.
func (e *Engine) Plan(ctx context.Context, req Request) (plan Plan, err error) {
	defer fault.Wrap(&err, "planning the copy to %s", req.Target)
	p := &planner{
		engine: e, req: req, policy: req.Policy.orDefault(), reader: newReader(e.source, e.readers),
		trees: make(map[string]*tree), remembered: make(map[string]bool), limit: e.readers,
		tally: pace.NewTally(), loggedIn: e.ecr.LoggedIn(),
	}
	outer := ctx // what is sent ahead goes on when the plan is made
	ctx, cancel := context.WithCancel(p.tally.Of(ctx))
	defer p.early.wait.Wait()
	defer cancel()
	if req.Soon {
		p.mover = newMover(outer, e, req.Target)
		p.mover.tally = p.tally
		defer func() {
			if err != nil && p.mover != nil {
				p.mover.giveUp()
			}
		}()
	}
	both, bothCtx := errgroup.WithContext(ctx)
	both.Go(func() error { return p.look(bothCtx) })
	both.Go(func() error { return p.list(bothCtx) })
	if err := both.Wait(); err != nil {
		return Plan{}, err
	}
	for _, step := range []func(context.Context) error{p.choose, p.resolve, p.collisions, p.compare, p.inUseByDigest, p.follow} {
		if err := step(ctx); err != nil {
			return Plan{}, err
		}
	}
	plan = p.assemble()
	plan.trouble, plan.missing = p.excuses.first, p.missing
	if p.mover != nil {
		plan.mover, err = p.mover, p.mover.rest(plan.Blobs)
	} else {
		err = e.availability(ctx, &plan)
	}
	if err != nil {
		return Plan{}, err
	}
	p.forecast(ctx, &plan)
	return plan, nil
}

// planner is the state of one call of Plan.
type planner struct {
	engine *Engine
	req    Request
	policy Policy
	reader *reader
	limit  int

	held    map[string]ecr.Image // at the target, by digest
	tags    map[string]string    // at the target, tag to digest
	missing bool                 // the target is

	mover      *mover // of what is sent ahead, or nil
	early      early
	excuses    excuses
	remembered map[string]bool // digests that Request.Known answered for
	tally      *pace.Tally     // of the requests of planning
	loggedIn   bool            // at the target, when planning began
	login      bool            // has been fetched ahead

	rows  []*row
	trees map[string]*tree // by digest
}

// row is an Image while it is planned.
type row struct {
	Image
	inUse     string // why, or ""
	digestTag bool
	pinned    bool // by a Pair: no policy applies
	settled   bool // its state will not change any more
}

func (r *row) settle(s State, reason string) {
	r.State, r.Reason, r.settled = s, reason, true
}

// look lists the target, once for the whole plan. A repository that does not
// exist yet holds nothing: a plan may be made before anything is written.
func (p *planner) look(ctx context.Context) error {
	images, err := p.engine.ecr.Images(ctx, p.req.Target)
	if err != nil && !errors.Is(err, ecr.ErrRepositoryNotFound) {
		return err
	}
	p.missing = err != nil
	if p.missing && p.mover != nil {
		p.mover.cancel(nil) // there is nowhere to send anything
		p.mover = nil
	}
	p.held, p.tags = make(map[string]ecr.Image, len(images)), make(map[string]string, len(images))
	for _, i := range images {
		p.held[i.Digest] = i
		for _, tag := range i.Tags {
			p.tags[tag] = i.Digest
		}
	}
	return nil
}

// availability asks which blobs are at the target.
func (e *Engine) availability(ctx context.Context, plan *Plan) error {
	digests := make([]string, len(plan.Blobs))
	for i, b := range plan.Blobs {
		digests[i] = b.Digest
	}
	there, err := e.ecr.Layers(ctx, plan.Target, digests)
	if err != nil && !errors.Is(err, ecr.ErrRepositoryNotFound) {
		return err
	}
	for i := range plan.Blobs {
		plan.Blobs[i].There = there[plan.Blobs[i].Digest]
	}
	return nil
}

// writes is how many requests write the manifest: one a tag. Without a tag, or
// when referrers stand between it and its tags, it is written by digest first.
func (m Manifest) writes() int {
	n := len(m.Tags)
	if n == 0 || len(m.Referrers) > 0 && !m.There {
		n++
	}
	return n
}

// assemble gathers what the planned rows need.
func (p *planner) assemble() Plan {
	plan := Plan{Target: p.req.Target}
	at := make(map[string]int) // digest to place in plan.Manifests
	blobs := make(map[string]*Blob)
	var add func(digest string)
	add = func(digest string) {
		if _, done := at[digest]; done {
			return
		}
		t := p.trees[digest]
		_, there := p.held[digest]
		m := Manifest{Digest: digest, MediaType: t.manifest.MediaType, Repository: t.repository, Body: t.manifest.Body, There: there}
		for _, c := range t.manifest.Children {
			m.Children = append(m.Children, c.Digest)
		}
		if !there {
			for _, c := range m.Children {
				if _, held := p.held[c]; !held {
					add(c)
				}
			}
			for _, b := range t.blobs {
				m.Blobs = append(m.Blobs, b.Digest)
				if blobs[b.Digest] == nil {
					blobs[b.Digest] = &Blob{Digest: b.Digest, MediaType: b.MediaType, Size: b.Size, Repository: t.repository}
				}
				blobs[b.Digest].Shared++
			}
		}
		at[digest] = len(plan.Manifests)
		plan.Manifests = append(plan.Manifests, m)
	}
	for _, r := range p.rows {
		if r.State == Planned {
			add(r.SourceDigest)
			m := &plan.Manifests[at[r.SourceDigest]]
			if r.TargetTag != "" && !slices.Contains(m.Tags, r.TargetTag) {
				m.Tags = append(m.Tags, r.TargetTag)
			}
		}
		plan.Images = append(plan.Images, r.Image)
	}
	p.subjects(plan.Manifests, at)
	for i, above := range heights(plan.Manifests, at) {
		for _, d := range plan.Manifests[i].Blobs {
			blobs[d].Above = max(blobs[d].Above, above)
		}
	}
	for _, m := range plan.Manifests {
		for _, d := range m.Blobs {
			if b := blobs[d]; b != nil {
				plan.Blobs = append(plan.Blobs, *b)
				delete(blobs, d)
			}
		}
	}
	// Base layers first: most images wait for them. Then what most writes must
	// follow; otherwise the order of the images, so that one after the other gets
	// complete.
	slices.SortStableFunc(plan.Blobs, func(a, b Blob) int { return cmp.Or(b.Shared-a.Shared, b.Above-a.Above) })
	return plan
}

// heights returns of each manifest how many writes, its own included, must
// follow one another from it on.
func heights(manifests []Manifest, at map[string]int) []int {
	over := make([][]int, len(manifests)) // who waits for it
	for i, m := range manifests {
		for _, d := range slices.Concat(m.Children, m.After) {
			if j, ok := at[d]; ok {
				over[j] = append(over[j], i)
			}
		}
	}
	high := make([]int, len(manifests))
	var climb func(int) int
	climb = func(i int) int {
		if high[i] == 0 {
			for _, j := range over[i] {
				high[i] = max(high[i], climb(j))
			}
			high[i]++
		}
		return high[i]
	}
	for i := range manifests {
		climb(i)
	}
	return high
}
