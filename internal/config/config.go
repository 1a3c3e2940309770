// Package config turns environment variables into one typed value.
//
// Every setting is a field of Config whose tags hold its variable's name, its
// default and its purpose; Describe and Markdown read the same tags, so the
// documentation cannot drift. Secrets may come from files: X_FILE names the
// file that holds X. Load reports all problems at once, each with the name of
// its variable and what to do. An empty variable counts as not set.
package config

import (
	"io"
	"log/slog"
	"net/netip"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/calendar"
)

// Config is what the programs can be told. Settings that are not needed by a
// command may be empty; Need says whether those of a part are there.
type Config struct {
	DatabaseURL  Secret     `env:"DATABASE_URL" doc:"PostgreSQL 14 or newer to use; without it an embedded server is started in the data directory"`
	DataDir      string     `env:"ECRFERRY_DATA_DIR" doc:"where the embedded PostgreSQL lives" default:"$XDG_DATA_HOME/ecrferry, else ~/.local/share/ecrferry"`
	LogLevel     slog.Level `env:"ECRFERRY_LOG_LEVEL" envDefault:"INFO" doc:"DEBUG, INFO, WARN or ERROR"`
	LogFormat    LogFormat  `env:"ECRFERRY_LOG_FORMAT" envDefault:"text" doc:"text or json"`
	HTTPAddr     string     `env:"ECRFERRY_HTTP_ADDR" envDefault:"127.0.0.1:8080" doc:"where the worker serves the dashboard, /healthz, /readyz and /metrics"`
	Workers      int        `env:"ECRFERRY_WORKERS" envDefault:"20" doc:"steps that one worker process runs at the same time, copying aside"`
	CopyWorkers  int        `env:"ECRFERRY_COPY_WORKERS" envDefault:"4" doc:"projects whose images one worker process copies at the same time"`
	PutImageRate int        `env:"ECRFERRY_PUT_IMAGE_RATE" envDefault:"10" doc:"manifests a second that all workers together may write to ECR: the account's quota of PutImage"`

	GitLabURL   string `env:"ECRFERRY_GITLAB_URL" envDefault:"https://gitlab.sikt.no" doc:"the GitLab instance"`
	GitLabToken Secret `env:"ECRFERRY_GITLAB_TOKEN" doc:"token with the scope api, of a user who may push to the projects"`

	OldRegistry         string `env:"ECRFERRY_OLD_REGISTRY" envDefault:"registry.uninett.no" doc:"host name by which images of the old registry are called"`
	OldRegistryURL      string `env:"ECRFERRY_OLD_REGISTRY_URL" doc:"where the old registry is reached, if not at https:// and its name"`
	OldRegistryUser     string `env:"ECRFERRY_OLD_REGISTRY_USER" doc:"user who may list and pull everything"`
	OldRegistryPassword Secret `env:"ECRFERRY_OLD_REGISTRY_PASSWORD" doc:"that user's password"`
	// OldRegistryAliases is a file; Aliases is what it says.
	OldRegistryAliases string            `env:"ECRFERRY_OLD_REGISTRY_ALIASES" doc:"file that gives repositories to projects which their names do not show: lines such as public/kart group/kart"`
	Aliases            map[string]string `env:"-"`

	AWSRegion   string `env:"AWS_REGION" envDefault:"eu-north-1" doc:"region of the ECR registry; credentials come from AWS's usual places"`
	ECRRegistry string `env:"ECRFERRY_ECR_REGISTRY" doc:"host name by which images in ECR are called, if not the one that ECR itself tells"`
	Kubeconfig  string `env:"ECRFERRY_KUBECONFIG" doc:"kubeconfig file for asking the PaaS which images run; without it the cluster is not asked"`

	Configure     Configure `env:"ECRFERRY_CONFIGURE" envDefault:"check" doc:"how a project gets its ECR repository and CI/CD variables: console (call its URL), self (make them), check (only look, and ask a human)"`
	ConsoleURL    string    `env:"ECRFERRY_CONSOLE_URL" doc:"the console's address of Update configuration, a Go template with .ID and .Path"`
	ConsoleMethod string    `env:"ECRFERRY_CONSOLE_METHOD" envDefault:"POST" doc:"the HTTP method to call it with"`
	ConsoleToken  Secret    `env:"ECRFERRY_CONSOLE_TOKEN" doc:"bearer token for it"`

	CheckURLs CheckURLs `env:"ECRFERRY_CHECK_URLS" envDefault:"off" doc:"whether a verdict asks the environments' own addresses for an answer too: off, public (addresses of the internet), or any (of private networks as well)"`

	Dashboard            Dashboard `env:"ECRFERRY_DASHBOARD" envDefault:"on" doc:"on or off; anywhere but on loopback the dashboard needs a login: users or proxies"`
	DashboardAnonymous   Role      `env:"ECRFERRY_DASHBOARD_ANONYMOUS" envDefault:"viewer" doc:"what everybody on this machine may do while no login is configured: nobody (nothing), viewer (read) or operator (act)"`
	DashboardUsers       Secret    `env:"ECRFERRY_DASHBOARD_USERS" doc:"who may log in with a password, a line each: NAME:ROLE:HASH, where ROLE is viewer or operator; worker user makes such a line"`
	DashboardProxies     string    `env:"ECRFERRY_DASHBOARD_PROXIES" doc:"addresses of login proxies, such as 10.1.2.3 or 10.1.0.0/16, separated by commas; who they say somebody is, counts"`
	DashboardUserHeader  string    `env:"ECRFERRY_DASHBOARD_USER_HEADER" envDefault:"X-Forwarded-User" doc:"the header in which a login proxy names the user"`
	DashboardGroupHeader string    `env:"ECRFERRY_DASHBOARD_GROUPS_HEADER" envDefault:"X-Forwarded-Groups" doc:"the header in which it names the user's groups, separated by commas"`
	DashboardOperators   string    `env:"ECRFERRY_DASHBOARD_OPERATORS" doc:"the group whose members may act; all others whom a login proxy names may read"`
	// Users and Proxies are what DashboardUsers and DashboardProxies say.
	Users   []User         `env:"-"`
	Proxies []netip.Prefix `env:"-"`

	Delivery   Delivery   `env:"ECRFERRY_DELIVERY" envDefault:"push" doc:"how the rewrite reaches the default branch: push (a merge request only where the branch is protected), merge-request, or merge-request+auto-merge (merged when its checks pass)"`
	Production Production `env:"ECRFERRY_PRODUCTION" envDefault:"wait" doc:"what to do about a manual production job: wait for a human, skip it, or play it"`
	Images     string     `env:"ECRFERRY_IMAGES" envDefault:"in-use,newest=10" doc:"which images to copy: all, or in-use and newest=N (of each image name); with include=GLOB, exclude=GLOB and max-age=90d beside them"`

	// Hours, TimeZone and Freezes are what Calendar is made of.
	Hours    string            `env:"ECRFERRY_HOURS" doc:"when projects may begin, such as Mon-Thu 08:00-15:00, Fri 08:00-12:00; empty is always. Those under way go on"`
	TimeZone string            `env:"ECRFERRY_TIME_ZONE" envDefault:"Europe/Oslo" doc:"the time zone of working hours and freezes"`
	Freezes  string            `env:"ECRFERRY_FREEZES" doc:"file of projects that may not begin: lines such as kurs/** 2026-12-01..2027-01-10 exams, or hr/lonn for good; ** is every project. enqueue freeze keeps a list beside it"`
	Calendar calendar.Calendar `env:"-"`

	FailureShare int `env:"ECRFERRY_FAILURE_SHARE" envDefault:"10" doc:"per cent of a run's ended projects that may have failed before the intake pauses; 0 for any"`
	FailureLeast int `env:"ECRFERRY_FAILURE_LEAST" envDefault:"20" doc:"how many projects of a run must have ended before that share counts"`
	FailureCount int `env:"ECRFERRY_FAILURE_COUNT" envDefault:"0" doc:"at how many failed projects of a run the intake pauses; 0 for no such number"`

	Poll               time.Duration `env:"ECRFERRY_POLL" envDefault:"15s" doc:"first interval between two looks at something outside; it grows"`
	PollMax            time.Duration `env:"ECRFERRY_POLL_MAX" envDefault:"5m" doc:"the interval at which it stops growing"`
	PipelineAppears    time.Duration `env:"ECRFERRY_PIPELINE_APPEARS" envDefault:"1m" doc:"how long to wait for a commit's own pipeline before creating one"`
	PipelinesPerHour   int           `env:"ECRFERRY_PIPELINES_PER_HOUR" envDefault:"0" doc:"how many pipelines all workers together may start within an hour; 0 for any number"`
	PipelineDeadline   time.Duration `env:"ECRFERRY_PIPELINE_DEADLINE" envDefault:"3h" doc:"how long a pipeline may take"`
	DeployDeadline     time.Duration `env:"ECRFERRY_DEPLOY_DEADLINE" envDefault:"30m" doc:"how long a deployment may take to run the new image"`
	MergeDeadline      time.Duration `env:"ECRFERRY_MERGE_DEADLINE" envDefault:"336h" doc:"how long a merge request may stay open"`
	ProductionInterval time.Duration `env:"ECRFERRY_PRODUCTION_POLL" envDefault:"1h" doc:"interval between two looks at a manual production job"`

	ReconcileSchedule     string        `env:"ECRFERRY_RECONCILE_SCHEDULE" envDefault:"0 6 * * 1" doc:"when the reconciliation report is due, as cron has it (minute, hour, day of the month, month, day of the week); off for only on demand"`
	ReconcileZone         string        `env:"ECRFERRY_RECONCILE_ZONE" envDefault:"Europe/Oslo" doc:"the time zone whose clock the schedule means"`
	ReconcileOverdue      time.Duration `env:"ECRFERRY_RECONCILE_OVERDUE" envDefault:"6h" doc:"how long after its time a report may be missing before it is an alarm"`
	ReconcilePatience     time.Duration `env:"ECRFERRY_RECONCILE_PATIENCE" envDefault:"1h" doc:"how long a report asks again for a project that it cannot look at"`
	ReconcileMergeRequest time.Duration `env:"ECRFERRY_RECONCILE_MERGE_REQUEST" envDefault:"168h" doc:"how long a merge request may be open before reports tell of it"`
	ReconcileProduction   time.Duration `env:"ECRFERRY_RECONCILE_PRODUCTION" envDefault:"168h" doc:"how long production may wait before reports tell of it"`
	ReconcileFailed       time.Duration `env:"ECRFERRY_RECONCILE_FAILED" envDefault:"168h" doc:"how long a project may have failed before reports call it forgotten"`
	ReportDir             string        `env:"ECRFERRY_REPORT_DIR" doc:"directory that reports are written to as files"`
	ReportProject         string        `env:"ECRFERRY_REPORT_PROJECT" doc:"path of the GitLab project in which an issue with the latest report is kept up to date"`
	ReportWebhook         Secret        `env:"ECRFERRY_REPORT_WEBHOOK" doc:"address that reports are posted to in Slack's JSON"`
}

