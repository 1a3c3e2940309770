package ciconfig

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// shared is where the corpora and the oracle are, outside the repository.
func shared(t testing.TB, name string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join("..", "..", "..", "shared", name))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(p); err != nil {
		t.Skipf("%s is not there: this test needs the shared reading beside the repository", p)
	}
	return p
}

// readProject reads the candidates of a directory.
func readProject(t testing.TB, dir string) []File {
	t.Helper()
	var files []File
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, p)
		rel = filepath.ToSlash(rel)
		if !d.Type().IsRegular() || !Candidate(rel) {
			return nil
		}
		b, err := os.ReadFile(p)
		files = append(files, File{Path: rel, Content: b})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// rule is the part of an oracle's rule file that the rewriter needs.
type rule struct {
	Project  string   `json:"project,omitempty"`
	OldBases []string `json:"old_bases,omitempty"`
	Default  string   `json:"default_branch,omitempty"`
	CIPath   string   `json:"-"`
	// Variables are settings of the project; the oracle's word for them is vars.
	Variables map[string]string `json:"vars,omitempty"`
}

func readRule(t testing.TB, file string) rule {
	t.Helper()
	r := rule{Project: "group/project"}
	b, err := os.ReadFile(file)
	if err == nil {
		if err := json.Unmarshal(b, &r); err != nil {
			t.Fatal(err)
		}
	}
	return r
}

// input makes the input of a project, includes that are not there marked so.
func input(files []File, ru rule) Input {
	in := Input{Project: Project{Path: ru.Project, OldHost: "registry.uninett.no", OldBases: ru.OldBases, DefaultBranch: ru.Default, CIPath: ru.CIPath, Variables: ru.Variables}, Files: files}
	for {
		miss := Missing(in)
		if len(miss) == 0 {
			return in
		}
		for _, m := range miss {
			in.Included = append(in.Included, Included{Include: m, Missing: "not available here"})
		}
	}
}

// TestPlaton compares with the expected results of the hand-made projects, or
// with our own golden result where docs/rewriting.md tells why it differs.
func TestPlaton(t *testing.T) {
	t.Parallel()
	root := shared(t, "corpus/platon")
	dirs, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		name := d.Name()
		if !d.IsDir() || strings.HasSuffix(name, ".expected") {
			continue
		}
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			in := input(readProject(t, filepath.Join(root, name)), readRule(t, filepath.Join(root, name+".rule.json")))
			res, err := Rewrite(in)
			if err != nil {
				t.Fatal(err)
			}
			invariants(t, in, res)
			if res.Blocked() {
				t.Errorf("blocked: %+v", res.Findings)
			}
			for _, f := range readProject(t, filepath.Join(root, name+".expected")) {
				got := f.Content
				for _, i := range in.Files {
					if i.Path == f.Path {
						got = i.Content
					}
				}
				for _, e := range res.Edits {
					if e.Path == f.Path {
						got = e.After
					}
				}
				key := name + "/" + f.Path
				same := string(got) == string(f.Content)
				if why := differs[key]; same && why != "" {
					t.Errorf("%s is as expected now; the reason is out of date: %s", key, why)
				} else if !same && why == "" {
					t.Errorf("%s differs:\n%s", key, (&Result{Edits: []Edit{{Path: f.Path, Before: f.Content, After: got}}}).Diff())
				}
			}
		})
	}
}

// differs are the files that come out otherwise than expected, with the reason.
var differs = map[string]string{
	"combination/.gitlab-ci.yml":           "whole names as prefixes (services-api), env and checkout passed to containers, comments untouched",
	"combination/ci/build.sh":              "whole names as prefixes",
	"combination/deploy/backfill-job.yaml": "whole names as prefixes",
	"compose-services/.gitlab-ci.yml":      "env and checkout passed to containers",
	"helm-latest/.gitlab-ci.yml":           "the variables stay, the prefix is written at the tag",
	"image-from-pipeline/.gitlab-ci.yml":   "env and checkout passed to containers",
	"matrix-kaniko/.gitlab-ci.yml":         "the dashes are made in place, without a second variable",
	"name-to-prefix/.gitlab-ci.yml":        "a tag that is unique to the build stays",
	"name-to-prefix/deployment.yaml":       "a tag that is unique to the build stays",
	"second-image/.gitlab-ci.yml":          "name in the variable, dash at the use",
	"second-image/cronjob.yaml":            "name in the variable, dash at the use",
}

// untouched are the projects without images of their own.
var untouched = []string{"EBIBioStudies", "MuyBien", "Orchesty", "Ucode-io", "cern-cta", "jahlives", "pesummary", "team-parallax", "time-IO", "wermilion", "xen-project"}

// TestCorpus runs every real project through the invariants.
func TestCorpus(t *testing.T) {
	t.Parallel()
	root := shared(t, "corpus/ci")
	dirs, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range dirs {
		if !d.IsDir() {
			continue
		}
		t.Run(d.Name(), func(t *testing.T) {
			t.Parallel()
			in := input(readProject(t, filepath.Join(root, d.Name())), corpusRule(d.Name()))
			start := time.Now()
			res, err := Rewrite(in)
			if err != nil {
				t.Fatal(err)
			}
			if took := time.Since(start); took > 30*time.Second { // a second alone; with the race detector on a loaded machine many
				t.Errorf("took %v", took)
			}
			invariants(t, in, res)
			for _, u := range untouched {
				if strings.HasPrefix(d.Name(), u) && len(res.Edits) > 0 {
					t.Errorf("has no image of its own and was changed:\n%s", res.Diff())
				}
			}
		})
	}
}

func corpusRule(name string) rule {
	ru := rule{Project: "group/project"}
	switch {
	case strings.HasPrefix(name, "Bigouden"):
		ru.CIPath = ".gitlab-ci-docker.yml"
	case strings.HasPrefix(name, "basilelt"):
		ru.CIPath = ".gitlab/ci/build.yml"
	case strings.HasPrefix(name, "ongres"):
		ru.Variables = map[string]string{"SG_CI_PROJECT_PATH": ru.Project} // a setting there
	}
	return ru
}
