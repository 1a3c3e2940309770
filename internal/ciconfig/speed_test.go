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

// TestLinear: four times the project takes about four times the time, not
// sixteen. It is processor time that counts, the least of some tries, so that
// other work on the machine does not; hence it is not parallel.
func TestLinear(t *testing.T) {
	least := func(parts int) time.Duration {
		in := sized(parts)
		best := time.Duration(math.MaxInt64)
		for range 5 {
			start := cpu(t)
			res, err := Rewrite(in)
			best = min(best, cpu(t)-start)
			if err != nil || len(res.Edits) != 2*parts+1 || res.Blocked() {
				t.Fatalf("%d parts: %v, %d edits, %+v", parts, err, len(res.Edits), res.Findings)
			}
		}
		return best
	}
	small, large := least(25), least(100)
	if ratio := float64(large) / float64(small); ratio > 8 {
		t.Errorf("four times the size takes %.1f times as long (%v, %v)", ratio, small, large)
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
