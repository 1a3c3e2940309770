package copy_test

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// cut lets an answer through up to a number of bytes, and then hangs up.
type cut struct {
	http.ResponseWriter
	left int64
	sent *atomic.Int64
}

func (c *cut) Write(p []byte) (int, error) {
	n := min(int64(len(p)), c.left)
	written, err := c.ResponseWriter.Write(p[:n])
	c.sent.Add(int64(written))
	if c.left -= int64(written); c.left == 0 {
		_ = http.NewResponseController(c.ResponseWriter).Flush()
		panic(http.ErrAbortHandler)
	}
	return written, err
}

// TestACutBlobIsTakenUpWhereItWasCut hangs up at nine tenths of a layer: the
// rest is read by Range, and the target sees one upload.
func TestACutBlobIsTakenUpWhereItWasCut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const size = 24 << 20
	layer := make([]byte, size)
	for i := range layer {
		layer[i] = byte(i * i >> 7)
	}
	image := w.push("group/app", "1", artifact([]byte(`{"big":1}`), map[string][]byte{"application/vnd.oci.image.layer.v1.tar": layer}, "application/vnd.oci.image.layer.v1.tar"))
	var sent atomic.Int64
	var mu sync.Mutex
	var ranges []string
	front := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/blobs/"+oci.Digest(layer)) {
			w.old.ServeHTTP(rw, r)
			return
		}
		mu.Lock()
		ranges = append(ranges, r.Header.Get("Range"))
		first := len(ranges) == 1
		mu.Unlock()
		limit := int64(1 << 40)
		if first {
			limit = size / 10 * 9
		}
		w.old.ServeHTTP(&cut{ResponseWriter: rw, left: limit, sent: &sent}, r)
	}))
	t.Cleanup(front.Close)
	o := w.options()
	user, password := w.old.Worker()
	var err error
	if o.Source, err = registry.New(registry.Options{Name: w.old.Name, URL: front.URL, User: user, Password: password}); err != nil {
		t.Fatal(err)
	}
	before := w.ecr.Requests()
	want(t, w.run(copy.New(o), request()), map[string]string{"group/app:1": "copied"})
	w.same("1", image)
	if len(ranges) != 2 || ranges[0] != "" || !strings.HasPrefix(ranges[1], "bytes=") {
		t.Fatalf("reads of the layer: %q", ranges)
	}
	from, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimPrefix(ranges[1], "bytes="), "-"), 10, 64)
	if err != nil || from < size/10*9-(1<<20) {
		t.Errorf("taken up at %s of %d", ranges[1], size)
	}
	if n := sent.Load(); n > size+(1<<20) {
		t.Errorf("%d bytes left the old registry for a layer of %d", n, size)
	}
	after := w.ecr.Requests()
	if n := after["InitiateLayerUpload"] - before["InitiateLayerUpload"]; n != len(image.Blobs) {
		t.Errorf("%d uploads for %d blobs", n, len(image.Blobs))
	}
}

// void is a source and a target in one, of layers that nobody stores: nothing
// but zeros, of any size.
type void struct {
	sizes    map[string]int64 // by digest
	manifest []byte
	together *sync.WaitGroup // until all layers are on their way
	written  atomic.Bool
}

func (v *void) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	digest := path.Base(r.URL.Path)
	switch {
	case r.URL.Path == "/":
		v.api(w, r)
	case strings.Contains(r.URL.Path, "/manifests/") && r.Method == http.MethodPut:
		_, _ = io.Copy(io.Discard, r.Body)
		v.written.Store(true)
		w.WriteHeader(http.StatusCreated)
	case strings.Contains(r.URL.Path, "/manifests/"):
		w.Header().Set("Content-Type", oci.OCIManifest)
		_, _ = w.Write(v.manifest)
	case r.Method == http.MethodPost:
		w.Header().Set("Location", "/v2/up/blobs/uploads/1")
		w.WriteHeader(http.StatusAccepted)
	case r.Method == http.MethodPut:
		_, _ = io.Copy(io.Discard, r.Body)
		w.WriteHeader(http.StatusCreated)
	case strings.Contains(r.URL.Path, "/blobs/") && v.sizes[digest] > 0:
		size := v.sizes[digest]
		w.Header().Set("Content-Length", fmt.Sprint(size))
		zeros := make([]byte, 256<<10)
		_, _ = w.Write(zeros) // less than every layer
		_ = http.NewResponseController(w).Flush()
		v.together.Done()
		v.together.Wait()
		for size -= int64(len(zeros)); size > 0; size -= int64(len(zeros)) {
			if _, err := w.Write(zeros[:min(size, int64(len(zeros)))]); err != nil {
				return
			}
		}
	default:
		w.WriteHeader(http.StatusNotFound)
	}
}

