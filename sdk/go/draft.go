package swoosh

import (
	"fmt"
	"strings"
)

// Inputs are the inputs of a transition; their type says which one.
type Inputs interface {
	Transition() Transition
}

// Raw are inputs of any transition, as JSON.
type Raw struct {
	Name    Transition
	Members map[string]any
}

// Transition is the name.
func (r Raw) Transition() Transition { return r.Name }

// Some points to a value, for members of inputs that may be left out.
func Some[T any](value T) *T { return &value }

// NoWindow is the WindowID of a draft that names no window, even where the transition needs one.
const NoWindow = "none"

// A Draft is something to propose. With Goal, Beat or At, and UUID, a process that restarts sends the very same key again.
type Draft struct {
	// Project is default where it is empty.
	Project string
	Inputs  Inputs
	// Goal is adhoc where it is empty.
	Goal string
	// Beat is the one that the key names; the present one where neither it nor At is given.
	Beat *int64
	// At is a time whose beat the key names.
	At string
	// UUID is random where it is empty.
	UUID string
	// Head is named first.
	Head string
	// OnlyOnHead says that no other head will do.
	OnlyOnHead bool
	// WindowID is that of now, where the transition needs one and it is empty.
	WindowID string
	Evidence []string
}

func (d *Draft) project() string {
	if d.Project == "" {
		return "default"
	}
	return d.Project
}

func (d *Draft) goal() string {
	if d.Goal == "" {
		return "adhoc"
	}
	return d.Goal
}

// check refuses a draft that cannot be signed, before anything is read, and returns its inputs as strict JSON.
func (d *Draft) check() (any, error) {
	if d.Inputs == nil {
		return nil, fmt.Errorf("%w: a draft needs inputs", ErrForm)
	}
	var inputs any = d.Inputs
	if raw, isRaw := inputs.(Raw); isRaw {
		inputs = raw.Members
		if raw.Members == nil {
			inputs = map[string]any{}
		}
	}
	strict, err := strictOf(map[string]any{"inputs": inputs, "evidence": append([]string{}, d.Evidence...)})
	if err != nil {
		return nil, err
	}
	if len(d.Evidence) > 32 {
		return nil, fmt.Errorf("%w: a proposal carries at most 32 evidence addresses", ErrForm)
	}
	if d.OnlyOnHead && d.Head == "" {
		return nil, fmt.Errorf("%w: OnlyOnHead needs a head", ErrForm)
	}
	for kind, text := range map[string]string{"project": d.project(), "goal": d.goal(), "uuid": d.UUID, "hash": d.Head} {
		if text != "" {
			if _, err := checkForm(kind, text); err != nil {
				return nil, err
			}
		}
	}
	return strict.(map[string]any)["inputs"], nil
}

// opClass is that of a transition; of one of a newer statechart by its prefix.
func opClass(transition Transition) string {
	if known := transition.OpClass(); known != "" {
		return known
	}
	prefix, _, _ := strings.Cut(string(transition), "_")
	return strings.ToLower(prefix)
}

func (d *Draft) key(beat int64) (string, error) {
	uuid := d.UUID
	if uuid == "" {
		made, err := newUUID()
		if err != nil {
			return "", err
		}
		uuid = made
	}
	key := IdemKey{d.goal(), beat, opClass(d.Inputs.Transition()), uuid}.String()
	_, err := ParseIdemKey(key)
	return key, err
}

// signed is what a draft is filled in with.
type signed struct {
	head, key, window string
	hlc               Hlc
}

// signProposal returns the signed proposal in canonical bytes, as it is posted.
func signProposal(identity *Identity, cluster string, draft *Draft, inputs any, filled signed) ([]byte, error) {
	canonical, err := Canonical(inputs)
	if err != nil {
		return nil, err
	}
	proposal := map[string]any{
		"current_state_hash": filled.head,
		"evidence":           append([]string{}, draft.Evidence...),
		"hlc":                filled.hlc.String(),
		"idem_key":           filled.key,
		"inputs":             inputs,
		"inputs_hash":        Digest(canonical),
		"signer":             identity.Public,
		"transition":         string(draft.Inputs.Transition()),
	}
	if draft.Project != "" {
		proposal["project"] = draft.Project
	}
	if filled.window != "" {
		proposal["window_id"] = filled.window
	}
	if proposal["signature"], err = identity.SignDocument(DomainTransition, cluster, proposal); err != nil {
		return nil, err
	}
	return Canonical(proposal)
}
