package oldregistry_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/regclient/regclient"
	"github.com/regclient/regclient/config"
	"github.com/regclient/regclient/scheme"
	"github.com/regclient/regclient/types/ref"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/clock"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/skopeotest"
)

func start(t *testing.T, o oldregistry.Options) *oldregistry.Server {
	t.Helper()
	s, err := oldregistry.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// as returns a client with a login; "" is nobody.
func as(s *oldregistry.Server, user, password string) oci.Remote {
	return oci.Remote{
		Locate:      func(host string) (string, bool) { return s.URL, host == s.Name },
		Credentials: func(string) (string, string, bool) { return user, password, user != "" },
	}
}

func pipeline(s *oldregistry.Server, project string) oci.Remote {
	return as(s, first(s.Pipeline(project)), second(s.Pipeline(project)))
}

func first(a, _ string) string  { return a }
func second(_, b string) string { return b }

func status(err error) int {
	if e, ok := errors.AsType[*oci.Error](err); ok {
		return e.Status
	}
	return 0
}

func TestPermissions(t *testing.T) {
	t.Parallel()
	s := start(t, oldregistry.Options{})
	s.Grant("team/kart", "public/kart")
	image := oci.Build(oci.Spec{})
	workerUser, workerPassword := s.Worker()
	for _, tc := range []struct {
		name, repository string
		remote           oci.Remote
		push             int
	}{
		{"own root", "team/app", pipeline(s, "team/app"), 0},
		{"own suffix", "team/app-api", pipeline(s, "team/app"), 0},
		{"own slash", "team/app/api", pipeline(s, "team/app"), 0},
		{"a longer name", "team/application", pipeline(s, "team/app"), 401},
		{"of another project", "team/other", pipeline(s, "team/app"), 401},
		{"granted base", "public/kart", pipeline(s, "team/kart"), 0},
		{"below granted base", "public/kart-db", pipeline(s, "team/kart"), 0},
		{"granted to another", "public/kart", pipeline(s, "team/app"), 401},
		{"worker", "team/app", as(s, workerUser, workerPassword), 401},
		{"nobody", "team/app", as(s, "", ""), 401},
		{"wrong password", "team/app", as(s, workerUser, "x"), 401},
	} {
		if got := status(tc.remote.Push(t.Context(), s.Name, tc.repository, "v1", image)); got != tc.push {
			t.Errorf("%s: push to %s: status %d, want %d", tc.name, tc.repository, got, tc.push)
		}
	}
	for _, tc := range []struct {
		name, repository string
		remote           oci.Remote
		pull             int
	}{
		{"worker", "team/app", as(s, workerUser, workerPassword), 0},
		{"another project", "team/app", pipeline(s, "team/other"), 0},
		{"nobody", "team/app", as(s, "", ""), 401},
		{"nobody, public", "public/kart", as(s, "", ""), 0},
		{"wrong password, public", "public/kart", as(s, workerUser, "x"), 401},
	} {
		if _, err := tc.remote.Pull(t.Context(), s.Name, tc.repository, "v1"); status(err) != tc.pull {
			t.Errorf("%s: pull %s: %v, want status %d", tc.name, tc.repository, err, tc.pull)
		}
	}
	if got := s.Writes(); got["manifests"] != 5 || got["layers"] == 0 || got["deletions"] != 0 {
		t.Errorf("writes: %v, want 5 manifests", got)
	}
}

// Tags move here, other than in ECR.
func TestTagMoves(t *testing.T) {
	t.Parallel()
	s := start(t, oldregistry.Options{})
	remote := pipeline(s, "team/app")
	for _, content := range []string{"1", "2"} {
		image := oci.Build(oci.Spec{Layers: []oci.Layer{{"version": content}}})
		if err := remote.Push(t.Context(), s.Name, "team/app", "latest", image); err != nil {
			t.Fatal(err)
		}
		if got, err := remote.Head(t.Context(), s.Name, "team/app", "latest"); err != nil || got != image.Digest() {
			t.Errorf("latest: %s, %v; want %s", got, err, image.Digest())
		}
	}
}

func TestPaging(t *testing.T) {
	t.Parallel()
	s := start(t, oldregistry.Options{Page: 3})
	remote := pipeline(s, "team")
	var repositories, tags []string
	for i := range 7 {
		repositories = append(repositories, fmt.Sprintf("team/app%d", i))
		tags = append(tags, fmt.Sprintf("v%d", i))
		if err := remote.Push(t.Context(), s.Name, repositories[i], "v0", oci.Build(oci.Spec{})); err != nil {
			t.Fatal(err)
		}
		if err := remote.Push(t.Context(), s.Name, repositories[0], tags[i], oci.Build(oci.Spec{})); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := remote.Tags(t.Context(), s.Name, repositories[0]); err != nil || !slices.Equal(got, tags) {
		t.Errorf("tags: %q, %v; want %q", got, err, tags)
	}

	user, password := s.Worker()
	host := config.HostNewName(s.Name)
	host.Hostname, host.TLS, host.User, host.Pass = strings.TrimPrefix(s.URL, "http://"), config.TLSDisabled, user, password
	rc := regclient.New(regclient.WithConfigHost(*host))
	var got []string
	for last := ""; ; {
		page, err := rc.RepoList(t.Context(), s.Name, scheme.WithRepoLast(last), scheme.WithRepoLimit(1000))
		if err != nil {
			t.Fatal(err)
		}
		if len(page.Repositories) > 3 {
			t.Fatalf("a page of %d repositories, want at most 3", len(page.Repositories))
		}
		if len(page.Repositories) == 0 {
			break
		}
		got = append(got, page.Repositories...)
		last = got[len(got)-1]
	}
	if !slices.Equal(got, repositories) {
		t.Errorf("catalog by regclient: %q, want %q", got, repositories)
	}
	r, err := ref.New(s.Name + "/" + repositories[0])
	if err != nil {
		t.Fatal(err)
	}
	list, err := rc.TagList(t.Context(), r)
	if err != nil || len(list.Tags) != len(tags) {
		t.Errorf("tags by regclient: %v, %v", list, err)
	}
	m, err := rc.ManifestHead(t.Context(), r.SetTag("v0"))
	if err != nil || m.GetDescriptor().Digest.String() != oci.Build(oci.Spec{}).Digest() {
		t.Errorf("head by regclient: %v", err)
	}
}

// token asks the token server as a client does.
func token(t *testing.T, s *oldregistry.Server, scope string) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/auth/token?service="+s.Name+"&scope="+scope, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.SetBasicAuth(s.Worker())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close() //nolint:errcheck // read only
	var answer struct{ Token string }
	if err := json.NewDecoder(res.Body).Decode(&answer); err != nil {
		t.Fatal(err)
	}
	return answer.Token
}

func get(t *testing.T, url, bearer string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if bearer != "" {
		req.Header.Set("Authorization", "Bearer "+bearer)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res
}

func TestTokens(t *testing.T) {
	t.Parallel()
	c := &clock.Clock{}
	s := start(t, oldregistry.Options{Clock: c})
	res := get(t, s.URL+"/v2/_catalog", "")
	want := `Bearer realm="` + s.URL + `/auth/token",service="registry.uninett.no",scope="registry:catalog:*"`
	if got := res.Header.Get("WWW-Authenticate"); res.StatusCode != 401 || got != want {
		t.Errorf("no token: %d %s, want 401 %s", res.StatusCode, got, want)
	}
	catalog := token(t, s, "registry:catalog:*")
	if res := get(t, s.URL+"/v2/_catalog", catalog); res.StatusCode != 200 {
		t.Errorf("good token: %d", res.StatusCode)
	}
	if res := get(t, s.URL+"/v2/team/app/tags/list", catalog); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "insufficient_scope") {
		t.Errorf("token of another scope: %d %s", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
	if res := get(t, s.URL+"/v2/_catalog", catalog[:len(catalog)-8]+"AAAAAAAA"); res.StatusCode != 401 {
		t.Errorf("forged token: %d", res.StatusCode)
	}
	c.Advance(6 * time.Minute)
	if res := get(t, s.URL+"/v2/_catalog", catalog); res.StatusCode != 401 || !strings.Contains(res.Header.Get("WWW-Authenticate"), "invalid_token") {
		t.Errorf("old token: %d %s", res.StatusCode, res.Header.Get("WWW-Authenticate"))
	}
}

func TestRestart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, oldregistry.Options{Dir: dir})
	image := oci.Index(oci.Build(oci.Spec{}), oci.Build(oci.Spec{Platform: "linux/arm64"}))
	s.Grant("team/app", "public/app")
	old := pipeline(s, "team/app")
	if err := old.Push(t.Context(), s.Name, "public/app", "v1", image); err != nil {
		t.Fatal(err)
	}
	password, writes := second(s.Worker()), s.Writes()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = start(t, oldregistry.Options{Dir: dir})
	if second(s.Worker()) != password {
		t.Error("the worker's password changed with the restart")
	}
	if got := s.Writes(); got["manifests"] != 3 || got["manifests"] != writes["manifests"] {
		t.Errorf("writes after the restart: %v, before: %v", got, writes)
	}
	if got, err := pipeline(s, "team/app").Pull(t.Context(), s.Name, "public/app", "v1"); err != nil || got.Digest() != image.Digest() {
		t.Errorf("pull after the restart: %v", err)
	}
	if err := pipeline(s, "team/app").Push(t.Context(), s.Name, "public/app", "v2", image); err != nil {
		t.Errorf("push after the restart: %v", err)
	}
}

func TestInject(t *testing.T) {
	t.Parallel()
	s := start(t, oldregistry.Options{})
	s.Inject(func(*http.Request) (int, string, bool) {
		return 503, `{"errors":[{"code":"UNAVAILABLE","message":"down"}]}`, true
	})
	if _, err := as(s, "", "").Head(t.Context(), s.Name, "public/app", "v1"); status(err) != 503 {
		t.Errorf("during the outage: %v", err)
	}
	s.Inject(nil)
	if _, err := as(s, "", "").Head(t.Context(), s.Name, "public/app", "v1"); status(err) != 404 {
		t.Errorf("after the outage: %v", err)
	}
}

func TestSkopeo(t *testing.T) {
	t.Parallel()
	skopeo := skopeotest.Find(t)
	s := start(t, oldregistry.Options{})
	image := oci.Index(oci.Build(oci.Spec{}), oci.Build(oci.Spec{Platform: "linux/arm64"}))
	if err := pipeline(s, "team/app").Push(t.Context(), s.Name, "team/app", "v1", image); err != nil {
		t.Fatal(err)
	}
	user, password := s.Worker()
	out, err := exec.CommandContext(t.Context(), skopeo, "inspect", "--raw", "--tls-verify=false", "--creds", user+":"+password,
		"docker://"+strings.TrimPrefix(s.URL, "http://")+"/team/app:v1").CombinedOutput()
	if err != nil || oci.Digest(out) != image.Digest() {
		t.Errorf("skopeo: %v: %s", err, out)
	}
}
