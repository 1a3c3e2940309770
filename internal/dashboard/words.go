package dashboard

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// words are what templates say things with.
var words = template.FuncMap{
	"asset": asset, "bytes": size, "rate": func(b float64) string { return size(int64(b)) }, "count": count[int], "count64": count[int64], "ago": ago, "ahead": ahead, "stamp": stamp, "rfc": rfc,
	"clock": clock, "took": took, "digest": digest, "sha": sha, "plural": plural, "band": func(s store.State) store.Band { return store.BandOf(s) },
	"age":     func(t time.Time) string { return roughly(max(0, time.Since(t))) },
	"verdict": verdict,
	"day":     func(t time.Time) string { return day(t, time.Now()) },
	"form":    func(token string, a act) map[string]any { return map[string]any{"Token": token, "Act": a} },
	"state":   stateWord, "split": splitPath, "seconds": func(d time.Duration) string { return strconv.Itoa(int(d.Seconds())) },
}

// size says bytes in the units that disks and networks are sold in.
func size(n int64) string {
	if n < 1000 {
		return fmt.Sprintf("%d B", n)
	}
	f, units := float64(n), "kMGTPE"
	i := -1
	for f >= 999.5 && i < len(units)-1 {
		f /= 1000
		i++
	}
	if f < 9.95 {
		return fmt.Sprintf("%.1f %cB", f, units[i])
	}
	return fmt.Sprintf("%.0f %cB", f, units[i])
}

// count groups the digits of a number.
func count[T int | int64](n T) string {
	text := strconv.FormatInt(int64(n), 10)
	sign := ""
	if strings.HasPrefix(text, "-") {
		sign, text = "−", text[1:]
	}
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return sign + text
}

func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}

// took says a duration in at most two units.
func took(d time.Duration) string {
	switch {
	case d < 0:
		return "0 s"
	case d < time.Second:
		return fmt.Sprintf("%d ms", d.Milliseconds())
	case d < 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	}
	d = d.Round(time.Second)
	two := func(a int, u string, b int, v string) string {
		if b == 0 {
			return fmt.Sprintf("%d %s", a, u)
		}
		return fmt.Sprintf("%d %s %d %s", a, u, b, v)
	}
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return two(int(d.Minutes()), "min", int(d.Seconds())%60, "s")
	case d < 24*time.Hour:
		return two(int(d.Hours()), "h", int(d.Minutes())%60, "min")
	}
	return two(int(d.Hours())/24, "d", int(d.Hours())%24, "h")
}

// roughly says a duration in one unit.
func roughly(d time.Duration) string {
	switch {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 90*time.Minute:
		return fmt.Sprintf("%d min", int(math.Round(d.Minutes())))
	case d < 36*time.Hour:
		return fmt.Sprintf("%d h", int(math.Round(d.Hours())))
	}
	return fmt.Sprintf("%d days", int(math.Round(d.Hours()/24)))
}

func ago(t time.Time) string {
	if d := time.Since(t); d >= time.Second {
		return roughly(d) + " ago"
	}
	return "just now"
}

func ahead(t time.Time) string {
	if d := time.Until(t); d >= time.Second {
		return "in " + roughly(d)
	}
	return "any moment"
}

func stamp(t time.Time) string { return t.Local().Format("2006-01-02 15:04:05 MST") }
func rfc(t time.Time) string   { return t.UTC().Format(time.RFC3339) }

// clock says a time as short as its distance allows.
func clock(t time.Time) string {
	t = t.Local()
	switch now := time.Now(); {
	case t.Format(time.DateOnly) == now.Format(time.DateOnly):
		return t.Format("15:04:05")
	case t.Year() == now.Year():
		return t.Format("Jan 2, 15:04")
	}
	return t.Format("2006-01-02 15:04")
}

// digest shortens sha256:0123… to what people compare by eye.
func digest(d string) string {
	hex := strings.TrimPrefix(d, "sha256:")
	return hex[:min(12, len(hex))]
}

func sha(s string) string { return s[:min(8, len(s))] }

// stateWord says a state in words.
func stateWord(s store.State) string {
	switch s {
	case store.StateNone:
		return "not begun"
	case store.StateAttention:
		return "needs attention"
	case store.StateExceptions:
		return "done, exceptions"
	case store.StateRolledBack:
		return "rolled back"
	}
	return string(s)
}

// splitPath cuts a project path into its group and its name.
func splitPath(path string) [2]string {
	i := strings.LastIndexByte(path, '/')
	return [2]string{path[:i+1], path[i+1:]}
}

// verdict says yes or no, and nothing when nothing was judged. Templates take a
// pointer to false for true, so the question is answered here.
func verdict(b *bool) string {
	switch {
	case b == nil:
		return ""
	case *b:
		return "yes"
	}
	return "no"
}
