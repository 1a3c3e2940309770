package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// given returns a getenv over fixed pairs.
func given(pairs ...string) func(string) string {
	m := map[string]string{"HOME": "/home/ola"}
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = pairs[i+1]
	}
	return func(name string) string { return m[name] }
}

// variables returns the names in an error of Load, Need or Typos.
func variables(t *testing.T, err error) []string {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("not a joined error: %v", err)
	}
	var names []string
	for _, e := range joined.Unwrap() {
		p, ok := errors.AsType[*Problem](e)
		if !ok {
			t.Fatalf("a problem without a variable: %v", e)
		}
		names = append(names, p.Variable)
	}
	return names
}

func TestDefaults(t *testing.T) {
	t.Parallel()
	c, err := Load(given("ECRFERRY_WORKERS", "")) // empty is not set
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		DataDir: "/home/ola/.local/share/ecrferry", LogFormat: Text, HTTPAddr: "127.0.0.1:8080",
		Workers: 20, CopyWorkers: 4, PutImageRate: 10, GitLabURL: "https://gitlab.sikt.no",
		OldRegistry: "registry.uninett.no", OldRegistryURL: "https://registry.uninett.no",
		AWSRegion: "eu-north-1", Configure: ConfigureCheck, ConsoleMethod: "POST",
		CheckURLs: CheckURLsOff, Delivery: Push, Production: ProductionWait, Images: "in-use,newest=10",
		Dashboard: DashboardOn, DashboardAnonymous: RoleViewer,
		DashboardUserHeader: "X-Forwarded-User", DashboardGroupHeader: "X-Forwarded-Groups",
		TimeZone: "Europe/Oslo", FailureShare: 10, FailureLeast: 20,
		Poll: 15 * time.Second, PollMax: 5 * time.Minute, PipelineAppears: time.Minute,
		PipelineDeadline: 3 * time.Hour, DeployDeadline: 30 * time.Minute,
		MergeDeadline: 14 * 24 * time.Hour, ProductionInterval: time.Hour,
		ReconcileSchedule: "0 6 * * 1", ReconcileZone: "Europe/Oslo", ReconcileOverdue: 6 * time.Hour, ReconcilePatience: time.Hour,
		ReconcileMergeRequest: 7 * 24 * time.Hour, ReconcileProduction: 7 * 24 * time.Hour, ReconcileFailed: 7 * 24 * time.Hour,
	}
	if c.Calendar.Zone.String() != "Europe/Oslo" || c.Calendar.Look(time.Now(), "any/project") != nil {
		t.Errorf("calendar %+v, want one that is always open", c.Calendar)
	}
	c.Calendar = want.Calendar
	if diff := cmp.Diff(want, c, cmp.AllowUnexported(Secret{})); diff != "" {
		t.Error(diff)
	}
	c, err = Load(given("XDG_DATA_HOME", "/data"))
	if got, want := c.DataDir, "/data/ecrferry"; got != want || err != nil {
		t.Errorf("DataDir = %q, %v, want %q", got, err, want)
	}
}

func TestAllProblemsAtOnce(t *testing.T) {
	t.Parallel()
	_, err := Load(given(
		"DATABASE_URL", "mysql://root:hunter2@db/x",
		"ECRFERRY_LOG_LEVEL", "loud",
		"ECRFERRY_LOG_FORMAT", "xml",
		"ECRFERRY_HTTP_ADDR", "8080",
		"ECRFERRY_WORKERS", "many",
		"ECRFERRY_COPY_WORKERS", "0",
		"ECRFERRY_GITLAB_URL", "http://gitlab.example.org",
		"ECRFERRY_GITLAB_TOKEN_FILE", "/nonexistent",
		"ECRFERRY_OLD_REGISTRY", "https://registry.example.org",
		"ECRFERRY_OLD_REGISTRY_URL", "https://user:hunter2@registry.example.org",
		"ECRFERRY_OLD_REGISTRY_PASSWORD", "hunter2",
		"ECRFERRY_CONFIGURE", "console",
		"ECRFERRY_PRODUCTION", "now",
		"ECRFERRY_POLL", "10",
		"ECRFERRY_POLL_MAX", "-1s",
	))
	got := strings.Join(variables(t, err), " ")
	for _, name := range []string{
		"DATABASE_URL", "ECRFERRY_LOG_LEVEL", "ECRFERRY_LOG_FORMAT", "ECRFERRY_HTTP_ADDR", "ECRFERRY_WORKERS",
		"ECRFERRY_COPY_WORKERS", "ECRFERRY_GITLAB_URL", "ECRFERRY_GITLAB_TOKEN_FILE", "ECRFERRY_OLD_REGISTRY",
		"ECRFERRY_OLD_REGISTRY_URL", "ECRFERRY_OLD_REGISTRY_USER", "ECRFERRY_CONSOLE_URL", "ECRFERRY_PRODUCTION",
		"ECRFERRY_POLL", "ECRFERRY_POLL_MAX",
	} {
		if n := strings.Count(" "+got+" ", " "+name+" "); n != 1 {
			t.Errorf("%s is named %d times, want once", name, n)
		}
	}
	if strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret shows: %v", err)
	}
}

