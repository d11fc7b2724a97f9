package analyze

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// SuiteError is one thing that is wrong in a file of tests.
type SuiteError struct {
	Source       string
	Line, Column int // from 1; Column in characters
	Msg          string
}

// Error is one line: "tests.yaml:7:5: what is wrong and what would be right".
func (e *SuiteError) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", e.Source, e.Line, e.Column, e.Msg)
}

// SuiteErrors are all things that are wrong in a file, in its order.
type SuiteErrors []*SuiteError

// Error is a line for each.
func (l SuiteErrors) Error() string {
	lines := make([]string, len(l))
	for i, e := range l {
		lines[i] = e.Error()
	}
	return strings.Join(lines, "\n")
}

// maxSuiteErrors is as many as anybody reads.
const maxSuiteErrors = 20

// suiteReader reads a file of tests and gathers what is wrong in it.
type suiteReader struct {
	source string
	lines  []string // of the file, without their ends
	errs   SuiteErrors
}

// yamlLines splits a file at all that YAML 1.2 takes for the end of a line. A
// byte order mark is no part of the first.
func yamlLines(data []byte) []string {
	ends := strings.NewReplacer("\r\n", "\n", "\r", "\n")
	return strings.Split(ends.Replace(strings.TrimPrefix(string(data), "\ufeff")), "\n")
}

// fail notes what is wrong at a node.
func (r *suiteReader) fail(n *yamlNode, format string, args ...any) {
	r.failAt(n.line, n.column, format, args...)
}

// failAt notes what is wrong at a place. The library's idea of where a line or
// the file ends may lie behind its end.
func (r *suiteReader) failAt(line, column int, format string, args ...any) {
	if n := len(r.lines); n > 0 {
		line = max(min(line, n), 1)
		column = min(column, utf8.RuneCountInString(r.lines[line-1])+1)
	}
	if len(r.errs) < maxSuiteErrors {
		r.errs = append(r.errs, &SuiteError{r.source, max(line, 1), max(column, 1), fmt.Sprintf(format, args...)})
	}
}

// result is the errors as one, sorted; nil if there are none.
func (r *suiteReader) result() error {
	if len(r.errs) == 0 {
		return nil
	}
	slices.SortStableFunc(r.errs, func(a, b *SuiteError) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
	})
	return r.errs
}

// yamlKind is what a node is.
type yamlKind int

const (
	yamlText yamlKind = iota
	yamlList
	yamlMapping
)

// yamlNode is a value of a file, whichever library parsed it. Aliases are
// resolved: they are the very node that the anchor names, with its place.
type yamlNode struct {
	kind         yamlKind
	value        string // of a text: as it stands, but for quotes and folded lines
	null         bool   // a text that is not there, ~ or null
	quoted       bool   // in single or double quotes
	line, column int    // from 1; column in characters
	items        []*yamlNode
	pairs        []yamlPair
	size         int // values in it, itself too
}

// yamlPair is a key of a mapping with its value.
type yamlPair struct{ key, value *yamlNode }

// String says what a node is, for people.
func (n *yamlNode) String() string {
	switch {
	case n.kind == yamlMapping:
		return "a mapping"
	case n.kind == yamlList:
		return "a list"
	case n.null:
		return "nothing"
	}
	return strconv.Quote(n.value)
}

// pairs gives a mapping's pairs; a key that stands twice is noted and left out.
func (r *suiteReader) pairs(n *yamlNode) (list []yamlPair) {
	first := map[string]int{}
	for _, p := range n.pairs {
		if line, twice := first[p.key.value]; twice {
			r.fail(p.key, "%q stands here twice, first in line %d", p.key.value, line)
			continue
		}
		first[p.key.value] = p.key.line
		list = append(list, p)
	}
	return list
}

// text takes a word or a line of text; what says what is wanted.
func (r *suiteReader) text(n *yamlNode, what string) (string, bool) {
	if n.kind != yamlText || n.null || strings.TrimSpace(n.value) == "" {
		found := n.String()
		if n.kind == yamlText {
			found = "nothing"
		}
		r.fail(n, "%s is wanted here, not %s", what, found)
		return "", false
	}
	return n.value, true
}

// list takes a list, or one value in its place.
func (r *suiteReader) list(n *yamlNode, what string) []*yamlNode {
	if n.kind != yamlList {
		return []*yamlNode{n}
	}
	if len(n.items) == 0 {
		r.fail(n, "the list is empty; %s is wanted in it", what)
	}
	return n.items
}

// columnIn is the column of the file at which character number at (from 1) of
// a scalar stands; false if the file writes it otherwise than it reads: with
// escapes or over several lines.
func (r *suiteReader) columnIn(n *yamlNode, at int) (int, bool) {
	if n.line < 1 || n.line > len(r.lines) {
		return 0, false
	}
	line, column := []rune(r.lines[n.line-1]), n.column
	if n.quoted {
		column++
	}
	if column < 1 || column > len(line) || !strings.HasPrefix(string(line[column-1:]), n.value) {
		return 0, false
	}
	return column + at - 1, true
}
