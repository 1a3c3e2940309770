package naming

import (
	"fmt"
	"regexp"
	"strings"
)

// Reference is an image reference taken apart. Host is empty where the
// reference names none, so that it belongs to the default registry of whoever
// reads it. Tag and Digest may be empty, or both be set.
type Reference struct{ Host, Repository, Tag, Digest string }

var (
	hostPattern = regexp.MustCompile(`^(?:[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9a-fA-F:]+\])(?::[0-9]+)?$`)
	pathPattern = regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	digPattern  = regexp.MustCompile(`^(?:sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128})$`)
)

// ParseReference takes a complete reference apart, by the grammar of
// https://pkg.go.dev/github.com/distribution/reference. The first segment is a
// host if it holds a dot or a colon or is "localhost". Variables are not
// expanded: a reference with a dollar sign in it is an error.
func ParseReference(s string) (Reference, error) {
	var r Reference
	rest, digest, hasDigest := strings.Cut(s, "@")
	if hasDigest && !digPattern.MatchString(digest) {
		return Reference{}, fmt.Errorf("reference %q: %q is not a digest", s, digest)
	}
	r.Digest = digest
	if first, path, ok := strings.Cut(rest, "/"); ok && (strings.ContainsAny(first, ".:") || first == "localhost") {
		if !hostPattern.MatchString(first) {
			return Reference{}, fmt.Errorf("reference %q: %q is not a host", s, first)
		}
		r.Host, rest = first, path
	}
	path, tag, hasTag := strings.Cut(rest, ":")
	if hasTag && (!tagPattern.MatchString(tag) || len(tag) > MaxTag) {
		return Reference{}, fmt.Errorf("reference %q: %q is not a tag", s, tag)
	}
	if !pathPattern.MatchString(path) {
		return Reference{}, fmt.Errorf("reference %q: %q is not a repository", s, path)
	}
	r.Repository, r.Tag = path, tag
	return r, nil
}

// String puts the reference together again.
func (r Reference) String() string {
	var b strings.Builder
	if r.Host != "" {
		b.WriteString(r.Host + "/")
	}
	b.WriteString(r.Repository)
	if r.Tag != "" {
		b.WriteString(":" + r.Tag)
	}
	if r.Digest != "" {
		b.WriteString("@" + r.Digest)
	}
	return b.String()
}
