package jobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/riverqueue/river"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/internal/webhook"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// Place is somewhere a finished report goes. Delivering twice is harmless.
type Place interface {
	// Target is files, issue or webhook; it is stored.
	Target() string
	// Deliver brings the report there and says where it lies, without secrets.
	Deliver(ctx context.Context, r reconcile.Report) (where string, err error)
}

// DeliverArgs ask for a finished report to be brought to a place.
type DeliverArgs struct {
	ReportID int64  `json:"report_id"`
	Target   string `json:"target"`
}

// Kind implements river.JobArgs.
func (DeliverArgs) Kind() string { return "deliver-report" }

// Deliver does what DeliverArgs ask for.
type Deliver struct {
	*survey
	Runner *Runner
}

// Work does it. A failed delivery is tried again for a day where
// that can help, and told by the report's row and the metrics; the report itself
// stays in Postgres whatever becomes of it.
func (w *Deliver) Work(ctx context.Context, job *river.Job[DeliverArgs]) error {
	st := w.Runner.Store
	row, err := st.Report(ctx, job.Args.ReportID)
	if err != nil {
		return err
	}
	d := store.Delivery{ReportID: row.ID, Target: job.Args.Target, State: "pending", Tries: job.Attempt}
	place := w.place(d.Target)
	switch {
	case row.State != store.ReportFinished:
		return nil
	case place == nil:
		d.State, d.Error = "failed", "the worker's configuration does not name this place any more"
		return st.SaveDelivery(ctx, d)
	}
	var model reconcile.Report
	if err := json.Unmarshal(row.Model, &model); err != nil {
		return river.JobCancel(err)
	}
	d.Place, err = place.Deliver(ctx, model)
	if err == nil {
		d.State = "delivered"
		return st.SaveDelivery(ctx, d)
	}
	if ctx.Err() != nil {
		return err
	}
	class := fault.ClassOf(err)
	d.Error, d.ErrorClass = masked(err.Error()), string(class)
	w.Runner.Log.WarnContext(ctx, "a report could not be delivered", "report", row.ID, "target", d.Target, "attempt", job.Attempt,
		"reason", fault.ReasonOf(err), "error", d.Error, "remedy", fault.RemedyOf(err))
	lasting := class == fault.Permanent || class == fault.Attention
	if lasting || time.Since(*row.FinishedAt) > giveUp {
		d.State = "failed"
		return errors.Join(st.SaveDelivery(ctx, d), river.JobCancel(err))
	}
	if saveErr := st.SaveDelivery(ctx, d); saveErr != nil {
		return errors.Join(err, saveErr)
	}
	if hint := fault.RetryAfter(err); hint > 0 {
		return river.JobSnooze(hint)
	}
	return err
}

func (w *Deliver) place(target string) Place {
	for _, p := range w.Settings.Reports.Places {
		if p.Target() == target {
			return p
		}
	}
	return nil
}

// Files is a directory: every report in each format, the latest under a fixed
// name, and an excerpt for the owners of each group.
type Files struct{ Dir string }

// Target implements Place.
func (Files) Target() string { return "files" }

// Deliver implements Place. A reader finds a file as it was or as it is, never
// half of it.
func (f Files) Deliver(_ context.Context, r reconcile.Report) (string, error) {
	name := fmt.Sprintf("reconciliation-%d-%s", r.ID, r.FinishedAt.Format(time.DateOnly))
	for _, format := range reports.Formats {
		for _, base := range []string{name, "latest"} {
			if err := f.write(base+"."+format, r, format); err != nil {
				return "", err
			}
		}
	}
	for _, g := range r.Owners {
		if err := f.write(filepath.Join("owners", strings.ReplaceAll(g.Name, "/", "-")+".md"), reports.Excerpt(r, g.Name), "md"); err != nil {
			return "", err
		}
	}
	return filepath.Join(f.Dir, name+".html"), nil
}

func (f Files) write(name string, r reconcile.Report, format string) (err error) {
	path := filepath.Join(f.Dir, name)
	defer func() {
		if err != nil {
			err = fault.New(fault.Transient, "report-files", "writing %s: %w", path, err).
				WithRemedy("see that the worker may write to the directory of ECRFERRY_REPORT_DIR and that it has room")
		}
	}()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil { //nolint:gosec // reports are for others to read
		return err
	}
	tmp, err := os.CreateTemp(filepath.Dir(path), ".report-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	err = reports.Reconciliation(tmp, r, format)
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// Issue is a GitLab issue that is kept up to date in one project.
type Issue struct {
	GitLab  *gitlab.Client
	Project string // its path
}

// Target implements Place.
func (Issue) Target() string { return "issue" }

// issueMark finds our issue again. GitLab shows no comments of HTML.
const issueMark = "<!-- ecrferry-reconciliation: kept up to date, edits are lost -->"

// Deliver implements Place. The issue is found by its mark, so that one whose
// creation was answered with an error is not created again.
func (i Issue) Deliver(ctx context.Context, r reconcile.Report) (string, error) {
	p, err := i.GitLab.Project(ctx, i.Project)
	if errors.Is(err, gitlab.ErrNotFound) {
		return "", fault.New(fault.Attention, "report-project", "the project %s of ECRFERRY_REPORT_PROJECT is not there: %w", i.Project, err).
			WithRemedy("create it, or give the worker's account access to it")
	}
	if err != nil {
		return "", err
	}
	body := issueMark + "\n" + reports.IssueText(r)
	const title = "Can the old registry be switched off?"
	found, err := i.GitLab.IssuesWith(ctx, p.ID, "ecrferry-reconciliation")
	if err != nil {
		return "", err
	}
	for _, issue := range found {
		if !strings.HasPrefix(issue.Description, issueMark) {
			continue
		}
		reopen := issue.State == "closed" && r.Headline.Answer != "yes"
		issue, err = i.GitLab.UpdateIssue(ctx, p.ID, issue.IID, title, body, reopen)
		return issue.WebURL, err
	}
	issue, err := i.GitLab.CreateIssue(ctx, p.ID, title, body)
	return issue.WebURL, err
}

// Webhook is a chat channel that takes Slack's JSON.
type Webhook struct{ Client *webhook.Client }

// Target implements Place.
func (Webhook) Target() string { return "webhook" }

// Deliver implements Place.
func (w Webhook) Deliver(ctx context.Context, r reconcile.Report) (string, error) {
	return w.Client.Host(), w.Client.Post(ctx, reports.Message(r))
}
