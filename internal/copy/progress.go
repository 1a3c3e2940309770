package copy

import (
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// Progress is how far a copy is. The numbers planned are the plan's.
type Progress struct {
	Images     int           `json:"images"` // rows to copy
	ImagesDone int           `json:"images_done"`
	Blobs      int           `json:"blobs"`
	BlobsDone  int           `json:"blobs_done"`
	Bytes      int64         `json:"bytes"`
	BytesDone  int64         `json:"bytes_done"` // of blobs that are there and of those on their way
	Manifests  int           `json:"manifests"`  // writes
	Written    int           `json:"written"`
	Rate       float64       `json:"rate"` // bytes a second, over the last seconds
	Left       time.Duration `json:"left"` // estimate; 0 while there is none
}

// meter counts what has been moved.
type meter struct {
	bytes            atomic.Int64
	blobs, manifests atomic.Int64
	last             atomic.Int64 // when something was last taken in, Unix nanoseconds
}

func (m *meter) taken(err error) {
	if err == nil {
		m.last.Store(time.Now().UnixNano())
	}
}

// tookSince tells whether something was taken in after began.
func (m *meter) tookSince(began time.Time) bool { return time.Unix(0, m.last.Load()).After(began) }

// counted counts the bytes of one try of a blob, and can take them back. A
// transport may go on reading after its request has failed: that counts no more.
type counted struct {
	io.Reader
	meter *meter

	mu   sync.Mutex
	n    int64
	over bool
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		err = &sourced{err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return n, err
	}
	c.n += int64(n)
	c.meter.bytes.Add(int64(n))
	return n, err
}

// end ends the try, and tells how many bytes it took.
func (c *counted) end() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	return c.n
}

// tick is how often progress is told.
const tick = time.Second

// watch tells progress until stop is called, which tells it once more.
func (r *run) watch(progress func(Progress)) (stop func()) {
	if progress == nil {
		return func() {}
	}
	end := make(chan struct{})
	var wait sync.WaitGroup
	wait.Go(func() {
		start := time.Now()
		progress(r.progress(start, 0))
		ticker := time.NewTicker(tick)
		defer ticker.Stop()
		var speed float64
		last, lastBytes := start, int64(0)
		for {
			select {
			case <-end:
				progress(r.progress(start, speed))
				return
			case now := <-ticker.C:
				bytes := r.meter.bytes.Load()
				current := max(0, float64(bytes-lastBytes)/now.Sub(last).Seconds())
				if speed == 0 {
					speed = current
				}
				speed = 0.7*speed + 0.3*current
				last, lastBytes = now, bytes
				progress(r.progress(start, speed))
			}
		}
	})
	return func() { close(end); wait.Wait() }
}

func (r *run) progress(start time.Time, speed float64) Progress {
	f := r.plan.Forecast
	p := Progress{
		Images: f.Count[Planned], Blobs: f.Blobs + f.Mounts, Bytes: f.Bytes + f.MountBytes, Manifests: f.Manifests, Rate: speed,
		BlobsDone: int(r.meter.blobs.Load()), BytesDone: r.meter.bytes.Load(), Written: int(r.meter.manifests.Load()),
	}
	r.mu.Lock()
	for _, i := range r.images {
		if i.State == Planned {
			p.ImagesDone--
		}
	}
	p.ImagesDone += p.Images
	r.mu.Unlock()
	// What is left takes as long as its bytes or its manifests, whichever is slower.
	if left := p.Bytes - p.BytesDone; speed > 0 && left > 0 {
		p.Left = time.Duration(float64(left) / speed * float64(time.Second))
	}
	if left := p.Manifests - p.Written; p.Written > 0 && left > 0 {
		p.Left = max(p.Left, time.Since(start)/time.Duration(p.Written)*time.Duration(left))
	}
	return p
}
