package ecr

import (
	"cmp"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// principal is who asks: the worker (may do everything), a project's
// pipelines (push to and pull from one repository), a node's kubelet (pull).
type principal struct {
	Kind       string `json:"kind"`
	Project    string `json:"project,omitempty"`
	Repository string `json:"repository,omitempty"`
}

const (
	worker   = "worker"
	pipeline = "pipeline"
	kubelet  = "kubelet"
)

var (
	pullActions = []string{"BatchGetImage", "GetDownloadUrlForLayer", "BatchCheckLayerAvailability"}
	pushActions = append([]string{
		"InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "PutImage", "ListImages", "DescribeImages",
	}, pullActions...)
)

// role is a principal's name in AWS.
func (s *Server) role(p principal) string {
	session := p.Kind
	if p.Project != "" {
		session = strings.ReplaceAll(p.Project, "/", "-")
	}
	role := map[string]string{worker: "ecrferry", pipeline: "gitlab-ci", kubelet: "eks-node"}[p.Kind]
	return fmt.Sprintf("arn:aws:sts::%s:assumed-role/%s/%s", s.options.Account, role, session)
}

// authorize tells whether a principal may do an operation on a repository
// ("" for operations that name none).
func (s *Server) authorize(p principal, action, repository string) *failure {
	switch {
	case action == "GetAuthorizationToken", p.Kind == worker:
		return nil
	case p.Kind == pipeline && repository == p.Repository && slices.Contains(pushActions, action),
		p.Kind == kubelet && slices.Contains(pullActions, action):
		return nil
	}
	return s.denied(p, action, s.arn(cmp.Or(repository, "*")))
}

func (s *Server) sign(parts ...string) []byte {
	mac := hmac.New(sha256.New, []byte(s.kept.Secret))
	mac.Write([]byte(strings.Join(parts, "\x00")))
	return mac.Sum(nil)
}

// key returns a principal's access key, always the same one.
func (s *Server) key(p principal) (id, secret string) {
	seed := s.sign("key", p.Kind, p.Project, p.Repository)
	id = "AKIA" + base32.StdEncoding.EncodeToString(seed)[:16]
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept.Keys[id] != p {
		s.kept.Keys[id] = p
		s.saver.Changed()
	}
	return id, s.secret(id)
}

func (s *Server) secret(id string) string {
	return base64.RawStdEncoding.EncodeToString(s.sign("secret", id))[:40]
}

// WorkerKey returns the access key of the migration.
func (s *Server) WorkerKey() (id, secret string) { return s.key(principal{Kind: worker}) }

// PipelineKey returns an access key whose role may push to and pull from one
// repository.
func (s *Server) PipelineKey(project, repository string) (id, secret string) {
	return s.key(principal{Kind: pipeline, Project: project, Repository: repository})
}

// PipelineToken returns a registry login whose role may push to and pull from
// one repository.
func (s *Server) PipelineToken(project, repository string) (user, password string) {
	password, _ = s.token(principal{Kind: pipeline, Project: project, Repository: repository})
	return "AWS", password
}

// KubeletToken returns a registry login that may pull everything.
func (s *Server) KubeletToken() (user, password string) {
	password, _ = s.token(principal{Kind: kubelet})
	return "AWS", password
}

// Expire ends all tokens that were handed out so far.
func (s *Server) Expire() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept.Epoch++
	s.saver.Changed()
}

// ticket is the content of a registry password.
type ticket struct {
	Principal principal `json:"p"`
	Epoch     int64     `json:"e"`
	Expires   time.Time `json:"x"`
}

// token makes a registry password. It carries its own content, signed, so it
// outlives a restart without being stored.
func (s *Server) token(p principal) (password string, expires time.Time) {
	s.mu.Lock()
	epoch := s.kept.Epoch
	s.mu.Unlock()
	expires = s.now().Add(s.options.TokenLife)
	content, err := json.Marshal(ticket{Principal: p, Epoch: epoch, Expires: expires})
	if err != nil {
		panic(fmt.Sprintf("ecr: %v", err)) // plain strings and a time
	}
	payload := base64.RawURLEncoding.EncodeToString(content)
	return payload + "." + base64.RawURLEncoding.EncodeToString(s.sign("token", payload)), expires
}

// login finds out who knocks at the registry door. Without a login it returns
// nothing at all: the door then challenges.
func (s *Server) login(r *http.Request) (p principal, ok bool, f *failure) {
	user, password, given := r.BasicAuth()
	if !given {
		return principal{}, false, nil
	}
	payload, signature, _ := strings.Cut(password, ".")
	mac, err := base64.RawURLEncoding.DecodeString(signature)
	content, err2 := base64.RawURLEncoding.DecodeString(payload)
	var t ticket
	if user != "AWS" || err != nil || err2 != nil || !hmac.Equal(mac, s.sign("token", payload)) || json.Unmarshal(content, &t) != nil {
		return principal{}, false, deniedLogin(http.StatusBadRequest, "Your Authorization Token is invalid.")
	}
	s.mu.Lock()
	epoch := s.kept.Epoch
	s.mu.Unlock()
	if t.Epoch < epoch || !s.now().Before(t.Expires) {
		return principal{}, false, deniedLogin(http.StatusForbidden, "Your authorization token has expired. Reauthenticate and try again.")
	}
	return t.Principal, true, nil
}
