package gitlab

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

type issue struct {
	ID, IID     int64
	Title       string
	Description string
	State       string // opened, closed
	AuthorID    int64
	Labels      []string
	CreatedAt   time.Time
	UpdatedAt   time.Time
	ClosedAt    time.Time
}

// IssueView is an issue as it is now.
type IssueView struct {
	IID                       int64
	Title, Description, State string
}

// Issues shows the issues of a project.
func (s *Server) Issues(path string) []IssueView {
	s.mu.Lock()
	defer s.mu.Unlock()
	var views []IssueView
	if p := s.projectByPath(path); p != nil {
		for _, i := range p.Issues {
			views = append(views, IssueView{IID: i.IID, Title: i.Title, Description: i.Description, State: i.State})
		}
	}
	return views
}

// CloseIssue closes an issue, as one of the project's people.
func (s *Server) CloseIssue(path string, iid int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if p := s.projectByPath(path); p != nil {
		for _, i := range p.Issues {
			if i.IID == iid {
				i.State, i.ClosedAt = "closed", s.now()
				s.touch(p)
			}
		}
	}
}

func (c *call) issueEntity(i *issue) object {
	url := c.s.URL + "/" + c.project.Path + "/-/issues/" + strconv.FormatInt(i.IID, 10)
	var closed any
	if i.State == "closed" {
		closed = i.ClosedAt
	}
	return object{
		"id": i.ID, "iid": i.IID, "project_id": c.project.ID, "title": i.Title, "description": i.Description, "state": i.State,
		"created_at": i.CreatedAt, "updated_at": i.UpdatedAt, "closed_at": closed, "closed_by": nil, "labels": append([]string{}, i.Labels...),
		"milestone": nil, "assignees": []object{}, "assignee": nil, "author": c.s.basicUser(i.AuthorID), "type": "ISSUE", "issue_type": "issue",
		"user_notes_count": 0, "upvotes": 0, "downvotes": 0, "due_date": nil, "confidential": false, "discussion_locked": nil, "web_url": url,
		"references": object{"short": "#" + strconv.FormatInt(i.IID, 10)},
	}
}

// listIssues follows https://docs.gitlab.com/api/issues/#list-project-issues.
func listIssues(c *call) (int, any, error) {
	state, err1 := c.params.oneOf("state", "all", "opened", "closed", "all")
	sort, err2 := c.params.oneOf("sort", "desc", "asc", "desc")
	by, err3 := c.params.oneOf("order_by", "created_at", "created_at", "updated_at", "title")
	_, err4 := c.params.oneOf("scope", "all", "created_by_me", "assigned_to_me", "all")
	for _, err := range []error{err1, err2, err3, err4} {
		if err != nil {
			return 0, nil, err
		}
	}
	// Like GitLab, the search takes every word, in title and description unless told.
	in := c.params.str("in")
	if in == "" {
		in = "title,description"
	}
	words := strings.Fields(strings.ToLower(c.params.str("search")))
	var all []*issue
	for _, i := range c.project.Issues {
		var text string
		if strings.Contains(in, "title") {
			text += i.Title + "\n"
		}
		if strings.Contains(in, "description") {
			text += i.Description
		}
		text = strings.ToLower(text)
		if (state == "all" || i.State == state) && !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(text, w) }) {
			all = append(all, i)
		}
	}
	order(all, sort == "desc", func(a, b *issue) int {
		switch by {
		case "updated_at":
			return a.UpdatedAt.Compare(b.UpdatedAt)
		case "title":
			return strings.Compare(a.Title, b.Title)
		}
		return a.CreatedAt.Compare(b.CreatedAt)
	}, func(i *issue) int64 { return i.ID })
	some, err := page(c, all)
	out := make([]object, 0, len(some))
	for _, i := range some {
		out = append(out, c.issueEntity(i))
	}
	return http.StatusOK, out, err
}

// The limits of GitLab's Issuable.
const (
	longestTitle       = 255
	longestDescription = 1_048_576
)

func (c *call) issueTexts() error {
	if n := len([]rune(c.params.str("title"))); n > longestTitle {
		return invalid("title is too long (maximum is 255 characters)")
	}
	if n := len([]rune(c.params.str("description"))); n > longestDescription {
		return invalid("description is too long (maximum is 1048576 characters)")
	}
	return nil
}

func createIssue(c *call) (int, any, error) {
	if err := c.params.required("title"); err != nil {
		return 0, nil, err
	}
	if err := c.issueTexts(); err != nil {
		return 0, nil, err
	}
	now := c.s.now()
	i := &issue{
		ID: c.s.id(), IID: int64(len(c.project.Issues)) + 1, Title: c.params.str("title"), Description: c.params.str("description"),
		State: "opened", AuthorID: c.user.ID, Labels: c.params.list("labels"), CreatedAt: now, UpdatedAt: now,
	}
	c.project.Issues = append(c.project.Issues, i)
	c.s.touch(c.project)
	return http.StatusCreated, c.issueEntity(i), nil
}

func updateIssue(c *call) (int, any, error) {
	iid, err := c.number("iid")
	if err != nil {
		return 0, nil, err
	}
	at := slices.IndexFunc(c.project.Issues, func(i *issue) bool { return i.IID == iid })
	if at < 0 {
		return 0, nil, notFound("")
	}
	i := c.project.Issues[at]
	event, err := c.params.oneOf("state_event", "", "reopen", "close")
	if err != nil {
		return 0, nil, err
	}
	if !c.params.has("title") && !c.params.has("description") && !c.params.has("labels") && event == "" {
		return 0, nil, invalid("title, description, labels, state_event are missing, at least one parameter must be provided")
	}
	if c.params.has("title") {
		if err := c.params.required("title"); err != nil {
			return 0, nil, err
		}
	}
	if err := c.issueTexts(); err != nil {
		return 0, nil, err
	}
	if c.params.has("title") {
		i.Title = c.params.str("title")
	}
	if c.params.has("description") {
		i.Description = c.params.str("description")
	}
	if c.params.has("labels") {
		i.Labels = c.params.list("labels")
	}
	now := c.s.now()
	switch event {
	case "close":
		i.State, i.ClosedAt = "closed", now
	case "reopen":
		i.State = "opened"
	}
	i.UpdatedAt = now
	c.s.touch(c.project)
	return http.StatusOK, c.issueEntity(i), nil
}
