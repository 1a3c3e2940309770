package gitlab

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

func TestProjectsKeyset(t *testing.T) {
	t.Parallel()
	b := serve(t)
	var want []int64
	for i := range 7 {
		want = append(want, b.seed(Seed{Path: fmt.Sprintf("team/app%d", i), Archived: i == 3}))
	}
	walk := func(o api.ListProjectsOptions) (ids []int64, pages int) {
		o.Pagination, o.OrderBy, o.Sort, o.PerPage = "keyset", api.Ptr("id"), api.Ptr("asc"), 2
		var options []api.RequestOptionFunc
		for {
			some, answer, err := b.api.Projects.ListProjects(&o, options...)
			b.must(err)
			pages++
			for _, p := range some {
				ids = append(ids, p.ID)
			}
			if answer.NextLink == "" {
				return ids, pages
			}
			options = []api.RequestOptionFunc{api.WithKeysetPaginationParameters(answer.NextLink)}
		}
	}
	got, pages := walk(api.ListProjectsOptions{})
	b.equal(got, want)
	b.equal(pages, 4)
	got, _ = walk(api.ListProjectsOptions{IDAfter: &want[4]})
	b.equal(got, want[5:])
	got, _ = walk(api.ListProjectsOptions{Archived: api.Ptr(true)})
	b.equal(got, want[3:4])
	got, _ = walk(api.ListProjectsOptions{Archived: api.Ptr(false), Simple: api.Ptr(true)})
	b.equal(len(got), 6)

	_, _, err := b.api.Projects.ListProjects(&api.ListProjectsOptions{ListOptions: api.ListOptions{Pagination: "keyset"}})
	b.refused(err, http.StatusMethodNotAllowed, "Keyset pagination is not yet available")
	some, answer, err := b.api.Projects.ListProjects(&api.ListProjectsOptions{ListOptions: api.ListOptions{PerPage: 3, Page: 3}, OrderBy: api.Ptr("id"), Sort: api.Ptr("asc")})
	b.must(err)
	b.equal(some[0].ID, want[6])
	b.equal(answer.TotalItems, 7)
	b.equal(answer.NextPage, 0)
}

func TestProjectStates(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/sub/app", Topics: []string{"go"}, Files: map[string]string{"README.md": "x"}, VariablesMinimumRole: "no_one_allowed"})
	b.seed(Seed{Path: "team/old", Archived: true})
	b.seed(Seed{Path: "team/empty", Empty: true})
	b.seed(Seed{Path: "team/noci", CIDisabled: true})
	b.seed(Seed{Path: "team/going", Deletion: time.Date(2030, 1, 2, 0, 0, 0, 0, time.UTC)})

	p, _, err := b.api.Projects.GetProject("team/sub/app", nil)
	b.must(err)
	b.equal([]any{p.PathWithNamespace, p.DefaultBranch, p.Topics, p.EmptyRepo, p.CIPipelineVariablesMinimumOverrideRole, p.BuildsAccessLevel},
		[]any{"team/sub/app", "main", "[go]", false, "no_one_allowed", "enabled"})
	_, _, err = b.api.Projects.GetProject(int64(99999), nil)
	b.refused(err, http.StatusNotFound, "")

	commit := func(path string) error {
		_, _, err := b.api.Commits.CreateCommit(path, &api.CreateCommitOptions{Branch: api.Ptr("main"), CommitMessage: api.Ptr("m"),
			Actions: []*api.CommitActionOptions{{Action: api.Ptr(api.FileCreate), FilePath: api.Ptr("a"), Content: api.Ptr("b")}}})
		return err
	}
	_, _, err = b.api.Repositories.ListTree("team/old", nil)
	b.must(err)
	b.refused(commit("team/old"), http.StatusForbidden, "403 Forbidden")
	b.refused(commit("team/going"), http.StatusForbidden, "403 Forbidden")
	_, _, err = b.api.Pipelines.CreatePipeline("team/old", &api.CreatePipelineOptions{Ref: api.Ptr("main")})
	b.refused(err, http.StatusForbidden, "403 Forbidden")

	p, _, err = b.api.Projects.GetProject("team/empty", nil)
	b.must(err)
	b.equal([]any{p.EmptyRepo, p.DefaultBranch}, []any{true, ""})
	_, _, err = b.api.Repositories.ListTree("team/empty", nil)
	b.refused(err, http.StatusNotFound, "")
	_, _, err = b.api.Validate.ProjectLint("team/empty", nil)
	b.refused(err, http.StatusNotFound, "")
	b.must(commit("team/empty"))

	_, _, err = b.api.Pipelines.ListProjectPipelines("team/noci", nil)
	b.refused(err, http.StatusForbidden, "403 Forbidden")
	p, _, err = b.api.Projects.GetProject("team/going", nil)
	b.must(err)
	b.equal(time.Time(*p.MarkedForDeletionOn).Format(time.DateOnly), "2030-01-02")
	if got := b.Writes(); got["commits"] != 1 || got["pipelines"] != 0 {
		t.Errorf("writes %v: want the one that was not refused", got)
	}
}

func TestMovedProject(t *testing.T) {
	t.Parallel()
	b := serve(t)
	id := b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "b"}})
	b.must(b.Transfer("team/app", "other/app"))

	p, _, err := b.api.Projects.GetProject("team/app", nil) // the client follows the redirect
	b.must(err)
	b.equal([]any{p.ID, p.PathWithNamespace}, []any{id, "other/app"})
	text, _, err := b.api.RepositoryFiles.GetRawFile("team/app", "a", &api.GetRawFileOptions{Ref: api.Ptr("main")})
	b.must(err)
	b.equal(string(text), "b")

	plain := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/api/v4/projects/team%2Fapp/variables?page=2", nil)
	request.Header.Set("PRIVATE-TOKEN", BotToken)
	answer, err := plain.Do(request)
	b.must(err)
	_ = answer.Body.Close()
	b.equal(answer.StatusCode, http.StatusMovedPermanently)
	b.equal(answer.Header.Get("Location"), fmt.Sprintf("%s/api/v4/projects/%d/variables?page=2", b.URL, id))

	_, _, err = b.api.Branches.CreateBranch("team/app", &api.CreateBranchOptions{Branch: api.Ptr("x"), Ref: api.Ptr("main")})
	b.refused(err, http.StatusMethodNotAllowed, "Non GET methods are not allowed for moved projects")
	b.seed(Seed{Path: "team/app"}) // a new project takes the path over
	p, _, err = b.api.Projects.GetProject("team/app", nil)
	b.must(err)
	if p.ID == id {
		t.Error("the former path still leads to the moved project")
	}
}
