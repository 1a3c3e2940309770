package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// watchEvery is the interval between two looks of status --watch.
const watchEvery = time.Second

// watch shows how far the chosen projects are until nothing moves without a
// human, or until it is interrupted: on a terminal as bars that stay in place,
// elsewhere as a line whenever something changed.
func (s *session) watch(cmd *cobra.Command, sel store.Selection) error {
	out := cmd.OutOrStdout()
	screen := &screen{w: out, bars: isTerminal(out)}
	var past []view
	for {
		v, err := s.view(cmd.Context(), sel)
		if errors.Is(err, context.Canceled) && cmd.Context().Err() != nil {
			return nil // ^C ends it in good order
		}
		if err != nil {
			return err
		}
		past = append(past, v)
		if len(past) > paceLooks {
			past = past[1:]
		}
		screen.show(v, paceOf(past))
		if v.settled() {
			return nil
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-time.After(watchEvery):
		}
	}
}

// view is what one look saw.
type view struct {
	at       time.Time
	projects int
	ended    int // done, exceptions and skipped
	failed   int // failed, attention and cancelled
	moving   int
	human    int // waits for a merge, for production, or for somebody to resume it
	states   map[store.State]int

	images, imagesThere int64
	bytes, bytesThere   int64
	copying             underWay
	intake              store.Intake
	run                 store.Run
}

// underWay are the copies that run: their bytes count here until their images do.
type underWay struct {
	projects    int
	bytes, done int64
	rate        float64 // bytes a second
}

// silent is after how long without a word a copy is not under way any more: its
// worker writes every few seconds.
const silent = 30 * time.Second

func (s *session) view(ctx context.Context, sel store.Selection) (view, error) {
	v := view{states: map[store.State]int{}}
	var err error
	if v.at, err = s.store.Now(ctx); err != nil {
		return v, err
	}
	if v.intake, err = s.store.Intake(ctx); err != nil {
		return v, err
	}
	if v.run, err = s.store.LatestRun(ctx); err != nil && !errors.Is(err, store.ErrNotFound) {
		return v, err
	}
	rows, err := s.store.Status(ctx, sel)
	if err != nil {
		return v, err
	}
	copies, err := s.store.Copies(ctx)
	if err != nil {
		return v, err
	}
	running := map[int64]store.Copying{}
	for _, c := range copies {
		if v.at.Sub(c.UpdatedAt) < silent {
			running[c.MigrationID] = c
		}
	}
	for _, r := range rows {
		if r.MigrationID == 0 {
			continue
		}
		v.projects++
		v.states[r.State]++
		if c, ok := running[r.MigrationID]; ok && r.State == store.StateRunning {
			v.copying.projects++
			v.copying.bytes += c.Bytes
			v.copying.done += c.BytesDone
			v.copying.rate += c.Rate
		}
		switch r.State {
		case store.StateDone, store.StateExceptions, store.StateSkipped:
			v.ended++
		case store.StateFailed, store.StateAttention, store.StateCancelled:
			v.failed++
		default:
			if needsHuman(r) {
				v.human++
			} else {
				v.moving++
			}
		}
		v.imagesThere += r.Copied + r.Present
		v.images += r.Copied + r.Present + r.Planned
		v.bytesThere += r.BytesCopied
		v.bytes += r.BytesCopied + r.BytesPlanned
	}
	return v, nil
}

// needsHuman says whether an active migration waits for somebody to act.
func needsHuman(r store.Status) bool {
	return jobs.Gated(r.Reason) || r.State == store.StateWaiting && (r.Reason == "production" || r.Reason == "merge-request")
}

// settled says whether nothing moves any more without a human.
func (v view) settled() bool {
	walking := v.run.State == store.RunQueued || v.run.State == store.RunWalking
	return v.moving == 0 && !walking
}

// paceLooks is over how many looks the pace is taken.
const paceLooks = 60

// speed is how fast things go, by the looks so far; zero when that is not known.
type speed struct {
	projects float64 // ended a minute
	bytes    float64 // a second
	left     time.Duration
}

func paceOf(past []view) speed {
	first, last := past[0], past[len(past)-1]
	took := last.at.Sub(first.at)
	if took <= 0 {
		return speed{}
	}
	ended := float64(last.ended + last.failed + last.human - first.ended - first.failed - first.human)
	p := speed{
		projects: max(0, ended/took.Minutes()),
		bytes:    max(0, float64(last.bytesThere-first.bytesThere)/took.Seconds()),
	}
	if p.projects > 0 {
		p.left = time.Duration(float64(last.moving) / p.projects * float64(time.Minute))
	}
	return p
}

