package reports

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

// ReconciliationTypes are the media types of Formats.
var ReconciliationTypes = map[string]string{
	"html": "text/html; charset=utf-8", "md": "text/markdown; charset=utf-8",
	"csv": "text/csv; charset=utf-8", "json": "application/json",
}

// Stored writes a stored reconciliation in one of Formats; of a group alone if
// one is named. Nothing is written when it fails.
func Stored(w io.Writer, model json.RawMessage, group, format string) error {
	var r reconcile.Report
	if err := json.Unmarshal(model, &r); err != nil {
		return fmt.Errorf("reading a stored report: %w", err)
	}
	if group != "" {
		r = Excerpt(r, group)
	}
	var out bytes.Buffer
	if err := Reconciliation(&out, r, format); err != nil {
		return err
	}
	_, err := out.WriteTo(w)
	return err
}

// StoredGroups are the groups that a stored reconciliation has projects of, sorted.
func StoredGroups(model json.RawMessage) ([]string, error) {
	var r reconcile.Report
	if err := json.Unmarshal(model, &r); err != nil {
		return nil, fmt.Errorf("reading a stored report: %w", err)
	}
	var groups []string
	for _, s := range r.Subjects {
		if s.Kind == "project" && s.Group != "" {
			groups = append(groups, s.Group)
		}
	}
	slices.Sort(groups)
	return slices.Compact(groups), nil
}
