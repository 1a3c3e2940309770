package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strings"
	"text/template"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
)

// Part is a group of settings that a command may need.
type Part string

// The parts.
const (
	Database    Part = "database"
	GitLab      Part = "gitlab"
	OldRegistry Part = "old-registry"
	ECR         Part = "ecr"
	Console     Part = "console"
	Web         Part = "web" // what the worker serves to browsers
)

// Need says what is missing for the given parts, all at once. What is there
// has been checked by Load.
func (c Config) Need(parts ...Part) error {
	var ps problems
	for _, part := range parts {
		switch part {
		case Database:
			if c.DatabaseURL.IsZero() && c.DataDir == "" {
				ps.add("ECRFERRY_DATA_DIR", "neither this nor DATABASE_URL nor HOME is set; set one of them")
			}
		case GitLab:
			if c.GitLabToken.IsZero() {
				ps.add("ECRFERRY_GITLAB_TOKEN", "not set; make a token with the scope api, and set this or ECRFERRY_GITLAB_TOKEN_FILE")
			}
		case OldRegistry:
			if c.OldRegistryUser == "" {
				ps.add("ECRFERRY_OLD_REGISTRY_USER", "not set; name a user who may list and pull everything")
			}
		case ECR:
			if c.AWSRegion == "" {
				ps.add("AWS_REGION", "not set; name the region of the ECR registry")
			}
		case Console:
			if c.ConsoleURL == "" {
				ps.add("ECRFERRY_CONSOLE_URL", "not set; give the address of Update configuration, or choose another ECRFERRY_CONFIGURE")
			}
		case Web:
			ps.web(&c)
		default:
			ps = append(ps, fmt.Errorf("no such part of the configuration: %s", part))
		}
	}
	return errors.Join(ps...)
}

// check looks at the values one by one and against each other.
func (ps *problems) check(c *Config) {
	choose(ps, "ECRFERRY_LOG_FORMAT", c.LogFormat, Text, JSON)
	choose(ps, "ECRFERRY_CONFIGURE", c.Configure, ConfigureConsole, ConfigureSelf, ConfigureCheck)
	choose(ps, "ECRFERRY_CHECK_URLS", c.CheckURLs, CheckURLsOff, CheckURLsPublic, CheckURLsAny)
	choose(ps, "ECRFERRY_DELIVERY", c.Delivery, Push, MergeRequest, AutoMerge)
	choose(ps, "ECRFERRY_PRODUCTION", c.Production, ProductionWait, ProductionSkip, ProductionPlay)
	choose(ps, "ECRFERRY_DASHBOARD", c.Dashboard, DashboardOn, DashboardOff)
	choose(ps, "ECRFERRY_DASHBOARD_ANONYMOUS", c.DashboardAnonymous, RoleNobody, RoleViewer, RoleOperator)
	choose(ps, "ECRFERRY_CONSOLE_METHOD", c.ConsoleMethod, "POST", "PUT", "PATCH", "GET")

	ps.address("ECRFERRY_HTTP_ADDR", c.HTTPAddr)
	ps.database(c.DatabaseURL)
	ps.url("ECRFERRY_GITLAB_URL", c.GitLabURL)
	ps.url("ECRFERRY_OLD_REGISTRY_URL", c.OldRegistryURL)
	ps.host("ECRFERRY_OLD_REGISTRY", c.OldRegistry)
	if c.ECRRegistry != "" {
		ps.host("ECRFERRY_ECR_REGISTRY", c.ECRRegistry)
	}

	between(ps, "ECRFERRY_WORKERS", c.Workers, 1, 10_000) // River's own bounds
	between(ps, "ECRFERRY_PIPELINES_PER_HOUR", c.PipelinesPerHour, 0, 1_000_000)
	between(ps, "ECRFERRY_FAILURE_SHARE", c.FailureShare, 0, 100)
	between(ps, "ECRFERRY_FAILURE_LEAST", c.FailureLeast, 0, 1_000_000)
	between(ps, "ECRFERRY_FAILURE_COUNT", c.FailureCount, 0, 1_000_000)
	between(ps, "ECRFERRY_COPY_WORKERS", c.CopyWorkers, 1, 1_000)
	between(ps, "ECRFERRY_PUT_IMAGE_RATE", c.PutImageRate, 1, 10_000)
	for name, d := range map[string]time.Duration{
		"ECRFERRY_POLL":              c.Poll,
		"ECRFERRY_POLL_MAX":          c.PollMax,
		"ECRFERRY_PIPELINE_APPEARS":  c.PipelineAppears,
		"ECRFERRY_PIPELINE_DEADLINE": c.PipelineDeadline,
		"ECRFERRY_DEPLOY_DEADLINE":   c.DeployDeadline,
		"ECRFERRY_MERGE_DEADLINE":    c.MergeDeadline,
		"ECRFERRY_PRODUCTION_POLL":   c.ProductionInterval,

		"ECRFERRY_RECONCILE_OVERDUE":       c.ReconcileOverdue,
		"ECRFERRY_RECONCILE_PATIENCE":      c.ReconcilePatience,
		"ECRFERRY_RECONCILE_MERGE_REQUEST": c.ReconcileMergeRequest,
		"ECRFERRY_RECONCILE_PRODUCTION":    c.ReconcileProduction,
		"ECRFERRY_RECONCILE_FAILED":        c.ReconcileFailed,
	} {
		if d <= 0 && !ps.has(name) {
			ps.add(name, "%s is no time to wait; write a duration above zero", d)
		}
	}
	if c.ReconcileSchedule != "off" {
		if _, err := reconcile.ParseSchedule(c.ReconcileSchedule, c.ReconcileZone); err != nil {
			ps.add("ECRFERRY_RECONCILE_SCHEDULE", "%v", err)
		}
	}
	if hook := c.ReportWebhook.Reveal(); hook != "" {
		ps.url("ECRFERRY_REPORT_WEBHOOK", hook)
	}
	if c.Poll > c.PollMax && c.PollMax > 0 {
		ps.add("ECRFERRY_POLL", "%s is more than ECRFERRY_POLL_MAX, %s; raise that, or lower this", c.Poll, c.PollMax)
	}
	if (c.OldRegistryUser == "") != c.OldRegistryPassword.IsZero() {
		ps.add("ECRFERRY_OLD_REGISTRY_USER", "user and password belong together; set ECRFERRY_OLD_REGISTRY_USER and ECRFERRY_OLD_REGISTRY_PASSWORD, or neither")
	}
	if c.Configure == ConfigureConsole && c.ConsoleURL == "" {
		ps.add("ECRFERRY_CONSOLE_URL", "not set; ECRFERRY_CONFIGURE=console needs the address of Update configuration")
	}
	if c.ConsoleURL != "" {
		ps.consoleURL(c.ConsoleURL)
	}
}

