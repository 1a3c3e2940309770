package gitlab

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	api "gitlab.com/gitlab-org/api/client-go/v2"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ci"
)

// toy runs scripts of a few words: print, fail, wait, dotenv, artifact, cat.
type toy struct {
	mu    sync.Mutex
	gates map[string]chan struct{}
	ran   []string

	failOnce string // a job that fails the first time
}

func newToy() *toy { return &toy{gates: map[string]chan struct{}{}} }

func (r *toy) gate(name string) chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gates[name] == nil {
		r.gates[name] = make(chan struct{})
	}
	return r.gates[name]
}

func (r *toy) open(name string) { close(r.gate(name)) }

func (r *toy) order() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return strings.Join(r.ran, " ")
}

func (r *toy) Execute(ctx context.Context, e ci.Execution, trace io.Writer) ci.Result {
	r.mu.Lock()
	r.ran = append(r.ran, e.Job.Name)
	fails := r.failOnce == e.Job.Name
	if fails {
		r.failOnce = ""
	}
	r.mu.Unlock()
	if fails {
		return ci.Result{Status: "failed", ExitCode: 1}
	}
	result := ci.Result{Status: "success"}
	for _, line := range e.Job.Script {
		word, rest, _ := strings.Cut(line, " ")
		switch word {
		case "print":
			fmt.Fprintln(trace, ci.Expand(rest, ci.Environ(e)))
		case "fail":
			fmt.Fprintln(trace, "ERROR: Job failed: exit code 1")
			result.Status, result.FailureReason, result.ExitCode = "failed", rest, 1
			return result
		case "wait":
			select {
			case <-r.gate(rest):
			case <-ctx.Done():
				return ci.Result{Status: "failed", FailureReason: "runner_system_failure"}
			}
		case "dotenv":
			key, value, _ := strings.Cut(rest, "=")
			result.Dotenv = append(result.Dotenv, ci.Variable{Key: key, Value: value})
		case "artifact":
			name, content, _ := strings.Cut(rest, " ")
			result.Artifacts = append(result.Artifacts, ci.Artifact{Path: name, Content: []byte(content)})
		case "cat":
			for _, f := range append(e.Checkout, e.Artifacts...) {
				if f.Path == rest {
					fmt.Fprintf(trace, "%s\n", f.Content)
				}
			}
		}
	}
	return result
}

// unlimited keeps the client from slowing down by itself.
type unlimited struct{}

func (unlimited) Wait(context.Context) error { return nil }

type bench struct {
	*testing.T
	*Server
	api *api.Client
	toy *toy
}

// serve starts a server with a toy runner and a client of the bot.
func serve(t *testing.T, change ...func(*Options)) *bench {
	t.Helper()
	r := newToy()
	o := Options{Executor: r, PushDelay: time.Millisecond, CheckDelay: time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	s, err := Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return &bench{t, s, client(t, s, BotToken), r}
}

func client(t *testing.T, s *Server, token string) *api.Client {
	t.Helper()
	c, err := api.NewClient(token, api.WithBaseURL(s.URL), api.WithoutRetries(), api.WithCustomLimiter(unlimited{}))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *bench) seed(s Seed) int64 {
	b.Helper()
	id, err := b.AddProject(s)
	b.must(err)
	return id
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}

func (b *bench) idle() {
	b.Helper()
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Second)
	defer cancel()
	b.must(b.WaitIdle(ctx))
}

// until polls for a condition that others bring about.
func (b *bench) until(what string, ok func() bool) {
	b.Helper()
	for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(end) {
			b.Fatalf("not reached: %s", what)
		}
	}
}

// push commits as a human, waits, and returns the newest pipeline.
func (b *bench) push(path string, files map[string]string) PipelineView {
	b.Helper()
	_, err := b.PushFiles(path, "", "Change", files)
	b.must(err)
	b.idle()
	return b.newest(path)
}

func (b *bench) newest(path string) PipelineView {
	b.Helper()
	all := b.Pipelines(path)
	if len(all) == 0 {
		b.Fatalf("%s has no pipeline", path)
	}
	return all[len(all)-1]
}

// states shows a pipeline as "status: job=status job=status".
func states(v PipelineView) string {
	out := v.Status + ":"
	for _, j := range v.Jobs {
		if !j.Retried {
			out += " " + j.Name + "=" + j.Status
		}
	}
	return out
}

