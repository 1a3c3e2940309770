package console_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/console"
)

const host = "123456789012.dkr.ecr.eu-north-1.amazonaws.com"

// world is the other systems: one project, its variables and the repositories.
type world struct {
	path         string
	variables    map[string]string
	repositories map[string]bool
	sets         int
}

func newWorld(path string) *world {
	return &world{path: path, variables: map[string]string{}, repositories: map[string]bool{}}
}

func (w *world) options(dir string) console.Options {
	return console.Options{
		Dir: dir, Registry: host, Members: map[string][]int64{"member": {8}},
		Path: func(_ context.Context, id int64) (string, error) {
			if id != 7 && id != 8 {
				return "", fmt.Errorf("%d: %w", id, console.ErrNoProject)
			}
			return w.path, nil
		},
		Variables: func(context.Context, int64) (out []ci.Variable, err error) {
			for k, v := range w.variables {
				out = append(out, ci.Variable{Key: k, Value: v, EnvironmentScope: "*"})
			}
			return out, nil
		},
		SetVariable: func(_ context.Context, _ int64, v ci.Variable) error {
			w.sets++
			w.variables[v.Key] = v.Value
			return nil
		},
		CreateRepository: func(_ context.Context, name string) (bool, error) {
			created := !w.repositories[name]
			w.repositories[name] = true
			return created, nil
		},
	}
}

func start(t *testing.T, o console.Options) *console.Server {
	t.Helper()
	s, err := console.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func post(t *testing.T, s *console.Server, id, token string) (int, console.Result) {
	t.Helper()
	req, err := http.NewRequest(http.MethodPost, s.URL+"/api/projects/"+id+"/update-configuration", nil)
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	var out console.Result
	if err := json.NewDecoder(res.Body).Decode(&out); err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, out
}

func TestUpdateConfiguration(t *testing.T) {
	t.Parallel()
	w := newWorld("Team/Hei")
	s := start(t, w.options(""))
	if _, _, ok := s.Registered(7); ok {
		t.Error("registered before the first update")
	}
	status, got := post(t, s, "7", s.Token)
	if want := (console.Result{Repository: host + "/team/hei", Changed: true}); status != 200 || got != want {
		t.Errorf("first update: %d %+v, want 200 %+v", status, got, want)
	}
	if w.variables["CI_REGISTRY"] != host || w.variables["CI_REGISTRY_IMAGE"] != host+"/team/hei" || w.variables["KUBE_NAMESPACE"] != "team-hei" {
		t.Errorf("variables: %v", w.variables)
	}
	sets := w.sets
	if status, got = post(t, s, "7", s.Token); status != 200 || got.Changed || w.sets != sets {
		t.Errorf("second update: %d %+v, %d variables written", status, got, w.sets-sets)
	}
	if got := s.Writes()["configurations"]; got != 1 {
		t.Errorf("writes = %d, want 1", got)
	}

	// The project moves: old path until the next update.
	w.path = "other/hei"
	if path, _, _ := s.Registered(7); path != "Team/Hei" {
		t.Errorf("registered path = %s, want the old one", path)
	}
	w.variables["KUBE_NAMESPACE"] = "chosen"
	if status, got = post(t, s, "7", s.Token); status != 200 || !got.Changed || got.Repository != host+"/other/hei" {
		t.Errorf("update after a move: %d %+v", status, got)
	}
	if path, repository, _ := s.Registered(7); path != "other/hei" || repository != "other/hei" {
		t.Errorf("registered %s, %s", path, repository)
	}
	if got := w.variables["KUBE_NAMESPACE"]; got != "chosen" {
		t.Errorf("KUBE_NAMESPACE = %s, want what was there", got)
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	w := newWorld("team/hei")
	s := start(t, w.options(""))
	for _, tt := range []struct {
		id, token string
		want      int
	}{
		{"7", "", 401},
		{"7", "wrong", 401},
		{"7", "member", 403},
		{"8", "member", 200},
		{"9", s.Token, 404},
		{"x", s.Token, 400},
	} {
		if got, _ := post(t, s, tt.id, tt.token); got != tt.want {
			t.Errorf("project %s, token %q: %d, want %d", tt.id, tt.token, got, tt.want)
		}
	}
	w.path = "team/æøå"
	if got, _ := post(t, s, "7", s.Token); got != 502 {
		t.Errorf("path without a legal name: %d, want 502", got)
	}
}

func TestRegistrationsSurviveRestart(t *testing.T) {
	t.Parallel()
	w, dir := newWorld("team/hei"), t.TempDir()
	s := start(t, w.options(dir))
	post(t, s, "7", s.Token)
	again := start(t, w.options(dir))
	if path, _, ok := again.Registered(7); !ok || path != "team/hei" || again.Token != s.Token {
		t.Errorf("after restart: %q, %v", path, ok)
	}
	if _, got := post(t, again, "7", again.Token); got.Changed || again.Writes()["configurations"] != 1 {
		t.Errorf("update after restart changed something: %+v %v", got, again.Writes())
	}
}