// screen draws views one over the other, or prints them as lines.
type screen struct {
	w     io.Writer
	bars  bool
	lines int // that stand on the terminal
	last  string
	at    time.Time // of last
}

// lineEvery is the least time between two lines where there is no terminal.
const lineEvery = 2 * time.Second

func (s *screen) show(v view, p speed) {
	if !s.bars {
		// A line that only counts bytes comes now and then.
		if text := v.line(); text != s.last && (v.at.Sub(s.at) > lineEvery || v.settled()) {
			s.last, s.at = text, v.at
			fmt.Fprintf(s.w, "%s %s\n", v.at.UTC().Format(time.TimeOnly), text)
		}
		return
	}
	// One write a picture: the lines are replaced where they stand, and what was
	// longer is cleared behind them, so nothing flickers.
	var b strings.Builder
	if s.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", s.lines)
	}
	picture := v.picture(p, columns(s.w))
	for _, l := range picture {
		b.WriteString("\r" + l + "\x1b[K\n")
	}
	if s.lines > len(picture) {
		b.WriteString("\x1b[J")
	}
	s.lines = len(picture)
	io.WriteString(s.w, b.String())
}

// line is the view for a log.
func (v view) line() string {
	text := fmt.Sprintf("%d of %d projects ended (%d need somebody), %d moving, %d waiting for somebody; images %d/%d; %s of %s",
		v.ended+v.failed, v.projects, v.failed, v.moving, v.human, v.imagesThere, v.images, size(v.bytesThere), size(v.bytes))
	if v.copying.projects > 0 {
		text += "; " + v.copying.tell()
	}
	if v.intake.Paused {
		text += "; the intake is paused: " + printable(v.intake.Message)
	}
	return text
}

// tell says what is on its way right now.
func (u underWay) tell() string {
	copies := "1 copy"
	if u.projects > 1 {
		copies = fmt.Sprintf("%d copies", u.projects)
	}
	return fmt.Sprintf("%s under way: %s of %s, %s a second", copies, size(u.done), size(u.bytes), size(int64(u.rate)))
}

// picture is the view for a terminal of that many columns.
func (v view) picture(p speed, columns int) []string {
	const label = 11
	bar := func(name string, part, whole int64, text string) string {
		width := max(10, columns-label-len(text)-8)
		full, percent := 0, int64(0)
		if whole > 0 {
			full, percent = int(part*int64(width)/whole), part*100/whole
		}
		return cutTo(fmt.Sprintf("%-*s%s%s %3d%% %s", label, name, strings.Repeat("█", full), strings.Repeat("░", width-full), percent, text), columns)
	}
	var states []string
	for _, st := range allStates {
		if n := v.states[st]; n > 0 {
			states = append(states, fmt.Sprintf("%d %s", n, st))
		}
	}
	out := []string{
		bar("projects", int64(v.ended+v.failed), int64(v.projects), fmt.Sprintf("%d/%d", v.ended+v.failed, v.projects)),
		bar("images", v.imagesThere, v.images, fmt.Sprintf("%d/%d", v.imagesThere, v.images)),
		bar("bytes", v.bytesThere, v.bytes, size(v.bytesThere)+"/"+size(v.bytes)),
	}
	if v.copying.projects > 0 {
		out = append(out, bar("on its way", v.copying.done, v.copying.bytes,
			fmt.Sprintf("%s/%s, %s/s", size(v.copying.done), size(v.copying.bytes), size(int64(v.copying.rate)))))
	}
	out = append(out,
		cutTo(fmt.Sprintf("%-*s%s", label, "", strings.Join(states, ", ")), columns))
	speed := "the pace is not known yet"
	if p.projects > 0 || p.bytes > 0 {
		speed = fmt.Sprintf("%.1f projects a minute, %s a second", p.projects, size(int64(p.bytes)))
		if p.left > 0 {
			speed += fmt.Sprintf(", about %s left, waits for somebody aside", p.left.Round(time.Second))
		}
	}
	out = append(out, cutTo(fmt.Sprintf("%-*s%s", label, "", speed), columns))
	if v.intake.Paused {
		out = append(out, cutTo(fmt.Sprintf("%-*sthe intake is paused: %s", label, "", printable(v.intake.Message)), columns))
	}
	return out
}

// columns is how wide w is, 80 when it does not say.
func columns(w io.Writer) int {
	if f, ok := w.(*os.File); ok {
		if n, _, err := term.GetSize(int(f.Fd())); err == nil && n >= 40 {
			return n
		}
	}
	return 80
}

func cutTo(s string, columns int) string {
	if r := []rune(s); len(r) > columns {
		return string(r[:columns-1]) + "…"
	}
	return s
}

// printable takes out what could steer a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return ' '
		}
		return r
	}, s)
}
