package dashboard_test

import (
	"context"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"

	"gitlab.sikt.no/platon/ecrferry/internal/dashboard"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// recorder notes the orders that get through. What they do is tested in
// cmd/worker, with a real worker; here the question is who gets that far.
type recorder struct {
	dashboard.Acts
	orders []dashboard.Order
}

func (a *recorder) Cancel(_ context.Context, o dashboard.Order, _ store.Project) error {
	a.orders = append(a.orders, o)
	return nil
}

// ask makes a request and returns the status and the body.
func ask(t *testing.T, c *http.Client, method, address string, form url.Values, change func(*http.Request)) (int, string, http.Header) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	must(t, err)
	if form != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if change != nil {
		change(req)
	}
	resp, err := c.Do(req)
	must(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	must(t, err)
	return resp.StatusCode, string(body), resp.Header
}

func client(t *testing.T) *http.Client {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

func users(t *testing.T) []dashboard.User {
	t.Helper()
	of := func(name string, role dashboard.Role) dashboard.User {
		hash, err := bcrypt.GenerateFromPassword([]byte("password of "+name), bcrypt.MinCost)
		must(t, err)
		return dashboard.User{Name: name, Role: role, Hash: string(hash)}
	}
	return []dashboard.User{of("ola", dashboard.Operator), of("kari", dashboard.Viewer)}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	jobs := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "job "+r.Method) })
	s := open(t, 2, func(o *dashboard.Options) { o.Access = dashboard.Access{Users: users(t)}; o.Jobs = jobs })
	for _, path := range []string{"/", "/projects", "/assets/style.css", "/live", "/reports", "/jobs/", "/nowhere"} {
		status, body, header := ask(t, client(t), "GET", s.url+path, nil, nil)
		if status != http.StatusUnauthorized || header.Get("WWW-Authenticate") == "" || strings.Contains(body, "kurs/") {
			t.Errorf("%s without a login: %d", path, status)
		}
	}
	for _, c := range []struct {
		name, password string
		status         int
	}{
		{"ola", "password of ola", 200}, {"ola", "password of ola", 200}, {"kari", "password of kari", 200},
		{"ola", "password of kari", 401}, {"ola", "", 401}, {"nobody", "password of ola", 401}, {"ola", strings.Repeat("x", 100), 401},
		{"ola", "password of ola\x00", 401},
	} {
		if status, _, _ := ask(t, client(t), "GET", s.url+"/projects", nil, func(r *http.Request) { r.SetBasicAuth(c.name, c.password) }); status != c.status {
			t.Errorf("%s with %.20q: %d, want %d", c.name, c.password, status, c.status)
		}
	}
	// River UI: everybody reads, operators act, and that is an event.
	for name, want := range map[string]int{"kari": 403, "ola": 200} {
		auth := func(r *http.Request) { r.SetBasicAuth(name, "password of "+name) }
		if status, body, _ := ask(t, client(t), "GET", s.url+"/jobs/x", nil, auth); status != 200 || body != "job GET" {
			t.Errorf("%s reads jobs: %d %s", name, status, body)
		}
		if status, _, _ := ask(t, client(t), "POST", s.url+"/jobs/api/jobs/cancel", nil, auth); status != want {
			t.Errorf("%s cancels a job: %d, want %d", name, status, want)
		}
	}
	events, err := s.store.Events(t.Context(), store.EventFilter{Kind: "river-ui"})
	must(t, err)
	if len(events) != 1 || events[0].Actor != "ola@dashboard" || events[0].Detail != "POST /api/jobs/cancel" {
		t.Errorf("events %+v", events)
	}
}

func TestProxy(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		trusted string
		header  http.Header
		want    string // of the page: a role, or "" for no entry
	}{
		{"named", "127.0.0.0/8", http.Header{"X-User": {"ola"}}, "viewer"},
		{"member", "127.0.0.0/8", http.Header{"X-User": {"ola"}, "X-Groups": {"staff, ferry-operators"}}, "operator"},
		{"almost member", "127.0.0.0/8", http.Header{"X-User": {"ola"}, "X-Groups": {"ferry-operators-not"}}, "viewer"},
		{"nameless", "127.0.0.0/8", http.Header{"X-Groups": {"ferry-operators"}}, ""},
		{"two names", "127.0.0.0/8", http.Header{"X-User": {"ola", "kari"}}, ""},
		{"from elsewhere", "10.0.0.0/8", http.Header{"X-User": {"ola"}, "X-Groups": {"ferry-operators"}}, ""},
	} {
		s := open(t, 0, func(o *dashboard.Options) {
			o.Access = dashboard.Access{Proxies: []netip.Prefix{netip.MustParsePrefix(c.trusted)}, UserHeader: "X-User", GroupsHeader: "X-Groups", Operators: "ferry-operators"}
		})
		status, body, _ := ask(t, client(t), "GET", s.url+"/projects", nil, func(r *http.Request) { r.Header = c.header; r.Host = "ferry.example.org" })
		got := ""
		if status == 200 {
			got = "viewer"
			if strings.Contains(body, `<span class="tag">operator</span>`) {
				got = "operator"
			}
		}
		if got != c.want {
			t.Errorf("%s: %d %q, want %q", c.name, status, got, c.want)
		}
	}
}

