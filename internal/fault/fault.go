// Package fault holds the classes of error that decide what happens to a job.
//
// An error gets its class where it arises, in the room around the client that
// saw it: that room knows what a status code means there. Everybody else only
// asks, with ClassOf, RetryAfter, ReasonOf and RemedyOf, which survive wrapping.
//
//   - Transient: the same act may succeed later. It is retried with growing
//     intervals, no sooner than the hint of the far side allows.
//   - Permanent: trying again cannot help. The migration fails with a remedy.
//   - Attention: a human outside the tool has to act first, then the migration
//     is enqueued again.
//
// An error without a class is Unclassified: it is retried a few times like a
// transient one, and then reported as a cause that nobody has seen before.
package fault

import (
	"errors"
	"fmt"
	"time"
)

// Class says what to do about an error.
type Class string

// The classes. They are stored in Postgres, so their text is part of the schema.
const (
	Transient    Class = "transient"
	Permanent    Class = "permanent"
	Attention    Class = "attention"
	Unclassified Class = "unclassified"
)

// Error is an error with a class.
type Error struct {
	Class Class
	// Reason is a short stable code for grouping, such as "ecr-throttled".
	Reason string
	// Remedy says what a reader should do next, in one sentence. It may be empty.
	Remedy string
	// After is how long the far side asked us to wait; zero when it did not say.
	After time.Duration
	// Err is the cause.
	Err error
}

// New returns an error of the given class and reason with a formatted text; a
// %w verb in the format keeps the chain.
func New(class Class, reason, format string, args ...any) *Error {
	return &Error{Class: class, Reason: reason, Err: fmt.Errorf(format, args...)}
}

// WithRemedy sets the remedy and returns the error.
func (e *Error) WithRemedy(remedy string) *Error {
	e.Remedy = remedy
	return e
}

// WithRetryAfter sets the hint of the far side and returns the error.
func (e *Error) WithRetryAfter(d time.Duration) *Error {
	e.After = d
	return e
}

// Error returns the text of the cause alone: class, reason and remedy have
// columns of their own wherever errors are shown.
func (e *Error) Error() string { return e.Err.Error() }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// ClassOf returns the class of the outermost classified error in the chain,
// or Unclassified.
func ClassOf(err error) Class {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Class
	}
	return Unclassified
}

// ReasonOf returns the reason code in the chain, or "" when there is none.
func ReasonOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// RemedyOf returns the remedy in the chain, or "" when there is none.
func RemedyOf(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Remedy
	}
	return ""
}

// RetryAfter returns how long the far side asked us to wait, or zero.
func RetryAfter(err error) time.Duration {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.After
	}
	return 0
}

// Wrap puts a call and its arguments in front of *errp when that is not nil:
//
//	defer fault.Wrap(&err, "reading %s of project %d", path, id)
func Wrap(errp *error, format string, args ...any) {
	if *errp != nil {
		*errp = fmt.Errorf("%s: %w", fmt.Sprintf(format, args...), *errp)
	}
}
