package ciconfig

import "testing"

func TestCandidate(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]bool{
		".gitlab-ci.yml":                    true,
		"deploy/app.yaml.in":                true,
		"Dockerfile.web":                    true,
		"docker/web.Dockerfile":             true,
		"Makefile":                          true,
		"tools/build":                       true,
		"deploy":                            true,
		".env.prod":                         true,
		"docker-compose.json":               true,
		"task-definition.json":              true,
		"k8s/api.json":                      true,
		"package-lock.json":                 false,
		"ci/images.txt":                     true,
		"requirements.txt":                  false,
		"src/i18n/en.json":                  false,
		"quadlets/api.container":            true,
		".devcontainer/devcontainer.json":   true,
		"build.sbt":                         true,
		"src/Api/Api.csproj":                true,
		"environments/prod/main.jsonnet":    true,
		"fly.toml":                          true,
		"src/settings.toml":                 false,
		"LICENSE":                           false,
		"sub/README":                        false,
		"docs/compose.md":                   false,
		"test/expected/build.log.in":        false,
		"notes.txt.tmpl":                    false,
		"src/main.go":                       false,
		"node_modules/x/docker-compose.yml": false,
	} {
		if got := Candidate(path); got != want {
			t.Errorf("Candidate(%q) = %v, want %v", path, got, want)
		}
	}
}