func TestValues(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	token := write("token", "glpat-x\n")
	empty := write("empty", "\n")
	aliases := write("aliases", "# moved\n\npublic/kart group/kart\n  public/mal   group/mal \n")
	twice := write("twice", "a b\na c\nd\n")
	for _, tt := range []struct {
		name  string
		pairs []string
		wrong string // the variable complained of
		check func(Config) bool
	}{
		{name: "token from a file", pairs: []string{"ECRFERRY_GITLAB_TOKEN_FILE", token},
			check: func(c Config) bool { return c.GitLabToken.Reveal() == "glpat-x" }},
		{name: "token twice", pairs: []string{"ECRFERRY_GITLAB_TOKEN", "x", "ECRFERRY_GITLAB_TOKEN_FILE", token}, wrong: "ECRFERRY_GITLAB_TOKEN"},
		{name: "empty file", pairs: []string{"ECRFERRY_GITLAB_TOKEN_FILE", empty}, wrong: "ECRFERRY_GITLAB_TOKEN_FILE"},
		{name: "aliases", pairs: []string{"ECRFERRY_OLD_REGISTRY_ALIASES", aliases},
			check: func(c Config) bool {
				return cmp.Equal(c.Aliases, map[string]string{"public/kart": "group/kart", "public/mal": "group/mal"})
			}},
		{name: "bad aliases", pairs: []string{"ECRFERRY_OLD_REGISTRY_ALIASES", twice}, wrong: "ECRFERRY_OLD_REGISTRY_ALIASES"},
		{name: "plain http on this machine", pairs: []string{"ECRFERRY_GITLAB_URL", "http://127.0.0.1:3000"},
			check: func(c Config) bool { return c.GitLabURL == "http://127.0.0.1:3000" }},
		{name: "plain http in a compose file", pairs: []string{"ECRFERRY_GITLAB_URL", "http://gitlab"},
			check: func(Config) bool { return true }},
		{name: "console", pairs: []string{"ECRFERRY_CONFIGURE", "console", "ECRFERRY_CONSOLE_METHOD", "put",
			"ECRFERRY_CONSOLE_URL", "https://console.example.org/{{.ID}}?path={{urlquery .Path}}"},
			check: func(c Config) bool { return c.ConsoleMethod == "PUT" }},
		{name: "console asks for more", pairs: []string{"ECRFERRY_CONSOLE_URL", "https://c/{{.Name}}"}, wrong: "ECRFERRY_CONSOLE_URL"},
		{name: "console no template", pairs: []string{"ECRFERRY_CONSOLE_URL", "https://c/{{"}, wrong: "ECRFERRY_CONSOLE_URL"},
		{name: "poll over its bound", pairs: []string{"ECRFERRY_POLL", "6m"}, wrong: "ECRFERRY_POLL"},
		{name: "no schedule", pairs: []string{"ECRFERRY_RECONCILE_SCHEDULE", "every week"}, wrong: "ECRFERRY_RECONCILE_SCHEDULE"},
		{name: "unknown time zone", pairs: []string{"ECRFERRY_RECONCILE_ZONE", "Europe/Atlantis"}, wrong: "ECRFERRY_RECONCILE_SCHEDULE"},
		{name: "schedule off", pairs: []string{"ECRFERRY_RECONCILE_SCHEDULE", "off"},
			check: func(c Config) bool { return c.ReconcileSchedule == "off" }},
		{name: "webhook in the clear", pairs: []string{"ECRFERRY_REPORT_WEBHOOK", "http://hooks.example.org/hunter2"}, wrong: "ECRFERRY_REPORT_WEBHOOK"},
		{name: "debug", pairs: []string{"ECRFERRY_LOG_LEVEL", "debug"},
			check: func(c Config) bool { return c.LogLevel == slog.LevelDebug }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			c, err := Load(given(tt.pairs...))
			if tt.wrong == "" {
				if err != nil {
					t.Fatal(err)
				}
				if !tt.check(c) {
					t.Errorf("not as wanted: %+v", c)
				}
				return
			}
			names := variables(t, err)
			if len(names) == 0 {
				t.Fatal("no problem seen")
			}
			for _, got := range names {
				if got != tt.wrong {
					t.Errorf("problem with %s, want %s: %v", got, tt.wrong, err)
				}
			}
		})
	}
}

