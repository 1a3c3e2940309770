// Package templates holds the platform's template repositories: the older
// helpers that projects include as a file, and the newer CI/CD components.
//
// They are written from the templates' documented effect, not copied, and use
// only what every project can rely on: the names to extend, CI_REGISTRY_TAG as a
// tag unique to the commit, and a login with CI_REGISTRY_USER and
// CI_REGISTRY_PASSWORD to CI_REGISTRY, whichever registry that is. Jobs choose
// their stage themselves.
package templates

import (
	"embed"
	"io/fs"
	"strings"
)

//go:embed projects
var files embed.FS

// The template projects. A component's project is everything before the last
// part of its address: $CI_SERVER_FQDN/platon/ci-components/docker/docker@2 is
// the component docker of platon/ci-components/docker.
const (
	Helpers   = "asm/gitlab-ci-helpers"
	Docker    = "platon/ci-components/docker"
	ImageScan = "platon/ci-components/imagescan"
	Deploy    = "platon/ci-components/deploy"
)

// Projects returns the template repositories: project path -> file path ->
// content of the default branch.
func Projects() map[string]map[string]string {
	out := map[string]map[string]string{}
	for _, project := range []string{Helpers, Docker, ImageScan, Deploy} {
		root := "projects/" + project
		out[project] = map[string]string{}
		err := fs.WalkDir(files, root, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			content, err := files.ReadFile(path)
			out[project][strings.TrimPrefix(path, root+"/")] = string(content)
			return err
		})
		if err != nil {
			panic("templates: embedded files cannot be read: " + err.Error()) // a fault of the build
		}
	}
	return out
}

// Releases returns the version tags of the component projects, oldest first.
// Each names the commit of the default branch; a component's @2 means the
// highest 2.x.y among them.
func Releases() map[string][]string {
	return map[string][]string{
		Docker:    {"2.0.0", "2.1.0", "4.0.0"},
		ImageScan: {"2.0.0", "4.1.1"},
		Deploy:    {"1.0.0", "1.2.0", "2.0.7"},
	}
}
