package reports

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

var monday = time.Date(2026, 5, 4, 4, 0, 0, 0, time.UTC)

// found is a project with findings of these classes.
func found(path string, cs ...reconcile.Class) reconcile.Subject {
	s := reconcile.Subject{Kind: "project", ProjectID: 7, Path: path, Group: reconcile.GroupOf(path), URL: "https://gitlab.example.org/" + path}
	for _, c := range cs {
		m := reconcile.MeaningOf(c)
		needs := c == reconcile.RunsOld || c == reconcile.NamesOld || c == reconcile.NewProject
		s.NeedsOld = s.NeedsOld || needs
		s.Findings = append(s.Findings, reconcile.Finding{
			Class: c, Severity: m.Severity, Owner: m.Owner, Remedy: m.Remedy, NeedsOld: needs, Subjects: []string{}, Detail: details[c],
		})
	}
	return s
}

var details = map[reconcile.Class]string{
	reconcile.Lost:       "1 image is missing in ECR: Deployment/production names api-2.4.1; the old registry still has kurs/skjema-api:2.4.1",
	reconcile.RunsOld:    "Deployment/staging runs registry.example.org/kurs/kart:1.8",
	reconcile.NamesOld:   ".gitlab-ci.yml:12 docker push registry.example.org/lonn/app:$CI_COMMIT_SHA",
	reconcile.NewProject: "it has never been enqueued; its pipeline pushes to the old registry, which holds 14 tags of it",
	reconcile.Nobody:     "no project owns it; it holds 3 tags",
	reconcile.Production: "production waits for deploy-production since 2026-04-20: https://gitlab.example.org/kurs/kalender/-/jobs/991",
	reconcile.Expired:    "3 copied images were never used and cleaned up by ECR: api-2.3.0, api-2.3.1, web-1.0",
}

// course is a report after seven weeks on the way.
func course() reconcile.Report {
	var before []reconcile.Report
	var r reconcile.Report
	for week, needing := range []int{46, 41, 37, 37, 28, 19, 11} {
		subjects := []reconcile.Subject{
			found("kurs/skjema", reconcile.Expired), found("kurs/kart", reconcile.InSync), found("lonn/app", reconcile.InSync),
			{Kind: "repository", Path: "public/php-ci", Group: "public", NeedsOld: true, Findings: reconcile.Ownerless("public/php-ci", 3, nil)},
		}
		for i := range 60 {
			class := reconcile.InSync
			if i < needing-2 {
				class = reconcile.NewProject
			}
			subjects = append(subjects, found(fmt.Sprintf("%s/tjeneste-%02d", []string{"kurs", "lonn", "forskning/data", "opptak"}[i%4], i), class))
		}
		if week == 6 {
			subjects[0] = found("kurs/skjema", reconcile.Lost, reconcile.Expired)
			subjects[0].Maintainers = []string{"Kari Nordmann (kari)", "Ola Nordmann (ola)"}
			subjects[1] = found("kurs/kart", reconcile.RunsOld)
			subjects[1].Maintainers = []string{"Kari Nordmann (kari)", "Ola Nordmann (ola)", "Per Hansen (per)", "Eva Eier (eier)", "Siri (siri)"}
			subjects[2] = found("lonn/app", reconcile.NamesOld)
			subjects = append(subjects, found("kurs/kalender", reconcile.Production))
		}
		at := monday.AddDate(0, 0, 7*(week-6))
		r = reconcile.Close(reconcile.Report{
			ID: int64(31 + week), Kind: "scheduled", Period: at, StartedAt: at, FinishedAt: at.Add(4 * time.Minute), Actor: "worker", OldHost: "registry.example.org", ClusterAsked: true,
		}, subjects, before)
		before = append([]reconcile.Report{r}, before...)
	}
	return r
}

