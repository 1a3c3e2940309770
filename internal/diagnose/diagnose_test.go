package diagnose

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write the golden files")

// One log a case in testdata, in the runner's own format: sections, colours,
// progress bars, and in some of them timestamps or neither.
func TestLogs(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for name, want := range map[string]struct {
		cause  Cause
		reason string
	}{
		"job-image":                  {NoBasicAuth, "runner_system_failure"},
		"push-other-name":            {PushNotAuthorized, "script_failure"},
		"push-other-name-timestamps": {PushNotAuthorized, "script_failure"},
		"tag-immutable":              {TagImmutable, "script_failure"},
		"tag-immutable-buildkit":     {TagImmutable, "script_failure"},
		"repository-missing":         {RepositoryMissing, "script_failure"},
		"project-moved":              {ProjectMoved, "script_failure"},
		"own-repository-refused":     {ProjectMoved, "script_failure"},
		"manifest-unknown":           {ManifestUnknown, "script_failure"},
		"base-image-missing":         {ManifestUnknown, "script_failure"},
		"rate-limited":               {RateLimited, "script_failure"},
		"rate-limited-hub":           {RateLimited, "script_failure"},
		"image-pull":                 {ImagePull, "script_failure"},
		"rollout":                    {RolloutFailed, "script_failure"},
		"runner-system":              {RunnerFailure, "runner_system_failure"},
		"docker-daemon":              {RunnerFailure, "script_failure"},
		"own-test":                   {ScriptFailure, "script_failure"},
		"unknown-push":               {Unknown, "script_failure"},
		"own-login":                  {RegistryLogin, "script_failure"},
		"plain":                      {PushNotAuthorized, ""},
		"kaniko-refused":             {RegistryDenied, "script_failure"},
		"buildkit-refused":           {RegistryDenied, "script_failure"},
		"name-empty-variable":        {ImageNameInvalid, "script_failure"},
		"no-platform":                {ManifestUnknown, "script_failure"},
		"certificate":                {Network, "script_failure"},
		"network":                    {Network, "script_failure"},
	} {
		seen[name] = true
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			log, err := os.ReadFile(filepath.Join("testdata", name+".log"))
			if err != nil {
				t.Fatal(err)
			}
			d := Diagnose(Failure{
				FailureReason: want.reason, Log: log, Project: "platon/kurs/website", Repository: "platon/kurs/website",
			})
			if d.Cause != want.cause {
				t.Errorf("cause %q, want %q", d.Cause, want.cause)
			}
			if lines := strings.Split(string(log), "\n"); d.Line < 1 || d.Line > len(lines) {
				t.Errorf("line %d of %d", d.Line, len(lines))
			}
			got, err := json.MarshalIndent(d, "", "\t")
			if err != nil {
				t.Fatal(err)
			}
			golden := filepath.Join("testdata", name+".golden")
			if *update {
				if err := os.WriteFile(golden, append(got, '\n'), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			expected, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(got)+"\n", string(expected)); diff != "" {
				t.Errorf("got, want:\n%s", diff)
			}
		})
	}
	files, _ := filepath.Glob("testdata/*.log")
	for _, f := range files {
		if name := strings.TrimSuffix(filepath.Base(f), ".log"); !seen[name] {
			t.Errorf("%s is not tested", f)
		}
	}
}

func TestEvidenceLineIsTheOneInTheLog(t *testing.T) {
	t.Parallel()
	log, err := os.ReadFile("testdata/push-other-name-timestamps.log")
	if err != nil {
		t.Fatal(err)
	}
	d := Diagnose(Failure{Log: log})
	if got := strings.Split(string(log), "\n")[d.Line-1]; !strings.Contains(got, "ecr:InitiateLayerUpload") {
		t.Errorf("line %d is %q", d.Line, got)
	}
}

func TestEarlierAndLaterComplaintsDoNotCount(t *testing.T) {
	t.Parallel()
	immutable := "tag invalid: The image tag 'x' already exists in the 'r' repository and cannot be overwritten because the tag is immutable.\n"
	for name, log := range map[string]string{
		"before":       "\x1b[32;1m$ docker push a || true\x1b[0;m\n" + immutable + "\x1b[32;1m$ make test\x1b[0;m\nmake: *** [test] Error 1\nERROR: Job failed: exit code 2\n",
		"after_script": "\x1b[32;1m$ make test\x1b[0;m\nmake: *** [test] Error 1\nsection_end:1:step_script\r\x1b[0Ksection_start:1:after_script\r\x1b[0Kx\n\x1b[32;1m$ docker push a\x1b[0;m\n" + immutable + "section_end:2:after_script\r\x1b[0KERROR: Job failed: exit code 2\n",
		"echoed":       "\x1b[32;1m$ make test # cannot be overwritten because the tag is immutable\x1b[0;m\nmake: *** [test] Error 1\nERROR: Job failed: exit code 2\n",
	} {
		d := Diagnose(Failure{FailureReason: "script_failure", Log: []byte(log)})
		if d.Cause != ScriptFailure || d.Owner != Project || d.Evidence != "make: *** [test] Error 1" {
			t.Errorf("%s: %+v, want the failed test", name, d)
		}
	}
}

func TestWordsOfAProjectsOwnTests(t *testing.T) {
	t.Parallel()
	for _, complaint := range []string{
		"dial tcp 10.0.0.1:5432: connect: connection refused",
		"SyntaxError: unexpected EOF while parsing",
		"AssertionError: expected 429 Too Many Requests",
		"sh: npm: not found",
		"Error: no such host: db.example.org",
	} {
		d := Diagnose(Failure{FailureReason: "script_failure", Log: []byte("$ ./test.sh\n" + complaint + "\nERROR: Job failed: exit code 1\n")})
		if d.Cause != ScriptFailure {
			t.Errorf("%q: %s, want %s", complaint, d.Cause, ScriptFailure)
		}
	}
}