// has says whether there is a problem with the variable already.
func (ps *problems) has(variable string) bool {
	return slices.ContainsFunc(*ps, func(err error) bool {
		p, ok := errors.AsType[*Problem](err)
		return ok && p.Variable == variable
	})
}

func choose[T ~string](ps *problems, variable string, value T, choices ...T) {
	if slices.Contains(choices, value) {
		return
	}
	words := make([]string, len(choices))
	for i, c := range choices {
		words[i] = string(c)
	}
	ps.add(variable, "%q is no choice; write one of %s", value, strings.Join(words, ", "))
}

func between(ps *problems, variable string, n, low, high int) {
	if (n < low || n > high) && !ps.has(variable) {
		ps.add(variable, "%d is out of range; write a number from %d to %d", n, low, high)
	}
}

func (ps *problems) address(variable, value string) {
	if _, _, err := net.SplitHostPort(value); err != nil {
		ps.add(variable, "%q is no address; write host:port, such as 127.0.0.1:8080", value)
	}
}

func (ps *problems) host(variable, value string) {
	if value == "" || strings.ContainsAny(value, "/ @") {
		ps.add(variable, "%q is no host name; write it as images name it, without https:// and without a path", value)
	}
}

// url wants https, because tokens travel there. Plain http is for stand-ins:
// on this machine, or under a name without dots, as in a compose file.
func (ps *problems) url(variable, value string) {
	u, err := url.Parse(value)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		ps.add(variable, "not an address; write one such as https://gitlab.example.org")
		return
	}
	if u.User != nil {
		ps.add(variable, "holds a user name; secrets have variables of their own")
		return
	}
	host := u.Hostname()
	ip := net.ParseIP(host)
	local := ip != nil && ip.IsLoopback() || ip == nil && !strings.Contains(host, ".")
	if u.Scheme == "http" && !local {
		ps.add(variable, "http://%s would carry tokens in the clear; use https", u.Host)
	}
}

// database looks at the form only; the value may hold a password, so it is not repeated.
func (ps *problems) database(s Secret) {
	value := s.Reveal()
	switch {
	case value == "", strings.HasPrefix(value, "postgres://"), strings.HasPrefix(value, "postgresql://"),
		strings.Contains(value, "host="):
		return
	}
	ps.add("DATABASE_URL", "not a PostgreSQL address; write postgres://user:password@host:5432/database")
}

// consoleURL tries the template on a made-up project.
func (ps *problems) consoleURL(value string) {
	const name = "ECRFERRY_CONSOLE_URL"
	t, err := template.New(name).Option("missingkey=error").Parse(value)
	if err != nil {
		ps.add(name, "%v; write a Go template such as https://console.example.org/projects/{{.ID}}/update", err)
		return
	}
	var b strings.Builder
	err = t.Execute(&b, struct {
		ID   int64
		Path string
	}{1, "group/project"})
	if err != nil {
		ps.add(name, "%v; only .ID and .Path are known", err)
		return
	}
	ps.url(name, b.String())
}
