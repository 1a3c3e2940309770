package dashboard

import (
	"fmt"
	"math"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// bands are the layers of the picture of states, from the bottom up.
var bands = []struct {
	band store.Band
	name string
}{
	{store.BandDone, "done"}, {store.BandWaiting, "waiting"}, {store.BandActive, "under way"},
	{store.BandAttention, "needs attention"}, {store.BandFailed, "failed"},
}

// stateChart is how many projects were in which band over time.
func stateChart(h history, total int) chart {
	top := scale(float64(total))
	c := chart{
		ID: "states", Title: "Projects by state", Grid: gridLines, YTicks: ticks(top, axis),
		XTicks: timeTicks(h.Begin, h.end(h.Slots-1)),
	}
	width := chartWidth / float64(h.Slots)
	// A value is that at the end of its slot; the first stands from the left edge.
	x := func(i int) float64 {
		if i == 0 {
			return 0
		}
		return float64(i) * width
	}
	base := make([]float64, h.Slots+1)
	for i := range base {
		base[i] = chartHeight
	}
	for _, layer := range bands {
		upper := make([]float64, h.Slots+1)
		used := false
		for i := range upper {
			n := h.In[layer.band][max(0, i-1)]
			used = used || n > 0
			upper[i] = base[i] - chartHeight*float64(max(0, n))/top
		}
		if used {
			c.Shapes = append(c.Shapes, shape{"band-" + string(layer.band), area(x, base, upper)})
			c.Keys = append(c.Keys, key{"band-" + string(layer.band), layer.name})
		}
		base = upper
	}
	c.Shapes = append(c.Shapes, shape{"band-none", area(x, base, flat(chartHeight-chartHeight*float64(total)/top, len(base)))})
	c.Keys = append(c.Keys, key{"band-none", "not begun"})
	for i := range h.Slots {
		text, rest := "", total
		for _, layer := range bands {
			if n := h.In[layer.band][i]; n != 0 {
				text += fmt.Sprintf("%s %s, ", count(n), layer.name)
				rest -= n
			}
		}
		c.Slots = append(c.Slots, tip{float64(i) * width, width, clock(h.end(i)), text + fmt.Sprintf("%s not begun", count(max(0, rest)))})
	}
	c.Summary = "At the end: " + c.Slots[len(c.Slots)-1].Text + "."
	return c
}

func flat(height float64, n int) []float64 {
	out := make([]float64, n)
	for i := range out {
		out[i] = height
	}
	return out
}

// burnDown is how many projects remained over time, and the forecast.
func burnDown(h history, total int, f forecast, now time.Time) chart {
	until := h.end(h.Slots - 1)
	if f.Known {
		// The future gets as much room as the past at most: a far forecast runs
		// out of the picture, and the words beside it say where to.
		until = f.Late
		if longest := now.Add(now.Sub(h.Begin)); until.After(longest) {
			until = longest
		}
		if nearest := h.end(h.Slots - 1); until.Before(nearest) {
			until = nearest
		}
	}
	top := scale(float64(total))
	c := chart{
		ID: "remaining", Title: "Remaining projects", Grid: gridLines, YTicks: ticks(top, axis), XTicks: timeTicks(h.Begin, until),
	}
	whole := until.Sub(h.Begin).Seconds()
	at := func(t time.Time) float64 { return chartWidth * t.Sub(h.Begin).Seconds() / whole }
	y := func(n float64) float64 { return chartHeight - chartHeight*n/top }
	x := func(i int) float64 {
		if i == 0 {
			return 0
		}
		return min(at(h.end(i-1)), at(now))
	}
	heights := make([]float64, h.Slots+1)
	for i := range heights {
		heights[i] = y(float64(total - h.In[store.BandDone][max(0, i-1)]))
	}
	c.Shapes = []shape{{"under", area(x, flat(chartHeight, len(heights)), heights)}}
	c.Keys = []key{{"stroke-accent", "remaining"}}
	if f.Known {
		from, level := at(now), y(float64(f.Remaining))
		// ray follows a straight line to its arrival, or to where the picture ends.
		ray := func(arrival time.Time) (float64, float64) {
			if !arrival.After(until) {
				return at(arrival), chartHeight
			}
			done := until.Sub(now).Seconds() / arrival.Sub(now).Seconds()
			return chartWidth, level + (chartHeight-level)*done
		}
		ex, ey := ray(f.Early)
		lx, ly := ray(f.Late)
		corner := ""
		if ex < chartWidth && lx >= chartWidth {
			corner = fmt.Sprintf("L%.1f %.1f", chartWidth, chartHeight)
		}
		mx, my := ray(f.ETA)
		c.Shapes = append(c.Shapes,
			shape{"cone", fmt.Sprintf("M%.1f %.1fL%.1f %.1f%sL%.1f %.1fZ", from, level, ex, ey, corner, lx, ly)},
			shape{"dashed", fmt.Sprintf("M%.1f %.1fL%.1f %.1f", from, level, mx, my)})
		c.Keys = append(c.Keys, key{"dashed", "at the present pace"})
		c.Now = from
	}
	c.Shapes = append(c.Shapes, shape{"stroke-accent", line(x, heights)})
	for i := range h.Slots {
		left := 0.0
		if i > 0 {
			left = x(i)
		}
		c.Slots = append(c.Slots, tip{left, math.Max(0, x(i+1)-left), clock(h.end(i)), plural(total-h.In[store.BandDone][i], "project", "projects") + " remaining"})
	}
	c.Summary = count(f.Remaining) + " remaining"
	if f.Known {
		c.Summary += fmt.Sprintf("; at the present pace none by %s", day(f.ETA, now))
	}
	c.Summary += "."
	return c
}

// day says a coming time as exactly as its distance deserves.
func day(t, now time.Time) string {
	switch d := t.Sub(now); {
	case d < 20*time.Hour:
		return t.Local().Format("15:04")
	case d < 6*24*time.Hour:
		return t.Local().Format("Monday 15:04")
	case d < 300*24*time.Hour:
		return t.Local().Format("January 2")
	case d < 9*365*24*time.Hour:
		return t.Local().Format("January 2006")
	}
	return "no date in sight"
}