func render(t *testing.T, r reconcile.Report, format string) string {
	t.Helper()
	var b bytes.Buffer
	if err := Reconciliation(&b, r, format); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReconciliation(t *testing.T) {
	t.Parallel()
	for _, format := range append([]string{"text"}, Formats...) {
		golden(t, "reconciliation."+map[string]string{"text": "txt"}[format]+strings.TrimPrefix(format, "text"), func(w io.Writer) error { return Reconciliation(w, course(), format) })
	}
}

// harmful is text that means something to each of the formats.
const harmful = "=cmd|' /C calc'!A0 <script>alert(1)</script> @everybody [x](javascript:1) \x1b[31m | `"

// TestHarmfulText renders names and messages that others have chosen.
func TestHarmfulText(t *testing.T) {
	t.Parallel()
	s := found(harmful, reconcile.RunsOld)
	s.Findings[0].Detail, s.URL = harmful, "javascript:alert(1)"
	r := reconcile.Close(reconcile.Report{ID: 1, Kind: "demand", Actor: harmful, FinishedAt: monday, OldHost: "registry.example.org"}, []reconcile.Subject{s},
		[]reconcile.Report{reconcile.Close(reconcile.Report{FinishedAt: monday.AddDate(0, 0, -7)}, nil, nil)})
	html := render(t, r, "html")
	for _, bad := range []string{"<script", "javascript:", "\x1b"} {
		if strings.Contains(html, bad) && bad != "javascript:" || strings.Contains(html, `href="`+bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if md := render(t, r, "md"); strings.Contains(md, "<script") || strings.Contains(md, " @everybody") || strings.Contains(md, "\x1b") {
		t.Errorf("Markdown: %s", md)
	}
	rows, err := csv.NewReader(strings.NewReader(render(t, r, "csv"))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, c := range row {
			if c != "" && strings.ContainsRune("=+-@\t\r", rune(c[0])) {
				t.Errorf("a spreadsheet would compute %q", c)
			}
		}
	}
	raw, err := json.Marshal(Message(r))
	if err != nil {
		t.Fatal(err)
	}
	var message struct {
		Text   string           `json:"text"`
		Blocks []map[string]any `json:"blocks"`
	}
	if err := json.Unmarshal(raw, &message); err != nil {
		t.Fatal(err)
	}
	if message.Text == "" || len(message.Blocks) < 3 || strings.Contains(string(raw), `\u003cscript`) {
		t.Errorf("message: %s", raw)
	}
}

// TestNothingFromOutside sees to it that the page needs no other file.
func TestNothingFromOutside(t *testing.T) {
	t.Parallel()
	html := render(t, course(), "html")
	for _, bad := range []string{"<script", "<link", "@import", "url(", "src=", "<img"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	for _, good := range []string{`lang="en"`, `role="img"`, "prefers-color-scheme: dark", "@media print", "Since report 36"} {
		if !strings.Contains(html, good) {
			t.Errorf("the page lacks %q", good)
		}
	}
	if first, second := strings.Index(html, `id="changes"`), strings.Index(html, `id="projects"`); first < 0 || first > second {
		t.Error("what is different does not come first")
	}
}

func TestExcerpt(t *testing.T) {
	t.Parallel()
	e := Excerpt(course(), "kurs")
	for _, s := range e.Subjects {
		if !strings.HasPrefix(s.Path, "kurs/") {
			t.Errorf("%s is in the excerpt of kurs", s.Path)
		}
	}
	if len(e.Subjects) < 4 || e.Headline.Answer != "" || e.Headline.Loud != 1 {
		t.Errorf("%d subjects, %+v", len(e.Subjects), e.Headline)
	}
}

func TestIssueTextHasAnEnd(t *testing.T) {
	t.Parallel()
	var subjects []reconcile.Subject
	for i := range 6000 {
		subjects = append(subjects, found(fmt.Sprintf("group-%d/%s", i, strings.Repeat("x", 80)), reconcile.RunsOld, reconcile.NamesOld))
	}
	text := IssueText(reconcile.Close(reconcile.Report{ID: 1, FinishedAt: monday}, subjects, nil))
	if len(text) > 1_000_000 || !strings.Contains(text, "more rows") {
		t.Errorf("%d characters", len(text))
	}
}

func TestLedgerRendering(t *testing.T) {
	t.Parallel()
	entries := []store.Entry{{ID: 1, Event: "moved", OldRepository: "kurs/app", OldTag: "=1", OldDigest: "sha256:aa", NewReference: "ecr/kurs/app:1", NewDigest: "sha256:aa", Deployments: []string{"staging: deployment 3"}}}
	var b bytes.Buffer
	if err := LedgerCSV(&b, "registry.example.org", entries); err != nil || !strings.Contains(b.String(), "registry.example.org/kurs/app:=1") {
		t.Errorf("%v %s", err, b.String())
	}
	b.Reset()
	if err := LedgerJSON(&b, "registry.example.org", nil); err != nil || !strings.Contains(b.String(), `"ledger": []`) {
		t.Errorf("%v %s", err, b.String())
	}
}
