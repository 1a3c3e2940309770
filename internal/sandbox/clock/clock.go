// Package clock is the time of the sandbox: it runs like the real one, and
// tests move it forward to see tokens expire and unused images disappear.
package clock

import (
	"sync/atomic"
	"time"
)

// Clock is the real time plus an offset. The zero value shows the real time.
type Clock struct{ offset atomic.Int64 }

// Now returns the sandbox's present time in UTC. A nil clock shows the real time.
func (c *Clock) Now() time.Time {
	if c == nil {
		return time.Now().UTC()
	}
	return time.Now().Add(time.Duration(c.offset.Load())).UTC()
}

// Advance moves the clock forward by d for everybody who holds it.
func (c *Clock) Advance(d time.Duration) { c.offset.Add(int64(d)) }