func TestReasons(t *testing.T) {
	t.Parallel()
	for reason, want := range map[string]struct {
		cause Cause
		retry Retry
	}{
		"runner_system_failure":               {RunnerFailure, JobOnce},
		"stuck_or_timeout_failure":            {NoRunner, JobOnce},
		"stuck_pending_no_matching_runners":   {NoRunner, JobOnce},
		"job_execution_timeout":               {JobTimeout, Never},
		"failed_outdated_deployment_job":      {Superseded, Never},
		"missing_dependency_failure":          {ArtifactMissing, AfterRemedy},
		"protected_environment_failure":       {NotPermitted, AfterRemedy},
		"downstream_pipeline_creation_failed": {YAMLError, AfterRemedy},
		"id_token_burned_project_path":        {ProjectMoved, AfterRemedy},
		"something_of_next_year":              {Unknown, Never},
		"unknown_failure":                     {Unknown, Never},
		"":                                    {Unknown, Never},
	} {
		d := Diagnose(Failure{FailureReason: reason})
		if d.Cause != want.cause || d.Retry != want.retry {
			t.Errorf("%q: %s, %s; want %s, %s", reason, d.Cause, d.Retry, want.cause, want.retry)
		}
		if d.Summary == "" || d.Remedy == "" || d.Owner == "" {
			t.Errorf("%q: incomplete %+v", reason, d)
		}
	}
}

func TestYAMLErrors(t *testing.T) {
	t.Parallel()
	d := Diagnose(Failure{FailureReason: "config_error", Log: []byte("\njobs:build config should implement the script:, run:, or trigger: keyword\nmore")})
	if d.Cause != YAMLError || d.Line != 2 || !strings.HasPrefix(d.Evidence, "jobs:build config") {
		t.Errorf("%+v", d)
	}
}

func TestScriptFailureIsNeverRetried(t *testing.T) {
	t.Parallel()
	for name, r := range byReason {
		if r.Retry == JobOnce && r.Cause != RunnerFailure && r.Cause != NoRunner {
			t.Errorf("%s: a job is retried for %s", name, r.Cause)
		}
	}
	for _, r := range rules {
		if r.diagnosis.Retry == JobOnce && r.diagnosis.Cause != RunnerFailure {
			t.Errorf("a job is retried for %s", r.diagnosis.Cause)
		}
	}
}

func TestRepositoryDecidesTheOwner(t *testing.T) {
	t.Parallel()
	log := func(action, repository string) []byte {
		return fmt.Appendf(nil, "$ docker push x\ndenied: User: arn:aws:sts::1:x is not authorized to perform: ecr:%s on resource: arn:aws:ecr:eu-north-1:1:repository/%s because no identity-based policy allows it\nERROR: Job failed: exit code 1\n", action, repository)
	}
	for _, test := range []struct {
		action, repository, own string
		want                    Cause
	}{
		{"InitiateLayerUpload", "g/p-api", "g/p", PushNotAuthorized},
		{"InitiateLayerUpload", "g/p/api", "", PushNotAuthorized},
		{"InitiateLayerUpload", "g/p", "g/p", ProjectMoved},
		{"BatchGetImage", "g/other", "g/p", PullNotAuthorized},
		{"GetAuthorizationToken", "*", "g/p", ProjectMoved},
	} {
		d := Diagnose(Failure{Log: log(test.action, test.repository), Repository: test.own})
		if d.Cause != test.want {
			t.Errorf("%s on %s of %q: %s, want %s", test.action, test.repository, test.own, d.Cause, test.want)
		}
	}
}

func TestLargeLogIsReadFromItsEnd(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	log.WriteString("ERROR: no basic auth credentials\n")
	for i := range 300_000 {
		fmt.Fprintf(&log, "line %d of a long build\n", i)
	}
	n := bytes.Count(log.Bytes(), []byte("\n"))
	log.WriteString("toomanyrequests: Rate exceeded\n" + strings.Repeat("x", 3<<20) + "\nERROR: Job failed: exit code 1\n")
	d := Diagnose(Failure{FailureReason: "script_failure", Log: log.Bytes()})
	if d.Cause == NoBasicAuth {
		t.Errorf("the first line was read: %+v", d)
	}
	log.Truncate(log.Len() - 3<<20 - len("\nERROR: Job failed: exit code 1\n"))
	d = Diagnose(Failure{FailureReason: "script_failure", Log: log.Bytes()})
	if d.Cause != RateLimited || d.Line != n+1 {
		t.Errorf("%s in line %d, want %s in line %d", d.Cause, d.Line, RateLimited, n+1)
	}
}

func FuzzDiagnose(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.log")
	for _, name := range files {
		log, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add("script_failure", log)
	}
	f.Add("config_error", []byte("a\nb"))
	f.Fuzz(func(t *testing.T, reason string, log []byte) {
		d := Diagnose(Failure{FailureReason: reason, Log: log, Repository: "platon/kurs/website"})
		if d.Cause == "" || d.Owner == "" || d.Summary == "" || d.Remedy == "" || d.Retry == "" {
			t.Errorf("incomplete: %+v", d)
		}
		if len(d.Evidence) > maxQuote+len(masked) || strings.ContainsAny(d.Evidence, "\n\r\x1b") {
			t.Errorf("evidence %q", d.Evidence)
		}
		if lines := bytes.Count(log, []byte("\n")) + 1; d.Line < 0 || d.Line > lines || (d.Line == 0) != (d.Evidence == "") {
			t.Errorf("line %d of %d with evidence %q", d.Line, lines, d.Evidence)
		}
	})
}
