package gitlab

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"
)

// The ids were made by git from the same content.
func TestObjectIDs(t *testing.T) {
	t.Parallel()
	r := newRepository()
	files := map[string]entry{
		"hello.txt": {Blob: r.addBlob([]byte("hello\n"))},
		"bin/run":   {Blob: r.addBlob([]byte("#!/bin/sh\n")), Exec: true},
		"bin.d":     {Blob: r.addBlob(nil)},
	}
	if got, want := files["hello.txt"].Blob, "ce013625030ba8dba906f756967f9e9ca394464a"; got != want {
		t.Errorf("blob %s, want %s", got, want)
	}
	if got, want := treeID(nil, ""), "4b825dc642cb6eb9a060e54bf8d69288fbee4904"; got != want {
		t.Errorf("empty tree %s, want %s", got, want)
	}
	by := signature{"Kari", "kari@example.org", time.Unix(1700000000, 0)}
	c := r.addCommit(nil, files, by, by, "First\n")
	if got, want := treeID(files, ""), "1dd4b741ab47bb29331575744d9825459728a746"; got != want {
		t.Errorf("tree %s, want %s", got, want)
	}
	if want := "fe98c3ae9a35539e1805019e6e9fc441b9489b5f"; c.SHA != want {
		t.Errorf("commit %s, want %s", c.SHA, want)
	}
}

func TestTreeAndFiles(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{".gitlab-ci.yml": "a", "src/main.go": "package main\n", "src/x/y.txt": "y", "run.sh": "#!/bin/sh\n"}})
	list := func(o api.ListTreeOptions) (out []string) {
		var options []api.RequestOptionFunc
		for {
			nodes, answer, err := b.api.Repositories.ListTree("team/app", &o, options...)
			b.must(err)
			for _, n := range nodes {
				out = append(out, n.Type+" "+n.Mode+" "+n.Path)
			}
			switch {
			case answer.NextLink != "" && o.Pagination == "keyset":
				options = []api.RequestOptionFunc{api.WithKeysetPaginationParameters(answer.NextLink)}
			case answer.NextPage != 0:
				o.Page = answer.NextPage
			default:
				return out
			}
		}
	}
	b.equal(list(api.ListTreeOptions{}), []string{"tree 040000 src", "blob 100644 .gitlab-ci.yml", "blob 100755 run.sh"})
	whole := list(api.ListTreeOptions{Recursive: api.Ptr(true)})
	b.equal(len(whole), 6)
	b.equal(list(api.ListTreeOptions{Recursive: api.Ptr(true), ListOptions: api.ListOptions{Pagination: "keyset", PerPage: 2}}), whole)
	b.equal(list(api.ListTreeOptions{Recursive: api.Ptr(true), ListOptions: api.ListOptions{PerPage: 4}}), whole)
	b.equal(list(api.ListTreeOptions{Path: api.Ptr("src")}), []string{"tree 040000 src/x", "blob 100644 src/main.go"})
	_, _, err := b.api.Repositories.ListTree("team/app", &api.ListTreeOptions{Ref: api.Ptr("nowhere")})
	b.refused(err, http.StatusNotFound, "")

	f, _, err := b.api.RepositoryFiles.GetFile("team/app", "src/main.go", &api.GetFileOptions{Ref: api.Ptr("main")})
	b.must(err)
	text, _ := base64.StdEncoding.DecodeString(f.Content)
	b.equal(string(text), "package main\n")
	v, _ := b.Project("team/app")
	m, _, err := b.api.RepositoryFiles.GetFileMetaData("team/app", "src/main.go", &api.GetFileMetaDataOptions{Ref: api.Ptr("main")})
	b.must(err)
	b.equal([]any{m.BlobID, m.LastCommitID, m.SHA256, m.Size}, []any{objectID("blob", text), v.Branches["main"], f.SHA256, 13})
	_, _, err = b.api.RepositoryFiles.GetFile("team/app", "none", &api.GetFileOptions{Ref: api.Ptr("main")})
	b.refused(err, http.StatusNotFound, "")
	content, _, err := b.api.Repositories.RawBlobContent("team/app", f.BlobID)
	b.must(err)
	b.equal(string(content), "package main\n")
	blob, _, err := b.api.Repositories.Blob("team/app", f.BlobID)
	b.must(err)
	if !strings.Contains(string(blob), `"encoding":"base64"`) {
		t.Errorf("blob %s", blob)
	}
}

func action1(kind api.FileActionValue, path, content string) *api.CommitActionOptions {
	a := &api.CommitActionOptions{Action: &kind, FilePath: &path}
	if content != "" {
		a.Content = &content
	}
	return a
}

