package main

import (
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

func TestPicture(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	first := view{at: at, projects: 10, moving: 10}
	last := view{
		at: at.Add(30 * time.Second), projects: 10, ended: 3, failed: 1, moving: 5, human: 1, images: 4, imagesThere: 1, bytes: 4e6, bytesThere: 3e6,
		states: map[store.State]int{store.StateDone: 3, store.StateFailed: 1, store.StateRunning: 6}, intake: store.Intake{Paused: true, Message: "a \x1b[2J cause"},
	}
	p := paceOf([]view{first, last})
	if p.projects != 10 || p.bytes != 1e5 || p.left != 30*time.Second {
		t.Errorf("pace %+v, want 10 projects a minute, 100 kB a second, 30 s left", p)
	}
	lines := last.picture(p, 72)
	all := strings.Join(lines, "\n")
	for _, want := range []string{" 40% 4/10", " 25% 1/4", " 75% 2.9 MiB/3.8 MiB", "6 running, 3 done, 1 failed", "10.0 projects a minute, 98 KiB a second", "the intake is paused: a  [2J cause"} {
		if !strings.Contains(all, want) {
			t.Errorf("the picture lacks %q:\n%s", want, all)
		}
	}
	for _, l := range lines {
		if n := len([]rune(l)); n > 72 {
			t.Errorf("%d columns of 72: %s", n, l)
		}
	}
	var out strings.Builder
	s := &screen{w: &out}
	s.show(last, p)
	s.show(last, p) // nothing changed: no line
	if strings.Count(out.String(), "\n") != 1 || strings.Contains(out.String(), "\x1b") {
		t.Errorf("without a terminal: %q", out.String())
	}
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"})
	m, err := tt.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: 1, Origin: store.KindProject})
	if err != nil {
		t.Fatal(err)
	}
	m.State, m.Step = store.StateDone, store.StepDone
	if _, err := tt.store.SaveMigration(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	if code, out, errs := tt.run("status", "--watch"); code != 0 || !strings.Contains(out, "1 of 1 projects ended (0 need somebody)") {
		t.Errorf("exit %d\n%s%s", code, out, errs)
	}
}

// TestWatchCopies shows the bytes on their way of a copy that runs, and neither
// those of one that ended nor of one whose worker has fallen silent.
func TestWatchCopies(t *testing.T) {
	t.Parallel()
	tt := newTerminal(t, store.Project{ID: 1, Path: "a/one"}, store.Project{ID: 2, Path: "a/two"}, store.Project{ID: 3, Path: "b/three"})
	for id := range int64(3) {
		m, err := tt.store.CreateMigration(t.Context(), store.NewMigration{ProjectID: id + 1, Origin: store.KindProject})
		if err != nil {
			t.Fatal(err)
		}
		m.State, m.Step = store.StateRunning, store.StepCopy
		if m, err = tt.store.SaveMigration(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		c := store.Copying{MigrationID: m.ID, Bytes: 40 << 20, BytesDone: 10 << 20, Rate: 2 << 20}
		if err := tt.store.SaveCopying(t.Context(), c, time.Minute, true, id == 1); err != nil {
			t.Fatal(err)
		}
	}
	s := &session{store: tt.store}
	look := func(sel store.Selection) view {
		t.Helper()
		v, err := s.view(t.Context(), sel)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	v := look(store.Selection{})
	if v.copying != (underWay{projects: 2, bytes: 80 << 20, done: 20 << 20, rate: 4 << 20}) || v.bytesThere != 0 {
		t.Errorf("under way: %+v, %d bytes there", v.copying, v.bytesThere)
	}
	if want := "2 copies under way: 20.0 MiB of 80.0 MiB, 4.0 MiB a second"; !strings.Contains(v.line(), want) {
		t.Errorf("line %q, want %q", v.line(), want)
	}
	if all := strings.Join(v.picture(speed{}, 72), "\n"); !strings.Contains(all, "on its way") || !strings.Contains(all, " 25% 20.0 MiB/80.0 MiB, 4.0 MiB/s") {
		t.Errorf("picture:\n%s", all)
	}
	if v := look(store.Selection{Group: "b"}); v.copying.projects != 1 {
		t.Errorf("of a group: %+v", v.copying)
	}
	if _, err := tt.db.Pool.Exec(t.Context(), `UPDATE ferry.copies SET updated_at = updated_at - interval '1 minute'`); err != nil {
		t.Fatal(err)
	}
	if v := look(store.Selection{}); v.copying.projects != 0 || strings.Contains(v.line(), "under way") {
		t.Errorf("of silent workers: %+v", v.copying)
	}
}
