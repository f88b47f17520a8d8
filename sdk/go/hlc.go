package swoosh

import (
	"fmt"
	"regexp"
	"strconv"
	"sync"
	"time"
)

const (
	maxMs      = 253402300799999
	maxLogical = 65535
)

// Hlc is a reading of the hybrid logical clock: milliseconds since 1970, and a part that breaks ties.
type Hlc struct {
	PhysicalMs int64
	Logical    int
}

// An HlcError says why a text is no reading, or that there is no later one. Reason is form, logical_overflow or exhausted.
type HlcError struct {
	Reason string
	Detail string
}

func (e *HlcError) Error() string { return e.Detail }

var hlcForm = regexp.MustCompile(`^(\d{4}-\d{2}-\d{2})[Tt ](\d{2}:\d{2}:\d{2})(\.\d{1,3})?([Zz]|[+-]\d{2}:\d{2})#(0|[1-9]\d{0,19})$`)

// ParseHlc reads a text with any offset.
func ParseHlc(text string) (Hlc, error) {
	refused := &HlcError{"form", fmt.Sprintf("%.80q is not a clock reading; write 2025-10-19T01:23:45.678+00:00#0", text)}
	found := hlcForm.FindStringSubmatch(text)
	if found == nil || text[:4] < "1970" {
		return Hlc{}, refused
	}
	offset := found[4]
	if offset == "z" {
		offset = "Z"
	}
	if offset != "Z" && (offset[1:3] > "23" || offset[4:] > "59") {
		return Hlc{}, refused
	}
	read, err := time.Parse(time.RFC3339Nano, found[1]+"T"+found[2]+found[3]+offset)
	if err != nil || read.UnixMilli() < 0 || read.UnixMilli() > maxMs {
		return Hlc{}, refused
	}
	logical, err := strconv.Atoi(found[5])
	if err != nil || logical > maxLogical {
		return Hlc{}, &HlcError{"logical_overflow", fmt.Sprintf("the logical part of %.80q is over %d", text, maxLogical)}
	}
	return Hlc{read.UnixMilli(), logical}, nil
}

func (h Hlc) String() string {
	return time.UnixMilli(h.PhysicalMs).UTC().Format("2006-01-02T15:04:05.000+00:00") + "#" + strconv.Itoa(h.Logical)
}

// Before reports whether the reading is earlier than another.
func (h Hlc) Before(other Hlc) bool {
	return h.PhysicalMs < other.PhysicalMs || h.PhysicalMs == other.PhysicalMs && h.Logical < other.Logical
}

// Successor is the least reading after this one.
func (h Hlc) Successor() (Hlc, error) {
	if h.Logical < maxLogical {
		return Hlc{h.PhysicalMs, h.Logical + 1}, nil
	}
	if h.PhysicalMs == maxMs {
		return h, &HlcError{"exhausted", fmt.Sprintf("the clock has no reading after %s", h)}
	}
	return Hlc{h.PhysicalMs + 1, 0}, nil
}

// Tick is the next reading of a clock that last showed this one, at a wall time in milliseconds.
func (h Hlc) Tick(wallMs int64) (Hlc, error) {
	if wallMs > h.PhysicalMs && wallMs <= maxMs {
		return Hlc{wallMs, 0}, nil
	}
	return h.Successor()
}

// HlcClock is a monotone clock. One clock follows one cluster; clients of it in one process may share it.
type HlcClock struct {
	// WallMs reads the wall clock in milliseconds; time.Now where it is nil.
	WallMs func() int64

	lock sync.Mutex
	last Hlc
}

func (c *HlcClock) wall() int64 {
	if c.WallMs != nil {
		return c.WallMs()
	}
	return time.Now().UnixMilli()
}

// Next is the next reading, for a signature.
func (c *HlcClock) Next() (Hlc, error) {
	c.lock.Lock()
	defer c.lock.Unlock()
	next, err := c.last.Tick(c.wall())
	if err == nil {
		c.last = next
	}
	return next, err
}

// Now is the time without a tick; not for order.
func (c *HlcClock) Now() Hlc {
	c.lock.Lock()
	defer c.lock.Unlock()
	if wall := (Hlc{c.wall(), 0}); c.last.Before(wall) && wall.PhysicalMs <= maxMs {
		return wall
	}
	return c.last
}

// Observe takes note of a reading that a node showed; earlier ones, and texts that are none, change nothing.
func (c *HlcClock) Observe(text string) {
	seen, err := ParseHlc(text)
	if err != nil {
		return
	}
	c.lock.Lock()
	defer c.lock.Unlock()
	if c.last.Before(seen) {
		c.last = seen
	}
}
