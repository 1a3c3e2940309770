package gitlab

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"gitlab.sikt.no/platon/ecrferry/internal/fault"
)

func TestProjectsWalk(t *testing.T) {
	t.Parallel()
	var s *recorder
	s = serve(t, map[string]http.HandlerFunc{"GET /projects": func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		if q.Get("pagination") != "keyset" || q.Get("order_by") != "id" || q.Get("sort") != "asc" {
			answer(405, `{"error":"Keyset pagination is not yet available for this type of request"}`)(w, r)
			return
		}
		after, _ := strconv.Atoi(q.Get("id_after"))
		var page []string
		for id := after + 1; id <= 5 && len(page) < 2; id++ {
			page = append(page, fmt.Sprintf(`{"id":%d,"path_with_namespace":"g/p%d"}`, id, id))
		}
		if after+2 < 5 {
			q.Set("id_after", strconv.Itoa(after+2))
			w.Header().Set("Link", fmt.Sprintf("<%s/api/v4/projects?%s>; rel=\"next\"", s.URL, q.Encode()))
		}
		answer(200, "["+strings.Join(page, ",")+"]")(w, r)
	}})
	c := connect(t, s.URL)

	walk := func(after int64, stop int64) (ids []int64) {
		for p, err := range c.ProjectsAfter(t.Context(), after) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, p.ID)
			if p.ID == stop {
				break
			}
		}
		return ids
	}
	if got, want := walk(0, 0), []int64{1, 2, 3, 4, 5}; !cmp.Equal(got, want) {
		t.Errorf("the whole walk = %v, want %v", got, want)
	}
	if got, want := walk(3, 0), []int64{4, 5}; !cmp.Equal(got, want) {
		t.Errorf("resumed after 3 = %v, want %v", got, want)
	}
	before := len(s.seen())
	if got, want := walk(0, 2), []int64{1, 2}; !cmp.Equal(got, want) {
		t.Errorf("stopped at 2 = %v, want %v", got, want)
	}
	if got := len(s.seen()) - before; got != 1 {
		t.Errorf("a walk that stopped on the first page made %d requests", got)
	}
}

func TestProjectsWalkEndsWithError(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects": answer(401, `{"message":"401 Unauthorized"}`)})
	n := 0
	for _, err := range connect(t, s.URL).Projects(t.Context()) {
		n++
		if fault.ReasonOf(err) != ReasonTokenInvalid {
			t.Errorf("error %v", err)
		}
	}
	if n != 1 {
		t.Errorf("%d rounds, want the error alone", n)
	}
}