func TestLastCommitOfFile(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1", "b": "1"}})
	first, _ := b.Project("team/app")
	second, err := b.PushFiles("team/app", "main", "change b", map[string]string{"b": "2"})
	b.must(err)
	last := func(path string) string {
		m, _, err := b.api.RepositoryFiles.GetFileMetaData("team/app", path, &api.GetFileMetaDataOptions{Ref: api.Ptr("main")})
		b.must(err)
		b.equal(m.CommitID, second)
		return m.LastCommitID
	}
	b.equal(last("a"), first.Branches["main"])
	b.equal(last("b"), second)

	update := func(id string) (*api.Commit, error) {
		a := action1(api.FileUpdate, "a", "mine")
		a.LastCommitID = &id
		k, _, err := b.api.Commits.CreateCommit("team/app", &api.CreateCommitOptions{Branch: api.Ptr("main"), CommitMessage: api.Ptr("m"), Actions: []*api.CommitActionOptions{a}})
		return k, err
	}
	_, err = update(second) // the head, but not the file's last commit
	b.refused(err, http.StatusBadRequest, "that has changed since you started editing it")
	k, err := update(first.Branches["main"])
	b.must(err)
	b.equal(k.ParentIDs, []string{second})
	_, err = update(first.Branches["main"])
	b.refused(err, http.StatusBadRequest, "You are attempting to update a file `a` that has changed since you started editing it.")
}

func TestCommitActions(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1", "b": "2", "c": "3", "d": "4"}})
	move := action1(api.FileMove, "e/f", "")
	move.PreviousPath = api.Ptr("c")
	chmod := action1(api.FileChmod, "d", "")
	chmod.ExecuteFilemode = api.Ptr(true)
	coded := action1(api.FileCreate, "new", base64.StdEncoding.EncodeToString([]byte("æøå")))
	coded.Encoding = api.Ptr("base64")
	k, answer, err := b.api.Commits.CreateCommit("team/app", &api.CreateCommitOptions{
		Branch: api.Ptr("work"), StartBranch: api.Ptr("main"), CommitMessage: api.Ptr("Do it all\n\nMigration: 7\n"), AuthorName: api.Ptr("Ola"), AuthorEmail: api.Ptr("ola@example.org"),
		Actions: []*api.CommitActionOptions{action1(api.FileUpdate, "a", "one"), action1(api.FileDelete, "b", ""), move, chmod, coded},
	})
	b.must(err)
	b.equal([]any{answer.StatusCode, k.Title, k.AuthorName, k.CommitterName, k.Trailers}, []any{201, "Do it all", "Ola", "ecrferry", map[string]string{"Migration": "7"}})
	want := map[string]string{"a": "one", "e/f": "3", "d": "4", "new": "æøå"}
	for path, text := range want {
		got, err := b.File("team/app", "work", path)
		b.must(err)
		b.equal(got, text)
	}
	if text, err := b.File("team/app", "main", "a"); err != nil || text != "1" {
		t.Errorf("main has %q, %v: the start branch was changed", text, err)
	}
	for _, gone := range []string{"b", "c"} {
		if _, err := b.File("team/app", "work", gone); err == nil {
			t.Errorf("%s is still there", gone)
		}
	}
	diff, _, err := b.api.Commits.GetCommitDiff("team/app", k.ID, nil)
	b.must(err)
	b.equal(len(diff), 6)
	b.equal(diff[0].Diff, "@@ -1 +1 @@\n-1\n\\ No newline at end of file\n+one\n\\ No newline at end of file\n")
	all, _, err := b.api.Commits.ListCommits("team/app", &api.ListCommitsOptions{RefName: api.Ptr("work")})
	b.must(err)
	b.equal(len(all), 2)
	some, _, err := b.api.Commits.ListCommits("team/app", &api.ListCommitsOptions{RefName: api.Ptr("work"), Path: api.Ptr("e")})
	b.must(err)
	b.equal(len(some), 1)
	cmp, _, err := b.api.Repositories.Compare("team/app", &api.CompareOptions{From: api.Ptr("main"), To: api.Ptr("work")})
	b.must(err)
	b.equal([]any{len(cmp.Commits), len(cmp.Diffs)}, []any{1, 6})
}

