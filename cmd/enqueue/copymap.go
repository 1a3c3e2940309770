package main

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"time"

	imagecopy "gitlab.sikt.no/platon/ecrferry/internal/copy"
	"gitlab.sikt.no/platon/ecrferry/internal/ecr"
	"gitlab.sikt.no/platon/ecrferry/internal/fault"
	"gitlab.sikt.no/platon/ecrferry/internal/naming"
	"gitlab.sikt.no/platon/ecrferry/internal/pace"
	"gitlab.sikt.no/platon/ecrferry/internal/registry"
)

// group is the lines between one source registry and one target repository.
type group struct {
	sourceHost, targetHost string
	repository             string
	lines                  []*line
	forecast               imagecopy.Forecast
	along                  []imagecopy.Image // what the sources' referrers API led to
}

// claim says which line of a map was the first to name a target, and its source.
type claim struct {
	line int
	host string
}

// readMap reads the lines of a map, and reports all that is wrong with it.
func readMap(in io.Reader) (groups []*group, lines []*line, err error) {
	var problems []error
	byKey := make(map[[3]string]*group)
	taken := make(map[string]claim)
	s := bufio.NewScanner(in)
	n := 1
	for ; s.Scan(); n++ {
		text := strings.TrimSpace(strings.TrimPrefix(s.Text(), "\ufeff")) // editors of Windows begin files so
		if text == "" || text[0] == '#' {
			continue
		}
		fields := strings.Fields(text)
		if len(fields) != 2 {
			problems = append(problems, fmt.Errorf("line %d: want a source, a tab and a target", n))
			continue
		}
		source, err := reference(fields[0])
		target, err2 := reference(fields[1])
		if err2 == nil && target.Digest != "" && target.Digest != source.Digest {
			err2 = fmt.Errorf("a target's digest is that of its source: leave %q out", target.Digest)
		}
		if err == nil && source.Tag == "" && source.Digest == "" {
			err = fmt.Errorf("%s names neither a tag nor a digest", fields[0])
		}
		if err := errors.Join(err, err2); err != nil {
			problems = append(problems, fmt.Errorf("line %d: %w", n, err))
			continue
		}
		// Lines between the same two registries are compared by digest when they
		// are planned. Others cannot be: which came first would win.
		if target.Tag != "" {
			at := target.Host + "/" + target.Repository + ":" + target.Tag
			first, ok := taken[at]
			if ok && first.host != source.Host {
				problems = append(problems, fmt.Errorf("line %d: %s is the target of line %d too, from another registry (%s): leave one of them out", n, at, first.line, first.host))
				continue
			}
			if !ok {
				taken[at] = claim{line: n, host: source.Host}
			}
		}
		l := &line{Source: fields[0], Target: fields[1], pair: imagecopy.Pair{
			Repository: source.Repository, Tag: source.Tag, Digest: source.Digest, TargetTag: target.Tag,
		}}
		key := [3]string{source.Host, target.Host, target.Repository}
		if byKey[key] == nil {
			byKey[key] = &group{sourceHost: source.Host, targetHost: target.Host, repository: target.Repository}
			groups = append(groups, byKey[key])
		}
		byKey[key].lines = append(byKey[key].lines, l)
		lines = append(lines, l)
	}
	if err := s.Err(); err != nil {
		problems = append(problems, fmt.Errorf("line %d: %w", n, err))
	}
	if len(lines) == 0 && len(problems) == 0 {
		problems = append(problems, errors.New("no line names an image"))
	}
	return groups, lines, errors.Join(problems...)
}

func reference(s string) (naming.Reference, error) {
	r, err := naming.ParseReference(strings.TrimPrefix(s, "docker://"))
	if err == nil && r.Host == "" {
		err = fmt.Errorf("%s names no registry", s)
	}
	return r, err
}

// ports makes the clients of registries, each once.
type ports struct {
	flags  *copyFlags
	getenv func(string) string
	log    *slog.Logger
	logins *logins

	mu      sync.Mutex
	sources map[string]*registry.Client
	doors   map[string]*door
	engines map[[2]string]*imagecopy.Engine

	counter sync.Mutex // apart from mu, which is held while clients make requests
	counts  map[string]int
}

// door is ECR as one target host shows it.
type door struct {
	api      *ecr.Client
	registry *registry.Client
}

