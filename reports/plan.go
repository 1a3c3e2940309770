package reports

import (
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"time"
)

// Plan is a dry run: what migrating the chosen projects would do, as of then.
type Plan struct {
	Schema int       `json:"schema"`
	ID     int64     `json:"plan"` // 0 until it is stored
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
	Note   string    `json:"note"`
	// Policy is the choices that the migrations would start with.
	Policy   json.RawMessage `json:"policy"`
	Totals   PlanTotals      `json:"totals"`
	Projects []ProjectPlan   `json:"projects"` // by path
}

// Verdicts on a project that is planned.
const (
	Automatic  = "automatic"  // it migrates without a human
	NeedsHuman = "human"      // it begins, and waits for somebody on its way
	Blocked    = "blocked"    // nothing is written before somebody has acted
	Skip       = "skipped"    // there is nothing to migrate
	Unreadable = "unreadable" // it could not be planned
)

// ProjectPlan is what a migration of one project would do.
type ProjectPlan struct {
	Project string `json:"project"`
	URL     string `json:"url"`
	// Verdict is automatic, human, blocked, skipped or unreadable; Why says it in
	// a sentence.
	Verdict string `json:"verdict"`
	Why     string `json:"why"`
	// Blockers are what keeps it from migrating without a human.
	Blockers   []Blocker      `json:"blockers"`
	Repository string         `json:"repository"` // in ECR
	Images     []Image        `json:"images"`     // with those left out, and why
	Diff       string         `json:"diff"`       // of the project's files, unified
	Findings   []Finding      `json:"findings"`
	Bytes      PlanBytes      `json:"bytes"`
	Requests   map[string]int `json:"requests"` // forecast, by system
	Seconds    float64        `json:"seconds"`  // forecast, waits for humans aside
}

// Blocker is a cause for which a human is needed.
type Blocker struct {
	Cause  string `json:"cause"`
	Why    string `json:"why"`
	Remedy string `json:"remedy"`
}

// PlanBytes are those of blobs. What several projects share counts for each.
type PlanBytes struct {
	Move  int64 `json:"move"`
	There int64 `json:"there"` // in ECR already
}

// PlanTotals sums up a plan.
type PlanTotals struct {
	Projects int            `json:"projects"`
	Verdicts map[string]int `json:"verdicts"`
	// Share is how many of those with something to migrate do so without a human,
	// from 0 to 1.
	Share    float64        `json:"share_without_human"`
	Images   map[string]int `json:"images"`   // by state
	LeftOut  map[string]int `json:"left_out"` // tags that are left out, by reason
	Findings map[string]int `json:"findings"` // by severity
	Changed  int            `json:"projects_with_changes"`
	Bytes    PlanBytes      `json:"bytes"`
	Requests map[string]int `json:"requests"`
	// Seconds is how long it all takes with the workers that were planned for.
	Seconds  float64     `json:"seconds"`
	Blockers []PlanCause `json:"blockers"` // the most frequent first
}

// PlanCause is a cause for which humans are needed, and for how many projects.
type PlanCause struct {
	Cause    string   `json:"cause"`
	Projects int      `json:"projects"`
	Blocking int      `json:"blocking"` // of these, where nothing is written before
	Examples []string `json:"examples"`
	Remedy   string   `json:"remedy"`
}

// NewPlan puts the plans of projects together. Copies is how many projects are
// copied at the same time.
func NewPlan(p Plan, projects []ProjectPlan, copies int) Plan {
	p.Schema = schema
	slices.SortFunc(projects, func(a, b ProjectPlan) int { return cmp.Compare(a.Project, b.Project) })
	p.Projects = append([]ProjectPlan{}, projects...)
	t := PlanTotals{
		Projects: len(projects), Verdicts: map[string]int{}, Images: map[string]int{}, LeftOut: map[string]int{},
		Findings: map[string]int{}, Requests: map[string]int{}, Blockers: []PlanCause{},
	}
	causes := map[string]*PlanCause{}
	longest := 0.0
	for _, q := range projects {
		t.Verdicts[q.Verdict]++
		for _, i := range q.Images {
			t.Images[i.State]++
			if i.State == "left-out" {
				t.LeftOut[i.Reason]++
			}
		}
		for _, f := range q.Findings {
			t.Findings[f.Severity]++
		}
		if q.Diff != "" {
			t.Changed++
		}
		t.Bytes.Move += q.Bytes.Move
		t.Bytes.There += q.Bytes.There
		for system, n := range q.Requests {
			t.Requests[system] += n
		}
		t.Seconds += q.Seconds
		longest = max(longest, q.Seconds)
		for _, b := range q.Blockers {
			c := causes[b.Cause]
			if c == nil {
				c = &PlanCause{Cause: b.Cause, Remedy: b.Remedy, Examples: []string{}}
				causes[b.Cause] = c
			}
			c.Projects++
			if q.Verdict == Blocked || q.Verdict == Unreadable {
				c.Blocking++
			}
			if len(c.Examples) < 5 {
				c.Examples = append(c.Examples, q.Project)
			}
		}
	}
	if n := t.Projects - t.Verdicts[Skip]; n > 0 {
		t.Share = float64(t.Verdicts[Automatic]) / float64(n)
	}
	t.Seconds = max(longest, t.Seconds/float64(max(1, copies)))
	for _, name := range slices.Sorted(maps.Keys(causes)) {
		t.Blockers = append(t.Blockers, *causes[name])
	}
	slices.SortStableFunc(t.Blockers, func(a, b PlanCause) int { return b.Projects - a.Projects })
	p.Totals = t
	return p
}

