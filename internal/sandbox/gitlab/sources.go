package gitlab

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// sources lets the CI compiler read every repository of the server. It takes
// the lock for each file, so nobody may hold it while compiling.
type sources struct{ s *Server }

var (
	_ ci.Files    = sources{}
	_ ci.Releases = sources{}
)

func (f sources) at(project, ref string) (*snapshot, error) {
	p := f.s.projectByPath(project)
	if p == nil {
		return nil, fmt.Errorf("project %s: %w", project, fs.ErrNotExist)
	}
	if ref == "" || ref == "HEAD" {
		ref = p.DefaultBranch
	}
	k := p.Repo.resolve(ref)
	if k == nil {
		return nil, fmt.Errorf("ref %s of %s: %w", ref, project, fs.ErrNotExist)
	}
	return &snapshot{p, k}, nil
}

// snapshot is a project at a commit.
type snapshot struct {
	*project
	at *commit
}

func (f sources) ReadFile(project, ref, path string) ([]byte, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	p, err := f.at(project, ref)
	if err != nil {
		return nil, err
	}
	e, ok := p.at.Files[strings.TrimPrefix(path, "/")]
	if !ok {
		return nil, fmt.Errorf("%s in %s: %w", path, project, fs.ErrNotExist)
	}
	return bytes.Clone(p.Repo.Blobs[e.Blob]), nil
}

func (f sources) Paths(project, ref string) ([]string, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	p, err := f.at(project, ref)
	if err != nil {
		return nil, err
	}
	return slices.Sorted(maps.Keys(p.at.Files)), nil
}

// Releases lists the tags of a component project, of which the compiler picks
// the one that a partial version such as @2 means.
func (f sources) Releases(project string) ([]string, error) {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	p := f.s.projectByPath(project)
	if p == nil {
		return nil, fmt.Errorf("project %s: %w", project, fs.ErrNotExist)
	}
	return slices.Sorted(maps.Keys(p.Repo.Tags)), nil
}
