// Package naming maps image names of an old registry to tags of one ECR repository.
//
// ECR gives a project one repository, so what used to be told apart by image
// name is told apart by tag: group/project-api:1.2 becomes api-1.2 in the
// project's repository. The root image keeps its tags. Tags that address a
// digest (signatures, attestations, referrer lists) keep their name too: under
// another name nobody would find them.
//
// Owners answers which project an old repository belongs to, Tag maps a single
// tag, Assign maps a whole project and reports the tags on which two images
// would meet. Nothing is ever cut or guessed: what cannot be mapped is
// returned as a problem.
//
// The package is pure, and it is the only place that knows the mapping: the
// copier, the rewriter of CI files and the reports all ask here.
package naming

import (
	"fmt"
	"regexp"
	"strings"
)

// MaxTag is the longest tag the registry protocol allows, in characters. The
// ECR API model says 300, but no client could pull such a tag.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const MaxTag = 128

// Problem says why a tag cannot be used at the target.
type Problem string

// The problems. They are stored as text.
const (
	Collision Problem = "collision" // two digests would get the same target tag
	TooLong   Problem = "too-long"  // longer than MaxTag
	Charset   Problem = "charset"   // holds a character that no tag may hold
)

// TagError is a tag that cannot be used at the target.
type TagError struct {
	Problem Problem
	Tag     string // the target tag as it would have to be
}

// Error says what is wrong, and with which tag.
func (e *TagError) Error() string {
	if e.Problem == TooLong {
		return fmt.Sprintf("target tag %q has %d characters, %d are allowed", e.Tag, len(e.Tag), MaxTag)
	}
	return fmt.Sprintf("target tag %q is not a legal tag: letters, digits, '_', '.' and '-' are allowed, not '.' or '-' first", e.Tag)
}

var tagPattern = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]*$`)

// Prefix returns what stands in front of the tags of the image with this name
// within its project, without the dash that follows: services/api gives
// services-api. The root image, whose name is empty, has no prefix.
func Prefix(name string) string {
	name = strings.Trim(name, "/:-")
	return strings.ToLower(strings.NewReplacer("/", "-", ":", "-").Replace(name))
}

// Tag returns the target tag of an image: its prefix, a dash and its tag. The
// error is a *TagError; a tag is never cut, because the pipeline would go on
// pushing the whole one.
func Tag(name, tag string) (string, error) {
	target := tag
	if prefix := Prefix(name); prefix != "" && !IsDigestTag(tag) {
		target = prefix + "-" + tag
	}
	switch {
	case tag == "" || !tagPattern.MatchString(target):
		return target, &TagError{Problem: Charset, Tag: target}
	case len(target) > MaxTag:
		return target, &TagError{Problem: TooLong, Tag: target}
	}
	return target, nil
}

// digestTag matches the tags made of another manifest's digest: cosign's
// sha256-<hex>.sig, .att and .sbom, and the bare sha256-<hex> that lists
// referrers where a registry has no API for them.
// https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#referrers-tag-schema
var digestTag = regexp.MustCompile(`^(sha256|sha512)-([0-9a-f]{64})(\.[A-Za-z0-9._-]+)?$`)

// IsDigestTag tells whether a tag is made of another manifest's digest.
func IsDigestTag(tag string) bool { return digestTag.MatchString(tag) }

// Subject returns the digest that a digest tag is about. For sha512 the tag
// holds only the first half of it, so ok is false.
func Subject(tag string) (digest string, ok bool) {
	m := digestTag.FindStringSubmatch(tag)
	if m == nil || m[1] != "sha256" {
		return "", false
	}
	return "sha256:" + m[2], true
}
