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
		t.refuse(Invalid, "Docker schema 1: build the image again, ECR and today's clients do not take it")
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
	add := func(d registry.Descriptor) {
		if !seen[d.Digest] {
			seen[d.Digest] = true
			t.blobs = append(t.blobs, d)
		}
	}
	for _, d := range m.Layers {
		// Such a layer is fetched from its URLs by whoever pulls the image; the
		// registry may not hold it, and must not be expected to.
		if len(d.URLs) > 0 || strings.Contains(d.MediaType, ".foreign.") || strings.Contains(d.MediaType, "nondistributable") {
			t.refuse(Invalid, fmt.Sprintf("layer %s is not in the registry but elsewhere (%s)", d.Digest, strings.Join(d.URLs, " ")))
			return
		}
		if d.Size > maxLayer {
			t.refuse(Invalid, fmt.Sprintf("layer %s has %d bytes, ECR takes %d", d.Digest, d.Size, int64(maxLayer)))
			return
		}
		add(d)
	}
	if m.Config != nil {
		add(*m.Config)
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