func TestCommitRefusals(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.AddToken("glpat-dev", "dev", Developer)
	b.AddToken("glpat-reporter", "reporter", Reporter)
	b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1"}, ProtectedBranches: []ProtectedBranch{{Name: "main", Push: Maintainer}, {Name: "locked/*", Push: NoAccess}}})
	_, err := b.PushFiles("team/app", "work", "work", map[string]string{"b": "2"})
	b.must(err)
	move := action1(api.FileMove, "z", "")
	for name, c := range map[string]struct {
		token, branch, start string
		action               *api.CommitActionOptions
		status               int
		text                 string
	}{
		"protected":       {"glpat-dev", "main", "", action1(api.FileCreate, "x", "y"), 403, "You are not allowed to push into this branch"},
		"no one":          {BotToken, "locked/x", "main", action1(api.FileCreate, "x", "y"), 403, "You are not allowed to push into this branch"},
		"reporter":        {"glpat-reporter", "work", "", action1(api.FileCreate, "x", "y"), 403, "You are not allowed to push into this branch"},
		"branch exists":   {BotToken, "work", "main", action1(api.FileCreate, "x", "y"), 400, "A branch called 'work' already exists. Switch to that branch in order to make changes"},
		"no branch":       {BotToken, "none", "", action1(api.FileCreate, "x", "y"), 400, "You can only create or edit files when you are on a branch"},
		"create existing": {BotToken, "work", "", action1(api.FileCreate, "a", "y"), 400, "A file with this name already exists"},
		"update missing":  {BotToken, "work", "", action1(api.FileUpdate, "q", "y"), 400, "A file with this name doesn't exist"},
		"delete missing":  {BotToken, "work", "", action1(api.FileDelete, "q", ""), 400, "A file with this name doesn't exist"},
		"move from where": {BotToken, "work", "", move, 400, "previous_path"},
		"traversal":       {BotToken, "work", "", action1(api.FileCreate, "../x", "y"), 400, "invalid path"},
		"unknown action":  {BotToken, "work", "", action1("paint", "x", "y"), 400, "does not have a valid value"},
	} {
		o := &api.CreateCommitOptions{Branch: &c.branch, CommitMessage: api.Ptr(name), Actions: []*api.CommitActionOptions{c.action}}
		if c.start != "" {
			o.StartBranch = &c.start
		}
		_, _, err := client(t, b.Server, c.token).Commits.CreateCommit("team/app", o)
		t.Run(name, func(t *testing.T) { (&bench{T: t}).refused(err, c.status, c.text) })
	}
	_, _, err = b.api.Commits.CreateCommit("team/app", &api.CreateCommitOptions{Branch: api.Ptr("work"), Actions: []*api.CommitActionOptions{}})
	b.refused(err, 400, "commit_message is missing")
	b.equal(b.Writes()["commits"], 0)
}

func TestBranches(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.AddToken("glpat-dev", "dev", Developer)
	b.seed(Seed{Path: "team/app", Files: map[string]string{"a": "1"}})
	dev := client(t, b.Server, "glpat-dev")
	main, _, err := dev.Branches.GetBranch("team/app", "main")
	b.must(err)
	b.equal([]any{main.Protected, main.CanPush, main.Default}, []any{true, false, true})
	main, _, err = b.api.Branches.GetBranch("team/app", "main")
	b.must(err)
	b.equal(main.CanPush, true)
	made, answer, err := dev.Branches.CreateBranch("team/app", &api.CreateBranchOptions{Branch: api.Ptr("ecr/x"), Ref: api.Ptr("main")})
	b.must(err)
	b.equal([]any{answer.StatusCode, made.Commit.ID, made.CanPush}, []any{201, main.Commit.ID, true})
	_, _, err = dev.Branches.CreateBranch("team/app", &api.CreateBranchOptions{Branch: api.Ptr("ecr/x"), Ref: api.Ptr("main")})
	b.refused(err, 400, "Branch already exists")
	_, _, err = dev.Branches.CreateBranch("team/app", &api.CreateBranchOptions{Branch: api.Ptr("y"), Ref: api.Ptr("none")})
	b.refused(err, 400, "Invalid reference name")
	all, _, err := dev.Branches.ListBranches("team/app", &api.ListBranchesOptions{Search: api.Ptr("^ecr/")})
	b.must(err)
	b.equal(len(all), 1)
	_, err = dev.Branches.DeleteBranch("team/app", "ecr/x")
	b.must(err)
	_, _, err = dev.Branches.GetBranch("team/app", "ecr/x")
	b.refused(err, 404, "")
	_, err = b.api.Branches.DeleteBranch("team/app", "main")
	b.refused(err, 400, "Cannot remove HEAD branch")
	list, _, err := b.api.ProtectedBranches.ListProtectedBranches("team/app", nil)
	b.must(err)
	b.equal(fmt.Sprint(list[0].Name, list[0].PushAccessLevels[0].AccessLevel), "main40")
}
