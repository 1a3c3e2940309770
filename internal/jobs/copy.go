package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Copy brings the project's images from the old registry into its repository.
// The engine looks before it pushes, so a second run copies only what is missing.
type Copy struct{ *survey }

// saveEvery is how often progress is written while a copy runs: often enough to
// watch, cheap enough for a thousand of them.
const saveEvery = 2 * time.Second

// A copy that is asked for fewer requests gives up its worker, for quotaPause at
// least and for quotaPatience at most.
const (
	quotaPause    = 15 * time.Second
	quotaPatience = 24 * time.Hour
)

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
	rows, err := s.copyImages(ctx, t, prop, vars)
	if errors.Is(err, pace.ErrThrottled) {
		// The quota is the account's: to wait for it is no failure.
		o := Wait("a registry that asks for fewer requests", quotaPatience)
		o.Reason, o.Every = fault.ReasonOf(err), max(fault.RetryAfter(err), quotaPause)
		o.Message = err.Error()
		return o, nil
	}
	if err != nil {
		return Outcome{}, err
	}
	if failed := rows.first(store.ImageFailed); failed != nil {
		return Outcome{}, fault.New(fault.Unclassified, "images-failed", "%d images could not be copied, such as %s:%s: %s",
			rows.count(store.ImageFailed), failed.SourceRepository, failed.SourceTag, failed.Reason).
			WithRemedy("see the project's images; when the cause is gone, enqueue the project again")
	}
	findings, err := s.imageFindings(ctx, t, rows.images())
	if err != nil {
		return Outcome{}, err
	}
	o := Done(fmt.Sprintf("%d images copied, %d there already, %d left out", rows.count(store.ImageCopied), rows.count(store.ImagePresent), rows.count(store.ImageLeftOut)))
	o.Findings = append([]store.Finding{}, findings...)
	return o, nil
}

// copyImages copies what the project's images in ECR lack, and keeps a row for
// each image.
func (s *survey) copyImages(ctx context.Context, t *Task, prop *proposal, vars []gitlab.Variable) (*imageRows, error) {
	// A killed worker's next try, or another attempt at the project, does not
	// ask again about what is done. Tags that have moved since are found by the
	// delta copy and by the reconciliation.
	known, err := t.store.Brought(ctx, t.Project.ID)
	if err != nil {
		return nil, err
	}
	plan, err := s.plan(ctx, t, prop, vars, known)
	if err != nil {
		return nil, err
	}
	return s.execute(ctx, t, plan, "copy-images")
}

// execute carries out a plan and keeps a row for each of its images.
func (s *survey) execute(ctx context.Context, t *Task, plan imagecopy.Plan, event string) (*imageRows, error) {
	rows := &imageRows{task: t, latest: map[string]store.Image{}, now: map[string]imagecopy.Image{}}
	for _, i := range plan.Images {
		rows.note(i)
	}
	if err := rows.save(ctx); err != nil {
		return nil, err
	}
	if n := rows.count(store.ImagePlanned); n > 0 {
		if err := t.Record(ctx, "ecr", event, "", "%d images to %s", n, t.Migration.RepositoryURI); err != nil {
			return nil, err
		}
	}
	c := &copying{rows: rows, ctx: ctx}
	err := s.Engine.Watch(ctx, plan, c.note, c.progress)
	// What is done is done: its rows are written even when the copy broke off.
	bg, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	if e := c.end(bg); err == nil {
		err = e
	}
	return rows, err
}

// delta copies what was pushed to the old registry since the copy, right before
// the project switches: a short second copy, nothing if nothing is new.
func (s *survey) delta(ctx context.Context, t *Task, prop *proposal, vars []gitlab.Variable) error {
	plan, err := s.plan(ctx, t, prop, vars, nil)
	if err != nil {
		return err
	}
	before, err := t.store.Images(ctx, t.Migration.ID)
	if err != nil {
		return err
	}
	known := map[string]store.ImageState{}
	for _, i := range before {
		known[i.SourceRepository+":"+i.SourceTag+" "+i.SourceDigest] = i.State
	}
	// What stands in the rows as it was found by the copy keeps its state: an
	// image that the copy copied is present now, which is no news.
	fresh := false
	plan.Images = slices.DeleteFunc(plan.Images, func(i imagecopy.Image) bool {
		state, ok := known[i.SourceRepository+":"+rowTag(i)+" "+i.SourceDigest]
		fresh = fresh || i.State == imagecopy.Planned
		return ok && i.State != imagecopy.Planned && (string(state) == string(i.State) || i.State == imagecopy.Present)
	})
	if len(plan.Images) == 0 && !fresh {
		return nil
	}
	rows, err := s.execute(ctx, t, plan, "copy-delta")
	if err != nil {
		return err
	}
	if failed := rows.first(store.ImageFailed); failed != nil {
		return fault.New(fault.Unclassified, "images-failed", "an image that was pushed since the copy could not be copied: %s:%s: %s",
			failed.SourceRepository, failed.SourceTag, failed.Reason)
	}
	return nil
}

// rowTag is the tag by which a row knows an image: a referrer has none, its
// digest identifies it.
func rowTag(i imagecopy.Image) string {
	if i.SourceTag == "" {
		return "@" + i.SourceDigest
	}
	return i.SourceTag
}
