package jobs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/cluster"
	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// plan asks the copy engine what it would do for the project, and writes nothing.
// known is what earlier copies saw and brought over, so that only what is new
// costs requests; without it every tag is compared anew.
func (s *survey) plan(ctx context.Context, t *Task, prop *proposal, vars []gitlab.Variable, known map[string]string) (imagecopy.Plan, error) {
	policy, err := policyOf(t.Migration.Policy)
	if err != nil {
		return imagecopy.Plan{}, err
	}
	images, err := imagecopy.ParsePolicy(policy.Images)
	if err != nil {
		return imagecopy.Plan{}, fault.New(fault.Permanent, "bad-policy", "%w", err)
	}
	repositories, err := t.store.RepositoriesOf(ctx, t.Project.ID)
	if err != nil {
		return imagecopy.Plan{}, err
	}
	target := t.Migration.Repository
	if target == "" {
		if target, err = naming.RepositoryName(t.Project.Path); err != nil {
			return imagecopy.Plan{}, fault.New(fault.Attention, "repository-name", "%w", err)
		}
	}
	req := imagecopy.Request{Target: target, Policy: images, Known: known, InUse: map[string]string{}}
	for _, r := range repositories {
		req.Sources = append(req.Sources, imagecopy.Source{Repository: r.Name, Name: r.ImageName})
	}
	for _, ref := range prop.result.References {
		// A reference that holds a variable names no image by itself.
		if name, ok := strings.CutPrefix(ref, s.Settings.OldHost+"/"); ok && !strings.Contains(name, "$") {
			req.InUse[name] = named
		}
	}
	workloads, err := s.workloads(ctx, t, vars)
	if err != nil {
		return imagecopy.Plan{}, err
	}
	for _, w := range workloads {
		for _, c := range w.Containers {
			if name, ok := strings.CutPrefix(c.Image, s.Settings.OldHost+"/"); ok {
				req.InUse[name] = "runs as " + w.Kind + " " + w.Name
			}
		}
	}
	if req.Moving, err = s.moving(ctx, t, prop); err != nil {
		return imagecopy.Plan{}, err
	}
	plan, err := s.Engine.Plan(ctx, req)
	// What only a file names and the old registry does not hold is no loss:
	// nothing runs it, and many such names are of images yet to be built.
	plan.Images = slices.DeleteFunc(plan.Images, func(i imagecopy.Image) bool {
		return i.State == imagecopy.Gone && req.InUse[i.SourceRepository+":"+i.SourceTag] == named
	})
	t.images = plan
	return plan, err
}

// named says why an image counts as in use.
const named = "named in the project's files"

// wandering are tags that by their name move from image to image.
var wandering = map[string]bool{
	"latest": true, "edge": true, "nightly": true, "dev": true, "develop": true, "development": true,
	"main": true, "master": true, "staging": true, "production": true, "prod": true, "test": true, "testing": true,
}

// moving returns the judge of tags that must stay free in ECR: there a tag can
// be pushed once, so a copied one would make the pipeline fail that pushes it
// next.
func (s *survey) moving(ctx context.Context, t *Task, prop *proposal) (func(tag string) string, error) {
	branches, err := s.GitLab.Branches(ctx, t.Project.ID)
	if err != nil {
		return nil, err
	}
	slugs := map[string]string{}
	for _, b := range branches {
		slugs[slug(b.Name)] = b.Name
	}
	// Without a commit of ours the next pipeline runs on the present head, and
	// pushes what is tagged with it.
	rebuilt := ""
	if len(prop.result.Edits) == 0 && len(prop.head.SHA) >= 8 {
		rebuilt = prop.head.SHA[:8]
	}
	return func(tag string) string {
		switch branch, ok := slugs[tag]; {
		case wandering[strings.ToLower(tag)]:
			return "the tag moves from image to image, and the pipeline will push it again"
		case ok:
			return "the tag is that of branch " + branch + ", which moves"
		case rebuilt != "" && strings.Contains(tag, rebuilt):
			return "the next pipeline runs on this commit and pushes this tag itself"
		}
		return ""
	}, nil
}

// slug is GitLab's CI_COMMIT_REF_SLUG: lower case, 63 bytes at most, everything
// but letters and digits a dash, none at the ends.
// See https://docs.gitlab.com/ci/variables/predefined_variables/.
func slug(ref string) string {
	b := []byte(strings.ToLower(ref))
	for i, c := range b {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			b[i] = '-'
		}
	}
	return strings.Trim(string(b[:min(len(b), 63)]), "-")
}

// namespace is where the project's workloads run.
func namespace(t *Task, vars []gitlab.Variable) string {
	if v := value(vars, "KUBE_NAMESPACE"); v != "" {
		return v
	}
	return strings.ToLower(strings.ReplaceAll(t.Project.Path, "/", "-"))
}

// workloads returns what runs in the project's namespace, nothing without a cluster.
func (s *survey) workloads(ctx context.Context, t *Task, vars []gitlab.Variable) ([]cluster.Workload, error) {
	if s.Cluster == nil {
		return nil, nil
	}
	return s.Cluster.Workloads(ctx, namespace(t, vars))
}

// imageFindings says what went wrong, or would go wrong, with images.
func (s *survey) imageFindings(ctx context.Context, t *Task, images []imagecopy.Image) ([]store.Finding, error) {
	var out []store.Finding
	for _, i := range images {
		source := i.SourceRepository + ":" + i.SourceTag
		f := store.Finding{File: "", Text: source, Owner: "project"}
		switch i.State {
		case imagecopy.Collision:
			f.Code, f.Severity = "tag-collision", store.Blocking
			f.Message = fmt.Sprintf("%s would become the tag %s, and so would another image: %s", source, i.TargetTag, i.Reason)
			f.Remedy = "rename one of the images or tags in the old registry and in the pipeline, then enqueue the project again"
		case imagecopy.Invalid:
			f.Code, f.Severity = "image-invalid", store.Warning
			f.Message = fmt.Sprintf("%s cannot be copied as it is: %s", source, i.Reason)
			f.Remedy = "build the image again, or do without it"
			if _, err := naming.Tag(i.Name, i.SourceTag); err != nil && i.SourceTag != "" {
				f.Code, f.Message = "tag-invalid", fmt.Sprintf("%s cannot become a tag in ECR: %s", source, i.Reason)
				f.Remedy = "give the image a shorter or simpler name in the pipeline"
			}
		case imagecopy.Conflict:
			f.Code, f.Severity = "tag-conflict", store.Warning
			f.Message = fmt.Sprintf("%s is not copied: ECR holds another image under %s (%s)", source, i.TargetTag, i.Reason)
			f.Remedy = "nothing, if ECR's image is the newer build; ECR never overwrites a tag"
		default:
			continue
		}
		out = append(out, f)
	}
	repositories, err := t.store.AmbiguousRepositories(ctx, t.Project.Path)
	if err != nil {
		return nil, err
	}
	for _, r := range repositories {
		out = append(out, store.Finding{
			Code: "ambiguous-repository", Severity: store.Blocking, Owner: "platform", Text: r.Name,
			Message: "the old repository " + r.Name + " may belong to " + strings.Join(r.Candidates, " or "),
			Remedy:  "say whose it is in the file of ECRFERRY_OLD_REGISTRY_ALIASES, then enqueue the project again",
		})
	}
	return out, nil
}
