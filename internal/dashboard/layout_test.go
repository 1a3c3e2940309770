package dashboard_test

import (
	"bytes"
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
	"gitlab.sikt.no/platon/ecrferry/internal/dashboard"
	"gitlab.sikt.no/platon/ecrferry/internal/dashboard/browsertest"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// site is a dashboard over a store of its own.
type site struct {
	*testing.T
	url   string
	pool  *pgxpool.Pool
	store *store.Store
}

// open serves a dashboard over n seeded projects.
func open(t *testing.T, n int, change func(*dashboard.Options)) *site {
	t.Helper()
	pool := postgrestest.New(t)
	s := &site{T: t, pool: pool, store: store.New(pool)}
	if n > 0 {
		seed(t, pool, n)
	}
	o := dashboard.Options{
		Store: s.store, Access: dashboard.Access{Anonymous: dashboard.Viewer}, PipelinesPerHour: 60,
		Silence: time.Hour, Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	if change != nil {
		change(&o)
	}
	ctx, stop := context.WithCancel(context.Background())
	h, err := dashboard.New(ctx, o)
	must(t, err)
	server := httptest.NewServer(h)
	// The streams end with the dashboard's context; only then does the server close.
	t.Cleanup(func() { stop(); server.CloseClientConnections(); server.Close() })
	s.url = server.URL
	return s
}

// TestLayouts opens every page in both colours and on a phone, and measures what
// readers would stumble over.
func TestLayouts(t *testing.T) {
	t.Parallel()
	s := open(t, 160, func(o *dashboard.Options) {
		o.Access.Anonymous, o.Acts, o.Calendar = dashboard.Operator, noActs{}, hours(t)
	})
	report(t, s.store)
	until := time.Now().AddDate(0, 1, 0)
	for pattern, end := range map[string]*time.Time{"studier/**": &until, "feide/innlogging-api": nil} {
		_, err := s.store.SetFreeze(t.Context(), store.Freeze{Pattern: pattern, Actor: "ola@drift", Note: "exams until the first week of January", Until: end})
		must(t, err)
	}
	tab := browsertest.Open(t)
	for page, path := range map[string]string{
		"compared": again(s) + "?attempt=2&beside=1",
		"overview": "/", "list": "/projects", "filtered": "/projects?state=stopped&sort=since&down=1",
		"waiting": "/projects/" + s.find(store.StateWaiting), "done": "/projects/" + s.find(store.StateDone), "attention": "/projects/" + s.find(store.StateAttention, "unsafe-variable"),
		"copying": "/projects/" + copying(s),
		"reports": "/reports", "report": "/reports/1", "missing": "/nowhere",
	} {
		for _, look := range []struct {
			name          string
			width, height int64
			dark          bool
		}{{"light", 1360, 900, false}, {"dark", 1360, 900, true}, {"tablet", 800, 1000, false}, {"phone", 360, 740, false}} {
			tab.Look(look.width, look.height, look.dark)
			tab.Go(s.url + path)
			tab.Shoot(page + "-" + look.name)
			for _, c := range append(tab.Texts(inspection), tab.Errors()...) {
				if page != "missing" || !strings.Contains(c, "404") {
					t.Errorf("%s, %s: %s", page, look.name, c)
				}
			}
		}
	}
}

// hours is a calendar as the configuration has it, with a freeze that is over.
func hours(t *testing.T) calendar.Calendar {
	t.Helper()
	const text = "kurs/** 2020-12-01..2021-01-10 over\nlonn/** 2026-12-10..2099-01-05 payday <b>\nfeide/** not before the audit"
	freezes, err := calendar.ParseFreezes(text, time.UTC)
	must(t, err)
	return calendar.Calendar{Freezes: freezes, Text: "Mon-Thu 08:00-16:00, Fri 08:00-12:00", Zone: time.UTC}
}

// TestCalendarIsShown: what keeps projects from beginning stands on the overview,
// whoever set it, and what is over does not.
func TestCalendarIsShown(t *testing.T) {
	t.Parallel()
	s := open(t, 3, func(o *dashboard.Options) { o.Calendar = hours(t) })
	_, body, _ := ask(t, client(t), "GET", s.url+"/", nil, nil)
	for says, want := range map[string]bool{
		"<code>lonn/**</code><small>payday &lt;b&gt;; in the worker’s configuration, 2026-12-10 to 2099-01-05": true,
		"<code>feide/**</code><small>not before the audit; in the worker’s configuration, for good":            true,
		"kurs/**": false, "<p>Mon-Thu 08:00-16:00, Fri 08:00-12:00, UTC</p>": true,
	} {
		if strings.Contains(body, says) != want {
			t.Errorf("%q: want shown %v", says, want)
		}
	}
	if _, body, _ = ask(t, client(t), "GET", open(t, 3, nil).url+"/", nil, nil); strings.Contains(body, "Freeze list") || strings.Contains(body, "Projects begin") {
		t.Error("a calendar is shown where none is set")
	}
}

// again begins a second attempt at a project whose first failed, and compares them.
// It returns the address of its page.
func again(s *site) string {
	s.Helper()
	path := s.find(store.StateAttention, "already-broken")
	p, err := s.store.Project(s.Context(), path)
	must(s, err)
	must(s, s.store.InTx(s.Context(), func(ctx context.Context, tx *store.Store) error {
		done := end{0, store.StateDone, store.StepDone, "", "", "runs from ECR: 1 workload, digests equal", "nothing to do"}
		return attempt(ctx, tx, p, done, 0, rand.New(rand.NewPCG(1, 2)), 7777)
	}))
	for _, c := range []struct {
		query  string
		status int
		says   string
	}{
		{"?attempt=2&beside=1", 200, "attempt 1 ended attention at discover (already-broken), attempt 2 done."},
		{"?attempt=1&beside=2", 200, "attempt 1 ended attention at discover (already-broken), attempt 2 done."},
		{"", 200, ">compare <"},
		{"?beside=2", 400, "can&#39;t be compared"}, {"?beside=3", 400, "no attempt 3"}, {"?beside=x", 400, "can&#39;t be compared"},
	} {
		if status, body, _ := ask(s.T, client(s.T), "GET", s.url+"/projects/"+path+c.query, nil, nil); status != c.status || !strings.Contains(body, c.says) {
			s.Errorf("%s: %d, want %d and %q: %s", c.query, status, c.status, c.says, body[strings.Index(body, "<main"):])
		}
	}
	return "/projects/" + path
}

// TestPaper prints the pages that people print, and looks at them as paper.
func TestPaper(t *testing.T) {
	t.Parallel()
	s := open(t, 40, func(o *dashboard.Options) { o.Access.Anonymous = dashboard.Operator; o.Acts = noActs{} })
	report(t, s.store)
	tab := browsertest.Open(t)
	for page, path := range map[string]string{"overview": "/", "list": "/projects", "project": "/projects/" + s.find(store.StateDone), "report": "/reports/1"} {
		tab.Paper()
		tab.Go(s.url + path)
		for _, c := range tab.Texts(inspection) {
			t.Errorf("%s on paper: %s", page, c)
		}
		for _, c := range tab.Texts(`[...document.querySelectorAll(".top, .acts, form, .pager")].filter((e) => e.checkVisibility()).map((e) => "to click: " + e.outerHTML.slice(0, 80))
			.concat([...document.querySelectorAll("td, tbody th")].filter((e) => getComputedStyle(e).display !== "table-cell" && e.checkVisibility()).slice(0, 1).map((e) => "no table: " + e.outerHTML.slice(0, 80)))`) {
			t.Errorf("%s on paper: %s", page, c)
		}
		tab.Look(1200, 900, false)
		if pdf := tab.Print("paper-" + page); !bytes.HasPrefix(pdf, []byte("%PDF-")) {
			t.Errorf("%s: printed %.20q", page, pdf)
		}
	}
}

// TestReportOnPaper prints a report as it is delivered, a page that needs nothing
// else, and shows it to readers of every kind.
func TestReportOnPaper(t *testing.T) {
	t.Parallel()
	files := httptest.NewServer(http.FileServer(http.Dir("../../reports/testdata")))
	t.Cleanup(files.Close)
	tab := browsertest.Open(t)
	const narrow = `document.documentElement.scrollWidth <= document.documentElement.clientWidth`
	for name, look := range map[string]func(){
		"paper": tab.Paper, "light": func() { tab.Look(1200, 900, false) }, "dark": func() { tab.Look(1200, 900, true) }, "phone": func() { tab.Look(360, 740, false) },
	} {
		look()
		tab.Go(files.URL + "/reconciliation.html")
		tab.Shoot("full-report-" + name)
		if tab.Text(narrow+` ? "" : "sideways"`) != "" {
			t.Errorf("%s: the report scrolls sideways", name)
		}
	}
	tab.Look(1200, 900, false)
	if pdf := tab.Print("paper-full-report"); !bytes.HasPrefix(pdf, []byte("%PDF-")) {
		t.Errorf("printed %.20q", pdf)
	}
}

// copying lets a project's copy be half done, and returns its path.
func copying(s *site) string {
	s.Helper()
	path := s.find(store.StateRunning)
	p, err := s.store.Project(s.Context(), path)
	must(s, err)
	m, err := s.store.LatestMigration(s.Context(), p.ID)
	must(s, err)
	before, err := s.store.Pulse(s.Context(), p.ID)
	must(s, err)
	must(s, s.store.SaveCopying(s.Context(), store.Copying{
		MigrationID: m.ID, Images: 34, ImagesDone: 12, Blobs: 80, BlobsDone: 41, Bytes: 9e9, BytesDone: 4.2e9, Writes: 50, WritesDone: 20, Rate: 41e6,
	}, 2*time.Minute, true, false))
	if after, err := s.store.Pulse(s.Context(), p.ID); err != nil || after == before {
		s.Errorf("the page is not told that the copy goes on: %v", err)
	}
	_, body, _ := ask(s.T, client(s.T), "GET", s.url+"/projects/"+path, nil, nil)
	if !strings.Contains(body, "12 of 34 images, 4.2 GB of 9.0 GB, 41 MB a second") {
		s.Errorf("the page does not show how far the copy is: %s", body[strings.Index(body, "<main"):])
	}
	before, err = s.store.Pulse(s.Context(), 0)
	must(s, err)
	if _, body, _ := ask(s.T, client(s.T), "GET", s.url+"/", nil, nil); !strings.Contains(body, "4.2 GB of 9.0 GB on the way") || !strings.Contains(body, "Copies at work") {
		s.Errorf("the overview does not show the copy: %s", body[strings.Index(body, "<main"):])
	}
	must(s, s.store.SaveCopying(s.Context(), store.Copying{
		MigrationID: m.ID, Images: 34, ImagesDone: 13, Blobs: 80, BlobsDone: 42, Bytes: 9e9, BytesDone: 4.3e9, Writes: 50, WritesDone: 20, Rate: 41e6,
	}, 2*time.Minute, false, false))
	if after, err := s.store.Pulse(s.Context(), 0); err != nil || after == before {
		s.Errorf("the overview is not told that the copy goes on: %v", err)
	}
	return path
}

// inspection lists what is wrong with a page for readers who see little, use no
// mouse, or have a narrow screen.
const inspection = `(() => {
	const wrong = [];
	const say = (text, e) => wrong.push(text + (e ? ": " + e.outerHTML.slice(0, 160) : ""));
	const root = document.documentElement;
	if (root.scrollWidth > root.clientWidth) {
		say("scrolls sideways, " + root.scrollWidth + " of " + root.clientWidth);
		for (const e of document.querySelectorAll("body *")) {
			if (e.getBoundingClientRect().right > root.clientWidth + .1 && !e.closest(".scroll, nav, svg")) { say("sticks out", e); break; }
		}
	}
	if (root.lang !== "en") say("no language");
	if (!document.title) say("no title");
	if (document.querySelectorAll("main").length !== 1) say("not one main");
	if (document.querySelectorAll("h1").length !== 1) say("not one h1");
	let level = 0;
	for (const h of document.querySelectorAll("h1, h2, h3, h4")) {
		const n = +h.tagName[1];
		if (n > level + 1) say("heading skips a level", h);
		level = n;
	}
	const ids = new Set();
	for (const e of document.querySelectorAll("[id]")) { if (ids.has(e.id)) say("id used twice", e); ids.add(e.id); }
	for (const e of document.querySelectorAll("[aria-labelledby]")) if (!ids.has(e.getAttribute("aria-labelledby"))) say("label is missing", e);
	for (const e of document.querySelectorAll("input:not([type=hidden]), select, textarea")) if (!e.labels.length) say("field without a label", e);
	for (const e of document.querySelectorAll("a[href], button, summary")) if (!(e.textContent || e.getAttribute("aria-label") || "").trim()) say("nothing to read", e);
	for (const e of document.querySelectorAll("svg")) if (!e.closest("[aria-hidden]") && !e.getAttribute("aria-label")) say("picture without words", e);
	for (const e of document.querySelectorAll("th")) if (!e.scope) say("heading of nothing", e);
	for (const e of document.querySelectorAll("[style], style, script:not([src])")) say("style or script within the page", e);
	for (const e of document.querySelectorAll("[src], link[href]")) { const u = new URL(e.src || e.href); if (u.origin !== location.origin) say("from elsewhere", e); }
	for (const e of document.querySelectorAll("[onclick], a[href^='javascript:']")) say("inline script", e);

	const parse = (c) => (c.match(/[\d.]+/g) || []).map(Number);
	const light = ([r, g, b]) => [r, g, b].map((v) => (v /= 255) <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4).reduce((s, v, i) => s + v * [.2126, .7152, .0722][i], 0);
	const ground = (e) => {
		for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.length === 3 || c[3] === 1) return c; }
		return [255, 255, 255];
	};
	const seen = new Set();
	const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const e = walk.currentNode.parentElement;
		if (!walk.currentNode.data.trim() || !e.offsetParent || e.closest("svg, script")) continue;
		const style = getComputedStyle(e), ink = parse(style.color), paper = ground(e);
		let alpha = 1;
		for (let p = e; p; p = p.parentElement) alpha *= +getComputedStyle(p).opacity;
		const mixed = ink.slice(0, 3).map((v, i) => v * alpha + paper[i] * (1 - alpha));
		const a = light(mixed), b = light(paper), ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
		const size = parseFloat(style.fontSize), large = size >= 24 || size >= 18.66 && +style.fontWeight >= 700;
		const key = e.className + e.tagName + ratio.toFixed(1);
		if (ratio < (large ? 3 : 4.5) && !seen.has(key)) { seen.add(key); say("contrast " + ratio.toFixed(2), e); }
	}
	return wrong;
})()`

// find returns the path of a project in a state, for a reason if one is named.
func (s *site) find(state store.State, reason ...string) string {
	s.Helper()
	rows, _, err := s.store.List(s.Context(), store.ListFilter{States: []store.State{state}, Reason: strings.Join(reason, ""), Limit: 1})
	must(s, err)
	if len(rows) == 0 {
		s.Fatalf("no project is %s", state)
	}
	return rows[0].Path
}

// report stores a finished report and one that failed.
func report(t testing.TB, st *store.Store) {
	t.Helper()
	ctx := t.Context()
	no := false
	r, _, err := st.OpenReport(ctx, store.Report{Kind: store.ReportScheduled, Period: time.Now().Add(-time.Hour), Actor: "worker-1"})
	must(t, err)
	must(t, st.AddReconciliations(ctx, r.ID, []store.Reconciliation{{Subject: "project", ProjectID: 1, Path: "felles/skjema-api"}, {Subject: "repository", Path: "registry.uninett.no/public/kart"}}))
	must(t, st.CollectReport(ctx, r.ID, 1))
	rows, err := st.Reconciliations(ctx, r.ID)
	must(t, err)
	for i, row := range rows {
		row.State, row.Class, row.Classes = "observed", "old-registry-in-ci", []string{"old-registry-in-ci", "new-push"}
		row.NeedsOld, row.Owner, row.Detail = i == 0, "the project", ".gitlab-ci.yml:3 names registry.uninett.no again since Tuesday"
		_, err := st.SaveReconciliation(ctx, row)
		must(t, err)
	}
	r.Projects, r.InSync, r.NeedingOld, r.Loud, r.CanSwitchOff, r.Model = 160, 120, 1, 1, &no, []byte("{}")
	_, err = st.FinishReport(ctx, r)
	must(t, err)
	late, _, err := st.OpenReport(ctx, store.Report{Kind: store.ReportDemand, Period: time.Now(), Actor: "ola@drift"})
	must(t, err)
	must(t, st.FailReport(ctx, late.ID, "GitLab did not answer for six hours"))
}

// noActs makes the buttons appear; what they do is tested with a real worker.
type noActs struct{ dashboard.Acts }
