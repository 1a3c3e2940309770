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
	if strings.Contains(base, "image") && lists(base) {
		return true
	}
	if prose(untemplated(base)) {
		return false // the template of a text
	}
	switch path.Ext(base) {
	case ".yml", ".yaml", ".sh", ".bash", ".hcl", ".tpl", ".tmpl", ".env", ".j2", ".dockerfile", ".containerfile", ".mk", ".in", ".gotmpl", ".envrc", ".ksh", ".template", ".properties", ".groovy":
		return true
	case ".json":
		if strings.Contains(base, "docker-bake") || strings.Contains(base, "compose") || base == "devcontainer.json" {
			return true
		}
		return (path.Dir(p) == "." || workshop(p) || ofCluster(p)) && !strings.Contains(base, "lock") && base != "npm-shrinkwrap.json"
	case ".service", ".container", ".kube", ".image": // units of systemd, those of podman too
		return true
	case ".tf", ".tfvars", ".nomad":
		return true
	case ".sbt", ".csproj", ".fsproj", ".props", ".bazel", ".bzl": // builds that push images by themselves
		return true
	case ".jsonnet", ".libsonnet", ".cue", ".dhall": // manifests that programs write
		return true
	}
	if (program(base) || settings(base)) && (path.Dir(p) == "." || workshop(p)) {
		return true
	}
	if namesImages(p) || renovates(p) {
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
	if inRuby[base] {
		return true
	}
	switch base {
	case "makefile", "gnumakefile", "justfile", ".justfile", "taskfile", "procfile", "tiltfile", "earthfile", "magefile.go",
		"package.json", ".releaserc", ".releaserc.json", "pom.xml": // commands and images in the settings of builds
		return true
	}
	return false
}

// program says whether a file's name shows a program that is no shell script.
func program(p string) bool {
	switch path.Ext(p) {
	case ".py", ".js", ".mjs", ".cjs", ".ts", ".rb", ".rake", ".pl", ".php", ".ps1", ".gradle", ".kts", ".nix", ".fish", ".bat", ".cmd":
		return true
	}
	return inRuby[strings.ToLower(path.Base(p))]
}

// inRuby are programs without an extension: the tasks of rake, and what Vagrant, fastlane and
// Capistrano do.
var inRuby = map[string]bool{"rakefile": true, "vagrantfile": true, "fastfile": true, "capfile": true}

// tasks says whether a file's name shows one of a task runner, which has variables of its own:
// Task, just or Earthly.
func tasks(p string) bool {
	base, _, _ := strings.Cut(strings.TrimPrefix(strings.ToLower(path.Base(p)), "."), ".")
	return base == "taskfile" || base == "justfile" || base == "earthfile"
}

// taskRunners are what runs such files.
var taskRunners = map[string]bool{"task": true, "go-task": true, "just": true, "earthly": true, "earth": true}

// settings says whether a file's name shows settings of some tool.
func settings(p string) bool {
	switch path.Ext(p) {
	case ".toml", ".ini", ".cfg", ".conf":
		return true
	}
	return false
}

// workshop says whether a file lies where pipelines have their scripts.
func workshop(p string) bool {
	switch path.Base(path.Dir(p)) {
	case "bin", "scripts", "ci", ".ci", "script", ".gitlab", ".gitlab-ci", "ops", "deploy", "tools", "hack", "build", "docker", "release", "infra", "rakelib":
		return true
	}
	return false
}

// lists says whether a file's name shows a list of words that scripts read.
func lists(p string) bool {
	switch path.Ext(p) {
	case ".txt", ".list", ".lst", ".csv":
		return true
	}
	return false
}

// ofCluster says whether a file lies where what runs in a cluster is described.
func ofCluster(p string) bool {
	switch path.Base(path.Dir(p)) {
	case "k8s", "kubernetes", "kube", "manifests", "deployment", "deployments", "ecs", "nomad":
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
	return !workshop(s.path)
}
