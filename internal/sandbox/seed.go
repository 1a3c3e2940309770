package sandbox

import (
	"context"
	"fmt"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/templates"
)

// Seed gives the world its history: the platform's template projects, and each
// sample with its images, its pipeline on the old registry (really run) and
// what its owners did since.
func (w *World) Seed(ctx context.Context, all []samples.Sample) error {
	for path, files := range templates.Projects() {
		if _, err := w.GitLab.AddProject(gitlab.Seed{Path: path, Files: files, Visibility: "internal", CIDisabled: true}); err != nil {
			return err
		}
		for _, tag := range templates.Releases()[path] {
			if err := w.GitLab.AddTag(path, tag, "main"); err != nil {
				return err
			}
		}
	}
	for _, s := range all {
		if err := w.SeedSample(ctx, s); err != nil {
			return fmt.Errorf("sample %s: %w", s.Name, err)
		}
	}
	return nil
}

// SeedSample adds one sample.
func (w *World) SeedSample(ctx context.Context, s samples.Sample) error {
	for i, img := range s.Images {
		if err := w.seedImage(ctx, s, img, i); err != nil {
			return fmt.Errorf("image %s:%s: %w", img.Repository, img.Tag, err)
		}
	}
	seed := gitlab.Seed{Path: s.Path, DefaultBranch: s.Branch, Files: s.Files, Empty: s.Empty, Message: "First version"}
	id, err := w.GitLab.AddProject(seed)
	if err != nil {
		return err
	}
	if s.Configured {
		// ECR and GitLab must not show the same instant: whoever compares the
		// repository's age with a pipeline's sees an order.
		if _, err := w.Console.Update(ctx, id); err != nil {
			return err
		}
	}
	if s.RunsPipeline() && !s.Empty {
		if _, err := w.GitLab.RunPipeline(s.Path, s.Branch); err != nil {
			return err
		}
		if err := w.idle(ctx); err != nil {
			return err
		}
		for _, job := range s.Play {
			if err := w.GitLab.Play(s.Path, job); err != nil {
				return err
			}
			if err := w.idle(ctx); err != nil {
				return err
			}
		}
	}
	if s.Protected {
		if err := w.GitLab.Protect(s.Path, gitlab.ProtectedBranch{Name: s.Branch, Push: gitlab.NoAccess, Merge: gitlab.Maintainer}); err != nil {
			return err
		}
	}
	if s.MoveTo != "" {
		if err := w.GitLab.Transfer(s.Path, s.MoveTo); err != nil {
			return err
		}
	}
	if s.Archived {
		return w.GitLab.Archive(s.FinalPath(), true)
	}
	return nil
}

func (w *World) idle(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return w.GitLab.WaitIdle(ctx)
}

// seedImage pushes one image of a sample's history to the old registry.
func (w *World) seedImage(ctx context.Context, s samples.Sample, img samples.Image, i int) error {
	r := w.remote(func(string) (string, string, bool) {
		// As if a pipeline of that very name had pushed it.
		user, pass := w.Old.Pipeline(img.Repository)
		return user, pass, true
	})
	name := img.Tag
	if img.Same != "" {
		same, err := r.Pull(ctx, w.Old.Name, img.Repository, img.Same)
		if err != nil {
			return err
		}
		return r.Push(ctx, w.Old.Name, img.Repository, img.Tag, same)
	}
	spec := func(platform string) oci.Spec {
		return oci.Spec{
			Layers: []oci.Layer{
				{"etc/os-release": "ID=sample\n"}, // shared by all: base layers are
				{"app/" + s.Name: fmt.Sprintf("%s %s %s\n", img.Repository, name, platform)},
			},
			Platform: platform,
			Docker:   img.Kind == "schema2",
			Created:  time.Date(2025, 1, 1+i, 12, 0, 0, 0, time.UTC),
		}
	}
	image := oci.Build(spec("linux/amd64"))
	if img.Kind == "index" {
		arm := oci.Build(spec("linux/arm64"))
		image = oci.Index(image, arm, oci.Attestation(image))
	}
	if err := r.Push(ctx, w.Old.Name, img.Repository, img.Tag, image); err != nil {
		return err
	}
	if !img.Signed {
		return nil
	}
	tag, signature := oci.Signature(image)
	if err := r.Push(ctx, w.Old.Name, img.Repository, tag, signature); err != nil {
		return err
	}
	return r.Push(ctx, w.Old.Name, img.Repository, "", oci.Referrer(image, "application/spdx+json", []byte(`{"spdxVersion":"SPDX-2.3"}`)))
}
