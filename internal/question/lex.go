package question

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// token is a word of a question.
type token struct {
	text   string // as written, without quotation marks
	column int    // in characters, from 1
	quoted bool
}

// Arrow is what stands between source and destination.
const Arrow = "->"

// isArrow reports whether the word stands between source and destination.
func (t token) isArrow() bool { return !t.quoted && (t.text == Arrow || t.text == "→") }

// split cuts a question into words: at blanks, and around arrows. A word that
// begins with a quotation mark is a string as in Go, escapes and all.
func split(s string) (words []token, err error) {
	column := 1
	for s != "" {
		r, n := utf8.DecodeRuneInString(s)
		t := token{column: column}
		switch {
		case unicode.IsSpace(r):
			s, column = s[n:], column+1
			continue
		case r == '"':
			quoted, err := strconv.QuotedPrefix(s)
			if err != nil {
				t.text = s
				return nil, t.errorf("the string that begins here has no end or a wrong escape")
			}
			n, t.quoted = len(quoted), true
			t.text, _ = strconv.Unquote(quoted) // QuotedPrefix has checked it
		default:
			n = wordEnd(s)
			t.text = s[:n]
		}
		words = append(words, t)
		column += utf8.RuneCountInString(s[:n])
		s = s[n:]
	}
	return words, nil
}

// wordEnd is the length of the word that s begins with.
func wordEnd(s string) int {
	for i, r := range s {
		isArrow := r == '→' || strings.HasPrefix(s[i:], Arrow)
		switch {
		case isArrow && i == 0:
			return max(len(Arrow), utf8.RuneLen(r))
		case isArrow, unicode.IsSpace(r):
			return i
		}
	}
	return len(s)
}

// Join makes one question of the words of a command line, in which the shell
// has taken quotation marks away: a payload of several words gets them back.
func Join(args []string) string {
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = a
		if i > 0 && args[i-1] == "payload" && (a == "" || strings.ContainsFunc(a, unicode.IsSpace)) && !strings.HasPrefix(a, `"`) {
			words[i] = strconv.Quote(a)
		}
	}
	return strings.Join(words, " ")
}
