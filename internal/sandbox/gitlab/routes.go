package gitlab

import (
	"net/http"
	"strconv"
	"strings"
)

// Access levels, see https://docs.gitlab.com/api/access_requests/#valid-access-levels.
const (
	NoAccess   = 0
	Guest      = 10
	Reporter   = 20
	Developer  = 30
	Maintainer = 40
	Owner      = 50
)

type handler func(*call) (int, any, error)

// route is one endpoint and what it asks of the caller before its handler runs.
type route struct {
	pattern string
	handle  handler
	level   int    // least access to the project
	ci      bool   // 403 when CI/CD is switched off
	counts  string // the counter of Writes that a success raises
	unheld  bool   // the handler takes the lock itself, as it compiles in between
}

func (s *Server) routes() []route {
	const p = "/api/v4/projects/{id}"
	return []route{
		{pattern: "GET /api/v4/user", handle: getUser},
		{pattern: "GET /api/v4/version", handle: getVersion},
		{pattern: "GET /api/v4/metadata", handle: getMetadata},
		{pattern: "GET /api/v4/personal_access_tokens/self", handle: getToken},

		{pattern: "GET /api/v4/projects", handle: listProjects},
		{pattern: "GET " + p, handle: getProject, level: Guest},

		{pattern: "GET " + p + "/repository/tree", handle: listTree, level: Reporter},
		{pattern: "GET " + p + "/repository/blobs/{sha}", handle: getBlob, level: Reporter},
		{pattern: "GET " + p + "/repository/blobs/{sha}/raw", handle: getRawBlob, level: Reporter},
		{pattern: "GET " + p + "/repository/compare", handle: compareCommits, level: Reporter},
		{pattern: "GET " + p + "/repository/merge_base", handle: getMergeBase, level: Reporter},
		{pattern: "GET " + p + "/repository/files/{file}", handle: getFile, level: Reporter},
		{pattern: "GET " + p + "/repository/files/{file}/raw", handle: getRawFile, level: Reporter},
		{pattern: "HEAD " + p + "/repository/files/{file}", handle: headFile, level: Reporter},

		{pattern: "GET " + p + "/repository/commits", handle: listCommits, level: Reporter},
		{pattern: "POST " + p + "/repository/commits", handle: createCommit, level: Guest, counts: "commits"},
		{pattern: "GET " + p + "/repository/commits/{sha}", handle: getCommit, level: Reporter},
		{pattern: "GET " + p + "/repository/commits/{sha}/diff", handle: getCommitDiff, level: Reporter},
		{pattern: "GET " + p + "/repository/commits/{sha}/refs", handle: getCommitRefs, level: Reporter},

		{pattern: "GET " + p + "/repository/branches", handle: listBranches, level: Reporter},
		{pattern: "GET " + p + "/repository/branches/{branch}", handle: getBranch, level: Reporter},
		{pattern: "POST " + p + "/repository/branches", handle: createBranch, level: Developer, counts: "branches"},
		{pattern: "DELETE " + p + "/repository/branches/{branch}", handle: deleteBranch, level: Developer, counts: "branches"},
		{pattern: "GET " + p + "/repository/tags", handle: listTags, level: Reporter},
		{pattern: "GET " + p + "/protected_branches", handle: listProtected, level: Developer},
		{pattern: "GET " + p + "/protected_branches/{name}", handle: getProtected, level: Developer},

		{pattern: "GET " + p + "/merge_requests", handle: listMergeRequests, level: Reporter},
		{pattern: "POST " + p + "/merge_requests", handle: createMergeRequest, level: Developer, counts: "merge_requests"},
		{pattern: "GET " + p + "/merge_requests/{iid}", handle: getMergeRequest, level: Reporter},
		{pattern: "PUT " + p + "/merge_requests/{iid}", handle: updateMergeRequest, level: Developer, counts: "merge_requests"},
		{pattern: "PUT " + p + "/merge_requests/{iid}/merge", handle: acceptMergeRequest, level: Guest, counts: "merges"},
		{pattern: "GET " + p + "/merge_requests/{iid}/commits", handle: getMergeRequestCommits, level: Reporter},
		{pattern: "GET " + p + "/merge_requests/{iid}/changes", handle: getMergeRequestChanges, level: Reporter},
		{pattern: "GET " + p + "/merge_requests/{iid}/diffs", handle: getMergeRequestDiffs, level: Reporter},
		{pattern: "GET " + p + "/merge_requests/{iid}/pipelines", handle: getMergeRequestPipelines, level: Reporter},
		{pattern: "GET " + p + "/merge_requests/{iid}/notes", handle: listNotes, level: Reporter},
		{pattern: "POST " + p + "/merge_requests/{iid}/notes", handle: createNote, level: Reporter, counts: "notes"},
		{pattern: "PUT " + p + "/merge_requests/{iid}/notes/{note}", handle: updateNote, level: Reporter, counts: "notes"},

		{pattern: "GET " + p + "/issues", handle: listIssues, level: Guest},
		{pattern: "POST " + p + "/issues", handle: createIssue, level: Guest, counts: "issues"},
		{pattern: "PUT " + p + "/issues/{iid}", handle: updateIssue, level: Reporter, counts: "issues"},

		{pattern: "GET " + p + "/ci/lint", handle: lintRepository, level: Reporter, unheld: true},
		{pattern: "POST " + p + "/ci/lint", handle: lintContent, level: Developer, unheld: true},

		{pattern: "GET " + p + "/variables", handle: listVariables, level: Maintainer},
		{pattern: "POST " + p + "/variables", handle: createVariable, level: Maintainer, counts: "variables"},
		{pattern: "GET " + p + "/variables/{key}", handle: getVariable, level: Maintainer},
		{pattern: "PUT " + p + "/variables/{key}", handle: updateVariable, level: Maintainer, counts: "variables"},
		{pattern: "DELETE " + p + "/variables/{key}", handle: deleteVariable, level: Maintainer, counts: "variables"},

		{pattern: "POST " + p + "/pipeline", handle: createPipeline, level: Guest, ci: true, counts: "pipelines", unheld: true},
		{pattern: "GET " + p + "/pipelines", handle: listPipelines, level: Reporter, ci: true},
		{pattern: "GET " + p + "/pipelines/latest", handle: getLatestPipeline, level: Reporter, ci: true},
		{pattern: "GET " + p + "/pipelines/{pipeline}", handle: getPipeline, level: Reporter, ci: true},
		{pattern: "GET " + p + "/pipelines/{pipeline}/variables", handle: getPipelineVariables, level: Developer, ci: true},
		{pattern: "POST " + p + "/pipelines/{pipeline}/retry", handle: retryPipeline, level: Developer, ci: true, counts: "retries"},
		{pattern: "POST " + p + "/pipelines/{pipeline}/cancel", handle: cancelPipeline, level: Developer, ci: true, counts: "cancels"},
		{pattern: "GET " + p + "/pipelines/{pipeline}/jobs", handle: listPipelineJobs, level: Reporter, ci: true},
		{pattern: "GET " + p + "/pipelines/{pipeline}/bridges", handle: listBridges, level: Reporter, ci: true},

		{pattern: "GET " + p + "/jobs", handle: listJobs, level: Reporter, ci: true},
		{pattern: "GET " + p + "/jobs/{job}", handle: getJob, level: Reporter, ci: true},
		{pattern: "GET " + p + "/jobs/{job}/trace", handle: getTrace, level: Reporter, ci: true},
		{pattern: "POST " + p + "/jobs/{job}/retry", handle: retryJob, level: Developer, ci: true, counts: "retries"},
		{pattern: "POST " + p + "/jobs/{job}/play", handle: playJob, level: Developer, ci: true, counts: "plays"},
		{pattern: "POST " + p + "/jobs/{job}/cancel", handle: cancelJob, level: Developer, ci: true, counts: "cancels"},

		{pattern: "GET " + p + "/members/all", handle: listMembers, level: Guest},
		{pattern: "GET " + p + "/environments", handle: listEnvironments, level: Reporter},
		{pattern: "GET " + p + "/environments/{environment}", handle: getEnvironment, level: Reporter},
		{pattern: "GET " + p + "/deployments", handle: listDeployments, level: Reporter},
		{pattern: "GET " + p + "/deployments/{deployment}", handle: getDeployment, level: Reporter},
	}
}

