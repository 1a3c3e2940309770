package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// logins finds users and passwords where docker login keeps them.
// https://docs.docker.com/reference/cli/docker/login/#credential-stores
type logins struct {
	file string
	err  error
	dockerConfig
}

type dockerConfig struct {
	Auths map[string]struct {
		Auth     string `json:"auth"`
		Username string `json:"username"`
		Password string `json:"password"`
	} `json:"auths"`
	CredHelpers map[string]string `json:"credHelpers"`
	CredsStore  string            `json:"credsStore"`
}

func newLogins(getenv func(string) string) *logins {
	l := &logins{file: getenv("REGISTRY_AUTH_FILE")}
	if l.file == "" {
		l.file = filepath.Join(cmp.Or(getenv("DOCKER_CONFIG"), filepath.Join(getenv("HOME"), ".docker")), "config.json")
	}
	raw, err := os.ReadFile(l.file)
	if err == nil {
		err = json.Unmarshal(raw, &l.dockerConfig)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		l.err = fmt.Errorf("%s: %w", l.file, err)
	}
	return l
}

// of returns the login of a registry; both are empty if there is none.
func (l *logins) of(ctx context.Context, host string) (user, password string, err error) {
	if l.err != nil {
		return "", "", l.err
	}
	if helper := l.CredHelpers[host]; helper != "" {
		return ask(ctx, helper, host)
	}
	for _, key := range slices.SortedFunc(maps.Keys(l.Auths), wider) {
		a := l.Auths[key]
		if of, _ := split(key); of != host {
			continue
		}
		if a.Username != "" {
			return a.Username, a.Password, nil
		}
		if a.Auth == "" {
			continue // kept in the store
		}
		raw, err := base64.StdEncoding.DecodeString(a.Auth)
		user, password, ok := strings.Cut(string(raw), ":")
		if err != nil || !ok {
			return "", "", fmt.Errorf("%s: the auth of %s is not readable", l.file, host)
		}
		return user, strings.TrimRight(password, "\x00"), nil
	}
	if l.CredsStore != "" {
		return ask(ctx, l.CredsStore, host)
	}
	return "", "", nil
}

// wider puts the login of a whole registry before those that podman keeps for
// single repositories of it, whose keys are longer by their path.
// https://github.com/containers/image/blob/main/docs/containers-auth.json.5.md
func wider(a, b string) int {
	_, below := split(a)
	_, beside := split(b)
	return cmp.Or(cmp.Compare(len(below), len(beside)), cmp.Compare(a, b))
}

// split parts a key of auths into host and path, without what docker login may
// add to the host.
func split(key string) (host, path string) {
	key = strings.TrimPrefix(strings.TrimPrefix(key, "https://"), "http://")
	host, path, _ = strings.Cut(key, "/")
	if path = strings.TrimSuffix(path, "/"); path == "v1" || path == "v2" {
		path = ""
	}
	return host, path
}

// ask runs a credential helper: the host on its standard input, JSON back.
// https://github.com/docker/docker-credential-helpers#development
func ask(ctx context.Context, helper, host string) (user, password string, err error) {
	cmd := exec.CommandContext(ctx, "docker-credential-"+helper, "get")
	cmd.Stdin = strings.NewReader(host)
	out, err := cmd.Output()
	if err != nil {
		if bytes.Contains(out, []byte("credentials not found")) {
			return "", "", nil
		}
		return "", "", fmt.Errorf("docker-credential-%s: %w", helper, err)
	}
	var answer struct{ Username, Secret string }
	if err := json.Unmarshal(out, &answer); err != nil {
		return "", "", fmt.Errorf("docker-credential-%s: its answer is not readable", helper)
	}
	return answer.Username, answer.Secret, nil
}
