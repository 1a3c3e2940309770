package gitlab

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

func (c *call) commitEntity(k *commit) object {
	title, _, _ := strings.Cut(k.Message, "\n")
	parents := k.Parents
	if parents == nil {
		parents = []string{}
	}
	trailers := object{}
	for _, line := range strings.Split(lastParagraph(k.Message), "\n") {
		if key, value, ok := strings.Cut(line, ": "); ok && !strings.Contains(key, " ") {
			trailers[key] = strings.TrimSpace(value)
		}
	}
	return object{
		"id": k.SHA, "short_id": k.SHA[:8], "created_at": k.Committer.When, "parent_ids": parents, "title": title, "message": k.Message,
		"author_name": k.Author.Name, "author_email": k.Author.Email, "authored_date": k.Author.When,
		"committer_name": k.Committer.Name, "committer_email": k.Committer.Email, "committed_date": k.Committer.When,
		"trailers": trailers, "extended_trailers": object{}, "web_url": c.s.URL + "/" + c.project.Path + "/-/commit/" + k.SHA,
	}
}

func lastParagraph(message string) string {
	message = strings.TrimSpace(message)
	i := strings.LastIndex(message, "\n\n")
	if i < 0 {
		return ""
	}
	return message[i+2:]
}

func (c *call) commitDetail(k *commit) object {
	o := c.commitEntity(k)
	added, removed := 0, 0
	for _, d := range c.project.Repo.diff(c.project.Repo.parentFiles(k), k.Files) {
		added, removed = added+d.added, removed+d.removed
	}
	o["stats"] = object{"additions": added, "deletions": removed, "total": added + removed}
	o["project_id"] = c.project.ID
	o["status"], o["last_pipeline"] = nil, nil
	for _, p := range c.project.Pipelines {
		if p.SHA == k.SHA {
			o["status"], o["last_pipeline"] = p.Status, c.pipelineBasic(p)
		}
	}
	return o
}

func listCommits(c *call) (int, any, error) {
	if c.project.Repo.empty() {
		return http.StatusOK, []any{}, nil
	}
	head := c.commitAt(c.params.str("ref_name"))
	if head == nil {
		return 0, nil, notFound("Commit")
	}
	since, err1 := c.params.time("since")
	until, err2 := c.params.time("until")
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("since, until is invalid")
	}
	folder := c.params.str("path")
	r := &c.project.Repo
	all := slices.DeleteFunc(r.history(head), func(k *commit) bool {
		when := k.Committer.When
		return !since.IsZero() && when.Before(since) || !until.IsZero() && when.After(until) || folder != "" && !touches(r, k, folder)
	})
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, k := range some {
		out = append(out, c.commitEntity(k))
	}
	return http.StatusOK, out, err
}

func touches(r *repository, k *commit, at string) bool {
	for _, d := range r.diff(r.parentFiles(k), k.Files) {
		if d.path == at || strings.HasPrefix(d.path, strings.TrimSuffix(at, "/")+"/") {
			return true
		}
	}
	return false
}

func (c *call) commit() (*commit, error) {
	if k := c.project.Repo.resolve(c.path("sha")); k != nil {
		return k, nil
	}
	return nil, notFound("Commit")
}

func getCommit(c *call) (int, any, error) {
	k, err := c.commit()
	if err != nil {
		return 0, nil, err
	}
	return http.StatusOK, c.commitDetail(k), nil
}

func getCommitRefs(c *call) (int, any, error) {
	k, err := c.commit()
	if err != nil {
		return 0, nil, err
	}
	out := []object{}
	for _, kind := range []string{"branch", "tag"} {
		refs := c.project.Repo.Branches
		if kind == "tag" {
			refs = c.project.Repo.Tags
		}
		if want := c.params.str("type"); want != "" && want != "all" && want != kind {
			continue
		}
		for _, name := range slices.Sorted(maps.Keys(refs)) {
			if c.project.Repo.contains(c.project.Repo.Commits[refs[name]], k.SHA) {
				out = append(out, object{"type": kind, "name": name})
			}
		}
	}
	some, err := page(c, out)
	return http.StatusOK, some, err
}

