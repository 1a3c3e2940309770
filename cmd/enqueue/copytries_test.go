package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// What an earlier try meant to bring along is asked for until it is there: the
// image itself is taken for done by then, and not asked about again.
func TestReferrersOfAnEarlierTry(t *testing.T) {
	t.Parallel()
	row := func(digest string, s imagecopy.State) imagecopy.Image {
		return imagecopy.Image{SourceRepository: "group/app", SourceDigest: digest, TargetRepository: "group/app", State: s}
	}
	g := &group{repository: "group/app", lines: []*line{{pair: imagecopy.Pair{Repository: "group/app", Tag: "1", TargetTag: "1"}}}}
	g.alongside([]imagecopy.Image{row("sha256:a", imagecopy.Planned), row("sha256:b", imagecopy.Planned), row("sha256:c", imagecopy.Invalid)})
	g.alongside([]imagecopy.Image{row("sha256:a", imagecopy.Copied)})
	g.alongside([]imagecopy.Image{row("sha256:b", imagecopy.Failed)})
	if r := g.request(true, true); len(r.Pairs) != 2 || r.Pairs[1].Digest != "sha256:b" || r.Pairs[1].TargetTag != "" {
		t.Errorf("asked for %+v", r.Pairs)
	}
	g.alongside([]imagecopy.Image{row("sha256:a", imagecopy.Present), row("sha256:b", imagecopy.Copied)})
	if r := g.request(true, true); len(r.Pairs) != 1 || len(g.along) != 3 || g.along[0].State != imagecopy.Copied {
		t.Errorf("asked for %+v, along %+v", r.Pairs, g.along)
	}
}

// Two lines may name the same tag of the past by two digests; each is told what
// came of its own.
func TestLinesOfOneTagAndTwoDigests(t *testing.T) {
	p := newPort(t)
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	layered := func(s string) oci.Image { return oci.Build(oci.Spec{Layers: []oci.Layer{{"n": s}}}) }
	good, bad := p.push("1", layered("good")), p.push("2", layered("bad"))
	p.old.Inject(func(r *http.Request) (int, string, bool) {
		for d := range bad.Blobs {
			if _, both := good.Blobs[d]; !both && strings.HasSuffix(r.URL.Path, "/blobs/"+d) {
				return 404, `{"errors":[{"code":"BLOB_UNKNOWN","message":"blob unknown to registry"}]}`, true
			}
		}
		return 0, "", false
	})
	list := filepath.Join(p.dir, "map")
	source, to := p.oldHost()+"/group/app:1@", p.ecrHost()+"/group/app"
	write(t, list, source+good.Digest()+"\t"+to+"\n"+source+bad.Digest()+"\t"+to+"\n"+source+good.Digest()+"\t"+to+"\n")
	var stdout, stderr bytes.Buffer
	code := run(t.Context(), []string{"copy", "--json", "--map", list}, os.Getenv, &stdout, &stderr)
	var out outcome
	if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
		t.Fatalf("%v: %s", err, stdout.String())
	}
	if code != exitSome || out.Lines[0].State != imagecopy.Copied || out.Lines[1].State != imagecopy.Invalid || out.Lines[2].State != imagecopy.Copied {
		t.Errorf("%d: %s, %s, %s; %s", code, out.Lines[0].State, out.Lines[1].State, out.Lines[2].State, stderr.String())
	}
	if out.Lines[0].SourceDigest != good.Digest() || out.Lines[1].SourceDigest != bad.Digest() {
		t.Errorf("the lines are mixed up: %+v", out.Lines)
	}
}

// A map may come from an editor of Windows; what is wrong with it is told by
// line; and what would not work is told before it is tried.
func TestMapsAsTheyCome(t *testing.T) {
	p := newPort(t)
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	p.push("1", oci.Build(oci.Spec{Layers: []oci.Layer{{"n": "1"}}}))
	list := filepath.Join(p.dir, "map")
	copyMap := func(lines string, args ...string) (int, string, string) {
		t.Helper()
		write(t, list, strings.NewReplacer("OLD", p.oldHost()+"/group/app", "ECR", p.ecrHost()+"/group").Replace(lines))
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), append([]string{"copy", "--map", list}, args...), os.Getenv, &stdout, &stderr)
		return code, stdout.String(), stderr.String()
	}
	if code, out, stderr := copyMap("\ufeffOLD:1\tECR/app:windows\r\n"); code != 0 {
		t.Errorf("with a byte order mark: %d %s %s", code, out, stderr)
	}
	if code, _, stderr := copyMap("OLD:1\tECR/app:1\n" + strings.Repeat("x", 100_000)); code != exitUsage || !strings.Contains(stderr, "line 2: ") {
		t.Errorf("a line that is too long: %d %s", code, stderr)
	}
	if code, out, _ := copyMap("OLD:none\tECR/app:none\n"); code != exitNone || !strings.Contains(out, "not in the old registry") {
		t.Errorf("a tag that is not there: %d %s", code, out)
	}
	if code, out, _ := copyMap("OLD:1\tECR/none:1\n", "--dry-run"); code != 0 || !strings.Contains(out, "repository does not exist yet") {
		t.Errorf("dry run to a repository that is missing: %d %s", code, out)
	}
	if code, _, stderr := copyMap("OLD:1\tECR/none:1\n"); code != exitNone || !strings.Contains(stderr, "\nnext: create the repository") {
		t.Errorf("a repository that is missing: %d %s", code, stderr)
	}
	var all strings.Builder
	for range 500 {
		all.WriteString("OLD:1\tECR/none:1\n")
	}
	if code, out, _ := copyMap(all.String()); code != exitNone || strings.Count(out, "\n") > 50 || !strings.Contains(out, "480 more lines") {
		t.Errorf("what fails for one reason: %d, %d lines: %s", code, strings.Count(out, "\n"), out[:min(len(out), 500)])
	}
}
