package ciconfig

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkRewrite rewrites the real projects one after the other: an operation
// is one project. Run it with -cpu 1 for projects a second on one core.
func BenchmarkRewrite(b *testing.B) {
	for _, set := range []string{"platon", "ci"} {
		root := shared(b, "corpus/"+set)
		dirs, err := os.ReadDir(root)
		if err != nil {
			b.Fatal(err)
		}
		var all []Input
		for _, d := range dirs {
			if !d.IsDir() || strings.HasSuffix(d.Name(), ".expected") {
				continue
			}
			ru := corpusRule(d.Name())
			if set == "platon" {
				ru = readRule(b, filepath.Join(root, d.Name()+".rule.json"))
			}
			in := input(readProject(b, filepath.Join(root, d.Name())), ru)
			all = append(all, in)
			b.Run(set+"/"+d.Name(), func(b *testing.B) { rewriteAll(b, []Input{in}) })
		}
		b.Run(set, func(b *testing.B) { rewriteAll(b, all) })
	}
}

func rewriteAll(b *testing.B, ins []Input) {
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		if _, err := Rewrite(ins[n%len(ins)]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "projects/s")
}

// sized is a pipeline of so many parts, with all that makes work: templates,
// anchors, variables, a manifest, a Dockerfile and a script for each.
func sized(parts int) Input {
	var ci strings.Builder
	ci.WriteString("variables:\n  TAG: $CI_COMMIT_SHORT_SHA\n.build: &build\n  stage: build\n  before_script:\n    - docker login -u $U -p $P $CI_REGISTRY\n  script:\n    - docker build -t \"$IMAGE:$TAG\" .\n    - docker push \"$IMAGE:$TAG\"\n")
	var files []File
	for i := range parts {
		fmt.Fprintf(&ci, `
build %[1]d:
  <<: *build
  variables:
    IMAGE: $CI_REGISTRY_IMAGE/part%[1]d
deploy %[1]d:
  stage: deploy
  script:
    # a comment
    - |
      for env in test prod; do
        sed -e "s|IMAGE|$CI_REGISTRY_IMAGE/part%[1]d:$TAG|" k8s/part%[1]d.yaml | kubectl -n "$env" apply -f -
      done
    - sh ci/part%[1]d.sh
`, i)
		files = append(files,
			File{Path: fmt.Sprintf("k8s/part%d.yaml", i), Content: []byte("apiVersion: apps/v1\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n        - image: $CI_REGISTRY_IMAGE/part" + fmt.Sprint(i) + ":$TAG\n")},
			File{Path: fmt.Sprintf("ci/part%d.sh", i), Content: []byte("#!/bin/sh\nset -e\nIMAGE=\"${CI_REGISTRY_IMAGE}/part" + fmt.Sprint(i) + "\"\ndocker pull \"$IMAGE:$TAG\"\n")})
	}
	files = append(files, File{Path: ".gitlab-ci.yml", Content: []byte(ci.String())})
	return input(files, rule{Project: "group/project"})
}

// BenchmarkSize shows how the time grows with the size of a project.
func BenchmarkSize(b *testing.B) {
	for _, parts := range []int{5, 10, 20, 40, 80} {
		in := sized(parts)
		b.Run(fmt.Sprint(parts), func(b *testing.B) { rewriteAll(b, []Input{in}) })
	}
}

// long is one file with so many jobs: moving tags that go, jobs in own images, loops
// and long scripts.
func long(jobs int) Input {
	var ci strings.Builder
	ci.WriteString("include: [{project: asm/gitlab-ci-helpers, file: /gitlab-ci-helpers.yml}]\nbuild:\n  script:\n    - docker push $CI_REGISTRY_IMAGE/tools:$CI_COMMIT_SHA\n")
	for i := range jobs {
		fmt.Fprintf(&ci, `
build %[1]d:
  script:
    - docker build -t "$CI_REGISTRY_IMAGE/image%[1]d:$CI_COMMIT_SHA" -t "$CI_REGISTRY_IMAGE/image%[1]d:latest" .
    - docker push "$CI_REGISTRY_IMAGE/image%[1]d:$CI_COMMIT_SHA"
    - docker push "$CI_REGISTRY_IMAGE/image%[1]d:latest"
test %[1]d:
  image: $CI_REGISTRY_IMAGE/tools:$CI_COMMIT_SHA
  script:
    - |
%[2]s`, i, strings.Repeat("      echo \"a line that has nothing to do with images\" | tee log\n", 20))
	}
	return input(one(ci.String()), rule{Project: "group/project"})
}

// TestLinear: ten times the project takes about ten times the time, not a hundred:
// with many files, and with one long one. It is processor time that counts, the least
// of some tries, so that other work on the machine does not; hence it is not parallel.
func TestLinear(t *testing.T) {
	least := func(in Input, edits int) time.Duration {
		best := time.Duration(math.MaxInt64)
		for range 4 {
			start := cpu(t)
			res, err := Rewrite(in)
			best = min(best, cpu(t)-start)
			if err != nil || len(res.Edits) != edits || res.Blocked() {
				t.Fatalf("%v, %d edits, %+v", err, len(res.Edits), res.Findings)
			}
		}
		return best
	}
	for name, size := range map[string]struct{ small, large time.Duration }{
		"files": {least(sized(30), 61), least(sized(300), 601)},
		"lines": {least(long(15), 1), least(long(150), 1)},
	} {
		ratio := float64(size.large) / float64(size.small)
		t.Logf("%s: %v, %v: %.1f", name, size.small, size.large, ratio)
		if ratio > 25 {
			t.Errorf("ten times the %s take %.1f times as long (%v, %v)", name, ratio, size.small, size.large)
		}
	}
}

// cpu is the processor time that this process has used.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
