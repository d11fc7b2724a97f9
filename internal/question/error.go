package question

import (
	"fmt"
	"strings"
)

// Error says which word of a question is wrong and what would be right.
type Error struct {
	Column int    // of the word, in characters from 1
	Word   string // as it was written; "" at the end of the question
	Msg    string // what is wrong and what would be right
}

// Error is one line: the column, the word, what is wrong.
func (e *Error) Error() string {
	if e.Word == "" {
		return fmt.Sprintf("column %d, at the end: %s", e.Column, e.Msg)
	}
	return fmt.Sprintf("column %d, %q: %s", e.Column, e.Word, e.Msg)
}

// errorf is an error about a word.
func (t token) errorf(format string, args ...any) error {
	return &Error{Column: t.column, Word: t.text, Msg: fmt.Sprintf(format, args...)}
}

// Nearest gives the candidate that is most likely meant by a mistyped word; ""
// if none is near.
func Nearest(word string, candidates []string) string {
	best, at := "", 3
	for _, c := range candidates {
		if d := distance(strings.ToLower(word), strings.ToLower(c)); d < at && d < len(c) {
			best, at = c, d
		}
	}
	return best
}

// distance is the number of letters to change, add or take away between two words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		left := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := left
			if a[i] != b[j] {
				cost++
			}
			left = row[j+1]
			row[j+1] = min(cost, row[j]+1, left+1)
		}
	}
	return row[len(b)]
}
