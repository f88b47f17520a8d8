package swoosh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"sync"
	"time"
)

// A Doer does the work of an effect and returns its outcome. Its context ends where the effect closes. An error becomes the
// failure of the effect, whose detail is the error's text.
type Doer func(ctx context.Context, effect EffectView) (Inputs, error)

// A Worker works on open external effects and proposes their outcomes. The key of an outcome follows from the effect, so a
// worker that was killed gets the first receipt for a repeat. It claims nothing: several workers may do the same work, and
// one outcome counts.
type Worker struct {
	Client *Client
	// Do has the work of each effect. Others are left alone.
	Do map[EffectName]Doer
	// Project limits the worker to one project.
	Project string
	// Parallel bounds the work at one time; 1 where it is 0.
	Parallel int
	// Every is how often the open effects are listed, beside the events; 10 s where it is 0.
	Every time.Duration
	// Done receives each outcome with its error.
	Done func(effect EffectView, outcome Outcome, err error)

	lock    sync.Mutex
	running map[string]context.CancelFunc
	// resting has effects that are not worked on again before a time.
	resting map[string]time.Time
}

// forGood is longer than an effect is open: its outcome is accepted or held.
const forGood = 100 * 365 * 24 * time.Hour

// Run works until the context ends, or until the node refuses to list effects for good.
func (w *Worker) Run(ctx context.Context) error {
	inner, cancel := context.WithCancel(ctx)
	defer cancel()
	w.running, w.resting = map[string]context.CancelFunc{}, map[string]time.Time{}
	parallel, every := w.Parallel, w.Every
	if parallel < 1 {
		parallel = 1
	}
	if every <= 0 {
		every = 10 * time.Second
	}
	slots := make(chan struct{}, parallel)
	var group sync.WaitGroup
	defer group.Wait()
	defer cancel()
	woken := w.wake(inner)
	for {
		found, err := w.list(inner)
		if err != nil && passingCause(err) == nil {
			return err
		}
		if err == nil {
			w.closeOthers(found)
			for _, effect := range found {
				w.begin(inner, effect, slots, &group)
			}
		}
		timer := time.NewTimer(every)
		select {
		case <-inner.Done():
			timer.Stop()
			return ctx.Err()
		case <-woken:
		case <-timer.C:
		}
		timer.Stop()
	}
}

// wake is signalled after each transition and effect event of the node.
func (w *Worker) wake(ctx context.Context) <-chan struct{} {
	woken := make(chan struct{}, 1)
	given := []EventOption{Kinds("transition", "effect")}
	if w.Project != "" {
		given = append(given, OfProject(w.Project))
	}
	go func() {
		events := w.Client.Events(ctx, given...)
		defer events.Close()
		for events.Next() {
			select {
			case woken <- struct{}{}:
			default:
			}
		}
	}()
	return woken
}

// list has the open external effects, by id.
func (w *Worker) list(ctx context.Context) (map[string]EffectView, error) {
	found := map[string]EffectView{}
	it := w.Client.Effects(ctx, w.Project)
	for it.Next() {
		if effect := it.Value(); effect.Mode == "external" && w.Do[EffectName(effect.Effect)] != nil {
			found[effect.Id] = effect
		}
	}
	return found, it.Err()
}

// closeOthers ends the work on effects that are closed.
func (w *Worker) closeOthers(open map[string]EffectView) {
	w.lock.Lock()
	defer w.lock.Unlock()
	for id, cancel := range w.running {
		if _, isOpen := open[id]; !isOpen {
			cancel()
		}
	}
	for id := range w.resting {
		if _, isOpen := open[id]; !isOpen {
			delete(w.resting, id)
		}
	}
}

func (w *Worker) begin(ctx context.Context, effect EffectView, slots chan struct{}, group *sync.WaitGroup) {
	w.lock.Lock()
	defer w.lock.Unlock()
	if w.running[effect.Id] != nil || time.Now().Before(w.resting[effect.Id]) {
		return
	}
	inner, cancel := context.WithCancel(ctx)
	w.running[effect.Id] = cancel
	group.Add(1)
	go func() {
		defer group.Done()
		defer cancel()
		select {
		case slots <- struct{}{}:
			rest := w.work(ctx, inner, effect)
			<-slots
			w.finish(effect.Id, rest)
		case <-inner.Done():
			w.finish(effect.Id, 0)
		}
	}()
}

func (w *Worker) finish(id string, rest time.Duration) {
	w.lock.Lock()
	defer w.lock.Unlock()
	delete(w.running, id)
	w.resting[id] = time.Now().Add(rest)
}

// work does the work, and proposes its outcome; it returns how long the effect is left alone. Work that was ended, as its effect
// closed, has no outcome.
func (w *Worker) work(ctx, inner context.Context, effect EffectView) time.Duration {
	name := EffectName(effect.Effect)
	inputs, err := w.Do[name](inner, effect)
	if inner.Err() != nil {
		return 0
	}
	if err != nil {
		inputs = FailureOf(effect, err)
	}
	beat := int64(0)
	outcome, err := w.Client.Propose(ctx, Draft{
		Project: effect.Project, Inputs: inputs, Goal: string(name), Beat: &beat, UUID: OutcomeUUID(effect.Id),
	})
	if w.Done != nil {
		w.Done(effect, outcome, err)
	}
	if err != nil {
		return 10 * time.Second
	}
	return forGood
}

// OutcomeUUID is the last part of the key of an effect's outcome. The beat of the key may be 0 while the effect is open.
func OutcomeUUID(effect string) string {
	sum := sha256.Sum256([]byte(effect))
	return hex.EncodeToString(sum[:16])
}

// FailureOf is the outcome of an effect whose work failed.
func FailureOf(effect EffectView, cause error) Inputs {
	failures := EffectName(effect.Effect).Failures()
	if len(failures) == 0 {
		return Raw{}
	}
	detail := cause.Error()
	if runes := []rune(detail); len(runes) > 500 {
		detail = string(runes[:500])
	}
	members := map[string]any{"effect": effect.Id, "failure": map[string]any{"detail": normal(detail)}}
	var alone *UnreachableServersError
	if errors.As(cause, &alone) {
		members = map[string]any{"effect": effect.Id, "unreachable": alone.Servers}
	}
	return Raw{Transition(failures[0]), members}
}

// UnreachableServersError is the failure of a probe of tools: the reason by server.
type UnreachableServersError struct{ Servers map[string]string }

func (e *UnreachableServersError) Error() string {
	text, _ := json.Marshal(e.Servers)
	return "servers do not answer as pinned: " + string(text)
}
