// Package sse reads server-sent events (WHATWG HTML).
package sse

import (
	"bytes"
	"errors"
	"strings"
)

// MostBytes bounds one event.
const MostBytes = 1 << 20

// ErrTooLarge is the error of an event over its bound.
var ErrTooLarge = errors.New("a server-sent event is too large")

// An Event is one of a stream. HasID distinguishes an empty id from none.
type Event struct {
	Event string
	Data  string
	ID    string
	HasID bool
}

// A Reader takes bytes as they come and gives events as they end. An id without data is given too.
type Reader struct {
	line        []byte
	event       Event
	data        []string
	size        int
	afterReturn bool
	isBegun     bool
}

// Push gives the events that ended with these bytes.
func (r *Reader) Push(received []byte) ([]Event, error) {
	var ended []Event
	for _, sign := range received {
		afterReturn := r.afterReturn
		r.afterReturn = sign == '\r'
		switch {
		case sign == '\n' && afterReturn:
		case sign == '\n' || sign == '\r':
			if event, ok := r.end(); ok {
				ended = append(ended, event)
			}
		default:
			r.line = append(r.line, sign)
		}
		if len(r.line)+r.size > MostBytes {
			return ended, ErrTooLarge
		}
	}
	return ended, nil
}

func (r *Reader) end() (Event, bool) {
	line := r.line
	if !r.isBegun {
		r.isBegun = true
		line = bytes.TrimPrefix(line, []byte("\xef\xbb\xbf"))
	}
	name, value, _ := strings.Cut(strings.ToValidUTF8(string(line), "\ufffd"), ":")
	isEmpty := len(line) == 0
	r.line = r.line[:0]
	if isEmpty {
		event := r.event
		event.Data = strings.Join(r.data, "\n")
		isGiven := r.data != nil || event.HasID
		r.event, r.data, r.size = Event{}, nil, 0
		return event, isGiven
	}
	value = strings.TrimPrefix(value, " ")
	switch name {
	case "event":
		r.event.Event = value
	case "id":
		r.event.ID, r.event.HasID = value, true
	case "data":
		r.data = append(r.data, value)
		r.size += len(value)
	}
	return Event{}, false
}
