package ciconfig

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"golang.org/x/tools/txtar"
)

// seeds are the CI files and scripts of the golden cases.
func seeds(f *testing.F, add func(path, content string)) {
	f.Helper()
	cases, err := filepath.Glob("testdata/*.txtar")
	if err != nil {
		f.Fatal(err)
	}
	for _, c := range cases {
		b, err := os.ReadFile(c)
		if err != nil {
			f.Fatal(err)
		}
		for _, x := range txtar.Parse(b).Files {
			if !strings.HasPrefix(x.Name, "want") {
				add(x.Name, string(x.Data))
			}
		}
	}
}

// FuzzRewrite: no CI file makes the rewriter panic or fail its own proof, and
// rewriting twice is rewriting once.
func FuzzRewrite(f *testing.F) {
	seeds(f, func(_, content string) { f.Add(content) })
	f.Fuzz(func(t *testing.T, content string) {
		if len(content) > 20_000 {
			return
		}
		in := input(one(content), rule{Project: "group/project", OldBases: []string{"registry.uninett.no/public/kart"}})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatalf("%v\n%s", err, content)
		}
		invariants(t, in, res)
	})
}

// FuzzShell: no script makes the rewriter panic; what comes out is a script.
func FuzzShell(f *testing.F) {
	seeds(f, func(path, content string) {
		if strings.HasSuffix(path, ".sh") {
			f.Add(content)
		}
	})
	f.Add("for i in a b; do docker push \"$CI_REGISTRY_IMAGE/$i:${TAG:-x}\" | tee log; done\n")
	f.Add("name() { echo \"$CI_REGISTRY_IMAGE/$1\"; }\ndocker push $(name api):1 && docker push $CI_REGISTRY_IMAGE/web || true\n")
	f.Add("cat <<EOF > x\nimage: $CI_REGISTRY_IMAGE/api:1\nEOF\ncase $A in x) B=$CI_REGISTRY_IMAGE/y;; esac; docker tag $B:1 ${B}:latest\n")
	f.Fuzz(func(t *testing.T, script string) {
		if len(script) > 20_000 {
			return
		}
		in := input(append(one("job:\n  script: [./x.sh api]\n"), File{"x.sh", []byte(script)}), rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatalf("%v\n%s", err, script)
		}
		invariants(t, in, res)
	})
}

// FuzzScalar: where a scalar's bytes are found, they are the value, in order.
func FuzzScalar(f *testing.F) {
	for _, s := range []string{"a: b c\n", "a: 'it''s\n  two\n\n  lines'\n", "a: \"x\\u00e6\\\n  y\\tz\"\n", "a: |2-\n    x\n   y\n\nb: >+\n  a\n  b\n\n   c\n\n", "- &x !t 'a'\n- [a, \"b\"]\n"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, content string) {
		docs, err := parseYAML([]byte(content))
		if err != nil {
			return
		}
		src := newSource("x.yml", []byte(content), true)
		var walk func(n *yaml.Node, depth int)
		walk = func(n *yaml.Node, depth int) {
			if n.Kind == yaml.ScalarNode {
				if ch := scalar(src, n); ch != nil {
					last := 0
					for _, p := range ch.pieces(0, len(ch.text)) {
						if p.at.start < last || p.at.end > len(src.data) || p.exact() && p.at.text() != p.text {
							t.Fatalf("%q: piece %q at %d-%d", content, p.text, p.at.start, p.at.end)
						}
						last = p.at.end
					}
				}
			}
			for _, c := range n.Content {
				if depth < maxDepth {
					walk(c, depth+1)
				}
			}
		}
		for _, d := range docs {
			walk(d, 0)
		}
	})
}

// FuzzMapping: a reference that is written out comes out as one tag of the one
// repository, or as a finding.
func FuzzMapping(f *testing.F) {
	f.Add("api", "1.0")
	f.Add("services/Web", "latest")
	f.Fuzz(func(t *testing.T, name, tag string) {
		for _, s := range []string{name, tag} {
			if s == "" || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789-_./") != "" {
				return
			}
		}
		if strings.Contains(tag, "/") {
			return
		}
		in := input(one("job:\n  script:\n    - docker push $CI_REGISTRY_IMAGE/"+name+":"+tag+"-$CI_COMMIT_SHA\n"), rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		if res.Blocked() {
			return
		}
		for _, e := range res.Edits {
			if strings.Contains(string(e.After), "IMAGE/") {
				t.Errorf("a second repository is left:\n%s", e.After)
			}
		}
	})
}