func (b *bench) equal(got, want any) {
	b.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		b.Errorf("got %v, want %v", got, want)
	}
}

// refused checks that an error is an answer of this status with this text.
func (b *bench) refused(err error, status int, text string) {
	b.Helper()
	if status == http.StatusNotFound {
		if !errors.Is(err, api.ErrNotFound) {
			b.Errorf("got %v, want 404", err)
		}
		return
	}
	var e *api.ErrorResponse
	if !errors.As(err, &e) || e.Response.StatusCode != status || !strings.Contains(string(e.Body), text) {
		b.Errorf("got %v, want %d with %q", err, status, text)
	}
}

func TestAuthentication(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	b.seed(Seed{Path: "team/open", Visibility: "internal"})
	_, _, err := client(t, b.Server, "glpat-nobody").Users.CurrentUser()
	b.refused(err, http.StatusUnauthorized, "401 Unauthorized")

	u, _, err := b.api.Users.CurrentUser()
	b.must(err)
	b.equal(u.Username, "group_1_bot_7d1c4e0a")
	meta, _, err := b.api.Metadata.GetMetadata()
	b.must(err)
	b.equal(meta.Version, version)
	token, _, err := b.api.PersonalAccessTokens.GetSinglePersonalAccessToken()
	b.must(err)
	b.equal(token.Scopes, "[api]")

	request, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, b.URL+"/api/v4/user", nil)
	request.Header.Set("Authorization", "Bearer "+BotToken)
	answer, err := http.DefaultClient.Do(request)
	b.must(err)
	_ = answer.Body.Close()
	b.equal(answer.StatusCode, 200)

	b.AddToken("glpat-guest", "guest", NoAccess)
	guest := client(t, b.Server, "glpat-guest")
	_, _, err = guest.Projects.GetProject("team/app", nil)
	b.refused(err, http.StatusNotFound, "")
	_, _, err = guest.Projects.GetProject("team/open", nil)
	b.must(err)
	_, _, err = guest.Repositories.ListTree("team/open", nil)
	b.refused(err, http.StatusForbidden, "403 Forbidden")

	b.AddToken("glpat-dev", "dev", Developer)
	dev := client(t, b.Server, "glpat-dev")
	_, _, err = dev.ProjectVariables.ListVariables("team/app", nil)
	b.refused(err, http.StatusForbidden, "403 Forbidden")
	b.SetRole("dev", "team/app", Maintainer)
	_, _, err = dev.ProjectVariables.ListVariables("team/app", nil)
	b.must(err)
}

func TestLimit(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.Limit(2, time.Hour)
	for range 2 {
		_, answer, err := b.api.Version.GetVersion()
		b.must(err)
		b.equal(answer.Header.Get("RateLimit-Limit"), 2)
	}
	_, answer, err := b.api.Version.GetVersion()
	b.refused(err, http.StatusTooManyRequests, "Retry later")
	for _, name := range []string{"Retry-After", "RateLimit-Reset", "RateLimit-ResetTime", "RateLimit-Observed", "RateLimit-Name"} {
		if answer.Header.Get(name) == "" {
			t.Errorf("no header %s", name)
		}
	}
	b.equal(answer.Header.Get("Content-Type"), "text/plain")
	b.Limit(0, 0)
	_, _, err = b.api.Version.GetVersion()
	b.must(err)
}

func TestInject(t *testing.T) {
	t.Parallel()
	b := serve(t)
	b.seed(Seed{Path: "team/app"})
	bad := func(r *http.Request) (int, string, bool) { return 502, "<h1>502</h1>", r.Method == http.MethodPost }
	create := func(name string) error {
		_, _, err := b.api.Branches.CreateBranch("team/app", &api.CreateBranchOptions{Branch: &name, Ref: api.Ptr("main")})
		return err
	}
	b.Inject(bad)
	b.refused(create("before"), http.StatusBadGateway, "502")
	b.Inject(nil)
	b.InjectAfter(bad)
	b.refused(create("after"), http.StatusBadGateway, "502")
	b.InjectAfter(nil)
	v, _ := b.Project("team/app")
	if v.Branches["before"] != "" || v.Branches["after"] == "" {
		t.Errorf("branches %v: want the effect of the second request only", v.Branches)
	}
	b.equal(b.Writes()["branches"], 1)
}
