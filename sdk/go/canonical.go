package swoosh

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

const (
	maxInteger = 1<<53 - 1
	maxDepth   = 32
)

// A DocumentError says why something is no strict JSON. Reason is its class in tests/vectors/canonical.json.
type DocumentError struct {
	Reason string
	Detail string
}

func (e *DocumentError) Error() string { return e.Detail }

func refuse(reason, format string, values ...any) error {
	return &DocumentError{Reason: reason, Detail: fmt.Sprintf(format, values...)}
}

// Canonical returns the RFC 8785 bytes of strict JSON: bool, int64, string, []any and map[string]any, as Parse gives it,
// or anything that encoding/json writes as such.
func Canonical(value any) ([]byte, error) {
	strict, err := strictOf(value)
	if err != nil {
		return nil, err
	}
	return write(nil, strict), nil
}

// strictOf reads a value by the way of its JSON. Texts that are no UTF-8 are refused before, because encoding/json replaces
// them without a word.
func strictOf(value any) (any, error) {
	if err := checkUTF8(reflect.ValueOf(value), 0); err != nil {
		return nil, err
	}
	text, err := json.Marshal(value)
	if err != nil {
		return nil, refuse("syntax", "it cannot be written as JSON: %v", err)
	}
	return Parse(text)
}

func checkUTF8(value reflect.Value, depth int) error {
	if depth > 4*maxDepth {
		return refuse("too_deep", "the document is nested deeper than %d", maxDepth)
	}
	var inner []reflect.Value
	switch value.Kind() {
	case reflect.String:
		if !utf8.ValidString(value.String()) {
			return refuse("not_utf8", "a text is not UTF-8")
		}
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			inner = append(inner, value.Elem())
		}
	case reflect.Slice, reflect.Array:
		for at := 0; at < value.Len(); at++ {
			inner = append(inner, value.Index(at))
		}
	case reflect.Map:
		for _, key := range value.MapKeys() {
			inner = append(inner, key, value.MapIndex(key))
		}
	case reflect.Struct:
		for at := 0; at < value.NumField(); at++ {
			inner = append(inner, value.Field(at))
		}
	}
	for _, found := range inner {
		if err := checkUTF8(found, depth+1); err != nil {
			return err
		}
	}
	return nil
}

// write appends the canonical form. Null occurs in sections of a state alone.
func write(out []byte, value any) []byte {
	switch found := value.(type) {
	case nil:
		return append(out, "null"...)
	case bool:
		return strconv.AppendBool(out, found)
	case int64:
		return strconv.AppendInt(out, found, 10)
	case string:
		return writeText(out, found)
	case []any:
		out = append(out, '[')
		for at, item := range found {
			if at > 0 {
				out = append(out, ',')
			}
			out = write(out, item)
		}
		return append(out, ']')
	case map[string]any:
		out = append(out, '{')
		for at, key := range sortedKeys(found) {
			if at > 0 {
				out = append(out, ',')
			}
			out = append(writeText(out, key), ':')
			out = write(out, found[key])
		}
		return append(out, '}')
	}
	panic(fmt.Sprintf("swoosh: %T is no strict JSON", value)) // Parse gives no other types.
}

// sortedKeys sorts by UTF-16 units (RFC 8785, section 3.2.3).
func sortedKeys(members map[string]any) []string {
	keys := make([]string, 0, len(members))
	for key := range members {
		keys = append(keys, key)
	}
	sort.Slice(keys, func(left, right int) bool { return lessUTF16(keys[left], keys[right]) })
	return keys
}

func lessUTF16(left, right string) bool {
	a, b := utf16.Encode([]rune(left)), utf16.Encode([]rune(right))
	for at := 0; at < len(a) && at < len(b); at++ {
		if a[at] != b[at] {
			return a[at] < b[at]
		}
	}
	return len(a) < len(b)
}

var escapes = strings.NewReplacer(escapePairs()...)

func escapePairs() []string {
	pairs := []string{`"`, `\"`, `\`, `\\`, "\b", `\b`, "\t", `\t`, "\n", `\n`, "\f", `\f`, "\r", `\r`}
	for sign := 0; sign < 0x20; sign++ {
		if !strings.ContainsRune("\b\t\n\f\r", rune(sign)) {
			pairs = append(pairs, string(rune(sign)), fmt.Sprintf(`\u%04x`, sign))
		}
	}
	return pairs
}

func writeText(out []byte, text string) []byte {
	return append(append(append(out, '"'), escapes.Replace(text)...), '"')
}

// Digest is the hash of some bytes as SWOOSH writes it.
func Digest(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256-" + hex.EncodeToString(sum[:])
}

// Parse reads strict JSON: no null, no float, no duplicate key, texts in normalisation form C, at most 32 levels.
func Parse(document []byte) (any, error) {
	return parse(document, false)
}

func parse(document []byte, hasNulls bool) (any, error) {
	switch {
	case bytes.HasPrefix(document, []byte("\xef\xbb\xbf")):
		return nil, refuse("byte_order_mark", "the document begins with a byte-order mark")
	case !utf8.Valid(document):
		return nil, refuse("not_utf8", "the document is not UTF-8")
	case len(bytes.Trim(document, " \t\r\n")) == 0:
		return nil, refuse("empty", "the document is empty")
	}
	reader := &reader{text: string(document), hasNulls: hasNulls}
	value, err := reader.value(0)
	if err != nil {
		return nil, err
	}
	reader.blank()
	if reader.at != len(reader.text) {
		return nil, reader.syntax("data after the document")
	}
	return value, nil
}
