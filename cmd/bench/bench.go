package main

import (
	"context"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oci"
	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/oldregistry"
)

const target = "group/app"

var scenarios = []string{"first", "nothing", "5 % new"}

// bench is the source, filled, and what the tools need.
type bench struct {
	settings
	log   io.Writer
	dir   string
	cert  tls.Certificate
	load  workload
	old   *oldregistry.Server
	tools []tool
}

func newBench(ctx context.Context, s settings, log io.Writer) (*bench, error) {
	b := &bench{settings: s, log: log}
	cert, authority, err := certificate()
	if err != nil {
		return nil, err
	}
	b.cert = cert
	if b.dir, err = os.MkdirTemp("", "bench"); err != nil {
		return nil, err
	}
	if err := os.WriteFile(b.file("ca.pem"), authority, 0o600); err != nil {
		return nil, err
	}
	for _, name := range s.tools {
		t, ok := tools[name]
		if !ok {
			return nil, fmt.Errorf("no tool %q; there are %s", name, strings.Join(slices.Sorted(maps.Keys(tools)), ", "))
		}
		t.name = name
		if t.path, err = b.find(t.program); err != nil {
			fmt.Fprintf(log, "%s is not installed and left out\n", t.program)
			continue
		}
		b.tools = append(b.tools, t)
	}
	start := time.Now()
	b.load = s.spec.build()
	if b.old, err = oldregistry.Start(oldregistry.Options{Page: 1000, TokenLife: time.Hour}); err != nil {
		return nil, err
	}
	user, password := b.old.Pipeline("group/app")
	remote := oci.Remote{
		Locate:      func(string) (string, bool) { return b.old.URL, true },
		Credentials: func(string) (string, string, bool) { return user, password, true },
	}
	for _, t := range slices.Concat(b.load.tags, b.load.fresh) {
		if err := remote.Push(ctx, b.old.Name, t.repository, t.name, t.image); err != nil {
			return nil, err
		}
	}
	fmt.Fprintf(log, "workload: %d tags (%d manifest writes) and %d new ones in %v\n", len(b.load.tags), len(minimum(b.load.tags, nil).job.Manifests), len(b.load.fresh), time.Since(start).Round(time.Millisecond))
	return b, nil
}

func (b *bench) close() {
	_ = b.old.Close()
	_ = os.RemoveAll(b.dir)
}

func (b *bench) file(name string) string { return filepath.Join(b.dir, name) }

func (b *bench) find(program string) (string, error) {
	if program == "" {
		return os.Executable()
	}
	if p := filepath.Join(b.bin, program); b.bin != "" {
		if _, err := os.Stat(p); err == nil {
			return filepath.Abs(p)
		}
	}
	return exec.LookPath(program)
}

// round runs one tool through the scenarios, into a fresh target.
func (b *bench) round(ctx context.Context, t tool, latency time.Duration) ([]figure, error) {
	free := ecr.Rate{PerSecond: math.Inf(1), Burst: 1 << 30}
	rates := map[string]ecr.Rate{}
	if !b.quota {
		for _, operation := range []string{"PutImage", "InitiateLayerUpload", "UploadLayerPart", "CompleteLayerUpload", "BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer"} {
			rates[operation] = free
		}
	}
	aws, err := ecr.Start(ecr.Options{Rates: rates})
	if err != nil {
		return nil, err
	}
	defer aws.Close() //nolint:errcheck // nothing to lose
	if _, err := aws.CreateRepository(target); err != nil {
		return nil, err
	}
	source, err := openDoor(b.cert, b.old, b.old.URL, latency)
	if err != nil {
		return nil, err
	}
	defer source.close()
	to, err := openDoor(b.cert, aws, aws.URL, latency)
	if err != nil {
		return nil, err
	}
	defer to.close()

	timeline := newTrace(b.trace)
	source.trace, source.side, to.trace, to.side = timeline, "source", timeline, "target"
	w := &world{bench: b, source: source.host, target: to.host}
	w.user, w.password = b.old.Worker()
	w.awsUser, w.awsPassword = aws.PipelineToken("group/app", target)
	w.keyID, w.keySecret = aws.WorkerKey()
	if err := w.login(); err != nil {
		return nil, err
	}
	var out []figure
	for _, scenario := range scenarios {
		tags, fresh, had := b.load.tags, b.load.tags, []tag(nil)
		switch scenario {
		case "nothing":
			fresh, had = nil, b.load.tags
		case "5 % new":
			tags, fresh, had = slices.Concat(b.load.tags, b.load.fresh), b.load.fresh, b.load.tags
		}
		least := minimum(fresh, had)
		w.cost = least
		source.reset()
		to.reset()
		f := figure{Tool: t.name, Scenario: scenario, Latency: latency.Milliseconds(), Minimum: least.requests, MinBytes: least.bytes}
		start := time.Now()
		used, err := t.copy(ctx, w, t, tags)
		f.Wall = time.Since(start).Seconds()
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			f.Failed = err.Error()
			fmt.Fprintf(b.log, "%s, %s: %v\n", t.name, scenario, err)
		}
		f.CPU, f.RSS = used.cpu.Seconds(), used.rss
		f.Requests, f.Throttled = int(source.requests.Load()+to.requests.Load()), int(source.throttled.Load()+to.throttled.Load())
		if err := timeline.write(t.name, scenario, start); err != nil {
			return nil, err
		}
		f.Source, f.Target = source.out.Load(), to.in.Load()
		held := aws.Tags(target)
		for _, want := range tags {
			if held[want.target] != want.image.Digest() {
				f.Wrong++
			}
		}
		fmt.Fprintf(b.log, "%v %s %s: %.2f s, %d requests (least %d), %d wrong\n", latency, t.name, scenario, f.Wall, f.Requests, f.Minimum, f.Wrong)
		out = append(out, f)
	}
	return out, nil
}

// world is where a tool finds the two registries.
type world struct {
	*bench
	source, target       string // hosts
	user, password       string
	awsUser, awsPassword string
	keyID, keySecret     string
	cost                 cost
}

// login writes Docker's configuration for both hosts.
func (w *world) login() error {
	auth := func(user, password string) string {
		return base64.StdEncoding.EncodeToString([]byte(user + ":" + password))
	}
	return os.WriteFile(w.file("config.json"), fmt.Appendf(nil, `{"auths":{%q:{"auth":%q},%q:{"auth":%q}}}`,
		w.source, auth(w.user, w.password), w.target, auth(w.awsUser, w.awsPassword)), 0o600)
}

func (w *world) env() []string {
	return append(os.Environ(), "SSL_CERT_FILE="+w.file("ca.pem"), "SSL_CERT_DIR="+w.dir, "DOCKER_CONFIG="+w.dir, "REGISTRY_AUTH_FILE="+w.file("config.json"),
		"AWS_ACCESS_KEY_ID="+w.keyID, "AWS_SECRET_ACCESS_KEY="+w.keySecret, "AWS_SESSION_TOKEN=", "AWS_PROFILE=", "AWS_REGION=eu-north-1",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_ENDPOINT_URL_ECR=https://"+w.target, "GOMAXPROCS=")
}
