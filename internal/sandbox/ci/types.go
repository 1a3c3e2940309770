// Package ci turns a project's CI configuration into a pipeline, as GitLab does:
// includes, extends, default, anchors, !reference, rules, only and except,
// matrix, variables and needs. See https://docs.gitlab.com/ci/yaml/.
//
// This file holds the values that the GitLab stand-in, this compiler and the
// runner hand to each other.
package ci

import (
	"context"
	"io"
	"time"
)

// Project is what CI needs to know of a project.
type Project struct {
	ID            int64
	Path          string // group/subgroup/name
	DefaultBranch string
	ConfigPath    string // "" means .gitlab-ci.yml
	WebURL        string
}

// Variable is a CI/CD variable with GitLab's attributes.
type Variable struct {
	Key              string `json:"key"`
	Value            string `json:"value"`
	Protected        bool   `json:"protected"`
	Masked           bool   `json:"masked"`
	Raw              bool   `json:"raw"`
	File             bool   `json:"file"`              // variable_type file
	EnvironmentScope string `json:"environment_scope"` // "" and "*" mean every environment
}

// Files reads the repositories of the server; includes of other projects and
// components go through it too.
type Files interface {
	// ReadFile returns a file of a project at a ref ("" means the default
	// branch); fs.ErrNotExist when project, ref or path does not exist.
	ReadFile(project, ref, path string) ([]byte, error)
	// Paths lists every path of a project at a ref, sorted.
	Paths(project, ref string) ([]string, error)
}

// Trigger is what started a pipeline.
type Trigger struct {
	Ref           string // branch or tag name
	Tag           bool
	SHA           string
	Source        string // push, api, web, schedule, parent_pipeline, pipeline, merge_request_event, ...
	CommitMessage string
	User          string
	PipelineID    int64
	PipelineIID   int64
	ProtectedRef  bool
	Variables     []Variable // given with the trigger; they win over all others
	CreatedAt     time.Time  // of the pipeline; zero when not known
	BeforeSHA     string     // what the ref pointed to before a push; "" when new
	Changed       []string   // paths that the push changed; nil when not known, then `changes` holds
	MergeRequest  *MergeRequest
}

// MergeRequest is what a merge_request_event belongs to.
type MergeRequest struct {
	IID          int64
	SourceBranch string
	TargetBranch string
	Title        string
}

// Settings are the variables that do not come from files, in rising precedence.
type Settings struct {
	Instance []Variable // predefined and instance-level, such as CI_REGISTRY
	Group    []Variable
	Project  []Variable
}

// Pipeline is a compiled configuration.
type Pipeline struct {
	Stages     []string
	Jobs       []Job // in stage order, then file order
	MergedYAML string
	Warnings   []string
	Includes   []string // locations, as GitLab's lint lists them
	Filtered   bool     // valid, but rules left no job
}

// Image is a job's image or service.
type Image struct {
	Name       string   `json:"name"` // unexpanded
	Alias      string   `json:"alias,omitempty"`
	Entrypoint []string `json:"entrypoint,omitempty"`
	Command    []string `json:"command,omitempty"`
}

// Environment is a job's environment.
type Environment struct {
	Name   string `json:"name"` // unexpanded
	URL    string `json:"url,omitempty"`
	Action string `json:"action"` // start, stop, prepare, verify, access
	OnStop string `json:"on_stop,omitempty"`
}

// Need is one entry of needs.
type Need struct {
	Job       string
	Optional  bool
	Artifacts bool
}

// Bridge is a trigger job: a child pipeline or one of another project.
type Bridge struct {
	Include []string // paths of a child pipeline's files in this project
	Project string
	Branch  string
	Depend  bool // strategy: depend
}

// Job is one job, matrix expanded, of a pipeline.
type Job struct {
	Name         string
	Stage        string
	When         string // on_success, on_failure, always, manual, delayed
	AllowFailure bool
	HasNeeds     bool // needs was given, if only as an empty list
	Needs        []Need
	Dependencies []string // nil means all earlier ones
	Image        *Image
	Services     []Image
	// Variables are those of the job (global YAML, job, rules, matrix merged in
	// rising precedence), unexpanded and in order. Settings are not in it.
	Variables     []Variable
	BeforeScript  []string
	Script        []string
	AfterScript   []string
	Environment   *Environment
	Artifacts     []string // paths
	Dotenv        []string // artifacts:reports:dotenv
	ArtifactsWhen string   // on_success, on_failure, always
	Cache         []string
	Tags          []string // runner tags
	ResourceGroup string
	Retry         int
	Trigger       *Bridge
	Group         string // the job's name before parallel made several of it
	NodeIndex     int    // 1.. among those, 0 without parallel
	NodeTotal     int
	FailureCodes  []int // allow_failure:exit_codes
}

// Artifact is a file that a job left for later ones.
type Artifact struct {
	Path    string
	Content []byte
	Mode    uint32
}

// Execution is one run of one job.
type Execution struct {
	Project   Project
	Trigger   Trigger
	Job       Job
	JobID     int64
	Settings  Settings
	Dotenv    []Variable // from earlier jobs
	Checkout  []Artifact // the repository at the commit
	Artifacts []Artifact // from earlier jobs
}

// Result says how a job ended.
type Result struct {
	Status        string // success or failed
	FailureReason string // "", script_failure, runner_system_failure, image_pull_failure, job_execution_timeout, ... as GitLab names them
	ExitCode      int
	Artifacts     []Artifact
	Dotenv        []Variable
}

// Executor runs jobs. The trace gets the job's log as GitLab shows it.
type Executor interface {
	Execute(ctx context.Context, e Execution, trace io.Writer) Result
}
