package gitlab

import (
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strings"
)

// protections lists those whose name or wildcard covers the branch.
func (p *project) protections(branch string) []*protection {
	var out []*protection
	for _, b := range p.Protected {
		if b.Name == branch || strings.Contains(b.Name, "*") && wildcard(b.Name, branch) {
			out = append(out, b)
		}
	}
	return out
}

// wildcard matches GitLab's *, which covers slashes too.
func wildcard(pattern, s string) bool {
	expr := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
	ok, err := regexp.MatchString(expr, s)
	return err == nil && ok
}

// allowed is GitLab's rule for protected branches: any rule that covers the
// branch and admits the level is enough; without a rule Developers may.
func allowed(rules []*protection, level int, of func(*protection) int) bool {
	if len(rules) == 0 {
		return level >= Developer
	}
	return slices.ContainsFunc(rules, func(b *protection) bool { return of(b) > NoAccess && level >= of(b) })
}

func pushLevel(b *protection) int  { return b.Push }
func mergeLevel(b *protection) int { return b.Merge }

func (c *call) canPush(branch string) bool {
	return !c.project.Archived && allowed(c.project.protections(branch), c.level(), pushLevel)
}

func (c *call) canMerge(branch string) bool {
	rules := c.project.protections(branch)
	return !c.project.Archived && (allowed(rules, c.level(), mergeLevel) || allowed(rules, c.level(), pushLevel))
}

func (c *call) branchEntity(name string) object {
	p := c.project
	k := p.Repo.Commits[p.Repo.Branches[name]]
	rules := p.protections(name)
	head := p.Repo.resolve(p.DefaultBranch)
	return object{
		"name": name, "commit": c.commitEntity(k), "merged": name != p.DefaultBranch && head != nil && p.Repo.contains(head, k.SHA),
		"protected": len(rules) > 0, "developers_can_push": len(rules) > 0 && allowed(rules, Developer, pushLevel),
		"developers_can_merge": len(rules) > 0 && allowed(rules, Developer, mergeLevel), "can_push": c.canPush(name),
		"default": name == p.DefaultBranch, "web_url": c.s.URL + "/" + p.Path + "/-/tree/" + name,
	}
}

func listBranches(c *call) (int, any, error) {
	names := slices.Sorted(maps.Keys(c.project.Repo.Branches))
	search := c.params.str("search")
	prefix, suffix := strings.HasPrefix(search, "^"), strings.HasSuffix(search, "$")
	text := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(search, "^"), "$"))
	names = slices.DeleteFunc(names, func(n string) bool {
		n = strings.ToLower(n)
		return !strings.Contains(n, text) || prefix && !strings.HasPrefix(n, text) || suffix && !strings.HasSuffix(n, text)
	})
	if expr := c.params.str("regex"); expr != "" {
		re, err := regexp.Compile(expr)
		if err != nil {
			return 0, nil, invalid("regex is an invalid regular expression")
		}
		names = slices.DeleteFunc(names, func(n string) bool { return !re.MatchString(n) })
	}
	some, err := page(c, names)
	out := make([]object, 0, len(some))
	for _, n := range some {
		out = append(out, c.branchEntity(n))
	}
	return http.StatusOK, out, err
}

func getBranch(c *call) (int, any, error) {
	if _, ok := c.project.Repo.Branches[c.path("branch")]; !ok {
		return 0, nil, notFound("Branch")
	}
	return http.StatusOK, c.branchEntity(c.path("branch")), nil
}

func createBranch(c *call) (int, any, error) {
	if err := c.params.required("branch", "ref"); err != nil {
		return 0, nil, err
	}
	name, r := c.params.str("branch"), &c.project.Repo
	switch _, exists := r.Branches[name]; {
	case strings.ContainsAny(name, " ~^:?*[\\") || strings.Contains(name, "..") || path.Clean(name) != name || strings.HasPrefix(name, "-"):
		return 0, nil, refuse(http.StatusBadRequest, "Branch name is invalid")
	case exists:
		return 0, nil, refuse(http.StatusBadRequest, "Branch already exists")
	case !c.canPush(name):
		return 0, nil, forbidden("")
	}
	k := r.resolve(c.params.str("ref"))
	if k == nil {
		return 0, nil, refuse(http.StatusBadRequest, "Invalid reference name: "+c.params.str("ref"))
	}
	c.s.pushed(c.project, name, "", k, c.user.ID)
	return http.StatusCreated, c.branchEntity(name), nil
}

func deleteBranch(c *call) (int, any, error) {
	name := c.path("branch")
	switch _, exists := c.project.Repo.Branches[name]; {
	case !exists:
		return 0, nil, notFound("Branch")
	case name == c.project.DefaultBranch:
		return 0, nil, refuse(http.StatusBadRequest, "Cannot remove HEAD branch")
	case len(c.project.protections(name)) > 0:
		return 0, nil, refuse(http.StatusForbidden, "Protected branch can't be removed")
	}
	c.s.dropBranch(c.project, name, c.user.ID)
	return http.StatusNoContent, nil, nil
}

// dropBranch removes a branch; GitLab closes the merge requests from it.
// s.mu is held.
func (s *Server) dropBranch(p *project, name string, userID int64) {
	for _, m := range p.MRs {
		if m.State == "opened" && m.Source == name {
			now := s.now()
			m.SHA = p.Repo.Branches[name]
			m.State, m.ClosedAt, m.ClosedByID, m.AutoMerge = "closed", &now, userID, false
		}
	}
	delete(p.Repo.Branches, name)
	s.touch(p)
}

func listTags(c *call) (int, any, error) {
	names := slices.Sorted(maps.Keys(c.project.Repo.Tags))
	some, err := page(c, names)
	out := make([]object, 0, len(some))
	for _, n := range some {
		k := c.project.Repo.Commits[c.project.Repo.Tags[n]]
		out = append(out, object{"name": n, "message": "", "target": k.SHA, "commit": c.commitEntity(k), "release": nil, "protected": false, "created_at": nil})
	}
	return http.StatusOK, out, err
}

func protectedEntity(b *protection) object {
	levels := func(level int) []object {
		text := map[int]string{NoAccess: "No one", Developer: "Developers + Maintainers", Maintainer: "Maintainers"}[level]
		return []object{{"id": b.ID, "access_level": level, "access_level_description": text, "user_id": nil, "group_id": nil, "deploy_key_id": nil}}
	}
	return object{
		"id": b.ID, "name": b.Name, "push_access_levels": levels(b.Push), "merge_access_levels": levels(b.Merge),
		"unprotect_access_levels": []object{}, "allow_force_push": b.Force, "code_owner_approval_required": false, "inherited": false,
	}
}

func listProtected(c *call) (int, any, error) {
	search := c.params.str("search")
	out := []object{}
	for _, b := range c.project.Protected {
		if strings.Contains(b.Name, search) {
			out = append(out, protectedEntity(b))
		}
	}
	some, err := page(c, out)
	return http.StatusOK, some, err
}

func getProtected(c *call) (int, any, error) {
	for _, b := range c.project.Protected {
		if b.Name == c.path("name") {
			return http.StatusOK, protectedEntity(b), nil
		}
	}
	return 0, nil, notFound("")
}
