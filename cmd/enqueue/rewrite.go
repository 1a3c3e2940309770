package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path"
	"regexp"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
)

// Exit codes of enqueue rewrite. They differ from those of the other commands:
// a pipeline wants to know whether there is something to do.
const (
	exitChanged   = 1 // files would change, or were changed
	exitAttention = 3 // a person has to act
	exitTrouble   = 4 // it could not be found out, or not be written
)

type rewriteFlags struct {
	project, branch, ciPath   string
	mapping, ref, oldRegistry string
	variables                 []string
	write, json, request      bool
}

func rewriteCommand(env *environment) *cobra.Command {
	var f rewriteFlags
	cmd := &cobra.Command{
		Use:   "rewrite DIR --project GROUP/NAME",
		Short: "Rewrite a checkout's files to ECR's image names, without server or database",
		Long: `Rewrite shows what the move to ECR changes in a project's files: the pipeline,
Dockerfiles, manifests, compose files, scripts. It prints a unified diff and what
a person has to look at, and writes nothing unless told to. It does what the
migration itself does, on a checkout in place of GitLab.

In a git checkout only files that git tracks are read, as they are in the
directory; with --ref, as they are in a commit. Files that the pipeline includes
from other projects cannot be seen; the output names them.

--write puts all changed files in place, or none, and keeps their permissions.
While a finding blocks nothing would change: half a rewrite would build one name
and deploy another.

--mapping names a file that gives image paths to projects whose names do not
show it, a path in the old registry and a project a line:

  public/kart   group/kart

Exit codes: 0 nothing to do, 1 files would change or were changed, 3 needs
attention (a finding blocks, or nothing can be changed and a warning is left),
2 the command line is wrong, 4 anything else.

The findings are explained in docs/findings.md, the JSON in docs/rewriting.md.`,
		Example: `  enqueue rewrite . --project kurs/skjema              look, write nothing
  enqueue rewrite . --project kurs/skjema --write      change the files
  enqueue rewrite . --project kurs/skjema | git apply  the same, by git
  enqueue rewrite . --project kurs/skjema --ref origin/main --json
  enqueue rewrite . --project kurs/skjema --merge-request   what its owners would read
  enqueue rewrite . --project kurs/kart --mapping moved.txt
  enqueue rewrite . --project kurs/skjema --variable TEAM=kurs   a setting of the project`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, env, args[0]) },
	}
	o := cmd.Flags()
	o.StringVar(&f.project, "project", "", "the project's path in GitLab, such as kurs/skjema")
	o.StringVar(&f.branch, "default-branch", "main", "the branch that is deployed")
	o.StringVar(&f.ciPath, "ci-path", ".gitlab-ci.yml", "the pipeline's file, where the project has set another")
	o.StringVar(&f.mapping, "mapping", "", "file of image paths and the projects they belong to (default from ECRFERRY_OLD_REGISTRY_ALIASES)")
	o.StringArrayVar(&f.variables, "variable", nil, "NAME=VALUE, a CI/CD variable from the project's settings (repeat it)")
	o.StringVar(&f.oldRegistry, "old-registry", "", "host name of the old registry (default from ECRFERRY_OLD_REGISTRY, else registry.uninett.no)")
	o.StringVar(&f.ref, "ref", "", "read this branch, tag or commit of the checkout, not the directory")
	o.BoolVar(&f.write, "write", false, "change the files")
	o.BoolVar(&f.request, "merge-request", false, "print the text of the merge request, in Markdown, in place of diff and findings")
	jsonFlag(cmd, &f.json)
	return cmd
}

