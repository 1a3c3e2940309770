// Package samples holds projects in the style of the platform, small and whole:
// their files, the images that the old registry has of them, what happened to
// them before the migration, and what a migration has to come to.
//
// Each is a txtar file; its comment is the YAML of a Sample.
package samples

import (
	"bytes"
	"embed"
	"fmt"
	"path"
	"strings"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

//go:embed *.txtar
var files embed.FS

// Sample is one project.
type Sample struct {
	Name   string            `yaml:"-"` // of the file
	Files  map[string]string `yaml:"-"`
	Shows  string            `yaml:"shows"`
	Path   string            `yaml:"path"`
	Branch string            `yaml:"branch"` // default branch; main if empty

	Archived  bool `yaml:"archived"`
	Empty     bool `yaml:"empty"`
	Protected bool `yaml:"protected"` // default branch closed to the worker
	// Configured runs Update configuration before the pipeline: the project
	// builds in ECR already.
	Configured bool `yaml:"configured"`
	// Pipeline runs the default branch's pipeline before the migration; true if absent.
	Pipeline *bool `yaml:"pipeline"`
	// Play names manual jobs of that pipeline that somebody played.
	Play []string `yaml:"play"`
	// MoveTo is where the project is transferred to at last.
	MoveTo string `yaml:"move_to"`

	Images []Image `yaml:"images"`
	Expect Expect  `yaml:"expect"`
}

// Image is an image that the old registry holds beside what the pipeline pushed.
type Image struct {
	Repository string `yaml:"repository"`
	Tag        string `yaml:"tag"`
	Kind       string `yaml:"kind"`   // schema2, oci, index
	Same       string `yaml:"same"`   // another tag of the repository that it equals
	Signed     bool   `yaml:"signed"` // with a cosign tag and a referrer beside it
}

// Expect is what a migration has to come to.
type Expect struct {
	State   string `yaml:"state"`
	Reason  string `yaml:"reason"`
	Finding string `yaml:"finding"`
}

// FinalPath is the project's path when the migration begins.
func (s Sample) FinalPath() string {
	if s.MoveTo != "" {
		return s.MoveTo
	}
	return s.Path
}

// RunsPipeline says whether the pipeline ran before the migration.
func (s Sample) RunsPipeline() bool { return s.Pipeline == nil || *s.Pipeline }

// All returns the samples by name.
func All() ([]Sample, error) {
	names, err := files.ReadDir(".")
	if err != nil {
		return nil, err
	}
	var all []Sample
	for _, n := range names {
		raw, err := files.ReadFile(n.Name())
		if err != nil {
			return nil, err
		}
		s, err := parse(strings.TrimSuffix(path.Base(n.Name()), ".txtar"), raw)
		if err != nil {
			return nil, fmt.Errorf("sample %s: %w", n.Name(), err)
		}
		all = append(all, s)
	}
	return all, nil
}

func parse(name string, raw []byte) (Sample, error) {
	a := txtar.Parse(raw)
	s := Sample{Name: name, Branch: "main", Files: map[string]string{}}
	d := yaml.NewDecoder(bytes.NewReader(a.Comment))
	d.KnownFields(true)
	if err := d.Decode(&s); err != nil {
		return s, err
	}
	if s.Path == "" || s.Expect.State == "" {
		return s, fmt.Errorf("path and expect.state are needed")
	}
	for _, f := range a.Files {
		s.Files[f.Name] = string(f.Data)
	}
	return s, nil
}
