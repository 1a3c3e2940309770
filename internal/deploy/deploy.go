// Package deploy judges whether a service runs from ECR: evidence in, verdict out.
//
// The evidence is what GitLab says of the pipeline and the deployments, what the
// cluster says of the workloads, and what ECR says of the images. Each question
// is one [Check], answered yes, no or unknown, with a sentence for people.
//
// The rules are made so that nothing is rounded up. Without evidence the answer
// is unknown, and a verdict with an unknown answer is unproven. A green pipeline
// of another commit, a deployment by somebody else or a workload that merely
// names the right image proves nothing.
package deploy

import "time"

// Outcome is the verdict in one word. It is stored.
type Outcome string

// The outcomes, from best to worst.
const (
	Proven   Outcome = "proven"   // every check was answered yes
	Unproven Outcome = "unproven" // nothing speaks against it, something is not known
	Pending  Outcome = "pending"  // something is still under way: ask again
	Refuted  Outcome = "refuted"  // at least one check was answered no
)

// Result is the answer to one check. It is stored.
type Result string

// The answers.
const (
	Yes     Result = "yes"
	No      Result = "no"
	Unknown Result = "unknown"
)

// Names of checks. They are stored.
const (
	CheckPipeline    = "pipeline"     // the pipeline of our commit is green, its children too
	CheckEnvironment = "environment"  // there is something to prove
	CheckDeployment  = "deployment"   // the newest successful deployment is ours
	CheckImages      = "ecr-images"   // ECR holds images of the project
	CheckImage       = "image-in-ecr" // the image that a workload names is in ECR
	CheckRunning     = "running"      // the pods run exactly that image
	CheckRollout     = "rollout"      // the rollout is complete
	CheckOldRegistry = "old-registry" // nothing runs from the old registry
	CheckECR         = "ecr"          // of a rollback: nothing runs from ECR any more
	CheckURL         = "url"          // the environment's address answers
	CheckPull        = "ecr-pull"     // ECR has seen the image pulled: a hint, never a proof
)

// Expectation is what should be true.
type Expectation struct {
	Project     string   // path in GitLab
	Registry    string   // ECR's host
	Repository  string   // name of the project's ECR repository
	OldRegistry string   // the old registry's host
	OldBases    []string // further "host/path" bases of old images of the project
	SHA         string   // the commit that brought the change
	PipelineID  int64    // the pipeline that was followed; 0 if any of SHA will do
	// Since is when that pipeline began: an older pull hints at nothing.
	Since time.Time
	// Environments are those that must be proven now. Others are not looked at:
	// a production that nobody has deployed yet is no part of staging's verdict.
	Environments []string
	// DeploysNothing says that the project has no environment to prove: a green
	// pipeline and images in ECR are all there can be.
	DeploysNothing bool
	// AcceptGitLabOnly is the policy to be content with GitLab's word where the
	// cluster can't be asked. It has no effect when the cluster was asked.
	AcceptGitLabOnly bool
}

// Evidence is what was found.
type Evidence struct {
	// Pipeline is the pipeline that was followed; nil if there is none.
	Pipeline *Pipeline
	// Deployments are those of the environments, in any order and status.
	Deployments []Deployment
	// Workloads are all those of the project's namespace.
	Workloads []Workload
	// Images is what ECR holds of the project: tag or digest to digest. The
	// digest of one platform's image may be given as a key with the digest of
	// its index as value: then a pod that runs it runs the index's image. nil
	// means that ECR was not asked.
	Images map[string]string
	// Pulled is when ECR last recorded a pull of an image, by tag or digest.
	Pulled map[string]time.Time
	// URLs is what the environments' addresses answered, by environment.
	// Environments that are not in it were not asked.
	URLs map[string]Answer
	// ClusterAsked says that Workloads is the cluster's answer, if only that
	// there are none.
	ClusterAsked bool
}

// Pipeline is a pipeline with what it started.
type Pipeline struct {
	ID         int64
	SHA        string
	Status     string // GitLab's
	WebURL     string
	Downstream []Downstream
	Hidden     bool // what it started may not be looked at
}

// Downstream is a trigger job and the pipeline it created.
type Downstream struct {
	Job          string
	Status       string // of the trigger job
	AllowFailure bool
	Pipeline     *Pipeline // nil if none was created
}

// Deployment is a deployment as GitLab records it.
type Deployment struct {
	ID          int64 // a newer deployment has a higher one
	Environment string
	Status      string // created, running, success, failed, canceled, blocked
	SHA         string
	PipelineID  int64
	JobName     string
}

// Workload is a Deployment, StatefulSet, DaemonSet or CronJob of the cluster.
type Workload struct {
	Kind, Name string
	// Environment it belongs to, by GitLab's name or slug. "" if no label says
	// so: then the workload's own name decides, because the platform names
	// workloads after their environment ("staging", "staging-worker").
	Environment    string
	Containers     []Container
	Desired, Ready int32
	// Complete says that the rollout is complete as kubectl rollout status
	// judges it.
	Complete bool
	// Failed says why the rollout failed, "" if it has not.
	Failed string
}

// Container is a container of a workload's pods.
type Container struct {
	Name, Image string
	// RunningDigests are the digests of the images that the pods really run.
	RunningDigests []string
}

// Answer is what an environment's address answered.
type Answer struct {
	URL    string
	Status int    // HTTP status; 0 if there was no answer
	Error  string // why not
	// Refused says that it was not asked, because it leads to where the worker
	// does not go; Error says where that is.
	Refused bool
}

// Check is one question and its answer.
type Check struct {
	Name        string
	Environment string // "" for the whole project
	Subject     string // what was looked at, such as "Deployment/staging"
	Result      Result
	// Pending says that an unknown answer will become known by itself.
	Pending bool
	// Hint says that the answer is worth knowing, but decides nothing.
	Hint bool
	// Accepted says that an unknown answer is accepted by policy.
	Accepted bool
	Detail   string // a sentence for people
}

// Verdict is the judgement with all its checks.
type Verdict struct {
	Outcome Outcome
	Checks  []Check
	Summary string // a sentence for people
}
