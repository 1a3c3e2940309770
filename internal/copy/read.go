package copy

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/singleflight"

	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// reader remembers what one plan has read, so that a digest is read once.
type reader struct {
	source *registry.Client
	slots  chan struct{}

	mu        sync.Mutex
	manifests map[string]registry.Manifest // by digest
	created   map[string]time.Time         // by manifest digest

	flights singleflight.Group
}

func newReader(source *registry.Client, width int) *reader {
	return &reader{
		source: source, slots: make(chan struct{}, width),
		manifests: make(map[string]registry.Manifest), created: make(map[string]time.Time),
	}
}

// slot waits for one of the places for requests.
func (r *reader) slot(ctx context.Context) (release func(), err error) {
	select {
	case r.slots <- struct{}{}:
		return func() { <-r.slots }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// tag reads the manifest behind a tag. Digest and content come in one answer,
// so a tag that moves meanwhile cannot mix two images.
func (r *reader) tag(ctx context.Context, repository, tag string) (registry.Manifest, error) {
	release, err := r.slot(ctx)
	if err != nil {
		return registry.Manifest{}, err
	}
	defer release()
	m, err := r.source.Manifest(ctx, repository, tag)
	if err == nil {
		r.keep(m)
	}
	return m, err
}

// head asks only which digest is behind a tag.
func (r *reader) head(ctx context.Context, repository, tag string) (registry.Descriptor, error) {
	release, err := r.slot(ctx)
	if err != nil {
		return registry.Descriptor{}, err
	}
	defer release()
	return r.source.Head(ctx, repository, tag)
}

// digest reads a manifest by digest, unless it has been read before.
func (r *reader) digest(ctx context.Context, repository, digest string) (registry.Manifest, error) {
	if m, ok := r.kept(digest); ok {
		return m, nil
	}
	asked := ""
	v, err, _ := r.flights.Do(digest, func() (any, error) {
		asked = repository
		// An earlier flight may have landed since the look above.
		if m, ok := r.kept(digest); ok {
			return m, nil
		}
		return r.tag(ctx, repository, digest)
	})
	if registry.IsGone(err) && asked != repository {
		// Somebody asked in his own repository; ours may have it.
		m, err := r.tag(ctx, repository, digest)
		return m, err
	}
	if err != nil {
		return registry.Manifest{}, err
	}
	return v.(registry.Manifest), nil
}

func (r *reader) kept(digest string) (m registry.Manifest, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	m, ok = r.manifests[digest]
	return m, ok
}

func (r *reader) keep(m registry.Manifest) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.manifests[m.Digest] = m
}

// builtAt returns when an image was built, by its config; of an index, by its
// first child's. It is zero if the image does not say, also where a build sets
// the clock to 1970 or 1980 to be reproducible.
func (r *reader) builtAt(ctx context.Context, repository string, m registry.Manifest) (time.Time, error) {
	r.mu.Lock()
	t, ok := r.created[m.Digest]
	r.mu.Unlock()
	if ok {
		return t, nil
	}
	v, err, _ := r.flights.Do("created "+m.Digest, func() (any, error) { return r.readCreated(ctx, repository, m, 0) })
	t, _ = v.(time.Time)
	if registry.IsGone(err) {
		err = nil // a broken image is found out when its turn comes
	}
	if err == nil {
		r.mu.Lock()
		r.created[m.Digest] = t
		r.mu.Unlock()
	}
	return t, err
}

func (r *reader) readCreated(ctx context.Context, repository string, m registry.Manifest, depth int) (time.Time, error) {
	if m.Kind == registry.KindIndex && len(m.Children) > 0 && depth < maxDepth {
		child, err := r.digest(ctx, repository, m.Children[0].Digest)
		if err != nil {
			return time.Time{}, err
		}
		return r.readCreated(ctx, repository, child, depth+1)
	}
	if m.Config == nil || m.Config.MediaType != registry.MediaTypeImageConfig && m.Config.MediaType != registry.MediaTypeDockerConfig {
		return time.Time{}, nil
	}
	release, err := r.slot(ctx)
	if err != nil {
		return time.Time{}, err
	}
	defer release()
	raw, err := r.source.Small(ctx, repository, *m.Config, 8<<20)
	if err != nil {
		return time.Time{}, err
	}
	var config struct {
		Created time.Time `json:"created"`
	}
	if json.Unmarshal(raw, &config) != nil || config.Created.Year() <= 1980 {
		return time.Time{}, nil
	}
	return config.Created.UTC(), nil
}

// each calls f for every element, several side by side; the first error ends it.
func each[T any](ctx context.Context, width int, list []T, f func(context.Context, T) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(width)
	for _, v := range list {
		g.Go(func() error { return f(ctx, v) })
	}
	return g.Wait()
}
