package runner

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
)

// ref is a complete image reference.
type ref struct {
	Host, Repository, Tag, Digest string
}

// familiar is the name as docker shows it, without a reference.
func (r ref) familiar() string {
	if r.Host == "docker.io" {
		return strings.TrimPrefix(r.Repository, "library/")
	}
	return r.Host + "/" + r.Repository
}

// reference is what follows the repository in a registry's URL.
func (r ref) reference() string {
	if r.Digest != "" {
		return r.Digest
	}
	return r.Tag
}

func (r ref) String() string {
	if r.Digest != "" {
		return r.familiar() + "@" + r.Digest
	}
	return r.familiar() + ":" + r.Tag
}

// key identifies an image in the local store.
func (r ref) key() string {
	if r.Digest != "" {
		return r.Host + "/" + r.Repository + "@" + r.Digest
	}
	return r.Host + "/" + r.Repository + ":" + r.Tag
}

var (
	repositoryForm = regexp.MustCompile(`^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$`)
	tagForm        = regexp.MustCompile(`^\w[\w.-]{0,127}$`)
	digestForm     = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

	errReference = errors.New("invalid reference format")
)

// parseRef reads an image name as docker does, see
// https://github.com/distribution/reference.
func parseRef(s string) (ref, error) {
	var r ref
	name, digest, pinned := strings.Cut(s, "@")
	if pinned && !digestForm.MatchString(digest) {
		return r, errReference
	}
	r.Digest = digest
	first, rest, slash := strings.Cut(name, "/")
	if slash && (strings.ContainsAny(first, ".:") || first == "localhost") {
		r.Host = first
	} else {
		r.Host, rest = "docker.io", name
	}
	r.Repository = rest
	if i := strings.LastIndexByte(rest, ':'); i > strings.LastIndexByte(rest, '/') {
		r.Repository, r.Tag = rest[:i], rest[i+1:]
		if !tagForm.MatchString(r.Tag) {
			return r, errReference
		}
	} else if !pinned {
		r.Tag = "latest"
	}
	if !repositoryForm.MatchString(r.Repository) {
		if repositoryForm.MatchString(strings.ToLower(r.Repository)) {
			return r, fmt.Errorf("%w: repository name (%s) must be lowercase", errReference, r.Repository)
		}
		return r, errReference
	}
	if r.Host == "docker.io" && !strings.Contains(r.Repository, "/") {
		r.Repository = "library/" + r.Repository
	}
	return r, nil
}
