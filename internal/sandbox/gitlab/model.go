package gitlab

import (
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// state is all that a server knows. Its parts are guarded by Server.mu.
type state struct {
	LastID   int64 // of whatever is numbered over the whole server
	Users    []*user
	Writes   map[string]int
	projects map[int64]*project
	moved    map[string]int64 // former path -> project
}

type user struct {
	ID       int64
	Username string
	Name     string
	Token    string
	Bot      bool
	Level    int            // access level to every project, 0 for none
	Roles    map[string]int // access level to a project by path, over Level
}

type project struct {
	ID            int64
	Path          string
	FormerPaths   []string
	DefaultBranch string
	Description   string
	Topics        []string
	Visibility    string
	Archived      bool
	DeletionOn    string // date for which it is marked for deletion
	CIDisabled    bool
	ConfigPath    string
	FastForward   bool   // merge_method ff: a branch has to be rebased before it is merged
	PipelineMerge bool   // only_allow_merge_if_pipeline_succeeds
	VariablesRole string // ci_pipeline_variables_minimum_override_role
	Approvals     int    // approvals a merge request needs; nobody gives any here
	CreatedAt     time.Time
	ActivityAt    time.Time

	Repo         repository
	Protected    []*protection
	Variables    []*variable
	MRs          []*mergeRequest
	Issues       []*issue
	Pipelines    []*pipeline
	Jobs         []*job
	Environments []*environment
	Deployments  []*deployment
	Pushes       []*push // whose pipelines are still to be created
	LastPipeline int64   // highest iid given out
}

type protection struct {
	ID    int64
	Name  string // may hold * as a wildcard
	Push  int    // least access level, 0 for no one
	Merge int
	Force bool
}

type variable struct {
	ci.Variable
	Hidden      bool
	Description string
}

type push struct {
	Ref    string
	Tag    bool
	SHA    string
	Before string
	UserID int64
	MR     int64 // iid of the merge request whose pipeline it is, or 0
}

type mergeRequest struct {
	ID, IID      int64
	Title        string
	Description  string
	State        string // opened, closed, merged
	Source       string
	Target       string
	SHA          string // head of the source branch; kept when the branch is gone
	BaseSHA      string
	MergeSHA     string
	SquashSHA    string
	AuthorID     int64
	MergedByID   int64
	ClosedByID   int64
	CreatedAt    time.Time
	UpdatedAt    time.Time
	CheckedFrom  time.Time // from when on GitLab knows whether it can be merged
	MergedAt     *time.Time
	ClosedAt     *time.Time
	RemoveSource bool
	Squash       bool
	AutoMerge    bool
	MergeMessage string
	Labels       []string
	MergeError   string
	Notes        []*note
}

type note struct {
	ID        int64
	Body      string
	AuthorID  int64
	Internal  bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

type pipeline struct {
	ID, IID    int64
	ProjectID  int64
	Ref        string
	Tag        bool
	SHA        string
	BeforeSHA  string
	Source     string
	Status     string
	YAMLErrors string
	Stages     []string
	UserID     int64
	Variables  []ci.Variable
	MR         int64
	Bridge     int64 // the job that started it
	CreatedAt  time.Time
	UpdatedAt  time.Time
	StartedAt  *time.Time
	FinishedAt *time.Time
}

type job struct {
	ID            int64
	PipelineID    int64
	ProjectID     int64
	StageIndex    int
	Status        string
	FailureReason string
	Retried       bool
	Attempt       int // how often its configuration's retry has been used
	Environment   string
	Deployment    int64
	Downstream    int64 // pipeline that a bridge started
	UserID        int64
	Spec          ci.Job
	Given         []ci.Variable // given by whoever played it
	Trace         []byte
	Artifacts     []ci.Artifact
	Dotenv        []ci.Variable
	CreatedAt     time.Time
	QueuedAt      *time.Time
	StartedAt     *time.Time
	FinishedAt    *time.Time
}

type environment struct {
	ID        int64
	Name      string
	Slug      string
	State     string // available, stopped
	URL       string
	CreatedAt time.Time
	UpdatedAt time.Time
}

type deployment struct {
	ID, IID    int64
	Env        int64
	JobID      int64
	Ref        string
	Tag        bool
	SHA        string
	Status     string
	UserID     int64
	CreatedAt  time.Time
	UpdatedAt  time.Time
	FinishedAt *time.Time
}

func (p *project) name() string { return p.Path[strings.LastIndex(p.Path, "/")+1:] }

func (p *project) namespace() string {
	i := strings.LastIndex(p.Path, "/")
	return p.Path[:max(i, 0)]
}

func (p *project) pipeline(id int64) *pipeline {
	i := slices.IndexFunc(p.Pipelines, func(x *pipeline) bool { return x.ID == id })
	if i < 0 {
		return nil
	}
	return p.Pipelines[i]
}

// jobsOf returns a pipeline's jobs in order of creation; retried ones only on request.
func (p *project) jobsOf(pipeline int64, retried bool) []*job {
	var jobs []*job
	for _, j := range p.Jobs {
		if j.PipelineID == pipeline && (retried || !j.Retried) {
			jobs = append(jobs, j)
		}
	}
	return jobs
}

func (p *project) environment(name string) *environment {
	i := slices.IndexFunc(p.Environments, func(e *environment) bool { return e.Name == name })
	if i < 0 {
		return nil
	}
	return p.Environments[i]
}

func (p *project) deployment(id int64) *deployment {
	i := slices.IndexFunc(p.Deployments, func(d *deployment) bool { return d.ID == id })
	if i < 0 {
		return nil
	}
	return p.Deployments[i]
}

func (p *project) merge(iid int64) *mergeRequest {
	i := slices.IndexFunc(p.MRs, func(m *mergeRequest) bool { return m.IID == iid })
	if i < 0 {
		return nil
	}
	return p.MRs[i]
}

// ciProject is what package ci and the executor are told of a project.
func (s *Server) ciProject(p *project) ci.Project {
	return ci.Project{ID: p.ID, Path: p.Path, DefaultBranch: p.DefaultBranch, ConfigPath: p.ConfigPath, WebURL: s.URL + "/" + p.Path}
}

func (s *Server) id() int64 {
	s.st.LastID++
	return s.st.LastID
}

func (s *Server) user(id int64) *user {
	for _, u := range s.st.Users {
		if u.ID == id {
			return u
		}
	}
	return nil
}
