// Package ciconfig rewrites the image names of a project's CI configuration
// from an old registry, where a project has many image names, to the one
// repository that it has in ECR, where a name becomes the prefix of the tag.
//
// [Rewrite] takes the files of one commit and returns edits and findings. It
// understands before it changes: YAML by position, script lines by a shell
// parser, Dockerfiles by BuildKit's parser. Every string is evaluated to the
// place where an image reference is complete, and each character of such a
// reference knows where it was written; so the edit goes to the place that has
// to change, and everything outside an edit stays as it was, byte for byte.
//
// Comments, README text and included files of other projects are never
// changed. What cannot be changed safely becomes a [Finding]: file, line,
// text, cause and what to do. A project with a blocking finding must not be
// written.
//
// The room is pure: values in, values out. It reads no file and no clock.
package ciconfig

// Project is what the rewriter knows of the project.
type Project struct {
	Path          string            // group/name
	OldHost       string            // registry.uninett.no
	OldBases      []string          // further "host/path" that are this project's
	DefaultBranch string            // "" means main
	CIPath        string            // "" means .gitlab-ci.yml
	Variables     map[string]string // CI/CD settings of the project
	Secrets       []string          // names of those settings whose values are not known

	source string // CI_PIPELINE_SOURCE of the pipeline that is looked at, where it is not push
	branch string // its branch, where it is not the default one
	tag    string // its git tag
	open   bool   // its branch has an open merge request
	all    bool   // everything has changed that a rule may ask for

	known *judged // nil where nothing is kept
}

// File is a file of the repository that may be edited.
type File struct {
	Path    string
	Content []byte
}

// Include is an include that a CI file names and that is not in [Input] yet.
type Include struct {
	Kind      string // local, project, component, remote, template
	Project   string
	Ref       string
	File      string
	Component string
}

// Included is the content of an include from outside the repository. It is
// context only. Missing says why it could not be read.
type Included struct {
	Include
	Content []byte
	Missing string
}

// Input is all that a rewrite looks at.
type Input struct {
	Project  Project
	Files    []File
	Included []Included
	// Owner says whose image a repository of the old registry is. It may be
	// nil: then only the project's own bases are known.
	Owner func(repository string) (project, name string, ok bool)
}

// Edit is a changed file.
type Edit struct {
	Path          string
	Before, After []byte
}

// Mapped is an old reference and what it became, variables unexpanded.
type Mapped struct{ Old, New string }

// Result is what a rewrite would do.
type Result struct {
	Edits    []Edit
	Findings []Finding
	Mapping  []Mapped
	// PushedTags are the tags, variables unexpanded, that the pipeline of the
	// default branch will push. They must be free in ECR.
	PushedTags []string
	// References are the complete references to old images, variables
	// unexpanded where their value is not known.
	References []string
}

// Blocked says whether a finding forbids writing the edits.
func (r *Result) Blocked() bool {
	for _, f := range r.Findings {
		if f.Severity == Blocking {
			return true
		}
	}
	return false
}

func (p Project) ciPath() string {
	if p.CIPath == "" {
		return ".gitlab-ci.yml"
	}
	return p.CIPath
}

func (p Project) defaultBranch() string {
	if p.DefaultBranch == "" {
		return "main"
	}
	return p.DefaultBranch
}
