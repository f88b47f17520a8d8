package swoosh

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"sort"
	"strings"
)

// An Election follows from a proven state. Voting posts nothing.
type Election struct {
	Cluster      string
	Project      string
	Head         string
	CouncilEpoch int64
	// Members has the role of each member.
	Members map[string]string
}

type ranked struct {
	key   string
	lacks int
	hash  []byte
	bytes []byte
}

// Rank is the member set that every candidate computes (docs/protocol.md).
func Rank(roles map[string]RoleSpec, candidates map[string][]string, electorate []string, seed string) (map[string]string, error) {
	start, err := hex.DecodeString(strings.TrimPrefix(seed, "sha256-"))
	if err != nil {
		return nil, notProven("the seed of the election is no hash")
	}
	names := make([]string, 0, len(roles))
	for name := range roles {
		names = append(names, name)
	}
	sort.Strings(names)
	members := map[string]string{}
	for _, name := range names {
		var free []ranked
		for _, key := range electorate {
			can, isCandidate := candidates[key]
			if _, isMember := members[key]; !isCandidate || isMember {
				continue
			}
			public, err := DecodePublic(key)
			if err != nil {
				return nil, err
			}
			free = append(free, ranked{key, lacks(roles[name].Capabilities, can), hashOf(start, public), public})
		}
		sort.Slice(free, func(left, right int) bool { return free[left].isBefore(free[right]) })
		for at := 0; at < len(free) && int64(at) < roles[name].Seats; at++ {
			members[free[at].key] = name
		}
	}
	return members, nil
}

func (r ranked) isBefore(other ranked) bool {
	if r.lacks != other.lacks {
		return r.lacks < other.lacks
	}
	if order := bytes.Compare(r.hash, other.hash); order != 0 {
		return order < 0
	}
	return bytes.Compare(r.bytes, other.bytes) < 0
}

func lacks(wanted, can []string) int {
	missing := 0
	for _, capability := range wanted {
		found := false
		for _, known := range can {
			found = found || known == capability
		}
		if !found {
			missing++
		}
	}
	return missing
}

// MemberSetHash is the hash that a vote names.
func (e *Election) MemberSetHash() (string, error) {
	members, err := Canonical(e.Members)
	return Digest(members), err
}

// Ballot is the document that a vote signs.
func (e *Election) Ballot() (map[string]any, error) {
	hash, err := e.MemberSetHash()
	return map[string]any{"project": e.Project, "council_epoch": e.CouncilEpoch, "member_set_hash": hash}, err
}

// Vote votes for this member set, as Council_QuorumCert carries it.
func (e *Election) Vote(identity *Identity) (Vote, error) {
	ballot, err := e.Ballot()
	if err != nil {
		return Vote{}, err
	}
	signature, err := identity.SignDocument(DomainVote, e.Cluster, ballot)
	return Vote{Voter: identity.Public, Signature: signature}, err
}

// Election computes the election that follows from the proven state.
func (c *Client) Election(ctx context.Context, project string) (*Election, error) {
	cluster, err := c.Cluster(ctx)
	if err != nil {
		return nil, err
	}
	view, err := c.Transitions(ctx, project)
	if err != nil {
		return nil, err
	}
	state, err := c.State(ctx, project, Sections("council", "epoch"), Proven())
	if err != nil {
		return nil, err
	}
	var council struct {
		Roles      map[string]RoleSpec `json:"roles"`
		Candidates map[string][]string `json:"candidates"`
		Seed       string              `json:"election_seed"`
	}
	var epoch map[string]int64
	if err := section(state, "council", &council); err != nil {
		return nil, err
	}
	if err := section(state, "epoch", &epoch); err != nil {
		return nil, err
	}
	if council.Seed == "" {
		council.Seed = state.Sections["council"]
	}
	members, err := Rank(council.Roles, council.Candidates, view.Electorate, council.Seed)
	return &Election{cluster, project, state.Hash, epoch["council"], members}, err
}

// section reads one section of a state.
func section(state *StateAnswer, name string, into any) error {
	for shown, found := range state.Projection {
		if strings.EqualFold(shown, name) {
			text, err := json.Marshal(found)
			if err != nil {
				return err
			}
			return json.Unmarshal(text, into)
		}
	}
	return notProven("the state has no section %s", name)
}
