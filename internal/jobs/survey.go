package jobs

import (
	"context"
	"sync"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// survey looks at a project and writes nothing; the steps share it.
type survey struct {
	Clients
	Settings Settings

	mu       sync.Mutex
	known    *naming.Owners
	knownFor time.Time // the inventory that known was made from
}

// owners returns whose the repositories of the old registry are. It is made
// once an inventory: thousands of paths are not read anew for every project.
func (s *survey) owners(ctx context.Context, st *store.Store) (*naming.Owners, error) {
	at, err := st.InventoryAt(ctx)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.known != nil && s.knownFor.Equal(at) {
		return s.known, nil
	}
	paths, err := st.ProjectPaths(ctx)
	if err != nil {
		return nil, err
	}
	s.known, s.knownFor = naming.NewOwners(paths, s.Settings.Aliases), at
	return s.known, nil
}

// ProjectRow is GitLab's project as a row.
func ProjectRow(p gitlab.Project) store.Project {
	row := store.Project{
		ID: p.ID, Path: p.Path, Name: p.Name, DefaultBranch: p.DefaultBranch, WebURL: p.WebURL,
		Archived: p.Archived, Empty: p.Empty, CIEnabled: !p.CIDisabled, CIConfigPath: p.CIConfigPath,
		Topics: p.Topics,
	}
	if !p.LastActivity.IsZero() {
		row.LastActivityAt = &p.LastActivity
	}
	return row
}

// value returns a project variable that holds in every environment.
func value(vars []gitlab.Variable, key string) string {
	for _, v := range vars {
		if v.Key == key && (v.Scope == "" || v.Scope == gitlab.EveryEnvironment) {
			return v.Value
		}
	}
	return ""
}
