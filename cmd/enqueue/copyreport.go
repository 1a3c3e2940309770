package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"text/tabwriter"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// outcome is what enqueue copy prints.
type outcome struct {
	DryRun   bool            `json:"dry_run"`
	Lines    []*line         `json:"lines"`
	Targets  []targetOutcome `json:"targets"`
	Requests map[string]int  `json:"requests"` // made, by kind
	Seconds  float64         `json:"seconds"`
}

type targetOutcome struct {
	Target   string             `json:"target"`
	Forecast imagecopy.Forecast `json:"forecast"`
	Along    []imagecopy.Image  `json:"referrers,omitempty"` // copied along with the lines
}

func (o *outcome) there() (n int) {
	for _, l := range o.Lines {
		if l.there(o.DryRun) {
			n++
		}
	}
	return n
}

func (o *outcome) print(w io.Writer, asJSON bool) error {
	if asJSON {
		return printJSON(w, o)
	}
	table := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	count := map[imagecopy.State]int{}
	alike := map[string]int{} // lines by their reason
	for _, l := range o.Lines {
		count[l.State]++
		// What went well is only counted, so that what did not is seen; and of
		// thousands of lines that failed together the first few say it all.
		if !o.DryRun && (l.there(false) || l.State == imagecopy.Failed && !few(alike, l.Reason)) {
			continue
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\n", l.State, l.Source, l.Target, l.Reason)
	}
	for _, reason := range slices.Sorted(maps.Keys(alike)) {
		if more := alike[reason] - fewest; more > 0 {
			fmt.Fprintf(table, "%s\t%d more lines (--json shows them)\t\t%s\n", imagecopy.Failed, more, reason)
		}
	}
	for _, t := range o.Targets {
		for _, i := range t.Along {
			if i.State == imagecopy.Invalid || i.State == imagecopy.Failed || i.State == imagecopy.Gone {
				fmt.Fprintf(table, "%s\t%s@%s\t%s\t%s\n", i.State, i.SourceRepository, i.SourceDigest, t.Target, cmp.Or(i.Reason, "a referrer"))
			}
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	var f imagecopy.Forecast
	requests := 0
	for _, t := range o.Targets {
		f.Bytes += t.Forecast.Bytes
		f.Blobs += t.Forecast.Blobs
		f.Manifests += t.Forecast.Manifests
		requests += t.Forecast.Requests.Source() + t.Forecast.Requests.Target()
	}
	made := 0
	for _, n := range o.Requests {
		made += n
	}
	var parts []string
	for _, s := range []imagecopy.State{imagecopy.Copied, imagecopy.Planned, imagecopy.Present, imagecopy.LeftOut, imagecopy.Conflict, imagecopy.Collision, imagecopy.Invalid, imagecopy.Gone, imagecopy.Failed} {
		if count[s] > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", count[s], s))
		}
	}
	cost := fmt.Sprintf("%d requests", made)
	if o.DryRun {
		cost += fmt.Sprintf(" to plan, %d to copy", requests)
	}
	_, err := fmt.Fprintf(w, "%d lines: %s; %s in %d blobs, %d manifest writes (%.0f s at ECR's quota); %s; %.1f s\n",
		len(o.Lines), strings.Join(parts, ", "), size(f.Bytes), f.Blobs, f.Manifests, float64(f.Manifests)/pace.PutImageQuota, cost, o.Seconds)
	return err
}

// fewest is how many lines of one reason are shown.
const fewest = 20

// few counts a reason, and tells whether it has been shown few times.
func few(shown map[string]int, reason string) bool {
	shown[reason]++
	return shown[reason] <= fewest
}

// verdict turns the outcome into an exit code.
func (o *outcome) verdict(trouble error) error {
	n := o.there()
	if n == len(o.Lines) && trouble == nil {
		return nil
	}
	err := fmt.Errorf("%d of %d lines are at the target", n, len(o.Lines))
	if o.DryRun {
		err = fmt.Errorf("%d of %d lines can be copied or are there", n, len(o.Lines))
	}
	if trouble != nil {
		err = fmt.Errorf("%w: %w", err, trouble)
		if next := fault.RemedyOf(trouble); next != "" {
			err = fmt.Errorf("%w\nnext: %s", err, next)
		}
	}
	switch n {
	case 0:
		return &coded{exitNone, err}
	case len(o.Lines): // only something that came along is missing
		return &coded{exitError, err}
	}
	return &coded{exitSome, err}
}

// bar shows progress: a line that moves on a terminal, else a line now and then.
type bar struct {
	w     io.Writer
	quiet bool
	tty   bool

	mu    sync.Mutex
	parts map[*group]imagecopy.Progress
	last  time.Time
	drawn bool
}

func newBar(w io.Writer, quiet bool) *bar {
	return &bar{w: w, quiet: quiet, tty: isTerminal(w), parts: map[*group]imagecopy.Progress{}, last: time.Now()}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (b *bar) plan(g *group, f imagecopy.Forecast) {
	b.update(g, imagecopy.Progress{Images: f.Count[imagecopy.Planned], Bytes: f.Bytes, Manifests: f.Manifests})
}

// every is how often a line is printed where there is no terminal.
const every = 5 * time.Second

func (b *bar) update(g *group, p imagecopy.Progress) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.parts[g] = p
	if b.quiet || !b.tty && time.Since(b.last) < every {
		return
	}
	b.last = time.Now()
	var all imagecopy.Progress
	for _, p := range b.parts {
		all.Images += p.Images
		all.ImagesDone += p.ImagesDone
		all.Bytes += p.Bytes
		all.BytesDone += p.BytesDone
		all.Rate += p.Rate
		all.Left = max(all.Left, p.Left)
	}
	text := fmt.Sprintf("%d/%d images, %s of %s, %s/s", all.ImagesDone, all.Images, size(all.BytesDone), size(all.Bytes), size(int64(all.Rate)))
	if all.Left > 0 {
		text += ", about " + all.Left.Round(time.Second).String() + " left"
	}
	if !b.tty {
		fmt.Fprintln(b.w, text)
		return
	}
	const width = 30
	full := 0
	if all.Bytes > 0 {
		full = int(width * all.BytesDone / all.Bytes)
	}
	full = max(0, min(width, full))
	fmt.Fprintf(b.w, "\r[%s%s] %s\x1b[K", strings.Repeat("#", full), strings.Repeat(".", width-full), text)
	b.drawn = true
}

func (b *bar) end() {
	if b.drawn {
		fmt.Fprintln(b.w)
	}
}

// size writes a number of bytes as people read it.
func size(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d KiB", (n+1023)/1024)
}
