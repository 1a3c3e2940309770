package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"gitlab.sikt.no/platon/ecrferry/internal/dashboard/browsertest"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres/postgrestest"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// TestDashboard clicks an operator's way through the dashboard of a real worker:
// from a cause to a project, re-enqueue, promote, roll back, pause. A page that
// has been opened once follows by itself what the worker does.
func TestDashboard(t *testing.T) {
	t.Parallel()
	tab := browsertest.Open(t)
	world, err := sandbox.Start(sandbox.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { world.Close() })
	all, err := samples.All()
	if err != nil {
		t.Fatal(err)
	}
	chosen := map[string]samples.Sample{}
	var seeds []samples.Sample
	for _, s := range all {
		if s.Name == "manual-production" || s.Expect.State == "attention" && len(seeds) < 2 {
			chosen[s.Expect.State] = s
			seeds = append(seeds, s)
		}
	}
	if err := world.Seed(t.Context(), seeds); err != nil {
		t.Fatal(err)
	}
	stuck, manual := chosen["attention"], chosen["waiting"]
	db := postgrestest.Open(t)
	st := store.New(db.Pool)
	site := website(t, world, db.URL)

	inserter, err := jobs.NewInserter(db.Pool, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	order := jobs.Order{Actor: "tester", Policy: jobs.Policy{Delivery: "push", Production: "wait", Images: "in-use,newest=10"}}
	if _, err := (&jobs.Enqueuer{Store: st, River: inserter}).All(t.Context(), order, jobs.RunSelection{}); err != nil {
		t.Fatal(err)
	}

	// A reader sees everything and can change nothing.
	tab.Go(site.as("kari"))
	tab.UntilText("kari")
	tab.Until(`document.getElementById("pulse").textContent === "Live"`)
	// The page follows by itself until both projects have come to rest.
	tab.Until(`document.querySelector("#failures ~ table") && document.querySelector("#waits ~ ul")`)
	tab.Go(site.url + "/projects/" + manual.FinalPath())
	if n := tab.Text(`String(document.querySelectorAll("form").length)`); n != "0" {
		t.Errorf("a reader is shown %s forms", n)
	}
	refused := tab.Text(`(() => { const x = new XMLHttpRequest(); x.open("POST", "/act/cancel", false);
		x.setRequestHeader("Content-Type", "application/x-www-form-urlencoded"); x.send("why=x&project=1&token=x"); return String(x.status) })()`)
	if refused != "403" {
		t.Errorf("a reader's order: %s", refused)
	}
	// The browser's own complaint about the 403 comes when it comes.
	for deadline := time.Now().Add(time.Minute); len(tab.Errors()) == 0; time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the browser did not say that the reader's order was refused")
		}
	}

	// From the cause to the project, and once more with a reason.
	tab.Go(site.as("ola"))
	tab.UntilText("operator")
	tab.Click("#failures ~ table th a")
	tab.UntilText("1–1 of 1 project")
	tab.Click(".projects tbody th a")
	tab.UntilText(stuck.FinalPath()[strings.LastIndexByte(stuck.FinalPath(), '/')+1:])
	tab.UntilText("Attempt 1")
	tab.Click("#act-enqueue > summary")
	tab.Shoot("act")
	tab.Type(`#act-enqueue input[name="why"]`, "the owners say that it works now")
	tab.Click("#act-enqueue button")
	tab.UntilText("The project is enqueued")
	stay(tab)
	tab.UntilText("the owners say that it works now")
	tab.UntilText("ola@dashboard")
	tab.UntilText("Attempt 2")
	tab.Until(`document.querySelector("#now").innerText.includes("needs attention")`)
	stayed(t, tab)

	// Production is played, proven, and taken back again.
	tab.Go(site.url + "/projects/" + manual.FinalPath())
	tab.Until(`document.querySelector("#now").innerText.startsWith("waiting")`)
	act(tab, "promote", "agreed with the owners")
	tab.UntilText("Ordered.")
	stay(tab)
	tab.Until(`document.querySelector("#now").innerText.startsWith("done")`)
	tab.UntilText("agreed with the owners")
	stayed(t, tab)
	act(tab, "rollback", "login fails since the migration")
	tab.UntilText("The way back is enqueued")
	// Production's way back waits to be played, too.
	tab.Until(`document.querySelector("#now").innerText.startsWith("waiting")`)
	act(tab, "promote", "back in production as well")
	tab.UntilText("Ordered.")
	stay(tab)
	tab.Until(`document.querySelector("#now").innerText.startsWith("rolled back")`)
	stayed(t, tab)
	tab.Shoot("rolled-back")

	// The intake.
	tab.Go(site.url + "/")
	act(tab, "pause", "exams")
	tab.UntilText("The intake is paused")
	tab.UntilText("exams")
	act(tab, "resume", "exams are over")
	tab.UntilText("The intake is open again")
	tab.Click("#act-freeze > summary")
	tab.Type(`#act-freeze input[name="pattern"]`, "eksamen/**")
	tab.Type(`#act-freeze input[name="why"]`, "nothing moves in December")
	tab.Click("#act-freeze button")
	tab.UntilText("It is on the freeze list")
	tab.UntilText("nothing moves in December")
	tab.Click("#act-thaw > summary")
	tab.Type(`#act-thaw input[name="why"]`, "it is January")
	tab.Click("#act-thaw button")
	tab.UntilText("It is off the freeze list")
	if events, err := st.Events(t.Context(), store.EventFilter{}); err != nil {
		t.Error(err)
	} else {
		whoAndWhy(t, events)
	}

	if es := tab.Errors(); len(es) > 0 {
		t.Errorf("pages complained: %q", es)
	}

	// River UI, behind the same login.
	tab.Go(site.url + "/jobs/")
	tab.UntilText("Pause live updates")
	tab.Shoot("river")
}

