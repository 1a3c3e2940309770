package pace_test

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"gitlab.sikt.no/platon/ecrferry/internal/pace"
)

// TestTightBucket: a quota that allows for no burst, or hardly any, refuses what a
// network has pushed a few milliseconds too close together. That says little about
// the rate: all gets through in about the time that the quota takes.
func TestTightBucket(t *testing.T) {
	t.Parallel()
	for burst, most := range map[float64]float64{1: 1.6, 2: 1.35, 3: 1.25, 10: 1.15} {
		t.Run(fmt.Sprint(burst), func(t *testing.T) {
			t.Parallel()
			const requests, rate = 90, 10
			l := pace.New(pace.ECR()).Of("PutImage")
			s := &server{rate: rate, burst: burst}
			var wait sync.WaitGroup
			places := make(chan struct{}, 16)
			start := time.Now()
			for range requests {
				places <- struct{}{}
				wait.Go(func() {
					defer func() { <-places }()
					if err := l.Do(t.Context(), func() error {
						time.Sleep(rand.N(12 * time.Millisecond))
						err := s.answer()
						time.Sleep(5 * time.Millisecond)
						return err
					}); err != nil {
						t.Error(err)
					}
				})
			}
			wait.Wait()
			ratio := time.Since(start).Seconds() * rate / requests
			t.Logf("%d at %v a second, burst %v: %.2f × the quota's time, %d refused", requests, rate, burst, ratio, s.refusals)
			if ratio > most {
				t.Errorf("took %.2f × the quota's time, want at most %v", ratio, most)
			}
		})
	}
}
