package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// Exit codes of enqueue copy, beside those of all commands.
const (
	exitSome = 4 // some lines of the map are at the target, some are not
	exitNone = 5 // none is
)

// abreast is how many target repositories are copied to side by side.
const abreast = 4

// copyTries is how often lines that met passing trouble are planned anew.
const copyTries = 6

type copyFlags struct {
	file         string
	dryRun, json bool
	deep         bool
	streams      int
	putRate      float64
	patience     time.Duration
	verbose      bool
}

func copyCommand(env *environment) *cobra.Command {
	var f copyFlags
	cmd := &cobra.Command{
		Use:   "copy --map FILE",
		Short: "Copy images to ECR by a list, without database or GitLab",
		Long: `Copy brings images to ECR byte for byte, by a file of lines

  SOURCE-REFERENCE<TAB>TARGET-REFERENCE

such as registry.example.org/group/app:1.0<TAB>123456789012.dkr.ecr.eu-north-1.amazonaws.com/group/app:1.0.
A source may be a tag, a digest, or both (the digest then counts); a target
without a tag is written by digest. Empty lines and those that begin with # are
skipped; "-" reads standard input. Lines may name any number of repositories.

A target tag that exists is never written. By default it counts as done; --deep
asks the source for each of them, and reports as conflict what differs.
Referrers that the source's API names are copied along.

Credentials of sources come from Docker's configuration (DOCKER_CONFIG,
REGISTRY_AUTH_FILE; auths, credHelpers, credsStore), those of ECR from where AWS
tools find them (AWS_PROFILE, AWS_ACCESS_KEY_ID, AWS_REGION …).
AWS_ENDPOINT_URL_ECR leads to another endpoint, SSL_CERT_FILE to further
certificate authorities. Registries on this machine may speak plain HTTP.

Exit codes: 0 every line is at the target, 4 some lines are, 5 none is, 2 the
command line or the map is wrong, 1 anything else. With --dry-run they tell what
a copy would do: 0 all lines can be copied, 4 some, 5 none.`,
		Example: `  enqueue copy --map images.tsv --dry-run       what would be done, and what it costs
  enqueue copy --map images.tsv                 do it
  enqueue copy --map images.tsv --deep --json   compare all digests, print JSON
  printf '%s\t%s\n' SOURCE TARGET | enqueue copy --map -`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, env.getenv) },
	}
	o := cmd.Flags()
	o.StringVar(&f.file, "map", "", "the list of references; - is standard input")
	o.BoolVar(&f.dryRun, "dry-run", false, "only plan: look at both sides, write nothing")
	jsonFlag(cmd, &f.json)
	o.BoolVar(&f.deep, "deep", false, "compare the digests of tags that the target has (a HEAD each)")
	o.IntVar(&f.streams, "streams", 32, "blobs to move side by side")
	o.Float64Var(&f.putRate, "put-rate", 0, "manifests a second at most; 0 goes freely until ECR asks for less")
	o.DurationVar(&f.patience, "patience", 10*time.Minute, "how long to wait for a registry that refuses every request as one too many, or for a turn")
	o.BoolVar(&f.verbose, "verbose", false, "log each request")
	return cmd
}

// line is one line of the map and what came of it.
type line struct {
	Source       string          `json:"source"`
	Target       string          `json:"target"`
	State        imagecopy.State `json:"state"`
	Reason       string          `json:"reason,omitempty"`
	SourceDigest string          `json:"source_digest,omitempty"`
	TargetDigest string          `json:"target_digest,omitempty"`
	MediaType    string          `json:"media_type,omitempty"`
	Bytes        int64           `json:"bytes,omitempty"`

	pair imagecopy.Pair
}

// there tells whether a line is done, or could be.
func (l *line) there(dry bool) bool {
	return l.State == imagecopy.Copied || l.State == imagecopy.Present || dry && l.State == imagecopy.Planned
}

func (l *line) take(i imagecopy.Image) {
	l.State, l.Reason, l.SourceDigest, l.TargetDigest = i.State, i.Reason, i.SourceDigest, i.TargetDigest
	l.MediaType, l.Bytes = i.MediaType, i.Bytes
}

