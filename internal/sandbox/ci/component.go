package ci

import (
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// component reads `<host>/<project path>/<name>@<version>`: the last part of
// the path is the component, the rest is its project.
// See https://docs.gitlab.com/ci/components/#use-a-component.
func (c *compiler) component(address string) file {
	refuse := func(why string) { fail("Component '%s' - %s", address, why) }
	full, version, ok := strings.Cut(address, "@")
	host, rest, found := strings.Cut(full, "/")
	if !ok || !found || !slices.Contains([]string{c.known["CI_SERVER_FQDN"], c.known["CI_SERVER_HOST"]}, host) {
		refuse("the component path is not supported")
	}
	at := strings.LastIndex(rest, "/")
	if at <= 0 || version == "" {
		refuse("content not found")
	}
	project, name := rest[:at], rest[at+1:]
	ref := c.version(project, version)
	if ref == "" {
		refuse("The ~latest version reference is not supported for non-catalog resources. Use a tag, branch, or commit SHA instead.")
	}
	where := place{project, ref}
	for _, path := range []string{"templates/" + name + ".yml", "templates/" + name + "/template.yml"} {
		if content, ok := c.readFile(where, path); ok && len(content) > 0 {
			return file{location: address, content: content, at: where}
		}
	}
	if shorthand.MatchString(version) && c.exists(place{project: project}) {
		refuse("The partial semantic version reference is not supported for non-catalog resources. Use a tag, branch, or commit SHA instead.")
	}
	refuse("content not found")
	return file{}
}

var (
	shorthand = regexp.MustCompile(`^\d+(\.\d+)?$`)
	release   = regexp.MustCompile(`^v?(\d{1,9})\.(\d{1,9})\.(\d{1,9})$`)
)

// version turns ~latest and partial versions into the highest release that
// fits; everything else is a ref already. "" means that ~latest has no meaning
// here.
func (c *compiler) version(project, version string) string {
	latest := version == "~latest"
	if !latest && !shorthand.MatchString(version) {
		return version
	}
	var released []string
	if served, ok := c.files.(Releases); ok {
		var err error
		if released, err = served.Releases(project); err != nil && !errors.Is(err, fs.ErrNotExist) {
			abort(fmt.Errorf("ci: releases of %s: %w", project, err))
		}
	}
	best, bestNumbers := "", []int(nil)
	for _, tag := range released {
		m := release.FindStringSubmatch(tag)
		if m == nil {
			continue
		}
		fits := latest || strings.HasPrefix(strings.TrimPrefix(tag, "v")+".", version+".")
		var numbers []int
		for _, part := range m[1:] {
			n, _ := strconv.Atoi(part) // at most nine digits
			numbers = append(numbers, n)
		}
		if fits && (best == "" || slices.Compare(numbers, bestNumbers) > 0) {
			best, bestNumbers = tag, numbers
		}
	}
	if best == "" && !latest {
		return version
	}
	return best
}
