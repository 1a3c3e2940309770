package gitlab

import (
	"net/http"
	"strings"
)

// version is what the stand-in says it is.
const version = "18.4.1-ee"

// AddToken makes a further user known, with an access level to all projects.
// NoAccess sees public and internal projects only.
func (s *Server) AddToken(token, username string, level int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.st.Users {
		if u.Username == username {
			u.Token, u.Level = token, level
			s.dirtyServer()
			return
		}
	}
	s.st.Users = append(s.st.Users, &user{ID: s.id(), Username: username, Name: username, Token: token, Level: level, Roles: map[string]int{}})
	s.dirtyServer()
}

// SetRole gives a user another access level to one project.
func (s *Server) SetRole(username, path string, level int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, u := range s.st.Users {
		if u.Username == username {
			u.Roles[path] = level
		}
	}
	s.dirtyServer()
}

func (s *Server) authenticate(r *http.Request) *user {
	token := r.Header.Get("PRIVATE-TOKEN")
	if token == "" {
		token, _ = strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	}
	if token == "" {
		return nil
	}
	for _, u := range s.st.Users {
		if u.Token == token {
			return u
		}
	}
	return nil
}

func (s *Server) level(u *user, p *project) int {
	if level, ok := u.Roles[p.Path]; ok {
		return level
	}
	if u.Level == NoAccess && p.Visibility != "private" {
		return Guest
	}
	return u.Level
}

func (s *Server) visible(u *user, p *project) bool { return s.level(u, p) > NoAccess }

func (s *Server) basicUser(id int64) any {
	u := s.user(id)
	if u == nil {
		return nil
	}
	return object{"id": u.ID, "username": u.Username, "name": u.Name, "state": "active", "locked": false, "avatar_url": nil, "web_url": s.URL + "/" + u.Username}
}

func (u *user) email() string { return u.Username + "@users.noreply.gitlab.sikt.no" }

func getUser(c *call) (int, any, error) {
	o := c.s.basicUser(c.user.ID).(object)
	for k, v := range (object{"bot": c.user.Bot, "email": c.user.email(), "commit_email": c.user.email(), "created_at": created, "is_admin": false, "can_create_project": false, "external": false}) {
		o[k] = v
	}
	return http.StatusOK, o, nil
}

func getVersion(*call) (int, any, error) {
	return http.StatusOK, object{"version": version, "revision": "0000000"}, nil
}

func getMetadata(c *call) (int, any, error) {
	return http.StatusOK, object{
		"version": version, "revision": "0000000", "enterprise": true,
		"kas": object{"enabled": false, "externalUrl": nil, "externalK8sProxyUrl": nil, "version": nil},
	}, nil
}

func getToken(c *call) (int, any, error) {
	return http.StatusOK, object{
		"id": c.user.ID, "name": "sandbox", "description": "", "revoked": false, "active": true, "created_at": created,
		"scopes": []string{"api"}, "user_id": c.user.ID, "last_used_at": c.s.now(), "last_used_ips": []string{"127.0.0.1"}, "expires_at": c.s.now().AddDate(1, 0, 0).Format("2006-01-02"),
	}, nil
}