// TestActs lets through only what an operator sent from our own form, with a reason.
func TestActs(t *testing.T) {
	t.Parallel()
	acts := &recorder{}
	s := open(t, 0, func(o *dashboard.Options) { o.Access = dashboard.Access{Users: users(t)}; o.Acts = acts })
	must(t, s.store.UpsertProjects(t.Context(), []store.Project{{ID: 1, Path: "kurs/skjema"}}))
	as := func(name string) func(*http.Request) {
		return func(r *http.Request) { r.SetBasicAuth(name, "password of "+name) }
	}
	and := func(fs ...func(*http.Request)) func(*http.Request) {
		return func(r *http.Request) {
			for _, f := range fs {
				f(r)
			}
		}
	}
	set := func(name, value string) func(*http.Request) {
		return func(r *http.Request) { r.Header.Set(name, value) }
	}
	browser := func(name string) (*http.Client, string) {
		c := client(t)
		if status, body, _ := ask(t, c, "GET", s.url+"/projects/kurs/skjema", nil, as(name)); status != 200 || name == "kari" && strings.Contains(body, "/act/") {
			t.Fatalf("%s reads the project: %d", name, status)
		}
		u, _ := url.Parse(s.url)
		return c, c.Jar.Cookies(u)[0].Value
	}
	ola, olas := browser("ola")
	kari, karis := browser("kari")
	form := func(token, why, project string) url.Values {
		return url.Values{"token": {token}, "why": {why}, "project": {project}}
	}
	for _, c := range []struct {
		name   string
		client *http.Client
		act    string
		form   url.Values
		change func(*http.Request)
		status int
	}{
		{"an operator", ola, "cancel", form(olas, "the owners asked", "1"), as("ola"), 303},
		{"as browsers say it", ola, "cancel", form(olas, "again", "1"), and(as("ola"), set("Sec-Fetch-Site", "same-origin"), set("Origin", s.url)), 303},
		{"a viewer", kari, "cancel", form(karis, "please", "1"), as("kari"), 403},
		{"nobody", client(t), "cancel", form(olas, "please", "1"), nil, 401},
		{"without a reason", ola, "cancel", form(olas, " \n", "1"), as("ola"), 400},
		{"with a novel", ola, "cancel", form(olas, strings.Repeat("x", 2000), "1"), as("ola"), 400},
		{"with another's token", ola, "cancel", form(karis, "please", "1"), as("ola"), 403},
		{"without a token", ola, "cancel", form("", "please", "1"), as("ola"), 403},
		{"without a cookie", client(t), "cancel", form(olas, "please", "1"), as("ola"), 403},
		{"from another site", ola, "cancel", form(olas, "please", "1"), and(as("ola"), set("Sec-Fetch-Site", "cross-site")), 403},
		{"from a neighbour", ola, "cancel", form(olas, "please", "1"), and(as("ola"), set("Sec-Fetch-Site", "same-site")), 403},
		{"from an older browser elsewhere", ola, "cancel", form(olas, "please", "1"), and(as("ola"), set("Origin", "https://evil.example.org")), 403},
		{"an unknown act", ola, "destroy", form(olas, "please", "1"), as("ola"), 404},
		{"an unknown project", ola, "cancel", form(olas, "please", "2"), as("ola"), 404},
		{"no project", ola, "cancel", form(olas, "please", "x"), as("ola"), 400},
		{"an unknown step", ola, "enqueue", url.Values{"token": {olas}, "why": {"x"}, "project": {"1"}, "from": {"done"}}, as("ola"), 400},
	} {
		before := len(acts.orders)
		status, _, header := ask(t, c.client, "POST", s.url+"/act/"+c.act, c.form, c.change)
		if status != c.status || (len(acts.orders) > before) != (c.status == 303) {
			t.Errorf("%s: %d after %d orders, want %d", c.name, status, len(acts.orders)-before, c.status)
		}
		if status == 303 && header.Get("Location") != "/projects/kurs/skjema?did=cancel" {
			t.Errorf("%s: on to %s", c.name, header.Get("Location"))
		}
	}
	if len(acts.orders) == 0 || acts.orders[0] != (dashboard.Order{Actor: "ola@dashboard", Why: "the owners asked"}) {
		t.Errorf("orders %+v", acts.orders)
	}
	// Reading an act does nothing.
	if status, _, _ := ask(t, ola, "GET", s.url+"/act/cancel?project=1", nil, as("ola")); status != 404 && status != 405 {
		t.Errorf("GET of an act: %d", status)
	}
}

// TestLoopback answers without a login only as this machine.
func TestLoopback(t *testing.T) {
	t.Parallel()
	s := open(t, 0, nil)
	for host, want := range map[string]int{
		"localhost": 200, "localhost:8080": 200, "127.0.0.1:1": 200, "[::1]:8080": 200,
		"evil.example.org": 421, "localhost.evil.example.org": 421, "127.0.0.1.evil.example.org:80": 421, "10.0.0.1": 421, "": 421,
	} {
		req := httptest.NewRequestWithContext(t.Context(), "GET", s.url+"/projects", nil)
		req.RequestURI, req.Host = "", host
		if host == "" {
			req.Host = "0.0.0.0"
		}
		resp, err := http.DefaultClient.Do(req)
		must(t, err)
		resp.Body.Close()
		if resp.StatusCode != want {
			t.Errorf("as %q: %d, want %d", host, resp.StatusCode, want)
		}
	}
	status, _, header := ask(t, client(t), "GET", s.url+"/", nil, nil)
	csp := header.Get("Content-Security-Policy")
	if status != 200 || !strings.Contains(csp, "default-src 'none'") || strings.Contains(csp, "unsafe") || header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%d with policy %q", status, csp)
	}
	closed := open(t, 0, func(o *dashboard.Options) { o.Access = dashboard.Access{} })
	if status, _, _ := ask(t, client(t), "GET", closed.url+"/", nil, nil); status != http.StatusUnauthorized {
		t.Errorf("nobody may read: %d", status)
	}
}
