package jobs_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/riverqueue/river/rivertype"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestProgressMovesWhileACopyRuns slows the old registry down and looks at the
// row of the copy meanwhile, as enqueue status does.
func TestProgressMovesWhileACopyRuns(t *testing.T) {
	b := newBench(t, "one-image")
	const path = "kurs/paamelding"
	user, password := b.world.Old.Pipeline(path)
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return b.world.Old.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	for n := range 8 {
		image := oci.Build(oci.Spec{Layers: []oci.Layer{{"n": strings.Repeat(fmt.Sprint(n), 100_000)}}, Created: time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC)})
		if err := remote.Push(t.Context(), b.world.Old.Name, path, fmt.Sprint("v", n), image); err != nil {
			t.Fatal(err)
		}
	}
	var turn = make(chan struct{}, 1)
	b.world.Old.Inject(func(r *http.Request) (int, string, bool) {
		if r.Method == http.MethodGet && strings.Contains(r.URL.Path, "/blobs/") {
			turn <- struct{}{} // one at a time
			time.Sleep(700 * time.Millisecond)
			<-turn
		}
		return 0, "", false
	})
	b.start(nil)
	if _, err := b.enqueuer.All(t.Context(), b.order(), jobs.RunSelection{}); err != nil {
		t.Fatal(err)
	}
	var seen []store.Copying
	var id int64
	b.await("the copy to end", 3*time.Minute, func() (bool, string) {
		if id == 0 {
			running, err := b.store.Copies(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if len(running) == 0 {
				return false, "no row yet"
			}
			id = running[0].MigrationID
		}
		c, err := b.store.Copying(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if len(seen) == 0 || seen[len(seen)-1].BytesDone != c.BytesDone || c.EndedAt != nil {
			seen = append(seen, c)
		}
		return c.EndedAt != nil, fmt.Sprintf("%d of %d bytes", c.BytesDone, c.Bytes)
	})
	if len(seen) < 3 {
		t.Fatalf("the row moved %d times: %+v", len(seen), seen)
	}
	last := seen[len(seen)-1]
	if last.BytesDone != last.Bytes || last.Bytes == 0 || last.ImagesDone != last.Images || last.WritesDone != last.Writes {
		t.Errorf("at the end: %+v", last)
	}
	estimated := false
	for _, c := range seen {
		estimated = estimated || c.EndsAt != nil
	}
	if !estimated {
		t.Errorf("no estimate: %+v", seen)
	}
}

// TestQuotaHoldsNoSlot takes the account's quota of PutImage up for the next hour,
// as other workers do: the copy waits as a sleeping job, and the only slot for
// copies is another project's meanwhile. When there is room it goes on.
func TestQuotaHoldsNoSlot(t *testing.T) {
	t.Parallel()
	b := newBench(t, "archived")
	const waits, goesOn = "kvote/venter", "kvote/videre"
	ids := map[string]int64{
		waits: b.variant("suffix-images", waits, func(s *samples.Sample) {
			s.Images = []samples.Image{{Repository: waits + "-api", Tag: "v1", Kind: "oci"}}
		}),
		goesOn: b.variant("one-image", goesOn, func(s *samples.Sample) { s.Pipeline = new(bool) }),
	}
	quota := float64(b.config.PutImageRate)
	if _, err := b.pool.Exec(t.Context(), `
		INSERT INTO ferry.paces (action, quota, rate, lease_at, next_at)
		VALUES ('PutImage', $1, $1, now(), now() + interval '1 hour')`, quota); err != nil {
		t.Fatal(err)
	}
	b.start(func(o *jobs.Options) { o.CopyWorkers = 1 })
	b.put(waits, ids[waits], func(*jobs.Policy) {})
	r := b.until(waits, "ecr-throttled")
	if r.State != store.StateWaiting || r.Step != store.StepCopy || r.NextLookAt == nil || time.Until(*r.NextLookAt) < 10*time.Second {
		t.Errorf("%s: %s at %s, looks again at %v: %s; want it to wait for more than seconds", waits, r.State, r.Step, r.NextLookAt, r.Why)
	}
	b.put(goesOn, ids[goesOn], func(*jobs.Policy) {})
	b.expect(goesOn, store.StateDone, "", "")
	steps, err := b.store.Steps(t.Context(), r.MigrationID)
	b.must(err)
	last := steps[len(steps)-1]
	if last.Outcome != store.OutcomeWaiting {
		t.Errorf("the try is %s, want it ended as waiting", last.Outcome)
	}
	job, err := b.enqueuer.River.JobGet(t.Context(), last.JobID)
	b.must(err)
	if job.State != rivertype.JobStateScheduled || job.Attempt > 1 {
		t.Errorf("its job is %s, attempt %d; want it asleep, without an attempt used up", job.State, job.Attempt)
	}
	if _, err := b.pool.Exec(t.Context(), `UPDATE ferry.paces SET next_at = now()`); err != nil {
		t.Fatal(err)
	}
	_, err = b.enqueuer.River.JobRetry(t.Context(), last.JobID)
	b.must(err)
	b.expect(waits, store.StateDone, "", "")
	if b.world.ECR.Tags(waits)["api-v1"] == "" {
		t.Errorf("%s: its image is not in ECR: %v", waits, b.world.ECR.Tags(waits))
	}
}