// JSON writes the plan as one indented object.
func (p Plan) JSON(w io.Writer) error { return encode(w, p) }

// PlanDiff is what is different in a plan from an earlier one.
type PlanDiff struct {
	Schema  int          `json:"schema"`
	Before  int64        `json:"before"`
	After   int64        `json:"after"`
	Share   [2]float64   `json:"share_without_human"` // before and after
	Move    [2]int64     `json:"bytes_to_move"`
	Changes []PlanChange `json:"changes"` // by path
}

// PlanChange is a project whose plan changed.
type PlanChange struct {
	Project string   `json:"project"`
	Before  string   `json:"before"` // verdict; empty: it was not planned
	After   string   `json:"after"`
	What    []string `json:"what"`
}

// Diff says what is different in after. Projects that only one of them was made
// for are changes too.
func Diff(before, after Plan) PlanDiff {
	d := PlanDiff{
		Schema: schema, Before: before.ID, After: after.ID, Changes: []PlanChange{},
		Share: [2]float64{before.Totals.Share, after.Totals.Share}, Move: [2]int64{before.Totals.Bytes.Move, after.Totals.Bytes.Move},
	}
	was, is := map[string]ProjectPlan{}, map[string]ProjectPlan{}
	paths := map[string]bool{}
	for _, p := range before.Projects {
		was[p.Project], paths[p.Project] = p, true
	}
	for _, p := range after.Projects {
		is[p.Project], paths[p.Project] = p, true
	}
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		a, b := was[path], is[path]
		c := PlanChange{Project: path, Before: a.Verdict, After: b.Verdict}
		switch {
		case a.Project == "":
			c.What = []string{"not in the earlier plan"}
		case b.Project == "":
			c.What = []string{"not in the later plan"}
		default:
			c.What = different(a, b)
		}
		if len(c.What) > 0 {
			d.Changes = append(d.Changes, c)
		}
	}
	return d
}

// different says in words how b differs from a.
func different(a, b ProjectPlan) []string {
	var out []string
	if a.Verdict != b.Verdict {
		out = append(out, a.Verdict+" became "+b.Verdict+": "+b.Why)
	}
	set := func(bs []Blocker) map[string]string {
		m := map[string]string{}
		for _, x := range bs {
			m[x.Cause] = x.Why
		}
		return m
	}
	out = append(out, setChanges("blocker", set(a.Blockers), set(b.Blockers))...)
	images := func(is []Image) map[string]string {
		m := map[string]string{}
		for _, i := range is {
			m[i.Source] = i.SourceDigest + " " + i.State + " " + i.Target
		}
		return m
	}
	out = append(out, setChanges("image", images(a.Images), images(b.Images))...)
	findings := func(fs []Finding) map[string]string {
		m := map[string]string{}
		for _, f := range fs {
			m[f.Severity+" "+f.Code+" "+f.where()+" "+f.Text] = f.Message
		}
		return m
	}
	out = append(out, setChanges("finding", findings(a.Findings), findings(b.Findings))...)
	if a.Diff != b.Diff {
		out = append(out, "the change of its files is another one")
	}
	return out
}

// setChanges lists what was added, lost, or has another value.
func setChanges(noun string, a, b map[string]string) []string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(b)) {
		if v, ok := a[k]; !ok {
			out = append(out, "new "+noun+" "+k)
		} else if v != b[k] {
			out = append(out, "changed "+noun+" "+k+": "+v+" became "+b[k])
		}
	}
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if _, ok := b[k]; !ok {
			out = append(out, "no more "+noun+" "+k)
		}
	}
	return out
}
