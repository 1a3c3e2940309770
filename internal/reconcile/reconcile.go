// Package reconcile compares what is really there with what should be: observed
// facts in, classes with detail, owner and remedy out.
//
// What is observed is a [Project]: its images in the old registry and in ECR, its
// files at the default branch, its pipeline, environments and, when a cluster was
// asked, its workloads. What was once recorded about it is an [Expectation] and
// no more: a migration that is done proves nothing about today. [Judge] compares
// the two. A project may be in several classes, and in none: then it is in sync.
//
// [Close] makes the report of all subjects: can the old registry be switched off,
// who still needs it and why, what changed since the report before, and, if the
// pace allows one, the date. A [Report] is stored as JSON and rendered elsewhere.
//
// [Schedule] says when a report is due by the clock on the wall.
//
// The room is pure: values in, values out.
package reconcile

import (
	"slices"
	"strings"
)

// Class names what was found. It is stored.
type Class string

// The classes.
const (
	// What should not be.
	Lost          Class = "lost"                 // missing in ECR, though something refers to it
	DigestDiffers Class = "digest-differs"       // ECR or a pod has other bytes under the name
	RunsOld       Class = "runs-old-registry"    // runs from the old registry
	NewPush       Class = "new-push"             // pushed to the old registry since the migration
	NamesOld      Class = "ci-old-registry"      // files name the old registry (again)
	Unconfigured  Class = "update-configuration" // variables or repository do not fit
	Moved         Class = "moved"                // moved or renamed since the migration
	MergeRequest  Class = "merge-request-open"   // open for longer than allowed
	Closed        Class = "merge-request-closed" // closed, and not merged
	Production    Class = "production-waiting"   // waiting for longer than allowed
	Forgotten     Class = "failed-forgotten"     // failed, and nobody has done anything for long
	Failed        Class = "failed"               // failed lately
	NewProject    Class = "new-project"          // never enqueued
	Nobody        Class = "nobody"               // a repository of the old registry that no project owns
	NotObserved   Class = "not-observed"         // could not be looked at

	// What is as it should be, or on its way.
	UnderWay   Class = "under-way"   // a migration is at work
	RolledBack Class = "rolled-back" // taken back on purpose
	Gone       Class = "gone"        // GitLab no longer knows the project
	Expired    Class = "expired"     // copied, never used, cleaned up by ECR
	InSync     Class = "in-sync"
)

// Severity says how soon somebody has to look. It is stored.
type Severity string

// The severities, from worst to best.
const (
	Loud    Severity = "loud" // now: a restart of the service may fail
	Warning Severity = "warning"
	Note    Severity = "note"
	OK      Severity = "ok"
)

// Owner is who can act. It is stored.
type Owner string

// The owners.
const (
	ProjectOwner  Owner = "project"
	PlatformOwner Owner = "platform"
)

// Finding is a class that a subject is in, and why.
type Finding struct {
	Class    Class    `json:"class"`
	Severity Severity `json:"severity"`
	// Subjects are what it is about, such as images, files or workloads: a few
	// of them, sorted. Count is how many there are.
	Subjects []string `json:"subjects"`
	Count    int      `json:"count"`
	// Detail is a sentence for people, Remedy what to do.
	Detail string `json:"detail"`
	Owner  Owner  `json:"owner"`
	Remedy string `json:"remedy"`
	// NeedsOld says that the old registry can't be switched off because of this.
	NeedsOld bool `json:"needs_old"`
}

// Meaning is what a class means to people.
type Meaning struct {
	Class    Class    `json:"class"`
	Title    string   `json:"title"`
	Severity Severity `json:"severity"`
	Owner    Owner    `json:"owner"`
	Remedy   string   `json:"remedy"`
}