func TestNeed(t *testing.T) {
	t.Parallel()
	c, err := Load(func(string) string { return "" }) // not even HOME
	if err != nil {
		t.Fatal(err)
	}
	got := variables(t, c.Need(Database, GitLab, OldRegistry, ECR, Console))
	want := []string{"ECRFERRY_DATA_DIR", "ECRFERRY_GITLAB_TOKEN", "ECRFERRY_OLD_REGISTRY_USER", "ECRFERRY_CONSOLE_URL"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if err := c.Need(); err != nil {
		t.Errorf("needs nothing, and yet: %v", err)
	}
	c.GitLabToken = NewSecret("x")
	if err := c.Need(GitLab, ECR); err != nil {
		t.Error(err)
	}
}

func TestTypos(t *testing.T) {
	t.Parallel()
	err := Typos([]string{"PATH=/bin", "ECRFERRY_WORKRES=3", "ECRFERRY_GITLAB_TOKEN_FILE=/x",
		"ECRFERRY_WORKERS_FILE=/x", "ECRFERRY_COLOUR_OF_THE_BIKE_SHED=red"})
	got := fmt.Sprint(err)
	for _, want := range []string{
		"ECRFERRY_WORKRES: there is no such setting; did you mean ECRFERRY_WORKERS?",
		"ECRFERRY_COLOUR_OF_THE_BIKE_SHED: there is no such setting; unset it",
		"ECRFERRY_WORKERS_FILE: there is no such setting",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("missing %q in:\n%s", want, got)
		}
	}
	if n := len(variables(t, err)); n != 3 {
		t.Errorf("%d typos, want 3:\n%s", n, got)
	}
}

func TestSecretsDoNotShow(t *testing.T) {
	t.Parallel()
	c := Config{DatabaseURL: NewSecret("hunter2"), GitLabToken: NewSecret("hunter2")}
	var log bytes.Buffer
	for _, format := range []LogFormat{Text, JSON} {
		logger := Config{LogFormat: format}.Logger(&log)
		logger.Info("start", "config", c, "secret", c.GitLabToken, "pointer", &c)
	}
	encoded, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	shown := log.String() + string(encoded)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		shown += fmt.Sprintf(verb, c) + fmt.Sprintf(verb, &c) + fmt.Sprintf(verb, c.GitLabToken) + fmt.Sprintf(verb, &c.GitLabToken)
	}
	shown += fmt.Sprint(fmt.Errorf("with %v", c.GitLabToken))
	for _, leak := range []string{"hunter2", fmt.Sprintf("%x", "hunter2")} {
		if strings.Contains(shown, leak) {
			t.Errorf("the secret shows as %q in:\n%s", leak, shown)
		}
	}
	if !strings.Contains(log.String(), redacted) {
		t.Errorf("nothing says that there is a secret: %s", log.String())
	}
}

func TestEverySettingIsDescribed(t *testing.T) {
	t.Parallel()
	all := Describe()
	if len(all) < 25 {
		t.Fatalf("only %d settings", len(all))
	}
	seen := map[string]bool{}
	for _, s := range all {
		if s.Purpose == "" || seen[s.Name] {
			t.Errorf("%s has no purpose or occurs twice", s.Name)
		}
		seen[s.Name] = true
		if !strings.Contains(Markdown(), "| `"+s.Name+"` | ") {
			t.Errorf("%s is missing in the table", s.Name)
		}
	}
}

func TestCalendar(t *testing.T) {
	t.Parallel()
	list := filepath.Join(t.TempDir(), "freezes")
	if err := os.WriteFile(list, []byte("kurs/** 2026-12-01..2026-12-24 exams\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Load(given("ECRFERRY_HOURS", "Mon-Fri 08:00-15:00", "ECRFERRY_FREEZES", list))
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"2026-12-02T10:00:00Z": "frozen", "2026-11-23T14:30:00Z": "outside-hours", "2026-11-23T13:30:00Z": "",
	} {
		now, _ := time.Parse(time.RFC3339, at)
		got := ""
		if closed := c.Calendar.Look(now, "kurs/skjema"); closed != nil {
			got = closed.Reason
		}
		if got != want {
			t.Errorf("%s: %q, want %q", at, got, want)
		}
	}
	if err := os.WriteFile(list, []byte("\nkurs/** 2026-12-24..2026-12-01\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(given("ECRFERRY_HOURS", "office hours", "ECRFERRY_FREEZES", list, "ECRFERRY_FAILURE_SHARE", "101"))
	if got := variables(t, err); !slices.Equal(got, []string{"ECRFERRY_HOURS", "ECRFERRY_FREEZES", "ECRFERRY_FAILURE_SHARE"}) {
		t.Errorf("problems with %v: %v", got, err)
	}
	if _, err = Load(given("ECRFERRY_TIME_ZONE", "Norway/Mars")); err == nil {
		t.Error("an unknown time zone was accepted")
	}
}
