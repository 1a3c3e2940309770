package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func paths(ps []store.Project) []string {
	var out []string
	for _, p := range ps {
		out = append(out, p.Path)
	}
	return out
}

func TestProjectsAreStored(t *testing.T) {
	b := open(t)
	active := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	want := store.Project{
		ID: 7, Path: "Group/Sub/app", Name: "app", DefaultBranch: "main", WebURL: "https://gitlab/x",
		Archived: true, Empty: true, CIEnabled: true, CIConfigPath: "ci/x.yml", Topics: []string{"go", "web"}, LastActivityAt: &active,
	}
	b.must(b.UpsertProjects(b.ctx, []store.Project{want}))
	got, err := b.Project(b.ctx, "group/sub/APP")
	b.must(err)
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(store.Project{}, "SeenAt")); diff != "" {
		t.Error(diff)
	}
	if _, err := b.Project(b.ctx, "group/none"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("unknown path: %v", err)
	}
}

// Paths wander: two projects swap theirs, and a new one takes that of an old one.
func TestProjectsSwapPaths(t *testing.T) {
	b := open(t)
	b.must(b.UpsertProjects(b.ctx, []store.Project{{ID: 1, Path: "a/x"}, {ID: 2, Path: "a/y"}, {ID: 3, Path: "a/z"}}))
	b.must(b.UpsertProjects(b.ctx, []store.Project{{ID: 1, Path: "a/y"}, {ID: 2, Path: "a/x"}, {ID: 4, Path: "a/Z"}}))
	for id, want := range map[int64]string{1: "a/y", 2: "a/x", 3: "a/z#3", 4: "a/Z"} {
		p, err := b.ProjectByID(b.ctx, id)
		b.must(err)
		if p.Path != want || (p.GoneAt != nil) != (id == 3) {
			t.Errorf("project %d is at %s, gone %v; want %s", id, p.Path, p.GoneAt, want)
		}
	}
	// Seen again elsewhere, it is back.
	b.must(b.UpsertProjects(b.ctx, []store.Project{{ID: 3, Path: "b/z"}}))
	got, err := b.ProjectPaths(b.ctx)
	b.must(err)
	if diff := cmp.Diff([]string{"a/Z", "a/x", "a/y", "b/z"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestSelection(t *testing.T) {
	b := open(t)
	b.must(b.UpsertProjects(b.ctx, []store.Project{
		{ID: 1, Path: "a/api"}, {ID: 2, Path: "a/sub/api"}, {ID: 3, Path: "a/sub/web.x"},
		{ID: 4, Path: "ab/api"}, {ID: 5, Path: "b/web1x"},
	}))
	for _, tt := range []struct {
		name string
		sel  store.Selection
		want []string
	}{
		{"all", store.Selection{}, []string{"a/api", "a/sub/api", "a/sub/web.x", "ab/api", "b/web1x"}},
		{"paths", store.Selection{Paths: []string{"A/Api", "b/web1x", "no/such"}}, []string{"a/api", "b/web1x"}},
		{"group", store.Selection{Group: "a/"}, []string{"a/api", "a/sub/api", "a/sub/web.x"}},
		{"star stays in its part", store.Selection{Match: []string{"a/*"}}, []string{"a/api"}},
		{"two stars do not", store.Selection{Match: []string{"a/**"}}, []string{"a/api", "a/sub/api", "a/sub/web.x"}},
		{"a dot is a dot", store.Selection{Match: []string{"**/web.x"}}, []string{"a/sub/web.x"}},
		{"one character", store.Selection{Match: []string{"b/web?x"}}, []string{"b/web1x"}},
		{"exclude", store.Selection{Exclude: []string{"**/api", "b/**"}}, []string{"a/sub/web.x"}},
		{"limit", store.Selection{Group: "a", Limit: 2}, []string{"a/api", "a/sub/api"}},
		{"nothing", store.Selection{Group: "a/su"}, nil},
	} {
		got, err := b.Projects(b.ctx, tt.sel)
		b.must(err)
		if diff := cmp.Diff(tt.want, paths(got)); diff != "" {
			t.Errorf("%s: %s", tt.name, diff)
		}
	}
}

func TestMarkGone(t *testing.T) {
	b := open(t)
	b.projects(1, 2)
	began, err := b.Now(b.ctx)
	b.must(err)
	b.projects(2, 3)
	n, err := b.MarkGone(b.ctx, began)
	b.must(err)
	if n != 1 {
		t.Errorf("%d are gone, want 1", n)
	}
	got, err := b.ProjectPaths(b.ctx)
	b.must(err)
	if diff := cmp.Diff([]string{"group/p2", "group/p3"}, got); diff != "" {
		t.Error(diff)
	}
	b.projects(1) // it is back
	if got, _ := b.ProjectPaths(b.ctx); len(got) != 3 {
		t.Errorf("after its return: %v", got)
	}
}

func TestRepositories(t *testing.T) {
	b := open(t)
	b.projects(1)
	if _, err := b.InventoryAt(b.ctx); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("inventory before the first: %v", err)
	}
	first := []store.Repository{
		{Name: "group/p1", ProjectID: 1, Ownership: store.Owned},
		{Name: "group/p1-api", ProjectID: 1, ImageName: "api", Ownership: store.Owned},
		{Name: "public/x", Ownership: store.Nobody},
		{Name: "public/y", Ownership: store.Ambiguous, Candidates: []string{"a/b", "a/c"}},
	}
	b.must(b.ReplaceRepositories(b.ctx, first))
	at, err := b.InventoryAt(b.ctx)
	b.must(err)
	own, err := b.RepositoriesOf(b.ctx, 1)
	b.must(err)
	ignore := cmpopts.IgnoreFields(store.Repository{}, "SeenAt")
	if diff := cmp.Diff(first[:2], own, ignore, cmpopts.EquateEmpty()); diff != "" {
		t.Error(diff)
	}
	ambiguous, err := b.AmbiguousRepositories(b.ctx, "a/c")
	b.must(err)
	if diff := cmp.Diff(first[3:], ambiguous, ignore); diff != "" {
		t.Error(diff)
	}
	// One that cannot be stored leaves the old inventory whole.
	if err := b.ReplaceRepositories(b.ctx, []store.Repository{{Name: "x/y", Ownership: store.Nobody}, {Name: "x/z", Ownership: store.Owned}}); constraintOf(err) != "repositories_owner" {
		t.Errorf("an owned one without owner: %v", err)
	}
	if all, _ := b.Repositories(b.ctx); len(all) != 4 {
		t.Errorf("%d repositories after a failed inventory, want 4", len(all))
	}
	b.must(b.ReplaceRepositories(b.ctx, first[1:2]))
	inv, err := b.LatestInventory(b.ctx)
	b.must(err)
	if inv.Repositories != 1 || inv.Projects != 1 || !inv.FinishedAt.After(at) {
		t.Errorf("latest inventory %+v, the one before at %v", inv, at)
	}
}