// FuzzMakefile holds that a Makefile in any state is read in bounded time, and
// that its rewrite is stable.
func FuzzMakefile(f *testing.F) {
	for _, s := range []string{
		"A = $(A)\nB ?= $(CI_REGISTRY_IMAGE)/b\nx:\n\tdocker push $(B):$(T)\n",
		"A = $(B)$(B)\nB = $(A)${A}\n\tdocker push registry.uninett.no/group/project/a:$$T\r\n",
		"A = $(B)$(B)/\nB = $(C)$(C)/\nC = $(D)$(D)/\nD = $(E)$(E)/\nE = $(F)$(F)/\nF = $(G)$(G)/\nG = $(CI_REGISTRY_IMAGE)/x:1\n\tdocker push $(A):$(T)\n",
		"$(CI_REGISTRY_IMAGE)/x: y\n\xff\xfe := $(CI_REGISTRY)\n",
	} {
		f.Add([]byte(s))
	}
	ci := []byte("build:\n  script:\n    - make push T=$CI_COMMIT_SHA\n    - docker push $CI_REGISTRY_IMAGE/b:$CI_COMMIT_SHA\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input([]File{{".gitlab-ci.yml", ci}, {"Makefile", data}}, rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		invariants(t, in, res)
	})
}

// FuzzChart holds the same of a Helm template and of a kustomization.
func FuzzChart(f *testing.F) {
	f.Add([]byte("image: {{ .Values.a.b }}/x:{{ .Values.t }}\n"), []byte("images:\n  - {name: registry.uninett.no/group/project/b, newName: b, newTag: 1}\nresources: [., ../k]\n"))
	f.Add([]byte("{{ printf \"%s/x\" .Values.a.b }}\r\n{{- $.Values.a.b | quote }}/y/Z:\xff"), []byte("images: &a [*a]\n"))
	ci := []byte("x:\n  script:\n    - helm upgrade x chart --set a.b=$CI_REGISTRY_IMAGE,t=$CI_COMMIT_SHA\n    - kustomize edit set image $CI_REGISTRY_IMAGE/b:$CI_COMMIT_SHA\n    - docker push $CI_REGISTRY_IMAGE/b:$CI_COMMIT_SHA\n")
	f.Fuzz(func(t *testing.T, template, kustomization []byte) {
		in := input([]File{{".gitlab-ci.yml", ci}, {"chart/Chart.yaml", nil}, {"chart/templates/x.yaml", template}, {"k/kustomization.yaml", kustomization}, {"k/d.yaml", []byte("image: registry.uninett.no/group/project/b\n")}}, rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		invariants(t, in, res)
	})
}

// FuzzBake holds the same of a bake file.
func FuzzBake(f *testing.F) {
	seeds(f, func(path, content string) {
		if isHCL(path) {
			f.Add([]byte(content))
		}
	})
	for _, s := range []string{
		"variable \"A\" { default = \"${B}/x\" }\nvariable \"B\" { default = \"${A}/y\" }\ntarget \"default\" {\n  tags = [\"${A}:${T}\", \"${R}/z:latest\", format(\"%s%s\", R, \"/q\")]\n}\n",
		"function \"f\" {\n params = [x]\n result = f(\"${x}${x}\")\n}\ntarget \"default\" {\n tags = [f(R), R, \"${~ R ~}/y:1\"]\n}\n",
		"target \"default\" {\n matrix = { a = [for k, v in {x = 1, y = [2]} : \"${R}/${k}\"] }\n name = a\n tags = [for t in a : \"${t}:${T}\" if t != \"\"]\n inherits = [\"default\"]\n}\r\ngroup \"default\" { targets = [\"default\", \"\xff\"] }\n",
		"target \"default\" {\n tags = [<<E\n${R}/here:1\nE\n, \"registry.uninett.no/group/project/a:${T}\", join(\"/\", [R, \"b\", \"c:1\"])]\n}\n",
	} {
		f.Add([]byte(s))
	}
	ci := []byte("build:\n  variables: {R: $CI_REGISTRY_IMAGE, T: $CI_COMMIT_SHA}\n  script:\n    - docker buildx bake --push\n    - docker push $CI_REGISTRY_IMAGE/b:$CI_COMMIT_SHA\n")
	f.Fuzz(func(t *testing.T, data []byte) {
		in := input([]File{{".gitlab-ci.yml", ci}, {"docker-bake.hcl", data}}, rule{Project: "group/project"})
		res, err := Rewrite(in)
		if err != nil {
			t.Fatal(err)
		}
		invariants(t, in, res)
		for _, e := range res.Edits {
			if f := newSource(e.Path, e.Before, false); isHCL(e.Path) && f.parseHCL() != nil && newSource(e.Path, e.After, false).parseHCL() == nil {
				t.Fatalf("no bake file any more:\n%s", e.After)
			}
		}
	})
}
