package reports

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/store"
)

// Story is all that is known of one project's latest migration, and the log of
// the project.
type Story struct {
	Schema  int       `json:"schema"`
	At      time.Time `json:"at"`
	Project Project   `json:"project"`
	// Attempts are the project's migrations, the latest first.
	Attempts []Attempt  `json:"attempts"`
	Steps    []Step     `json:"steps"`
	Images   []Image    `json:"images"`
	Findings []Finding  `json:"findings"`
	Evidence []Evidence `json:"evidence"`
	Events   []Event    `json:"events"`
}

// Attempt is a migration, past or present.
type Attempt struct {
	MigrationID int64      `json:"migration_id"`
	Attempt     int        `json:"attempt"`
	State       string     `json:"state"`
	Step        string     `json:"step"`
	Reason      string     `json:"reason"`
	Why         string     `json:"why"`
	CreatedAt   time.Time  `json:"created_at"`
	FinishedAt  *time.Time `json:"finished_at"`
}

// Step is a try of a step. Seconds is null while it runs.
type Step struct {
	Name      string          `json:"step"`
	Try       int             `json:"try"`
	Outcome   string          `json:"outcome"`
	StartedAt time.Time       `json:"started_at"`
	Seconds   *float64        `json:"seconds"`
	Worker    string          `json:"worker"`
	JobID     int64           `json:"job_id"`
	Request   string          `json:"request"` // id of the try in logs and in requests to systems outside
	Reason    string          `json:"reason"`
	Class     string          `json:"error_class"`
	Error     string          `json:"error"`
	Result    json.RawMessage `json:"result"`
}

// Image is a tag of the old registry and what became of it.
type Image struct {
	Source       string `json:"source"` // repository:tag, or repository@digest without a tag
	SourceDigest string `json:"source_digest"`
	Target       string `json:"target"` // repository:tag in ECR
	TargetDigest string `json:"target_digest"`
	MediaType    string `json:"media_type"`
	Bytes        int64  `json:"bytes"`
	State        string `json:"state"`
	Reason       string `json:"reason"`
}

// Finding is something that could not be done safely.
type Finding struct {
	Step     string `json:"step"`
	Code     string `json:"code"`
	Severity string `json:"severity"` // blocking, warning, note
	File     string `json:"file"`
	Line     int    `json:"line"`
	Column   int    `json:"column"`
	Text     string `json:"text"`
	Message  string `json:"message"`
	Remedy   string `json:"remedy"`
	Owner    string `json:"owner"`
	// Retry says of a failed job what trying again is good for; "" for others.
	Retry string `json:"retry,omitempty"`
}

// Evidence is a question and the answer of the outside.
type Evidence struct {
	Step        string    `json:"step"`
	Name        string    `json:"name"`
	Environment string    `json:"environment"`
	Subject     string    `json:"subject"`
	Result      string    `json:"result"` // yes, no, unknown
	Detail      string    `json:"detail"`
	ObservedAt  time.Time `json:"observed_at"`
}

// Event is an entry of the log.
type Event struct {
	At          time.Time       `json:"at"`
	Actor       string          `json:"actor"`
	Kind        string          `json:"kind"`
	System      string          `json:"system"`
	MigrationID int64           `json:"migration_id"`
	Detail      string          `json:"detail"`
	URL         string          `json:"url"`
	Data        json.RawMessage `json:"data"`
}

// GatherStory asks the store for the story of the project at path. An unknown
// one is store.ErrNotFound.
func GatherStory(ctx context.Context, st *store.Store, path string) (Story, error) {
	s := Story{
		Schema: schema, Attempts: []Attempt{}, Steps: []Step{}, Images: []Image{},
		Findings: []Finding{}, Evidence: []Evidence{}, Events: []Event{},
	}
	var err error
	if s.At, err = st.Now(ctx); err != nil {
		return s, err
	}
	rows, err := st.Status(ctx, store.StatusFilter{Paths: []string{path}})
	if err != nil {
		return s, err
	}
	if len(rows) == 0 {
		_, err := st.Project(ctx, path) // its error names the path
		if err == nil {
			err = store.ErrNotFound // gone before it was ever enqueued
		}
		return s, err
	}
	s.Project = projectOf(rows[0])
	events, err := st.Events(ctx, store.EventFilter{ProjectID: s.Project.ID})
	if err != nil {
		return s, err
	}
	for _, e := range events {
		s.Events = append(s.Events, Event{
			At: e.At, Actor: e.Actor, Kind: e.Kind, System: e.System, MigrationID: e.MigrationID,
			Detail: e.Detail, URL: e.URL, Data: e.Data,
		})
	}
	attempts, err := st.Migrations(ctx, s.Project.ID)
	if err != nil {
		return s, err
	}
	for _, m := range attempts {
		s.Attempts = append(s.Attempts, attemptOf(m))
	}
	if s.Project.MigrationID == 0 {
		return s, nil
	}
	return s, s.results(ctx, st)
}

