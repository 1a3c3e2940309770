package templates

import (
	"strings"
	"testing"
)

func TestProjects(t *testing.T) {
	t.Parallel()
	projects := Projects()
	tests := []struct {
		project, file string
		defines       []string
	}{
		{Helpers, "gitlab-ci-helpers.yml", []string{".docker", ".docker-build", ".review", ".stop_review", ".staging", ".stop_staging", ".production", ".stop_production"}},
		{Docker, "templates/docker.yml", []string{".docker", ".platon-docker-build"}},
		{ImageScan, "templates/imagescan.yml", []string{".platon-imagescan"}},
		{Deploy, "templates/deploy.yml", []string{".review", ".stop_review", ".staging", ".stop_staging", ".production", ".stop_production"}},
	}
	if len(projects) != len(tests) {
		t.Errorf("%d projects, want %d", len(projects), len(tests))
	}
	for _, tt := range tests {
		content := projects[tt.project][tt.file]
		for _, name := range append(tt.defines, "variables") {
			if !strings.Contains("\n"+content, "\n"+name+":\n") {
				t.Errorf("%s: %s does not define %s", tt.project, tt.file, name)
			}
		}
		if !strings.Contains(content, "CI_REGISTRY_TAG: $CI_COMMIT_SHORT_SHA") {
			t.Errorf("%s gives no CI_REGISTRY_TAG of the commit", tt.project)
		}
	}
}

func TestReleases(t *testing.T) {
	t.Parallel()
	for project, tags := range Releases() {
		if _, ok := Projects()[project]; !ok || len(tags) == 0 {
			t.Errorf("%s: released %v, but there is no such project", project, tags)
		}
	}
}
