package gitlab

import (
	"cmp"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// maxCounted is the number of rows above which GitLab leaves out the totals,
// see https://docs.gitlab.com/api/rest/#offset-based-pagination.
const maxCounted = 10_000

func (c *call) pageSize() (int, error) {
	n, err := c.params.integer("per_page", 20)
	if err != nil {
		return 0, err
	}
	if n < 1 {
		return 0, invalid("per_page does not have a valid value")
	}
	return int(min(n, 100)), nil
}

// link writes the Link header for the given pages: rel -> changed parameters.
func (c *call) link(rels []string, change map[string]map[string]string) {
	var links []string
	for _, rel := range rels {
		if change[rel] == nil {
			continue
		}
		q := c.r.URL.Query()
		for k, v := range change[rel] {
			q.Set(k, v)
		}
		u := url.URL{Scheme: "http", Host: c.r.Host, Path: c.r.URL.Path, RawPath: c.r.URL.RawPath, RawQuery: q.Encode()}
		links = append(links, "<"+u.String()+`>; rel="`+rel+`"`)
	}
	if links != nil {
		c.w.Header().Set("Link", strings.Join(links, ", "))
	}
}

// page cuts one page of a list by page and per_page.
func page[T any](c *call, all []T) ([]T, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	n, err := c.params.integer("page", 1)
	if err != nil {
		return nil, err
	}
	number := int(max(n, 1))
	if (number-1)*size > 50_000 {
		return nil, refuse(405, "Offset pagination has a maximum allowed offset of 50000 for requests that return objects of type Project. Remaining records can be retrieved using keyset pagination.")
	}
	pages := max(1, (len(all)+size-1)/size)
	from := min((number-1)*size, len(all))
	to := min(from+size, len(all))
	h := c.w.Header()
	h.Set("X-Page", strconv.Itoa(number))
	h.Set("X-Per-Page", strconv.Itoa(size))
	h.Set("X-Next-Page", "")
	h.Set("X-Prev-Page", "")
	change := map[string]map[string]string{}
	at := func(rel string, page int) {
		change[rel] = map[string]string{"page": strconv.Itoa(page), "per_page": strconv.Itoa(size)}
	}
	if to < len(all) {
		h.Set("X-Next-Page", strconv.Itoa(number+1))
		at("next", number+1)
	}
	if number > 1 {
		h.Set("X-Prev-Page", strconv.Itoa(number-1))
		at("prev", number-1)
	}
	at("first", 1)
	if len(all) <= maxCounted {
		h.Set("X-Total", strconv.Itoa(len(all)))
		h.Set("X-Total-Pages", strconv.Itoa(pages))
		at("last", pages)
	}
	c.link([]string{"prev", "next", "first", "last"}, change)
	return all[from:to], nil
}

// keyset cuts the page after a token; next gives the parameters by which an
// item is named in the link to the page after it.
func keyset[T any](c *call, rest []T, next func(T) map[string]string) ([]T, error) {
	size, err := c.pageSize()
	if err != nil {
		return nil, err
	}
	if len(rest) <= size {
		return rest, nil
	}
	rest = rest[:size]
	c.link([]string{"next"}, map[string]map[string]string{"next": next(rest[size-1])})
	return rest, nil
}

// order sorts a list as asked by order_by and sort; ties go by id in the same direction.
func order[T any](items []T, descending bool, key func(a, b T) int, id func(T) int64) {
	slices.SortStableFunc(items, func(a, b T) int {
		d := key(a, b)
		if d == 0 {
			d = cmp.Compare(id(a), id(b))
		}
		if descending {
			return -d
		}
		return d
	})
}
