package copy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/service/ecr"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// sum adds up the requests to one registry.
func (w *world) sum(counts map[string]int) (n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range counts {
		n += c
	}
	return n
}

// TestEveryRequestIsNeeded counts at the stand-ins what a copy costs, to the
// last request.
func TestEveryRequestIsNeeded(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const plain = 110
	for n := range plain {
		w.push("group/app", fmt.Sprint("v", n), number(n))
	}
	w.push("group/app", "alias", number(3))
	amd, arm := number(201), oci.Build(oci.Spec{Platform: "linux/arm64", Layers: []oci.Layer{{"base": "the same for all"}, {"n": "arm"}}})
	w.push("group/app", "multi", oci.Index(amd, arm))
	r := request()
	r.Sources = r.Sources[:1]

	e := w.engine()
	before := w.ecr.Requests()
	plan := w.plan(e, r)
	// 20 tags a page; two more are a refusal and a token. One question about
	// referrers finds that there is no such API.
	tags, children := plain+2, 2
	pages := (tags + 19) / 20
	if got, want := w.sum(w.requests), 2+pages+tags+children+1; got != want {
		t.Errorf("planning made %d requests to the old registry, want %d: %v", got, want, w.requests)
	}
	rows, err := w.execute(e, plan)
	if err != nil || len(rows) != tags {
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	// A base layer, and two blobs an image of its own.
	blobs := 1 + 2*(plain+2)
	f := plan.Forecast
	planned := copy.Requests{GetAuthorizationToken: 1, BlobReads: blobs, InitiateLayerUpload: blobs, CompleteLayerUpload: blobs, PutImage: tags + children, DescribeImages: 1}
	if f.Requests != planned {
		t.Errorf("forecast %+v, want %+v", f.Requests, planned)
	}
	if got, want := w.sum(w.requests), 2+pages+tags+children+1+blobs; got != want {
		t.Errorf("%d requests to the old registry, want %d: %v", got, want, w.requests)
	}
	after := w.ecr.Requests()
	for operation, want := range map[string]int{
		"GetAuthorizationToken": 1, "DescribeImages": 1 + f.Requests.DescribeImages, "BatchCheckLayerAvailability": (blobs + 99) / 100,
		"InitiateLayerUpload": blobs, "CompleteLayerUpload": blobs, "PutImage": tags + children,
		"UploadLayerPart": 0, "BatchGetImage": 0, "GetDownloadUrlForLayer": 0, "ListImages": 0,
	} {
		if got := after[operation] - before[operation]; got != want {
			t.Errorf("%d × %s, want %d", got, operation, want)
		}
	}
	if got, want := w.sum(w.written), 2*blobs+tags+children; got != want {
		t.Errorf("%d requests to the door, want %d: %v", got, want, w.written)
	}

	// With nothing to do, trusting the target: the list of tags, and one look.
	e, before, r.Trust = w.engine(), w.ecr.Requests(), true
	plan = w.plan(e, r)
	if got := plan.Forecast.Count[copy.Present]; got != tags || plan.Forecast.Requests != (copy.Requests{}) {
		t.Errorf("%d of %d present, %+v", got, tags, plan.Forecast.Requests)
	}
	if got, want := w.sum(w.requests), 2+pages; got != want {
		t.Errorf("%d requests to the old registry with nothing to do, want %d: %v", got, want, w.requests)
	}
	if n := w.ecr.Requests()["DescribeImages"] - before["DescribeImages"]; n != 1 {
		t.Errorf("%d looks, want 1", n)
	}
	// Not trusting it: one HEAD a tag, and a tag that has moved is seen.
	w.push("group/app", "v1", number(300))
	e, r.Trust = w.engine(), false
	plan = w.plan(e, r)
	want(t, byKey(plan.Images), map[string]string{"group/app:v1": "conflict: " + number(300).Digest(), "group/app:v2": "present"})
	if got := w.read("HEAD manifests 200"); got != tags || w.read("GET manifests 200") != 0 {
		t.Errorf("%d HEADs, want %d: %v", got, tags, w.requests)
	}
}

// TestWhatIsKnownIsNotAskedAgain: what an earlier run has brought costs nothing
// but the look at the target, as long as the target still holds it.
func TestWhatIsKnownIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	const tags = 10
	for n := range tags {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	r := request()
	r.Sources = r.Sources[:1]
	r.Known = map[string]string{}
	for k, i := range w.run(w.engine(), r) {
		r.Known[k] = i.SourceDigest
	}
	w.push("group/app", "t0", number(100)) // moves; whoever wants to know that asks without a memory
	w.push("group/app", "new", number(101))
	r.Known["group/app:t1"] = number(50).Digest() // is not what the target holds
	plan := w.plan(w.engine(), r)
	rows := byKey(plan.Images)
	want(t, rows, map[string]string{"group/app:t0": "present", "group/app:t1": "present", "group/app:t2": "present", "group/app:new": "planned"})
	for k, i := range rows {
		if i.State == copy.Present && (i.SourceDigest != i.TargetDigest || i.SourceDigest == "") {
			t.Errorf("%s: %s at the source, %s at the target", k, i.SourceDigest, i.TargetDigest)
		}
	}
	if heads, gets := w.read("HEAD manifests 200"), w.read("GET manifests 200"); heads != 1 || gets != 1 {
		t.Errorf("%d HEADs and %d reads, want one each: %v", heads, gets, w.requests)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.push("group/app", "1", number(1))
	w.push("group/app-api", "2", number(2))
	w.push("group/app", "3", number(3))
	sigTag, signature := oci.Signature(number(1))
	w.push("group/app", sigTag, signature)
	r := copy.Request{Target: target, Pairs: []copy.Pair{
		{Repository: "group/app", Tag: "1", TargetTag: "one"},
		{Repository: "group/app", Tag: "1", TargetTag: "uno"},
		{Repository: "group/app", Tag: sigTag, TargetTag: sigTag},
		{Repository: "group/app", Tag: "1", TargetTag: "both"},
		{Repository: "group/app-api", Tag: "2", TargetTag: "both"},
		{Repository: "group/app", Tag: "3", Digest: oci.Digest(nil), TargetTag: "wrong"},
		{Repository: "group/app", Digest: number(3).Digest()},
		{Repository: "group/app", Tag: "none", TargetTag: "none"},
	}}
	rows := w.plan(w.engine(), r).Images
	for i, state := range []copy.State{"planned", "planned", "planned", "collision", "collision", "gone", "planned", "gone"} {
		if rows[i].State != state {
			t.Errorf("pair %d: %s (%s), want %s", i, rows[i].State, rows[i].Reason, state)
		}
	}
	w.run(w.engine(), r)
	w.same("one", number(1))
	w.same("uno", number(1))
	w.same(sigTag, signature)
	w.same(number(3).Digest(), number(3))
	if len(w.tags()) != 3 {
		t.Errorf("tags at the target: %v", w.tags())
	}
}

// artifact is an OCI manifest of any form with true digests.
func artifact(config []byte, layers map[string][]byte, order ...string) oci.Image {
	describe := func(mediaType string, b []byte) string {
		return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d}`, mediaType, oci.Digest(b), len(b))
	}
	image := oci.Image{MediaType: oci.OCIManifest, Blobs: map[string][]byte{oci.Digest(config): config}}
	var list []string
	for _, mediaType := range order {
		list = append(list, describe(mediaType, layers[mediaType]))
		image.Blobs[oci.Digest(layers[mediaType])] = layers[mediaType]
	}
	image.Manifest = fmt.Appendf(nil, "{\n  \"schemaVersion\": 2,\n  \"mediaType\": %q,\n  \"config\": %s,\n  \"layers\": [%s]\n}\n",
		oci.OCIManifest, describe("application/vnd.oci.image.config.v1+json", config), strings.Join(list, ","))
	return image
}

func TestUnusualImages(t *testing.T) {
	t.Parallel()
	const zstd, tar = "application/vnd.oci.image.layer.v1.tar+zstd", "application/vnd.oci.image.layer.v1.tar"
	layers := map[string][]byte{zstd: []byte("\x28\xb5\x2f\xfd not really"), tar: {}}
	many := make([]string, 500)
	for i := range many {
		many[i] = tar + fmt.Sprint("+", i)
		layers[many[i]] = fmt.Append(nil, "layer ", i)
	}
	images := map[string]oci.Image{
		"zstd":              artifact([]byte(`{"a":1}`), layers, zstd),
		"no-layers":         artifact([]byte(`{"a":2}`), layers),
		"empty-layer":       artifact([]byte(`{"a":3}`), layers, tar, zstd),
		"layer-twice":       artifact([]byte(`{"a":4}`), layers, zstd, zstd),
		"as-many-as-may-be": artifact([]byte(`{"a":5}`), layers, many...),
	}
	w := newWorld(t)
	for tag, image := range images {
		w.push("group/app", tag, image)
	}
	rows := w.run(w.engine(), request())
	for tag, image := range images {
		if r := rows["group/app:"+tag]; r.State != copy.Copied {
			t.Errorf("%s: %s (%s)", tag, r.State, r.Reason)
		}
		w.same(tag, image) // with its spaces
	}
}

func TestTargetIsFull(t *testing.T) {
	t.Parallel()
	for _, status := range []int{500, 507} {
		t.Run(fmt.Sprint(status), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			image := w.push("group/app", "1", number(1))
			e := w.engine()
			plan := w.plan(e, request())
			w.ecr.Inject(func(r *http.Request) (int, string, bool) {
				full := r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/blobs/uploads/")
				return status, `{"errors":[{"code":"UNKNOWN","message":"no space left on device"}]}`, full
			})
			_, err := w.execute(e, plan)
			if fault.ClassOf(err) != fault.Transient || !strings.Contains(err.Error(), "no space left on device") {
				t.Errorf("%v (%s)", err, fault.ReasonOf(err))
			}
			if len(w.tags()) != 0 {
				t.Errorf("tags at the target: %v", w.tags())
			}
			w.ecr.Inject(nil)
			want(t, w.run(w.engine(), request()), map[string]string{"group/app:1": "copied"})
			w.same("1", image)
		})
	}
}

func TestQuotaOfLayers(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, map[string]standin.Rate{"PutImage": {PerSecond: 1e6, Burst: 1e6}, "InitiateLayerUpload": {PerSecond: 40, Burst: 5}, "CompleteLayerUpload": {PerSecond: 40, Burst: 5}})
	for n := range 40 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	o := w.options(func(o *pace.Options) {
		o.Quotas = map[string]float64{"InitiateLayerUpload": 40, "CompleteLayerUpload": 40}
	})
	for k, r := range w.run(copy.New(o), request()) {
		if r.State != copy.Copied {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	}
	if w.wrote("POST blobs/uploads 429")+w.wrote("PUT blobs/uploads/put 429") == 0 {
		t.Error("the quota was never met: this test shows nothing")
	}
}

// Manifests that wait for their turn are not given up, however many they are.
func TestWaitingIsNoRefusal(t *testing.T) {
	t.Parallel()
	w := newWorldWith(t, map[string]standin.Rate{"PutImage": {PerSecond: 20, Burst: 1}})
	for n := range 40 {
		w.push("group/app", fmt.Sprint("t", n), oci.Build(oci.Spec{Annotations: map[string]string{"n": fmt.Sprint(n)}}))
	}
	o := w.options(func(o *pace.Options) {
		o.Quotas["PutImage"], o.Patience = 19, 1500*time.Millisecond // all of them take longer
	})
	rows := w.run(copy.New(o), request())
	for k, r := range rows {
		if r.State != copy.Copied {
			t.Errorf("%s: %s (%s)", k, r.State, r.Reason)
		}
	}
}

func TestProgress(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for n := range 20 {
		w.push("group/app", fmt.Sprint("t", n), number(n))
	}
	e := w.engine()
	plan := w.plan(e, request())
	var last copy.Progress
	calls := 0
	if err := e.Watch(t.Context(), plan, nil, func(p copy.Progress) { calls++; last = p }); err != nil {
		t.Fatal(err)
	}
	f := plan.Forecast
	if calls < 2 || last.Bytes != f.Bytes || last.BytesDone != f.Bytes || last.BlobsDone != f.Blobs || last.Written != f.Manifests || last.ImagesDone != 20 || last.Left != 0 {
		raw, _ := json.Marshal(last)
		t.Errorf("after %d calls: %s, forecast %+v", calls, raw, f)
	}
}

func TestBlobsAreTakenOver(t *testing.T) {
	t.Parallel()
	for _, value := range []string{"ENABLED", "DISABLED"} {
		t.Run(value, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if _, err := w.ecr.CreateRepository("group/other"); err != nil {
				t.Fatal(err)
			}
			w.set("BLOB_MOUNTING", value)
			image := w.push("group/app", "1", number(1))
			e := w.engine()
			w.run(e, request())
			read, before := w.read("GET blobs 200"), w.ecr.Requests()
			r := request()
			r.Target = "group/other"
			want(t, w.run(e, r), map[string]string{"group/app:1": "copied"})
			sent := w.read("GET blobs 200") - read
			if value == "ENABLED" && sent != 0 || value == "DISABLED" && sent != len(image.Blobs) {
				t.Errorf("%d blobs sent again", sent)
			}
			after := w.ecr.Requests()
			if n := after["GetAccountSetting"] - before["GetAccountSetting"]; n != 1 {
				t.Errorf("asked %d times", n)
			}
			if n := after["InitiateLayerUpload"] - before["InitiateLayerUpload"]; n != len(image.Blobs) {
				t.Errorf("%d uploads begun, want %d", n, len(image.Blobs))
			}
			got, err := w.puller.Pull(t.Context(), w.ecr.Registry, "group/other", "1")
			if err != nil {
				t.Fatal(err)
			}
			w.equal("1", got, image)
		})
	}
}

// set changes a setting of the AWS account.
func (w *world) set(name, value string) {
	w.t.Helper()
	id, secret := w.ecr.WorkerKey()
	api := sdk.New(sdk.Options{Region: "eu-north-1", BaseEndpoint: &w.ecr.URL, Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	if _, err := api.PutAccountSetting(w.t.Context(), &sdk.PutAccountSettingInput{Name: &name, Value: &value}); err != nil {
		w.t.Fatal(err)
	}
}