func (s *Server) handler() http.Handler {
	mux := http.NewServeMux()
	for _, r := range s.routes() {
		mux.HandleFunc(r.pattern, func(w http.ResponseWriter, q *http.Request) { s.serve(r, w, q) })
	}
	mux.HandleFunc("POST /api/graphql", s.graphql)
	mux.HandleFunc("/", func(w http.ResponseWriter, q *http.Request) {
		c := &call{s: s, w: w, r: q}
		c.respond(http.StatusNotFound, object{"error": "404 Not Found"}, nil)
	})
	return s.faulty(mux)
}

func (s *Server) serve(r route, w http.ResponseWriter, q *http.Request) {
	c := &call{s: s, w: w, r: q}
	var err error
	if c.params, err = readParams(q); err != nil {
		c.respond(0, nil, err)
		return
	}
	s.mu.Lock()
	status, body, err := 0, any(nil), c.admit(r)
	if err == nil && !r.unheld {
		status, body, err = r.handle(c)
	}
	if err == nil && r.unheld {
		s.mu.Unlock()
		status, body, err = r.handle(c)
		s.mu.Lock()
	}
	if err == nil && r.counts != "" && status < 300 {
		s.st.Writes[r.counts]++
		s.dirtyServer()
	}
	s.mu.Unlock()
	c.respond(status, body, err)
}

