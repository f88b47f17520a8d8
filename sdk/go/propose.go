package swoosh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// An Outcome is *Accepted or *Held.
type Outcome interface{ outcome() }

// Accepted is a proposal that was accepted. Its receipt is verified.
type Accepted struct {
	Receipt Receipt
	// Body is the receipt as it came.
	Body []byte
	// Replayed reports whether it had been accepted before.
	Replayed bool
	Attempts int
}

// Held is the outcome of an effect that a blocked project keeps. The node records it when the project goes on.
type Held struct {
	Key      string
	Problem  *Problem
	Attempts int
}

func (*Accepted) outcome() {}
func (*Held) outcome()     {}

// journey is one proposal on its way. The key is made once; the bytes stay until a new signature is needed.
type journey struct {
	client        *Client
	draft         *Draft
	inputs        any
	key           string
	body          []byte
	why           *cause
	headMoved     bool
	mayBeAccepted bool
	followers     int
}

func (c *Client) begin(draft *Draft) (*journey, error) {
	if c.identity == nil {
		return nil, ErrReadsOnly
	}
	inputs, err := draft.check()
	return &journey{client: c, draft: draft, inputs: inputs}, err
}

// Propose proposes until there is an answer. The key is the same in every attempt, so the proposal is accepted at most once.
// The context bounds all of it.
func (c *Client) Propose(ctx context.Context, draft Draft) (Outcome, error) {
	journey, err := c.begin(&draft)
	if err != nil {
		return nil, err
	}
	var waited time.Duration
	for attempt := 1; ; attempt++ {
		done, why, err := journey.attempt(ctx, attempt)
		if done != nil || err != nil {
			return done, err
		}
		_, pressure := c.freshView(draft.project())
		wait, isWorth := c.retry.wait(attempt, waited, why, pressure, c.random())
		journey.failed(why)
		deadline, hasDeadline := ctx.Deadline()
		if !isWorth || hasDeadline && time.Until(deadline) <= wait {
			return nil, journey.gaveUp(attempt, ctx.Err())
		}
		waited += wait
		if err := c.sleep(ctx, wait); err != nil {
			return nil, journey.gaveUp(attempt, err)
		}
	}
}

func (j *journey) gaveUp(attempts int, err error) error {
	return &GaveUpError{attempts, j.key, j.mayBeAccepted, j.why.detail, err}
}

func (j *journey) failed(why *cause) {
	j.why = why
	j.mayBeAccepted = j.mayBeAccepted || why.mayBeAccepted
	if why.step == sign {
		j.body = nil
		j.headMoved = j.headMoved || why.code() == CodeStaleHead
	}
}

// Prepare returns the signed bytes of a draft, and posts nothing.
func (c *Client) Prepare(ctx context.Context, draft Draft) ([]byte, error) {
	journey, err := c.begin(&draft)
	if err != nil {
		return nil, err
	}
	return journey.sign(ctx)
}

// DryRun is the decision on a draft; it changes nothing.
func (c *Client) DryRun(ctx context.Context, draft Draft) (*DryRunAnswer, error) {
	body, err := c.Prepare(ctx, draft)
	if err != nil {
		return nil, err
	}
	request, address, err := c.request(ctx, http.MethodPost, "/transition", map[string][]string{"dry_run": {"true"}}, body)
	if err != nil {
		return nil, err
	}
	reply, err := c.send(request, address)
	if err != nil {
		return nil, err
	}
	var answer DryRunAnswer
	return &answer, c.decode(reply, &answer)
}

// sign fills in what the draft leaves open, and signs.
func (j *journey) sign(ctx context.Context) ([]byte, error) {
	c, draft := j.client, j.draft
	cluster, err := c.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	if j.why.code() == CodeHlcBehind {
		// The wall here is slow. The clock follows the node's own time from now on.
		if _, err := c.Health(ctx); err != nil {
			return nil, err
		}
	}
	view, err := j.view(ctx)
	if err != nil {
		return nil, err
	}
	filled := signed{window: draft.WindowID}
	if draft.WindowID == NoWindow {
		filled.window = ""
	} else if draft.WindowID == "" && view != nil && needsWindow(view, draft.Inputs.Transition()) {
		filled.window = view.WindowId
	}
	if err := j.makeKey(ctx, view); err != nil {
		return nil, err
	}
	filled.key = j.key
	if filled.head, err = j.head(ctx); err != nil {
		return nil, err
	}
	if filled.hlc, err = c.clock.Next(); err != nil {
		return nil, err
	}
	return signProposal(c.identity, cluster, draft, j.inputs, filled)
}

func needsWindow(view *TransitionsAnswer, transition Transition) bool {
	for _, known := range view.Transitions {
		if known.Transition == transition {
			return known.Window != ""
		}
	}
	return false
}

// view is the place in the schedule, where key or window need it. A window is that of now, so it is read each time.
func (j *journey) view(ctx context.Context) (*TransitionsAnswer, error) {
	draft := j.draft
	if (draft.Beat != nil || draft.At != "" || j.key != "") && draft.WindowID != "" {
		return nil, nil
	}
	fresh, _ := j.client.freshView(draft.project())
	if fresh != nil && (draft.WindowID != "" || !needsWindow(fresh, draft.Inputs.Transition())) {
		return fresh, nil
	}
	return j.client.Transitions(ctx, draft.project())
}

