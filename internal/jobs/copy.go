package jobs

import (
	"context"
	"fmt"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Copy brings the project's images from the old registry into its repository.
// The engine looks before it pushes, so a second run copies only what is missing.
type Copy struct{ *survey }

// saveEvery is how often progress is written while a copy runs: often enough to
// watch, cheap enough for a thousand of them.
const saveEvery = time.Second

// Run implements Step.
func (s *Copy) Run(ctx context.Context, t *Task) (Outcome, error) {
	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return Outcome{}, err
	}
	prop, err := s.propose(ctx, t, vars)
	if err != nil {
		return Outcome{}, err
	}
	plan, err := s.plan(ctx, t, prop, vars)
	if err != nil {
		return Outcome{}, err
	}
	rows := &imageRows{task: t, latest: map[string]store.Image{}}
	for _, i := range plan.Images {
		rows.note(i)
	}
	if err := rows.save(ctx); err != nil {
		return Outcome{}, err
	}
	if n := rows.count(store.ImagePlanned); n > 0 {
		if err := t.Record(ctx, "ecr", "copy-images", "", "%d images to %s", n, t.Migration.RepositoryURI); err != nil {
			return Outcome{}, err
		}
	}
	var saveErr error
	last := time.Now()
	err = s.Engine.Execute(ctx, plan, func(i imagecopy.Image) {
		rows.note(i)
		if saveErr == nil && time.Since(last) > saveEvery {
			saveErr = rows.save(ctx)
			last = time.Now()
		}
	})
	// What is done is done: its rows are written even when the copy broke off.
	bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := rows.save(bg); e != nil && saveErr == nil {
		saveErr = e
	}
	if err != nil {
		return Outcome{}, err
	}
	if saveErr != nil {
		return Outcome{}, saveErr
	}
	if failed := rows.first(store.ImageFailed); failed != nil {
		return Outcome{}, fault.New(fault.Unclassified, "images-failed", "%d images could not be copied, such as %s:%s: %s",
			rows.count(store.ImageFailed), failed.SourceRepository, failed.SourceTag, failed.Reason).
			WithRemedy("see the project's images; when the cause is gone, enqueue the project again")
	}
	findings, err := s.imageFindings(ctx, t, prop, vars)
	if err != nil {
		return Outcome{}, err
	}
	o := Done(fmt.Sprintf("%d images copied, %d there already, %d left out", rows.count(store.ImageCopied), rows.count(store.ImagePresent), rows.count(store.ImageLeftOut)))
	o.Findings = append([]store.Finding{}, findings...)
	return o, nil
}

// imageRows gathers the states of images between two writes to Postgres.
type imageRows struct {
	task   *Task
	latest map[string]store.Image // all, by source
	dirty  []string
}

func (r *imageRows) note(i imagecopy.Image) {
	tag := i.SourceTag
	if tag == "" {
		tag = "@" + i.SourceDigest // a referrer has no tag; its digest identifies it
	}
	key := i.SourceRepository + ":" + tag
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
