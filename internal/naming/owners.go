package naming

import (
	"slices"
	"strings"
)

// Kind says how sure an ownership is.
type Kind string

// The kinds of ownership.
const (
	Owned     Kind = "owned"
	Nobody    Kind = "nobody"
	Ambiguous Kind = "ambiguous"
)

// Ownership is the answer to whose image an old repository is.
type Ownership struct {
	Kind    Kind
	Project string // the owning project's path, if owned
	Name    string // the image's name within the project; empty is the root image
	// Candidates are the project paths that would explain an ambiguous
	// repository, sorted. One of them may be the path of a project that is gone.
	Candidates []string
}

// Owners knows the projects of the whole inventory. It does not change after
// NewOwners, so any number of goroutines may ask it.
type Owners struct {
	bases  map[string][]string // lower-case repository base -> projects that claim it
	groups map[string]bool     // lower-case paths of the groups that hold projects
}

// NewOwners takes every project path there is, not only those to be migrated:
// ownership is decided by the longest path. aliases maps further repository
// bases, such as public/kart or the path before a move, to project paths.
func NewOwners(projects []string, aliases map[string]string) *Owners {
	o := &Owners{bases: make(map[string][]string), groups: make(map[string]bool)}
	claim := func(base, project string) {
		base = normal(base)
		if base != "" && !slices.Contains(o.bases[base], project) {
			o.bases[base] = append(o.bases[base], project)
			slices.Sort(o.bases[base])
		}
	}
	for _, project := range projects {
		claim(project, project)
		for group := parent(normal(project)); group != ""; group = parent(group) {
			o.groups[group] = true
		}
	}
	for base, project := range aliases {
		claim(base, project)
	}
	return o
}

// Of returns the owner of an old repository. The longest base wins:
// group/project-api is the root image of a project of that name if there is
// one, and else the image "api" of group/project.
//
// Two things stay ambiguous. Several projects may claim the same base, as when
// a project has moved away and another took its path. And in group/app-x/tool,
// where both a project group/app and a group group/app-x exist, the images of a
// deleted project group/app-x/tool cannot be told from an image "x/tool" of app.
func (o *Owners) Of(repository string) Ownership {
	repository = normal(repository)
	for end := len(repository); end > 0; end = strings.LastIndexAny(repository[:end], "/-") {
		projects := o.bases[repository[:end]]
		if len(projects) == 0 {
			continue
		}
		if len(projects) > 1 {
			return Ownership{Kind: Ambiguous, Candidates: slices.Clone(projects)}
		}
		if o.groupWithin(repository, end) {
			candidates := []string{projects[0], repository}
			slices.Sort(candidates)
			return Ownership{Kind: Ambiguous, Candidates: candidates}
		}
		return Ownership{Kind: Owned, Project: projects[0], Name: strings.Trim(repository[end:], "/-")}
	}
	return Ownership{Kind: Nobody}
}

// groupWithin tells whether the repository lies in a known group whose path is
// longer than the base that ends at end.
func (o *Owners) groupWithin(repository string, end int) bool {
	for group := parent(repository); len(group) > end; group = parent(group) {
		if o.groups[group] {
			return true
		}
	}
	return false
}

// normal is the form in which paths are compared: registries know lower case
// only, and GitLab holds paths unique without regard to case.
func normal(path string) string { return strings.ToLower(strings.Trim(path, "/")) }

func parent(path string) string {
	i := strings.LastIndexByte(path, '/')
	if i < 0 {
		return ""
	}
	return path[:i]
}
