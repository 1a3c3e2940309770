package console

import (
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// Result is the answer of update-configuration.
type Result struct {
	Repository string `json:"repository"` // host/name
	Changed    bool   `json:"changed"`
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	projects, all := s.may(token)
	if !bearer || (!all && projects == nil) {
		w.Header().Set("WWW-Authenticate", "Bearer")
		answer(w, http.StatusUnauthorized, problem{"a valid token is needed"})
		return
	}
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		answer(w, http.StatusBadRequest, problem{"the project id is not a number"})
		return
	}
	if !all && !slices.Contains(projects, id) {
		answer(w, http.StatusForbidden, problem{"you are not a maintainer of this project"})
		return
	}
	result, err := s.Update(r.Context(), id)
	switch {
	case errors.Is(err, ErrNoProject):
		answer(w, http.StatusNotFound, problem{"no such project"})
	case err != nil:
		s.opts.Log.Error("update configuration", "project", id, "error", err)
		answer(w, http.StatusBadGateway, problem{err.Error()})
	default:
		answer(w, http.StatusOK, result)
	}
}

type problem struct {
	Error string `json:"error"`
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(v)
}

// may returns the projects of a token; all for the token of the console itself.
func (s *Server) may(token string) (projects []int64, all bool) {
	if subtle.ConstantTimeCompare([]byte(token), []byte(s.Token)) == 1 {
		return nil, true
	}
	for member, ids := range s.opts.Members {
		if subtle.ConstantTimeCompare([]byte(token), []byte(member)) == 1 {
			return append([]int64{}, ids...), false
		}
	}
	return nil, false
}

// Update configures a project for its present path. A second call changes
// nothing and says so.
func (s *Server) Update(ctx context.Context, project int64) (Result, error) {
	s.update.Lock()
	defer s.update.Unlock()
	path, err := s.opts.Path(ctx, project)
	if err != nil {
		return Result{}, err
	}
	name, err := repositoryName(path)
	if err != nil {
		return Result{}, err
	}
	image := s.opts.Registry + "/" + name
	changed, err := s.opts.CreateRepository(ctx, name)
	if err != nil {
		return Result{}, fmt.Errorf("create repository %s: %w", name, err)
	}
	wrote, err := s.setVariables(ctx, project, image, path)
	if err != nil {
		return Result{}, err
	}
	changed = changed || wrote

	s.mu.Lock()
	defer s.mu.Unlock()
	next := registration{Path: path, Repository: name}
	changed = changed || s.state.Projects[project] != next
	if !changed {
		return Result{Repository: image}, nil
	}
	s.state.Projects[project] = next
	s.state.Writes++
	s.opts.Log.Debug("configuration updated", "project", path, "repository", name)
	return Result{Repository: image, Changed: true}, s.save()
}

// setVariables points the project's CI/CD to the repository. A namespace that
// somebody chose is kept.
func (s *Server) setVariables(ctx context.Context, project int64, image, path string) (changed bool, err error) {
	have, err := s.opts.Variables(ctx, project)
	if err != nil {
		return false, fmt.Errorf("variables of %s: %w", path, err)
	}
	find := func(key string) (string, bool) {
		for _, v := range have {
			if v.Key == key && (v.EnvironmentScope == "" || v.EnvironmentScope == "*") {
				return v.Value, true
			}
		}
		return "", false
	}
	for _, want := range []ci.Variable{
		{Key: "CI_REGISTRY", Value: s.opts.Registry},
		{Key: "CI_REGISTRY_IMAGE", Value: image},
		{Key: "KUBE_NAMESPACE", Value: Namespace(path)},
	} {
		value, ok := find(want.Key)
		if ok && (value == want.Value || want.Key == "KUBE_NAMESPACE") {
			continue
		}
		want.EnvironmentScope = "*"
		if err := s.opts.SetVariable(ctx, project, want); err != nil {
			return changed, fmt.Errorf("variable %s of %s: %w", want.Key, path, err)
		}
		changed = true
	}
	return changed, nil
}

// ecrName is ECR's rule for repository names, see
// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html.
var ecrName = regexp.MustCompile(`^(?:[a-z0-9]+(?:[._-][a-z0-9]+)*/)*[a-z0-9]+(?:[._-][a-z0-9]+)*$`)

// repositoryName is the project's path in lower case.
func repositoryName(path string) (string, error) {
	name := strings.ToLower(path)
	if !ecrName.MatchString(name) || len(name) < 2 || len(name) > 256 {
		return "", fmt.Errorf("the path %q makes no valid ECR repository name", path)
	}
	return name, nil
}

var notDNS = regexp.MustCompile(`[^a-z0-9]+`)

// Namespace is the Kubernetes namespace of a project path: group and project
// joined by dashes, at most 63 characters.
func Namespace(path string) string {
	name := strings.Trim(notDNS.ReplaceAllString(strings.ToLower(path), "-"), "-")
	return strings.TrimRight(name[:min(len(name), 63)], "-")
}
