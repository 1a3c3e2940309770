package jobs

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// imageRows gathers the states of images between two writes to Postgres.
type imageRows struct {
	task   *Task
	latest map[string]store.Image     // all, by source
	now    map[string]imagecopy.Image // the same
	dirty  []string
}

func (r *imageRows) note(i imagecopy.Image) {
	tag := rowTag(i)
	key := i.SourceRepository + ":" + tag
	r.now[key] = i
	r.latest[key] = store.Image{
		SourceRepository: i.SourceRepository, SourceTag: tag, SourceDigest: i.SourceDigest, Name: i.Name,
		TargetRepository: i.TargetRepository, TargetTag: i.TargetTag, TargetDigest: i.TargetDigest,
		MediaType: i.MediaType, Bytes: i.Bytes, State: store.ImageState(i.State), Reason: i.Reason,
	}
	r.dirty = append(r.dirty, key)
}

func (r *imageRows) save(ctx context.Context) error {
	seen := map[string]bool{}
	var rows []store.Image
	for _, key := range r.dirty {
		if !seen[key] {
			seen[key] = true
			rows = append(rows, r.latest[key])
		}
	}
	if len(rows) == 0 {
		return nil
	}
	if err := r.task.store.SaveImages(ctx, r.task.Migration.ID, rows); err != nil {
		return err
	}
	r.dirty = r.dirty[:0]
	return nil
}

// images are the rows as the engine has them, by source.
func (r *imageRows) images() []imagecopy.Image {
	var list []imagecopy.Image
	for _, key := range slices.Sorted(maps.Keys(r.latest)) {
		list = append(list, r.now[key])
	}
	return list
}

func (r *imageRows) count(state store.ImageState) int {
	n := 0
	for _, i := range r.latest {
		if i.State == state {
			n++
		}
	}
	return n
}

func (r *imageRows) first(state store.ImageState) *store.Image {
	for _, i := range r.latest {
		if i.State == state {
			return &i
		}
	}
	return nil
}

// copying writes what a running copy does: the images that changed, and how far
// the whole is. It is called by several goroutines, once in saveEvery at most it
// writes, and trouble with the database waits for the end.
type copying struct {
	rows *imageRows
	ctx  context.Context // of the copy

	mu    sync.Mutex
	begun bool
	last  time.Time
	now   imagecopy.Progress
	err   error
}

func (c *copying) note(i imagecopy.Image) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows.note(i)
}

// progress is called about once a second, whatever moves or does not.
func (c *copying) progress(p imagecopy.Progress) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = p
	if time.Since(c.last) >= saveEvery && p.Manifests > 0 && c.err == nil {
		c.err = c.save(c.ctx, false)
	}
}

// end writes the rest. What is done is done: it has a context of its own.
func (c *copying) end(ctx context.Context) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.now.Manifests == 0 {
		return c.rows.save(ctx)
	}
	return c.save(ctx, true)
}

func (c *copying) save(ctx context.Context, ended bool) error {
	if err := c.rows.save(ctx); err != nil {
		return err
	}
	p := c.now
	err := c.rows.task.store.SaveCopying(ctx, store.Copying{
		MigrationID: c.rows.task.Migration.ID,
		Images:      p.Images, ImagesDone: p.ImagesDone, Blobs: p.Blobs, BlobsDone: p.BlobsDone,
		Bytes: p.Bytes, BytesDone: p.BytesDone, Writes: p.Manifests, WritesDone: p.Written, Rate: p.Rate,
	}, p.Left, !c.begun, ended)
	c.begun, c.last = true, time.Now()
	return err
}
