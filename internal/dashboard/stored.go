package dashboard

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/reports"
)

// storedPolicy is for reports as they were stored: their styles and charts are in
// them, and they run and fetch nothing.
const storedPolicy = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'none'; base-uri 'none'; sandbox"

// stored answers with a finished report in full, in the format that the file's
// name ends with, or with a group's excerpt of it.
func (s *server) stored(w http.ResponseWriter, r *http.Request) {
	name, format, _ := strings.Cut(r.PathValue("file"), ".")
	id, err := strconv.ParseInt(r.PathValue("id"), 10, 64)
	kind, known := reports.ReconciliationTypes[format]
	if err != nil || name != "report" || !known {
		s.refuse(w, r, http.StatusNotFound, "Not here", "There is no such page.")
		return
	}
	row, err := s.Store.Report(r.Context(), id)
	if errors.Is(err, store.ErrNotFound) || err == nil && len(row.Model) == 0 {
		s.refuse(w, r, http.StatusNotFound, "Not here", "There is no such report, or it is not finished.")
		return
	}
	var body bytes.Buffer
	if err == nil {
		err = reports.Stored(&body, row.Model, r.URL.Query().Get("group"), format)
	}
	if err != nil {
		s.Log.ErrorContext(r.Context(), "a stored report could not be shown", "report", id, "error", err)
		s.refuse(w, r, http.StatusServiceUnavailable, "Not now", "The report could not be read; the worker's log says more.")
		return
	}
	w.Header().Set("Content-Type", kind)
	w.Header().Set("Content-Security-Policy", storedPolicy)
	if format != "html" {
		w.Header().Set("Content-Disposition", fmt.Sprintf(`attachment; filename="report-%d.%s"`, id, format))
	}
	_, _ = body.WriteTo(w)
}
