package swoosh

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
)

// ErrNotProven is wrapped by errors of receipts and states that do not prove what they say.
var ErrNotProven = errors.New("not proven")

func notProven(format string, values ...any) error {
	return fmt.Errorf("%w: %s", ErrNotProven, fmt.Sprintf(format, values...))
}

func rawHash(text string) ([]byte, error) {
	if _, err := checkForm("hash", text); err != nil {
		return nil, notProven("%v", err)
	}
	return hex.DecodeString(strings.TrimPrefix(text, "sha256-"))
}

func hashOf(parts ...[]byte) []byte {
	hasher := sha256.New()
	for _, part := range parts {
		hasher.Write(part)
	}
	return hasher.Sum(nil)
}

// root is the hash that the path of a receipt leads to (RFC 9162, section 2.1.1).
func (r *Receipt) root() (string, error) {
	chain, err := rawHash(r.Chain)
	if err != nil {
		return "", err
	}
	node, path := hashOf([]byte{0}, chain), r.Path
	position, size := r.Index-r.Seal.Batch.First, r.Seal.Batch.Last-r.Seal.Batch.First+1
	for ; size > 1; position, size = position/2, (size+1)/2 {
		if position == size-1 && position%2 == 0 {
			continue
		}
		if len(path) == 0 {
			return "", notProven("the path is too short")
		}
		sibling, err := rawHash(path[0])
		if err != nil {
			return "", err
		}
		if path = path[1:]; position%2 == 0 {
			node = hashOf([]byte{1}, node, sibling)
		} else {
			node = hashOf([]byte{1}, sibling, node)
		}
	}
	if len(path) > 0 {
		return "", notProven("the path is too long")
	}
	return "sha256-" + hex.EncodeToString(node), nil
}

// Verify checks that a node committed to the record of the receipt; with node, that it is this one.
func (r *Receipt) Verify(cluster, node string) error {
	batch := r.Seal.Batch
	if batch.First < 0 || r.Index < batch.First || r.Index > batch.Last {
		return notProven("the receipt's index lies outside of its batch")
	}
	signed, err := Canonical(batch)
	if err != nil {
		return notProven("%v", err)
	}
	root, err := r.root()
	switch {
	case err != nil:
		return err
	case root != batch.Root:
		return notProven("the path does not lead from the record to the batch's root")
	case !Verify(r.Seal.Node, Message(DomainBatch, cluster, signed), r.Seal.Signature):
		return notProven("the signature over the batch's root is not the node's")
	case node != "" && node != r.Seal.Node:
		return notProven("the receipt is sealed by %s, and receipts of %s alone are taken", r.Seal.Node, node)
	}
	return nil
}

// proven reports whether every section of an answer of GET /state belongs to the head that it names.
func proven(body []byte) bool {
	read, err := parse(body, true)
	if err != nil {
		return false
	}
	answer, _ := read.(map[string]any)
	sections, hasSections := answer["sections"].(map[string]any)
	projection, hasProjection := answer["projection"].(map[string]any)
	if !hasSections || !hasProjection {
		return false
	}
	head := Digest(append([]byte("swoosh/state/v1\n"), write(nil, answer["sections"])...))
	if head != answer["hash"] {
		return false
	}
	for name, section := range projection {
		if sections[strings.ToLower(name)] != Digest(write(nil, section)) {
			return false
		}
	}
	return true
}
