package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// maxText bounds the text that one compilation reads, includes together.
const maxText = 10 << 20

// A Files may also serve versions of components, GitLab's own templates and
// remote files by having one of these methods; without them such includes fail
// as they do on a GitLab that cannot find or reach what they name.
type (
	// Releases lists the released versions of a component project, such as 2.1.0.
	Releases interface {
		Releases(project string) ([]string, error)
	}
	// Templates serves `include: template`.
	Templates interface {
		Template(name string) ([]byte, error)
	}
	// Remotes serves `include: remote`.
	Remotes interface {
		Remote(url string) ([]byte, error)
	}
)

// compiler is the state of one compilation.
type compiler struct {
	project  Project
	trigger  Trigger
	settings Settings
	files    Files

	spent    int // see spend
	fetched  int // bytes of text read
	problems []string
	warnings []string
	includes []string
	paths    []string // of the repository, read when first asked for
	hasPaths bool

	known map[string]string // variables that includes and workflow rules see
}

// Compile turns a project's configuration into the pipeline that GitLab would
// create for the trigger. Content nil reads the project's ConfigPath at t.SHA;
// otherwise content is compiled in its place, as lint does with given text.
//
// A configuration that GitLab would refuse gives a *ConfigError; a project
// without one gives ErrNoConfig. A valid configuration without a job for this
// trigger is not an error: Pipeline.Filtered is set. Other errors are those of
// files.
func Compile(p Project, t Trigger, s Settings, files Files, content []byte) (pipeline *Pipeline, err error) {
	defer catch(&err)
	c := &compiler{project: p, trigger: t, settings: s, files: files}
	c.known = values(collect(p, t, s, nil, 0, nil))
	at := place{p.Path, t.SHA}
	if content == nil {
		content, at = c.source()
	}
	if strings.TrimSpace(string(content)) == "" {
		fail("Please provide content of .gitlab-ci.yml")
	}
	config, err := c.read(content, nil)
	if err != nil {
		return nil, invalid(err)
	}
	config = c.include(config, at)
	config = c.extends(config)
	config = c.resolve(config, config).(*hash)
	config = edgeStages(config)

	root := c.root(config)
	c.check()
	jobs := normalize(c, root)
	logical(root, jobs)

	pipeline = &Pipeline{
		Stages:     root.stages,
		MergedYAML: c.render(config),
		Warnings:   c.warnings,
		Includes:   c.includes,
	}
	c.seed(pipeline, root, jobs)
	return pipeline, nil
}

// check ends the compilation when entries were found faulty.
func (c *compiler) check() {
	if len(c.problems) > 0 {
		panic(failure{&ConfigError{Messages: c.problems}})
	}
}

// invalid makes a configuration's fault of an error that is not one yet.
func invalid(err error) error {
	var known *ConfigError
	if errors.As(err, &known) {
		return err
	}
	return &ConfigError{Messages: []string{err.Error()}}
}

// source reads the configuration where the project's settings say that it is:
// a path, or path@project with an optional :ref.
// See https://docs.gitlab.com/ci/pipelines/settings/#specify-a-custom-cicd-configuration-file.
func (c *compiler) source() ([]byte, place) {
	path := c.project.ConfigPath
	if path == "" {
		path = ".gitlab-ci.yml"
	}
	at := place{c.project.Path, c.trigger.SHA}
	if file, project, ok := strings.Cut(path, "@"); ok {
		project, ref, _ := strings.Cut(project, ":")
		path, at = file, place{project, ref}
	}
	content, err := c.files.ReadFile(at.project, at.ref, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		abort(ErrNoConfig)
	case err != nil:
		abort(fmt.Errorf("ci: read %s of %s: %w", path, at.project, err))
	}
	return content, at
}