// LogFormat says how log lines are written.
type LogFormat string

// The log formats.
const (
	Text LogFormat = "text"
	JSON LogFormat = "json"
)

// Configure says how a project gets its repository and variables.
type Configure string

// The ways to configure a project.
const (
	ConfigureConsole Configure = "console"
	ConfigureSelf    Configure = "self"
	ConfigureCheck   Configure = "check"
)

// CheckURLs says which addresses of environments are asked.
type CheckURLs string

// The choices about environments' addresses.
const (
	CheckURLsOff    CheckURLs = "off"
	CheckURLsPublic CheckURLs = "public"
	CheckURLsAny    CheckURLs = "any"
)

// Delivery says how the rewrite reaches the default branch.
type Delivery string

// The ways of delivery.
const (
	Push         Delivery = "push"
	MergeRequest Delivery = "merge-request"
	AutoMerge    Delivery = "merge-request+auto-merge"
)

// Production says what to do about a manual production job.
type Production string

// The policies about production.
const (
	ProductionWait Production = "wait"
	ProductionSkip Production = "skip"
	ProductionPlay Production = "play"
)

// Logger returns a logger as configured that writes to w.
func (c Config) Logger(w io.Writer) *slog.Logger {
	o := &slog.HandlerOptions{Level: c.LogLevel}
	if c.LogFormat == JSON {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// LogValue is the configuration with secrets left out, for the log at start.
func (c Config) LogValue() slog.Value {
	var attrs []slog.Attr
	for field, value := range fields(&c) {
		if !value.IsZero() {
			attrs = append(attrs, slog.Any(field.Tag.Get("env"), value.Interface()))
		}
	}
	return slog.GroupValue(attrs...)
}
