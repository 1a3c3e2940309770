package reports

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"
)

//go:embed plan.html
var planHTML string

var planPage = template.Must(template.New("plan").Funcs(template.FuncMap{
	"size":   size,
	"count":  func(n int, noun string) string { return count(n, noun) },
	"stamp":  stamp,
	"span":   func(s float64) string { return span(time.Duration(s * float64(time.Second))) },
	"pct":    func(f float64) string { return fmt.Sprintf("%.0f", 100*f) },
	"counts": func(m map[string]int) string { return counts(m, nil) },
	"lines":  diffLines,
}).Parse(planHTML))

// HTML writes the plan as one page that needs nothing else: no script, no style
// sheet, no picture from elsewhere.
func (p Plan) HTML(w io.Writer) error { return planPage.Execute(w, p) }

// diffLine is a line of a diff and what it does.
type diffLine struct{ Kind, Text string }

func diffLines(diff string) []diffLine {
	var out []diffLine
	for l := range strings.Lines(diff) {
		kind := ""
		switch {
		case strings.HasPrefix(l, "+++"), strings.HasPrefix(l, "---"), strings.HasPrefix(l, "@@"):
			kind = "head"
		case strings.HasPrefix(l, "+"):
			kind = "add"
		case strings.HasPrefix(l, "-"):
			kind = "del"
		}
		out = append(out, diffLine{kind, strings.TrimRight(l, "\r\n")})
	}
	return out
}