func attemptOf(m store.Migration) Attempt {
	return Attempt{
		MigrationID: m.ID, Attempt: m.Attempt, State: string(m.State), Step: string(m.Step),
		Reason: m.Reason, Why: m.Message, CreatedAt: m.CreatedAt, FinishedAt: m.FinishedAt,
	}
}

// results adds what the latest migration did and found.
func (s *Story) results(ctx context.Context, st *store.Store) error {
	c, err := st.Copying(ctx, s.Project.MigrationID)
	if err == nil {
		s.Project.watch(c, s.At)
	} else if !errors.Is(err, store.ErrNotFound) {
		return err
	}
	r, err := resultsOf(ctx, st, s.Project.MigrationID)
	s.Steps, s.Images, s.Findings, s.Evidence = r.Steps, r.Images, r.Findings, r.Evidence
	return err
}

// Results are what one attempt did and found.
type Results struct {
	Steps    []Step
	Images   []Image
	Findings []Finding
	Evidence []Evidence
}

func resultsOf(ctx context.Context, st *store.Store, migration int64) (Results, error) {
	r := Results{Steps: []Step{}, Images: []Image{}, Findings: []Finding{}, Evidence: []Evidence{}}
	steps, err := st.Steps(ctx, migration)
	if err != nil {
		return r, err
	}
	for _, p := range steps {
		step := Step{
			Name: string(p.Name), Try: p.Try, Outcome: string(p.Outcome), StartedAt: p.StartedAt, Worker: p.Worker,
			JobID: p.JobID, Request: p.Request, Reason: p.Reason, Class: p.ErrorClass, Error: p.Error, Result: p.Result,
		}
		if p.Duration != nil {
			seconds := p.Duration.Seconds()
			step.Seconds = &seconds
		}
		r.Steps = append(r.Steps, step)
	}
	images, err := st.Images(ctx, migration)
	if err != nil {
		return r, err
	}
	for _, i := range images {
		r.Images = append(r.Images, Image{
			Source: reference(i.SourceRepository, i.SourceTag, i.SourceDigest), SourceDigest: i.SourceDigest,
			Target: reference(i.TargetRepository, i.TargetTag, i.TargetDigest), TargetDigest: i.TargetDigest,
			MediaType: i.MediaType, Bytes: i.Bytes, State: string(i.State), Reason: i.Reason,
		})
	}
	findings, err := st.Findings(ctx, migration)
	if err != nil {
		return r, err
	}
	for _, f := range findings {
		r.Findings = append(r.Findings, FindingOf(f))
	}
	evidence, err := st.Evidence(ctx, migration)
	for _, e := range evidence {
		r.Evidence = append(r.Evidence, Evidence{
			Step: string(e.Step), Name: e.Name, Environment: e.Environment, Subject: e.Subject,
			Result: string(e.Result), Detail: e.Detail, ObservedAt: e.ObservedAt,
		})
	}
	return r, err
}

// FindingOf is a finding as the reports show it.
func FindingOf(f store.Finding) Finding {
	return Finding{
		Step: string(f.Step), Code: f.Code, Severity: string(f.Severity), File: f.File, Line: f.Line,
		Column: f.Column, Text: f.Text, Message: f.Message, Remedy: f.Remedy, Owner: f.Owner, Retry: f.Retry,
	}
}

// reference is repository:tag, repository@digest without a tag, and nothing
// when neither is known.
func reference(repository, tag, digest string) string {
	switch {
	case tag != "":
		return repository + ":" + tag
	case digest != "":
		return repository + "@" + digest
	}
	return ""
}

// JSON writes the story as one indented object.
func (s Story) JSON(w io.Writer) error { return encode(w, s) }
