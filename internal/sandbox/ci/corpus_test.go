package ci

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// corpus is the folder with real configurations, beside the repository.
func corpus(t *testing.T, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
	}
	path := filepath.Join(dir, "..", "shared", "corpus", name)
	if _, err := os.Stat(path); err != nil {
		t.Skipf("the corpus of configurations is not beside the repository (%s)", path)
	}
	return path
}

func folder(t testing.TB, root string) map[string]string {
	t.Helper()
	files := map[string]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		content, err := os.ReadFile(path)
		rel, _ := filepath.Rel(root, path)
		files[filepath.ToSlash(rel)] = string(content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func TestPlatformProjects(t *testing.T) {
	t.Parallel()
	root := corpus(t, "platon")
	want := map[string]string{
		"name-to-prefix":      "build-api | build-web | staging | production",
		"image-from-pipeline": "build | unit-tests | migrations | lint | staging | production",
		"second-image":        "build | build-cron | imagescan | staging | production",
		"other-project":       "test | build | staging",
		"literal-registry":    "frontend | worker | deploy",
		"components-scan":     "frontend | backend | imagescan: [frontend] | imagescan: [backend] | staging | production",
		"matrix-kaniko":       "images: [etl] | images: [gui] | images: [proxy/nginx, --build-arg WORKERS=4] | deploy",
		"helm-latest":         "server | migrate | latest | staging",
		"compose-services":    "build | integration | e2e",
		"combination":         "api | worker | lint | contract | staging | production",
		"crlf-tabs":           "build app | production",
		"already-fine":        "build | imagescan | smoke | staging | production",
	}
	for name, jobs := range want {
		for _, side := range []string{"", ".expected"} {
			t.Run(name+side, func(t *testing.T) {
				t.Parallel()
				trigger := push
				p := project
				if name == "literal-registry" {
					trigger.Ref, p.DefaultBranch = "master", "master"
				}
				got, err := Compile(p, trigger, Settings{}, world(folder(t, filepath.Join(root, name+side))), nil)
				if err != nil {
					t.Fatal(err)
				}
				want := jobs
				if name+side == "helm-latest.expected" {
					want = strings.Replace(jobs, " | latest", "", 1) // the job that moved a tag is gone
				}
				if names(got) != want {
					t.Errorf("jobs\n got %s\nwant %s", names(got), want)
				}
			})
		}
	}
}

// TestRealProjects holds that every real configuration compiles or is refused
// with a sentence, for each kind of pipeline, in bounded time.
func TestRealProjects(t *testing.T) {
	t.Parallel()
	root := corpus(t, "ci")
	entries, err := os.ReadDir(root)
	if err != nil {
		t.Fatal(err)
	}
	merge := from("merge_request_event")
	merge.MergeRequest = &MergeRequest{IID: 1, SourceBranch: "x", TargetBranch: "main"}
	triggers := []Trigger{push, branch("feature/x"), tag("v1.2.3"), merge}
	for _, e := range entries {
		if !e.IsDir() {
			continue
		}
		t.Run(e.Name(), func(t *testing.T) {
			t.Parallel()
			files := folder(t, filepath.Join(root, e.Name()))
			for name := range files {
				if !strings.HasSuffix(name, ".yml") || !strings.Contains(name, "gitlab") || strings.Contains(name, "ansible") {
					continue
				}
				p := project
				p.ConfigPath = name
				kinds := triggers
				if name != ".gitlab-ci.yml" {
					kinds = kinds[:1] // a part of a configuration, compiled alone
				}
				for _, trigger := range kinds {
					start := time.Now()
					got, err := Compile(p, trigger, Settings{}, world(files), nil)
					if d := time.Since(start); d > time.Minute { // well under a second on an idle machine
						t.Errorf("%s took %s", name, d)
					}
					var invalid *ConfigError
					switch {
					case errors.As(err, &invalid):
						if strings.TrimSpace(invalid.Messages[0]) == "" {
							t.Errorf("%s is refused without a reason", name)
						}
					case err != nil:
						t.Errorf("%s: %v", name, err)
					case len(got.Jobs) == 0 && !got.Filtered:
						t.Errorf("%s: no job, but not filtered", name)
					}
					if os.Getenv("CORPUS_VERBOSE") != "" && trigger.Ref == "main" && trigger.Source == "push" {
						if err != nil {
							t.Logf("%s %s: %v", e.Name(), name, err)
						} else {
							t.Logf("%s: %d jobs", name, len(got.Jobs))
						}
					}
				}
			}
		})
	}
}
