package swoosh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

// node serves a client without a network: proposals get the answers in turn, and waits are noted and not waited for.
type node struct {
	t       *testing.T
	client  *Client
	reads   map[string]string
	answers []func(posted map[string]any) (int, string, http.Header)
	posted  [][]byte
	asked   []*http.Request
	waits   []time.Duration
}

var (
	hashOne, hashTwo = "sha256-" + strings.Repeat("1", 64), "sha256-" + strings.Repeat("2", 64)
	nodeKey, _       = NewIdentity(bytes.Repeat([]byte{9}, 32))
	myKey, _         = NewIdentity(bytes.Repeat([]byte{7}, 32))
	errGone          = errors.New("connection reset")
)

const health = `{"cluster":"test","node":"%s","time":"2085-01-01T00:00:00.000+00:00#0"}`

func newNode(t *testing.T, answers []func(map[string]any) (int, string, http.Header), given ...Option) *node {
	t.Helper()
	it := &node{t: t, answers: answers, reads: map[string]string{
		"/state":       fmt.Sprintf(`{"project":"alpha","hash":"%s","index":6,"hlc_last":null,"phase":"EXECUTION","sections":{},"projection":{}}`, hashOne),
		"/transitions": fmt.Sprintf(`{"project":"alpha","head":"%s","exists":true,"time":"2025-10-19T01:00:00.000+00:00#0","beat":42,"pressure":0,"transitions":[]}`, hashOne),
		"/health":      fmt.Sprintf(health, nodeKey.Public),
		"/windows":     `{"project":"alpha","time":"2025-10-19T01:00:00.000+00:00#0","outlook":{"beat":17}}`,
	}}
	clock := &HlcClock{WallMs: func() int64 { return 1760837025678 }}
	options := append([]Option{As(myKey), Cluster("test"), Clock(clock), Transport(it)}, given...)
	client, err := New("http://127.0.0.1:1", options...)
	if err != nil {
		t.Fatal(err)
	}
	client.random = func() float64 { return 1 }
	client.sleep = func(ctx context.Context, wait time.Duration) error {
		it.waits = append(it.waits, wait)
		return ctx.Err()
	}
	it.client = client
	return it
}

func (n *node) RoundTrip(request *http.Request) (*http.Response, error) {
	if err := request.Context().Err(); err != nil {
		return nil, err
	}
	n.asked = append(n.asked, request)
	status, body, header := http.StatusOK, n.reads[request.URL.Path], http.Header{}
	if request.Method == http.MethodPost {
		posted, err := io.ReadAll(request.Body)
		if err != nil {
			return nil, err
		}
		n.posted = append(n.posted, posted)
		var document map[string]any
		if err := json.Unmarshal(posted, &document); err != nil {
			return nil, err
		}
		if status, body, header = n.answers[len(n.posted)-1](document); status == 0 {
			return nil, errGone
		}
	}
	return &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(strings.NewReader(body)), Request: request}, nil
}

func (n *node) documents() []map[string]any {
	var found []map[string]any
	for _, posted := range n.posted {
		var document map[string]any
		if err := json.Unmarshal(posted, &document); err != nil {
			n.t.Fatal(err)
		}
		found = append(found, document)
	}
	return found
}

type answer = func(map[string]any) (int, string, http.Header)

func gone(map[string]any) (int, string, http.Header) { return 0, "", nil }

func plain(status int, body string, header http.Header) answer {
	return func(map[string]any) (int, string, http.Header) { return status, body, header }
}

func refusal(code string, status int, more string) answer {
	return plain(status, fmt.Sprintf(`{"type":"","title":"","status":%d,"code":"%s","detail":"d","reasons":["r"]%s}`, status, code, more), nil)
}

