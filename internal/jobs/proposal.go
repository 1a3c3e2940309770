package jobs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/ciconfig"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// proposal is what the project's files at one commit would become. Discover
// makes one to learn of blocking findings before anything is written; rewrite
// makes it anew from the head that it commits onto.
type proposal struct {
	head   gitlab.Branch
	ciPath string
	hasCI  bool
	files  map[string]gitlab.File // without their last commits
	in     ciconfig.Input
	result *ciconfig.Result
	asked  int // the requests to GitLab that reading took
}

// read tells what was read and what it cost.
func (p *proposal) read() string {
	return fmt.Sprintf("%d files read in %d requests to GitLab", len(p.files), p.asked)
}

// propose reads the files of the default branch's head that can name an image,
// and what they include, and lets ciconfig rewrite them.
func (s *survey) propose(ctx context.Context, t *Task, vars []gitlab.Variable) (*proposal, error) {
	ctx, asked := gitlab.Counting(ctx)
	head, err := s.GitLab.Branch(ctx, t.Project.ID, t.Project.DefaultBranch)
	if err != nil {
		return nil, err
	}
	p := &proposal{head: head, ciPath: t.Project.CIConfigPath}
	if p.ciPath == "" {
		p.ciPath = ".gitlab-ci.yml"
	}
	tree, err := s.GitLab.Tree(ctx, t.Project.ID, head.SHA)
	if err != nil {
		return nil, err
	}
	var wanted []gitlab.Entry
	for _, e := range tree {
		if e.Type != "blob" || e.Mode == "120000" {
			continue // a link's target is in the tree under its own name
		}
		if e.Path == p.ciPath {
			p.hasCI = true
		}
		if e.Path == p.ciPath || ciconfig.Candidate(e.Path) {
			wanted = append(wanted, e)
		}
	}
	if p.files, err = s.GitLab.Files(ctx, t.Project.ID, t.Project.Path, head.SHA, wanted); err != nil {
		return nil, err
	}
	if root := elsewhere(p.ciPath); root != nil {
		p.hasCI, p.files[p.ciPath] = true, gitlab.File{Path: p.ciPath, Content: root}
	}
	in, err := s.input(ctx, t, p, vars)
	if err != nil {
		return nil, err
	}
	ciconfig.Gather(&in, func(inc ciconfig.Include) ciconfig.Included { return s.include(ctx, t, p, inc) })
	p.in, p.asked = in, asked()
	p.result, err = ciconfig.Rewrite(in)
	t.proposal = p
	return p, err
}

// elsewhere returns the configuration that GitLab itself makes up when a project's
// settings name one outside of its repository, as path@project, path@project:ref or
// an address: an include of it and nothing else. It is nil for a path inside. See
// https://docs.gitlab.com/ci/pipelines/settings/#specify-a-custom-cicd-configuration-file.
func elsewhere(ciPath string) []byte {
	if strings.HasPrefix(ciPath, "https://") || strings.HasPrefix(ciPath, "http://") {
		return fmt.Appendf(nil, "include:\n  - remote: %q\n", ciPath)
	}
	file, project, ok := strings.Cut(ciPath, "@")
	if !ok {
		return nil
	}
	project, ref, _ := strings.Cut(project, ":")
	root := fmt.Appendf(nil, "include:\n  - project: %q\n    file: %q\n", project, file)
	if ref != "" {
		root = fmt.Appendf(root, "    ref: %q\n", ref)
	}
	return root
}

// input is what the rewriter gets.
func (s *survey) input(ctx context.Context, t *Task, p *proposal, vars []gitlab.Variable) (ciconfig.Input, error) {
	owners, err := s.owners(ctx, t.store)
	if err != nil {
		return ciconfig.Input{}, err
	}
	in := ciconfig.Input{Project: ciconfig.Project{
		Path: t.Project.Path, OldHost: s.Settings.OldHost,
		DefaultBranch: t.Project.DefaultBranch, CIPath: p.ciPath,
	}}
	in.Own(owners, s.Settings.Aliases)
	for _, v := range vars {
		if v.Hidden || v.Masked {
			in.Project.Secrets = append(in.Project.Secrets, v.Key)
			continue
		}
		in.Project.Know(v.Key, v.Value)
	}
	for _, name := range slices.Sorted(maps.Keys(p.files)) {
		in.Files = append(in.Files, ciconfig.File{Path: name, Content: p.files[name].Content})
	}
	return in, nil
}

// include reads a file that the configuration includes. What cannot be read is
// told to the rewriter as such: it decides whether that matters.
func (s *survey) include(ctx context.Context, t *Task, p *proposal, inc ciconfig.Include) ciconfig.Included {
	got := ciconfig.Included{Include: inc}
	var try []source
	switch inc.Kind {
	case "local":
		try = []source{{t.Project.ID, p.head.SHA, strings.TrimPrefix(inc.File, "/")}}
	case "project":
		try = []source{{inc.Project, inc.Ref, strings.TrimPrefix(inc.File, "/")}}
	case "component":
		try = componentSources(inc.Component)
	default:
		got.Missing = "included by " + inc.Kind + ", which is not read"
		return got
	}
	got.Missing = "it could not be found"
	for _, src := range try {
		f, err := s.GitLab.File(ctx, src.project, src.ref, src.file)
		if err == nil {
			got.Content, got.Missing = f.Content, ""
			if inc.Kind == "local" {
				p.files[inc.File] = f // it may be edited
			}
			return got
		}
		if !errors.Is(err, gitlab.ErrNotFound) {
			got.Missing = err.Error()
		}
	}
	return got
}

// source is a place where a file may be.
type source struct {
	project any
	ref     string
	file    string
}

// componentSources returns where GitLab looks for the component
// host/group/project/name@version. See
// https://docs.gitlab.com/ci/components/#directory-structure.
func componentSources(component string) []source {
	address, version, _ := strings.Cut(component, "@")
	_, address, ok := strings.Cut(address, "/") // the host
	if !ok {
		return nil
	}
	project, name := path.Split(address)
	project = strings.TrimSuffix(project, "/")
	if version == "~latest" {
		version = "HEAD"
	}
	return []source{
		{project, version, "templates/" + name + ".yml"},
		{project, version, "templates/" + name + "/template.yml"},
	}
}

// findingsOf turns the rewriter's findings into rows.
func findingsOf(r *ciconfig.Result) []store.Finding {
	rows := []store.Finding{}
	for _, f := range r.Findings {
		rows = append(rows, store.Finding{
			Code: string(f.Code), Severity: store.Severity(f.Severity), File: f.File, Line: f.Line, Column: f.Column,
			Text: masked(f.Text), Message: masked(f.Message), Remedy: f.Remedy, Owner: string(f.Owner),
		})
	}
	return rows
}

// blocking returns the findings that forbid writing to the project.
func blocking(fs []store.Finding) []store.Finding {
	var out []store.Finding
	for _, f := range fs {
		if f.Severity == store.Blocking {
			out = append(out, f)
		}
	}
	return out
}
