package reconcile

import (
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// use is a reference to an image of the project's ECR repository.
type use struct {
	by        string // who refers to it
	reference string // tag or digest
	running   []string
}

// images compares ECR with what refers to it and with what was copied there.
func (j *judge) images() {
	ecr := j.p.ECR
	referred := map[string]bool{}
	var lost, differs, expired []string
	for _, u := range j.references() {
		referred[u.reference] = true
		digest, there := ecr.Tags[u.reference]
		if strings.HasPrefix(u.reference, "sha256:") {
			digest, there = u.reference, slices.Contains(ecr.Digests, u.reference)
		}
		if !there {
			lost = append(lost, u.by+" names "+u.reference)
			continue
		}
		for _, d := range u.running {
			// What a pod of one platform runs is a part of the index that the tag names.
			if d != digest && !slices.Contains(ecr.Digests, d) {
				differs = append(differs, u.by+" runs "+brief(d)+", and "+u.reference+" is "+brief(digest))
			}
		}
	}
	for _, i := range j.e.Images {
		if i.Tag == "" {
			continue
		}
		switch digest, there := ecr.Tags[i.Tag]; {
		case there && digest != i.Digest:
			differs = append(differs, i.Tag+" is "+brief(digest)+", and "+brief(i.Digest)+" was copied there from "+i.Old)
		case !there && !referred[i.Tag] && ecr.Exists: // that the repository is gone is told
			expired = append(expired, i.Tag)
		}
	}
	if len(lost) > 0 {
		f := find(Lost, false, count(len(lost), "image is", "images are")+" missing in ECR: "+list(lost, 3), lost...)
		if held := j.stillOld(referred); len(held) > 0 {
			f.NeedsOld = true
			f.Detail += "; the old registry still has " + list(held, 3)
		}
		j.add(f)
	}
	if len(differs) > 0 {
		j.add(find(DigestDiffers, false, list(differs, 3), differs...))
	}
	if len(expired) > 0 {
		j.add(find(Expired, false, count(len(expired), "copied image was", "copied images were")+" never used and cleaned up by ECR: "+list(expired, 3), expired...))
	}
}

// references collects who refers to images of the project's repository: what runs,
// and complete names in files.
func (j *judge) references() []use {
	var out []use
	base := j.l.ECRHost + "/" + j.e.Repository
	for _, w := range j.p.Workloads {
		for _, c := range w.Containers {
			if ref, ok := within(c.Image, base); ok {
				out = append(out, use{w.name(), ref, c.Running})
			}
		}
	}
	for _, name := range j.p.NewNames {
		if ref, ok := within(name, base); ok {
			out = append(out, use{by: "a file", reference: ref})
		}
	}
	return out
}

// within returns the tag or digest of an image of this repository.
func within(image, repository string) (reference string, ok bool) {
	r, err := naming.ParseReference(image)
	if err != nil || r.Host+"/"+r.Repository != repository {
		return "", false
	}
	switch {
	case r.Digest != "":
		return r.Digest, true
	case r.Tag != "":
		return r.Tag, true
	}
	return "latest", true
}

// stillOld returns the old images that ECR has lost and that the old registry
// could give again.
func (j *judge) stillOld(referred map[string]bool) []string {
	var out []string
	for _, i := range j.e.Images {
		if !referred[i.Tag] && !referred[i.Digest] {
			continue
		}
		if _, there := j.p.ECR.Tags[i.Tag]; there {
			continue
		}
		if slices.ContainsFunc(j.p.Old, func(t OldTag) bool { return t.name() == i.Old && (t.Digest == "" || t.Digest == i.Digest) }) {
			out = append(out, i.Old)
		}
	}
	return out
}

// brief is a digest as people tell it apart.
func brief(digest string) string {
	if algorithm, hex, ok := strings.Cut(digest, ":"); ok && len(hex) > 12 {
		return algorithm + ":" + hex[:12]
	}
	return digest
}
