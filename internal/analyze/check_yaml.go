package analyze

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
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
	lines  []string // of the file
	errs   SuiteErrors
}

// yamlLines splits a file at all that YAML takes for the end of a line.
func yamlLines(data []byte) []string {
	ends := strings.NewReplacer("\r\n", "\n", "\r", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n")
	return strings.Split(ends.Replace(string(data)), "\n")
}

// fail notes what is wrong at a node.
func (r *suiteReader) fail(n *yaml.Node, format string, args ...any) {
	r.failAt(n.Line, n.Column, format, args...)
}

// failAt notes what is wrong at a place. YAML's own idea of the end may lie
// behind the last line.
func (r *suiteReader) failAt(line, column int, format string, args ...any) {
	if n := len(r.lines); n > 0 {
		line = min(line, n)
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

// document parses the file as YAML; nil if that fails.
func (r *suiteReader) document(data []byte) *yaml.Node {
	var doc, more yaml.Node
	d := yaml.NewDecoder(bytes.NewReader(data))
	switch err := d.Decode(&doc); {
	case errors.Is(err, io.EOF), err == nil && yamlNull(yamlValue(&doc)):
		r.failAt(1, 1, "there is nothing in the file; it needs a list under \"tests:\"")
		return nil
	case err != nil:
		r.syntax(err)
		return nil
	}
	switch err := d.Decode(&more); {
	case errors.Is(err, io.EOF):
	case err != nil:
		r.syntax(err)
		return nil
	default:
		r.fail(yamlValue(&more), "a second document begins here; all tests stand in one, without \"---\" between them")
		return nil
	}
	return yamlValue(&doc)
}

// syntax notes an error of the YAML library. It tells a line at most: the
// column is that of the first character there, or of a tab that indents.
func (r *suiteReader) syntax(err error) {
	msg := strings.TrimPrefix(err.Error(), "yaml: ")
	line := 1
	if rest, ok := strings.CutPrefix(msg, "line "); ok {
		number, what, _ := strings.Cut(rest, ": ")
		if n, err := strconv.Atoi(number); err == nil {
			line, msg = n, what
		}
	}
	line = min(max(line, 1), len(r.lines))
	text := r.lines[line-1]
	indent := len(text) - len(strings.TrimLeft(text, " \t"))
	if tab := strings.IndexByte(text[:indent], '\t'); tab >= 0 {
		r.failAt(line, tab+1, "a tab; YAML is indented with blanks")
		return
	}
	r.failAt(line, indent+1, "no YAML: %s", msg)
}

// yamlValue gives what a document or an alias stands for.
func yamlValue(n *yaml.Node) *yaml.Node {
	for n.Kind == yaml.DocumentNode || n.Kind == yaml.AliasNode {
		switch {
		case n.Kind == yaml.AliasNode:
			n = n.Alias
		case len(n.Content) == 0:
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Line: 1, Column: 1}
		default:
			n = n.Content[0]
		}
	}
	return n
}

func yamlNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// yamlKind says what a node is, for people.
func yamlKind(n *yaml.Node) string {
	switch {
	case n.Kind == yaml.MappingNode:
		return "a mapping"
	case n.Kind == yaml.SequenceNode:
		return "a list"
	case yamlNull(n):
		return "nothing"
	}
	return fmt.Sprintf("%q", n.Value)
}

// yamlPair is a key of a mapping with its value.
type yamlPair struct{ key, value *yaml.Node }

// pairs gives a mapping's pairs; a key that stands twice is noted and left out.
func (r *suiteReader) pairs(n *yaml.Node) (list []yamlPair) {
	first := map[string]int{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := yamlValue(n.Content[i])
		if line, twice := first[key.Value]; twice && key.Kind == yaml.ScalarNode {
			r.fail(n.Content[i], "%q stands here twice, first in line %d", key.Value, line)
			continue
		}
		first[key.Value] = key.Line
		list = append(list, yamlPair{n.Content[i], yamlValue(n.Content[i+1])})
	}
	return list
}

// text takes a word or a line of text; what says what is wanted.
func (r *suiteReader) text(n *yaml.Node, what string) (string, bool) {
	if n.Kind != yaml.ScalarNode || yamlNull(n) || strings.TrimSpace(n.Value) == "" {
		found := yamlKind(n)
		if n.Kind == yaml.ScalarNode {
			found = "nothing"
		}
		r.fail(n, "%s is wanted here, not %s", what, found)
		return "", false
	}
	return n.Value, true
}

// list takes a list, or one value in its place.
func (r *suiteReader) list(n *yaml.Node, what string) []*yaml.Node {
	if n.Kind != yaml.SequenceNode {
		return []*yaml.Node{n}
	}
	if len(n.Content) == 0 {
		r.fail(n, "the list is empty; %s is wanted in it", what)
	}
	list := make([]*yaml.Node, len(n.Content))
	for i := range n.Content {
		list[i] = yamlValue(n.Content[i])
	}
	return list
}

// columnIn is the column of the file at which character number at (from 1) of
// a scalar stands; false if the file writes it otherwise than it reads: with
// escapes or over several lines.
func (r *suiteReader) columnIn(n *yaml.Node, at int) (int, bool) {
	if n.Line < 1 || n.Line > len(r.lines) {
		return 0, false
	}
	line, column := []rune(r.lines[n.Line-1]), n.Column
	if n.Style&(yaml.SingleQuotedStyle|yaml.DoubleQuotedStyle) != 0 {
		column++
	}
	if column < 1 || column > len(line) || !strings.HasPrefix(string(line[column-1:]), n.Value) {
		return 0, false
	}
	return column + at - 1, true
}
