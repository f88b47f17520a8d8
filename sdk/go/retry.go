package swoosh

import (
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"time"
)

// RetryPolicy says how often and how patiently a proposal is tried again.
type RetryPolicy struct {
	// Attempts in all.
	Attempts int
	// FirstWait is the longest first back-off; it doubles with each attempt, up to LongestWait.
	FirstWait, LongestWait time.Duration
	// Patience bounds all waits together.
	Patience time.Duration
}

// DefaultRetry is 10 attempts and waits of 30 s in all.
var DefaultRetry = RetryPolicy{10, 50 * time.Millisecond, 5 * time.Second, 30 * time.Second}

// step is what follows an answer.
type step string

const (
	again step = "again" // the same bytes once more
	sign  step = "sign"  // a new signature under the same key
	held  step = "held"  // success of another kind
	end   step = "end"   // no further attempt
)

// cause says why an attempt did not end the matter.
type cause struct {
	step          step
	detail        string
	asked         time.Duration
	problem       *Problem
	mayBeAccepted bool
	// calledAt is the head at which the node called this caller out of its line.
	calledAt string
}

func (c *cause) code() Code {
	if c == nil || c.problem == nil {
		return ""
	}
	return c.problem.Code
}

// wait is the time after an attempt, counted from 1; false to give up. random is from 0 to 1. The node's own wait is kept in
// full; a random part of the back-off, which grows with the tidal pressure, comes on top.
func (p RetryPolicy) wait(attempt int, waited time.Duration, why *cause, pressure int64, random float64) (time.Duration, bool) {
	if attempt >= p.Attempts {
		return 0, false
	}
	if why.calledAt != "" {
		return 0, true
	}
	if pressure > 1000 {
		pressure = 1000
	}
	first := float64(p.FirstWait) * (1 + 4*float64(pressure)/1000)
	jitter := math.Min(first*math.Pow(2, float64(attempt-1)), float64(p.LongestWait))
	wait := why.asked + time.Duration(jitter*random)
	return wait, waited+wait <= p.Patience
}

// isPassing is a status that says "not now", of a node or of a proxy.
func isPassing(status int) bool {
	switch status {
	case 408, 429, 502, 503, 504:
		return true
	}
	return false
}

// problemOf reads a problem document; nil where the body is none.
func problemOf(body []byte) *Problem {
	var found Problem
	if json.Unmarshal(body, &found) != nil || found.Code == "" {
		return nil
	}
	return &found
}

func retryAfter(header http.Header) time.Duration {
	text := header.Get("Retry-After")
	seconds, err := strconv.ParseUint(text, 10, 30)
	if err != nil {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// causeOf is the next step after an answer that is no receipt.
func causeOf(status int, header http.Header, body []byte) *cause {
	problem, asked := problemOf(body), retryAfter(header)
	if problem == nil {
		found := &cause{step: end, detail: fmt.Sprintf("the node answers with status %d", status)}
		if isPassing(status) {
			found.step, found.asked, found.mayBeAccepted = again, asked, true
		}
		return found
	}
	if problem.RetryAfterMs != nil && *problem.RetryAfterMs >= 0 {
		asked = time.Duration(*problem.RetryAfterMs) * time.Millisecond
	}
	found := &cause{step: stepOf(problem.Code, status), detail: problem.Error(), asked: asked, problem: problem}
	found.mayBeAccepted = found.step == again && (problem.Code == CodeNotDurable || !problem.Code.isKnown())
	if problem.Code == CodeStaleHead && problem.RetryAfterMs != nil && *problem.RetryAfterMs == 0 {
		found.calledAt = problem.Head
	}
	return found
}

func stepOf(code Code, status int) step {
	switch {
	case code == CodeOutcomeHeld:
		return held
	case code == CodeFollower, code == CodeProjectDamaged: // until the operator acts
		return end
	case isPassing(status):
		return again
	case code.Retry() == "head", code.Retry() == "clock", code.Retry() == "restamp":
		return sign
	}
	return end
}
