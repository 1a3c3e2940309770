package reports

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

//go:embed reconciliation.html
var reconciliationPage string

var page = template.Must(template.New("reconciliation").Funcs(template.FuncMap{
	"title": title, "day": func(t time.Time) string { return t.UTC().Format(time.DateOnly) }, "stamp": stamp,
	"question": question, "figures": figures, "origin": origin, "line": line, "trend": trendChart, "bars": classBars,
	"web":   func(url string) bool { return strings.HasPrefix(url, "https://") || strings.HasPrefix(url, "http://") },
	"minus": func(n int) int { return -n }, "noun": func(n int, s string) string { return count(n, s) },
	"told": func(s reconcile.Subject) bool { return s.Class() != reconcile.InSync },
}).Parse(reconciliationPage))

// reconciliationHTML writes a page that needs nothing but itself.
func reconciliationHTML(w io.Writer, r reconcile.Report) error { return page.Execute(w, r) }

// The charts are drawn in units of a view box; the page scales them.
const (
	chartWidth, chartHeight = 640, 200
	chartLeft, chartRight   = 44, 32
	chartTop, chartBottom   = 14, 30
)

// chart is what the trend's template draws.
type chart struct {
	Width, Height int
	Area, Line    string // paths
	Dots          []dot
	Lines         []tick // across, with figures
	Days          []tick // below
	Told          string // for who cannot see it
}

type dot struct {
	X, Y float64
	Text string
	Last bool
	N    int
}

type tick struct {
	At   float64
	Text string
}

// trendChart draws how many projects needed the old registry, report by report.
func trendChart(r reconcile.Report) chart {
	c := chart{Width: chartWidth, Height: chartHeight}
	points := r.Trend
	if len(points) < 2 {
		return c
	}
	top := 1
	for _, p := range points {
		top = max(top, p.NeedingOld)
	}
	step := niceStep(top)
	top = (top + step - 1) / step * step
	first, last := points[0].At, points[len(points)-1].At
	span := max(last.Sub(first), time.Second)
	x := func(t time.Time) float64 {
		return chartLeft + float64(t.Sub(first))/float64(span)*(chartWidth-chartLeft-chartRight)
	}
	y := func(n int) float64 {
		return chartTop + (1-float64(n)/float64(top))*(chartHeight-chartTop-chartBottom)
	}
	for n := 0; n <= top; n += step {
		c.Lines = append(c.Lines, tick{y(n), fmt.Sprint(n)})
	}
	var path strings.Builder
	verb := "M"
	for i, p := range points {
		fmt.Fprintf(&path, "%s%.1f %.1f", verb, x(p.At), y(p.NeedingOld))
		verb = " L"
		c.Dots = append(c.Dots, dot{x(p.At), y(p.NeedingOld), fmt.Sprintf("%s: %d of %d projects", p.At.UTC().Format(time.DateOnly), p.NeedingOld, p.Projects), i == len(points)-1, p.NeedingOld})
	}
	c.Line = path.String()
	c.Area = fmt.Sprintf("%s L%.1f %.1f L%.1f %.1f Z", c.Line, x(last), y(0), x(first), y(0))
	// A date below every so many points, and below the last.
	every := (len(points) + 5) / 6
	for i := len(points) - 1; i >= 0; i -= every {
		c.Days = append(c.Days, tick{x(points[i].At), points[i].At.UTC().Format("2 Jan")})
	}
	c.Told = fmt.Sprintf("Projects that need the old registry: %d on %s, %d on %s.",
		points[0].NeedingOld, first.UTC().Format(time.DateOnly), points[len(points)-1].NeedingOld, last.UTC().Format(time.DateOnly))
	return c
}

// niceStep is the distance of the lines across: 1, 2 or 5 of a power of ten.
func niceStep(top int) int {
	for power := 1; ; power *= 10 {
		for _, n := range []int{1, 2, 5} {
			if top <= 5*n*power {
				return n * power
			}
		}
	}
}

// bar is a class and how much of the width it takes.
type bar struct {
	reconcile.ClassCount
	Percent float64
}

// classBars compares the classes with the most frequent.
func classBars(r reconcile.Report) []bar {
	most := 1
	for _, c := range r.Classes {
		most = max(most, c.Count)
	}
	var out []bar
	for _, c := range r.Classes {
		out = append(out, bar{c, 100 * float64(c.Count) / float64(most)})
	}
	return out
}
