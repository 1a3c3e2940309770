package reports

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Formats are those in which a reconciliation is kept in files.
var Formats = []string{"html", "md", "csv", "json"}

// Reconciliation writes a reconciliation in a format: one of Formats, or text
// for a terminal.
func Reconciliation(w io.Writer, r reconcile.Report, format string) error {
	switch format {
	case "html":
		return reconciliationHTML(w, r)
	case "md":
		_, err := io.WriteString(w, reconciliationMarkdown(r, 0))
		return err
	case "csv":
		return reconciliationCSV(w, r)
	case "json":
		return encode(w, r)
	case "text":
		return reconciliationText(w, r)
	}
	return fmt.Errorf("no format %q; choose one of %s, text", format, strings.Join(Formats, ", "))
}

// Excerpt is what of a report concerns a group of projects.
func Excerpt(r reconcile.Report, group string) reconcile.Report {
	var subjects []reconcile.Subject
	out := r
	out.Scope = []string{}
	for _, s := range r.Subjects {
		if s.Kind == "project" && (s.Group == group || strings.HasPrefix(s.Group, group+"/")) {
			subjects = append(subjects, s)
			out.Scope = append(out.Scope, s.Path)
		}
	}
	out.Headline = reconcile.Headline{}
	out.Changes, out.Trend = nil, nil
	return reconcile.Close(out, subjects, nil)
}

// reconciliationTables are the report as tables; limit is how many rows of the
// long ones are shown, 0 for all.
func reconciliationTables(r reconcile.Report, limit int) []*table {
	changes := &table{title: "Since the report before", header: []string{"", "project", "what", "detail"}}
	if c := r.Changes; c != nil {
		for _, x := range c.New {
			changes.add("new", x.Path, title(x.Class), x.Detail)
		}
		for _, x := range c.Resolved {
			changes.add("gone", x.Path, title(x.Class), x.Detail)
		}
		changes.shorten(limit)
	}
	classes := &table{title: "What was found", header: []string{"what", "severity", "projects", "need the old registry", "who acts", "what to do"}}
	for _, c := range r.Classes {
		classes.add(c.Title, string(c.Severity), fmt.Sprint(c.Count), number(c.NeedsOld), string(c.Owner), c.Remedy)
	}
	owners := &table{title: "Who has something to do", header: []string{"group", "projects", "need the old registry", "to look at"}}
	for _, g := range r.Owners {
		owners.add(g.Name, fmt.Sprint(g.Projects), number(g.NeedsOld), number(g.Open))
	}
	subjects := &table{title: "Project by project", header: []string{"project", "what", "severity", "needs the old registry", "detail", "who acts", "what to do"}}
	for _, s := range r.Subjects {
		for _, f := range s.Findings {
			if f.Class != reconcile.InSync {
				subjects.add(s.Path, title(f.Class), string(f.Severity), yesNo(f.NeedsOld), f.Detail, s.Acts(f), f.Remedy)
			}
		}
	}
	owners.shorten(limit)
	subjects.shorten(limit)
	return []*table{changes, classes, owners, subjects}
}

// shorten keeps the first rows of a table and says how many more there are.
func (t *table) shorten(limit int) {
	if more := len(t.rows) - limit; limit > 0 && more > 0 {
		t.rows = append(t.rows[:limit], append([]string{"and " + count(more, "more row")}, make([]string, len(t.header)-1)...))
	}
}

func title(c reconcile.Class) string { return reconcile.MeaningOf(c).Title }

func number(n int) string {
	if n == 0 {
		return ""
	}
	return fmt.Sprint(n)
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return ""
}

// question is what the report answers.
func question(r reconcile.Report) string {
	host := r.OldHost
	if host == "" {
		host = "the old registry"
	}
	if len(r.Scope) > 0 {
		return "Who still needs " + host + "?"
	}
	return "Can " + host + " be switched off?"
}

// answer is the headline in a few sentences.
func answer(r reconcile.Report) string {
	h := r.Headline
	text := h.Sentence
	if c := r.Changes; c != nil {
		switch n := c.NeedingOld; {
		case n > 0:
			text += fmt.Sprintf(" %d more than on %s.", n, c.FromAt.Format(time.DateOnly))
		case n < 0:
			text += fmt.Sprintf(" %d fewer than on %s.", -n, c.FromAt.Format(time.DateOnly))
		case h.NeedingOld > 0:
			text += " As many as on " + c.FromAt.Format(time.DateOnly) + "."
		}
	}
	if h.Forecast != "" {
		text += " " + h.Forecast
	}
	if h.Loud > 0 {
		text += fmt.Sprintf(" %s cannot wait.", count(h.Loud, "project"))
	}
	return text
}

