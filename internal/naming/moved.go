package naming

import "strings"

// Moved says whether a project's configuration belongs to another path than its
// present one, as after a move to another group or a new name: path is where
// GitLab has the project, image its CI_REGISTRY_IMAGE, registry the host of ECR.
// Was is the repository that the configuration names. AWS lets a pipeline use
// the repository of the path that the console registered and no other, so
// nothing works until Update configuration has run again. A configuration that
// names no repository of that registry has not moved: there is none yet.
func Moved(path, image, registry string) (was string, moved bool) {
	host, was, _ := strings.Cut(image, "/")
	if registry == "" || host != registry || was == "" {
		return "", false
	}
	name, err := RepositoryName(path)
	return was, err != nil || was != name
}
