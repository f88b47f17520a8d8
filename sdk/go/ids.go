package swoosh

import (
	"crypto/rand"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ErrForm is wrapped by errors of texts that do not have the form of their kind.
var ErrForm = errors.New("wrong form")

const (
	numberForm  = `0|[1-9][0-9]{0,15}`
	goalForm    = `[A-Za-z0-9._-]{1,100}`
	uuidForm    = `[A-Za-z0-9_-]{8,64}`
	projectForm = `[a-z0-9][a-z0-9._-]{0,62}`
	classForm   = `boot|ingestion|council|environment|execution|control|policy`
)

var forms = map[string]*regexp.Regexp{
	"goal":        regexp.MustCompile(`^` + goalForm + `$`),
	"uuid":        regexp.MustCompile(`^` + uuidForm + `$`),
	"project":     regexp.MustCompile(`^` + projectForm + `$`),
	"hash":        regexp.MustCompile(`^sha256-[0-9a-f]{64}$`),
	"idem_key":    regexp.MustCompile(`^(` + goalForm + `):(` + numberForm + `):(` + classForm + `):(` + uuidForm + `)$`),
	"effect_id":   regexp.MustCompile(`^(` + projectForm + `)/(` + numberForm + `)(-[0-9a-f]{16})?/([a-z_]+)$`),
	"decision_id": regexp.MustCompile(`^bubble://dr/(` + projectForm + `)/(` + numberForm + `)-([0-9a-f]{16})$`),
}

func checkForm(kind, text string) ([]string, error) {
	found := forms[kind].FindStringSubmatch(text)
	if found == nil || strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("%w: %.120q is no %s", ErrForm, text, strings.ReplaceAll(kind, "_", " "))
	}
	return found, nil
}

func parseNumber(text string) (int64, error) {
	number, err := strconv.ParseInt(text, 10, 64)
	if err != nil || number > maxInteger {
		return 0, fmt.Errorf("%w: %s is over %d", ErrForm, text, int64(maxInteger))
	}
	return number, nil
}

// IdemKey is goal:beat:opClass:uuid, made once for a proposal and kept through all its attempts.
type IdemKey struct {
	Goal    string
	Beat    int64
	OpClass string
	UUID    string
}

func (k IdemKey) String() string {
	return fmt.Sprintf("%s:%d:%s:%s", k.Goal, k.Beat, k.OpClass, k.UUID)
}

// ParseIdemKey takes a key apart.
func ParseIdemKey(text string) (IdemKey, error) {
	found, err := checkForm("idem_key", text)
	if err != nil {
		return IdemKey{}, err
	}
	beat, err := parseNumber(found[2])
	return IdemKey{found[1], beat, found[3], found[4]}, err
}

// ParseEffectID takes the id of an effect apart: its project, the record that opened it, and which effect it is.
func ParseEffectID(text string) (project string, index int64, effect EffectName, err error) {
	found, err := checkForm("effect_id", text)
	if err != nil {
		return "", 0, "", err
	}
	effect = EffectName(found[4])
	if effect.Successes() == nil {
		return "", 0, "", fmt.Errorf("%w: there is no effect %q", ErrForm, found[4])
	}
	index, err = parseNumber(found[2])
	return found[1], index, effect, err
}

// eventID is incarnation-index of the record of a transition.
type eventID struct{ incarnation, index int64 }

var eventForm = regexp.MustCompile(`^([0-9]{1,16})-([0-9]{1,16})$`)

func parseEventID(text string) (eventID, bool) {
	found := eventForm.FindStringSubmatch(text)
	if found == nil {
		return eventID{}, false
	}
	incarnation, first := strconv.ParseInt(found[1], 10, 64)
	index, second := strconv.ParseInt(found[2], 10, 64)
	return eventID{incarnation, index}, first == nil && second == nil
}

func (e eventID) String() string { return fmt.Sprintf("%d-%d", e.incarnation, e.index) }

// isAfter reports whether a record is later. A restored log gives indexes again, in a later incarnation.
func (e eventID) isAfter(other eventID) bool {
	return e.incarnation > other.incarnation || e.incarnation == other.incarnation && e.index > other.index
}

func newUUID() (string, error) {
	var bytes [16]byte
	if _, err := rand.Read(bytes[:]); err != nil {
		return "", err
	}
	bytes[6], bytes[8] = bytes[6]&0x0f|0x40, bytes[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", bytes[:4], bytes[4:6], bytes[6:8], bytes[8:10], bytes[10:]), nil
}
