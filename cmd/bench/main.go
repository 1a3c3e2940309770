// Bench compares enqueue copy with other image copiers, on stand-ins that count.
//
// A source registry is filled with a deterministic workload. Each tool then
// copies it into a fresh ECR stand-in three times over: everything, again with
// nothing to do, and with 5 % new tags. Both registries speak TLS (HTTP/1.1)
// through a counting door that adds latency to each request and two more round
// trips to each connection. After each run the target's tags are compared with
// the workload; a tool that missed one is marked.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type settings struct {
	spec    spec
	latency []time.Duration
	runs    int
	width   int
	quota   bool
	bin     string
	tools   []string
	trace   string
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	if len(args) == 2 && args[0] == "floor" {
		return floor(ctx, args[1])
	}
	var s settings
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(stderr)
	preset := f.String("preset", "small", "small (41 tags, 30 MB) or large (396 tags, 500 MB); --tags and --mb change it")
	tags := f.Int("tags", 0, "tags of the workload")
	mb := f.Int("mb", 0, "unique megabytes of the workload")
	f.Uint64Var(&s.spec.seed, "seed", 1, "of the workload")
	latency := f.String("latency", "0,5,20", "milliseconds a request, one table each")
	f.IntVar(&s.runs, "runs", 1, "medians of so many runs")
	f.IntVar(&s.width, "width", 16, "concurrency of every tool")
	f.BoolVar(&s.quota, "quota", false, "with ECR's quotas, such as 10 PutImage a second")
	f.StringVar(&s.bin, "bin", "", "folder with the programs: enqueue, regsync, regctl, crane, skopeo (else PATH)")
	tools := f.String("tools", "floor,ours,regsync,regctl,crane,skopeo", "in this order; those not installed are left out")
	f.StringVar(&s.trace, "trace", "", "file for a line a request: tool, scenario, milliseconds from first to last, side, connection, what")
	asJSON := f.String("json", "", "file for the figures as JSON")
	if err := f.Parse(args); err != nil {
		return err
	}
	switch *preset {
	case "small":
		s.spec.tags, s.spec.mb = 41, 30
	case "large":
		s.spec.tags, s.spec.mb = 396, 500
	default:
		return fmt.Errorf("no preset %q", *preset)
	}
	if *tags > 0 {
		s.spec.tags = *tags
	}
	if *mb > 0 {
		s.spec.mb = *mb
	}
	for part := range strings.SplitSeq(*latency, ",") {
		n, err := strconv.Atoi(part)
		if err != nil || n < 0 {
			return fmt.Errorf("latency %q", part)
		}
		s.latency = append(s.latency, time.Duration(n)*time.Millisecond)
	}
	s.tools = strings.Split(*tools, ",")

	b, err := newBench(ctx, s, stderr)
	if err != nil {
		return err
	}
	defer b.close()
	var all []figure
	for _, l := range s.latency {
		for _, tool := range b.tools {
			var rounds [][]figure
			for range s.runs {
				figures, err := b.round(ctx, tool, l)
				if err != nil {
					return fmt.Errorf("%s at %v: %w", tool.name, l, err)
				}
				rounds = append(rounds, figures)
			}
			for i := range rounds[0] {
				var same []figure
				for _, r := range rounds {
					same = append(same, r[i])
				}
				all = append(all, median(same))
			}
		}
		b.print(stdout, l, all)
	}
	if *asJSON == "" {
		return nil
	}
	raw, err := json.MarshalIndent(map[string]any{"args": args, "figures": all}, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(*asJSON, append(raw, '\n'), 0o644)
}

// figure is one tool in one scenario.
type figure struct {
	Tool      string  `json:"tool"`
	Scenario  string  `json:"scenario"`
	Latency   int64   `json:"latency_ms"`
	Wall      float64 `json:"wall_s"`
	CPU       float64 `json:"cpu_s"`
	RSS       int64   `json:"peak_rss_kib"`
	Requests  int     `json:"requests"`
	Source    int64   `json:"source_bytes"`
	Target    int64   `json:"target_bytes"`
	Minimum   int     `json:"minimum_requests"`
	MinBytes  int64   `json:"minimum_bytes"`
	Throttled int     `json:"throttled"`
	Wrong     int     `json:"wrong_tags"`
	Failed    string  `json:"failed,omitempty"`
}

// median takes the run of middle wall time, and the worst correctness.
func median(runs []figure) figure {
	slices.SortFunc(runs, func(a, b figure) int { return int((a.Wall - b.Wall) * 1e6) })
	m := runs[len(runs)/2]
	for _, r := range runs {
		if r.Wrong > m.Wrong {
			m.Wrong, m.Failed = r.Wrong, r.Failed
		}
	}
	return m
}

func (b *bench) print(w io.Writer, latency time.Duration, all []figure) {
	quota := "off"
	if b.quota {
		quota = "on"
	}
	fmt.Fprintf(w, "\n### %d tags, %d MB unique, %v latency, quota %s, %d wide, median of %d\n\n", b.spec.tags, b.spec.mb, latency, quota, b.width, b.runs)
	fmt.Fprintln(w, "| scenario | tool | wall s | CPU s | RSS MiB | requests | ÷ minimum | source bytes ÷ minimum | wrong tags |")
	fmt.Fprintln(w, "|---|---|--:|--:|--:|--:|--:|--:|--:|")
	for _, scenario := range scenarios {
		for _, f := range all {
			if f.Scenario != scenario || f.Latency != latency.Milliseconds() {
				continue
			}
			ratio := "–"
			if f.MinBytes > 0 {
				ratio = fmt.Sprintf("%.2f", float64(f.Source)/float64(f.MinBytes))
			}
			note := ""
			if f.Throttled > 0 {
				note = fmt.Sprintf(" (%d refused)", f.Throttled)
			}
			fmt.Fprintf(w, "| %s | %s | %.2f | %.2f | %d | %d%s | %.2f | %s | %d |\n", f.Scenario, f.Tool, f.Wall, f.CPU, f.RSS>>10,
				f.Requests, note, float64(f.Requests)/float64(f.Minimum), ratio, f.Wrong)
		}
	}
}