// act opens an act's form, says why, and sends it.
func act(tab *browsertest.Tab, code, why string) {
	tab.Click("#act-" + code + " > summary")
	tab.Type("#act-"+code+` input[name="why"]`, why)
	tab.Click("#act-" + code + " button")
}

// stay marks a page; stayed finds out whether it was loaded anew since.
func stay(tab *browsertest.Tab) { tab.Text(`window.stayed = "yes"`) }

func stayed(t *testing.T, tab *browsertest.Tab) {
	t.Helper()
	if tab.Text(`window.stayed || "no"`) != "yes" {
		t.Error("the page was loaded anew to show what is new")
	}
}

// whoAndWhy wants each act as an event with its actor and its reason.
func whoAndWhy(t *testing.T, events []store.Event) {
	t.Helper()
	want := map[string]string{
		"enqueue-failed": "the owners say that it works now", "promote": "agreed with the owners", "enqueue-rollback": "login fails since the migration",
		"intake-paused": "exams", "intake-resumed": "exams are over",
		"freeze-added": "eksamen/**: nothing moves in December", "freeze-removed": "eksamen/**: it is January",
	}
	for _, e := range events {
		if why, ok := want[e.Kind]; ok && e.Actor == "ola@dashboard" && e.Detail == why {
			delete(want, e.Kind)
		}
	}
	if len(want) > 0 {
		t.Errorf("no events of %v", want)
	}
}

// online is the address of a worker's dashboard, whose users are ola, an
// operator, and kari, a reader.
type online struct{ url string }

// as is the address with a login.
func (o online) as(name string) string {
	return strings.Replace(o.url, "http://", "http://"+name+":password-of-"+name+"@", 1)
}

func website(t *testing.T, world *sandbox.World, database string) online {
	t.Helper()
	var lines strings.Builder
	for name, role := range map[string]string{"ola": "operator", "kari": "viewer"} {
		hash, err := bcrypt.GenerateFromPassword([]byte("password-of-"+name), bcrypt.MinCost)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s:%s:%s\n", name, role, hash)
	}
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte(lines.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	worker := start(t, build(t), append(environment(t, world, database), "ECRFERRY_DASHBOARD_USERS_FILE="+file, "ECRFERRY_PRODUCTION_POLL="+time.Hour.String()))
	address := strings.TrimPrefix(worker.Env[len(worker.Env)-1], "ECRFERRY_HTTP_ADDR=")
	return online{"http://" + address}
}
