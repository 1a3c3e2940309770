package jobs_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
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
