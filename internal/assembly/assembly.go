// Package assembly puts the rooms together as the configuration says. The
// worker and the command line share it, so that both mean the same systems.
package assembly

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/cluster"
	"gitlab.sikt.no/platon/ecrferry/internal/config"
	"gitlab.sikt.no/platon/ecrferry/internal/console"
	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/jobs"
	"gitlab.sikt.no/platon/ecrferry/internal/metrics"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/postgres"
	"gitlab.sikt.no/platon/ecrferry/internal/probe"
	"gitlab.sikt.no/platon/ecrferry/internal/reconcile"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
	"gitlab.sikt.no/platon/ecrferry/internal/webhook"
)

// Database opens the database and brings its schemas up to date. Several
// processes may do so at once.
func Database(ctx context.Context, c config.Config, app string, log *slog.Logger) (*postgres.DB, error) {
	if err := c.Need(config.Database); err != nil {
		return nil, err
	}
	db, err := postgres.Open(ctx, postgres.Options{
		URL: c.DatabaseURL.Reveal(), DataDir: c.DataDir, Log: log, AppName: app,
		// Every running step may hold one, and River needs some for itself.
		MaxConns: c.Workers + c.CopyWorkers + 8,
	})
	if err != nil {
		return nil, err
	}
	if err := postgres.Migrate(ctx, db); err != nil {
		db.Close()
		return nil, fmt.Errorf("bringing the database up to date: %w", err)
	}
	return db, nil
}

// GitLab makes the room around GitLab.
func GitLab(c config.Config, log *slog.Logger, m *metrics.Metrics) (*gitlab.Client, error) {
	if err := c.Need(config.GitLab); err != nil {
		return nil, err
	}
	return gitlab.New(gitlab.Options{URL: c.GitLabURL, Token: c.GitLabToken.Reveal(), Log: log, Observe: m.HTTP("gitlab"),
		Around: around("gitlab", nil, m), Waited: m.Waits("gitlab")})
}

// Clients makes all rooms around systems outside, and the settings that go with
// them. It asks ECR once, to learn what its images are called by. Through st the
// copies of all processes share one pace; without it they have their own.
func Clients(ctx context.Context, c config.Config, st *store.Store, log *slog.Logger, m *metrics.Metrics) (jobs.Clients, jobs.Settings, error) {
	return ClientsOf(ctx, c, ecr.Options{}, st, log, m)
}

// ClientsOf is Clients with an ECR that is not the one of AWS's usual places:
// several may be in use in one process.
func ClientsOf(ctx context.Context, c config.Config, aws ecr.Options, st *store.Store, log *slog.Logger, m *metrics.Metrics) (jobs.Clients, jobs.Settings, error) {
	var out jobs.Clients
	need := []config.Part{config.GitLab, config.OldRegistry, config.ECR}
	if c.Configure == config.ConfigureConsole {
		need = append(need, config.Console)
	}
	if err := c.Need(need...); err != nil {
		return out, jobs.Settings{}, err
	}
	var err error
	if out.GitLab, err = GitLab(c, log, m); err != nil {
		return out, jobs.Settings{}, err
	}
	out.Old, err = registry.New(registry.Options{
		Name: c.OldRegistry, URL: c.OldRegistryURL, User: c.OldRegistryUser, Password: c.OldRegistryPassword.Reveal(),
		Log: log, Observe: m.HTTP("old-registry"), Around: around("old-registry", nil, m), Limits: limits(pace.OldRegistry(), m),
	})
	if err != nil {
		return out, jobs.Settings{}, err
	}
	aws.Region, aws.Log, aws.Observe = c.AWSRegion, log, m.AWS()
	aws.Around, aws.Limits = around("ecr", nil, m), limits(ecrPaces(c, st), m)
	out.ECR, err = ecr.New(ctx, aws)
	if err != nil {
		return out, jobs.Settings{}, err
	}
	token, err := out.ECR.Token(ctx)
	if err != nil {
		return out, jobs.Settings{}, fmt.Errorf("logging in to ECR: %w", err)
	}
	door, err := url.Parse(token.Endpoint)
	if err != nil {
		return out, jobs.Settings{}, fmt.Errorf("ECR's answer names an odd registry address %q: %w", token.Endpoint, err)
	}
	name := c.ECRRegistry
	if name == "" {
		name = door.Host
	}
	target, err := registry.New(registry.Options{
		Name: name, URL: token.Endpoint, Log: log, Observe: m.HTTP("ecr-registry"), Around: around("ecr-registry", nil, m), Limits: out.ECR.Limits(),
		Credentials: func(ctx context.Context) (string, string, error) {
			t, err := out.ECR.Token(ctx)
			return t.User, t.Password, err
		},
		Refused: out.ECR.Refused,
	})
	if err != nil {
		return out, jobs.Settings{}, err
	}
	out.Engine = imagecopy.New(imagecopy.Options{Source: out.Old, Target: target, ECR: out.ECR, Log: log, Moved: m.Copied})
	if c.Configure == config.ConfigureConsole {
		out.Console, err = console.New(console.Options{
			URL: c.ConsoleURL, Method: c.ConsoleMethod, Token: c.ConsoleToken.Reveal(),
			HTTP: &http.Client{Timeout: 2 * time.Minute, Transport: around("console", log, m)(http.DefaultTransport)},
		})
		if err != nil {
			return out, jobs.Settings{}, err
		}
	}
	if c.Kubeconfig != "" {
		if out.Cluster, err = cluster.New(c.Kubeconfig, cluster.Options{
			Around: around("cluster", log, m), Waited: m.Waits("cluster"),
		}); err != nil {
			return out, jobs.Settings{}, err
		}
	}
	if c.CheckURLs != config.CheckURLsOff {
		out.Probe = probe.New(probe.Options{Private: c.CheckURLs == config.CheckURLsAny, Around: around("environment", log, m)})
	}
	reports, err := Reports(c, out.GitLab, log, m)
	if err != nil {
		return out, jobs.Settings{}, err
	}
	return out, jobs.Settings{
		Reports: reports,
		OldHost: c.OldRegistry, ECRHost: name, Aliases: c.Aliases, Configure: string(c.Configure),
		PipelineAppears: c.PipelineAppears, PipelineDeadline: c.PipelineDeadline, DeployDeadline: c.DeployDeadline,
		MergeDeadline: c.MergeDeadline, ProductionPoll: c.ProductionInterval, PipelinesPerHour: c.PipelinesPerHour,
		Calendar: c.Calendar,
	}, nil
}

