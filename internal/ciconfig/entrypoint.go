package ciconfig

import (
	"path"
	"slices"
	"strings"
)

// The runner starts a container with the entrypoint of image: and hands it a shell as the
// command; the script comes on the shell's standard input. Here the script stands behind the
// shell's -c, so an entrypoint that takes no more than one word, or none, would lose it.
// https://docs.gitlab.com/ci/docker/using_docker_images/#override-the-entrypoint-of-an-image

// entryParts are the words of the entrypoint without a shell at its end, which the container
// gets anyway, and that shell with its flags.
func (s imageSpec) entryParts() (words, shell []string) {
	words = slices.DeleteFunc(slices.Clone(s.entrypoint), func(w string) bool { return w == "" })
	i := len(words)
	for i > 0 && strings.HasPrefix(words[i-1], "-") {
		i--
	}
	if i == 0 || !isShellName[path.Base(words[i-1])] {
		return words, nil
	}
	words, shell = words[:i-1], words[i-1:]
	if len(words) == 1 && path.Base(words[0]) == "env" {
		words = nil
	}
	return words, shell
}

// entryOdd is what stands in the way of an entrypoint, "" for nothing.
func (s imageSpec) entryOdd() string {
	words, _ := s.entryParts()
	for i, w := range words {
		if i > 0 && takesScript.MatchString(w) && !slices.Contains(words[:i], "--") {
			return "entrypoint: of its image has " + w + ", behind which a script of its own stands or one word is expected"
		}
	}
	return ""
}

// logsIn says whether the entrypoint is a shell that reads the profile first, and which.
func (s imageSpec) logsIn() (shell string, ok bool) {
	_, words := s.entryParts()
	if len(words) == 0 {
		return "", false
	}
	return path.Base(words[0]), slices.ContainsFunc(words[1:], func(w string) bool {
		return w == "--login" || !strings.HasPrefix(w, "--") && strings.Contains(w, "l")
	})
}

// entry is the flag of docker run for the entrypoint, and the words of it that go before the
// command.
func (s imageSpec) entry() (flags, rest []string) {
	words, _ := s.entryParts()
	switch {
	case !s.hasEntry:
		return nil, nil
	case len(words) == 0 || len(words) == 1 && path.Base(words[0]) == "env":
		return []string{`--entrypoint ""`}, nil
	}
	for _, w := range words[1:] {
		rest = append(rest, quote(w))
	}
	return []string{"--entrypoint " + quote(words[0])}, rest
}
