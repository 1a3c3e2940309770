package dashboard

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

var noon = time.Date(2026, 11, 2, 12, 0, 0, 0, time.UTC)

func TestPredict(t *testing.T) {
	t.Parallel()
	steady := []int{0, 0, 10, 20, 30, 40, 50, 60, 70, 80} // ten an hour, since the third
	for _, c := range []struct {
		name  string
		total int
		done  []int
		known bool
		eta   time.Duration // from now
		why   string
	}{
		{"nothing yet", 10, nil, false, 0, "nothing has begun"},
		{"too few", 100, []int{0, 1, 4}, false, 0, "too few"},
		{"all done", 80, steady, false, 0, "nothing remains"},
		{"more than all", 70, steady, false, 0, "nothing remains"},
		{"steady", 180, steady, true, 10 * time.Hour, ""},
		{"standing still", 100, []int{0, 40, 50, 50, 50, 50, 50, 50, 50, 50}, false, 0, "nothing was done"},
		{"getting faster", 200, []int{10, 20, 30, 40, 50, 60, 70, 80, 100, 120}, true, 4*time.Hour + 48*time.Minute, ""},
		{"undone again", 100, []int{10, 20, 30, 40, 50, 60, 70, 80, 70, 60}, false, 0, "nothing was done"},
	} {
		now := noon.Add(time.Duration(len(c.done)) * time.Hour)
		f := predict(c.total, c.done, noon, time.Hour, now)
		if f.Known != c.known || c.known && f.ETA.Sub(now).Round(time.Minute) != c.eta || !strings.Contains(f.Why, c.why) {
			t.Errorf("%s: %+v, in %v", c.name, f, f.ETA.Sub(now))
		}
		if f.Known && (f.Early.After(f.ETA) || f.Late.Before(f.ETA) || f.Early.Before(now)) {
			t.Errorf("%s: %v is not between %v and %v", c.name, f.ETA, f.Early, f.Late)
		}
	}
	// A pace of next to nothing neither overflows nor lies in the past.
	slow := predict(1_000_000_000, []int{1, 2, 3, 4, 5, 6}, noon, time.Hour, noon.Add(6*time.Hour))
	if !slow.Known || day(slow.ETA, noon) != "no date in sight" {
		t.Errorf("%+v", slow)
	}
}

func TestSpan(t *testing.T) {
	t.Parallel()
	for back := time.Second; back < 20*365*24*time.Hour; back = back*3/2 + time.Second {
		now := noon.Add(17 * time.Second)
		s := spanOf(now.Add(-back), now)
		if s.Begin.After(now.Add(-back)) || !s.end(s.Slots-1).After(now) || s.Slots > mostSlots+2 && s.Slot < slotLengths[len(slotLengths)-1] {
			t.Fatalf("%v back: %+v", back, s)
		}
		if s.index(now) != s.Slots-1 || s.index(s.Begin) != 0 || s.index(s.Begin.Add(-1)) != -1 {
			t.Fatalf("%v back: slots %d %d", back, s.index(now), s.index(s.Begin))
		}
	}
}

// TestHistory adds up moves: whatever moves, nobody is lost or counted twice.
func TestHistory(t *testing.T) {
	t.Parallel()
	h := history{span: span{noon, time.Hour, 3}}
	at := func(n int) time.Time { return noon.Add(time.Duration(n) * time.Hour) }
	h.read([]store.Move{
		{Slot: at(-1), From: store.BandNone, To: store.BandActive, Projects: 5},
		{Slot: at(-1), From: store.BandActive, To: store.BandDone, Projects: 2},
		{Slot: at(0), From: store.BandActive, To: store.BandFailed, Projects: 1},
		{Slot: at(2), From: store.BandFailed, To: store.BandActive, Projects: 1},
		{Slot: at(2), From: store.BandActive, To: store.BandDone, Projects: 3},
		{Slot: at(2), From: store.BandDone, To: store.BandNone, Projects: 1},
	}, []store.Copied{{Slot: at(1), Images: 4, Bytes: 90}})
	for band, want := range map[store.Band]string{
		store.BandActive: "[2 2 0]", store.BandDone: "[2 2 4]", store.BandFailed: "[1 1 0]", store.BandWaiting: "[0 0 0]",
	} {
		if got := fmt.Sprint(h.In[band]); got != want {
			t.Errorf("%s: %s, want %s", band, got, want)
		}
	}
	if fmt.Sprint(h.Finished, h.Images, h.Bytes) != "[0 0 3] [0 4 0] [0 90 0]" {
		t.Error(h.Finished, h.Images, h.Bytes)
	}
}

// FuzzTokens colours any line: the text stays whole whatever it is.
func FuzzTokens(f *testing.F) {
	for _, line := range []string{
		`  - docker push "$CI_REGISTRY_IMAGE/api:${TAG:-latest}" # twice`, "key: value", "- - a: 'b'", "FROM alpine:3 AS x", `don't "stop`, "$", "${", "$[[ inputs.x ]]", "#", "\t#x", ": :", `'$A'`,
	} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, l := range []language{plain, yamlLike, dockerfile} {
			var b strings.Builder
			for _, p := range tokens(l, line) {
				b.WriteString(p.Text)
			}
			if b.String() != line {
				t.Fatalf("%q became %q", line, b.String())
			}
		}
	})
}

func TestTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		language language
		line     string
		want     string
	}{
		{yamlLike, `  IMAGE: "$HOST/api" # ours`, `  |key:IMAGE:| |string:"|variable:$HOST|string:/api"| |comment:# ours`},
		{yamlLike, `- docker push ${IMAGE}:1`, `- docker push |variable:${IMAGE}|:1`},
		{yamlLike, `  # key: value`, `  |comment:# key: value`},
		{yamlLike, `- echo don't`, `- echo don't`},
		{dockerfile, `FROM $BASE:3`, `key:FROM| |variable:$BASE|:3`},
		{plain, `key: "value"`, `key: "value"`},
	} {
		var parts []string
		for _, p := range tokens(c.language, c.line) {
			text := p.Text
			if p.Class != "" {
				text = p.Class + ":" + text
			}
			parts = append(parts, text)
		}
		if got := strings.Join(parts, "|"); got != c.want {
			t.Errorf("%q: %s\nwant %s", c.line, got, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	no, yes := false, true
	for got, want := range map[string]string{
		size(0): "0 B", size(999): "999 B", size(1000): "1.0 kB", size(999_950): "1.0 MB", size(12_345_678_901): "12 GB",
		count(0): "0", count(999): "999", count(1000): "1,000", count(-1234567): "−1,234,567",
		took(30 * time.Millisecond): "30 ms", took(61 * time.Second): "1 min 1 s", took(49 * time.Hour): "2 d 1 h", took(time.Hour): "1 h",
		verdict(nil): "", verdict(&no): "no", verdict(&yes): "yes", digest("sha256:0123456789abcdef"): "0123456789ab", digest(""): "",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
