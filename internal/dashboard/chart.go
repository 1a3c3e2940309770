package dashboard

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The charts' own coordinates; the page stretches them to where they stand, so
// all words are HTML beside them and stay as large as other words.
const (
	chartWidth  = 1000.0
	chartHeight = 240.0
)

// chart is a picture for the template "chart".
type chart struct {
	ID, Title string
	// Summary says in a sentence what the picture shows.
	Summary string
	Shapes  []shape
	Keys    []key
	// YTicks are from the top down, XTicks from left to right, evenly spaced.
	YTicks, XTicks []string
	Grid           []float64
	// Slots are told when a pointer rests on them, and in the table.
	Slots []tip
	// Now is where the present is, when the picture goes on behind it.
	Now float64
}

// shape is a path of a class that the style sheet colours.
type shape struct{ Class, Path string }

type key struct{ Class, Name string }

// tip is what a slot says in words.
type tip struct {
	X, Width float64
	When     string
	Text     string
}

// scale rounds a maximum up to what divides well into four.
func scale(most float64) float64 {
	if most <= 0 {
		return 4
	}
	unit := math.Pow(10, math.Floor(math.Log10(most)))
	for _, f := range []float64{1, 1.2, 1.6, 2, 2.4, 3.2, 4, 6, 8, 10} {
		if top := f * unit; top >= most && (top >= 4 || top == math.Trunc(top)) {
			return max(top, 4)
		}
	}
	return 10 * unit
}

// ticks names the quarters of a scale from the top down.
func ticks(top float64, say func(float64) string) []string {
	var out []string
	for i := 4; i >= 0; i-- {
		out = append(out, say(top*float64(i)/4))
	}
	return out
}

var gridLines = []float64{0, chartHeight / 4, chartHeight / 2, chartHeight * 3 / 4, chartHeight}

// timeTicks names five evenly spaced times.
func timeTicks(from, to time.Time) []string {
	layout := "15:04"
	switch d := to.Sub(from); {
	case d < 4*time.Minute:
		layout = "15:04:05"
	case d > 4*24*time.Hour:
		layout = "Jan 2"
	case d > 20*time.Hour:
		layout = "Mon 15:04"
	}
	var out []string
	for i := range 5 {
		out = append(out, from.Add(to.Sub(from)*time.Duration(i)/4).Local().Format(layout))
	}
	return out
}

// area is the path between two rows of heights.
func area(x func(int) float64, lower, upper []float64) string {
	var b strings.Builder
	for i, h := range upper {
		fmt.Fprintf(&b, "%c%.1f %.1f", "LM"[btoi(i == 0)], x(i), h)
	}
	for i := len(lower) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "L%.1f %.1f", x(i), lower[i])
	}
	return b.String() + "Z"
}

// line is the path through heights.
func line(x func(int) float64, heights []float64) string {
	var b strings.Builder
	for i, h := range heights {
		fmt.Fprintf(&b, "%c%.1f %.1f", "LM"[btoi(i == 0)], x(i), h)
	}
	return b.String()
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

// bars is a chart of one number a slot.
func bars[T int | int64](id, title, class string, s span, values []T, say func(float64) string, tell func(T) string) chart {
	var most, sum T
	for _, v := range values {
		most, sum = max(most, v), sum+v
	}
	top := scale(float64(most))
	c := chart{ID: id, Title: title, Grid: gridLines, YTicks: ticks(top, say), XTicks: timeTicks(s.Begin, s.end(s.Slots-1)),
		Summary: fmt.Sprintf("%s in all; at most %s in %s.", tell(sum), tell(most), roughly(s.Slot))}
	width := chartWidth / float64(len(values))
	var b strings.Builder
	for i, v := range values {
		x := float64(i) * width
		if v > 0 {
			h := max(2, chartHeight*float64(v)/top)
			gap := min(2, width/6)
			fmt.Fprintf(&b, "M%.1f %.1fh%.1fv%.1fh-%.1fz", x+gap/2, chartHeight-h, width-gap, h, width-gap)
		}
		c.Slots = append(c.Slots, tip{x, width, clock(s.Begin.Add(time.Duration(i) * s.Slot)), tell(v)})
	}
	c.Shapes = []shape{{class, b.String()}}
	return c
}
