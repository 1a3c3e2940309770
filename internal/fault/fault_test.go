package fault

import (
	"errors"
	"fmt"
	"testing"
	"time"
)

func TestClassSurvivesWrapping(t *testing.T) {
	t.Parallel()
	cause := errors.New("rate exceeded")
	err := fmt.Errorf("putting image: %w",
		New(Transient, "ecr-throttled", "api.ecr: %w", cause).
			WithRetryAfter(3*time.Second).WithRemedy("wait"))
	Wrap(&err, "copying %s", "api:1")

	if got, want := ClassOf(err), Transient; got != want {
		t.Errorf("ClassOf = %q, want %q", got, want)
	}
	if got, want := ReasonOf(err), "ecr-throttled"; got != want {
		t.Errorf("ReasonOf = %q, want %q", got, want)
	}
	if got, want := RetryAfter(err), 3*time.Second; got != want {
		t.Errorf("RetryAfter = %v, want %v", got, want)
	}
	if got, want := RemedyOf(err), "wait"; got != want {
		t.Errorf("RemedyOf = %q, want %q", got, want)
	}
	if !errors.Is(err, cause) {
		t.Error("the cause is lost")
	}
	if got, want := err.Error(), "copying api:1: putting image: api.ecr: rate exceeded"; got != want {
		t.Errorf("text = %q, want %q", got, want)
	}
}

func TestUnclassified(t *testing.T) {
	t.Parallel()
	if got := ClassOf(errors.New("x")); got != Unclassified {
		t.Errorf("ClassOf = %q, want unclassified", got)
	}
	var err error
	Wrap(&err, "nothing happened")
	if err != nil {
		t.Errorf("Wrap made an error from nil: %v", err)
	}
}
