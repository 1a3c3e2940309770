package reports

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Comparison sets two attempts at a project side by side: what went otherwise in
// the later one.
type Comparison struct {
	Schema  int       `json:"schema"`
	At      time.Time `json:"at"`
	Project string    `json:"project"`
	// Attempts are all of the project, the latest first.
	Attempts []Attempt `json:"attempts"`
	Before   Side      `json:"before"`
	After    Side      `json:"after"`
	// Steps are those that either attempt took, in the order of a project's way.
	Steps []StepChange `json:"steps"`
	// Findings, Images and Evidence hold what differs; Same counts the rest.
	Findings []FindingChange  `json:"findings"`
	Images   []ImageChange    `json:"images"`
	Evidence []EvidenceChange `json:"evidence"`
	Same     Same             `json:"same"`
}

// Side is one of the two attempts.
type Side struct {
	Attempt
	Kind        string  `json:"kind"` // migrate, rollback
	CommitSHA   string  `json:"commit_sha"`
	PipelineURL string  `json:"pipeline_url"`
	Seconds     float64 `json:"seconds"` // from its beginning to its end, or till now
	Worked      float64 `json:"worked"`  // seconds in which one of its steps was at work
	Tries       int     `json:"tries"`
	BytesCopied int64   `json:"bytes_copied"` // by this attempt itself
}

// StepChange is a step in both attempts; nil where one did not come to it.
type StepChange struct {
	Name   string     `json:"step"`
	Before *StepTotal `json:"before"`
	After  *StepTotal `json:"after"`
}

// StepTotal is all tries of a step together.
type StepTotal struct {
	Tries   int     `json:"tries"`
	Seconds float64 `json:"seconds"` // at work
	Outcome string  `json:"outcome"` // of the last try
	// Reason and Error are those of the last try that had one: of a step that is
	// done, what it had to get over.
	Reason string `json:"reason"`
	Error  string `json:"error"`
}

// What became of a finding, an image or an answer from one attempt to the next.
const (
	Gone    = "gone"
	New     = "new"
	Changed = "changed"
)

// FindingChange is a finding of one attempt only.
type FindingChange struct {
	Change string `json:"change"` // gone, new
	Finding
}

// ImageChange is an image of one attempt only, or in another state.
type ImageChange struct {
	Change string `json:"change"` // gone, new, changed
	Source string `json:"source"`
	Before *Image `json:"before"`
	After  *Image `json:"after"`
}

// EvidenceChange is an answer of one attempt only, or another answer.
type EvidenceChange struct {
	Change      string    `json:"change"` // gone, new, changed
	Name        string    `json:"name"`
	Environment string    `json:"environment"`
	Before      *Evidence `json:"before"`
	After       *Evidence `json:"after"`
}

// Same counts what both attempts have alike.
type Same struct {
	Findings int `json:"findings"`
	Images   int `json:"images"`
	Evidence int `json:"evidence"`
}

// OneAttemptError says that there are not two attempts to compare.
type OneAttemptError struct {
	Project  string
	Attempts int
}

func (e *OneAttemptError) Error() string {
	if e.Attempts == 0 {
		return e.Project + " was never enqueued: there are no attempts to compare"
	}
	return e.Project + " has one attempt only: there is nothing to compare it with"
}

// NoAttemptError says that a project has no attempt of that number.
type NoAttemptError struct {
	Project      string
	Attempt, Has int
}

func (e *NoAttemptError) Error() string {
	return fmt.Sprintf("%s has no attempt %d: they are numbered from 1 to %d", e.Project, e.Attempt, e.Has)
}

// GatherComparison compares two attempts at the project at path, by their
// numbers from 1; 0 and 0 are the latest two. An unknown project is
// store.ErrNotFound; attempts that are not there are a *OneAttemptError or a
// *NoAttemptError.
func GatherComparison(ctx context.Context, st *store.Store, path string, before, after int) (Comparison, error) {
	project, err := st.Project(ctx, path)
	if err != nil {
		return Comparison{}, err
	}
	all, err := st.Migrations(ctx, project.ID)
	if err != nil {
		return Comparison{}, err
	}
	if len(all) < 2 {
		return Comparison{}, &OneAttemptError{project.Path, len(all)}
	}
	if before == 0 && after == 0 {
		before, after = all[1].Attempt, all[0].Attempt
	}
	var sides [2]Side
	var results [2]Results
	now, err := st.Now(ctx)
	if err != nil {
		return Comparison{}, err
	}
	for i, number := range []int{before, after} {
		at := slices.IndexFunc(all, func(m store.Migration) bool { return m.Attempt == number })
		if at < 0 {
			return Comparison{}, &NoAttemptError{project.Path, number, all[0].Attempt}
		}
		m := all[at]
		if results[i], err = resultsOf(ctx, st, m.ID); err != nil {
			return Comparison{}, err
		}
		end := now
		if m.FinishedAt != nil {
			end = *m.FinishedAt
		}
		sides[i] = Side{
			Attempt: attemptOf(m), Kind: string(m.Kind), CommitSHA: m.CommitSHA, PipelineURL: m.PipelineURL,
			Seconds: end.Sub(m.CreatedAt).Seconds(),
		}
	}
	c := Compare(sides[0], sides[1], results[0], results[1])
	c.Schema, c.At, c.Project = schema, now, project.Path
	for _, m := range all {
		c.Attempts = append(c.Attempts, attemptOf(m))
	}
	return c, nil
}