// receiptOf is what a node gives for what was posted, with some members changed.
func receiptOf(posted map[string]any, change map[string]any) string {
	raw, _ := rawHash(hashOne)
	batch := map[string]any{"first": 7, "last": 7, "root": "sha256-" + fmt.Sprintf("%x", hashOf([]byte{0}, raw))}
	signature, _ := nodeKey.SignDocument(DomainBatch, "test", batch)
	receipt := map[string]any{
		"project": posted["project"], "index": 7, "transition": posted["transition"], "idem_key": posted["idem_key"],
		"state_pre_hash": posted["current_state_hash"], "state_post_hash": hashOne, "hlc": posted["hlc"], "timestamp": posted["hlc"],
		"chain": hashOne, "decision": "bubble://dr/alpha/7-" + strings.Repeat("1", 16), "path": []string{},
		"seal": map[string]any{"batch": batch, "node": nodeKey.Public, "signature": signature},
	}
	for name, value := range change {
		receipt[name] = value
	}
	text, _ := json.Marshal(receipt)
	return string(text)
}

func accept(posted map[string]any) (int, string, http.Header) {
	return http.StatusAccepted, receiptOf(posted, nil), nil
}

func pause() Draft {
	return Draft{Project: "alpha", Inputs: ControlPause{Rationale: "lunch"}, Goal: "ops", UUID: "job-00000001"}
}

const pauseKey = "ops:42:control:job-00000001"

func (n *node) propose(draft Draft) (Outcome, error) {
	return n.client.Propose(context.Background(), draft)
}

func TestTheSameBytesAreSentAgainWhereNoAnswerCameOrTheNodeIsBusy(t *testing.T) {
	n := newNode(t, []answer{gone, plain(408, "", nil), refusal("too_many_requests", 429, ""), plain(502, "<html>", nil), refusal("overloaded", 503, ""), plain(504, "", nil), accept})
	done, err := n.propose(pause())
	if err != nil || done.(*Accepted).Attempts != 7 {
		t.Fatalf("%v, %v", done, err)
	}
	for _, posted := range n.posted {
		if !bytes.Equal(posted, n.posted[0]) {
			t.Errorf("%s is not %s", posted, n.posted[0])
		}
	}
}

func TestAStaleHeadIsReadAndSignedAgainUnderTheSameKey(t *testing.T) {
	n := newNode(t, []answer{refusal("stale_head", 400, `,"head":"`+hashOne+`","retry_after_ms":5`), accept})
	draft := pause()
	draft.Head = hashTwo
	if _, err := n.propose(draft); err != nil {
		t.Fatal(err)
	}
	found := n.documents()
	if found[0]["idem_key"] != pauseKey || found[1]["idem_key"] != pauseKey || found[0]["current_state_hash"] != hashTwo || found[1]["current_state_hash"] != hashOne {
		t.Errorf("%v", found)
	}
}

func TestADraftForOneHeadAloneIsNotSignedAgain(t *testing.T) {
	n := newNode(t, []answer{refusal("stale_head", 400, "")})
	draft := pause()
	draft.Head, draft.OnlyOnHead = hashTwo, true
	var problem *Problem
	if _, err := n.propose(draft); !errors.As(err, &problem) || problem.Code != CodeStaleHead {
		t.Errorf("%v", err)
	}
	if n.asked[len(n.asked)-1].Header.Get("Prefer") != "" {
		t.Error("it waits in line, and no other head will do")
	}
}

func TestACallerThatIsCalledFromTheLineSignsAtOnce(t *testing.T) {
	n := newNode(t, []answer{refusal("stale_head", 400, `,"head":"`+hashTwo+`","retry_after_ms":0,"hlc_last":"2090-01-01T00:00:00.000+00:00#7"`), accept})
	if _, err := n.propose(pause()); err != nil {
		t.Fatal(err)
	}
	second := n.documents()[1]
	if len(n.waits) != 1 || n.waits[0] != 0 || second["current_state_hash"] != hashTwo || second["hlc"] != "2090-01-01T00:00:00.000+00:00#8" {
		t.Errorf("%v, %v", n.waits, second)
	}
	if n.asked[len(n.asked)-1].Header.Get("Prefer") != "wait=10" {
		t.Error("it does not wait in line")
	}
}