func (f *copyFlags) run(cmd *cobra.Command, getenv func(string) string) error {
	if f.file == "" || f.streams < 1 || f.putRate < 0 || f.patience <= 0 {
		return &coded{exitUsage, fmt.Errorf("copy needs --map FILE, --streams and --patience above 0 and --put-rate of 0 or more; see %s --help", cmd.CommandPath())}
	}
	in := io.Reader(cmd.InOrStdin())
	if f.file != "-" {
		file, err := os.Open(f.file)
		if err != nil {
			return &coded{exitUsage, err}
		}
		defer file.Close()
		in = file
	}
	groups, lines, err := readMap(in)
	if err != nil {
		return &coded{exitUsage, fmt.Errorf("%s: %w", f.file, err)}
	}
	// What a copy of some hundred images holds is little, what it throws away is
	// much: 20 MiB of memory save a tenth of its processor time. Longer maps hold
	// more and gain nothing.
	if len(lines) <= 500 && getenv("GOGC") == "" && getenv("GOMEMLIMIT") == "" {
		debug.SetGCPercent(400)
		debug.SetMemoryLimit(48 << 20)
	}
	p := newPorts(f, getenv, cmd.ErrOrStderr())
	bar := newBar(cmd.ErrOrStderr(), f.dryRun || f.json && !isTerminal(cmd.ErrOrStderr()))
	start := time.Now()
	var g errgroup.Group
	g.SetLimit(abreast)
	var mu sync.Mutex
	var troubles []error
	for _, grp := range groups {
		g.Go(func() error {
			if err := f.copy(cmd.Context(), p, grp, bar); err != nil {
				mu.Lock()
				defer mu.Unlock()
				troubles = append(troubles, fmt.Errorf("%s/%s: %w", grp.targetHost, grp.repository, err))
			}
			return nil
		})
	}
	_ = g.Wait()
	bar.end()
	out := outcome{DryRun: f.dryRun, Lines: lines, Seconds: time.Since(start).Seconds(), Requests: p.requests()}
	for _, grp := range groups {
		out.Targets = append(out.Targets, targetOutcome{Target: grp.targetHost + "/" + grp.repository, Forecast: grp.forecast, Along: grp.along})
	}
	if err := out.print(cmd.OutOrStdout(), f.json); err != nil {
		return err
	}
	return out.verdict(errors.Join(troubles...))
}

// copy does the lines of one target repository. Passing trouble is planned
// anew: what has arrived is seen as present.
func (f *copyFlags) copy(ctx context.Context, p *ports, g *group, bar *bar) error {
	written := make(map[int]bool) // lines copied by an earlier try
	var err error
	for try := 1; ; try++ {
		err = f.once(ctx, p, g, bar, written)
		// What was refused as one request too many has been waited for already.
		if err == nil || ctx.Err() != nil || fault.ClassOf(err) != fault.Transient || errors.Is(err, pace.ErrThrottled) || fault.RetryAfter(err) > f.patience || try == copyTries {
			break
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(time.Second<<(try-1), fault.RetryAfter(err))):
		}
	}
	if err != nil {
		g.fail(err)
	}
	return err
}

func (f *copyFlags) once(ctx context.Context, p *ports, g *group, bar *bar, written map[int]bool) error {
	engine, err := p.engine(ctx, g.sourceHost, g.targetHost)
	if err != nil {
		return err
	}
	plan, err := engine.Plan(ctx, g.request(!f.deep, !f.dryRun))
	if err != nil {
		return err
	}
	// The rows of the pairs come first, in their order.
	at := make(map[string][]int)
	key := func(i imagecopy.Image) string {
		return i.SourceRepository + ":" + i.SourceTag + "@" + i.SourceDigest + "\t" + i.TargetTag
	}
	note := func(place int, i imagecopy.Image) {
		if i.State == imagecopy.Copied {
			written[place] = true
		}
		g.lines[place].take(i)
		if written[place] && i.State == imagecopy.Present {
			g.lines[place].State, g.lines[place].Reason = imagecopy.Copied, ""
		}
	}
	g.alongside(plan.Images[len(g.lines):])
	for place, i := range plan.Images[:len(g.lines)] {
		note(place, i)
		at[key(i)] = append(at[key(i)], place)
	}
	if g.forecast.Count == nil {
		g.forecast = plan.Forecast
	}
	if f.dryRun && plan.Missing() {
		g.note("the target repository does not exist yet")
	}
	if f.dryRun || len(plan.Manifests) == 0 {
		return plan.Err()
	}
	bar.plan(g, plan.Forecast)
	return engine.Watch(ctx, plan, func(i imagecopy.Image) {
		if places, ok := at[key(i)]; ok {
			for _, place := range places {
				note(place, i)
			}
			return
		}
		g.alongside([]imagecopy.Image{i})
	}, func(pr imagecopy.Progress) { bar.update(g, pr) })
}

// request asks for the lines, and for what an earlier try meant to bring along:
// once an image is at the target, its referrers are not asked for again.
func (g *group) request(trust, soon bool) imagecopy.Request {
	req := imagecopy.Request{Target: g.repository, Trust: trust, Soon: soon}
	for _, l := range g.lines {
		req.Pairs = append(req.Pairs, l.pair)
	}
	for _, i := range g.along {
		if i.State == imagecopy.Planned || i.State == imagecopy.Failed {
			req.Pairs = append(req.Pairs, imagecopy.Pair{Repository: i.SourceRepository, Digest: i.SourceDigest})
		}
	}
	return req
}

// alongside takes note of what is copied along with the lines. What has been
// copied once stays so, also where a later try finds it present.
func (g *group) alongside(images []imagecopy.Image) {
	for _, i := range images {
		n := slices.IndexFunc(g.along, func(o imagecopy.Image) bool { return o.SourceDigest == i.SourceDigest })
		switch {
		case n < 0:
			g.along = append(g.along, i)
		case g.along[n].State != imagecopy.Copied:
			g.along[n] = i
		}
	}
}

// note gives a reason to the lines that are to be copied.
func (g *group) note(reason string) {
	for _, l := range g.lines {
		if l.State == imagecopy.Planned {
			l.Reason = reason
		}
	}
}

// fail gives the lines that are still open the reason.
func (g *group) fail(err error) {
	for _, l := range g.lines {
		if l.State == imagecopy.Planned || l.State == "" {
			l.State, l.Reason = imagecopy.Failed, err.Error()
		}
	}
}
