package copy

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Limits of ECR. The number of layers is not documented; it was measured.
// https://docs.aws.amazon.com/AmazonECR/latest/userguide/service-quotas.html
// https://github.com/spinframework/spin/issues/1787
const (
	maxManifest = 4 << 20 // bytes
	maxLayers   = 500
	maxLayer    = 52_000 << 20 // bytes
	maxDepth    = 5            // of indexes within indexes; a loop is impossible, as digests are hashes
)

// tree is a manifest with everything below it.
type tree struct {
	manifest   registry.Manifest
	repository string // where it was read
	children   []*tree
	blobs      []registry.Descriptor // of this manifest, each once
	foreign    []registry.Descriptor // layers that may be elsewhere, see Descriptor.URLs
	// state and reason say why it cannot or shall not be copied; empty if it can.
	state  State
	reason string
}

// grow reads a manifest and its children, unless the target has it: only a tag
// is missing then. The error is about the registry, or
// says that the manifest itself is gone.
func (p *planner) grow(ctx context.Context, repository, digest string, depth int) (*tree, error) {
	p.reader.mu.Lock()
	t := p.trees[digest]
	p.reader.mu.Unlock()
	// What one repository has lost, another may have.
	if t != nil && (t.state == "" || t.repository == repository) {
		return t, nil
	}
	m, err := p.reader.digest(ctx, repository, digest)
	if err != nil {
		return nil, err
	}
	t = &tree{manifest: m, repository: repository}
	t.judge()
	_, there := p.held[digest]
	if t.state == "" && !there {
		if err := p.claim(ctx, t); err != nil {
			return nil, err
		}
	}
	if t.state == "" && m.Kind == registry.KindIndex && !there {
		if depth >= maxDepth {
			t.refuse(Invalid, "indexes are nested too deeply")
		} else if err := p.growChildren(ctx, t, depth); err != nil {
			return nil, err
		}
	}
	p.reader.mu.Lock()
	defer p.reader.mu.Unlock()
	if other := p.trees[digest]; other == nil || other.state != "" {
		p.trees[digest] = t
	}
	return t, nil
}

// claim takes foreign layers for what they are where the registry holds them all
// the same: then the image is whole, like any other. They need not be there, as
// who pulls the image fetches them from their URLs; an image that hangs on such a
// place is not copied, as nobody would see it fail before it is to run.
func (p *planner) claim(ctx context.Context, t *tree) error {
	for _, d := range t.foreign {
		release, err := p.reader.slot(ctx)
		if err != nil {
			return err
		}
		held, err := p.engine.source.Holds(ctx, t.repository, d)
		release()
		if err != nil {
			return err
		}
		if !held {
			t.refuse(Invalid, fmt.Sprintf("layer %s is not in the registry but elsewhere (%s), without which the image would not run", d.Digest, strings.Join(d.URLs, " ")))
			return nil
		}
		t.blobs = append(t.blobs, d)
	}
	return nil
}

func (p *planner) growChildren(ctx context.Context, t *tree, depth int) error {
	type grown struct {
		tree *tree
		err  error
	}
	children := make([]grown, len(t.manifest.Children))
	places := make([]int, len(children))
	for i := range places {
		places[i] = i
	}
	_ = each(ctx, p.limit, places, func(ctx context.Context, i int) error {
		children[i].tree, children[i].err = p.grow(ctx, t.repository, t.manifest.Children[i].Digest, depth+1)
		return nil
	})
	for i, d := range t.manifest.Children {
		child, err := children[i].tree, children[i].err
		switch {
		case errors.Is(err, registry.ErrNotFound):
			t.refuse(Invalid, fmt.Sprintf("the index names %s (%s), which the old registry does not have", d.Digest, d.Platform))
			return nil
		case errors.Is(err, registry.ErrCorrupt):
			t.refuse(Invalid, err.Error())
			return nil
		case err != nil:
			return err
		case child.state != "":
			t.refuse(child.state, fmt.Sprintf("child %s: %s", d.Digest, child.reason))
			return nil
		}
		t.children = append(t.children, child)
	}
	return nil
}

func (t *tree) refuse(s State, reason string) { t.state, t.reason = s, reason }

// judge looks at one manifest by itself and collects its blobs.
func (t *tree) judge() {
	m := t.manifest
	switch {
	case m.Kind == registry.KindSchema1:
		t.refuse(Invalid, "Docker schema 1, which today's container runtimes do not run, and whose digest no other format can have: build the image again")
	case m.Kind == registry.KindUnknown:
		t.refuse(Invalid, fmt.Sprintf("not a manifest of a known format (%q)", m.MediaType))
	case len(m.Body) > maxManifest:
		t.refuse(Invalid, fmt.Sprintf("the manifest has %d bytes, ECR takes %d", len(m.Body), maxManifest))
	case len(m.Layers) > maxLayers:
		t.refuse(Invalid, fmt.Sprintf("the image has %d layers, ECR takes %d", len(m.Layers), maxLayers))
	case m.Kind == registry.KindImage && m.Config != nil && m.Config.MediaType == registry.MediaTypeBuildKitCache:
		t.refuse(LeftOut, "a BuildKit cache, not an image: ECR would drop it before the next pipeline")
	}
	for _, d := range m.Children {
		if d.MediaType == registry.MediaTypeBuildKitCache {
			t.refuse(LeftOut, "a BuildKit cache, not an image: ECR would drop it before the next pipeline")
		}
	}
	if t.state != "" {
		return
	}
	seen := make(map[string]bool)
	add := func(to *[]registry.Descriptor, d registry.Descriptor) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			*to = append(*to, d)
		}
	}
	for _, d := range m.Layers {
		to := &t.blobs
		if len(d.URLs) > 0 || strings.Contains(d.MediaType, ".foreign.") || strings.Contains(d.MediaType, "nondistributable") {
			to = &t.foreign
		}
		if d.Size > maxLayer {
			t.refuse(Invalid, fmt.Sprintf("layer %s has %d bytes, ECR takes %d", d.Digest, d.Size, int64(maxLayer)))
			return
		}
		add(to, d)
	}
	if m.Config != nil {
		add(&t.blobs, *m.Config)
	}
}

// bytes counts every manifest and blob of the tree once.
func (t *tree) bytes() int64 {
	seen := make(map[string]bool)
	var sum func(*tree) int64
	sum = func(t *tree) (n int64) {
		if seen[t.manifest.Digest] {
			return 0
		}
		seen[t.manifest.Digest] = true
		n = int64(len(t.manifest.Body))
		for _, b := range t.blobs {
			if !seen[b.Digest] {
				seen[b.Digest] = true
				n += b.Size
			}
		}
		for _, c := range t.children {
			n += sum(c)
		}
		return n
	}
	return sum(t)
}
