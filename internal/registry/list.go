package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"regexp"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

// A page holds as many names as Distribution and ECR allow; both refuse more.
const page = 1000

// Repositories walks the names of all repositories (_catalog). Many registries
// close this list to all but administrators: the error is then a refusal.
func (c *Client) Repositories(ctx context.Context) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		err := c.pages(ctx, c.at("_catalog"), "_catalog", catalog, func(body []byte) (bool, error) {
			var answer struct {
				Repositories []string `json:"repositories"`
			}
			if err := json.Unmarshal(body, &answer); err != nil {
				return false, err
			}
			for _, name := range answer.Repositories {
				if !yield(name, nil) {
					return false, nil
				}
			}
			return true, nil
		})
		if err != nil {
			yield("", fmt.Errorf("listing repositories: %w", err))
		}
	}
}

// Tags lists the tags of a repository, in the registry's order. A repository
// that does not exist is ErrNotFound; one that has lost its last tag may be
// either that or an empty list, as the registry likes.
func (c *Client) Tags(ctx context.Context, repository string) (tags []string, err error) {
	defer fault.Wrap(&err, "listing tags of %s", repository)
	seen := make(map[string]bool)
	err = c.pages(ctx, c.at(repository+"/tags/list"), "tags/list", pull(repository), func(body []byte) (bool, error) {
		var answer struct {
			Tags []string `json:"tags"`
		}
		if err := json.Unmarshal(body, &answer); err != nil {
			return false, err
		}
		for _, tag := range answer.Tags {
			if !seen[tag] {
				seen[tag] = true
				tags = append(tags, tag)
			}
		}
		return true, nil
	})
	return tags, err
}

var nextLink = regexp.MustCompile(`<([^>]*)>\s*;(?:[^,]*;)?\s*rel="?next"?`)

// pages follows Link headers until the last page, or until use says stop.
func (c *Client) pages(ctx context.Context, u *url.URL, route, scope string, use func(body []byte) (more bool, err error)) error {
	bare := u
	if !c.ownPages.Load() {
		u = withQuery(u, "n", pageSize(page))
	}
	for visited := make(map[string]bool); ; {
		visited[u.String()] = true
		header, body, err := c.small(ctx, request{method: http.MethodGet, url: u, route: route, scope: scope}, 32<<20)
		if e, ok := errors.AsType[*StatusError](err); ok && e.Code == "PAGINATION_NUMBER_INVALID" && u != bare && len(visited) == 1 {
			// The registry is set to smaller pages: take its own size.
			c.ownPages.Store(true)
			u = bare
			continue
		}
		if err != nil {
			return err
		}
		more, err := use(body)
		if err != nil {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: %s: not a list: %w", c.name, route, err)
		}
		m := nextLink.FindStringSubmatch(header.Get("Link"))
		if !more || m == nil {
			return nil
		}
		next, err := u.Parse(m[1])
		if err != nil || visited[next.String()] {
			return fault.New(fault.Transient, c.reason("unavailable"), "%s: %s: the link to the next page leads nowhere", c.name, route)
		}
		// Behind a proxy the link may hold a host that only the registry knows.
		next.Scheme, next.Host = c.base.Scheme, c.base.Host
		u = next
	}
}
