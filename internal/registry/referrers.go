package registry

import (
	"context"
	"errors"
	"net/http"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// ErrNoReferrers says that the registry has no API for referrers. They are then found
// through the tag sha256-<hex>, which is in the list of tags.
var ErrNoReferrers = errors.New("registry has no referrers API")

var errNoIndex = errors.New("the answer is not an index")

// Referrers lists the manifests whose subject is this digest.
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers
func (c *Client) Referrers(ctx context.Context, repository, subject string) (list []Descriptor, err error) {
	defer fault.Wrap(&err, "listing referrers of %s", join(repository, subject))
	err = c.pages(ctx, c.at(repository+"/referrers/"+subject), "referrers", pull(repository), func(body []byte) (bool, error) {
		m := ParseManifest("application/vnd.oci.image.index.v1+json", body)
		if m.Kind != KindIndex {
			return false, errNoIndex
		}
		for _, d := range m.Children {
			// The subject itself has been seen in such lists.
			if d.Digest != subject {
				list = append(list, d)
			}
		}
		return true, nil
	})
	// What answers everything with a page of its own has no such API either.
	if errors.Is(err, errNoIndex) {
		return nil, ErrNoReferrers
	}
	if e, ok := errors.AsType[*StatusError](err); ok {
		switch e.Status {
		case http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusBadRequest, http.StatusNotImplemented:
			return nil, ErrNoReferrers
		}
	}
	return list, err
}
