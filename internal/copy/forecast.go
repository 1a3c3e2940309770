package copy

import (
	"context"

	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// Forecast is what planning has cost and what executing the plan will, if nothing
// has to be repeated and the world stands still meanwhile. What no forecast can
// know is the renewal of tokens that end while a long copy runs.
type Forecast struct {
	Bytes     int64 `json:"bytes"`     // of blobs to move
	Blobs     int   `json:"blobs"`     // to move: one read, one POST, one PUT each
	Manifests int   `json:"manifests"` // writes of manifests and tags, which PutImage's quota counts
	// Blobs that another repository of the account has are taken over: that is
	// one POST each, and no byte is moved.
	Mounts     int      `json:"mounts"`
	MountBytes int64    `json:"mount_bytes"`
	Planning   Requests `json:"planning"` // that have been made to plan
	Requests   Requests `json:"requests"` // that executing makes, with what is sent ahead of a plan made Soon
	// Seconds is how long the manifests alone take at PutImage's published quota.
	Seconds float64       `json:"put_image_seconds"`
	Count   map[State]int `json:"count"` // rows by state
}

// Requests are counted by kind: those to the source by what is asked for, those to
// the target by the action of ECR as which they count, through whichever door.
type Requests struct {
	SourceTokens                int `json:"source_tokens"`
	SourceTags                  int `json:"source_tags"`      // pages of tags
	SourceManifests             int `json:"source_manifests"` // reads
	SourceHeads                 int `json:"source_heads"`     // of manifests, and of layers that may be elsewhere
	SourceReferrers             int `json:"source_referrers"`
	BlobReads                   int `json:"blob_reads"` // at the source
	GetAuthorizationToken       int `json:"get_authorization_token"`
	GetAccountSetting           int `json:"get_account_setting"` // whether blobs may be mounted
	DescribeImages              int `json:"describe_images"`     // to look, or to verify: a thousand images a page
	BatchCheckLayerAvailability int `json:"batch_check_layer_availability"`
	InitiateLayerUpload         int `json:"initiate_layer_upload"`
	CompleteLayerUpload         int `json:"complete_layer_upload"`
	PutImage                    int `json:"put_image"`
}

// Source is how many go to the old registry.
func (r Requests) Source() int {
	return r.SourceTokens + r.SourceTags + r.SourceManifests + r.SourceHeads + r.SourceReferrers + r.BlobReads
}

// Target is how many go to ECR, through both doors.
func (r Requests) Target() int {
	return r.GetAuthorizationToken + r.GetAccountSetting + r.DescribeImages + r.BatchCheckLayerAvailability +
		r.InitiateLayerUpload + r.CompleteLayerUpload + r.PutImage
}

// requestsOf reads what the clients have counted while planning, which asks the
// source at its door and ECR through its API.
func requestsOf(t *pace.Tally) Requests {
	return Requests{
		SourceTokens: t.Count("GET token"), SourceTags: t.Count("GET tags/list"), SourceManifests: t.Count("GET manifests"),
		SourceHeads: t.Count("HEAD manifests") + t.Count("HEAD blobs"), SourceReferrers: t.Count("GET referrers"), BlobReads: t.Count("GET blobs"),
		GetAuthorizationToken: t.Count("GetAuthorizationToken"), GetAccountSetting: t.Count("GetAccountSetting"),
		DescribeImages: t.Count("DescribeImages"), BatchCheckLayerAvailability: t.Count("BatchCheckLayerAvailability"),
	}
}

// forecast counts what the plan costs.
func (p *planner) forecast(ctx context.Context, plan *Plan) {
	f := Forecast{Count: make(map[State]int)}
	for _, i := range plan.Images {
		f.Count[i.State]++
	}
	for _, b := range plan.Blobs {
		switch {
		case b.There:
		case p.engine.home(ctx, b.Digest, plan.Target) != "":
			f.MountBytes += b.Size
			f.Mounts++
		default:
			f.Bytes += b.Size
			f.Blobs++
		}
	}
	held := len(p.held)
	for _, m := range plan.Manifests {
		f.Manifests += m.writes()
		if !m.There {
			held++
		}
	}
	f.Requests = Requests{BlobReads: f.Blobs, InitiateLayerUpload: f.Blobs + f.Mounts, CompleteLayerUpload: f.Blobs, PutImage: f.Manifests}
	if f.Manifests > 0 {
		f.Requests.DescribeImages = (held + 999) / 1000
	}
	if !p.loggedIn && (f.Manifests > 0 || p.login) {
		f.Requests.GetAuthorizationToken = 1
	}
	f.Seconds = float64(f.Manifests) / pace.PutImageQuota
	f.Planning = requestsOf(p.tally)
	plan.Forecast = f
}
