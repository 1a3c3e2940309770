package copy_test

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// from makes the engine read through an address of the test's own.
func (w *world) from(o *copy.Options, url string) {
	w.t.Helper()
	user, password := w.old.Worker()
	var err error
	o.Source, err = registry.New(registry.Options{Name: w.old.Name, URL: url, User: user, Password: password, Delay: time.Millisecond,
		Observe: func(method, route string, status int, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.requests[fmt.Sprintf("%s %s %d", method, route, status)]++
		}})
	if err != nil {
		w.t.Fatal(err)
	}
}

// TestThreeThousandTags lists, copies and looks again at a repository of 3000
// tags of ten images: the pages that are needed, one read a tag, one write a tag,
// and nothing at all at the source when a later run knows them.
func TestThreeThousandTags(t *testing.T) {
	t.Parallel()
	const images, page = 10, 1000
	tags := 3 * page
	if raceEnabled {
		tags = page + 100 // the detector makes each take ten times as long
	}
	w := newWorld(t)
	for n := range images {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	tag := func(n int) string { return fmt.Sprintf("t%d", n) }
	url := front(t, func(rw http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/group/app/tags/list") {
			from, _ := strconv.Atoi(r.URL.Query().Get("last"))
			var names []string
			for n := from; n < min(from+page, tags); n++ {
				names = append(names, strconv.Quote(tag(n)))
			}
			if from+page < tags {
				rw.Header().Set("Link", fmt.Sprintf(`<%s?n=%d&last=%d>; rel="next"`, r.URL.Path, page, from+page))
			}
			fmt.Fprintf(rw, `{"name":"group/app","tags":[%s]}`, strings.Join(names, ","))
			return
		}
		if path, n, ok := strings.Cut(r.URL.Path, "/manifests/t"); ok {
			k, _ := strconv.Atoi(n)
			r.URL.Path = path + "/manifests/" + tag(k%images)
		}
		w.old.ServeHTTP(rw, r)
	})
	o := w.options()
	w.from(&o, url)
	r := request()
	r.Sources = r.Sources[:1]
	e := copy.New(o)
	plan := w.plan(e, r)
	before := w.ecr.Requests()
	if f := plan.Forecast; f.Manifests != tags || f.Blobs != 1+2*images || f.Count[copy.Planned] != tags {
		t.Errorf("forecast: %+v", f)
	}
	rows, err := w.execute(e, plan)
	if err != nil {
		t.Fatal(err)
	}
	r.Known = make(map[string]string)
	for n := range tags {
		row := rows["group/app:"+tag(n)]
		if row.State != copy.Copied || row.TargetDigest != number(n%images).Digest() {
			t.Fatalf("%s: %s as %s (%s)", tag(n), row.State, row.TargetDigest, row.Reason)
		}
		r.Known["group/app:"+tag(n)] = row.SourceDigest
	}
	if n := w.ecr.Requests()["PutImage"] - before["PutImage"]; n != tags {
		t.Errorf("%d manifests written, want one a tag", n)
	}
	held := w.ecr.Tags(target)
	if len(held) != tags || held[tag(tags-1)] != number(9).Digest() {
		t.Errorf("%d tags at the target", len(held))
	}
	if lists, reads := w.read("GET tags/list 200"), w.read("GET manifests 200"); lists != (tags+page-1)/page || reads != tags {
		t.Errorf("%d pages and %d manifests read, want %d and %d", lists, reads, (tags+page-1)/page, tags)
	}

	o = w.options()
	w.from(&o, url)
	writes := fmt.Sprint(w.ecr.Writes())
	for k, row := range w.run(copy.New(o), r) {
		if row.State != copy.Present {
			t.Errorf("again: %s is %s (%s)", k, row.State, row.Reason)
		}
	}
	if got := fmt.Sprint(w.ecr.Writes()); got != writes {
		t.Errorf("the second run wrote: %s, before %s", got, writes)
	}
	if n := w.read("GET manifests 200") + w.read("HEAD manifests 200") + w.read("GET blobs 200"); n > 0 {
		t.Errorf("the second run asked the source about %d images: %v", n, w.requests)
	}
}

// TestTargetRestarts ends ECR's stand-in in the middle of a copy and starts it
// again at the same address: what it had taken in is not sent again.
func TestTargetRestarts(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	dir := t.TempDir()
	start := func(addr string) *standin.Server {
		s, err := standin.Start(standin.Options{Dir: dir, Addr: addr, Rates: unlimited()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		return s
	}
	w.ecr = start("")
	if _, err := w.ecr.CreateRepository(target); err != nil {
		t.Fatal(err)
	}
	const images = 20
	for n := range images {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	// The tenth blob meets a registry that is going down, and does not get in.
	ending, restarted := make(chan struct{}), make(chan struct{})
	var mu sync.Mutex
	puts := 0
	first := w.ecr
	first.Inject(func(r *http.Request) (int, string, bool) {
		if r.Method != http.MethodPut || !strings.Contains(r.URL.Path, "/blobs/uploads/") {
			return 0, "", false
		}
		mu.Lock()
		defer mu.Unlock()
		if puts++; puts == 10 {
			close(ending)
		}
		return http.StatusServiceUnavailable, "", puts >= 10
	})
	o := w.options()
	o.Streams = 2
	e := copy.New(o)
	plan := w.plan(e, request())
	var again *standin.Server
	go func() {
		defer close(restarted)
		<-ending
		_ = first.Close()
		again = start(strings.TrimPrefix(first.URL, "http://"))
	}()
	_, err := w.execute(e, plan)
	if err != nil && fault.ClassOf(err) != fault.Transient {
		t.Fatalf("%v (%s)", err, fault.ClassOf(err))
	}
	<-restarted
	t.Logf("the copy that was interrupted: %v", err)
	w.ecr = again
	w.puller = oci.Remote{
		Locate:      func(string) (string, bool) { return again.URL, true },
		Credentials: func(string) (string, string, bool) { u, p := again.KubeletToken(); return u, p, true },
	}
	if _, err := w.execute(e, w.plan(e, request())); err != nil {
		t.Fatal(err)
	}
	for n := range images {
		w.same(fmt.Sprint("t", n), number(n))
	}
	if n := w.wrote("PUT blobs/uploads/put 201"); n != plan.Forecast.Blobs {
		t.Errorf("%d blobs taken in, want each of %d once", n, plan.Forecast.Blobs)
	}
}

// TestWhatOneRepositoryLostAnotherHas: an index of two repositories, of which
// one has lost a child. The project still has all of it.
func TestWhatOneRepositoryLostAnotherHas(t *testing.T) {
	t.Parallel()
	for _, broken := range []string{"group/app", "group/app-api"} {
		for _, readers := range []int{1, 32} {
			t.Run(fmt.Sprint(broken, " ", readers), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t)
				child := number(1)
				index := oci.Index(child, number(2))
				w.push("group/app", "1", index)
				w.push("group/app-api", "1", index)
				w.answer("GET", "/v2/"+broken+"/manifests/"+child.Digest(), 404, `{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}`)
				o := w.options()
				o.Readers = readers
				want(t, w.run(copy.New(o), request()), map[string]string{"group/app:1": "copied", "group/app-api:1": "copied"})
				w.same("1", index)
				w.same("api-1", index)
			})
		}
	}
}
