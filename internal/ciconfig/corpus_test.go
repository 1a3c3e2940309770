package ciconfig

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
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
	in := Input{Project: Project{Path: ru.Project, OldHost: "registry.uninett.no", OldBases: ru.OldBases, DefaultBranch: ru.Default, CIPath: ru.CIPath}, Files: files}
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

// TestDump writes the rewritten corpora to $CICONFIG_OUT, for the eye and for
// the oracle.
func TestDump(t *testing.T) {
	out := os.Getenv("CICONFIG_OUT")
	if out == "" {
		t.Skip("CICONFIG_OUT is not set")
	}
	for _, set := range []string{"platon", "ci"} {
		root := shared(t, "corpus/"+set)
		dirs, _ := os.ReadDir(root)
		for _, d := range dirs {
			if !d.IsDir() || strings.HasSuffix(d.Name(), ".expected") {
				continue
			}
			dir := filepath.Join(root, d.Name())
			ru := readRule(t, dir+".rule.json")
			switch {
			case strings.HasPrefix(d.Name(), "Bigouden"):
				ru.CIPath = ".gitlab-ci-docker.yml"
			case strings.HasPrefix(d.Name(), "basilelt"):
				ru.CIPath = ".gitlab/ci/gitlab-ci.yml"
			}
			res, err := Rewrite(input(readProject(t, dir), ru))
			if err != nil {
				t.Errorf("%s: %v", d.Name(), err)
				continue
			}
			to := filepath.Join(out, set, d.Name())
			if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
				t.Fatal(err)
			}
			for _, e := range res.Edits {
				p := filepath.Join(to, e.Path)
				os.Chmod(p, 0o644)
				if err := os.WriteFile(p, e.After, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			b, _ := json.MarshalIndent(struct {
				Findings   []Finding
				Pushed     []string
				References []string
			}{res.Findings, res.PushedTags, res.References}, "", " ")
			os.WriteFile(to+".json", b, 0o644)
		}
	}
}
