package reconcile

import "time"

// Project is what was seen of a project. It is stored as evidence.
type Project struct {
	ID            int64  `json:"id"`
	Path          string `json:"path"`
	WebURL        string `json:"web_url"`
	DefaultBranch string `json:"default_branch"`
	Head          string `json:"head,omitempty"` // commit of the default branch
	Archived      bool   `json:"archived,omitempty"`
	Empty         bool   `json:"empty,omitempty"`
	Gone          bool   `json:"gone,omitempty"` // GitLab no longer knows it
	// Maintainers are people who can act, such as "Kari Nordmann (kari)": asked for
	// only of projects with something to do.
	Maintainers []string `json:"maintainers,omitempty"`
	// Pipelines says that it has a CI configuration and CI is on.
	Pipelines bool `json:"pipelines"`

	Old []OldTag `json:"old"` // its tags in the old registry
	ECR ECR      `json:"ecr"`
	// Image is CI_REGISTRY_IMAGE as the project's own variables set it, "" for
	// not at all: then the instance's holds, which names the old registry.
	Image string `json:"ci_registry_image"`
	// OldNames are the places in its files that name the old registry or an old
	// image name, such as ".gitlab-ci.yml:12 registry.example.org/group/app".
	OldNames []string `json:"old_names"`
	// OldVariables are its CI/CD variables, by key, whose values name the old
	// registry; CI_REGISTRY_IMAGE is not among them.
	OldVariables []string `json:"old_variables,omitempty"`
	// NewNames are the complete references to images of its ECR repository in its files.
	NewNames     []string      `json:"new_names"`
	MergeRequest *Request      `json:"merge_request,omitempty"` // ours, the newest
	Production   *Job          `json:"production,omitempty"`    // the manual job of the followed pipeline
	Environments []Environment `json:"environments"`
	// ClusterAsked says that Workloads is the cluster's answer.
	ClusterAsked bool       `json:"cluster_asked"`
	Workloads    []Workload `json:"workloads"`
}

// OldTag is a tag in the old registry. Digest may be "": it was not asked for.
type OldTag struct {
	Repository string `json:"repository"`
	Tag        string `json:"tag"`
	Digest     string `json:"digest"`
}

func (t OldTag) name() string { return t.Repository + ":" + t.Tag }

// ECR is a project's repository there.
type ECR struct {
	Repository string            `json:"repository"` // the one that was asked for
	Exists     bool              `json:"exists"`
	Tags       map[string]string `json:"tags"`    // tag to digest
	Digests    []string          `json:"digests"` // of all manifests, with a tag or without
}

// Request is a merge request.
type Request struct {
	IID       int64     `json:"iid"`
	State     string    `json:"state"` // GitLab's
	URL       string    `json:"url"`
	CreatedAt time.Time `json:"created_at"`
}

// Job is a job of a pipeline.
type Job struct {
	Name   string `json:"name"`
	Status string `json:"status"` // GitLab's
	URL    string `json:"url"`
}

// Environment is an environment and its newest successful deployment.
type Environment struct {
	Name       string    `json:"name"`
	Tier       string    `json:"tier"`
	State      string    `json:"state"` // GitLab's: available, stopping, stopped
	SHA        string    `json:"sha"`
	PipelineID int64     `json:"pipeline_id"`
	DeployedAt time.Time `json:"deployed_at"`
}

// Workload is something that runs.
type Workload struct {
	Kind        string      `json:"kind"`
	Name        string      `json:"name"`
	Environment string      `json:"environment"`
	Containers  []Container `json:"containers"`
}

// Container is a container of a workload.
type Container struct {
	Name    string   `json:"name"`
	Image   string   `json:"image"`
	Running []string `json:"running"` // digests that its pods run
}

// Expectation is what our rows say. It is what should be, not what is.
type Expectation struct {
	// Kind and State are those of the latest migration, "" for none.
	Kind, State string
	Step        string
	Reason      string
	Message     string
	Since       time.Time // when State, Step or the wait last changed
	StartedAt   time.Time
	// Repository is the ECR repository that it migrated to.
	Repository string
	PipelineID int64
	// Images are those that were copied or found there.
	Images []Image
	// Known are the old registry's tags when the migration ended, or those that
	// it looked at. A digest of "" is not known.
	Known []OldTag
}

// Image is an image that was moved.
type Image struct {
	Old    string // repository:tag
	Tag    string // in ECR
	Digest string
}

// Limits are the patience of reports, and what the platform is called.
type Limits struct {
	OldHost, ECRHost string
	// OldBases are further "host/path" bases of old images of the project.
	OldBases []string
	Now      time.Time
	// How long something may stay before it is told.
	MergeRequest, Production, Failed time.Duration
}

// ended says whether the project was migrated, and not taken back since.
func (e Expectation) ended() bool {
	return e.Kind == "migrate" && (e.State == "done" || e.State == "exceptions")
}

func (e Expectation) active() bool {
	return e.State == "queued" || e.State == "running" || e.State == "waiting"
}

// switched says whether the default branch builds in ECR: the migration ended
// well, or it is as far as its verification.
func (e Expectation) switched() bool {
	return e.ended() || e.Kind == "migrate" && e.Step == "verify" && (e.active() || e.stopped())
}

// ownRequest says whether the migration stands or falls with its merge request.
func (e Expectation) ownRequest() bool {
	return e.Kind == "migrate" && e.Step == "rewrite" && (e.active() || e.stopped())
}

func (e Expectation) stopped() bool {
	return e.State == "failed" || e.State == "attention" || e.State == "cancelled"
}

// waitsFor says whether the migration waits for this reason.
func (e Expectation) waitsFor(reason string) bool { return e.active() && e.Reason == reason }
