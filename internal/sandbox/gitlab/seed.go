package gitlab

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// ProtectedBranch is the protection of a branch name, which may hold *.
// Push and Merge are the least access levels; NoAccess allows no one.
type ProtectedBranch struct {
	Name      string
	Push      int
	Merge     int
	ForcePush bool
}

// Seed describes a project to add.
type Seed struct {
	ID            int64  // chosen when zero
	Path          string // group/subgroup/name
	DefaultBranch string // main when empty
	Description   string
	Visibility    string            // private when empty
	Files         map[string]string // of the first commit; a leading #! makes a file executable
	Message       string            // of the first commit
	Archived      bool
	Empty         bool // no commit at all, and so no default branch
	CIDisabled    bool
	Deletion      time.Time // marked for deletion on that day
	ConfigPath    string    // where the CI configuration is; .gitlab-ci.yml when empty
	Variables     []ci.Variable
	Topics        []string

	// ProtectedBranches replaces GitLab's default, which protects the default
	// branch for Maintainers. An empty list that is not nil protects nothing.
	ProtectedBranches []ProtectedBranch

	OnlyMergeIfPipelineSucceeds bool
	ApprovalsRequired           int
	VariablesMinimumRole        string // developer (the default), maintainer, owner, no_one_allowed
}

// AddProject adds a project and returns its id. Its first commit starts no
// pipeline. A path that is taken is an error.
func (s *Server) AddProject(seed Seed) (int64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !strings.Contains(seed.Path, "/") {
		return 0, fmt.Errorf("gitlab stand-in: project path %q has no namespace", seed.Path)
	}
	if s.projectByPath(seed.Path) != nil {
		return 0, fmt.Errorf("gitlab stand-in: project %s is there already", seed.Path)
	}
	if seed.ID == 0 {
		seed.ID = s.id()
	}
	if s.st.projects[seed.ID] != nil {
		return 0, fmt.Errorf("gitlab stand-in: project id %d is taken", seed.ID)
	}
	s.st.LastID = max(s.st.LastID, seed.ID)
	or := func(v, other string) string {
		if v == "" {
			return other
		}
		return v
	}
	p := &project{
		ID: seed.ID, Path: seed.Path, DefaultBranch: or(seed.DefaultBranch, "main"), Description: seed.Description,
		Visibility: or(seed.Visibility, "private"), Archived: seed.Archived, CIDisabled: seed.CIDisabled,
		ConfigPath: seed.ConfigPath, Topics: slices.Clone(seed.Topics), PipelineMerge: seed.OnlyMergeIfPipelineSucceeds,
		Approvals: seed.ApprovalsRequired, VariablesRole: or(seed.VariablesMinimumRole, "developer"),
		CreatedAt: s.now(), ActivityAt: s.now(), Repo: newRepository(),
	}
	if !seed.Deletion.IsZero() {
		p.DeletionOn = seed.Deletion.Format(time.DateOnly)
	}
	if seed.ProtectedBranches == nil && !seed.Empty {
		seed.ProtectedBranches = []ProtectedBranch{{Name: p.DefaultBranch, Push: Maintainer, Merge: Maintainer}}
	}
	for _, b := range seed.ProtectedBranches {
		p.Protected = append(p.Protected, &protection{ID: s.id(), Name: b.Name, Push: b.Push, Merge: b.Merge, Force: b.ForcePush})
	}
	for _, v := range seed.Variables {
		p.Variables = append(p.Variables, newVariable(v))
	}
	s.st.projects[p.ID] = p
	delete(s.st.moved, strings.ToLower(p.Path))
	if seed.Empty {
		p.DefaultBranch = ""
	} else {
		files := s.put(p, nil, seed.Files)
		by := s.signature(humanID)
		c := p.Repo.addCommit(nil, files, by, by, or(seed.Message, "Initial commit"))
		p.Repo.Branches[p.DefaultBranch] = c.SHA
	}
	s.touch(p)
	return p.ID, nil
}

// put lays files over a tree; it leaves the given tree as it is.
func (s *Server) put(p *project, tree map[string]entry, files map[string]string) map[string]entry {
	out := maps.Clone(tree)
	if out == nil {
		out = map[string]entry{}
	}
	for path, content := range files {
		out[path] = entry{Blob: p.Repo.addBlob([]byte(content)), Exec: strings.HasPrefix(content, "#!")}
	}
	return out
}

