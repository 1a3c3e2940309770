package gitlab

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	sandbox "gitlab.sikt.no/platon/ecrferry/internal/sandbox/gitlab"
)

// counted is a client that counts its requests by route.
func (w *world) counted() (*Client, func(route string) int) {
	var mu sync.Mutex
	calls := map[string]int{}
	c, err := New(Options{URL: w.server.URL, Token: sandbox.BotToken, RetryWait: time.Millisecond, Patience: 50 * time.Millisecond,
		Observe: func(method, route string, _ int, _ time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			calls[method+" "+route]++
		}})
	if err != nil {
		w.Fatal(err)
	}
	return c, func(route string) int {
		mu.Lock()
		defer mu.Unlock()
		n := 0
		for k, v := range calls {
			if strings.Contains(k, route) {
				n += v
			}
		}
		return n
	}
}

// odd are files whose bytes a text API may get wrong.
var odd = map[string]string{
	"bom.yml":    "\xef\xbb\xbfa: 1\r\nb: 2\r\n",
	"empty.env":  "",
	"tabs.sh":    "\tx\u2028y\u0085z\n\n",
	"latin1.yml": "# bl\xe5b\xe6r\nimage: x\n",
	"binary.tpl": "a\x00b\n",
	"no-end.yml": "x: y",
	"æ ø/å.yml":  "a: b\n",
}

// want compares files with what was committed.
func wantFiles(t *testing.T, got map[string]File, want map[string]string) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d files, want %d", len(got), len(want))
	}
	for name, content := range want {
		if f := got[name]; string(f.Content) != content || f.Path != name || f.BlobID == "" {
			t.Errorf("%s = %+v, want %q", name, f, content)
		}
	}
}

func TestFilesInBatches(t *testing.T) {
	t.Parallel()
	files := map[string]string{}
	for name, content := range odd {
		files[name] = content
	}
	for i := range 110 {
		files[fmt.Sprintf("ci/%d.yml", i)] = fmt.Sprintf("job%d: {script: x}\n", i)
	}
	w := start(t, sandbox.Seed{Files: files})
	c, calls := w.counted()
	ctx := t.Context()
	entries := blobs(ctx, t, w)
	ctx, asked := Counting(ctx)
	got, err := c.Files(ctx, w.project, "g/p", "main", entries)
	if err != nil {
		t.Fatal(err)
	}
	wantFiles(t, got, files)
	if n := asked(); n != 5 {
		t.Errorf("%d requests were counted, want 5", n)
	}
	// 117 files in three batches; latin1.yml and binary.tpl are no UTF-8 text.
	if n, single := calls("graphql"), calls("/repository/files"); n != 3 || single != 2 {
		t.Errorf("%d batches and %d files one by one, want 3 and 2", n, single)
	}
}

func TestFilesWithoutBatches(t *testing.T) {
	t.Parallel()
	answers := func(status int, body string) sandbox.Fault {
		return func(r *http.Request) (int, string, bool) {
			return status, body, strings.HasSuffix(r.URL.Path, "/graphql")
		}
	}
	for name, f := range map[string]sandbox.Fault{
		"switched off": answers(404, `{"error":"404 Not Found"}`),
		"bad gateway":  answers(502, "<html>"),
		"older server": answers(200, `{"errors":[{"message":"Field 'rawTextBlob' doesn't exist on type 'RepositoryBlob'"}]}`),
		"not visible":  answers(200, `{"data":{"project":null}}`),
		"cut short":    answers(200, `{"data":{"project":{"repository":{"blobs":{"nodes":[{"path":"no-end.yml","rawTextBlob":"x:"}]}}}}}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := start(t, sandbox.Seed{Files: odd})
			entries := blobs(t.Context(), t, w)
			w.server.Inject(f)
			got, err := w.client.Files(t.Context(), w.project, "g/p", "main", entries)
			if err != nil {
				t.Fatal(err)
			}
			wantFiles(t, got, odd)
		})
	}
	t.Run("throttled", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{Files: odd})
		c, calls := w.counted()
		entries := blobs(t.Context(), t, w)
		w.server.Limit(1, 10*time.Minute)
		if _, err := c.Branch(t.Context(), w.project, "main"); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Files(t.Context(), w.project, "g/p", "main", entries); fault.RetryAfter(err) < 9*time.Minute {
			t.Errorf("%v: want a pause of ten minutes", err)
		}
		if n := calls("/repository/files"); n > 0 {
			t.Errorf("%d files were asked for one by one", n)
		}
	})
	t.Run("moved", func(t *testing.T) {
		t.Parallel()
		w := start(t, sandbox.Seed{Files: odd})
		got, err := w.client.Files(t.Context(), w.project, "g/former", "main", blobs(t.Context(), t, w))
		if err != nil {
			t.Fatal(err)
		}
		wantFiles(t, got, odd)
	})
}

func blobs(ctx context.Context, t *testing.T, w *world) []Entry {
	t.Helper()
	tree, err := w.client.Tree(ctx, w.project, "main")
	if err != nil {
		t.Fatal(err)
	}
	var out []Entry
	for _, e := range tree {
		if e.Type == "blob" {
			out = append(out, e)
		}
	}
	return out
}