// createCommit follows https://docs.gitlab.com/api/commits/#create-a-commit-with-multiple-files-and-actions.
func createCommit(c *call) (int, any, error) {
	if err := c.params.required("branch", "commit_message", "actions"); err != nil {
		return 0, nil, err
	}
	actions, err := c.params.objects("actions")
	if err != nil {
		return 0, nil, err
	}
	force, err := c.params.boolean("force", false)
	if err != nil {
		return 0, nil, err
	}
	r, branch, from := &c.project.Repo, c.params.str("branch"), c.params.str("start_branch")
	if c.params.has("start_branch") && c.params.has("start_sha") {
		return 0, nil, invalid("start_branch, start_sha are mutually exclusive")
	}
	if !c.canPush(branch) {
		return 0, nil, forbidden("You are not allowed to push into this branch")
	}
	head, exists := r.Branches[branch]
	var parent *commit
	switch start := from + c.params.str("start_sha"); {
	case start == "" && exists:
		parent = r.Commits[head]
	case start == "" && !r.empty():
		return 0, nil, refuse(http.StatusBadRequest, "You can only create or edit files when you are on a branch")
	case start == "":
	case from == branch && exists:
		parent = r.Commits[head]
	case exists && !force:
		return 0, nil, refuse(http.StatusBadRequest, fmt.Sprintf("A branch called '%s' already exists. Switch to that branch in order to make changes", branch))
	default:
		if parent = r.resolve(start); parent == nil {
			return 0, nil, refuse(http.StatusBadRequest, "Cannot find start branch '"+start+"'")
		}
	}
	files := map[string]entry{}
	var parents []string
	if parent != nil {
		files, parents = maps.Clone(parent.Files), []string{parent.SHA}
	}
	for _, a := range actions {
		if err := r.act(files, parent, a); err != nil {
			return 0, nil, err
		}
	}
	author := c.s.signature(c.user.ID)
	committer := author
	if name := c.params.str("author_name"); name != "" {
		author.Name = name
	}
	if email := c.params.str("author_email"); email != "" {
		author.Email = email
	}
	k := r.addCommit(parents, files, author, committer, c.params.str("commit_message"))
	if c.project.DefaultBranch == "" {
		c.project.DefaultBranch = branch
	}
	c.s.pushed(c.project, branch, head, k, c.user.ID)
	return http.StatusCreated, c.commitDetail(k), nil
}

// act carries out one action on the files. Its refusals are those of GitLab's
// commit service; all of them are 400.
func (r *repository) act(files map[string]entry, parent *commit, a params) error {
	bad := func(format string, args ...any) error {
		return refuse(http.StatusBadRequest, fmt.Sprintf(format, args...))
	}
	action, name, previous := a.str("action"), a.str("file_path"), a.str("previous_path")
	if !slices.Contains([]string{"create", "update", "delete", "move", "chmod"}, action) {
		return invalid("actions[0][action] does not have a valid value")
	}
	if name == "" {
		return invalid("actions[0][file_path] is missing")
	}
	if name != strings.TrimPrefix(path.Clean("/"+name), "/") {
		return bad("invalid path: '%s'", name)
	}
	was := name
	if action == "move" {
		if was = previous; was == "" {
			return invalid("actions[0][previous_path] is missing")
		}
	}
	old, there := files[was]
	if action == "create" {
		if there {
			return bad("A file with this name already exists")
		}
	} else if !there {
		return bad("A file with this name doesn't exist")
	}
	// The id is that of the file's last commit, not of the branch's head, and
	// counts only where an existing file is changed.
	if last := a.str("last_commit_id"); last != "" && action != "create" && action != "chmod" && parent != nil {
		if _, known := parent.Files[was]; known && r.lastCommit(parent, was).SHA != last {
			return bad("You are attempting to %s a file `%s` that has changed since you started editing it.", action, was)
		}
	}
	content := []byte(a.str("content"))
	if a.str("encoding") == "base64" {
		var err error
		if content, err = base64.StdEncoding.DecodeString(a.str("content")); err != nil {
			return bad("invalid base64")
		}
	}
	executable, err := a.boolean("execute_filemode", false)
	if err != nil {
		return err
	}
	switch action {
	case "create":
		files[name] = entry{Blob: r.addBlob(content), Exec: executable}
	case "update":
		files[name] = entry{Blob: r.addBlob(content), Exec: old.Exec}
	case "delete":
		delete(files, name)
	case "move":
		if _, taken := files[name]; taken {
			return bad("A file with this name already exists")
		}
		delete(files, was)
		if a.has("content") {
			old.Blob = r.addBlob(content)
		}
		files[name] = old
	case "chmod":
		old.Exec = executable
		files[name] = old
	}
	return nil
}