// origin says where the report comes from.
func origin(r reconcile.Report) string {
	text := fmt.Sprintf("Report %d, %s, finished %s", r.ID, map[string]string{"scheduled": "by the schedule", "demand": "on demand of " + r.Actor}[r.Kind], stamp(r.FinishedAt))
	if !r.ClusterAsked {
		text += "; no cluster was asked, so what runs is known by GitLab's word only"
	}
	return text + "."
}

func figures(r reconcile.Report) string {
	h := r.Headline
	text := fmt.Sprintf("%s: %d in sync, %d need the old registry, %d to look at now", count(h.Projects, "project"), h.InSync, h.NeedingOld, h.Loud)
	if h.Unobserved > 0 {
		text += fmt.Sprintf(", %d could not be looked at", h.Unobserved)
	}
	return text + "."
}

func reconciliationText(w io.Writer, r reconcile.Report) error {
	_, err := fmt.Fprintf(w, "%s\n%s\n%s\n%s\n", question(r), line(answer(r)), line(figures(r)), line(origin(r)))
	if err != nil {
		return err
	}
	for _, t := range reconciliationTables(r, 0) {
		if err := t.text(w); err != nil {
			return err
		}
	}
	return nil
}

func reconciliationMarkdown(r reconcile.Report, limit int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# %s\n\n**%s**\n\n%s\n\n%s\n", plain(question(r)), plain(answer(r)), plain(figures(r)), plain(origin(r)))
	if c := r.Changes; c != nil && c.Empty() {
		fmt.Fprintf(&b, "\nNothing is different from report %d of %s.\n", c.From, c.FromAt.Format(time.DateOnly))
	}
	for _, t := range reconciliationTables(r, limit) {
		if err := t.markdown(&b); err != nil {
			panic(err) // a Builder takes everything
		}
	}
	return b.String()
}

// IssueText is the report as the description of an issue: GitLab takes a million
// characters, and people fewer.
func IssueText(r reconcile.Report) string {
	for _, limit := range []int{200, 50, 10} {
		if text := reconciliationMarkdown(r, limit); len(text) < 500_000 {
			return text
		}
	}
	return plain(question(r)) + "\n\n" + plain(answer(r)) + "\n"
}

// Message is the report as a message to a chat channel, in Slack's JSON.
func Message(r reconcile.Report) any {
	escape := strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;") // https://docs.slack.dev/messaging/formatting-message-text
	text := func(s string) string { return escape.Replace(line(s)) }
	var lines []string
	for _, c := range r.Classes {
		if c.Severity == reconcile.Loud || c.Severity == reconcile.Warning {
			lines = append(lines, fmt.Sprintf("• %s: %d", text(c.Title), c.Count))
		}
	}
	if c := r.Changes; c != nil {
		lines = append(lines, fmt.Sprintf("%d new and %d resolved since report %d", len(c.New), len(c.Resolved), c.From))
	}
	section := func(s string) map[string]any {
		return map[string]any{"type": "section", "text": map[string]any{"type": "mrkdwn", "text": s}}
	}
	blocks := []map[string]any{
		{"type": "header", "text": map[string]any{"type": "plain_text", "text": line(question(r))}},
		section("*" + text(answer(r)) + "*"),
	}
	if len(lines) > 0 {
		blocks = append(blocks, section(strings.Join(lines, "\n")))
	}
	blocks = append(blocks, map[string]any{"type": "context", "elements": []map[string]any{{"type": "mrkdwn", "text": text(figures(r) + " " + origin(r))}}})
	return map[string]any{"text": text(question(r) + " " + answer(r)), "blocks": blocks}
}

// cell makes a value harmless in a spreadsheet, which takes one that begins with
// certain characters for a formula.
// https://owasp.org/www-community/attacks/CSV_Injection
func cell(s string) string {
	s = line(s)
	if s != "" && strings.ContainsRune("=+-@", rune(s[0])) {
		return "'" + s
	}
	return s
}

