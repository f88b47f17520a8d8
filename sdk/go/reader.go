package swoosh

import (
	"encoding/json"
	"regexp"
	"strconv"
	"strings"
)

// reader reads strict JSON, one value after the other. With hasNulls, it reads sections of a state.
type reader struct {
	text     string
	at       int
	hasNulls bool
}

var (
	aNumber = regexp.MustCompile(`^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?`)
	aText   = regexp.MustCompile(`^"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"`)
	whole   = regexp.MustCompile(`^(?:0|[1-9][0-9]{0,15})$`)
)

func (r *reader) syntax(detail string) error {
	return refuse("syntax", "%s at byte %d", detail, r.at)
}

func (r *reader) blank() {
	for r.at < len(r.text) && strings.IndexByte(" \t\r\n", r.text[r.at]) >= 0 {
		r.at++
	}
}

func (r *reader) takes(sign byte) bool {
	r.blank()
	if r.at == len(r.text) || r.text[r.at] != sign {
		return false
	}
	r.at++
	return true
}

func (r *reader) value(depth int) (any, error) {
	r.blank()
	rest := r.text[r.at:]
	switch {
	case strings.HasPrefix(rest, "{"), strings.HasPrefix(rest, "["):
		if depth == maxDepth {
			return nil, refuse("too_deep", "the document is nested deeper than %d", maxDepth)
		}
		if rest[0] == '[' {
			return r.list(depth)
		}
		return r.object(depth)
	case strings.HasPrefix(rest, `"`):
		return r.string()
	case strings.HasPrefix(rest, "true"):
		r.at += len("true")
		return true, nil
	case strings.HasPrefix(rest, "false"):
		r.at += len("false")
		return false, nil
	case strings.HasPrefix(rest, "null"):
		r.at += len("null")
		if r.hasNulls {
			return nil, nil
		}
		return nil, refuse("null", "a member is null; leave it out, or give an empty list")
	}
	return r.number()
}

func (r *reader) number() (any, error) {
	text := aNumber.FindString(r.text[r.at:])
	if text == "" {
		return nil, r.syntax("no value")
	}
	r.at += len(text)
	if number, err := strconv.ParseInt(text, 10, 64); err == nil && whole.MatchString(text) && number <= maxInteger {
		return number, nil
	}
	if len(text) > 40 {
		text = text[:40]
	}
	return nil, refuse("number", "%s is not a whole number from 0 to %d", text, int64(maxInteger))
}

func (r *reader) string() (string, error) {
	raw := aText.FindString(r.text[r.at:])
	if raw == "" {
		return "", r.syntax("no text")
	}
	if hasLoneSurrogate(raw) {
		return "", r.syntax("half of a surrogate pair")
	}
	r.at += len(raw)
	var text string
	if err := json.Unmarshal([]byte(raw), &text); err != nil {
		return "", r.syntax("no text")
	}
	if !isNFC(text) {
		return "", refuse("not_normalized", "a text is not in Unicode normalisation form C")
	}
	return text, nil
}

var surrogate = regexp.MustCompile(`\\(?:["\\/bfnrt]|u(?:[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|([dD][89a-fA-F][0-9a-fA-F]{2})|[0-9a-fA-F]{4}))`)

// hasLoneSurrogate reports whether an escape is half of a pair, which encoding/json would replace.
func hasLoneSurrogate(raw string) bool {
	for _, found := range surrogate.FindAllStringSubmatch(raw, -1) {
		if found[1] != "" {
			return true
		}
	}
	return false
}

func (r *reader) list(depth int) (any, error) {
	r.takes('[')
	list := []any{}
	if r.takes(']') {
		return list, nil
	}
	for {
		item, err := r.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, item)
		if !r.takes(',') {
			break
		}
	}
	if !r.takes(']') {
		return nil, r.syntax("no end of the list")
	}
	return list, nil
}

func (r *reader) object(depth int) (any, error) {
	r.takes('{')
	members := map[string]any{}
	if r.takes('}') {
		return members, nil
	}
	for {
		if err := r.member(members, depth); err != nil {
			return nil, err
		}
		if !r.takes(',') {
			break
		}
	}
	if !r.takes('}') {
		return nil, r.syntax("no end of the object")
	}
	return members, nil
}

func (r *reader) member(members map[string]any, depth int) error {
	r.blank()
	key, err := r.string()
	if err != nil {
		return err
	}
	if _, isTwice := members[key]; isTwice {
		return refuse("duplicate_key", "the key %.80q occurs twice in one object", key)
	}
	if !r.takes(':') {
		return r.syntax("no value of a member")
	}
	value, err := r.value(depth + 1)
	members[key] = value
	return err
}
