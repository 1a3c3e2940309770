package copy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
)

// TestBlobsAreSentAhead: a plan that is executed at once has blobs on their way
// before its last manifest is read, and costs one question more at most.
func TestBlobsAreSentAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const images = 120
	for n := range images {
		w.push("group/app", fmt.Sprint("v", n), number(n))
	}
	// The last manifest is held back until a blob has arrived.
	moved := make(chan struct{})
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		if strings.HasSuffix(r.URL.Path, "/manifests/v77") {
			select {
			case <-moved:
			case <-time.After(time.Minute):
				return http.StatusBadRequest, "no blob has moved", true
			}
		}
		return 0, "", false
	})
	o := w.options()
	once := make(chan struct{}, 1)
	once <- struct{}{}
	o.Moved = func(int64) {
		select {
		case <-once:
			close(moved)
		default:
		}
	}
	e := copy.New(o)
	r := request()
	r.Sources, r.Soon = r.Sources[:1], true
	before := w.ecr.Requests()
	plan := w.plan(e, r)
	const blobs = 1 + 2*images
	want := copy.Requests{GetAuthorizationToken: 1, BlobReads: blobs, InitiateLayerUpload: blobs, CompleteLayerUpload: blobs, PutImage: images, DescribeImages: 1}
	if plan.Forecast.Blobs != blobs || plan.Forecast.Requests != want {
		t.Errorf("what was sent ahead is not in the forecast: %+v", plan.Forecast)
	}
	rows, err := w.execute(e, plan)
	if err != nil || len(rows) != images {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	after := w.ecr.Requests()
	for operation, want := range map[string][2]int{
		"InitiateLayerUpload": {blobs, blobs}, "CompleteLayerUpload": {blobs, blobs}, "PutImage": {images, images}, "DescribeImages": {2, 2},
		"BatchCheckLayerAvailability": {(blobs + 99) / 100, (blobs+99)/100 + 1},
	} {
		if got := after[operation] - before[operation]; got < want[0] || got > want[1] {
			t.Errorf("%d × %s, want %v", got, operation, want)
		}
	}
	if got := w.read("GET blobs 200"); got != blobs {
		t.Errorf("%d blobs read, want %d", got, blobs)
	}
	for n := range images {
		if row := rows[fmt.Sprint("group/app:v", n)]; row.State != copy.Copied {
			t.Errorf("v%d is %s (%s)", n, row.State, row.Reason)
		}
	}
}

// TestSentAheadInVain: where a plan does not come about, nothing of it goes on.
func TestSentAheadInVain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 60 {
		w.push("group/app", fmt.Sprint("v", n), number(n))
	}
	moved := make(chan int64, 1000)
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		if strings.HasSuffix(r.URL.Path, "/manifests/v42") {
			<-moved
			return http.StatusForbidden, `{"errors":[{"code":"DENIED","message":"no"}]}`, true
		}
		return 0, "", false
	})
	o := w.options()
	o.Moved = func(n int64) { moved <- n }
	r := request()
	r.Sources, r.Soon = r.Sources[:1], true
	if _, err := copy.New(o).Plan(t.Context(), r); err == nil || !strings.Contains(err.Error(), "DENIED") {
		t.Fatalf("planned all the same: %v", err)
	}
	// The next run finds what has arrived.
	w.old.Inject(nil)
	arrived := w.ecr.Writes()["layers"] // and what was in flight may still arrive
	r.Soon = false
	e := w.engine()
	plan := w.plan(e, r)
	if got := 1 + 2*60 - plan.Forecast.Blobs; got < arrived || got > w.ecr.Writes()["layers"] || arrived == 0 {
		t.Errorf("%d blobs are found, %d had arrived", got, arrived)
	}
	// A plan can be stored, and is executed as it was read back.
	raw, err := json.Marshal(plan)
	if err != nil {
		t.Fatal(err)
	}
	var stored copy.Plan
	if err := json.Unmarshal(raw, &stored); err != nil {
		t.Fatal(err)
	}
	if _, err := w.execute(e, stored); err != nil || len(w.tags()) != 60 {
		t.Errorf("%d tags, %v", len(w.tags()), err)
	}
	if n := w.ecr.Writes()["layers"]; n < 1+2*60 || n > 1+2*60+32 {
		t.Errorf("%d blobs written, want each once but for those in flight", n)
	}
}

// TestNothingInvalidIsSentAhead: an image whose name ECR cannot hold is read, but
// none of its blobs moves.
func TestNothingInvalidIsSentAhead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 40 {
		w.push("group/app-api", fmt.Sprintf("%s%d", strings.Repeat("v", 125), n+10), number(n))
	}
	r := request()
	r.Soon = true
	e := w.engine()
	plan := w.plan(e, r)
	if got := plan.Forecast.Count[copy.Invalid]; got != 40 {
		t.Fatalf("%d of 40 are invalid: %v", got, plan.Forecast.Count)
	}
	if _, err := w.execute(e, plan); err != nil {
		t.Fatal(err)
	}
	if n := w.ecr.Writes()["layers"]; n > 0 {
		t.Errorf("%d blobs written", n)
	}
}