func TestProject(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects/7": answer(200, `{
		"id": 7, "path_with_namespace": "g/sub/p", "name": "p", "web_url": "https://x/g/sub/p",
		"default_branch": null, "empty_repo": true, "archived": true, "marked_for_deletion_on": "2026-01-02",
		"mirror": true, "builds_access_level": "disabled", "repository_access_level": "enabled",
		"merge_requests_access_level": "enabled", "ci_config_path": "ci/main.yml@g/templates",
		"ci_pipeline_variables_minimum_override_role": "no_one_allowed", "merge_method": "ff",
		"only_allow_merge_if_pipeline_succeeds": true, "last_activity_at": "2026-03-04T05:06:07.000Z"}`)})
	got, err := connect(t, s.URL).Project(t.Context(), int64(7))
	if err != nil {
		t.Fatal(err)
	}
	if got.LastActivity.IsZero() {
		t.Error("no last activity")
	}
	got.LastActivity = got.LastActivity.UTC().Truncate(0)
	want := Project{
		ID: 7, Path: "g/sub/p", Name: "p", WebURL: "https://x/g/sub/p", Empty: true, Archived: true,
		PendingDeletion: true, Mirror: true, CIDisabled: true, CIConfigPath: "ci/main.yml@g/templates",
		MergeRequests: true, MergeMethod: "ff", OnlyMergeIfPipelineSucceeds: true, VariablesRole: "no_one_allowed",
		LastActivity: got.LastActivity,
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("got, want:\n%s", d)
	}
}

func TestCommitOnTheWire(t *testing.T) {
	t.Parallel()
	var got map[string]any
	s := serve(t, map[string]http.HandlerFunc{"POST /projects/7/repository/commits": func(w http.ResponseWriter, r *http.Request) {
		_ = json.NewDecoder(r.Body).Decode(&got)
		answer(201, `{"id":"c0ffee"}`)(w, r)
	}})
	c := connect(t, s.URL)
	sha, err := c.Commit(t.Context(), 7, CommitRequest{
		Branch: "ecrferry/migrate", StartBranch: "main", Message: "m",
		Edits: []Edit{
			{Path: ".gitlab-ci.yml", Content: []byte("a\r\nb\n"), LastCommitID: "111"},
			{Path: "new.bin", Content: []byte{0xff, 0x00}},
			{Path: "old", LastCommitID: "222", Delete: true},
		},
	})
	if err != nil || sha != "c0ffee" {
		t.Fatalf("Commit = %q, %v", sha, err)
	}
	want := map[string]any{
		"branch": "ecrferry/migrate", "start_branch": "main", "commit_message": "m",
		"actions": []any{
			map[string]any{"action": "update", "file_path": ".gitlab-ci.yml", "content": "a\r\nb\n", "last_commit_id": "111"},
			map[string]any{"action": "create", "file_path": "new.bin", "content": "/wA=", "encoding": "base64"},
			map[string]any{"action": "delete", "file_path": "old", "last_commit_id": "222"},
		},
	}
	if d := cmp.Diff(got, want); d != "" {
		t.Errorf("sent, want:\n%s", d)
	}
	if _, err := c.Commit(t.Context(), 7, CommitRequest{Branch: "main"}); err == nil {
		t.Error("a commit without edits was made")
	}
	if _, err := c.Commit(t.Context(), 7, CommitRequest{Branch: "main", Edits: []Edit{{Path: "x", Delete: true}}}); err == nil {
		t.Error("a deletion without last commit was made")
	}
}

func TestFile(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"GET /projects/{project}/repository/files/{path}": func(w http.ResponseWriter, r *http.Request) {
		if r.PathValue("path") != "ci/.build.yml" || r.PathValue("project") != "g/p" || r.URL.Query().Get("ref") != "HEAD" {
			answer(404, `{"message":"404 File Not Found"}`)(w, r)
			return
		}
		answer(200, `{"file_path":"ci/.build.yml","encoding":"base64","content":"YQo=","blob_id":"b","last_commit_id":"c"}`)(w, r)
	}})
	c := connect(t, s.URL)
	got, err := c.File(t.Context(), "g/p", "", "ci/.build.yml")
	want := File{Path: "ci/.build.yml", Content: []byte("a\n"), BlobID: "b", LastCommitID: "c"}
	if d := cmp.Diff(got, want); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	if _, err = c.File(t.Context(), "g/p", "", "none"); !errors.Is(err, ErrNotFound) {
		t.Errorf("an absent file: %v", err)
	}
}

func TestSetVariable(t *testing.T) {
	t.Parallel()
	want := Variable{Key: "CI_REGISTRY_IMAGE", Value: "ecr/a", Protected: true}
	for name, test := range map[string]struct {
		have    string // the variable's JSON, "" for none
		race    bool   // somebody creates it between look and creation
		changed bool
		writes  string
	}{
		"already so":   {have: `{"key":"CI_REGISTRY_IMAGE","value":"ecr/a","protected":true,"variable_type":"env_var","environment_scope":"*"}`, changed: false},
		"other value":  {have: `{"key":"CI_REGISTRY_IMAGE","value":"old","protected":true,"variable_type":"env_var","environment_scope":"*"}`, changed: true, writes: "PUT"},
		"absent":       {changed: true, writes: "POST"},
		"created race": {race: true, changed: true, writes: "POST PUT"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			have := test.have
			var writes []string
			s := serve(t, map[string]http.HandlerFunc{
				"GET /projects/7/variables/{key}": func(w http.ResponseWriter, r *http.Request) {
					if r.URL.Query().Get("filter[environment_scope]") != "*" || have == "" {
						answer(404, `{"message":"404 Variable Not Found"}`)(w, r)
						return
					}
					answer(200, have)(w, r)
				},
				"POST /projects/7/variables": func(w http.ResponseWriter, r *http.Request) {
					writes = append(writes, "POST")
					if test.race {
						have = `{"key":"CI_REGISTRY_IMAGE","value":"theirs","environment_scope":"*"}`
						answer(400, `{"message":{"key":["(CI_REGISTRY_IMAGE) has already been taken"]}}`)(w, r)
						return
					}
					answer(201, `{}`)(w, r)
				},
				"PUT /projects/7/variables/{key}": func(w http.ResponseWriter, r *http.Request) {
					writes = append(writes, "PUT")
					var body map[string]any
					_ = json.NewDecoder(r.Body).Decode(&body)
					if body["value"] != "ecr/a" || body["protected"] != true || body["masked"] != false {
						t.Errorf("sent %v", body)
					}
					answer(200, `{}`)(w, r)
				},
			})
			changed, err := connect(t, s.URL).SetVariable(t.Context(), 7, want)
			if err != nil || changed != test.changed {
				t.Errorf("SetVariable = %v, %v; want %v", changed, err, test.changed)
			}
			if got := strings.Join(writes, " "); got != test.writes {
				t.Errorf("writes %q, want %q", got, test.writes)
			}
		})
	}
}

func TestLintOfInvalidContentIsAnAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{"POST /projects/7/ci/lint": func(w http.ResponseWriter, r *http.Request) {
		var body map[string]any
		_ = json.NewDecoder(r.Body).Decode(&body)
		if body["content"] != "a: b" || body["ref"] != "main" {
			t.Errorf("sent %v", body)
		}
		answer(200, `{"valid":false,"errors":["jobs config should contain at least one visible job"],"warnings":[],
			"merged_yaml":"---\na: b\n","includes":[{"type":"file","location":"/x.yml","context_project":"g/t","context_sha":"9"}],
			"jobs":[{"name":"prod","stage":"deploy","environment":"production","when":"manual"},{"name":"st","environment":{"name":"staging"}},{"name":"n","environment":null}]}`)(w, r)
	}})
	got, err := connect(t, s.URL).Lint(t.Context(), 7, LintRequest{Content: "a: b", Ref: "main"})
	want := Lint{
		Errors: []string{"jobs config should contain at least one visible job"}, Warnings: []string{}, MergedYAML: "---\na: b\n",
		Includes: []LintInclude{{Type: "file", Location: "/x.yml", Project: "g/t", SHA: "9"}},
		Jobs:     []LintJob{{Name: "prod", Stage: "deploy", Environment: "production", When: "manual"}, {Name: "st", Environment: "staging"}, {Name: "n"}},
	}
	if d := cmp.Diff(got, want); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
}

func TestLatest(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7/deployments": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("sort") != "desc" || q.Get("order_by") != "id" || q.Get("status") != "success" {
				t.Errorf("asked %v", q)
			}
			if q.Get("environment") != "staging" {
				answer(200, `[]`)(w, r)
				return
			}
			answer(200, `[{"id":42,"status":"success","sha":"s","ref":"main","environment":{"name":"staging"},
				"deployable":{"id":5,"name":"deploy-staging","pipeline":{"id":11}}}]`)(w, r)
		},
		"GET /projects/7/pipelines": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("sort") != "desc" || q.Get("ref") != "main" || q.Get("per_page") != "1" {
				answer(200, `[]`)(w, r)
				return
			}
			w.Header().Set("X-Next-Page", "2")
			answer(200, `[{"id":11,"status":"failed"}]`)(w, r)
		},
		"GET /projects/7/pipelines/11": answer(200, `{"id":11,"status":"failed","yaml_errors":"bad"}`),
	})
	c := connect(t, s.URL)
	d, err := c.LatestDeployment(t.Context(), 7, "staging")
	if err != nil || d.ID != 42 || d.PipelineID != 11 || d.JobName != "deploy-staging" || d.Environment != "staging" || d.SHA != "s" {
		t.Errorf("LatestDeployment = %+v, %v", d, err)
	}
	if _, err = c.LatestDeployment(t.Context(), 7, "production"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no deployment: %v, want ErrNotFound", err)
	}
	p, err := c.LatestPipeline(t.Context(), 7, "main")
	if err != nil || p.ID != 11 || p.YAMLErrors != "bad" {
		t.Errorf("LatestPipeline = %+v, %v", p, err)
	}
	if _, err = c.LatestPipeline(t.Context(), 7, "other"); !errors.Is(err, ErrNotFound) {
		t.Errorf("no pipeline: %v, want ErrNotFound", err)
	}
}

func TestJobsArePaged(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7/pipelines/11/jobs": func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Query().Get("page") == "2" {
				answer(200, `[{"id":2,"name":"b","status":"manual","pipeline":{"id":11}}]`)(w, r)
				return
			}
			w.Header().Set("X-Next-Page", "2")
			answer(200, `[{"id":1,"name":"a","status":"failed","failure_reason":"script_failure","allow_failure":true,"pipeline":{"id":11}}]`)(w, r)
		},
		"GET /projects/7/pipelines/11/bridges": answer(200, `[{"id":3,"name":"child","status":"success","downstream_pipeline":{"id":12,"project_id":8,"status":"failed"}},{"id":4,"name":"none","downstream_pipeline":null}]`),
	})
	c := connect(t, s.URL)
	jobs, err := c.Jobs(t.Context(), 7, 11)
	want := []Job{
		{ID: 1, PipelineID: 11, Name: "a", Status: "failed", FailureReason: "script_failure", AllowFailure: true},
		{ID: 2, PipelineID: 11, Name: "b", Status: "manual"},
	}
	if d := cmp.Diff(jobs, want); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	bridges, err := c.Bridges(t.Context(), 7, 11)
	if err != nil || len(bridges) != 2 || bridges[0].Downstream == nil || bridges[0].Downstream.ProjectID != 8 || bridges[1].Downstream != nil {
		t.Errorf("Bridges = %+v, %v", bridges, err)
	}
}

func TestJobLogIsBounded(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("x", 99) + "\n"
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7/jobs/1/trace": func(w http.ResponseWriter, _ *http.Request) {
			for range 50_000 {
				_, _ = w.Write([]byte(line))
			}
			_, _ = w.Write([]byte("ERROR: Job failed: exit code 1"))
		},
		"GET /projects/7/jobs/2/trace": answer(200, ""),
		"GET /projects/7/jobs/3/trace": answer(404, `{"message":"404 Job Not Found"}`),
	})
	c := connect(t, s.URL)
	log, err := c.JobLog(t.Context(), 7, 1, 4096)
	if err != nil {
		t.Fatal(err)
	}
	if len(log) > 4096 || len(log) < 3900 || cap(log) > 8192 {
		t.Errorf("%d bytes (cap %d), want nearly 4096", len(log), cap(log))
	}
	if !strings.HasPrefix(string(log), line) || !strings.HasSuffix(string(log), "exit code 1") {
		t.Errorf("log begins %.20q and ends %q", log, log[len(log)-20:])
	}
	if log, err = c.JobLog(t.Context(), 7, 2, 4096); err != nil || len(log) != 0 {
		t.Errorf("an empty log: %q, %v", log, err)
	}
	if _, err = c.JobLog(t.Context(), 7, 3, 4096); !errors.Is(err, ErrNotFound) {
		t.Errorf("no job: %v", err)
	}
}

func TestTailKeepsTheEnd(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		limit := rapid.Int64Range(0, 20).Draw(t, "limit")
		chunks := rapid.SliceOfN(rapid.StringOfN(rapid.RuneFrom([]rune("ab\n")), 0, 15, -1), 0, 10).Draw(t, "chunks")
		w := newTail(limit)
		for _, c := range chunks {
			if n, err := w.Write([]byte(c)); n != len(c) || err != nil {
				t.Fatalf("Write = %d, %v", n, err)
			}
		}
		want := strings.Join(chunks, "")
		if over := len(want) - int(limit); over > 0 {
			want = want[over:]
			if _, rest, ok := strings.Cut(want, "\n"); ok {
				want = rest
			}
		}
		if got := string(w.lines()); got != want {
			t.Fatalf("tail %q, want %q", got, want)
		}
	})
}

func TestMergeRequests(t *testing.T) {
	t.Parallel()
	s := serve(t, map[string]http.HandlerFunc{
		"GET /projects/7/merge_requests": func(w http.ResponseWriter, r *http.Request) {
			q := r.URL.Query()
			if q.Get("source_branch") != "ecrferry/migrate" || q.Get("state") != "all" || q.Get("scope") != "all" {
				t.Errorf("asked %v", q)
			}
			answer(200, `[{"iid":3,"state":"opened","sha":"s","author":{"username":"bot"},"web_url":"u","description":"d","detailed_merge_status":"checking"}]`)(w, r)
		},
		"PUT /projects/7/merge_requests/3": func(w http.ResponseWriter, r *http.Request) {
			var body map[string]any
			_ = json.NewDecoder(r.Body).Decode(&body)
			if d := cmp.Diff(body, map[string]any{"description": "new"}); d != "" {
				t.Errorf("sent more than was to change: %s", d)
			}
			answer(200, `{"iid":3,"state":"opened","description":"new"}`)(w, r)
		},
	})
	c := connect(t, s.URL)
	all, err := c.MergeRequests(t.Context(), 7, "ecrferry/migrate")
	want := []MergeRequest{{IID: 3, State: "opened", SHA: "s", Author: "bot", WebURL: "u", Description: "d", MergeStatus: "checking"}}
	if d := cmp.Diff(all, want); err != nil || d != "" {
		t.Errorf("%v\n%s", err, d)
	}
	m, err := c.UpdateMergeRequest(t.Context(), 7, 3, MergeRequestUpdate{Description: "new"})
	if err != nil || m.Description != "new" {
		t.Errorf("UpdateMergeRequest = %+v, %v", m, err)
	}
}

func TestLandedSHA(t *testing.T) {
	t.Parallel()
	for want, m := range map[string]MergeRequest{
		"":       {State: "opened", SHA: "head", MergeCommitSHA: "merge"},
		"merge":  {State: "merged", SHA: "head", SquashCommitSHA: "squash", MergeCommitSHA: "merge"},
		"squash": {State: "merged", SHA: "head", SquashCommitSHA: "squash"},
		"head":   {State: "merged", SHA: "head"},
	} {
		if got := m.LandedSHA(); got != want {
			t.Errorf("LandedSHA of %+v = %q, want %q", m, got, want)
		}
	}
}