var projectPath = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_.-]*(/[A-Za-z0-9_.][A-Za-z0-9_.-]*)+$`)

func (f *rewriteFlags) run(cmd *cobra.Command, env *environment, dir string) error {
	wrong := func(format string, args ...any) error {
		return &coded{exitUsage, fmt.Errorf(format+"; see %s --help", append(args, cmd.CommandPath())...)}
	}
	f.ciPath = path.Clean(strings.TrimPrefix(f.ciPath, "/"))
	switch {
	case !projectPath.MatchString(f.project):
		return wrong("--project %q: write the project's path in GitLab, such as kurs/skjema", f.project)
	case f.ciPath == ".." || strings.HasPrefix(f.ciPath, "../"):
		return wrong("--ci-path %s leads out of %s", f.ciPath, dir)
	case f.json && f.request:
		return wrong("--json and --merge-request do not go together")
	case f.ref != "" && f.write:
		return wrong("--write changes the files in the directory and does not go with --ref")
	}
	in, err := f.input(env.getenv)
	if err != nil {
		return wrong("%w", err)
	}
	// What a rewrite holds is little, what it throws away is much: some memory saves a sixth
	// of its processor time, a third where it takes long.
	if env.getenv("GOGC") == "" && env.getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(512 << 20)
	}
	c, err := openCheckout(cmd.Context(), dir)
	if err != nil {
		return wrong("%w", err)
	}
	defer c.close()
	if err := f.gather(cmd.Context(), c, &in); err != nil {
		return &coded{exitTrouble, err}
	}
	if !slices.ContainsFunc(in.Files, func(file ciconfig.File) bool { return file.Path == f.ciPath }) {
		return wrong("%s has no %s%s; name the project's root, or the file with --ci-path", dir, f.ciPath, c.untracked(f.ref))
	}
	res, err := ciconfig.Rewrite(in)
	if err != nil {
		return &coded{exitTrouble, fmt.Errorf("%w. Nothing was written. This is a defect of ecrferry: please report it with the file", err)}
	}
	out := rewritten{in: in, res: res}
	if f.write && len(res.Edits) > 0 {
		if err := c.write(res.Edits); err != nil {
			return &coded{exitTrouble, err}
		}
		out.written = true
	}
	switch {
	case f.json:
		err = printJSON(cmd.OutOrStdout(), out.asJSON())
	case f.request && len(res.Edits) == 0:
		// What would be read is nothing: the findings go to the platform team.
		_, err = fmt.Fprintln(cmd.ErrOrStderr(), "No file changes, so no merge request is opened. Leave --merge-request out to see the findings.")
	case f.request:
		err = jobs.MergeRequestOf(in.Project, res).Markdown(cmd.OutOrStdout())
	default:
		err = out.print(cmd.OutOrStdout(), env.getenv)
	}
	if err != nil {
		return &coded{exitTrouble, err}
	}
	return out.verdict()
}

// input is what is known without looking at the files.
func (f *rewriteFlags) input(getenv func(string) string) (ciconfig.Input, error) {
	in := ciconfig.Input{Project: ciconfig.Project{
		Path: f.project, DefaultBranch: f.branch, CIPath: f.ciPath,
		OldHost: cmp.Or(f.oldRegistry, getenv("ECRFERRY_OLD_REGISTRY"), "registry.uninett.no"),
	}}
	var problems []error
	var aliases map[string]string
	if file := cmp.Or(f.mapping, getenv("ECRFERRY_OLD_REGISTRY_ALIASES")); file != "" {
		var err error
		if aliases, err = config.Aliases(file); err != nil {
			problems = append(problems, fmt.Errorf("--mapping: %w", err))
		}
	}
	projects := []string{f.project}
	for _, project := range aliases {
		projects = append(projects, project)
	}
	in.Own(naming.NewOwners(projects, aliases), aliases)
	for _, v := range f.variables {
		name, value, ok := strings.Cut(v, "=")
		switch {
		case !ok || name == "":
			problems = append(problems, fmt.Errorf("--variable %q: write NAME=VALUE", v))
		case strings.HasPrefix(name, "CI_REGISTRY"):
			problems = append(problems, fmt.Errorf("--variable %s: the registry's own variables are what the rewrite is about and have no value here", name))
		}
		in.Project.Know(name, value)
	}
	return in, errors.Join(problems...)
}

// gather reads the project's files and what they include.
func (f *rewriteFlags) gather(ctx context.Context, c *checkout, in *ciconfig.Input) (err error) {
	include := c.include
	if f.ref == "" {
		in.Files, err = c.files(ctx, f.ciPath)
	} else {
		in.Files, include, err = c.filesAt(ctx, f.ref, f.ciPath)
	}
	if err != nil {
		return err
	}
	ciconfig.Gather(in, include)
	return nil
}
