package reports

import (
	"fmt"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Copy is how far a copy of images is. Its row is written every few seconds
// while the copy runs.
type Copy struct {
	Images     int        `json:"images"` // to copy
	ImagesDone int        `json:"images_done"`
	Bytes      int64      `json:"bytes"` // of blobs to move, each once
	BytesDone  int64      `json:"bytes_done"`
	Writes     int        `json:"writes"` // of manifests and tags, which ECR counts
	WritesDone int        `json:"writes_done"`
	Rate       float64    `json:"bytes_per_second"`
	EndsAt     *time.Time `json:"ends_at"` // estimate; null while there is none
	StartedAt  time.Time  `json:"started_at"`
	UpdatedAt  time.Time  `json:"updated_at"`
	EndedAt    *time.Time `json:"ended_at"`
}

func copyOf(c store.Copying) *Copy {
	return &Copy{
		Images: c.Images, ImagesDone: c.ImagesDone, Bytes: c.Bytes, BytesDone: c.BytesDone, Writes: c.Writes, WritesDone: c.WritesDone,
		Rate: c.Rate, EndsAt: c.EndsAt, StartedAt: c.StartedAt, UpdatedAt: c.UpdatedAt, EndedAt: c.EndedAt,
	}
}

// silent is after how long a running copy that is not written any more is
// worth a word.
const silent = 30 * time.Second

// watch adds how far a running copy is to what is said of the project.
func (p *Project) watch(c store.Copying, at time.Time) {
	p.Copy = copyOf(c)
	if c.EndedAt != nil || p.State != string(store.StateRunning) {
		return
	}
	p.Why = fmt.Sprintf("copying: %d of %d images, %s of %s", c.ImagesDone, c.Images, size(c.BytesDone), size(c.Bytes))
	if c.Rate >= 1 {
		p.Why += ", " + size(int64(c.Rate)) + "/s"
	}
	switch {
	case at.Sub(c.UpdatedAt) > silent:
		p.Why += ", nothing heard for " + at.Sub(c.UpdatedAt).Round(time.Second).String()
	case c.EndsAt != nil:
		p.Why += ", about " + max(time.Second, c.EndsAt.Sub(at).Round(time.Second)).String() + " left"
	}
}
