package swoosh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"sync"
	"testing"
	"time"
)

// stage is a real node, which tests/integration/sdk_tests.rs starts. It is killed and restarted where the file Restart is written.
type stage struct {
	URL, Cluster, Node, Restart string
	Keys                        map[string]string
	Outcomes                    map[string]IngestionCorpusBuilt
}

func staged(t *testing.T) *stage {
	t.Helper()
	name := os.Getenv("SWOOSH_TEST")
	if name == "" {
		t.Skip("SWOOSH_TEST names no node; tests/integration/sdk_tests.rs starts one")
	}
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var found stage
	if err := json.Unmarshal(text, &found); err != nil {
		t.Fatal(err)
	}
	return &found
}

func (s *stage) identity(t *testing.T, name string) *Identity {
	t.Helper()
	found, err := LoadIdentity(s.Keys[name])
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func (s *stage) client(t *testing.T, name string, more ...Option) *Client {
	t.Helper()
	client, err := New(s.URL, append([]Option{As(s.identity(t, name)), Node(s.Node)}, more...)...)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

func (s *stage) restart(t *testing.T) {
	t.Helper()
	if err := os.WriteFile(s.Restart, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(s.Restart); errors.Is(err, os.ErrNotExist) {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func must(t *testing.T, outcome Outcome, err error) *Accepted {
	t.Helper()
	accepted, ok := outcome.(*Accepted)
	if err != nil || !ok {
		t.Fatalf("%v, %v", outcome, err)
	}
	return accepted
}

func isPaused(t *testing.T, client *Client, project string) bool {
	t.Helper()
	state, err := client.State(context.Background(), project, Sections("control"), Proven())
	if err != nil {
		t.Fatal(err)
	}
	var control struct{ Paused bool }
	if err := section(state, "control", &control); err != nil {
		t.Fatal(err)
	}
	return control.Paused
}

func TestNodeAProposalIsAcceptedOnceHoweverOftenItIsSent(t *testing.T) {
	s, ctx := staged(t), context.Background()
	operator := s.client(t, "operator")
	view, err := operator.Transitions(ctx, "plain")
	if err != nil {
		t.Fatal(err)
	}
	draft := Draft{Project: "plain", Inputs: ControlPause{Rationale: "déjeuner ✔"}, Beat: &view.Beat, UUID: "go-pause-1"}
	first, err := operator.Propose(ctx, draft)
	receipt := must(t, first, err)
	again, err := operator.Propose(ctx, draft)
	if repeat := must(t, again, err); receipt.Replayed || !repeat.Replayed || !bytes.Equal(receipt.Body, repeat.Body) {
		t.Errorf("%s is not %s", repeat.Body, receipt.Body)
	}
	if !isPaused(t, operator, "plain") {
		t.Error("the project is not paused")
	}
	var problem *Problem
	if _, err := operator.Propose(ctx, Draft{Project: "plain", Inputs: ControlPause{Rationale: "again"}}); !errors.As(err, &problem) || problem.Code != CodeNotEnabled {
		t.Errorf("%v", err)
	}
	resumed, err := operator.Propose(ctx, Draft{Project: "plain", Inputs: ControlResume{Rationale: "on"}})
	done := must(t, resumed, err)
	at, err := operator.State(ctx, "plain", At(done.Receipt.Index), Proven())
	if err != nil || at.Hash != done.Receipt.StatePostHash {
		t.Errorf("%v, %v", at, err)
	}
	if dry, err := operator.DryRun(ctx, Draft{Project: "plain", Inputs: ControlPause{Rationale: "dry"}}); err != nil || !dry.Accepted {
		t.Errorf("%v, %v", dry, err)
	}
	if decision, err := operator.Decision(ctx, "plain", done.Receipt.Index); err != nil || decision.Transition != TransitionControlResume {
		t.Errorf("%v, %v", decision, err)
	}
	if _, err := operator.Head(ctx, "nothing-here"); err != nil {
		t.Errorf("a project that does not exist has its genesis head: %v", err)
	}
}

func TestNodeCallersThatRaceShareAClientAndNothingIsAcceptedTwice(t *testing.T) {
	s, ctx := staged(t), context.Background()
	policy := DefaultRetry
	policy.Attempts, policy.Patience = 40, time.Minute
	operator := s.client(t, "operator", Retry(policy))
	var lock sync.Mutex
	var group sync.WaitGroup
	seen := map[int64]bool{}
	for caller := 0; caller < 4; caller++ {
		group.Add(1)
		go func(caller int) {
			defer group.Done()
			for round := 0; round < 4; round++ {
				inputs := Inputs(ControlResume{Rationale: "on"})
				if round%2 == 0 {
					inputs = ControlPause{Rationale: fmt.Sprint("caller ", caller)}
				}
				done, err := operator.Propose(ctx, Draft{Project: "plain", Inputs: inputs})
				var problem *Problem
				if errors.As(err, &problem) && problem.Code == CodeNotEnabled {
					continue
				}
				accepted, ok := done.(*Accepted)
				lock.Lock()
				if !ok || seen[accepted.Receipt.Index] {
					t.Errorf("%v, %v", done, err)
				} else {
					seen[accepted.Receipt.Index] = true
				}
				lock.Unlock()
			}
		}(caller)
	}
	group.Wait()
	if isPaused(t, operator, "plain") {
		done, err := operator.Propose(ctx, Draft{Project: "plain", Inputs: ControlResume{Rationale: "on"}})
		must(t, done, err)
	}
}

func TestNodeACouncilIsElectedByVotesThatProveTheirElection(t *testing.T) {
	s, ctx := staged(t), context.Background()
	agent := s.client(t, "agent")
	election, err := agent.Election(ctx, "council")
	if err != nil {
		t.Fatal(err)
	}
	hash, err := election.MemberSetHash()
	if err != nil {
		t.Fatal(err)
	}
	certificate := CouncilQuorumCert{Members: election.Members, MemberSetHash: hash}
	for _, name := range []string{"v1", "v2", "v3"} {
		vote, err := election.Vote(s.identity(t, name))
		if err != nil {
			t.Fatal(err)
		}
		certificate.Votes = append(certificate.Votes, vote)
	}
	done, err := agent.Propose(ctx, Draft{Project: "council", Inputs: certificate, Head: election.Head, OnlyOnHead: true})
	must(t, done, err)
	state, err := agent.WaitFor(ctx, "council", InState(Council, "TOOLING_SYNC", "READY"))
	if err != nil {
		t.Fatal(err)
	}
	var council struct{ Members map[string]string }
	if err := section(state, "council", &council); err != nil || !reflect.DeepEqual(council.Members, election.Members) {
		t.Errorf("%v, %v", council, err)
	}
}

// The worker does the open work of one project. The outcome for the other one is held while that project is paused.
func TestNodeAWorkerProposesOutcomesOnceAndTheyAreHeldWhileAProjectIsPaused(t *testing.T) {
	s := staged(t)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	operator, client := s.client(t, "operator"), s.client(t, "worker")
	done, err := operator.Propose(ctx, Draft{Project: "held", Inputs: ControlPause{Rationale: "lunch"}})
	must(t, done, err)
	outcomes := make(chan Outcome, 8)
	worker := Worker{
		Client: client, Parallel: 2, Every: time.Second,
		Do: map[EffectName]Doer{EffectIndex: func(_ context.Context, effect EffectView) (Inputs, error) {
			return s.Outcomes[effect.Project], nil
		}},
		Done: func(_ EffectView, outcome Outcome, err error) {
			if err != nil {
				t.Errorf("%v", err)
			}
			outcomes <- outcome
		},
	}
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	var accepted *Accepted
	for isHeld := false; accepted == nil || !isHeld; {
		switch outcome := (<-outcomes).(type) {
		case *Accepted:
			accepted = outcome
		case *Held:
			isHeld = true
		}
	}
	done, err = operator.Propose(ctx, Draft{Project: "held", Inputs: ControlResume{Rationale: "on"}})
	must(t, done, err)
	if _, err := operator.WaitFor(ctx, "held", InState(Ingestion, "READY")); err != nil {
		t.Fatal(err)
	}
	// A worker that was killed after its proposal does the work again, and gets the first receipt.
	beat := int64(0)
	repeat, err := client.Propose(ctx, Draft{Project: "work", Inputs: s.Outcomes["work"], Goal: "index", Beat: &beat, UUID: OutcomeUUID(s.Outcomes["work"].Effect)})
	if again := must(t, repeat, err); !again.Replayed || !bytes.Equal(again.Body, accepted.Body) {
		t.Errorf("%s is not %s", again.Body, accepted.Body)
	}
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestNodeEventsGoOnOverAKillOfTheNode(t *testing.T) {
	s := staged(t)
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	operator := s.client(t, "operator")
	state, err := operator.State(ctx, "plain")
	if err != nil {
		t.Fatal(err)
	}
	events := operator.Events(ctx, OfProject("plain"), After(fmt.Sprintf("1-%d", state.Index)))
	defer events.Close()
	heard := make(chan []int64, 1)
	go func() {
		var found []int64
		for len(found) < 4 && events.Next() {
			var record struct{ Index int64 }
			if event := events.Value(); event.Kind == "transition" && json.Unmarshal(event.Data, &record) == nil {
				found = append(found, record.Index)
			}
		}
		heard <- found
	}()
	var made []int64
	for round := 0; round < 2; round++ {
		for _, inputs := range []Inputs{ControlPause{Rationale: "lunch"}, ControlResume{Rationale: "on"}} {
			done, err := operator.Propose(ctx, Draft{Project: "plain", Inputs: inputs})
			made = append(made, must(t, done, err).Receipt.Index)
		}
		if round == 0 {
			s.restart(t)
		}
	}
	if found := <-heard; !reflect.DeepEqual(found, made) {
		t.Errorf("heard %v, made %v: %v", found, made, events.Err())
	}
}

func TestNodeListsAreWholeAndAWaitEndsWithItsContext(t *testing.T) {
	s, ctx := staged(t), context.Background()
	operator := s.client(t, "operator")
	var names []string
	projects := operator.Projects(ctx)
	for projects.Next() {
		names = append(names, string(projects.Value().Project))
	}
	if expected := []string{"council", "held", "plain", "work"}; projects.Err() != nil || !reflect.DeepEqual(names, expected) {
		t.Errorf("%v, %v", names, projects.Err())
	}
	records, count := operator.Records(ctx, "plain", 1), 0
	for records.Next() {
		count++
	}
	if records.Err() != nil || count < 3 {
		t.Errorf("%d, %v", count, records.Err())
	}
	short, cancel := context.WithTimeout(ctx, 300*time.Millisecond)
	defer cancel()
	if _, err := operator.WaitFor(short, "plain", InState(Execution, "WORK")); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
	if _, err := operator.WaitFor(ctx, "plain", InState(Execution, "NOWHERE")); !errors.Is(err, ErrForm) {
		t.Errorf("%v", err)
	}
}
