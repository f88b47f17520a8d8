package swoosh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
)

const againPause = 200 * time.Millisecond

// A Condition is a state to wait for. Sections are those that it looks at.
type Condition struct {
	Sections []string
	// Holds is asked after each record.
	Holds func(*StateAnswer) (bool, error)
	text  string
}

// InState waits for one of some phases of a region. A phase that the region does not have is an error of the wait.
func InState(region Region, phases ...string) Condition {
	text := fmt.Sprintf("%s in %s", region, strings.Join(phases, ", "))
	return Condition{[]string{string(region)}, func(state *StateAnswer) (bool, error) {
		var found struct {
			Phase string `json:"phase"`
		}
		if err := section(state, string(region), &found); err != nil {
			return false, err
		}
		for _, phase := range phases {
			if !contains(region.States(), phase) {
				return false, fmt.Errorf("%w: %s has no phase %s", ErrForm, region, phase)
			}
			if found.Phase == phase {
				return true, nil
			}
		}
		return false, nil
	}, text}
}

// AtRecord waits for a project's record with this index, or a later one.
func AtRecord(index int64) Condition {
	return Condition{nil, func(state *StateAnswer) (bool, error) { return state.Index >= index, nil }, fmt.Sprintf("index %d", index)}
}

func contains(list []string, text string) bool {
	for _, found := range list {
		if found == text {
			return true
		}
	}
	return false
}

// WaitFor waits until a project is in a state, and returns the proven state. It waits for a node that does not answer, and
// looks at the state after each record. ErrCannotReach is the error where no transition leads there any more; the context
// bounds the wait.
func (c *Client) WaitFor(ctx context.Context, project string, condition Condition) (*StateAnswer, error) {
	events := c.Events(ctx, OfProject(project))
	defer events.Close()
	for events.Next() {
		var record struct {
			Index int64 `json:"index"`
		}
		if event := events.Value(); event.Kind == "transition" {
			_ = json.Unmarshal(event.Data, &record)
		}
		state, err := c.stateAt(ctx, project, condition.Sections, record.Index)
		if err != nil || state == nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		isReached, err := condition.Holds(state)
		if isReached || err != nil {
			return state, err
		}
		if state.Phase == "TERMINATED" {
			return state, fmt.Errorf("%w (%s): the project is TERMINATED, which no transition leaves", ErrCannotReach, condition.text)
		}
	}
	return nil, events.Err()
}

// stateAt is the state after a record, or the present one for 0; none where the project does not exist.
func (c *Client) stateAt(ctx context.Context, project string, sections []string, index int64) (*StateAnswer, error) {
	for {
		given := []StateOption{Proven()}
		if len(sections) > 0 {
			given = append(given, Sections(sections...))
		}
		if index > 0 {
			given = append(given, At(index))
		}
		state, err := c.State(ctx, project, given...)
		var problem *Problem
		switch {
		case err == nil:
			return state, nil
		case errors.As(err, &problem) && problem.Code == CodeUnknownProject:
			return nil, nil
		case errors.As(err, &problem) && problem.Code == CodePruned:
			index = 0
		case passingCause(err) == nil || ctx.Err() != nil:
			return nil, err
		}
		if err := c.sleep(ctx, againPause); err != nil {
			return nil, err
		}
	}
}
