package oldregistry

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/distribution/distribution/v3/registry/auth"
	"github.com/golang-jwt/jwt/v5"
)

const (
	controllerName = "sandboxtoken"
	tokenPath      = "/auth/token"
	workerUser     = "ecrferry"
	pipelinePrefix = "gitlab-ci/"
)

func init() {
	// Distribution's own token controller asks the system's clock; this one
	// asks the sandbox's, which tests move.
	if err := auth.Register(controllerName, func(o map[string]any) (auth.AccessController, error) {
		a, ok := o["access"].(*access)
		if !ok {
			return nil, errors.New("old registry: no access given")
		}
		return a, nil
	}); err != nil {
		panic(err)
	}
}

// access is the token server and the registry's trust in it. Tokens follow
// https://distribution.github.io/distribution/spec/auth/jwt/.
type access struct {
	server *Server
	key    *ecdsa.PrivateKey // new at each start: tokens are short-lived anyway
}

func newAccess(s *Server) (*access, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &access{server: s, key: key}, err
}

// claims are those of a registry token.
type claims struct {
	jwt.RegisteredClaims
	Access []grant `json:"access"`
}

type grant struct {
	Type    string   `json:"type"`
	Name    string   `json:"name"`
	Actions []string `json:"actions"`
}

// password derives a user's password, so that none has to be stored.
func (s *Server) password(user string) string {
	mac := hmac.New(sha256.New, []byte(s.kept.Secret))
	mac.Write([]byte(user))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// allowed returns which of the actions a user ("" is anybody) may do.
func (s *Server) allowed(user string, want grant) []string {
	may := func(action string) bool {
		switch {
		case want.Type == "registry":
			return want.Name == "catalog" && user == workerUser
		case want.Type != "repository":
			return false
		case action == "pull":
			return user != "" || strings.HasPrefix(want.Name, "public/")
		case action == "push":
			project, ok := strings.CutPrefix(user, pipelinePrefix)
			return ok && s.owns(project, want.Name)
		case action == "delete":
			return user == workerUser && s.options.Delete
		}
		return false
	}
	return slices.DeleteFunc(slices.Clone(want.Actions), func(action string) bool { return !may(action) })
}

func (s *Server) owns(project, repository string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, base := range append([]string{strings.ToLower(project)}, s.kept.Grants[project]...) {
		rest, ok := strings.CutPrefix(repository, base)
		if ok && (rest == "" || rest[0] == '-' || rest[0] == '/') {
			return true
		}
	}
	return false
}

// serveToken hands out a token for as much of the asked scopes as the user may
// have. See https://distribution.github.io/distribution/spec/auth/token/.
func (a *access) serveToken(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodGet {
		w.Header().Set("Allow", http.MethodGet)
		refuse(w, http.StatusMethodNotAllowed, "UNSUPPORTED", "The operation is unsupported.")
		return
	}
	user, password, given := r.BasicAuth()
	if given && !hmac.Equal([]byte(password), []byte(a.server.password(user))) {
		w.Header().Set("WWW-Authenticate", fmt.Sprintf("Basic realm=%q", a.server.Name))
		refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "incorrect username or password")
		return
	}
	now := a.server.options.Clock.Now()
	life := a.server.options.TokenLife
	c := claims{RegisteredClaims: jwt.RegisteredClaims{
		Issuer: a.server.Name, Subject: user, Audience: jwt.ClaimStrings{a.server.Name}, ID: rand.Text(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now.Add(-10 * time.Second)), ExpiresAt: jwt.NewNumericDate(now.Add(life)),
	}, Access: []grant{}}
	for _, scope := range strings.Fields(strings.Join(r.URL.Query()["scope"], " ")) {
		first, last := strings.Index(scope, ":"), strings.LastIndex(scope, ":")
		if first == last {
			continue
		}
		want := grant{Type: scope[:first], Name: scope[first+1 : last], Actions: strings.Split(scope[last+1:], ",")}
		if want.Actions = a.server.allowed(user, want); len(want.Actions) > 0 {
			c.Access = append(c.Access, want)
		}
	}
	token, err := jwt.NewWithClaims(jwt.SigningMethodES256, c).SignedString(a.key)
	if err != nil {
		refuse(w, http.StatusInternalServerError, "UNKNOWN", "the token could not be signed")
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]any{
		"token": token, "access_token": token, "expires_in": int(life.Seconds()), "issued_at": now.Format(time.RFC3339),
	})
}

func refuse(w http.ResponseWriter, status int, code, message string) {
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]any{"errors": []map[string]any{{"code": code, "message": message, "detail": nil}}})
}

// Authorized checks a request's token for Distribution.
func (a *access) Authorized(r *http.Request, wanted ...auth.Access) (*auth.Grant, error) {
	challenge := &challenge{access: a, wanted: wanted}
	scheme, raw, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return nil, challenge
	}
	var c claims
	_, err := jwt.ParseWithClaims(raw, &c, func(*jwt.Token) (any, error) { return &a.key.PublicKey, nil },
		jwt.WithValidMethods([]string{"ES256"}), jwt.WithIssuer(a.server.Name), jwt.WithAudience(a.server.Name),
		jwt.WithExpirationRequired(), jwt.WithTimeFunc(a.server.options.Clock.Now))
	if err != nil {
		challenge.reason = "invalid_token"
		return nil, challenge
	}
	for _, want := range wanted {
		if !slices.ContainsFunc(c.Access, func(g grant) bool {
			return g.Type == want.Type && g.Name == want.Name && slices.Contains(g.Actions, want.Action)
		}) {
			challenge.reason = "insufficient_scope"
			return nil, challenge
		}
	}
	return &auth.Grant{User: auth.UserInfo{Name: c.Subject}}, nil
}

// challenge is the 401 that tells a client where to get which token.
type challenge struct {
	access *access
	wanted []auth.Access
	reason string
}

func (c *challenge) Error() string { return "authorization required: " + c.reason }

// SetHeaders writes the WWW-Authenticate header.
func (c *challenge) SetHeaders(_ *http.Request, w http.ResponseWriter) {
	value := fmt.Sprintf("Bearer realm=%q,service=%q", c.access.server.URL+tokenPath, c.access.server.Name)
	var resources, scopes []string
	actions := map[string][]string{}
	for _, want := range c.wanted {
		resource := want.Type + ":" + want.Name
		if actions[resource] == nil {
			resources = append(resources, resource)
		}
		actions[resource] = append(actions[resource], want.Action)
	}
	for _, resource := range resources {
		scopes = append(scopes, resource+":"+strings.Join(actions[resource], ","))
	}
	if len(scopes) > 0 {
		value += fmt.Sprintf(",scope=%q", strings.Join(scopes, " "))
	}
	if c.reason != "" {
		value += fmt.Sprintf(",error=%q", c.reason)
	}
	w.Header().Set("WWW-Authenticate", value)
}