func (j *journey) makeKey(ctx context.Context, view *TransitionsAnswer) (err error) {
	if j.key != "" {
		return nil
	}
	var beat int64
	switch {
	case j.draft.Beat != nil:
		beat = *j.draft.Beat
	case j.draft.At != "":
		if beat, err = j.client.beatAt(ctx, j.draft.project(), j.draft.At); err != nil {
			return err
		}
	default:
		beat = view.Beat
	}
	j.key, err = j.draft.key(beat)
	return err
}

func (j *journey) head(ctx context.Context) (string, error) {
	if j.draft.Head != "" && (j.draft.OnlyOnHead || !j.headMoved) {
		return j.draft.Head, nil
	}
	if j.why != nil && j.why.calledAt != "" {
		return j.why.calledAt, nil
	}
	return j.client.Head(ctx, j.draft.project())
}

func (j *journey) attempt(ctx context.Context, number int) (Outcome, *cause, error) {
	c := j.client
	if j.body == nil {
		body, err := j.sign(ctx)
		if why := passingCause(err); why != nil && ctx.Err() == nil {
			return nil, why, nil
		}
		if err != nil {
			return nil, nil, err
		}
		j.body = body
	}
	request, address, err := c.request(ctx, http.MethodPost, "/transition", nil, j.body)
	if err != nil {
		return nil, nil, err
	}
	if wait := c.inLine(ctx); !j.draft.OnlyOnHead && wait > 0 {
		// One that can be signed again may wait for its turn at the project.
		request.Header.Set("Prefer", fmt.Sprintf("wait=%d", wait))
	}
	answer, err := c.send(request, address)
	if err != nil {
		why := &cause{step: again, detail: err.Error(), mayBeAccepted: true}
		if ctx.Err() != nil {
			j.failed(why)
			return nil, nil, j.gaveUp(number, ctx.Err())
		}
		c.turn(address)
		return nil, why, nil
	}
	return j.judge(answer, number)
}

// inLine is how many seconds a proposal may wait for its turn, so that the answer comes before the exchange is over.
func (c *Client) inLine(ctx context.Context) int {
	left := c.exchange
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < left {
		left = time.Until(deadline)
	}
	if wait := int(left/time.Second) - 1; wait < 10 {
		return wait
	}
	return 10
}

// passingCause is why a read before the signature may succeed later; nil where it may not.
func passingCause(err error) *cause {
	var problem *Problem
	var unexpected *UnexpectedError
	var unreachable *UnreachableError
	why := &cause{step: sign}
	switch {
	case errors.As(err, &unreachable):
	case errors.As(err, &unexpected) && isPassing(unexpected.Status):
	case errors.As(err, &problem) && problem.Code != CodeProjectDamaged && isPassing(int(problem.Status)):
		if problem.RetryAfterMs != nil {
			why.asked = time.Duration(*problem.RetryAfterMs) * time.Millisecond
		}
	default:
		return nil
	}
	why.detail = err.Error()
	return why
}

func (j *journey) judge(answer *reply, attempts int) (Outcome, *cause, error) {
	c := j.client
	if answer.status == http.StatusOK || answer.status == http.StatusAccepted {
		receipt, err := j.receipt(answer)
		if err != nil {
			return nil, nil, err
		}
		replayed := strings.EqualFold(answer.header.Get("Idempotency-Replayed"), "true")
		return &Accepted{*receipt, answer.body, replayed, attempts}, nil, nil
	}
	why := causeOf(answer.status, answer.header, answer.body)
	c.follow(answer.body)
	switch {
	case why.step == held:
		return &Held{j.key, why.problem, attempts}, nil, nil
	case why.code() == CodeFollower && j.followers+1 < len(c.addresses):
		// Another address of the cluster takes proposals.
		j.followers++
		c.turn(answer.address)
		why.step, why.asked = again, 0
		return nil, why, nil
	case why.step == end, why.code() == CodeStaleHead && j.draft.OnlyOnHead:
		if why.problem != nil {
			return nil, nil, why.problem
		}
		return nil, nil, &UnexpectedError{answer.address, answer.status, string(answer.body)}
	case why.step == again && answer.status >= 500:
		c.turn(answer.address)
	}
	return nil, why, nil
}

// receipt reads the receipt of an answer, which proves itself and is this proposal's.
func (j *journey) receipt(answer *reply) (*Receipt, error) {
	c := j.client
	if _, err := Parse(answer.body); err != nil {
		return nil, notProven("the receipt of %s is no strict document: %v", answer.address, err)
	}
	var receipt Receipt
	if err := json.Unmarshal(answer.body, &receipt); err != nil {
		return nil, notProven("the receipt of %s has not the form of one: %v", answer.address, err)
	}
	if err := receipt.Verify(c.knownCluster(), c.node); err != nil {
		return nil, err
	}
	transition := j.draft.Inputs.Transition()
	if receipt.IdemKey != j.key || receipt.Project != j.draft.project() || receipt.Transition != transition {
		return nil, notProven("the receipt is of %s of %s in project %s, the proposal is %s of %s in project %s",
			receipt.Transition, receipt.IdemKey, receipt.Project, transition, j.key, j.draft.project())
	}
	c.follow(answer.body)
	return &receipt, nil
}