func TestTheClockFollowsTheNode(t *testing.T) {
	n := newNode(t, []answer{refusal("hlc_not_after", 400, `,"hlc_last":"2080-01-01T00:00:00.000+00:00#3"`), refusal("hlc_behind", 400, ""), accept})
	if _, err := n.propose(pause()); err != nil {
		t.Fatal(err)
	}
	found := n.documents()
	if found[1]["hlc"] != "2080-01-01T00:00:00.000+00:00#4" || found[2]["hlc"] != "2085-01-01T00:00:00.000+00:00#1" || found[2]["idem_key"] != pauseKey {
		t.Errorf("%v", found)
	}
}

func TestAllOtherRefusalsAreFinal(t *testing.T) {
	for _, code := range []string{"guard_coverage", "not_enabled", "hlc_ahead", "a_new_code", "follower", "project_damaged"} {
		n := newNode(t, []answer{refusal(code, map[bool]int{true: 503, false: 400}[code == "follower" || code == "project_damaged"], "")})
		var problem *Problem
		if _, err := n.propose(pause()); !errors.As(err, &problem) || string(problem.Code) != code || len(n.posted) != 1 {
			t.Errorf("%s: %v", code, err)
		}
	}
	for _, status := range []int{500, 404, 302} {
		n := newNode(t, []answer{plain(status, "oops", nil)})
		var unexpected *UnexpectedError
		if _, err := n.propose(pause()); !errors.As(err, &unexpected) {
			t.Errorf("%d: %v", status, err)
		}
	}
}

func TestWaitsAreThoseOfTheNodeAndAGrowingPartOfChance(t *testing.T) {
	n := newNode(t, []answer{refusal("overloaded", 503, `,"retry_after_ms":300`), plain(503, "", http.Header{"Retry-After": {"2"}}), gone, gone, accept})
	if _, err := n.propose(pause()); err != nil {
		t.Fatal(err)
	}
	ms := time.Millisecond
	if expected := []time.Duration{350 * ms, 2100 * ms, 200 * ms, 400 * ms}; !reflect.DeepEqual(n.waits, expected) {
		t.Errorf("%v", n.waits)
	}
	n = newNode(t, []answer{gone, accept})
	n.reads["/transitions"] = strings.Replace(n.reads["/transitions"], `"pressure":0`, `"pressure":1000`, 1)
	if _, err := n.propose(pause()); err != nil || n.waits[0] != 250*ms {
		t.Errorf("%v, %v", n.waits, err)
	}
}

func TestAllWaitsTogetherAreBounded(t *testing.T) {
	answers := make([]answer, 30)
	for at := range answers {
		answers[at] = gone
	}
	policy := DefaultRetry
	policy.Attempts = 30
	n := newNode(t, answers, Retry(policy))
	var gaveUp *GaveUpError
	if _, err := n.propose(pause()); !errors.As(err, &gaveUp) || gaveUp.Key != pauseKey || !gaveUp.MayBeAccepted {
		t.Errorf("%v", err)
	}
	var sum time.Duration
	for _, wait := range n.waits {
		sum += wait
		if wait > 5*time.Second {
			t.Errorf("a wait of %v", wait)
		}
	}
	if sum > 30*time.Second {
		t.Errorf("waits of %v", sum)
	}
}

