package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"gitlab.sikt.no/platon/ecrferry/internal/sandbox/samples"
)

// show prints a row a project and returns how many outcomes are not as expected.
func show(all []samples.Sample, s status) (wrong int) {
	found := map[string]project{}
	for _, p := range s.Projects {
		found[p.Path] = p
	}
	w := tabwriter.NewWriter(os.Stdout, 2, 0, 2, ' ', 0)
	fmt.Fprintln(w, "\n\tPROJECT\tOUTCOME\tREASON\tWHAT THERE IS TO SAY\tWHAT TO DO NEXT")
	var odd []string
	for _, sample := range all {
		p, ok := found[sample.FinalPath()]
		if !ok {
			p = project{Path: sample.FinalPath(), State: "missing"}
		}
		mark := "ok"
		if problem := differs(sample.Expect, p); problem != "" {
			mark = "!!"
			wrong++
			odd = append(odd, fmt.Sprintf("%s (%s): %s", p.Path, sample.Shows, problem))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", mark, p.Path, p.State, dash(p.Reason), short(p.Why, 90), short(p.Next, 90))
	}
	w.Flush()
	for _, o := range odd {
		fmt.Println("not as expected:", o)
	}
	return wrong
}

// differs says how an outcome differs from what it has to be, "" for not at all.
func differs(want samples.Expect, got project) string {
	switch {
	case got.State != want.State:
		return fmt.Sprintf("it is %s, and should be %s: %s", got.State, want.State, got.Why)
	case got.Reason != want.Reason:
		return fmt.Sprintf("its reason is %q, and should be %q", got.Reason, want.Reason)
	case want.Finding != "" && !slices.Contains(got.Codes, want.Finding):
		return fmt.Sprintf("it has the findings %v, and should have %s", got.Codes, want.Finding)
	}
	return ""
}

// sayWrites tells what changed in the world outside.
func sayWrites(d map[string]int) {
	if len(d) == 0 {
		fmt.Println("\nNothing was changed in the outside world: no commit, no pipeline, no push, no deployment, no variable.")
		return
	}
	fmt.Println("\nChanged in the outside world:")
	for _, k := range slices.Sorted(maps.Keys(d)) {
		fmt.Printf("  %-32s %d\n", k, d[k])
	}
}

// reconcile has the worker look at what is really there, and tells the answer.
func (d *demo) reconcile(ctx context.Context) error {
	out, err := d.enqueue(ctx, "reconcile", "--wait", "--json", "--note", "demonstration")
	if err != nil {
		return err
	}
	var r struct {
		Headline struct{ Sentence, Forecast string }
		Classes  []struct {
			Title string
			Count int
		}
	}
	if err := json.Unmarshal([]byte(out), &r); err != nil {
		return fmt.Errorf("reading the reconciliation: %w", err)
	}
	fmt.Printf("\nCan the old registry be switched off? %s\n", r.Headline.Sentence)
	for _, c := range r.Classes {
		fmt.Printf("  %-32s %d\n", c.Title, c.Count)
	}
	fmt.Println("  (enqueue report tells which, and what to do)")
	return nil
}

func (d *demo) sayAddresses() {
	fmt.Printf(`
Everything is left running:
  GitLab          %s
  old registry    %s
  ECR             %s
  PaaS            %s (kubeconfig %s)
  console         %s
  control         %s (see sandbox serve --help)
  dashboard       http://%s/ (nobody has to log in, and everybody on this machine may act)
  worker          http://%s/metrics (log %s)

  the tables      (set -a; . %s; bin/enqueue status); psql "$(bin/worker database-url)"
  end it all      make demo-stop
`, d.world.GitLab, d.world.Old, d.world.ECR, d.world.PaaS, d.dir.path("kubeconfig"), d.world.Console, d.world.Control,
		d.http, d.http, d.dir.path("worker.log"), d.dir.path("env"))
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// short cuts a text for a table; the whole one is in enqueue status.
func short(s string, n int) string {
	s = strings.Join(strings.Fields(s), " ")
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}
