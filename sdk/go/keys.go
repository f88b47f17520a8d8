package swoosh

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"syscall"
)

// Domains of signed messages.
const (
	DomainTransition = "swoosh/transition/v1\n"
	DomainVote       = "swoosh/vote/v1\n"
	DomainRotation   = "swoosh/rotation/v1\n"
	DomainFact       = "swoosh/fact/v1\n"
	DomainBatch      = "swoosh/batch/v1\n"
	DomainRead       = "swoosh/read/v1\n"
)

const (
	publicPrefix    = "hmmm:pubkey:"
	signaturePrefix = "ed25519:"
	secretPrefix    = "hmmm:secret:"
	mostKeyBytes    = 4096
)

// smallOrder has the encodings of points of small order without their sign bit, canonical or not. crypto/ed25519 accepts them.
var smallOrder = map[string]bool{
	"0000000000000000000000000000000000000000000000000000000000000000": true,
	"0100000000000000000000000000000000000000000000000000000000000000": true,
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05": true,
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a": true,
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": true,
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": true,
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f": true,
}

// ErrKeyForm is wrapped by errors of texts that are no key, no signature or no secret. They never quote a secret.
var ErrKeyForm = errors.New("not of the form of a key")

var base64url = base64.RawURLEncoding.Strict()

func decodeKey(text, prefix string, length int, kind string) ([]byte, error) {
	refused := fmt.Errorf("%w: it is no %s; write %q and %d characters of unpadded base64url", ErrKeyForm, kind, prefix, base64url.EncodedLen(length))
	encoded := strings.TrimPrefix(text, prefix)
	// The decoder skips line breaks.
	if !strings.HasPrefix(text, prefix) || strings.ContainsAny(encoded, "\r\n") {
		return nil, refused
	}
	data, err := base64url.DecodeString(encoded)
	if err != nil || len(data) != length {
		return nil, refused
	}
	return data, nil
}

// DecodePublic returns the 32 bytes of hmmm:pubkey:….
func DecodePublic(text string) ([]byte, error) {
	return decodeKey(text, publicPrefix, 32, "public key")
}

// EncodePublic writes hmmm:pubkey:….
func EncodePublic(key []byte) string { return publicPrefix + base64url.EncodeToString(key) }

func decodeSignature(text string) ([]byte, error) {
	return decodeKey(text, signaturePrefix, 64, "signature")
}

// Message is what is signed: domain line, cluster, canonical document.
func Message(domain, cluster string, document []byte) []byte {
	return append([]byte(domain+cluster+"\n"), document...)
}

func isSmall(point []byte) bool {
	bare := append([]byte{}, point...)
	bare[31] &= 0x7f
	return smallOrder[hex.EncodeToString(bare)]
}

// Verify reports whether a signature is the signer's: no point of small order, and S below the order, which crypto/ed25519 checks
// (RFC 8032, strictly).
func Verify(signer string, data []byte, signature string) bool {
	key, err := DecodePublic(signer)
	if err != nil {
		return false
	}
	signed, err := decodeSignature(signature)
	if err != nil || isSmall(key) || isSmall(signed[:32]) {
		return false
	}
	return ed25519.Verify(key, data, signed)
}

// Identity is a key that signs. It is shown by its public half only.
type Identity struct {
	key *ed25519.PrivateKey
	// Public is the name that it signs under.
	Public string
}

// NewIdentity makes a key of a seed of 32 bytes.
func NewIdentity(seed []byte) (*Identity, error) {
	if len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%w: a seed has 32 bytes, this one %d", ErrKeyForm, len(seed))
	}
	key := ed25519.NewKeyFromSeed(seed)
	return &Identity{&key, EncodePublic(key[32:])}, nil
}

// GenerateIdentity makes a key from the operating system's randomness.
func GenerateIdentity() (*Identity, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := rand.Read(seed); err != nil {
		return nil, err
	}
	return NewIdentity(seed)
}

// ParseIdentity reads the content of a key file: hmmm:secret:…, with white space around it.
func ParseIdentity(text string) (*Identity, error) {
	seed, err := decodeKey(strings.Trim(text, " \t\r\n\v\f"), secretPrefix, 32, "secret key")
	if err != nil {
		return nil, err
	}
	return NewIdentity(seed)
}

// LoadIdentity reads a key file. One that others than its owner may read is refused, as is one that is no regular file.
func LoadIdentity(file string) (*Identity, error) {
	// Opening a pipe would wait for its writer.
	opened, err := os.OpenFile(file, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer opened.Close()
	found, err := opened.Stat()
	switch {
	case err != nil:
		return nil, err
	case !found.Mode().IsRegular():
		return nil, fmt.Errorf("%w: %s is no regular file", ErrKeyForm, file)
	case found.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("%w: %s may be read by others (mode %03o); chmod 600 %s", ErrKeyForm, file, found.Mode().Perm(), file)
	}
	text, err := io.ReadAll(io.LimitReader(opened, mostKeyBytes+1))
	if err != nil {
		return nil, err
	}
	identity, err := ParseIdentity(string(text))
	if err != nil || len(text) > mostKeyBytes || bytes.IndexByte(text, 0) >= 0 {
		return nil, fmt.Errorf("%w: %s is no key file; swoosh keygen makes one", ErrKeyForm, file)
	}
	return identity, nil
}

// Expose is the content of a key file. Print it nowhere else.
func (i *Identity) Expose() string {
	return secretPrefix + base64url.EncodeToString(i.key.Seed())
}

// Sign signs some bytes.
func (i *Identity) Sign(data []byte) string {
	return signaturePrefix + base64url.EncodeToString(ed25519.Sign(*i.key, data))
}

// SignDocument signs a document in its canonical form.
func (i *Identity) SignDocument(domain, cluster string, document any) (string, error) {
	data, err := Canonical(document)
	if err != nil {
		return "", err
	}
	return i.Sign(Message(domain, cluster, data)), nil
}

// Format shows the public half for every verb.
func (i *Identity) Format(state fmt.State, _ rune) {
	name := "none"
	if i != nil {
		name = i.Public
	}
	fmt.Fprintf(state, "Identity(%s)", name)
}

// MarshalText shows the public half.
func (i *Identity) MarshalText() ([]byte, error) { return []byte(i.Public), nil }
