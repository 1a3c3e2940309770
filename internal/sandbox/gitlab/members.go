package gitlab

import "net/http"

// listMembers answers with those of a project's members, inherited ones too, whose
// level is known: a user's level to all projects stands for the group's.
func listMembers(c *call) (int, any, error) {
	states, err := c.params.oneOf("state", "", "awaiting", "active")
	if err != nil {
		return 0, nil, err
	}
	var all []*user
	for _, u := range c.s.st.Users {
		if c.s.level(u, c.project) > NoAccess && states != "awaiting" && (u.Level > NoAccess || u.Roles[c.project.Path] > NoAccess) {
			all = append(all, u)
		}
	}
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, u := range some {
		o := c.s.basicUser(u.ID).(object)
		o["access_level"], o["created_at"], o["expires_at"], o["membership_state"] = c.s.level(u, c.project), created, nil, "active"
		out = append(out, o)
	}
	return http.StatusOK, out, err
}
