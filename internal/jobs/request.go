package jobs

import (
	"context"
	"crypto/rand"
	"log/slog"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/rivertype"
)

type requestKey struct{}

// withRequest marks all that is done under the context as done by one try of a
// job. It stands around every worker, so that looks and reports have an id too.
var withRequest = river.WorkerMiddlewareFunc(func(ctx context.Context, _ *rivertype.JobRow, work func(context.Context) error) error {
	return work(context.WithValue(ctx, requestKey{}, rand.Text()))
})

// RequestID returns the id of the try that the context belongs to, or "". It is
// in the log lines of the try and in its requests to systems outside.
func RequestID(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// WithRequests returns a log that adds the request's id to each line of a try,
// also to those of rooms that know nothing of jobs.
func WithRequests(log *slog.Logger) *slog.Logger {
	if _, ok := log.Handler().(requestLog); ok {
		return log
	}
	return slog.New(requestLog{log.Handler()})
}

type requestLog struct{ slog.Handler }

// Handle implements slog.Handler.
func (h requestLog) Handle(ctx context.Context, r slog.Record) error {
	if id := RequestID(ctx); id != "" {
		r = r.Clone()
		r.AddAttrs(slog.String("request", id))
	}
	return h.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h requestLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return requestLog{h.Handler.WithAttrs(attrs)}
}

// WithGroup implements slog.Handler.
func (h requestLog) WithGroup(name string) slog.Handler { return requestLog{h.Handler.WithGroup(name)} }
