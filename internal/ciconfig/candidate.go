package ciconfig

import (
	"bytes"
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
	if prose(untemplated(base)) {
		return false // the template of a text
	}
	switch path.Ext(base) {
	case ".yml", ".yaml", ".sh", ".bash", ".hcl", ".tpl", ".tmpl", ".env", ".j2", ".dockerfile", ".containerfile", ".mk", ".in", ".gotmpl", ".envrc", ".ksh", ".template", ".properties", ".groovy":
		return true
	case ".json":
		return strings.Contains(base, "docker-bake") || strings.Contains(base, "compose")
	}
	if namesImages(p) {
		return true
	}
	// scripts without an extension; whether it is one shows in its first line
	return path.Ext(base) == "" && !paper(path.Base(p))
}

// namesImages says whether a file shows by its name that it may name an image.
func namesImages(p string) bool {
	base := strings.ToLower(path.Base(p))
	if isDockerfile(p) || strings.HasPrefix(base, ".env") || strings.HasPrefix(base, "jenkinsfile") || strings.Contains(base, "compose") {
		return true
	}
	switch base {
	case "makefile", "gnumakefile", "justfile", "taskfile", "procfile", "tiltfile", "earthfile":
		return true
	}
	return false
}

// paper says whether a name without an extension is one that documents have:
// README, LICENSE, AUTHORS, VERSION.
func paper(base string) bool {
	return base == strings.ToUpper(base)
}

// scriptless says whether a file without an extension is neither a script nor
// one of a known kind: it is data, at a place where scripts could be.
func scriptless(s *source) bool {
	base := strings.ToLower(path.Base(s.path))
	if path.Ext(base) != "" || namesImages(s.path) || bytes.HasPrefix(s.data, []byte("#!")) {
		return false
	}
	switch path.Base(path.Dir(s.path)) {
	case "bin", "scripts", "ci", ".ci", "script", ".gitlab", "ops", "deploy":
		return false
	}
	return true
}
