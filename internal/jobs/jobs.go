// Package jobs walks a project through its migration, one step a River job:
//
//	discover -> configure -> copy -> rewrite -> pipeline -> verify -> done
//
// or back again, by a rollback:
//
//	restore -> pipeline -> verify -> done
//
// A step (one file each) does its one thing and returns an Outcome: done, wait,
// needs attention, stop, or an error with a class. The Runner does the
// bookkeeping of all of them: it records the try before the step acts, keeps a
// sign of life while it runs, and writes the step's result, the project's progress,
// the completion of this job and the insertion of the next one in one
// transaction. A step that waits for the outside does not sleep: its job is
// snoozed, against a deadline in the migration's row.
//
// River delivers at least once and a worker may die at any instruction. So every
// step looks whether its act is already done before it acts, and a try whose
// worker fell silent is taken from it (lease.go) and given to another.
//
// Only this package and the commands know River.
package jobs

import (
	"slices"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Schema is where River keeps its tables.
const Schema = "river"

// Queues. Copying moves bytes for minutes; in a queue of its own it can't keep
// the short steps of other projects waiting.
const (
	QueueSteps = "steps"
	QueueCopy  = "copy"
)

// after returns the step that follows in a migration of this kind.
func after(kind store.Kind, step store.StepName) store.StepName {
	order := kind.Order()
	i := slices.Index(order, step)
	if i+1 < len(order) {
		return order[i+1]
	}
	return store.StepDone
}

// Ref is the argument of every step's job: identifiers only, never content and
// never a secret, because arguments are rows that people read.
type Ref struct {
	MigrationID int64 `json:"migration_id"`
}

// Migration returns the id of the migration that the job belongs to.
func (r Ref) Migration() int64 { return r.MigrationID }

// The arguments of each step's job. Their kinds are stored data: a rename needs
// river.JobArgsWithKindAliases.
type (
	DiscoverArgs  struct{ Ref }
	ConfigureArgs struct{ Ref }
	CopyArgs      struct{ Ref }
	RewriteArgs   struct{ Ref }
	RestoreArgs   struct{ Ref }
	PipelineArgs  struct{ Ref }
	VerifyArgs    struct{ Ref }
)

func (DiscoverArgs) Kind() string  { return string(store.StepDiscover) }
func (ConfigureArgs) Kind() string { return string(store.StepConfigure) }
func (CopyArgs) Kind() string      { return string(store.StepCopy) }
func (RewriteArgs) Kind() string   { return string(store.StepRewrite) }
func (RestoreArgs) Kind() string   { return string(store.StepRestore) }
func (PipelineArgs) Kind() string  { return string(store.StepPipeline) }
func (VerifyArgs) Kind() string    { return string(store.StepVerify) }

// argsOf returns the job arguments of a step, nil for the end of the chain.
func argsOf(step store.StepName, migration int64) river.JobArgs {
	ref := Ref{MigrationID: migration}
	switch step {
	case store.StepDiscover:
		return DiscoverArgs{ref}
	case store.StepConfigure:
		return ConfigureArgs{ref}
	case store.StepCopy:
		return CopyArgs{ref}
	case store.StepRewrite:
		return RewriteArgs{ref}
	case store.StepRestore:
		return RestoreArgs{ref}
	case store.StepPipeline:
		return PipelineArgs{ref}
	case store.StepVerify:
		return VerifyArgs{ref}
	default:
		return nil
	}
}

// timeouts bound one try of a step. River never takes back a job without a
// timeout, so each is finite. Copy may last: it moves gigabytes, and its
// sign of life shows whether its worker lives.
var timeouts = map[store.StepName]time.Duration{
	store.StepDiscover:  10 * time.Minute,
	store.StepConfigure: 5 * time.Minute,
	store.StepCopy:      6 * time.Hour,
	store.StepRewrite:   2 * time.Hour, // it copies what came since the copy
	store.StepRestore:   10 * time.Minute,
	store.StepPipeline:  5 * time.Minute,
	store.StepVerify:    time.Hour, // it copies again what was cleaned up
}

// activeStates are the states in which a job counts as there. River's default
// has "completed" among them, and would drop a second enqueueing on the same
// day without a word.
var activeStates = []rivertype.JobState{
	rivertype.JobStateAvailable,
	rivertype.JobStatePending,
	rivertype.JobStateRetryable,
	rivertype.JobStateRunning,
	rivertype.JobStateScheduled,
}

// maxAttempts is River's own limit, which ours (retry.go) never reaches:
// the runner decides when a step has failed, and says so in the migration.
const maxAttempts = 1000

// insertOpts are the options of a step's job.
func insertOpts(kind string) *river.InsertOpts {
	queue := QueueSteps
	if kind == string(store.StepCopy) {
		queue = QueueCopy
	}
	return &river.InsertOpts{
		Queue:       queue,
		MaxAttempts: maxAttempts,
		UniqueOpts:  river.UniqueOpts{ByArgs: true, ByState: activeStates},
	}
}
