package swoosh

import (
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// Hangul syllables are composed by arithmetic (Unicode, section 3.12).
const (
	hangulBase, leadBase, vowelBase, tailBase = 0xac00, 0x1100, 0x1161, 0x11a7
	leads, vowels, tails                      = 19, 21, 28
)

type nfcTables struct {
	decomposed map[rune][]rune
	composed   map[[2]rune]rune
	classes    map[rune]uint8
}

var (
	nfcOnce sync.Once
	nfcData nfcTables
)

func codes(text string) []rune {
	var found []rune
	for _, word := range strings.Fields(text) {
		code, err := strconv.ParseInt(word, 16, 32)
		if err != nil {
			panic("swoosh: a generated table is damaged: " + word)
		}
		found = append(found, rune(code))
	}
	return found
}

func eachPair(data string, take func(left, right []rune)) {
	for _, pair := range strings.Split(strings.TrimSuffix(data, ";"), ";") {
		left, right, _ := strings.Cut(pair, "=")
		take(codes(left), codes(right))
	}
}

func tables() *nfcTables {
	nfcOnce.Do(func() {
		nfcData = nfcTables{map[rune][]rune{}, map[[2]rune]rune{}, map[rune]uint8{}}
		eachPair(nfcDecomposed, func(left, right []rune) { nfcData.decomposed[left[0]] = right })
		eachPair(nfcComposed, func(left, right []rune) { nfcData.composed[[2]rune{left[0], left[1]}] = right[0] })
		eachPair(nfcClasses, func(left, right []rune) {
			for found := left[0]; found <= left[1]; found++ {
				nfcData.classes[found] = uint8(right[0])
			}
		})
	})
	return &nfcData
}

// isNFC reports whether a text is in Unicode normalisation form C.
func isNFC(text string) bool {
	for at := 0; at < len(text); at++ {
		// Below U+0300 nothing is changed by the form.
		if text[at] >= 0xcc {
			return normal(text) == text
		}
	}
	return utf8.ValidString(text)
}

func normal(text string) string {
	data := tables()
	var parts []rune
	for _, found := range text {
		parts = append(parts, data.decompose(found)...)
	}
	data.order(parts)
	return string(data.compose(parts))
}

func (data *nfcTables) decompose(found rune) []rune {
	if syllable := found - hangulBase; syllable >= 0 && syllable < leads*vowels*tails {
		parts := []rune{leadBase + syllable/(vowels*tails), vowelBase + syllable%(vowels*tails)/tails}
		if tail := syllable % tails; tail > 0 {
			parts = append(parts, tailBase+tail)
		}
		return parts
	}
	if parts, ok := data.decomposed[found]; ok {
		return parts
	}
	return []rune{found}
}

// order sorts each run of marks by their classes, keeping the order of equal ones.
func (data *nfcTables) order(parts []rune) {
	for at := 1; at < len(parts); at++ {
		class := data.classes[parts[at]]
		for to := at; class > 0 && to > 0 && data.classes[parts[to-1]] > class; to-- {
			parts[to-1], parts[to] = parts[to], parts[to-1]
		}
	}
}

func (data *nfcTables) compose(parts []rune) []rune {
	var made []rune
	starter, last := -1, uint8(0)
	for _, found := range parts {
		class := data.classes[found]
		if starter >= 0 && (starter == len(made)-1 || last < class) {
			if composed, ok := data.pair(made[starter], found); ok {
				made[starter] = composed
				continue
			}
		}
		made = append(made, found)
		last = class
		if class == 0 {
			starter = len(made) - 1
		}
	}
	return made
}

func (data *nfcTables) pair(left, right rune) (rune, bool) {
	lead, vowel, tail := left-leadBase, right-vowelBase, right-tailBase
	if lead >= 0 && lead < leads && vowel >= 0 && vowel < vowels {
		return hangulBase + (lead*vowels+vowel)*tails, true
	}
	if syllable := left - hangulBase; syllable >= 0 && syllable < leads*vowels*tails && syllable%tails == 0 && tail > 0 && tail < tails {
		return left + tail, true
	}
	composed, ok := data.composed[[2]rune{left, right}]
	return composed, ok
}
