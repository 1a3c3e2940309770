package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// TestPatienceOfACopy: a target that refuses every manifest is waited for as long
// as --patience says, over all repositories and tries together.
func TestPatienceOfACopy(t *testing.T) {
	p := newPort(t)
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	p.push("1", oci.Build(oci.Spec{}))
	var lines strings.Builder
	const repositories = 12 // more than are copied to side by side
	for n := range repositories {
		name := fmt.Sprint("group/r", n)
		if _, err := p.aws.CreateRepository(name); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&lines, "%s/group/app:1\t%s/%s:1\n", p.oldHost(), p.ecrHost(), name)
	}
	list := filepath.Join(p.dir, "map")
	write(t, list, lines.String())
	var refused atomic.Int32
	busy := func(r *http.Request) bool {
		return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/manifests/")
	}
	copyMap := func(args ...string) (int, outcome, time.Duration) {
		var stdout, stderr bytes.Buffer
		start := time.Now()
		code := run(t.Context(), append([]string{"copy", "--json", "--map", list}, args...), os.Getenv, &stdout, &stderr)
		took := time.Since(start)
		var out outcome
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			t.Fatalf("%v: %s %s", err, stdout.String(), stderr.String())
		}
		return code, out, took
	}
	p.aws.Inject(func(r *http.Request) (int, string, bool) {
		if !busy(r) {
			return 0, "", false
		}
		refused.Add(1)
		return 429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`, true
	})
	code, out, took := copyMap("--patience", "2s")
	if code != exitNone || took < 2*time.Second || took > 60*time.Second {
		t.Errorf("exit %d after %v", code, took)
	}
	for _, l := range out.Lines {
		if l.State != imagecopy.Failed || !strings.Contains(l.Reason, "ecr PutImage: too many requests") {
			t.Errorf("%s: %s (%s)", l.Target, l.State, l.Reason)
		}
	}
	// One at a time is tried in each pause of 300 ms, beside those of the beginning.
	if n := refused.Load(); n < 2 || n > 60 {
		t.Errorf("%d writes were tried and refused", n)
	}
	// One that lets through in the end is waited for.
	start := time.Now()
	p.aws.Inject(func(r *http.Request) (int, string, bool) {
		if !busy(r) || time.Since(start) > 3*time.Second {
			return 0, "", false
		}
		return 429, `{"errors":[{"code":"TOOMANYREQUESTS","message":"Rate exceeded"}]}`, true
	})
	if code, _, _ = copyMap(); code != 0 {
		t.Errorf("exit %d", code)
	}
}
