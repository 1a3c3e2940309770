package naming

import (
	"fmt"
	"regexp"
	"strings"
)

var (
	// repositoryName is the rule for names in ECR's API model.
	// https://docs.aws.amazon.com/AmazonECR/latest/APIReference/API_CreateRepository.html
	repositoryName = regexp.MustCompile(`^(?:[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*/)*[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*$`)
	separators     = regexp.MustCompile(`[^a-z0-9]+`)
	legalSeparator = regexp.MustCompile(`^(?:\.|_|__|-+)$`)
)

// RepositoryName returns the name of the ECR repository of a GitLab project:
// its path in lower case, with separators that ECR refuses (a leading
// underscore, a dot beside a dash) dropped at the ends of a segment and turned
// into one dash inside. Two projects may therefore share a name; whoever
// creates repositories has to look. Where the platform's console has set
// CI_REGISTRY_IMAGE, that is the truth, not this function.
func RepositoryName(projectPath string) (string, error) {
	segments := strings.Split(strings.ToLower(strings.Trim(projectPath, "/")), "/")
	for i, segment := range segments {
		segment = separators.ReplaceAllStringFunc(segment, func(s string) string {
			if legalSeparator.MatchString(s) {
				return s
			}
			return "-"
		})
		segments[i] = strings.Trim(segment, "._-")
	}
	name := strings.Join(segments, "/")
	if len(name) < 2 || len(name) > 256 || !repositoryName.MatchString(name) {
		return "", fmt.Errorf("no ECR repository can be named after project %q: a name has 2 to 256 characters and a letter or digit in each segment", projectPath)
	}
	return name, nil
}
