package swoosh

import (
	"errors"
	"fmt"
)

// Error says the code and the detail of a refusal. errors.As finds the problem document behind an error.
func (p *Problem) Error() string { return fmt.Sprintf("%s: %s", p.Code, p.Detail) }

// ErrReadsOnly is the error of a client without an identity that proposes.
var ErrReadsOnly = errors.New("this client only reads; give it an identity to propose")

// ErrCannotReach is wrapped by errors of waits that cannot succeed any more.
var ErrCannotReach = errors.New("the state cannot be reached")

// An UnreachableError means that there is no answer, so nothing is known about the fate of the request.
type UnreachableError struct {
	Address string
	Err     error
}

func (e *UnreachableError) Error() string { return fmt.Sprintf("%s: %v", e.Address, e.Err) }

// Unwrap is the cause, such as the end of a context.
func (e *UnreachableError) Unwrap() error { return e.Err }

// An UnexpectedError is an answer that SWOOSH does not give: another server may listen there.
type UnexpectedError struct {
	Address string
	Status  int
	Found   string
}

func (e *UnexpectedError) Error() string {
	return fmt.Sprintf("%s answers with status %d and a body that is no answer of SWOOSH: %.300s", e.Address, e.Status, e.Found)
}

// A GaveUpError means that all attempts were made. With the same key the proposal is accepted at most once.
type GaveUpError struct {
	Attempts int
	// Key is empty where nothing was signed.
	Key string
	// MayBeAccepted reports whether the node may have accepted the proposal all the same.
	MayBeAccepted bool
	Cause         string
	Err           error
}

func (e *GaveUpError) Error() string {
	text := fmt.Sprintf("gave up after %d attempts: %s", e.Attempts, e.Cause)
	if e.MayBeAccepted {
		text += "; it may have been accepted all the same"
	}
	if e.Key != "" {
		text += "; propose it again under its key " + e.Key
	}
	return text
}

// Unwrap is the end of the context, where that ended it.
func (e *GaveUpError) Unwrap() error { return e.Err }