func newPorts(f *copyFlags, getenv func(string) string, stderr io.Writer) *ports {
	p := &ports{
		flags: f, getenv: getenv, logins: newLogins(getenv), log: slog.New(slog.DiscardHandler),
		sources: map[string]*registry.Client{}, doors: map[string]*door{}, engines: map[[2]string]*imagecopy.Engine{}, counts: map[string]int{},
	}
	if f.verbose {
		p.log = slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return p
}

// engine returns the engine between two registries.
func (p *ports) engine(ctx context.Context, source, target string) (*imagecopy.Engine, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	key := [2]string{source, target}
	if e := p.engines[key]; e != nil {
		return e, nil
	}
	from, err := p.source(ctx, source)
	if err != nil {
		return nil, err
	}
	to, err := p.door(ctx, target)
	if err != nil {
		return nil, err
	}
	e := imagecopy.New(imagecopy.Options{
		Source: from, Target: to.registry, ECR: to.api,
		Streams: p.flags.streams, Readers: max(32, p.flags.streams), Log: p.log,
	})
	p.engines[key] = e
	return e, nil
}

func (p *ports) source(ctx context.Context, host string) (*registry.Client, error) {
	if c := p.sources[host]; c != nil {
		return c, nil
	}
	user, password, err := p.logins.of(ctx, host)
	if err != nil {
		return nil, err
	}
	at, err := address(ctx, host)
	if err != nil {
		return nil, err
	}
	c, err := registry.New(registry.Options{
		Name: host, URL: at, User: user, Password: password, Log: p.log, Observe: p.count("source"), Limits: p.limits(pace.OldRegistry()),
	})
	if err == nil {
		p.sources[host] = c
	}
	return c, err
}

// ecrHost is what private registries of ECR are called.
var ecrHost = regexp.MustCompile(`^([0-9]{12})\.dkr[.-]ecr(?:-fips)?\.([a-z0-9-]+)\.(amazonaws\.com(\.cn)?|on\.aws)$`)

func (p *ports) door(ctx context.Context, host string) (*door, error) {
	if d := p.doors[host]; d != nil {
		return d, nil
	}
	elsewhere := cmp.Or(p.getenv("AWS_ENDPOINT_URL_ECR"), p.getenv("AWS_ENDPOINT_URL"))
	m := ecrHost.FindStringSubmatch(host)
	if m == nil && elsewhere == "" {
		return nil, fmt.Errorf("target %s is not ECR: its hosts are called ACCOUNT.dkr.ecr.REGION.amazonaws.com; for one of another name set AWS_ENDPOINT_URL_ECR", host)
	}
	region := ""
	if m != nil {
		region = m[2]
	}
	limits := pace.ECR()
	if p.flags.putRate > 0 {
		limits.Pacers = map[string]pace.Pacer{"PutImage": pace.NewFixed(p.flags.putRate)}
	}
	api, err := ecr.New(ctx, ecr.Options{Region: region, Log: p.log, Limits: p.limits(limits), Observe: func(operation string, _ error, _ time.Duration) { p.add("ecr " + operation) }})
	if err != nil {
		return nil, err
	}
	at := "https://" + host
	if m == nil {
		if at, err = address(ctx, host); err != nil {
			return nil, err
		}
	} else {
		token, err := api.Token(ctx)
		if err != nil {
			return nil, err
		}
		u, err := url.Parse(token.Endpoint)
		switch {
		case elsewhere != "" && err == nil && u.Host != "":
			at = token.Endpoint
		case err == nil && u.Host != "" && !strings.HasPrefix(u.Host, m[1]+"."):
			return nil, fmt.Errorf("the AWS credentials belong to %s, not to %s; choose others by AWS_PROFILE", u.Host, host)
		}
	}
	c, err := registry.New(registry.Options{
		Name: host, URL: at, ECR: true, Credentials: api.Credentials, Refused: api.Refused, Log: p.log, Observe: p.count("target"), Limits: api.Limits(),
	})
	if err != nil {
		return nil, err
	}
	p.doors[host] = &door{api: api, registry: c}
	return p.doors[host], nil
}

// limits makes those of one registry. Nobody takes up the copy later, so a long
// turn is waited for as patiently as a registry that refuses all.
func (p *ports) limits(o pace.Options) *pace.Limits {
	o.Hold, o.Patience = p.flags.patience, p.flags.patience
	return pace.New(o)
}

func (p *ports) count(side string) func(method, route string, status int, _ time.Duration) {
	return func(method, route string, _ int, _ time.Duration) { p.add(side + " " + method + " " + route) }
}

func (p *ports) add(what string) {
	p.counter.Lock()
	defer p.counter.Unlock()
	p.counts[what]++
}

func (p *ports) requests() map[string]int {
	p.counter.Lock()
	defer p.counter.Unlock()
	return maps.Clone(p.counts)
}

// address returns where a registry is reached: by https, but one on this very
// machine may speak plain HTTP, as Docker has it. Which of them it is cannot be
// told as long as nothing answers there.
func address(ctx context.Context, host string) (string, error) {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	ip, err := netip.ParseAddr(strings.Trim(name, "[]"))
	if name != "localhost" && (err != nil || !ip.IsLoopback()) {
		return "https://" + host, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	at := host
	if name == host {
		at += ":443"
	}
	d := tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true}} // asks only whether this is TLS; nothing is sent
	conn, err := d.DialContext(ctx, "tcp", at)
	if err == nil {
		_ = conn.Close()
		return "https://" + host, nil
	}
	if _, ok := errors.AsType[tls.RecordHeaderError](err); ok {
		return "http://" + host, nil
	}
	if _, ok := errors.AsType[*net.OpError](err); ok {
		return "", fault.New(fault.Transient, "registry-unavailable", "%s: %w", host, err).WithRemedy("wait until " + host + " answers again")
	}
	return "https://" + host, nil
}
