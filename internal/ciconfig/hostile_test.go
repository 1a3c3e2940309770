package ciconfig

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestHostile: bad input ends soon and with a word, never in a panic.
func TestHostile(t *testing.T) {
	t.Parallel()
	bomb := "a0: &a0 [x]\n"
	for i := 1; i < 60; i++ {
		bomb += fmt.Sprintf("a%d: &a%d [*a%d, *a%d, *a%d]\n", i, i, i-1, i-1, i-1)
	}
	bomb += "job:\n  script: *a59\n  image: $CI_REGISTRY_IMAGE/x:1\n"
	merge := "m0: &m0 {k: $CI_REGISTRY_IMAGE/x}\n"
	for i := 1; i < 40; i++ {
		merge += fmt.Sprintf("m%d: &m%d\n  <<: [*m%d, *m%d]\n", i, i, i-1, i-1)
	}
	vars := "variables:\n  V0: $CI_REGISTRY_IMAGE/x:1\n"
	for i := 1; i < 60; i++ {
		vars += fmt.Sprintf("  V%d: $V%d$V%d\n", i, i-1, i-1)
	}
	vars += "job:\n  script: [docker push $V59]\n"
	row := "variables:\n  V0: $CI_REGISTRY_IMAGE/x:1\n"
	for i := 1; i < 20_000; i++ {
		row += fmt.Sprintf("  V%d: $V%d$V%d\n", i, i-1, i-1)
	}
	row += "job:\n  script: [docker push $V19999]\n"
	args := "ARG V0=registry.uninett.no/group/project/x\n"
	for i := 1; i < 60; i++ {
		args += fmt.Sprintf("ARG V%d=$V%d$V%d\n", i, i-1, i-1)
	}
	calls := ""
	for i := range 40 {
		calls += fmt.Sprintf("    f%d() { f%d; f%d; }\n", i, i+1, i+1)
	}
	branches, values, exports, recipes := "", "", "", ""
	for i := range 1500 {
		branches += fmt.Sprintf("    - if: $CI_COMMIT_BRANCH == \"b%d\"\n      variables: {T: t%d}\n", i, i)
		exports += fmt.Sprintf("export V%d = $(CI_REGISTRY_IMAGE)/a%d\n", i, i)
		recipes += fmt.Sprintf("\t./x.sh %d\n", i)
	}
	for i := range 30_000 {
		values += fmt.Sprintf("a%d,", i)
	}
	cases := map[string]struct {
		files []File
		code  Code
	}{
		"alias bomb":           {one(bomb), ""},
		"merge bomb":           {one(merge), ""},
		"variable bomb":        {one(vars), ""},
		"function bomb":        {one("job:\n  script:\n  - |\n" + calls + "    f0\n    docker push $CI_REGISTRY_IMAGE/x:1\n"), ""},
		"large file":           {[]File{{".gitlab-ci.yml", bytes.Repeat([]byte("# $CI_REGISTRY_IMAGE/x\n"), 100<<20/23)}}, "yaml-invalid"},
		"large script":         {append(one("job: {script: [make]}\n"), File{"x.sh", bytes.Repeat([]byte("docker push $CI_REGISTRY_IMAGE/x:1\n"), 60_000)}), "file-too-large"},
		"large script, called": {append(one("job: {script: [./x.sh]}\n"), File{"x.sh", bytes.Repeat([]byte("docker push $CI_REGISTRY_IMAGE/x:1\n"), 3_000_000)}), "file-too-large"},
		"deep flow":            {one("a: " + strings.Repeat("[", 100_000)), "yaml-invalid"},
		"deep block":           {one(deep(3000)), ""},
		"invalid UTF-8":        {one("job:\n  script: [\"docker push $CI_REGISTRY_IMAGE/\xff:1\"]\n"), "yaml-invalid"},
		"include cycle":        {append(one("include: a.yml\n"), File{"a.yml", []byte("include: [.gitlab-ci.yml, a.yml]\njob:\n  script: [docker push $CI_REGISTRY_IMAGE/x:1]\n")}), ""},
		"extends cycle":        {one("a: {extends: b, script: [x]}\nb: {extends: a, script: [y]}\n"), ""},
		"self variable":        {one("variables: {A: $B, B: $A/x, C: $C-x}\njob: {script: [docker push $CI_REGISTRY_IMAGE/$A:$C], image: $A}\n"), ""},
		"row of variables":     {one(row), "truncated"},
		"ARG bomb":             {append(one("job: {script: [docker build .]}\n"), File{"Dockerfile", []byte(args + "FROM $V59:1\n")}), ""},
		"ARG of itself":        {append(one("job: {script: [docker build .]}\n"), File{"Dockerfile", []byte("ARG A=${A}\nARG B=$C\nARG C=$B\nFROM registry.uninett.no/group/project/x:$A$B\n")}), ""},
		"reference loop":       {one("a: {script: [!reference [b, script]]}\nb: {script: [!reference [a, script]]}\n"), ""},
		"empty":                {one(""), ""},
		"scalar":               {one("hello"), ""},
		"list":                 {one("- a\n- b\n"), ""},
		"chain":                {one("job:\n  script:\n    - docker push $CI_REGISTRY_IMAGE/x:1 " + strings.Repeat("&& y ", 200_000) + "\n"), ""},
		"slashes":              {one("job:\n  script:\n    - docker push $CI_REGISTRY_IMAGE/" + strings.Repeat("a/", 500_000) + "x:1\n"), "name-unknown"},
		"words":                {one("job:\n  script:\n    - echo $CI_REGISTRY_IMAGE/x" + strings.Repeat(" y", 200_000) + "\n"), ""},
		"one line of JSON":     {append(one("job: {script: [docker push $CI_REGISTRY_IMAGE/x:1]}\n"), File{"k8s/a.json", []byte("[" + strings.Repeat(`"registry.uninett.no/group/project/x:1",`, 3000) + "1]")}), ""},
		"put before itself":    {one("job:\n  script:\n" + strings.Repeat("    - T=\"$T -t $CI_REGISTRY_IMAGE/x:1\"\n", 150) + "    - docker build --push $T .\n"), "too-many"},
		"here-documents":       {one("job:\n  script:\n    - |\n" + strings.Repeat("      cat <<EOF > f\n      image: $CI_REGISTRY_IMAGE/x:1\n      EOF\n", 500)), ""},
		"rules":                {one("job:\n  script: [docker push $CI_REGISTRY_IMAGE/x:$T]\n  rules:\n" + strings.Repeat("    - if: $A == \"x\"\n      variables: {T: t}\n", 1000)), ""},
		"rules for branches":   {one("job:\n  script: [docker push $CI_REGISTRY_IMAGE/x:$T]\n  rules:\n" + branches), ""},
		"matrix":               {one("job:\n  script: [docker push $CI_REGISTRY_IMAGE/$N:1]\n  parallel: {matrix: [{N: [" + values + "]}]}\n"), ""},
		"list for an input":    {append(one("include: {local: t.yml, inputs: {l: ["+values+"]}}\n"), File{"t.yml", []byte("spec: {inputs: {l: {type: array}}}\n---\njob:\n  script: [docker push $CI_REGISTRY_IMAGE/$N:1]\n  parallel: {matrix: [{N: $[[ inputs.l ]]}]}\n")}), ""},
		"exports of make":      {append(one("job: {script: [make all]}\n"), File{"Makefile", []byte(exports + "all:\n" + recipes)}), ""},
		"old host in a line":   {one("job:\n  script:\n    - echo" + strings.Repeat(" registry.uninett.no", 30_000) + "\n"), ""},
		"odd types":            {one("job: {script: {a: b}, image: [a], services: x, variables: [a], extends: {a: b}, parallel: x, rules: y, include: {local: [a]}}\ninclude: {local: {a: b}}\n"), ""},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			res, err := Rewrite(input(c.files, rule{Project: "group/project"}))
			if took := time.Since(start); took > time.Minute {
				t.Errorf("took %v", took)
			}
			if err != nil {
				t.Fatalf("a fault of the rewriter: %v", err)
			}
			if c.code == "" {
				return
			}
			for _, f := range res.Findings {
				if f.Code == c.code {
					return
				}
			}
			t.Errorf("no finding %s in %+v", c.code, res.Findings)
		})
	}
}