func (v *void) api(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	switch _, operation, _ := strings.Cut(r.Header.Get("X-Amz-Target"), "."); operation {
	case "GetAuthorizationToken":
		fmt.Fprintf(w, `{"authorizationData":[{"authorizationToken":"QVdTOng=","expiresAt":4102444800,"proxyEndpoint":"http://%s"}]}`, r.Host)
	case "BatchCheckLayerAvailability":
		fmt.Fprint(w, `{"layers":[]}`)
	case "DescribeImages":
		if v.written.Load() {
			fmt.Fprintf(w, `{"imageDetails":[{"imageDigest":%q,"imageTags":["1"]}]}`, oci.Digest(v.manifest))
		} else {
			fmt.Fprint(w, `{"imageDetails":[]}`)
		}
	default:
		w.WriteHeader(http.StatusBadRequest)
	}
}

const (
	streams    = 32
	layerBytes = 8 << 20
	giant      = 1 << 30 // one of them
)

// TestMemory copies 32 layers at once, one of a gibibyte, in a process of its
// own, and looks at what that process takes beyond what it took when it was idle.
func TestMemory(t *testing.T) {
	if at := os.Getenv("COPY_TEST_AT"); at != "" {
		copyInChild(t, at)
		return
	}
	t.Parallel()
	v := &void{sizes: map[string]int64{}, together: &sync.WaitGroup{}}
	h := sha256.New()
	zeros := make([]byte, 1<<20)
	for range layerBytes >> 20 {
		h.Write(zeros)
	}
	var layers []string
	add := func(size int64) {
		digest := fmt.Sprintf("sha256:%x", h.Sum(nil))
		v.sizes[digest] = size
		v.together.Add(1)
		layers = append(layers, fmt.Sprintf(`{"mediaType":"application/vnd.oci.image.layer.v1.tar","digest":%q,"size":%d}`, digest, size))
	}
	for i := range streams - 1 {
		h.Write(zeros[:1])
		add(layerBytes + int64(i) + 1)
	}
	done := int64(layerBytes + streams - 1)
	for ; done < giant; done += int64(len(zeros)) {
		h.Write(zeros[:min(int64(len(zeros)), giant-done)])
	}
	add(giant)
	v.manifest = fmt.Appendf(nil, `{"schemaVersion":2,"mediaType":%q,"layers":[%s]}`, oci.OCIManifest, strings.Join(layers, ","))
	server := httptest.NewServer(v)
	t.Cleanup(server.Close)

	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", "^TestMemory$", "-test.v")
	cmd.Env = append(os.Environ(), "COPY_TEST_AT="+server.URL)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var used struct{ Idle, Peak int64 } // KiB
	for line := range strings.Lines(string(out)) {
		if rest, ok := strings.CutPrefix(line, "MEMORY "); ok {
			if err := json.Unmarshal([]byte(rest), &used); err != nil {
				t.Fatal(err)
			}
		}
	}
	if used.Idle == 0 || used.Peak < used.Idle {
		t.Fatalf("no figures: %s", out)
	}
	limit := int64(64 << 10)
	if raceEnabled {
		limit *= 4 // the detector's own records
	}
	t.Logf("idle %d KiB, at most %d KiB more", used.Idle, used.Peak-used.Idle)
	if more := used.Peak - used.Idle; more > limit {
		t.Errorf("%d KiB on top of %d, allowed are %d", more, used.Idle, limit)
	}
}

func copyInChild(t *testing.T, at string) {
	api, err := ecr.New(t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: at, Credentials: credentials.NewStaticCredentialsProvider("a", "b", "")})
	if err != nil {
		t.Fatal(err)
	}
	source, err := registry.New(registry.Options{Name: "old.example.org", URL: at})
	if err != nil {
		t.Fatal(err)
	}
	door, err := registry.New(registry.Options{Name: "new.example.org", URL: at, ECR: true, Credentials: api.Credentials})
	if err != nil {
		t.Fatal(err)
	}
	e := copy.New(copy.Options{Source: source, Target: door, ECR: api, Streams: streams})
	plan, err := e.Plan(t.Context(), copy.Request{Target: target, Pairs: []copy.Pair{{Repository: "a", Tag: "1", TargetTag: "1"}}})
	if err != nil || plan.Forecast.Blobs != streams {
		t.Fatal(err, plan.Forecast)
	}
	idle := memory(t, "VmRSS:")
	copied := 0
	if err := e.Execute(t.Context(), plan, func(i copy.Image) {
		if i.State == copy.Copied {
			copied++
		}
	}); err != nil || copied != 1 {
		t.Fatal(err, copied)
	}
	fmt.Printf("MEMORY {\"idle\":%d,\"peak\":%d}\n", idle, memory(t, "VmHWM:"))
}

// memory reads a line of this process' status, in KiB.
func memory(t *testing.T, key string) int64 {
	t.Helper()
	f, err := os.Open("/proc/self/status")
	if err != nil {
		t.Skip("no /proc here")
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if rest, ok := strings.CutPrefix(s.Text(), key); ok {
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no %s", key)
	return 0
}