func (s *Server) signature(userID int64) signature {
	u := s.user(userID)
	if u == nil {
		return signature{"unknown", "unknown@users.noreply.gitlab.sikt.no", s.now()}
	}
	return signature{u.Name, u.email(), s.now()}
}

var errNoProject = errors.New("gitlab stand-in: no such project")

func (s *Server) mustProject(path string) (*project, error) {
	if p := s.projectByPath(path); p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: %s", errNoProject, path)
}

// PushFiles commits files to a branch as a human developer would by git push,
// and starts the push pipeline. A branch that does not exist starts at the
// default branch. An empty content removes the file. It returns the new sha.
func (s *Server) PushFiles(path, branch, message string, files map[string]string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return "", err
	}
	if branch == "" {
		branch = p.DefaultBranch
	}
	head := p.Repo.Branches[branch]
	parent := p.Repo.Commits[head]
	if parent == nil {
		parent = p.Repo.resolve(p.DefaultBranch)
	}
	var parents []string
	var tree map[string]entry
	if parent != nil {
		parents, tree = []string{parent.SHA}, parent.Files
	}
	keep, gone := map[string]string{}, []string(nil)
	for name, content := range files {
		if content == "" {
			gone = append(gone, name)
		} else {
			keep[name] = content
		}
	}
	tree = s.put(p, tree, keep)
	for _, name := range gone {
		delete(tree, name)
	}
	by := s.signature(humanID)
	c := p.Repo.addCommit(parents, tree, by, by, message)
	s.pushed(p, branch, head, c, humanID)
	return c.SHA, nil
}

// AddTag names a commit, given by branch or sha, and starts the tag's pipeline.
func (s *Server) AddTag(path, tag, ref string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	c := p.Repo.resolve(ref)
	if c == nil {
		return fmt.Errorf("gitlab stand-in: no ref %s in %s", ref, path)
	}
	p.Repo.Tags[tag] = c.SHA
	s.announce(p, &push{Ref: tag, Tag: true, SHA: c.SHA, Before: zeroSHA, UserID: humanID})
	return nil
}

// Transfer moves a project to another path. The former path redirects.
func (s *Server) Transfer(path, newPath string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	if s.projectByPath(newPath) != nil {
		return fmt.Errorf("gitlab stand-in: project %s is there already", newPath)
	}
	p.FormerPaths = append(p.FormerPaths, p.Path)
	s.st.moved[strings.ToLower(p.Path)] = p.ID
	delete(s.st.moved, strings.ToLower(newPath))
	for _, u := range s.st.Users {
		if level, ok := u.Roles[p.Path]; ok {
			delete(u.Roles, p.Path)
			u.Roles[newPath] = level
		}
	}
	p.Path = newPath
	s.touch(p)
	s.dirtyServer()
	return nil
}

// SetVariable creates or replaces a project's variable of that key and scope.
func (s *Server) SetVariable(path string, v ci.Variable) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	n := newVariable(v)
	i := slices.IndexFunc(p.Variables, func(x *variable) bool { return x.Key == n.Key && x.EnvironmentScope == n.EnvironmentScope })
	if i < 0 {
		p.Variables = append(p.Variables, n)
	} else {
		p.Variables[i] = n
	}
	s.touch(p)
	return nil
}

// DropVariable deletes a project's variable of that key, whatever its scope.
func (s *Server) DropVariable(path, key string) error {
	return s.change(path, func(p *project) error {
		p.Variables = slices.DeleteFunc(p.Variables, func(v *variable) bool { return v.Key == key })
		return nil
	})
}

// Protect replaces a project's protected branches.
func (s *Server) Protect(path string, branches ...ProtectedBranch) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	p.Protected = nil
	for _, b := range branches {
		p.Protected = append(p.Protected, &protection{ID: s.id(), Name: b.Name, Push: b.Push, Merge: b.Merge, Force: b.ForcePush})
	}
	s.touch(p)
	return nil
}

// SwitchCI switches a project's CI/CD on or off, as its owners do in its settings.
func (s *Server) SwitchCI(path string, on bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	p.CIDisabled = !on
	s.touch(p)
	return nil
}

// SetConfigPath changes where a project's CI configuration is, as its owners do in
// its settings: a path, or path@project with an optional :ref.
func (s *Server) SetConfigPath(path, config string) error {
	return s.change(path, func(p *project) error { p.ConfigPath = config; return nil })
}

// Archive archives a project or takes it out of the archive.
func (s *Server) Archive(path string, archived bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := s.mustProject(path)
	if err != nil {
		return err
	}
	p.Archived = archived
	s.touch(p)
	return nil
}
