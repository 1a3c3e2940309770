// Package copy copies the images of a project from the old registry into its
// ECR repository, byte for byte.
//
// It works in two calls. Plan lists and looks, changes nothing, and returns a
// value with one row for every tag of the old registry: what is to be copied,
// what is there already, what is left out, and what cannot be copied, each with
// a reason. Execute does what a plan says and verifies it afterwards in ECR.
// Nothing is stored in between: after a crash, plan again. What has arrived is
// then seen as present, also single layers.
//
//	list → choose → read manifests → look at the target │ blobs → children → image → referrers → tag → verify
//	                      Plan                          │               Execute
//
// Who will execute a plan at once says so (Request.Soon): then blobs that are
// sure to be needed move while manifests are still being read, and Execute goes
// on with what is on its way.
//
// Tags at the target are immutable, so Execute never writes a tag that it has
// seen there: the same digest is "present", another one is a "conflict".
// Quotas are kept by the clients, whose every request has a limiter, see package
// pace. The requests are few: a page of tags, a page of the target's images, one
// manifest read per tag, one question per hundred blobs; two requests per
// missing blob, whatever number of images share it, and one per manifest and tag.
package copy

import (
	"cmp"
	"log/slog"
	"sync/atomic"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// State is where an image stands. The strings are stored.
type State string

// The states.
const (
	Planned   State = "planned"   // to be copied
	LeftOut   State = "left-out"  // by policy, or because a pipeline will push the tag
	Present   State = "present"   // the target tag holds this digest already
	Copied    State = "copied"    // written by us
	Conflict  State = "conflict"  // the target tag holds another digest
	Collision State = "collision" // two images of the old registry map to the target tag
	Invalid   State = "invalid"   // cannot be held by ECR, or is broken at the source
	Failed    State = "failed"    // was tried, did not work
	Gone      State = "gone"      // no longer in the old registry
)

// Image is one row of a plan: a tag of the old registry, or a manifest without
// a tag that something refers to.
type Image struct {
	SourceRepository string    `json:"source_repository"`
	SourceTag        string    `json:"source_tag,omitempty"` // empty: known by digest only
	SourceDigest     string    `json:"source_digest,omitempty"`
	Name             string    `json:"name,omitempty"` // image name within the project
	TargetRepository string    `json:"target_repository"`
	TargetTag        string    `json:"target_tag,omitempty"`    // empty: to be pushed by digest
	TargetDigest     string    `json:"target_digest,omitempty"` // as it is, or will be, at the target
	MediaType        string    `json:"media_type,omitempty"`
	Bytes            int64     `json:"bytes,omitempty"` // of all manifests and blobs, each counted once
	State            State     `json:"state"`
	Reason           string    `json:"reason,omitempty"`
	Created          time.Time `json:"created,omitzero"` // known only where the policy had to rank
}

// Source is a repository of the old registry that belongs to the project.
type Source struct {
	Repository string
	Name       string // of the image within the project, see package naming
}

// Pair names one image to copy and its target tag, instead of a whole
// repository and the mapping of package naming. Tag and Digest may both be set:
// the digest then says what is copied, whatever the tag has come to mean.
type Pair struct {
	Repository string
	Tag        string
	Digest     string
	TargetTag  string // empty: by digest only
}

// Request says what to plan.
type Request struct {
	Sources []Source
	// Pairs are copied as they stand, without a list of tags or a policy.
	Pairs  []Pair
	Target string // name of the ECR repository
	// Trust takes a target tag that exists for done, without asking the old
	// registry whether its tag still means the same: no request a tag. Without
	// it one HEAD a tag finds the tags that have moved since.
	Trust bool
	// Known holds what an earlier run has seen in the old registry and brought to
	// the target: "repository:tag" with its digest. As long as the target holds
	// that digest under the tag, the old registry is not asked again.
	Known map[string]string
	// Soon says that the plan will be executed at once: the login to the target is
	// fetched while the source is read, and blobs that are sure to be needed start
	// to move while the plan is still being made. They count as planned. A plan
	// that is then not executed has its blobs at the target for nothing, until ECR
	// cleans them up.
	Soon bool
	// InUse holds what something refers to: "repository:tag" or
	// "repository@digest" with the reason. It is copied whatever the policy.
	InUse map[string]string
	// Reserved holds target tags, with the reason, that must stay free because
	// the next pipeline pushes them.
	Reserved map[string]string
	// Moving answers with the reason why a source tag is one that pipelines push
	// again and again, such as latest, or "". It may be nil.
	Moving func(tag string) (why string)
	Policy Policy // its zero value is the default policy
}

// Options of an Engine. Source, Target and ECR are required.
type Options struct {
	Source *registry.Client // the old registry
	Target *registry.Client // ECR's registry door, for writing
	ECR    *ecr.Client      // ECR's API, for looking
	// Readers is how many small requests run side by side while planning; 0 means 32.
	Readers int
	// Streams is how many blobs move side by side, over all copies of the
	// engine; 0 means 32. Each takes a connection at both ends and about 200 KiB.
	Streams int
	// Moved, if set, is told the size of each blob that has been brought over.
	// What was there, or was mounted from another repository, moves nothing.
	Moved func(bytes int64)
	Log   *slog.Logger
	Now   func() time.Time // for ages; nil means time.Now
}

// Engine plans and executes copies. It is safe for concurrent use.
type Engine struct {
	source  *registry.Client
	target  *registry.Client
	ecr     *ecr.Client
	readers int
	streams int
	slots   chan struct{} // of the streams
	puts    chan struct{} // of manifests on their way
	homes   homes
	noAPI   atomic.Int64 // when the old registry was seen to have no referrers API, Unix time
	api     atomic.Bool  // it was seen to have one
	moved   func(bytes int64)
	log     *slog.Logger
	now     func() time.Time
}

// New makes an engine.
func New(o Options) *Engine {
	e := &Engine{
		source: o.Source, target: o.Target, ecr: o.ECR,
		readers: cmp.Or(o.Readers, 32), streams: cmp.Or(o.Streams, 32),
		moved: o.Moved, log: o.Log, now: o.Now,
	}
	e.slots = make(chan struct{}, e.streams)
	e.puts = make(chan struct{}, 16)
	if e.moved == nil {
		e.moved = func(int64) {}
	}
	if e.log == nil {
		e.log = slog.New(slog.DiscardHandler)
	}
	if e.now == nil {
		e.now = time.Now
	}
	return e
}