// limits makes those of one registry, which count how long they hold back.
func limits(o pace.Options, m *metrics.Metrics) *pace.Limits {
	o.Waited = func(action string, d time.Duration) { m.Waited(o.Name+" "+action, d) }
	return pace.New(o)
}

// ecrPaces is the paces of ECR's actions. That of PutImage is shared by all
// processes through the database; without one it is this process' own.
func ecrPaces(c config.Config, st *store.Store) pace.Options {
	o, quota := pace.ECR(), float64(c.PutImageRate)
	if st == nil {
		o.Pacers = map[string]pace.Pacer{"PutImage": pace.NewFixed(quota * 0.98)}
	} else {
		o.Pacers = map[string]pace.Pacer{"PutImage": pace.NewShared(st.Pace("PutImage", quota), quota)}
	}
	return o
}

// Reports are the choices that reconciliations are made with.
func Reports(c config.Config, gl *gitlab.Client, log *slog.Logger, m *metrics.Metrics) (jobs.ReportSettings, error) {
	s := jobs.ReportSettings{
		Overdue: c.ReconcileOverdue, Patience: c.ReconcilePatience,
		MergeRequest: c.ReconcileMergeRequest, Production: c.ReconcileProduction, Failed: c.ReconcileFailed,
	}
	if c.ReconcileSchedule != "off" {
		schedule, err := reconcile.ParseSchedule(c.ReconcileSchedule, c.ReconcileZone)
		if err != nil {
			return s, err
		}
		s.Schedule = &schedule
	}
	if c.ReportDir != "" {
		s.Places = append(s.Places, jobs.Files{Dir: c.ReportDir})
	}
	if c.ReportProject != "" {
		s.Places = append(s.Places, jobs.Issue{GitLab: gl, Project: c.ReportProject})
	}
	if !c.ReportWebhook.IsZero() {
		client, err := webhook.New(c.ReportWebhook.Reveal(), around("webhook", log, m)(http.DefaultTransport))
		if err != nil {
			return s, err
		}
		s.Places = append(s.Places, jobs.Webhook{Client: client})
	}
	return s, nil
}

// Policy is what migrations start with unless the order says otherwise.
func Policy(c config.Config) jobs.Policy {
	return jobs.Policy{Delivery: string(c.Delivery), Production: string(c.Production), Images: c.Images}
}

// Actor names who runs this program, for the event log.
func Actor() string {
	name := "unknown"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		return name
	}
	return name + "@" + host
}
