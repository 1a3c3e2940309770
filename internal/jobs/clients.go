package jobs

import (
	"encoding/json"
	"fmt"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/cluster"
	"gitlab.sikt.no/platon/ecrferry/internal/console"
	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/probe"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// Clients are the rooms around the systems outside that the steps use.
type Clients struct {
	GitLab  *gitlab.Client
	Old     *registry.Client
	ECR     *ecr.Client
	Engine  *imagecopy.Engine
	Console *console.Client // nil unless configure asks the console
	Cluster *cluster.Client // nil without a kubeconfig
	Probe   *probe.Client   // nil unless environments' addresses are to be asked
}

// Settings are the facts about the platform and the patience that all
// migrations of a worker share.
type Settings struct {
	// OldHost is the host that old images are called by, ECRHost that of new ones.
	OldHost, ECRHost string
	// Aliases maps further old repository bases to project paths.
	Aliases map[string]string
	// Configure is console, self or check.
	Configure string

	PipelineAppears  time.Duration // how long a push may take to start its pipeline
	PipelineDeadline time.Duration
	DeployDeadline   time.Duration
	MergeDeadline    time.Duration
	ProductionPoll   time.Duration
	// RunnerDeadline is how long a pipeline may stand still with jobs that no
	// runner takes; an hour when zero.
	RunnerDeadline time.Duration
	// PipelinesPerHour is how many pipelines the whole fleet may start within an
	// hour; 0 for any number.
	PipelinesPerHour int
	// Calendar says when projects may begin.
	Calendar calendar.Calendar
	// Reports are the choices that reconciliations are made with.
	Reports ReportSettings
}

// Policy holds the choices that a migration starts with. It is stored with the
// migration, so that a change of the worker's configuration does not change
// what is under way.
type Policy struct {
	Delivery   string `json:"delivery"`   // push, merge-request or merge-request+auto-merge
	Production string `json:"production"` // wait, play or skip
	Images     string `json:"images"`     // see copy.ParsePolicy
	// Now lets the migration begin although the intake is paused or it is
	// outside the hours.
	Now bool `json:"now,omitempty"`
}

// policyOf reads a migration's policy.
func policyOf(raw json.RawMessage) (Policy, error) {
	p := Policy{Delivery: "push", Production: "wait", Images: "in-use,newest=10"}
	if len(raw) == 0 {
		return p, nil
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return p, fmt.Errorf("the migration's policy is not readable: %w", err)
	}
	return p, nil
}
