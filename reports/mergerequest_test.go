package reports

import (
	"io"
	"testing"
)

// TestMergeRequest looks at what the owners of a project read.
func TestMergeRequest(t *testing.T) {
	m := MergeRequest{
		Path: "kurs/skjema", Registry: "registry.uninett.no/kurs/skjema", FilesURL: "https://gitlab/kurs/skjema/-/blob/f00", Trailer: "Ecrferry-Migration: 15",
		Mapping: []Renamed{
			{"registry.uninett.no/kurs/skjema-api:$TAG", "$CI_REGISTRY_IMAGE:api-$TAG"},
			{"a|b`c", "d"},
		},
		Findings: []Finding{
			{Code: "moving-tag", Severity: "warning", File: ".gitlab-ci.yml", Line: 12, Text: "docker push $IMAGE:latest", Message: "a tag that every pipeline pushes again (api:latest)", Remedy: "Give each build a tag of its own", Owner: "project"},
			{Code: "moving-tag", Severity: "warning", File: "deploy/k8s (old).yaml", Text: "web:latest", Message: "a tag that every pipeline pushes again (web:latest)", Remedy: "Give each build a tag of its own", Owner: "project"},
			{Code: "images", Severity: "warning", Message: "two images", Remedy: "look", Owner: "platform"},
			{Code: "images", Severity: "warning", File: "x", Message: hostile, Remedy: "look again", Owner: "template-owner"},
			{Code: "tag-dropped", Severity: "note", File: ".gitlab-ci.yml", Line: 3, Text: "`x`", Message: "ærlig talt"},
		},
	}
	for i := range 8 { // many places are folded, and what the text says already is not said again
		m.Findings = append(m.Findings, Finding{
			Code: "tag-replaced", Severity: "warning", File: "ci.yml", Line: i + 1, Text: "${CI_REGISTRY_IMAGE}/web:$TAG",
			Message: "a tag became one of the build (registry.uninett.no/kurs/skjema/web:${TAG}, registry.uninett.no/kurs/skjema-web:1, a, b, c, d)",
			Remedy:  "find out who pulls it", Owner: "project",
		})
	}
	golden(t, "mergerequest.md", func(w io.Writer) error { return m.Markdown(w) })
	golden(t, "mergerequest-plain.md", func(w io.Writer) error { return MergeRequest{Path: "a/b"}.Markdown(w) })
}
