package registry_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// resumed serves a blob whose first answer is cut in the middle; what follows is
// answered by then.
func resumed(t *testing.T, body []byte, then func(w http.ResponseWriter, from int)) string {
	t.Helper()
	var n atomic.Int64
	return serve(t, func(w http.ResponseWriter, r *http.Request) {
		if n.Add(1) == 1 {
			w.Header().Set("Content-Length", strconv.Itoa(len(body)))
			_, _ = w.Write(body[:len(body)/2])
			panic(http.ErrAbortHandler)
		}
		from, _ := strconv.Atoi(strings.TrimSuffix(strings.TrimPrefix(r.Header.Get("Range"), "bytes="), "-"))
		then(w, from)
	})
}

// A storage may begin a range earlier than it was asked to, for example at the
// start of its own block: that counts by what its answer says.
func TestRangeThatBeginsElsewhere(t *testing.T) {
	t.Parallel()
	body, d := content(1 << 20)
	for name, begin := range map[string]func(from int) int{"before": func(from int) int { return from - 1000 }, "behind": func(from int) int { return from + 1000 }} {
		url := resumed(t, body, func(w http.ResponseWriter, from int) {
			from = begin(from)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(body)-1, len(body)))
			w.Header().Set("Content-Length", strconv.Itoa(len(body)-from))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(body[from:])
		})
		r, err := client(t, registry.Options{Name: "old.no", URL: url, Tries: 2}).Blob(t.Context(), "g/p", d)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(r)
		_ = r.Close()
		if name == "before" && (err != nil || !bytes.Equal(got, body)) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if name == "behind" && (err == nil || !bytes.Equal(got, body[:len(got)])) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
}

// A storage without ranges sends a blob from the start again, and can stand
// still while what is there already is read over.
func TestStandstillWhileReadingOver(t *testing.T) {
	t.Parallel()
	body, d := content(1 << 20)
	done := make(chan struct{})
	url := resumed(t, body, func(w http.ResponseWriter, _ int) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_, _ = w.Write(body[:1000])
		w.(http.Flusher).Flush()
		<-done
	})
	t.Cleanup(func() { close(done) })
	r, err := client(t, registry.Options{Name: "old.no", URL: url, Stall: 50 * time.Millisecond, Tries: 1}).Blob(t.Context(), "g/p", d)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() {
		_, err := io.ReadAll(r)
		ended <- err
	}()
	select {
	case err := <-ended:
		if fault.ClassOf(err) != fault.Transient {
			t.Errorf("%v (%s)", err, fault.ClassOf(err))
		}
	case <-time.After(20 * time.Second):
		t.Error("the standstill was not noticed")
	}
	_ = r.Close()
}