// TestManyJobs: more references than are compared are told in time that grows with the
// file. It is not parallel, as it measures processor time.
func TestManyJobs(t *testing.T) {
	took := func(jobs int) time.Duration {
		var ci strings.Builder
		for i := range jobs {
			fmt.Fprintf(&ci, "j%d:\n  script: [docker push $CI_REGISTRY_IMAGE/a%d:1]\n", i, i)
		}
		in := input(one(ci.String()), rule{Project: "group/project"})
		start := cpu(t)
		res, err := Rewrite(in)
		if err != nil || !res.Blocked() {
			t.Fatalf("%v, %d findings", err, len(res.Findings))
		}
		return cpu(t) - start
	}
	small, large := min(took(6000), took(6000)), took(24_000)
	if t.Logf("%v, %v", small, large); large > 10*small {
		t.Errorf("four times the jobs take %v instead of %v", large, small)
	}
}

func one(content string) []File { return []File{{".gitlab-ci.yml", []byte(content)}} }

func deep(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

// TestColours: the brackets of escape sequences, which nothing closes, nest nothing.
func TestColours(t *testing.T) {
	t.Parallel()
	ci := "build:\n  script:\n" + strings.Repeat("    - echo -e \"\\e[0Ksection_start:1:a\\r\\e[0Kbuild\"\n", 80) + "    - docker push $CI_REGISTRY_IMAGE/api:$CI_COMMIT_SHA\n"
	res, err := Rewrite(input(one(ci), rule{Project: "group/project"}))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(res.Diff(), "$CI_REGISTRY_IMAGE:api-$CI_COMMIT_SHA") {
		t.Errorf("not rewritten: %+v", res.Findings)
	}
}
