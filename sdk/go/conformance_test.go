package swoosh

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"chorus.local/swoosh/internal/sse"
)

// vectors reads a file of tests/vectors. VECTORS names another folder.
func vectors(t *testing.T, name string, into any) {
	t.Helper()
	folder := os.Getenv("VECTORS")
	if folder == "" {
		folder = "../../tests/vectors"
	}
	text, err := os.ReadFile(filepath.Join(folder, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func unhex(t *testing.T, text string) []byte {
	t.Helper()
	found, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func reasonOf(err error) string {
	var document *DocumentError
	var hlc *HlcError
	switch {
	case errors.As(err, &document):
		return document.Reason
	case errors.As(err, &hlc):
		return hlc.Reason
	}
	return ""
}

func TestDocumentsHaveTheirCanonicalBytes(t *testing.T) {
	var known struct {
		Accepted []struct{ Name, Source, Canonical, Sha256 string }
		Refused  []struct {
			Name, Reason string
			BytesHex     string `json:"bytes_hex"`
		}
	}
	vectors(t, "canonical", &known)
	for _, vector := range known.Accepted {
		read, err := Parse([]byte(vector.Source))
		if err != nil {
			t.Fatalf("%s: %v", vector.Name, err)
		}
		found, err := Canonical(read)
		if err != nil || string(found) != vector.Canonical || Digest(found) != vector.Sha256 {
			t.Errorf("%s: %s, %v", vector.Name, found, err)
		}
	}
	for _, vector := range known.Refused {
		if _, err := Parse(unhex(t, vector.BytesHex)); reasonOf(err) != vector.Reason {
			t.Errorf("%s: %v, not %s", vector.Name, err, vector.Reason)
		}
	}
}

func TestTextsAreSignedInTheirNormalFormAlone(t *testing.T) {
	var known struct {
		Texts []struct {
			Text, Nfc string
			IsNfc     bool `json:"is_nfc"`
		}
	}
	vectors(t, "nfc", &known)
	for _, vector := range known.Texts {
		if isNFC(vector.Text) != vector.IsNfc || normal(vector.Text) != vector.Nfc {
			t.Errorf("%+q: %v, %+q, not %+q", vector.Text, isNFC(vector.Text), normal(vector.Text), vector.Nfc)
		}
	}
	for _, text := range []string{"\xff", "\xed\xa0\x80"} {
		if _, err := Canonical(map[string]string{"a": text}); err == nil {
			t.Errorf("%q is signed", text)
		}
	}
}

func TestReadingsOfTheClock(t *testing.T) {
	var known struct {
		Forms []struct {
			Text, Written string
			PhysicalMs    int64 `json:"physical_ms"`
			Logical       int
		}
		Refused    []struct{ Text, Reason string }
		Successors []struct{ After, Next string }
		Rising     []struct{ Hlc string }
	}
	vectors(t, "hlc", &known)
	for _, vector := range known.Forms {
		found, err := ParseHlc(vector.Text)
		if err != nil || found != (Hlc{vector.PhysicalMs, vector.Logical}) || found.String() != vector.Written {
			t.Errorf("%s: %v, %v", vector.Text, found, err)
		}
	}
	for _, vector := range known.Refused {
		if _, err := ParseHlc(vector.Text); reasonOf(err) != vector.Reason {
			t.Errorf("%q: %v", vector.Text, err)
		}
	}
	for _, vector := range known.Successors {
		after, _ := ParseHlc(vector.After)
		if next, err := after.Successor(); err != nil || next.String() != vector.Next {
			t.Errorf("%s: %v, %v", vector.After, next, err)
		}
	}
	for at := 1; at < len(known.Rising); at++ {
		before, _ := ParseHlc(known.Rising[at-1].Hlc)
		after, _ := ParseHlc(known.Rising[at].Hlc)
		if after.Before(before) {
			t.Errorf("%s is before %s", after, before)
		}
	}
}

func TestNames(t *testing.T) {
	var known struct {
		Kinds []struct {
			Kind              string
			Accepted, Refused []string
		}
		Parts []struct {
			Text, Goal, UUID string
			Beat             int64
			OpClass          string `json:"op_class"`
		} `json:"idem_key_parts"`
	}
	vectors(t, "ids", &known)
	readers := map[string]func(string) error{
		"idem_key":  func(text string) error { _, err := ParseIdemKey(text); return err },
		"effect_id": func(text string) error { _, _, _, err := ParseEffectID(text); return err },
		"signer":    func(text string) error { _, err := DecodePublic(text); return err },
		"signature": func(text string) error { _, err := decodeSignature(text); return err },
	}
	for _, kind := range known.Kinds {
		kind := kind
		read := readers[kind.Kind]
		if read == nil && forms[kind.Kind] != nil {
			read = func(text string) error { _, err := checkForm(kind.Kind, text); return err }
		}
		if read == nil {
			continue
		}
		for _, text := range kind.Accepted {
			if err := read(text); err != nil {
				t.Errorf("%s %q: %v", kind.Kind, text, err)
			}
		}
		for _, text := range kind.Refused {
			if read(text) == nil {
				t.Errorf("%s %q is read", kind.Kind, text)
			}
		}
	}
	for _, vector := range known.Parts {
		if found, err := ParseIdemKey(vector.Text); err != nil || found != (IdemKey{vector.Goal, vector.Beat, vector.OpClass, vector.UUID}) {
			t.Errorf("%s: %v, %v", vector.Text, found, err)
		}
	}
}

func TestSignaturesCountOrNot(t *testing.T) {
	type one struct {
		Name, Cluster, Domain, Signer, Signature string
		Document                                 any
		MessageHex                               string `json:"message_hex"`
		SeedHex                                  string `json:"seed_hex"`
	}
	var known struct{ Signed, Refused []one }
	vectors(t, "signatures", &known)
	for _, vector := range known.Signed {
		document, err := Canonical(vector.Document)
		data := Message(vector.Domain, vector.Cluster, document)
		identity, failed := NewIdentity(unhex(t, vector.SeedHex))
		if err != nil || failed != nil || hex.EncodeToString(data) != vector.MessageHex {
			t.Fatalf("%s: %v, %v", vector.Name, err, failed)
		}
		if identity.Public != vector.Signer || identity.Sign(data) != vector.Signature || !Verify(vector.Signer, data, vector.Signature) {
			t.Errorf("%s", vector.Name)
		}
	}
	for _, vector := range known.Refused {
		if Verify(vector.Signer, unhex(t, vector.MessageHex), vector.Signature) {
			t.Errorf("%s counts", vector.Name)
		}
	}
}

func TestKeyFiles(t *testing.T) {
	var known struct {
		Accepted []struct{ File, Public string }
		Refused  []string
	}
	vectors(t, "keys", &known)
	for _, vector := range known.Accepted {
		identity, err := ParseIdentity(vector.File)
		if err != nil || identity.Public != vector.Public || identity.Expose() != strings.TrimSpace(vector.File) {
			t.Errorf("%s: %v", vector.Public, err)
		}
	}
	for at, text := range known.Refused {
		if _, err := ParseIdentity(text); !errors.Is(err, ErrKeyForm) {
			t.Errorf("refused %d: %v", at, err)
		}
	}
}

func TestReceiptsProveThemselvesOrAreRefused(t *testing.T) {
	var known struct {
		Cluster, Node string
		Receipts      []struct{ Receipt string }
		Refused       []struct {
			Name          string
			Receipt       Receipt
			Cluster, Node string
		}
	}
	vectors(t, "receipts", &known)
	for _, vector := range known.Receipts {
		var receipt Receipt
		if err := json.Unmarshal([]byte(vector.Receipt), &receipt); err != nil {
			t.Fatal(err)
		}
		written, err := Canonical(receipt)
		if verified := receipt.Verify(known.Cluster, known.Node); verified != nil || err != nil || string(written) != vector.Receipt {
			t.Errorf("receipt %d: %v, %v", receipt.Index, verified, err)
		}
	}
	for _, vector := range known.Refused {
		cluster, node := known.Cluster, known.Node
		if vector.Cluster != "" {
			cluster = vector.Cluster
		}
		if vector.Node != "" {
			node = vector.Node
		}
		if err := vector.Receipt.Verify(cluster, node); !errors.Is(err, ErrNotProven) {
			t.Errorf("%s: %v", vector.Name, err)
		}
	}
}

func TestReadsAreSignedOverTheTargetAsItIsSent(t *testing.T) {
	var known struct {
		Cluster string
		Signed  []struct {
			Target, Hlc, Signature string
			SeedHex                string `json:"seed_hex"`
		}
	}
	vectors(t, "reads", &known)
	for _, vector := range known.Signed {
		identity, err := NewIdentity(unhex(t, vector.SeedHex))
		if err != nil {
			t.Fatal(err)
		}
		reading, _ := ParseHlc(vector.Hlc)
		clock := &HlcClock{WallMs: func() int64 { return 0 }, last: reading}
		client, err := New("http://127.0.0.1:1", As(identity), Cluster(known.Cluster), Clock(clock))
		if err != nil {
			t.Fatal(err)
		}
		request, err := http.NewRequest(http.MethodGet, "http://127.0.0.1:1"+vector.Target, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := client.signRead(request.Context(), request); err != nil || request.Header.Get("X-Hmmm-Signature") != vector.Signature {
			t.Errorf("%s: %v", vector.Target, err)
		}
	}
}

func TestDraftsBecomeTheirBytes(t *testing.T) {
	var known struct {
		Cluster string
		SeedHex string `json:"seed_hex"`
		Drafts  []struct {
			Name, Project, Transition, Goal, UUID, Head, Body string
			Inputs                                            map[string]any
			Beat                                              int64
			Evidence                                          []string
			IdemKey                                           string `json:"idem_key"`
			LastHlc                                           string `json:"last_hlc"`
			WallMs                                            int64  `json:"wall_ms"`
			WindowID                                          string `json:"window_id"`
		}
	}
	vectors(t, "drafts", &known)
	identity, err := NewIdentity(unhex(t, known.SeedHex))
	if err != nil {
		t.Fatal(err)
	}
	for _, vector := range known.Drafts {
		last, _ := ParseHlc(vector.LastHlc)
		hlc, _ := last.Tick(vector.WallMs)
		draft := Draft{Project: vector.Project, Inputs: Raw{Transition(vector.Transition), vector.Inputs}, Goal: vector.Goal, UUID: vector.UUID, Evidence: vector.Evidence}
		inputs, err := draft.check()
		if err != nil {
			t.Fatalf("%s: %v", vector.Name, err)
		}
		key, err := draft.key(vector.Beat)
		if err != nil || key != vector.IdemKey {
			t.Errorf("%s: %s, %v", vector.Name, key, err)
		}
		body, err := signProposal(identity, known.Cluster, &draft, inputs, signed{vector.Head, key, vector.WindowID, hlc})
		if err != nil || string(body) != vector.Body {
			t.Errorf("%s: %s, %v", vector.Name, body, err)
		}
	}
}

func TestAnElectionFollowsFromTheState(t *testing.T) {
	var known struct {
		Cluster, Seed string
		Roles         map[string]RoleSpec
		Candidates    map[string][]string
		Electorate    []string
		Members       map[string]string
		Hash          string `json:"member_set_hash"`
		Vote          struct {
			Project string
			Epoch   int64 `json:"council_epoch"`
		}
		MessageHex string `json:"message_hex"`
		Votes      []Vote
	}
	vectors(t, "election", &known)
	members, err := Rank(known.Roles, known.Candidates, known.Electorate, known.Seed)
	if err != nil || !reflect.DeepEqual(members, known.Members) {
		t.Fatalf("%v, %v", members, err)
	}
	election := Election{known.Cluster, known.Vote.Project, "", known.Vote.Epoch, members}
	ballot, err := election.Ballot()
	if err != nil || ballot["member_set_hash"] != known.Hash {
		t.Fatalf("%v, %v", ballot, err)
	}
	document, _ := Canonical(ballot)
	data := Message(DomainVote, known.Cluster, document)
	if hex.EncodeToString(data) != known.MessageHex {
		t.Errorf("%x", data)
	}
	for _, vote := range known.Votes {
		isMade := false
		for n := byte(1); n <= 6; n++ {
			identity, _ := NewIdentity(bytes.Repeat([]byte{n}, 32))
			made, err := election.Vote(identity)
			isMade = isMade || err == nil && made == vote
		}
		if !isMade || !Verify(vote.Voter, data, vote.Signature) {
			t.Errorf("the vote of %s", vote.Voter)
		}
	}
}

func TestStatesAreProvenByTheirHeadOrNot(t *testing.T) {
	type one struct {
		Name   string
		Answer json.RawMessage
	}
	var known struct{ Proven, Refused []one }
	vectors(t, "state", &known)
	for _, vector := range known.Proven {
		if !proven(vector.Answer) {
			t.Errorf("%s is not proven", vector.Name)
		}
	}
	for _, vector := range known.Refused {
		if proven(vector.Answer) {
			t.Errorf("%s is proven", vector.Name)
		}
	}
}

func TestEveryAnswerHasANextStep(t *testing.T) {
	var known struct {
		Answers []struct {
			Name, Body, Step string
			Status           int
			Headers          map[string]string
			WaitMs           int64  `json:"wait_ms"`
			CalledAt         string `json:"called_at"`
			MayBeAccepted    bool   `json:"may_be_accepted"`
		}
	}
	vectors(t, "problems", &known)
	for _, vector := range known.Answers {
		header := http.Header{}
		for name, value := range vector.Headers {
			header.Set(name, value)
		}
		why := causeOf(vector.Status, header, []byte(vector.Body))
		if string(why.step) != vector.Step || why.mayBeAccepted != vector.MayBeAccepted || why.calledAt != vector.CalledAt {
			t.Errorf("%s: %+v", vector.Name, why)
		}
		if (why.step == again || why.step == sign) && why.asked.Milliseconds() != vector.WaitMs {
			t.Errorf("%s waits %v, not %d ms", vector.Name, why.asked, vector.WaitMs)
		}
	}
}

func TestStreamsGiveTheirEventsWhereverTheyAreCut(t *testing.T) {
	var known struct {
		Streams []struct {
			Name, Stream string
			Events       []struct {
				Event, Data string
				ID          *string
			}
		}
	}
	vectors(t, "streams", &known)
	for _, vector := range known.Streams {
		var expected []sse.Event
		for _, event := range vector.Events {
			made := sse.Event{Event: event.Event, Data: event.Data}
			if event.ID != nil {
				made.ID, made.HasID = *event.ID, true
			}
			expected = append(expected, made)
		}
		for size := 1; size <= len(vector.Stream); size++ {
			var reader sse.Reader
			var found []sse.Event
			for rest := []byte(vector.Stream); len(rest) > 0; {
				piece := rest
				if len(piece) > size {
					piece = piece[:size]
				}
				events, err := reader.Push(piece)
				if err != nil {
					t.Fatal(err)
				}
				found, rest = append(found, events...), rest[len(piece):]
			}
			if !reflect.DeepEqual(found, expected) {
				t.Fatalf("%s in pieces of %d: %v", vector.Name, size, found)
			}
		}
	}
}

func TestTypedInputsWriteWhatTheyRead(t *testing.T) {
	var known struct {
		Transitions []struct {
			Transition string
			Accepted   []string
			Refused    []struct {
				Name, Source string
				Path         *string
			}
		}
	}
	vectors(t, "inputs", &known)
	for _, vector := range known.Transitions {
		for _, source := range vector.Accepted {
			read, err := Parse([]byte(source))
			if err != nil {
				t.Fatalf("%s: %v", vector.Transition, err)
			}
			expected, _ := Canonical(read)
			typed := newInputs(Transition(vector.Transition))
			if err := json.Unmarshal([]byte(source), typed); err != nil {
				t.Fatalf("%s: %v: %s", vector.Transition, err, source)
			}
			if found, err := Canonical(typed); err != nil || !bytes.Equal(found, expected) {
				t.Errorf("%s: %v: %s, not %s", vector.Transition, err, found, expected)
			}
		}
		for _, refused := range vector.Refused {
			if _, err := Parse([]byte(refused.Source)); refused.Path == nil && err == nil {
				t.Errorf("%s: %s is read", vector.Transition, refused.Name)
			}
		}
	}
}
