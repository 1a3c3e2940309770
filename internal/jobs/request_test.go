package jobs

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"testing"
)

// TestWithRequests logs in and outside of a try.
func TestWithRequests(t *testing.T) {
	t.Parallel()
	var lines bytes.Buffer
	log := WithRequests(WithRequests(slog.New(slog.NewTextHandler(&lines, nil)))).With("room", "gitlab")
	log.InfoContext(t.Context(), "outside")
	if strings.Contains(lines.String(), "request=") {
		t.Errorf("a line that belongs to no try has an id: %s", &lines)
	}
	var ids []string
	for range 2 {
		lines.Reset()
		err := withRequest.Work(t.Context(), nil, func(ctx context.Context) error {
			log.InfoContext(ctx, "inside")
			ids = append(ids, RequestID(ctx))
			return nil
		})
		if err != nil || strings.Count(lines.String(), "request="+ids[len(ids)-1]) != 1 || !strings.Contains(lines.String(), "room=gitlab") {
			t.Errorf("%v: %s", err, &lines)
		}
	}
	if ids[0] == ids[1] || len(ids[0]) < 20 {
		t.Errorf("the ids of two tries are %q", ids)
	}
}