func writeCSV(w io.Writer, header []string, rows func(add func(...string))) error {
	c := csv.NewWriter(w)
	if err := c.Write(header); err != nil {
		return err
	}
	var failed error
	rows(func(cells ...string) {
		for i := range cells {
			cells[i] = cell(cells[i])
		}
		if err := c.Write(cells); err != nil && failed == nil {
			failed = err
		}
	})
	c.Flush()
	if failed != nil {
		return failed
	}
	return c.Error()
}

// reconciliationCSV has a row a finding; a subject without any has one, too.
func reconciliationCSV(w io.Writer, r reconcile.Report) error {
	header := []string{"report", "finished_at", "kind", "path", "project_id", "group", "class", "severity", "needs_old_registry", "count", "subjects", "detail", "owner", "remedy", "url", "maintainers"}
	return writeCSV(w, header, func(add func(...string)) {
		for _, s := range r.Subjects {
			for _, f := range s.Findings {
				add(fmt.Sprint(r.ID), r.FinishedAt.Format(time.RFC3339), s.Kind, s.Path, fmt.Sprint(s.ProjectID), s.Group,
					string(f.Class), string(f.Severity), fmt.Sprint(f.NeedsOld), fmt.Sprint(f.Count), strings.Join(f.Subjects, "; "), f.Detail, string(f.Owner), f.Remedy, s.URL, strings.Join(s.Maintainers, "; "))
			}
		}
	})
}

// LedgerCSV writes entries of the ledger, the old references with their host.
func LedgerCSV(w io.Writer, oldHost string, entries []store.Entry) error {
	header := []string{"id", "at", "event", "project", "project_id", "attempt", "outcome", "old_reference", "old_digest", "new_reference", "new_digest", "bytes", "commit", "merge_request", "pipeline", "deployments"}
	return writeCSV(w, header, func(add func(...string)) {
		for _, e := range entries {
			add(fmt.Sprint(e.ID), e.At.UTC().Format(time.RFC3339), e.Event, e.ProjectPath, fmt.Sprint(e.ProjectID), fmt.Sprint(e.Attempt), e.Outcome,
				oldReference(oldHost, e), e.OldDigest, e.NewReference, e.NewDigest, fmt.Sprint(e.Bytes), e.CommitSHA, e.MergeRequestURL, e.PipelineURL, strings.Join(e.Deployments, "; "))
		}
	})
}

// Ledger is the JSON of the ledger.
type Ledger struct {
	Schema int           `json:"schema"`
	Ledger []LedgerEntry `json:"ledger"` // the oldest first
}

// LedgerEntry is an entry of the ledger.
type LedgerEntry struct {
	store.Entry
	OldReference string `json:"old_reference"` // complete, as files named it
}

// LedgerJSON writes entries of the ledger as one list.
func LedgerJSON(w io.Writer, oldHost string, entries []store.Entry) error {
	rows := []LedgerEntry{}
	for _, e := range entries {
		rows = append(rows, LedgerEntry{e, oldReference(oldHost, e)})
	}
	return encode(w, Ledger{schema, rows})
}

// oldReference is an image of the old registry as it was called by.
func oldReference(host string, e store.Entry) string {
	switch {
	case e.OldRepository == "":
		return ""
	case e.OldTag == "":
		return host + "/" + e.OldRepository + "@" + e.OldDigest
	}
	return host + "/" + e.OldRepository + ":" + e.OldTag
}

// Differences writes what became different between two reports, for a terminal.
func Differences(w io.Writer, c reconcile.Changes) error {
	if c.Empty() {
		_, err := fmt.Fprintf(w, "Nothing is different between report %d and report %d.\n", c.From, c.To)
		return err
	}
	if _, err := fmt.Fprintf(w, "From report %d to report %d: %+d projects need the old registry, %d new findings, %d resolved.\n",
		c.From, c.To, c.NeedingOld, len(c.New), len(c.Resolved)); err != nil {
		return err
	}
	t := reconciliationTables(reconcile.Report{Changes: &c}, 0)[0]
	for _, p := range c.Joined {
		t.add("joined", p, "", "")
	}
	for _, p := range c.Left {
		t.add("left", p, "", "")
	}
	t.title = ""
	return t.text(w)
}
