package sandbox

import (
	"context"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// PushOld pushes an image with this content to the old registry, as a pipeline
// that still builds there does, and returns its digest.
func (w *World) PushOld(ctx context.Context, repository, tag, content string) (digest string, err error) {
	user, pass := w.Old.Pipeline(repository)
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"app/content": content}}, Platform: "linux/amd64"})
	return image.Digest(), w.remote(func(string) (string, string, bool) { return user, pass, true }).
		Push(ctx, w.Old.Name, repository, tag, image)
}

// PushOldIndex pushes an index with a child for amd64 and one for arm64, each with
// its content, to the old registry, and returns its digest.
func (w *World) PushOldIndex(ctx context.Context, repository, tag, amd64, arm64 string) (digest string, err error) {
	user, pass := w.Old.Pipeline(repository)
	index := platforms(amd64, arm64)
	return index.Digest(), w.remote(func(string) (string, string, bool) { return user, pass, true }).
		Push(ctx, w.Old.Name, repository, tag, index)
}

// PushECRIndex does the same to a project's ECR repository, as its pipeline does.
func (w *World) PushECRIndex(ctx context.Context, project, repository, tag, amd64, arm64 string) (digest string, err error) {
	user, pass := w.ECR.PipelineToken(project, repository)
	index := platforms(amd64, arm64)
	return index.Digest(), w.remote(func(string) (string, string, bool) { return user, pass, true }).
		Push(ctx, w.ECR.Registry, repository, tag, index)
}

func platforms(amd64, arm64 string) oci.Image {
	return oci.Index(
		oci.Build(oci.Spec{Layers: []oci.Layer{{"app/content": amd64}}, Platform: "linux/amd64"}),
		oci.Build(oci.Spec{Layers: []oci.Layer{{"app/content": arm64}}, Platform: "linux/arm64"}))
}

// PushECR pushes an image with this content to a project's ECR repository, as
// its pipeline does, and returns its digest.
func (w *World) PushECR(ctx context.Context, project, repository, tag, content string) (digest string, err error) {
	user, pass := w.ECR.PipelineToken(project, repository)
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"app/content": content}}, Platform: "linux/amd64"})
	return image.Digest(), w.remote(func(string) (string, string, bool) { return user, pass, true }).
		Push(ctx, w.ECR.Registry, repository, tag, image)
}
