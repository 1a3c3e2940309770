package runner

import (
	"context"
	"errors"
	"runtime"
	"runtime/metrics"
	"strconv"
	"sync/atomic"
	"time"

	"mvdan.cc/sh/v3/syntax"
)

// errKilled ends a job that used up what it may use.
var errKilled = errors.New("killed")

type counter struct{ atomic.Int64 }

// maxDepth bounds the Go stack below a script: endless recursion of shell
// functions would otherwise overflow it, which no program survives.
const maxDepth = 4000

func tooDeep() bool {
	var pc [1]uintptr
	return runtime.Callers(maxDepth, pc[:]) > 0
}

// maxBraces is how many words a brace expansion like {1..100} may make. The
// interpreter cannot be interrupted within one.
const maxBraces = 10_000

// modest tells whether a script has no enormous brace expansion.
func modest(node syntax.Node) bool {
	ok := true
	syntax.Walk(node, func(n syntax.Node) bool {
		if w, is := n.(*syntax.Word); is && ok {
			split := *w
			split.Parts = append([]syntax.WordPart(nil), w.Parts...)
			ok = !syntax.SplitBraces(&split) || braceWords(&split) <= maxBraces
		}
		return ok
	})
	return ok
}

func braceWords(w *syntax.Word) int {
	total := 1
	for _, part := range w.Parts {
		b, is := part.(*syntax.BraceExp)
		if !is {
			continue
		}
		n := 0
		if b.Sequence && len(b.Elems) >= 2 {
			from, err1 := strconv.Atoi(b.Elems[0].Lit())
			to, err2 := strconv.Atoi(b.Elems[1].Lit())
			if n = 256; err1 == nil && err2 == nil {
				n = max(from-to, to-from)
				if n < 0 || n > maxBraces {
					return maxBraces + 1
				}
			}
		} else {
			for _, e := range b.Elems {
				n += braceWords(e)
			}
		}
		if total *= max(n, 1); total > maxBraces {
			return total
		}
	}
	return total
}

// watchHeap kills the job when the process's heap passes the limit, since the
// interpreter does not bound what variables hold. The returned function ends it.
func watchHeap(ctx context.Context, limit uint64, kill context.CancelCauseFunc) func() {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			if metrics.Read(sample); sample[0].Value.Uint64() > limit {
				kill(errKilled)
				return
			}
		}
	}()
	return cancel
}
