package gitlab

import (
	"net/http"
	"slices"
)

func (c *call) noteEntity(m *mergeRequest, n *note) object {
	return object{
		"id": n.ID, "type": nil, "body": n.Body, "attachment": nil, "author": c.s.basicUser(n.AuthorID), "created_at": n.CreatedAt,
		"updated_at": n.UpdatedAt, "system": false, "noteable_id": m.ID, "noteable_type": "MergeRequest", "project_id": c.project.ID,
		"noteable_iid": m.IID, "resolvable": false, "confidential": n.Internal, "internal": n.Internal,
	}
}

func listNotes(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	sort, err1 := c.params.oneOf("sort", "desc", "asc", "desc")
	by, err2 := c.params.oneOf("order_by", "created_at", "created_at", "updated_at")
	if err1 != nil || err2 != nil {
		return 0, nil, invalid("sort, order_by does not have a valid value")
	}
	all := slices.Clone(m.Notes)
	order(all, sort == "desc", func(a, b *note) int {
		if by == "updated_at" {
			return a.UpdatedAt.Compare(b.UpdatedAt)
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	}, func(n *note) int64 { return n.ID })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, n := range some {
		out = append(out, c.noteEntity(m, n))
	}
	return http.StatusOK, out, err
}

func createNote(c *call) (int, any, error) {
	m, err := c.merge()
	if err == nil {
		err = c.params.required("body")
	}
	if err != nil {
		return 0, nil, err
	}
	internal, err := c.params.boolean("internal", false)
	if err != nil {
		return 0, nil, err
	}
	now := c.s.now()
	n := &note{ID: c.s.id(), Body: c.params.str("body"), AuthorID: c.user.ID, Internal: internal, CreatedAt: now, UpdatedAt: now}
	m.Notes = append(m.Notes, n)
	c.s.touch(c.project)
	return http.StatusCreated, c.noteEntity(m, n), nil
}

func updateNote(c *call) (int, any, error) {
	m, err := c.merge()
	if err != nil {
		return 0, nil, err
	}
	id, err := c.number("note")
	if err != nil {
		return 0, nil, err
	}
	i := slices.IndexFunc(m.Notes, func(n *note) bool { return n.ID == id })
	if i < 0 {
		return 0, nil, notFound("Note")
	}
	if err := c.params.required("body"); err != nil {
		return 0, nil, err
	}
	n := m.Notes[i]
	if n.AuthorID != c.user.ID && c.level() < Maintainer {
		return 0, nil, forbidden("")
	}
	n.Body, n.UpdatedAt = c.params.str("body"), c.s.now()
	c.s.touch(c.project)
	return http.StatusOK, c.noteEntity(m, n), nil
}