// admit finds the caller and the project and checks what the route asks for.
func (c *call) admit(r route) error {
	c.user = c.s.authenticate(c.r)
	if c.user == nil {
		return refuse(http.StatusUnauthorized, "401 Unauthorized")
	}
	if c.path("id") == "" {
		return nil
	}
	if err := c.findProject(); err != nil {
		return err
	}
	write := c.r.Method != http.MethodGet && c.r.Method != http.MethodHead
	if write && !strings.HasSuffix(r.pattern, "/ci/lint") && (c.project.Archived || c.project.DeletionOn != "") {
		return forbidden("")
	}
	if c.level() < r.level || r.ci && c.project.CIDisabled {
		return forbidden("")
	}
	return nil
}

func (c *call) level() int { return c.s.level(c.user, c.project) }

// findProject reads the project by id or by path. A former path is answered
// with a redirect to the id for GET and with 405 for the rest.
func (c *call) findProject() error {
	id := c.path("id")
	if n, err := strconv.ParseInt(id, 10, 64); err == nil {
		c.project = c.s.st.projects[n]
	} else {
		c.project = c.s.projectByPath(id)
		if moved := c.s.st.projects[c.s.st.moved[strings.ToLower(id)]]; c.project == nil && moved != nil && c.s.visible(c.user, moved) {
			if c.r.Method != http.MethodGet {
				return refuse(http.StatusMethodNotAllowed, "Non GET methods are not allowed for moved projects")
			}
			_, rest, _ := strings.Cut(strings.TrimPrefix(c.r.URL.EscapedPath(), "/api/v4/projects/"), "/")
			to := c.s.URL + "/api/v4/projects/" + strconv.FormatInt(moved.ID, 10)
			if rest != "" {
				to += "/" + rest
			}
			if c.r.URL.RawQuery != "" {
				to += "?" + c.r.URL.RawQuery
			}
			c.w.Header().Set("Location", to)
			return &apiError{http.StatusMovedPermanently, raw{contentType: "text/plain", body: []byte("This resource has been moved permanently to " + to + ".")}}
		}
	}
	if c.project == nil || !c.s.visible(c.user, c.project) {
		return notFound("Project")
	}
	return nil
}

func (s *Server) projectByPath(path string) *project {
	for _, p := range s.st.projects {
		if strings.EqualFold(p.Path, path) {
			return p
		}
	}
	return nil
}
