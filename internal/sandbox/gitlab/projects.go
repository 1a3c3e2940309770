package gitlab

import (
	"cmp"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

func getProject(c *call) (int, any, error) { return http.StatusOK, c.projectEntity(c.project), nil }

func (c *call) simpleProject(p *project) object {
	s := c.s
	web := s.URL + "/" + p.Path
	namespace := p.namespace()
	_, last, ok := cutLast(namespace)
	if !ok {
		last = namespace
	}
	var branch, readme any
	if p.DefaultBranch != "" {
		branch = p.DefaultBranch
		if head := p.Repo.resolve(p.DefaultBranch); head != nil && head.Files["README.md"].Blob != "" {
			readme = web + "/-/blob/" + p.DefaultBranch + "/README.md"
		}
	}
	topics := p.Topics
	if topics == nil {
		topics = []string{}
	}
	return object{
		"id": p.ID, "description": p.Description, "name": p.name(), "name_with_namespace": strings.ReplaceAll(p.Path, "/", " / "),
		"path": p.name(), "path_with_namespace": p.Path, "created_at": p.CreatedAt, "default_branch": branch,
		"tag_list": topics, "topics": topics, "ssh_url_to_repo": "git@" + s.opt.Host + ":" + p.Path + ".git",
		"http_url_to_repo": web + ".git", "web_url": web, "readme_url": readme, "forks_count": 0, "avatar_url": nil, "star_count": 0,
		"last_activity_at": p.ActivityAt, "visibility": p.Visibility,
		"namespace": object{"id": namespaceID(s, namespace), "name": last, "path": last, "kind": "group", "full_path": namespace,
			"parent_id": nil, "avatar_url": nil, "web_url": s.URL + "/groups/" + namespace},
	}
}

// namespaceID gives groups stable ids: that of the group's oldest project and a half, so to speak.
func namespaceID(s *Server, namespace string) int64 {
	lowest := int64(0)
	for id, p := range s.st.projects {
		if p.namespace() == namespace && (lowest == 0 || id < lowest) {
			lowest = id
		}
	}
	return 1_000_000 + lowest
}

func (c *call) projectEntity(p *project) object {
	o := c.simpleProject(p)
	enabled := func(on bool) string {
		if on {
			return "enabled"
		}
		return "disabled"
	}
	var deletion any
	if p.DeletionOn != "" {
		deletion = p.DeletionOn
	}
	var configPath any
	if p.ConfigPath != "" {
		configPath = p.ConfigPath
	}
	level := c.s.level(c.user, p)
	add := object{
		"archived": p.Archived, "empty_repo": p.Repo.empty(), "marked_for_deletion_at": deletion, "marked_for_deletion_on": deletion,
		"owner": nil, "creator_id": humanID, "updated_at": p.ActivityAt, "mirror": false, "import_status": "none", "import_url": nil,
		"issues_enabled": true, "merge_requests_enabled": true, "jobs_enabled": !p.CIDisabled, "wiki_enabled": false, "snippets_enabled": false,
		"builds_access_level": enabled(!p.CIDisabled), "repository_access_level": "enabled", "merge_requests_access_level": "enabled",
		"container_registry_enabled": false, "container_registry_access_level": "disabled", "environments_access_level": "enabled",
		"shared_runners_enabled": true, "group_runners_enabled": true, "open_issues_count": 0, "ci_config_path": configPath,
		"ci_default_git_depth": 20, "ci_forward_deployment_enabled": true, "ci_forward_deployment_rollback_allowed": true,
		"ci_pipeline_variables_minimum_override_role": p.VariablesRole, "restrict_user_defined_variables": p.VariablesRole != "developer",
		"ci_job_token_scope_enabled": false, "ci_separated_caches": true, "public_jobs": true, "build_timeout": 3600,
		"auto_cancel_pending_pipelines": "enabled", "auto_devops_enabled": false, "merge_method": mergeMethod(p), "squash_option": "default_off",
		"only_allow_merge_if_pipeline_succeeds": p.PipelineMerge, "allow_merge_on_skipped_pipeline": false,
		"only_allow_merge_if_all_discussions_are_resolved": false, "remove_source_branch_after_merge": true, "approvals_before_merge": p.Approvals,
		"shared_with_groups": []any{}, "lfs_enabled": true, "request_access_enabled": true, "resolve_outdated_diff_discussions": false,
		"permissions": object{"project_access": object{"access_level": level, "notification_level": 3}, "group_access": nil},
		"_links":      object{"self": c.s.URL + "/api/v4/projects/" + strconv.FormatInt(p.ID, 10)},
	}
	for k, v := range add {
		o[k] = v
	}
	return o
}

func cutLast(path string) (before, after string, ok bool) {
	i := strings.LastIndex(path, "/")
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// listProjects follows https://docs.gitlab.com/api/projects/#list-all-projects.
func listProjects(c *call) (int, any, error) {
	all, err := c.filterProjects()
	if err != nil {
		return 0, nil, err
	}
	orderBy, err := c.params.oneOf("order_by", "created_at", "id", "name", "path", "created_at", "updated_at", "last_activity_at", "similarity", "star_count")
	if err != nil {
		return 0, nil, err
	}
	sort, err := c.params.oneOf("sort", "desc", "asc", "desc")
	if err != nil {
		return 0, nil, err
	}
	order(all, sort == "desc", func(a, b *project) int {
		switch orderBy {
		case "name", "path":
			return cmp.Compare(strings.ToLower(a.name()), strings.ToLower(b.name()))
		case "created_at":
			return a.CreatedAt.Compare(b.CreatedAt)
		case "updated_at", "last_activity_at":
			return a.ActivityAt.Compare(b.ActivityAt)
		}
		return 0
	}, func(p *project) int64 { return p.ID })

	var some []*project
	if c.params.str("pagination") == "keyset" {
		if orderBy != "id" {
			return 0, nil, &apiError{http.StatusMethodNotAllowed, object{"error": "Keyset pagination is not yet available for this type of request"}}
		}
		key := "id_after"
		if sort == "desc" {
			key = "id_before"
		}
		some, err = keyset(c, all, func(p *project) map[string]string { return map[string]string{key: strconv.FormatInt(p.ID, 10)} })
	} else {
		some, err = page(c, all)
	}
	if err != nil {
		return 0, nil, err
	}
	simple, err := c.params.boolean("simple", false)
	out := make([]object, 0, len(some))
	for _, p := range some {
		if simple {
			out = append(out, c.simpleProject(p))
		} else {
			out = append(out, c.projectEntity(p))
		}
	}
	return http.StatusOK, out, err
}

func (c *call) filterProjects() ([]*project, error) {
	keep := []func(*project) bool{func(p *project) bool { return c.s.visible(c.user, p) }}
	flag := func(name string, test func(*project) bool, both bool) error {
		if !c.params.has(name) {
			return nil
		}
		want, err := c.params.boolean(name, false)
		if want || both {
			keep = append(keep, func(p *project) bool { return test(p) == want })
		}
		return err
	}
	after, err1 := c.params.integer("id_after", 0)
	before, err2 := c.params.integer("id_before", 0)
	least, err3 := c.params.integer("min_access_level", 0)
	activeAfter, err4 := c.params.time("last_activity_after")
	activeBefore, err5 := c.params.time("last_activity_before")
	visibility, err6 := c.params.oneOf("visibility", "", "private", "internal", "public")
	errs := []error{
		err1, err2, err3, err4, err5, err6,
		flag("archived", func(p *project) bool { return p.Archived }, true),
		flag("active", func(p *project) bool { return !p.Archived && p.DeletionOn == "" }, true),
		flag("membership", func(p *project) bool { return c.s.level(c.user, p) > Guest || p.Visibility == "private" }, false),
		flag("owned", func(p *project) bool { return c.s.level(c.user, p) >= Owner }, false),
		flag("with_merge_requests_enabled", func(*project) bool { return true }, false),
	}
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	search := strings.ToLower(c.params.str("search"))
	wide, _ := c.params.boolean("search_namespaces", false)
	topics := strings.FieldsFunc(c.params.str("topic"), func(r rune) bool { return r == ',' })
	keep = append(keep, func(p *project) bool {
		name := strings.ToLower(p.name())
		if wide {
			name = strings.ToLower(p.Path)
		}
		for _, t := range topics {
			if !slices.Contains(p.Topics, strings.TrimSpace(t)) {
				return false
			}
		}
		return p.ID > after && (before == 0 || p.ID < before) && int64(c.s.level(c.user, p)) >= least &&
			(activeAfter.IsZero() || p.ActivityAt.After(activeAfter)) && (activeBefore.IsZero() || p.ActivityAt.Before(activeBefore)) &&
			(visibility == "" || p.Visibility == visibility) && strings.Contains(name, search)
	})
	var out []*project
next:
	for _, p := range c.s.st.projects {
		for _, k := range keep {
			if !k(p) {
				continue next
			}
		}
		out = append(out, p)
	}
	return out, nil
}
