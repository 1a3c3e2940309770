package jobs

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Configure makes sure that the project has its ECR repository and that its
// CI/CD variables point there: what "Update configuration" in the PaaS console
// does. ECR's permissions hold for the project's path, so a project that was
// moved needs it again.
type Configure struct{ *survey }

// Run implements Step.
func (s *Configure) Run(ctx context.Context, t *Task) (Outcome, error) {
	name, err := naming.RepositoryName(t.Project.Path)
	if err != nil {
		return Attention("repository-name", err.Error(), "ask the platform team for a repository name that ECR allows"), nil
	}
	lack, err := s.lacking(ctx, t, name)
	if err != nil {
		return Outcome{}, err
	}
	if lack == "" {
		lack, err = s.unknownToAWS(ctx, t)
		if err != nil {
			return Outcome{}, err
		}
	}
	if lack == "" {
		return Done("the repository and the variables are there"), nil
	}

	if err := s.keepVariables(ctx, t); err != nil {
		return Outcome{}, err
	}
	switch s.Settings.Configure {
	case "console":
		if err := t.Record(ctx, "console", "update-configuration", "", "%s: %s", t.Project.Path, lack); err != nil {
			return Outcome{}, err
		}
		if err := s.Console.UpdateConfiguration(ctx, t.Project.ID, t.Project.Path); err != nil {
			return Outcome{}, err
		}
	case "self":
		if err := s.configure(ctx, t, name); err != nil {
			return Outcome{}, err
		}
	default:
		return Attention("update-configuration", lack,
			"run Update configuration for "+t.Project.Path+" in the PaaS console (console.paas.sikt.no), then enqueue the project again"), nil
	}

	// What counts is the effect, as GitLab and ECR see it.
	after, err := s.lacking(ctx, t, name)
	if err != nil {
		return Outcome{}, err
	}
	if after != "" {
		return Outcome{}, fault.New(fault.Transient, "configuration-without-effect", "after Update configuration: %s", after).
			WithRemedy("look at the project in the PaaS console: its configuration did not take effect")
	}
	return Done("configured: " + lack), nil
}

// unknownToAWS says that the attempt before failed because AWS knows the project
// by another path than its present one, "" if it did not. Which path the console
// has registered shows in neither GitLab nor ECR: only the refused pipeline tells.
func (s *Configure) unknownToAWS(ctx context.Context, t *Task) (string, error) {
	attempts, err := t.store.Migrations(ctx, t.Project.ID)
	if err != nil {
		return "", err
	}
	for _, m := range attempts { // the latest first
		if m.ID >= t.Migration.ID {
			continue
		}
		if m.Reason == string(diagnose.ProjectMoved) {
			return "AWS refused pipelines of " + t.Project.Path + ", because it knows the project by another path", nil
		}
		break
	}
	return "", nil
}

// switchedKeys are the variables that Update configuration changes.
var switchedKeys = []string{"CI_REGISTRY", "CI_REGISTRY_IMAGE", "KUBE_NAMESPACE"}

// keepVariables stores the variables as they are now, for a rollback. Those that
// point to ECR already are not what was before: an earlier attempt set them, or
// the project's owners, who did not get them from us.
func (s *Configure) keepVariables(ctx context.Context, t *Task) error {
	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return err
	}
	if strings.HasPrefix(value(vars, "CI_REGISTRY_IMAGE"), s.Settings.ECRHost+"/") {
		return nil
	}
	var rows []store.Variable
	for _, key := range switchedKeys {
		row := store.Variable{Key: key}
		for _, v := range vars {
			if v.Key == key && (v.Scope == "" || v.Scope == gitlab.EveryEnvironment) {
				row = store.Variable{Key: key, Existed: true, Value: v.Value, Protected: v.Protected, Raw: v.Raw}
				if v.Masked || v.Hidden {
					row.Key = ""
				}
			}
		}
		if row.Key != "" {
			rows = append(rows, row)
		}
	}
	return t.store.KeepVariables(ctx, t.Migration.ID, rows)
}

// lacking says what is missing between the project and its repository, "" for
// nothing, and notes the repository in the migration.
func (s *Configure) lacking(ctx context.Context, t *Task, name string) (string, error) {
	vars, err := s.GitLab.Variables(ctx, t.Project.ID)
	if err != nil {
		return "", err
	}
	image := value(vars, "CI_REGISTRY_IMAGE")
	was, moved := naming.Moved(t.Project.Path, image, s.Settings.ECRHost)
	switch {
	case image == "":
		return "CI_REGISTRY_IMAGE is not set for the project", nil
	case moved:
		return fmt.Sprintf("CI_REGISTRY_IMAGE points to the repository %s: the project was moved or renamed since", was), nil
	case was == "":
		return "CI_REGISTRY_IMAGE points to " + image + ", which is not in ECR", nil
	}
	repo, err := s.ECR.Repository(ctx, name)
	if errors.Is(err, ecr.ErrRepositoryNotFound) {
		return "the repository " + name + " does not exist in ECR", nil
	}
	if err != nil {
		return "", err
	}
	t.Migration.Repository = repo.Name
	t.Migration.RepositoryURI = s.Settings.ECRHost + "/" + repo.Name
	return "", nil
}

// configure does what the console would do.
func (s *Configure) configure(ctx context.Context, t *Task, name string) error {
	if err := t.Record(ctx, "ecr", "ensure-repository", "", "%s", name); err != nil {
		return err
	}
	if _, _, err := s.ECR.EnsureRepository(ctx, name); err != nil {
		return err
	}
	for key, v := range map[string]string{"CI_REGISTRY": s.Settings.ECRHost, "CI_REGISTRY_IMAGE": s.Settings.ECRHost + "/" + name} {
		changed, err := s.GitLab.SetVariable(ctx, t.Project.ID, gitlab.Variable{Key: key, Value: v})
		if err != nil {
			return err
		}
		if changed {
			if err := t.Record(ctx, "gitlab", "variable-set", "", "%s=%s", key, v); err != nil {
				return err
			}
		}
	}
	return nil
}
