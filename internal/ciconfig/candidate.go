package ciconfig

import (
	"path"
	"strings"
)

// Candidate says whether a file of this name may name an image. It chooses from
// a tree listing which files to fetch; documentation, sources and data are out.
func Candidate(p string) bool {
	base := strings.ToLower(path.Base(p))
	for _, dir := range strings.Split(path.Dir(p), "/") {
		switch dir {
		case "node_modules", "vendor", ".git", ".terraform":
			return false
		}
	}
	switch path.Ext(base) {
	case ".yml", ".yaml", ".sh", ".bash", ".hcl", ".tpl", ".tmpl", ".env", ".j2", ".dockerfile", ".containerfile", ".mk", ".in", ".gotmpl", ".envrc", ".ksh", ".template", ".properties", ".groovy":
		return true
	case ".json":
		return strings.Contains(base, "docker-bake") || strings.Contains(base, "compose")
	}
	if isDockerfile(p) || strings.HasPrefix(base, ".env") || strings.HasPrefix(base, "jenkinsfile") || strings.Contains(base, "compose") {
		return true
	}
	switch base {
	case "makefile", "gnumakefile", "justfile", "taskfile", "procfile", "tiltfile", "earthfile":
		return true
	}
	// scripts without an extension
	dir := path.Base(path.Dir(p))
	return path.Ext(base) == "" && (dir == "bin" || dir == "scripts" || dir == "ci" || dir == ".ci" || dir == "script" || dir == ".gitlab" || dir == "ops" || dir == "deploy")
}