// meanings are in the order of gravity.
var meanings = []Meaning{
	{Lost, "Missing in ECR though referred to", Loud, ProjectOwner, "run the default branch's pipeline so that the image is built and deployed anew; until then do not restart the workload"},
	{DigestDiffers, "Digest differs", Loud, ProjectOwner, "find out who pushed the other image; deploy a new build under a new tag"},
	{RunsOld, "Runs from the old registry", Warning, ProjectOwner, "deploy the default branch, whose configuration names ECR"},
	{NewPush, "New push to the old registry", Warning, ProjectOwner, "see which pipeline or person pushed, point it to CI_REGISTRY_IMAGE, then enqueue the project again"},
	{NamesOld, "Files name the old registry", Warning, ProjectOwner, "enqueue the project again, which rewrites its files, or change them by hand: enqueue rewrite shows how"},
	{Unconfigured, "Update configuration is missing", Warning, PlatformOwner, "run Update configuration for the project in the PaaS console"},
	{Moved, "Moved or renamed since its migration", Warning, PlatformOwner, "run Update configuration for the project in the PaaS console, then enqueue the project again"},
	{MergeRequest, "Merge request open for too long", Warning, ProjectOwner, "merge or close it"},
	{Closed, "Merge request closed without a merge", Warning, ProjectOwner, "agree with the project's owners, reopen it, then enqueue the project again"},
	{Production, "Production waits for too long", Warning, ProjectOwner, "play the production job, or have it promoted: enqueue promote"},
	{Forgotten, "Failed and forgotten", Warning, PlatformOwner, "read why in enqueue status, see to it, then enqueue failed"},
	{Failed, "Failed lately", Warning, PlatformOwner, "read why in enqueue status, see to it, then enqueue failed"},
	{NewProject, "Never enqueued", Warning, PlatformOwner, "enqueue the project"},
	{Nobody, "Old repository that nobody owns", Warning, PlatformOwner, "say whose it is in the file of ECRFERRY_OLD_REGISTRY_ALIASES, or delete it from the old registry"},
	{NotObserved, "Could not be looked at", Warning, PlatformOwner, "see the error; the next report asks again"},
	{UnderWay, "Migration under way", Note, PlatformOwner, ""},
	{RolledBack, "Rolled back", Note, ProjectOwner, "enqueue the project again when it suits"},
	{Gone, "No longer in GitLab", Note, PlatformOwner, ""},
	{Expired, "Expired in ECR, never used", OK, PlatformOwner, ""},
	{InSync, "In sync", OK, ProjectOwner, ""},
}

// Meanings returns what the classes mean, the gravest first.
func Meanings() []Meaning { return slices.Clone(meanings) }

// MeaningOf returns what a class means; of one that is not known, its name.
func MeaningOf(c Class) Meaning {
	if i := rank(c); i < len(meanings) {
		return meanings[i]
	}
	return Meaning{Class: c, Title: string(c), Severity: Warning, Owner: PlatformOwner}
}

// rank orders classes by gravity.
func rank(c Class) int {
	for i, m := range meanings {
		if m.Class == c {
			return i
		}
	}
	return len(meanings)
}

// shown is how many subjects a finding names.
const shown = 10

// find makes a finding of a class about subjects.
func find(c Class, needsOld bool, detail string, subjects ...string) Finding {
	m := MeaningOf(c)
	slices.Sort(subjects)
	subjects = slices.Compact(subjects)
	return Finding{
		Class: c, Severity: m.Severity, Owner: m.Owner, Remedy: m.Remedy, NeedsOld: needsOld,
		Detail: detail, Count: len(subjects), Subjects: append([]string{}, subjects[:min(len(subjects), shown)]...),
	}
}

// list puts subjects into a sentence.
func list(subjects []string, most int) string {
	subjects = slices.Compact(slices.Sorted(slices.Values(subjects)))
	if len(subjects) <= most {
		return strings.Join(subjects, ", ")
	}
	return strings.Join(subjects[:most], ", ") + " and " + count(len(subjects)-most, "more", "more")
}
