package gitlab

import (
	"bytes"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strconv"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// sources lets the CI compiler read every repository of the server. It takes
// the lock for each file, so nobody may hold it while compiling.
type sources struct{ s *Server }

var _ ci.Files = sources{}

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
		k = p.Repo.resolve(p.Repo.version(ref))
	}
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

// version finds the tag that a component's partial version means: the highest
// release of that major or minor version, or of all for ~latest.
// See https://docs.gitlab.com/ci/components/#semantic-version-ranges.
func (r *repository) version(want string) string {
	best, name := []int(nil), ""
	for tag := range r.Tags {
		v := semantic(tag)
		if v == nil || want != "~latest" && !strings.HasPrefix(strings.TrimPrefix(tag, "v")+".", strings.TrimPrefix(want, "v")+".") {
			continue
		}
		if best == nil || slices.Compare(v, best) > 0 {
			best, name = v, tag
		}
	}
	return name
}

// semantic splits major.minor.patch; pre-releases are no candidates.
func semantic(tag string) []int {
	parts := strings.Split(strings.TrimPrefix(tag, "v"), ".")
	if len(parts) != 3 {
		return nil
	}
	var out []int
	for _, p := range parts {
		n, err := strconv.Atoi(p)
		if err != nil {
			return nil
		}
		out = append(out, n)
	}
	return out
}
