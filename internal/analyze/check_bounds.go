package analyze

import (
	"fmt"

	"github.com/goccy/go-yaml/token"
)

// Bounds of a file of tests. The library makes a path as long as the depth for
// each value, a call within a call for each key of a mapping, and moves all that
// follows for each empty value, so that it took minutes for odd files.
const (
	maxYAMLSize   = 4 << 20 // bytes
	maxYAMLDepth  = 50
	maxYAMLKeys   = 1000    // of one mapping
	maxYAMLEmpty  = 100     // values that are not there
	maxYAMLValues = 1 << 20 // with all that aliases repeat
)

// yamlLevel is a mapping or a list in block style.
type yamlLevel struct{ column, keys int }

// yamlBounds counts what costs the library more than its length.
type yamlBounds struct {
	levels   []yamlLevel  // of block style
	brackets []token.Type // open ones
	empty    int
}

// bounded reports whether no mapping has too many keys, too little is empty, and
// nothing is nested too deep, for the library's time and memory.
func (r *suiteReader) bounded(tokens token.Tokens) bool {
	var b yamlBounds
	for i, t := range tokens {
		switch nesting(t) {
		case 1:
			b.brackets = append(b.brackets, t.Type)
		case 0:
			if len(b.brackets) == 0 {
				b.block(tokens, i)
			}
		}
		if n := len(b.brackets); n > 0 {
			b.flow(tokens, i)
			if nesting(t) < 0 {
				b.brackets = b.brackets[:n-1]
			}
		}
		if what := b.exceeded(); what != "" {
			r.failAt(t.Position.Line, t.Position.Column, "%s", what)
			return false
		}
	}
	return true
}

func (b *yamlBounds) exceeded() string {
	n := len(b.levels)
	switch {
	case n+len(b.brackets) > maxYAMLDepth:
		return fmt.Sprintf("nested more than %d deep, which no tests are", maxYAMLDepth)
	case n > 0 && b.levels[n-1].keys > maxYAMLKeys:
		return fmt.Sprintf("more than %d keys in one mapping, which no test has", maxYAMLKeys)
	case b.empty > maxYAMLEmpty:
		return fmt.Sprintf("more than %d values are empty", maxYAMLEmpty)
	}
	return ""
}

// block counts a token outside of brackets.
func (b *yamlBounds) block(tokens token.Tokens, i int) {
	t := tokens[i]
	column, keys := t.Position.Column, 0
	switch {
	case t.Type == token.MappingValueType && i > 0:
		column, keys = tokens[i-1].Position.Column, 1
	case t.Type != token.SequenceEntryType:
		return
	}
	for len(b.levels) > 0 && b.levels[len(b.levels)-1].column > column {
		b.levels = b.levels[:len(b.levels)-1]
	}
	if len(b.levels) == 0 || b.levels[len(b.levels)-1].column < column {
		b.levels = append(b.levels, yamlLevel{column: column})
	}
	b.levels[len(b.levels)-1].keys += keys
	if i+1 < len(tokens) {
		next := tokens[i+1]
		list := keys == 1 && next.Type == token.SequenceEntryType // may stand below its key
		if p := next.Position; p.Line > t.Position.Line && p.Column <= column && !list {
			b.empty++
		}
	}
}

// flow counts a token within brackets: what ends a key without a value.
func (b *yamlBounds) flow(tokens token.Tokens, i int) {
	if t := tokens[i].Type; i < 2 || b.brackets[len(b.brackets)-1] != token.MappingStartType || t != token.CollectEntryType && t != token.MappingEndType {
		return
	}
	before := tokens[i-2].Type
	if tokens[i-1].Type == token.MappingValueType || before == token.CollectEntryType || before == token.MappingStartType {
		b.empty++
	}
}
