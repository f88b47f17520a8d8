package swoosh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"strings"
	"time"

	"chorus.local/swoosh/internal/sse"
)

const (
	// silence is the end of a stream: a node sends something every ten seconds.
	silence    = 35 * time.Second
	firstPause = 200 * time.Millisecond
	longest    = 5 * time.Second
)

// An Event is something that happened on the node: transition, effect, health, or gap, after which the state is read again.
// Each stream begins with listening.
type Event struct {
	Kind string
	// Data is JSON; docs/protocol.md has its members.
	Data json.RawMessage
	ID   string
}

type eventQuery struct {
	values url.Values
	last   *eventID
}

// An EventOption says which events are heard.
type EventOption func(*eventQuery)

// OfProject hears one project alone.
func OfProject(name string) EventOption {
	return func(q *eventQuery) { q.values.Set("project", name) }
}

// Kinds hears these kinds; transitions alone where it is left out.
func Kinds(kinds ...string) EventOption {
	return func(q *eventQuery) { q.values.Set("kinds", strings.Join(kinds, ",")) }
}

// After resumes after an event that was heard earlier.
func After(id string) EventOption {
	return func(q *eventQuery) {
		if found, ok := parseEventID(id); ok {
			q.last = &found
		}
	}
}

// Events are events as they come, also over restarts of the node. No transition is given twice.
type Events struct {
	client   *Client
	ctx      context.Context
	cancel   context.CancelFunc
	query    eventQuery
	stream   *http.Response
	alive    *time.Timer
	reader   sse.Reader
	ready    []Event
	value    Event
	failures int
	err      error
}

// Events listens until the context ends or Close is called.
func (c *Client) Events(ctx context.Context, given ...EventOption) *Events {
	query := eventQuery{values: url.Values{"kinds": {"transition"}}}
	for _, option := range given {
		option(&query)
	}
	inner, cancel := context.WithCancel(ctx)
	return &Events{client: c, ctx: inner, cancel: cancel, query: query}
}

// Close ends the stream.
func (e *Events) Close() {
	e.cancel()
	e.hangUp()
}

// Value is the present event.
func (e *Events) Value() Event { return e.value }

// Err is the error that ended the events.
func (e *Events) Err() error { return e.err }

// Next waits for the next event; false where an error ended them.
func (e *Events) Next() bool {
	for len(e.ready) == 0 {
		if e.err == nil {
			e.err = e.more()
		}
		if e.err != nil {
			e.hangUp()
			return false
		}
	}
	e.value, e.ready = e.ready[0], e.ready[1:]
	return true
}

// more reads some bytes, of a new stream where there is none.
func (e *Events) more() error {
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if e.stream == nil {
		if err := e.connect(); err != nil || e.stream == nil {
			return e.pause(err)
		}
	}
	buffer := make([]byte, 16<<10)
	count, err := e.stream.Body.Read(buffer)
	if count > 0 {
		e.alive.Reset(silence)
		e.failures = 0
		found, tooLarge := e.reader.Push(buffer[:count])
		if tooLarge != nil {
			return tooLarge
		}
		for _, raw := range found {
			if err := e.take(raw); err != nil {
				return err
			}
		}
	}
	if err != nil {
		e.hangUp()
		return e.pause(nil)
	}
	return nil
}

// connect begins a stream; none where the node cannot serve one now.
func (e *Events) connect() error {
	ctx, stop := context.WithCancel(e.ctx)
	request, address, err := e.client.request(ctx, http.MethodGet, "/events", e.query.values, nil)
	if err != nil {
		stop()
		return err
	}
	request.Header.Set("Accept", "text/event-stream")
	if e.query.last != nil {
		request.Header.Set("Last-Event-ID", e.query.last.String())
	}
	alive := time.AfterFunc(silence, stop)
	answer, err := e.client.http.Do(request)
	if err != nil {
		alive.Stop()
		stop()
		return &UnreachableError{address, bare(err)}
	}
	if answer.StatusCode != http.StatusOK {
		defer stop()
		defer answer.Body.Close()
		return e.client.refusal(answer, address)
	}
	e.stream, e.alive, e.reader = answer, alive, sse.Reader{}
	return nil
}

// refusal is why a stream is refused for good; none where another attempt may have one.
func (c *Client) refusal(answer *http.Response, address string) error {
	body := make([]byte, 64<<10)
	count, _ := answer.Body.Read(body)
	if isPassing(answer.StatusCode) {
		return nil
	}
	if problem := problemOf(body[:count]); problem != nil {
		return problem
	}
	return &UnexpectedError{address, answer.StatusCode, string(body[:count])}
}

func (e *Events) hangUp() {
	if e.stream != nil {
		e.alive.Stop()
		e.stream.Body.Close()
		e.stream = nil
	}
}

// pause waits before another stream. What is final is returned.
func (e *Events) pause(err error) error {
	var unreachable *UnreachableError
	if err != nil && (!errors.As(err, &unreachable) || e.ctx.Err() != nil) {
		return err
	}
	e.client.turn(e.client.address())
	wait := math.Min(float64(firstPause)*math.Pow(2, float64(e.failures)), float64(longest))
	e.failures++
	return e.client.sleep(e.ctx, time.Duration(wait*(0.5+e.client.random()/2)))
}

// take keeps an event of a stream, unless it was heard before.
func (e *Events) take(raw sse.Event) error {
	position, hasPosition := parseEventID(raw.ID)
	if raw.Data == "" {
		// A stream begins with the place that it goes on from.
		if e.query.last == nil && hasPosition {
			e.query.last = &position
		}
		e.ready = append(e.ready, Event{"listening", nil, raw.ID})
		return nil
	}
	if !json.Valid([]byte(raw.Data)) {
		return nil
	}
	switch {
	case raw.Event == "problem":
		return e.ended([]byte(raw.Data))
	case raw.Event == "gap":
		e.query.last = nil
		if hasPosition {
			e.query.last = &position
		}
	case hasPosition:
		if e.query.last != nil && !position.isAfter(*e.query.last) {
			return nil
		}
		e.query.last = &position
	}
	e.ready = append(e.ready, Event{raw.Event, json.RawMessage(raw.Data), raw.ID})
	return nil
}

// ended is why the node ended a stream for good; none where another one may go on.
func (e *Events) ended(data []byte) error {
	problem := problemOf(data)
	switch {
	case problem == nil:
		return fmt.Errorf("%w: the node ended the stream of events", ErrForm)
	case problem.Code.Retry() == "node", problem.Code.Retry() == "resend":
		return nil
	}
	return problem
}
