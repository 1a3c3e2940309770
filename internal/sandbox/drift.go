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

// PushECR pushes an image with this content to a project's ECR repository, as
// its pipeline does, and returns its digest.
func (w *World) PushECR(ctx context.Context, project, repository, tag, content string) (digest string, err error) {
	user, pass := w.ECR.PipelineToken(project, repository)
	image := oci.Build(oci.Spec{Layers: []oci.Layer{{"app/content": content}}, Platform: "linux/amd64"})
	return image.Digest(), w.remote(func(string) (string, string, bool) { return user, pass, true }).
		Push(ctx, w.ECR.Registry, repository, tag, image)
}
