package jobs

import (
	"context"
	"fmt"
	"strings"

	"gitlab.sikt.no/platon/ecrferry/internal/diagnose"
	"gitlab.sikt.no/platon/ecrferry/internal/gitlab"
	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// explain turns a pipeline's failed jobs into an outcome, measured by what the
// project was before: only a job that did not fail then counts. Among those the
// first cause that is the migration's decides, because that is the one we can
// say most about.
func (s *Pipeline) explain(ctx context.Context, t *Task, p gitlab.Pipeline, failures []failure) (Outcome, error) {
	if len(failures) == 0 {
		return Attention("pipeline-failed", fmt.Sprintf("pipeline %d failed without a failed job", p.ID),
			"look at the pipeline, then enqueue the project again: "+p.WebURL), nil
	}
	before, err := s.before(ctx, t, p)
	if err != nil {
		return Outcome{}, err
	}
	fresh, old := compare(failures, before)
	var o Outcome
	if len(fresh) == 0 {
		o = Attention(alreadyBroken,
			fmt.Sprintf("job %s failed as it had in pipeline %d, before the change: %s", jobNames(old), before.ID, told(old[0])),
			"the project's owners repair it, then enqueue the project again: "+old[0].URL)
	} else {
		o = blame(fresh)
		if len(old) > 0 {
			o.Message += fmt.Sprintf("; %s had failed before, in pipeline %d, and is not counted", jobNames(old), before.ID)
		}
	}
	o.Findings = []store.Finding{}
	for _, f := range fresh {
		row := failureFinding(f)
		if before != nil {
			row.Message += fmt.Sprintf("; in pipeline %d, before the change, it did not", before.ID)
		}
		o.Findings = append(o.Findings, row)
	}
	for _, f := range old {
		row := failureFinding(f)
		row.Code = "failed-before"
		row.Message += fmt.Sprintf("; it had failed in pipeline %d, before the change, already", before.ID)
		o.Findings = append(o.Findings, row)
	}
	return o, nil
}

// alreadyBroken is the reason of a project that was red before we came.
const alreadyBroken = "already-broken"

// blame makes the outcome of failures that are new.
func blame(failures []failure) Outcome {
	main := failures[0]
	for _, f := range failures {
		if f.Ours && !main.Ours {
			main = f
		}
	}
	message := fmt.Sprintf("job %s failed: %s", main.Job, told(main))
	next := main.Remedy + ": " + main.URL
	if main.Owner == diagnose.Project {
		return Attention(string(main.Cause), message, next)
	}
	return Failed(string(main.Cause), message, next)
}

// told is a diagnosis with its evidence.
func told(f failure) string {
	if f.Evidence == "" {
		return f.Summary
	}
	return f.Summary + " (" + f.Evidence + ")"
}

func jobNames(failures []failure) string {
	var names []string
	for _, f := range failures {
		names = append(names, f.Job)
	}
	return strings.Join(names, ", ")
}

func failureFinding(f failure) store.Finding {
	return store.Finding{
		Code: "pipeline-" + string(f.Cause), Severity: store.Warning, Text: f.Evidence, Line: f.Line,
		Message: fmt.Sprintf("job %s failed: %s", f.Job, f.Summary), Remedy: f.Remedy, Owner: string(f.Owner), File: f.URL,
		Retry: string(f.Retry),
	}
}
