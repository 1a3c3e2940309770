package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// tool is one way to copy.
type tool struct {
	name, program, path string // program "" is this one
	copy                func(ctx context.Context, w *world, t tool, tags []tag) (usage, error)
}

// usage is what the processes of a tool took: their CPU time together, and the
// memory of the largest, in KiB.
type usage struct {
	cpu time.Duration
	rss int64
}

var tools = map[string]tool{
	"floor": {copy: func(ctx context.Context, w *world, t tool, _ []tag) (usage, error) {
		j := w.cost.job
		j.Source, j.Target, j.Repository = w.source, w.target, target
		j.User, j.Password, j.TargetUser, j.TargetPassword = w.user, w.password, w.awsUser, w.awsPassword
		raw, err := json.Marshal(j)
		if err != nil {
			return usage{}, err
		}
		if err := os.WriteFile(w.file("job.json"), raw, 0o600); err != nil {
			return usage{}, err
		}
		return w.process(ctx, t.path, "floor", w.file("job.json"))
	}},
	"ours": {program: "enqueue", copy: func(ctx context.Context, w *world, t tool, tags []tag) (usage, error) {
		var lines strings.Builder
		for _, tag := range tags {
			from, to := w.references(tag)
			fmt.Fprintf(&lines, "%s\t%s\n", from, to)
		}
		if err := os.WriteFile(w.file("map"), []byte(lines.String()), 0o600); err != nil {
			return usage{}, err
		}
		return w.process(ctx, t.path, "copy", "--map", w.file("map"), "--streams", fmt.Sprint(w.width))
	}},
	"regsync": {program: "regsync", copy: func(ctx context.Context, w *world, t tool, tags []tag) (usage, error) {
		var config strings.Builder
		fmt.Fprintf(&config, "version: 1\ncreds:\n")
		fmt.Fprintf(&config, "  - {registry: %q, user: %q, pass: %q, reqConcurrent: %d}\n", w.source, w.user, w.password, max(3, w.width))
		fmt.Fprintf(&config, "  - {registry: %q, user: %q, pass: %q, reqConcurrent: %d}\n", w.target, w.awsUser, w.awsPassword, max(3, w.width))
		fmt.Fprintf(&config, "defaults: {parallel: %d, skipDockerConfig: true}\nsync:\n", w.width)
		for _, tag := range tags {
			from, to := w.references(tag)
			fmt.Fprintf(&config, "  - {source: %q, target: %q, type: image}\n", from, to)
		}
		if err := os.WriteFile(w.file("regsync.yml"), []byte(config.String()), 0o600); err != nil {
			return usage{}, err
		}
		return w.process(ctx, t.path, "once", "-v", "error", "-c", w.file("regsync.yml"))
	}},
	"crane":  {program: "crane", copy: each(func(from, to string) []string { return []string{"copy", from, to} })},
	"regctl": {program: "regctl", copy: each(func(from, to string) []string { return []string{"image", "copy", from, to} })},
	"skopeo": {program: "skopeo", copy: each(func(from, to string) []string {
		return []string{"copy", "--quiet", "--all", "--preserve-digests", "docker://" + from, "docker://" + to}
	})},
}

func (w *world) references(t tag) (from, to string) {
	return w.source + "/" + t.repository + ":" + t.name, w.target + "/" + target + ":" + t.target
}

// each makes a tool of a program that copies one tag a process.
func each(args func(from, to string) []string) func(context.Context, *world, tool, []tag) (usage, error) {
	return func(ctx context.Context, w *world, t tool, tags []tag) (total usage, first error) {
		var mu sync.Mutex
		var wait sync.WaitGroup
		queue := make(chan tag)
		failed := 0
		for range w.width {
			wait.Go(func() {
				for tag := range queue {
					used, err := w.process(ctx, t.path, args(w.references(tag))...)
					mu.Lock()
					total.cpu += used.cpu
					total.rss = max(total.rss, used.rss)
					if err != nil {
						failed++
						first = err
					}
					mu.Unlock()
				}
			})
		}
		for _, tag := range tags {
			queue <- tag
		}
		close(queue)
		wait.Wait()
		if failed > 0 {
			first = fmt.Errorf("%d of %d processes failed, one with: %w", failed, len(tags), first)
		}
		return total, first
	}
}

func (w *world) process(ctx context.Context, path string, args ...string) (usage, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, path, args...)
	cmd.Env = w.env()
	var text tail
	cmd.Stderr = &text
	var used usage
	err := cmd.Start()
	if err != nil {
		return used, err
	}
	ended := make(chan struct{})
	var watch sync.WaitGroup
	watch.Go(func() {
		for {
			used.rss = max(used.rss, peak(cmd.Process.Pid))
			select {
			case <-ended:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	err = cmd.Wait()
	close(ended)
	watch.Wait()
	used.cpu = cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("%w: %s", err, strings.TrimSpace(string(text)))
	}
	return used, err
}

// peak reads a process' largest memory so far, in KiB. What the system says when
// it has ended (ru_maxrss) counts the memory of its parent too.
func peak(pid int) (kib int64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	if _, rest, ok := strings.Cut(string(raw), "VmHWM:"); ok {
		_, _ = fmt.Sscan(rest, &kib)
	}
	return kib
}

// tail keeps the end of a program's complaints.
type tail []byte

func (t *tail) Write(p []byte) (int, error) {
	*t = append(*t, p...)
	if extra := len(*t) - 300; extra > 0 {
		*t = (*t)[extra:]
	}
	return len(p), nil
}
