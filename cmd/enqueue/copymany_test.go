package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
)

// TestMapOfFiveThousandLines copies five thousand lines to five repositories:
// every line costs the write of its tag, each image is read once a repository,
// and nothing is asked again by the next run.
func TestMapOfFiveThousandLines(t *testing.T) {
	p := newPort(t)
	unlimited := ecr.Rate{PerSecond: 1e6, Burst: 1e6}
	for _, operation := range []string{"PutImage", "InitiateLayerUpload", "CompleteLayerUpload"} {
		p.aws.Raise(operation, unlimited)
	}
	for k, v := range p.env {
		t.Setenv(k, v)
	}
	const lines, images, repositories = 5000, 10, 5
	var digests []string
	for n := range images {
		digests = append(digests, p.push(fmt.Sprint(n), oci.Build(oci.Spec{Layers: []oci.Layer{{"base": "shared"}, {"n": fmt.Sprint(n)}}})).Digest())
	}
	name := func(n int) string { return fmt.Sprintf("group/app-%d", n%repositories) }
	for n := range repositories {
		if _, err := p.aws.CreateRepository(name(n)); err != nil {
			t.Fatal(err)
		}
	}
	var text strings.Builder
	image := func(n int) int { return n / repositories % images }
	for n := range lines {
		fmt.Fprintf(&text, "%s/group/app@%s\t%s/%s:v%d\n", p.oldHost(), digests[image(n)], p.ecrHost(), name(n), n)
	}
	list := filepath.Join(p.dir, "map")
	write(t, list, text.String())
	copyMap := func() outcome {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), []string{"copy", "--json", "--map", list}, os.Getenv, &stdout, &stderr); code != 0 {
			t.Fatalf("exit %d: %s", code, stderr.String())
		}
		var out outcome
		if err := json.Unmarshal(stdout.Bytes(), &out); err != nil {
			t.Fatal(err)
		}
		if len(out.Lines) != lines || len(out.Targets) != repositories {
			t.Fatalf("%d lines, %d targets", len(out.Lines), len(out.Targets))
		}
		return out
	}

	before := p.aws.Requests()
	out := copyMap()
	for n, l := range out.Lines {
		if l.State != "copied" || l.SourceDigest != digests[image(n)] {
			t.Fatalf("line %d: %s, %s (%s)", n+1, l.State, l.SourceDigest, l.Reason)
		}
	}
	for n := range repositories {
		if got := len(p.aws.Tags(name(n))); got != lines/repositories {
			t.Errorf("%s has %d tags", name(n), got)
		}
	}
	const blobs = (1 + 2*images) * repositories // of a base layer, and a layer and a config each
	after := p.aws.Requests()
	for operation, want := range map[string]int{"PutImage": lines, "CompleteLayerUpload": blobs, "DescribeImages": 2 * repositories} {
		if got := after[operation] - before[operation]; got != want {
			t.Errorf("%d × %s, want %d", got, operation, want)
		}
	}
	if n := out.Requests["source GET manifests"]; n < images*repositories || n > images*repositories+1 {
		t.Errorf("%d manifests read, want each once a repository: %v", n, out.Requests)
	}

	writes := fmt.Sprint(p.aws.Writes())
	out = copyMap()
	for n, l := range out.Lines {
		if l.State != "present" {
			t.Fatalf("again: line %d: %s (%s)", n+1, l.State, l.Reason)
		}
	}
	for what, n := range out.Requests {
		if strings.HasPrefix(what, "source") || strings.HasPrefix(what, "target") {
			t.Errorf("nothing to do, but %d × %s", n, what)
		}
	}
	if got := fmt.Sprint(p.aws.Writes()); got != writes {
		t.Errorf("the second run wrote %s, before %s", got, writes)
	}
}
