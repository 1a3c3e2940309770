package copy_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"

	"gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	standin "gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

const target = "group/app"

// world is an old registry and an ECR, with a project group/app in both.
type world struct {
	t      *testing.T
	old    *oldregistry.Server
	ecr    *standin.Server
	pusher oci.Remote
	puller oci.Remote

	mu       sync.Mutex
	requests map[string]int // of the last engine to the old registry, "GET blobs 200"
	written  map[string]int // and to the door
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return newWorldWith(t, unlimited())
}

func newWorldWith(t *testing.T, rates map[string]standin.Rate) *world {
	t.Helper()
	return newWorldFrom(t, oldregistry.Options{}, rates)
}

// unlimited is an ECR without quotas.
func unlimited() map[string]standin.Rate {
	rate := standin.Rate{PerSecond: 1e6, Burst: 1e6}
	return map[string]standin.Rate{"PutImage": rate, "InitiateLayerUpload": rate, "CompleteLayerUpload": rate}
}

func newWorldFrom(t *testing.T, o oldregistry.Options, rates map[string]standin.Rate) *world {
	t.Helper()
	old, err := oldregistry.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = old.Close() })
	aws, err := standin.Start(standin.Options{Rates: rates})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = aws.Close() })
	if _, err := aws.CreateRepository(target); err != nil {
		t.Fatal(err)
	}
	user, password := old.Pipeline("group/app")
	w := &world{t: t, old: old, ecr: aws}
	w.pusher = oci.Remote{
		Locate:      func(string) (string, bool) { return old.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	w.puller = oci.Remote{
		Locate: func(string) (string, bool) { return aws.URL, true },
		Credentials: func(string) (string, string, bool) {
			user, password := aws.KubeletToken()
			return user, password, true
		},
	}
	return w
}

// push puts an image into the old registry; "" as reference means by digest.
func (w *world) push(repository, reference string, image oci.Image) oci.Image {
	w.t.Helper()
	if err := w.pusher.Push(w.t.Context(), w.old.Name, repository, reference, image); err != nil {
		w.t.Fatal(err)
	}
	return image
}

// pushTarget does what a pipeline does: it pushes to ECR.
func (w *world) pushTarget(tag string, image oci.Image) {
	w.t.Helper()
	user, password := w.ecr.PipelineToken("group/app", target)
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return w.ecr.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	if err := remote.Push(w.t.Context(), w.ecr.Registry, target, tag, image); err != nil {
		w.t.Fatal(err)
	}
}

// options of an engine between the two, with clients of its own, as a freshly
// started worker has them. Changes are of the limits of ECR's actions.
func (w *world) options(changes ...func(*pace.Options)) copy.Options {
	w.t.Helper()
	limits := pace.ECR()
	for _, change := range changes {
		change(&limits)
	}
	w.mu.Lock()
	w.requests, w.written = map[string]int{}, map[string]int{}
	w.mu.Unlock()
	count := func(counts func() map[string]int) func(string, string, int, time.Duration) {
		return func(method, route string, status int, _ time.Duration) {
			w.mu.Lock()
			defer w.mu.Unlock()
			counts()[fmt.Sprintf("%s %s %d", method, route, status)]++
		}
	}
	id, secret := w.ecr.WorkerKey()
	api, err := ecr.New(w.t.Context(), ecr.Options{Region: "eu-north-1", Endpoint: w.ecr.URL, Attempts: 2, Limits: pace.New(limits), Credentials: credentials.NewStaticCredentialsProvider(id, secret, "")})
	if err != nil {
		w.t.Fatal(err)
	}
	user, password := w.old.Worker()
	source, err := registry.New(registry.Options{Name: w.old.Name, URL: w.old.URL, User: user, Password: password, Delay: time.Millisecond, Observe: count(func() map[string]int { return w.requests })})
	if err != nil {
		w.t.Fatal(err)
	}
	door, err := registry.New(registry.Options{Name: w.ecr.Registry, URL: w.ecr.URL, Credentials: api.Credentials, Refused: api.Refused, Limits: api.Limits(), Delay: time.Millisecond, Observe: count(func() map[string]int { return w.written })})
	if err != nil {
		w.t.Fatal(err)
	}
	return copy.Options{Source: source, Target: door, ECR: api}
}

// paced sets the pacer of an action.
func paced(action string, p pace.Pacer) func(*pace.Options) {
	return func(o *pace.Options) {
		if o.Pacers == nil {
			o.Pacers = map[string]pace.Pacer{}
		}
		o.Pacers[action] = p
	}
}

func (w *world) engine() *copy.Engine { return copy.New(w.options()) }

// request is everything of the project, all tags.
func request() copy.Request {
	return copy.Request{
		Sources: []copy.Source{{Repository: "group/app"}, {Repository: "group/app-api", Name: "api"}, {Repository: "group/app/web", Name: "web"}},
		Target:  target, Policy: copy.Policy{All: true},
	}
}

func (w *world) plan(e *copy.Engine, r copy.Request) copy.Plan {
	w.t.Helper()
	plan, err := e.Plan(w.t.Context(), r)
	if err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// run plans and executes, and returns the rows as they were reported last, by
// source.
func (w *world) run(e *copy.Engine, r copy.Request) map[string]copy.Image {
	w.t.Helper()
	plan := w.plan(e, r)
	rows, err := w.execute(e, plan)
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

func (w *world) execute(e *copy.Engine, plan copy.Plan) (map[string]copy.Image, error) {
	rows := byKey(plan.Images)
	err := e.Execute(w.t.Context(), plan, func(i copy.Image) { rows[key(i)] = i })
	return rows, err
}

func key(i copy.Image) string {
	if i.SourceTag == "" {
		return i.SourceRepository + "@" + i.SourceDigest
	}
	return i.SourceRepository + ":" + i.SourceTag
}

func byKey(images []copy.Image) map[string]copy.Image {
	rows := make(map[string]copy.Image)
	for _, i := range images {
		rows[key(i)] = i
	}
	return rows
}

// want checks the state of rows, and with "state: text" also their reason.
func want(t *testing.T, rows map[string]copy.Image, states map[string]string) {
	t.Helper()
	for k, s := range states {
		state, text, _ := strings.Cut(s, ": ")
		got, ok := rows[k]
		if !ok {
			t.Errorf("%s: no row", k)
		} else if string(got.State) != state || !strings.Contains(got.Reason, text) {
			t.Errorf("%s: %s (%s), want %s", k, got.State, got.Reason, s)
		}
	}
}

// same checks that the target has exactly this image under a tag or digest.
func (w *world) same(reference string, image oci.Image) {
	w.t.Helper()
	got, err := w.puller.Pull(w.t.Context(), w.ecr.Registry, target, reference)
	if err != nil {
		w.t.Errorf("%s: %v", reference, err)
		return
	}
	w.equal(reference, got, image)
}

func (w *world) equal(what string, got, image oci.Image) {
	w.t.Helper()
	if string(got.Manifest) != string(image.Manifest) || got.MediaType != image.MediaType {
		w.t.Errorf("%s: another manifest: %s", what, got.Manifest)
	}
	for d, body := range image.Blobs {
		if string(got.Blobs[d]) != string(body) {
			w.t.Errorf("%s: blob %s differs", what, d)
		}
	}
	if len(got.Children) != len(image.Children) {
		w.t.Errorf("%s: %d children, want %d", what, len(got.Children), len(image.Children))
		return
	}
	for i := range image.Children {
		w.equal(what, got.Children[i], image.Children[i])
	}
}

// tags returns the target's tags, sorted.
func (w *world) tags() (list []string) {
	for tag := range w.ecr.Tags(target) {
		list = append(list, tag)
	}
	slices.Sort(list)
	return list
}

func (w *world) read(k string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.requests[k]
}

func (w *world) wrote(k string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.written[k]
}

// answer makes the old registry answer requests whose path ends so.
func (w *world) answer(method, suffix string, status int, body string) {
	w.old.Inject(func(r *http.Request) (int, string, bool) {
		if r.Method == method && strings.HasSuffix(r.URL.Path, suffix) {
			return status, body, true
		}
		return 0, "", false
	})
}

// number is an image that differs from others by its number, on a common base.
func number(n int) oci.Image {
	return oci.Build(oci.Spec{
		Created: time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC),
		Layers:  []oci.Layer{{"base": "the same for all"}, {"n": fmt.Sprint(n)}},
	})
}
