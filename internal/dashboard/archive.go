package dashboard

import (
	"encoding/json"
	"net/http"
	"strconv"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// archived is the body of a report's page.
type archived struct {
	store.Report
	// Needing are the projects that still need the old registry, Others those
	// with something else to say; those in sync are only counted.
	Needing, Others []told
	Deliveries      []store.Delivery
	Formats, Groups []string // in which the finished report can be had in full
}

// told is what was found about a project, and who of its own can act.
type told struct {
	store.Reconciliation
	Maintainers []string
}

// mostReports bounds the list of the archive: three years of weeks.
const mostReports = 150

// archive is the body of the list of reports.
type archive struct {
	Due     Due
	Reports []store.Report
}

func (s *server) archive(r *http.Request, f *frame) (err error) {
	f.Page, f.Title, f.Here = "archive", "Reports", "reports"
	a := &archive{}
	f.Body = a
	if a.Due, err = s.Due(r.Context()); err != nil {
		return err
	}
	a.Reports, err = s.Store.Reports(r.Context(), mostReports)
	return err
}

func (s *server) report(r *http.Request, f *frame) error {
	f.Page, f.Here = "report", "reports"
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	if err != nil {
		return errNotHere
	}
	a := &archived{}
	f.Body = a
	if a.Report, err = s.Store.Report(r.Context(), id); err != nil {
		return err
	}
	f.Title = "Report " + strconv.FormatInt(id, 10)
	if len(a.Model) > 0 {
		a.Formats = reports.Formats
		if a.Groups, err = reports.StoredGroups(a.Model); err != nil {
			return err
		}
	}
	rows, err := s.Store.Reconciliations(r.Context(), id)
	if err != nil {
		return err
	}
	for _, r := range rows {
		var seen struct {
			Maintainers []string `json:"maintainers"`
		}
		_ = json.Unmarshal(r.Evidence, &seen) // what is not readable names nobody
		row := told{r, seen.Maintainers}
		switch {
		case row.NeedsOld:
			a.Needing = append(a.Needing, row)
		case len(row.Classes) > 0 && row.Class != "in-sync" || row.Error != "":
			a.Others = append(a.Others, row)
		}
	}
	a.Deliveries, err = s.Store.Deliveries(r.Context(), id)
	return err
}
