package copy

import (
	"context"
	"errors"
	"fmt"

	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

const (
	putTries  = 4
	healTries = 2
	// looks is how often ECR is asked before its list is believed not to hold
	// what has been written: a list may lag. With the pauses that is about 8 s.
	looks = 5
)

// put writes a manifest under a tag, or under its digest. If the tag turns out
// to be taken, held is the digest that holds it.
func (r *run) put(ctx context.Context, n *node, reference string) (state State, held string, err error) {
	healed, uncertain := 0, false
	for try := 1; ; try++ {
		err := r.post(ctx, n, reference)
		switch {
		case err == nil:
			r.meter.manifests.Add(1)
			return Copied, n.Digest, nil
		case ctx.Err() != nil:
			return "", "", context.Cause(ctx)
		case errors.Is(err, registry.ErrTagExists):
			return r.taken(ctx, n, reference, uncertain)
		case errors.Is(err, registry.ErrBlobMissing) && healed < healTries:
			healed++
			if err := r.heal(ctx, n); err != nil {
				return "", "", err
			}
			continue
		case !passing(err), try >= putTries:
			return "", "", err
		}
		// The answer may have been lost after the manifest was taken in.
		uncertain = true
		if err := pause(ctx, try, err); err != nil {
			return "", "", err
		}
	}
}

// post writes a manifest at the pace that the quota allows.
func (r *run) post(ctx context.Context, n *node, reference string) error {
	m := registry.Manifest{Descriptor: registry.Descriptor{MediaType: n.MediaType, Digest: n.Digest, Size: int64(len(n.Body))}, Body: n.Body}
	// Few at a time: of what is on its way when a quota ends, all is refused.
	select {
	case r.engine.puts <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	err := r.engine.target.PutManifest(ctx, r.plan.Target, reference, m)
	<-r.engine.puts
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	r.meter.taken(err)
	return err
}

// taken looks who holds a tag that could not be written. ECR refuses a second
// push of the same digest too.
func (r *run) taken(ctx context.Context, n *node, reference string, ours bool) (State, string, error) {
	if reference == n.Digest {
		return Present, n.Digest, nil
	}
	var image ecr.Image
	ok := false
	for look := 1; ; look++ {
		found, err := r.engine.ecr.ImagesByTag(ctx, r.plan.Target, []string{reference})
		if err != nil {
			return "", "", err
		}
		if image, ok = found[reference]; ok || look == looks {
			break
		}
		if err := pause(ctx, look, nil); err != nil {
			return "", "", err
		}
	}
	switch {
	case !ok:
		return "", "", fault.New(fault.Transient, "ecr-inconsistent", "tag %s is refused as taken, but nothing holds it", reference)
	case image.Digest != n.Digest:
		return Conflict, image.Digest, nil
	case ours:
		return Copied, n.Digest, nil
	}
	return Present, n.Digest, nil
}

// verify compares what was copied with what ECR says it holds.
func (r *run) verify(ctx context.Context) error {
	wrong, err := r.mismatches(ctx)
	for look := 1; err == nil && len(wrong) > 0 && look < looks; look++ {
		if err := pause(ctx, look, nil); err != nil {
			return err
		}
		wrong, err = r.mismatches(ctx)
	}
	if err != nil {
		return fmt.Errorf("verifying: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, why := range wrong {
		image := &r.images[i]
		image.State, image.Reason = Failed, "verify-mismatch: "+why
		r.tell(*image)
		if r.err == nil {
			r.err = fault.New(fault.Transient, "verify-mismatch", "%s: %s", image.TargetTag, why).
				WithRemedy("copy again; if it stays, compare the image in ECR by hand")
		}
	}
	return nil
}

// mismatches returns why each row that counts as copied is not, by its place.
func (r *run) mismatches(ctx context.Context) (map[int]string, error) {
	held, err := r.engine.ecr.Images(ctx, r.plan.Target)
	if err != nil {
		return nil, err
	}
	digests, tags := make(map[string]bool, len(held)), make(map[string]string, len(held))
	for _, h := range held {
		digests[h.Digest] = true
		for _, tag := range h.Tags {
			tags[tag] = h.Digest
		}
	}
	wrong := make(map[int]string)
	for i, image := range r.images {
		if image.State != Copied {
			continue
		}
		if image.TargetTag != "" && tags[image.TargetTag] != image.SourceDigest {
			wrong[i] = fmt.Sprintf("ECR holds %q under the tag, it should be %s", tags[image.TargetTag], image.SourceDigest)
		} else if lost := r.missing(image.SourceDigest, digests); lost != "" {
			wrong[i] = "ECR does not list " + lost
		}
	}
	return wrong, nil
}

// missing returns a manifest of this tree that is not at the target, or "".
func (r *run) missing(digest string, held map[string]bool) string {
	if !held[digest] {
		return digest
	}
	if n := r.nodes[digest]; n != nil {
		for _, c := range n.Children {
			if lost := r.missing(c, held); lost != "" {
				return lost
			}
		}
	}
	return ""
}