func TestGivingUpTellsWhetherItMayHaveBeenAccepted(t *testing.T) {
	busy := refusal("overloaded", 503, "")
	written := refusal("not_durable", 503, "")
	for name, known := range map[string]struct {
		answers []answer
		mayBe   bool
	}{"lost": {[]answer{gone, busy}, true}, "busy": {[]answer{busy, busy}, false}, "not durable": {[]answer{written, busy}, true}} {
		n := newNode(t, known.answers, Retry(RetryPolicy{Attempts: 2, Patience: time.Second}))
		var gaveUp *GaveUpError
		if _, err := n.propose(pause()); !errors.As(err, &gaveUp) || gaveUp.MayBeAccepted != known.mayBe {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTheContextEndsIt(t *testing.T) {
	n := newNode(t, []answer{refusal("overloaded", 503, `,"retry_after_ms":20000`)})
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	var gaveUp *GaveUpError
	if _, err := n.client.Propose(ctx, pause()); !errors.As(err, &gaveUp) || len(n.waits) > 0 {
		t.Errorf("%v, %v", err, n.waits)
	}
	cancel()
	if _, err := n.client.Propose(ctx, pause()); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAHeldOutcomeIsNoErrorAndARepeatSaysSo(t *testing.T) {
	n := newNode(t, []answer{refusal("outcome_held", 400, "")})
	if done, err := n.propose(pause()); err != nil || done.(*Held).Key != pauseKey {
		t.Errorf("%v, %v", done, err)
	}
	n = newNode(t, []answer{func(posted map[string]any) (int, string, http.Header) {
		return 202, receiptOf(posted, nil), http.Header{"Idempotency-Replayed": {"true"}}
	}})
	if done, err := n.propose(pause()); err != nil || !done.(*Accepted).Replayed {
		t.Errorf("%v, %v", done, err)
	}
}

func TestAReceiptIsTakenOnlyWhereItProvesThisProposal(t *testing.T) {
	for _, change := range []map[string]any{
		{"project": "beta"}, {"transition": "Control_Resume"}, {"idem_key": "a:1:control:abcdefgh"}, {"path": []string{hashOne}},
		{"chain": hashTwo}, {"index": 8}, {"index": "7"}, {"path": nil}, {"seal": map[string]any{}},
	} {
		change := change
		n := newNode(t, []answer{func(posted map[string]any) (int, string, http.Header) { return 202, receiptOf(posted, change), nil }})
		if done, err := n.propose(pause()); !errors.Is(err, ErrNotProven) {
			t.Errorf("%v: %v, %v", change, done, err)
		}
	}
	for _, option := range []Option{Node(myKey.Public), Cluster("prod")} {
		if _, err := newNode(t, []answer{accept}, option).propose(pause()); !errors.Is(err, ErrNotProven) {
			t.Errorf("%v", err)
		}
	}
}

func TestSeveralAddressesAreAskedInTurnAndAFollowerLeadsToTheNext(t *testing.T) {
	n := newNode(t, []answer{gone, refusal("follower", 503, ""), accept}, Addresses("http://127.0.0.1:2", "http://127.0.0.1:3"))
	if _, err := n.propose(pause()); err != nil {
		t.Fatal(err)
	}
	var hosts []string
	for _, asked := range n.asked {
		if asked.Method == http.MethodPost {
			hosts = append(hosts, asked.URL.Port())
		}
	}
	if !reflect.DeepEqual(hosts, []string{"1", "2", "3"}) || !bytes.Equal(n.posted[0], n.posted[2]) {
		t.Errorf("%v", hosts)
	}
}

func TestARestartedProcessSendsTheVerySameKey(t *testing.T) {
	beat := int64(5)
	for key, change := range map[string]func(*Draft){
		pauseKey:                      func(*Draft) {},
		"ops:5:control:job-00000001":  func(d *Draft) { d.Beat = &beat },
		"ops:17:control:job-00000001": func(d *Draft) { d.At = "2025-10-19T01:00:00Z#0" },
	} {
		n, draft := newNode(t, []answer{accept}), pause()
		change(&draft)
		if _, err := n.propose(draft); err != nil || n.documents()[0]["idem_key"] != key {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWhatCannotBeSignedIsRefusedBeforeAnythingIsAsked(t *testing.T) {
	for _, value := range []any{1.5, -1, nil, uint64(1) << 53, "e\u0301", "\xff", map[string]any{"a": []any{nil}}, func() {}} {
		n := newNode(t, nil)
		_, err := n.propose(Draft{Inputs: Raw{"Control_Pause", map[string]any{"rationale": value}}})
		var document *DocumentError
		if !errors.As(err, &document) || len(n.asked) > 0 {
			t.Errorf("%v: %v", value, err)
		}
	}
	for _, draft := range []Draft{{}, {Inputs: ControlResume{Rationale: "on"}, Goal: "a b"}, {Inputs: ControlResume{Rationale: "on"}, UUID: "short"}, {Inputs: ControlResume{Rationale: "on"}, Project: "Alpha"}, {Inputs: ControlResume{Rationale: "on"}, OnlyOnHead: true}, {Inputs: ControlResume{Rationale: "on"}, Evidence: make([]string, 33)}} {
		if _, err := newNode(t, nil).propose(draft); !errors.Is(err, ErrForm) {
			t.Errorf("%+v: %v", draft, err)
		}
	}
}

func TestAStateThatIsNotProvenIsNotReturned(t *testing.T) {
	n := newNode(t, nil)
	if _, err := n.client.State(context.Background(), "alpha", Sections("council"), Proven()); !errors.Is(err, ErrNotProven) {
		t.Errorf("%v", err)
	}
	if asked := n.asked[0]; asked.Header.Get("X-Hmmm-Signer") != myKey.Public {
		t.Error("the read is not signed")
	}
}

func TestASecretIsShownNowhere(t *testing.T) {
	client, err := New("http://127.0.0.1:1", As(myKey), Cluster("test"))
	if err != nil {
		t.Fatal(err)
	}
	text, _ := json.Marshal(myKey)
	shown := fmt.Sprintf("%v %+v %#v %s %v %+v %s", myKey, myKey, myKey, myKey, client, *client.identity, text)
	if secret := strings.TrimPrefix(myKey.Expose(), secretPrefix); strings.Contains(shown, secret[:8]) || strings.Contains(shown, "7, 7, 7") || strings.Contains(shown, "[7 7 7") {
		t.Errorf("%s", shown)
	}
	_, err = ParseIdentity(myKey.Expose() + "x")
	if !errors.Is(err, ErrKeyForm) || strings.Contains(err.Error(), "BwcH") {
		t.Errorf("%v", err)
	}
}

func TestKeyFilesThatOthersMayReadAreRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "a.key")
	if err := os.WriteFile(file, []byte(myKey.Expose()+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if found, err := LoadIdentity(file); err != nil || found.Public != myKey.Public {
		t.Fatalf("%v, %v", found, err)
	}
	for _, mode := range []os.FileMode{0o640, 0o604, 0o610} {
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadIdentity(file); !errors.Is(err, ErrKeyForm) {
			t.Errorf("%o: %v", mode, err)
		}
	}
	if _, err := LoadIdentity(filepath.Dir(file)); err == nil {
		t.Error("a folder is read")
	}
}

// The SDK promises that it needs the standard library alone.
func TestTheModuleHasNoDependency(t *testing.T) {
	text, err := os.ReadFile("go.mod")
	if err != nil || strings.Contains(string(text), "require") || !strings.Contains(string(text), "go 1.19\n") {
		t.Errorf("%v: %s", err, text)
	}
}

func TestAKeyIsMadeBeforeTheFirstAttemptAndKeptOverAllOfThem(t *testing.T) {
	n := newNode(t, []answer{gone, refusal("stale_head", 400, ""), refusal("hlc_not_after", 400, ""), refusal("hlc_behind", 400, ""), plain(503, "", nil), accept})
	if _, err := n.propose(Draft{Project: "alpha", Inputs: ControlPause{Rationale: "lunch"}}); err != nil {
		t.Fatal(err)
	}
	for _, document := range n.documents() {
		if document["idem_key"] != n.documents()[0]["idem_key"] {
			t.Errorf("%v is not %v", document["idem_key"], n.documents()[0]["idem_key"])
		}
	}
}