// Compare sets what two attempts did side by side. What it counts of a side it
// writes into it.
func Compare(before, after Side, was, is Results) Comparison {
	before.count(was)
	after.count(is)
	c := Comparison{
		Attempts: []Attempt{}, Before: before, After: after,
		Steps: steps(was.Steps, is.Steps), Findings: []FindingChange{}, Images: []ImageChange{}, Evidence: []EvidenceChange{},
	}
	pair(was.Findings, is.Findings, findingKey, func(a, b *Finding) {
		switch {
		case b == nil:
			c.Findings = append(c.Findings, FindingChange{Gone, *a})
		case a == nil:
			c.Findings = append(c.Findings, FindingChange{New, *b})
		default:
			c.Same.Findings++
		}
	})
	pair(was.Images, is.Images, func(i Image) any { return i.Source }, func(a, b *Image) {
		change, one := changeOf(a, b, func(a, b Image) bool {
			return a.SourceDigest == b.SourceDigest && a.Target == b.Target && a.TargetDigest == b.TargetDigest && there(a.State) == there(b.State)
		})
		if change == "" {
			c.Same.Images++
			return
		}
		c.Images = append(c.Images, ImageChange{change, one.Source, a, b})
	})
	pair(was.Evidence, is.Evidence, func(e Evidence) any { return [3]string{e.Step, e.Name, e.Environment} }, func(a, b *Evidence) {
		change, one := changeOf(a, b, func(a, b Evidence) bool { return a.Result == b.Result })
		if change == "" {
			c.Same.Evidence++
			return
		}
		c.Evidence = append(c.Evidence, EvidenceChange{change, one.Name, one.Environment, a, b})
	})
	return c
}

// there is an image's state, for which it makes no difference which attempt has
// brought it to ECR.
func there(state string) string {
	if state == string(store.ImageCopied) {
		return string(store.ImagePresent)
	}
	return state
}

// findingKey is by what a finding is the same one in another attempt: its line
// moves when lines are added above it.
func findingKey(f Finding) any { return [3]string{f.Code, f.File, f.Text} }

func changeOf[T any](a, b *T, same func(a, b T) bool) (change string, one T) {
	switch {
	case b == nil:
		return Gone, *a
	case a == nil:
		return New, *b
	case !same(*a, *b):
		return Changed, *b
	}
	return "", *b
}

// pair walks two lists: what has the same key is seen together, the first with
// the first. What is only in was comes before what is only in is.
func pair[T any](was, is []T, key func(T) any, see func(a, b *T)) {
	left := map[any][]int{}
	for i, b := range is {
		left[key(b)] = append(left[key(b)], i)
	}
	met := map[int]bool{}
	for i := range was {
		k := key(was[i])
		if len(left[k]) == 0 {
			see(&was[i], nil)
			continue
		}
		see(&was[i], &is[left[k][0]])
		met[left[k][0]] = true
		left[k] = left[k][1:]
	}
	for i := range is {
		if !met[i] {
			see(nil, &is[i])
		}
	}
}

func (s *Side) count(r Results) {
	copied := false
	for _, p := range r.Steps {
		s.Tries++
		if p.Seconds != nil {
			s.Worked += *p.Seconds
		}
		copied = copied || p.Name == string(store.StepCopy)
	}
	for _, i := range r.Images {
		// One that began behind the copy took the rows over.
		if copied && i.State == string(store.ImageCopied) {
			s.BytesCopied += i.Bytes
		}
	}
}

// way is the order of all steps, there and back.
var way = slices.Insert(slices.Clone(store.StepOrder), slices.Index(store.StepOrder, store.StepPipeline), store.StepRestore)

// steps pairs the steps of two attempts.
func steps(was, is []Step) []StepChange {
	before, after, out := totals(was), totals(is), []StepChange{}
	for _, name := range way {
		if b, a := before[string(name)], after[string(name)]; b != nil || a != nil {
			out = append(out, StepChange{Name: string(name), Before: b, After: a})
		}
	}
	return out
}

func totals(tries []Step) map[string]*StepTotal {
	out := map[string]*StepTotal{}
	for _, p := range tries {
		t := out[p.Name]
		if t == nil {
			t = &StepTotal{}
			out[p.Name] = t
		}
		t.Tries++
		if p.Seconds != nil {
			t.Seconds += *p.Seconds
		}
		t.Outcome = p.Outcome
		if p.Reason != "" || p.Error != "" {
			t.Reason, t.Error = p.Reason, p.Error
		}
	}
	return out
}

// JSON writes the comparison as one indented object.
func (c Comparison) JSON(w io.Writer) error { return encode(w, c) }
