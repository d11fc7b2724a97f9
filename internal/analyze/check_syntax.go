package analyze

import (
	"errors"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
	"github.com/goccy/go-yaml/scanner"
	"github.com/goccy/go-yaml/token"
)

// document parses the file as YAML; nil if that fails.
func (r *suiteReader) document() *yamlNode {
	if !r.characters() {
		return nil
	}
	tokens := joined(r.scan())
	if !r.known(tokens) || !r.texts(tokens) || !r.bounded(tokens) {
		return nil
	}
	file, err := parser.Parse(tokens, 0, parser.AllowDuplicateMapKey())
	if err != nil {
		r.syntax(err)
		return nil
	}
	if len(file.Docs) > 1 {
		r.secondDocument(file.Docs[1])
		return nil
	}
	var top *yamlNode
	if len(file.Docs) == 1 && file.Docs[0].Body != nil {
		tree := yamlTree{r, map[string]*yamlNode{}}
		top = tree.node(file.Docs[0].Body)
	}
	switch {
	case len(r.errs) > 0:
		return nil
	case top == nil || top.null:
		r.failAt(1, 1, "there is nothing in the file; it needs a list under \"tests:\"")
		return nil
	}
	return top
}

func (r *suiteReader) secondDocument(doc *ast.DocumentNode) {
	line, column := len(r.lines), 1
	switch {
	case doc.Body != nil:
		line, column = start(doc.Body)
	case doc.Start != nil:
		line, column = doc.Start.Position.Line, doc.Start.Position.Column
	}
	r.failAt(line, column, "a second document begins here; all tests stand in one, without \"---\" between them")
}

// characters looks for what no YAML has in it. In r.lines, a tab elsewhere than
// in front of a line becomes a blank, as which it counts anywhere in a file of
// tests, and blanks at the end of lines are cut off: the library leaves tabs
// out of texts, and counts columns wrong for both.
func (r *suiteReader) characters() bool {
	size := 0
	for i, line := range r.lines {
		if size += len(line) + 1; size > maxYAMLSize {
			r.failAt(i+1, 1, "more than %d MiB of tests; part them over several files", maxYAMLSize>>20)
			return false
		}
		column := 0
		for at, c := range line {
			column++
			switch _, width := utf8.DecodeRuneInString(line[at:]); {
			case c == utf8.RuneError && width == 1:
				r.failAt(i+1, column, "no UTF-8: the byte 0x%02x", line[at])
				return false
			case c < ' ' && c != '\t', c >= 0x7f && c < 0xa0 && c != 0x85, c >= 0xfffe && c <= 0xffff:
				r.failAt(i+1, column, "the control character U+%04X; in quotes it may be written \"\\x..\"", c)
				return false
			}
		}
		text := strings.TrimLeft(line, " \t")
		if tab := strings.IndexByte(line[:len(line)-len(text)], '\t'); tab >= 0 && text != "" && text[0] != '#' {
			r.failAt(i+1, tab+1, "a tab; YAML is indented with blanks")
			return false
		}
		r.lines[i] = strings.TrimRight(strings.ReplaceAll(line, "\t", " "), " ")
	}
	return true
}

// scan gives the tokens of the file without comments, up to the first that is
// wrong.
func (r *suiteReader) scan() token.Tokens {
	var s scanner.Scanner
	s.Init(strings.Join(r.lines, "\n"))
	var tokens token.Tokens
	for {
		more, err := s.Scan()
		if errors.Is(err, io.EOF) {
			return tokens
		}
		for _, t := range more {
			if t.Type != token.CommentType {
				tokens.Add(t)
			}
		}
		if err != nil {
			return tokens
		}
	}
}

// known reports whether tokens have nothing of YAML that no file of tests
// needs; what is wrong in itself is the parser's.
func (r *suiteReader) known(tokens token.Tokens) bool {
	for _, t := range tokens {
		what := ""
		switch t.Type {
		case token.TagType:
			what = "a tag; text is read as it stands, without one. In front of it, \"!\" is written in quotes"
		case token.DirectiveType:
			what = "a line that begins with %; directives are not needed here"
		case token.MappingKeyType:
			what = "\"? \" in front of a key; write the key alone"
		}
		if what != "" {
			r.failAt(t.Position.Line, t.Position.Column, "%s", what)
			return false
		}
	}
	return true
}

// texts reports whether no text without quotes has what YAML 1.2.2 section
// 7.3.3 wants quotes for. The scanner takes such texts, among them what a wrong
// indent joined to the text above.
func (r *suiteReader) texts(tokens token.Tokens) bool {
	flow := 0
	for i, t := range tokens {
		flow += nesting(t)
		if t.Type != token.StringType || i > 0 && (tokens[i-1].Type == token.LiteralType || tokens[i-1].Type == token.FoldedType) {
			continue
		}
		what := needsQuotes(t.Value, flow > 0)
		if _, more, ok := strings.Cut(strings.TrimSpace(t.Origin), "\n"); ok && strings.HasPrefix(strings.TrimLeft(more, " \n"), "- ") {
			what = "that goes on in a line that begins with \"- \""
		}
		if what != "" {
			r.failAt(t.Position.Line, t.Position.Column, "text %s has to stand in quotes, or is indented wrong", what)
			return false
		}
	}
	return true
}

// needsQuotes says why a text cannot stand without quotes; empty if it can.
func needsQuotes(text string, flow bool) string {
	switch {
	case text != "" && strings.Contains("[]{},&*!|>'\"%@`#", text[:1]):
		return "that begins with " + text[:1]
	case strings.HasPrefix(text, "? "), strings.HasPrefix(text, "- "):
		return "that begins with \"" + text[:2] + "\""
	case strings.Contains(text, ": "), strings.Contains(text, ":\n"), strings.HasSuffix(text, ":"):
		return "with a colon before a blank or the end"
	case strings.Contains(text, " #"):
		return "with # behind a blank"
	case flow && strings.ContainsAny(text, "[]{}"):
		return "with brackets, within brackets,"
	}
	return ""
}

// nesting is +1 for an opening bracket, -1 for a closing one.
func nesting(t *token.Token) int {
	switch t.Type {
	case token.MappingStartType, token.SequenceStartType:
		return 1
	case token.MappingEndType, token.SequenceEndType:
		return -1
	}
	return 0
}

// joined puts together what the scanner takes apart within {}: there, a colon
// parts a key from its value only with a blank behind it, as everywhere (YAML
// 1.2.2 section 7.3.3), but the scanner parts the port of [tcp 1.2.3.4:22].
func joined(tokens token.Tokens) token.Tokens {
	var list token.Tokens
	flow := 0
	for i := 0; i < len(tokens); i++ {
		t := tokens[i]
		flow += nesting(t)
		if flow <= 0 || t.Type != token.MappingValueType || i+1 == len(tokens) || !plain(tokens[i+1]) || !adjacent(t, tokens[i+1]) {
			list = append(list, t)
			continue
		}
		next, last := tokens[i+1], len(list)-1
		switch {
		case last >= 0 && plain(list[last]):
			list[last] = oneText(list[last], next)
		case last < 0 || !quotedOrEnd(list[last]):
			list = append(list, oneText(t, next))
		default: // "key":value
			list = append(list, t)
			continue
		}
		i++
	}
	var linked token.Tokens
	linked.Add(list...)
	return linked
}

// oneText is the text that the scanner parted at a colon: from is what stands
// in front of it, or the colon itself.
func oneText(from, to *token.Token) *token.Token {
	text := from.Value + to.Value
	if from.Type != token.MappingValueType {
		blanks := from.Origin[len(strings.TrimRight(from.Origin, " \n")):]
		if strings.Contains(blanks, "\n") {
			blanks = " "
		}
		text = from.Value + blanks + ":" + to.Value
	}
	return token.String(text, from.Origin+to.Origin, from.Position)
}

func adjacent(a, b *token.Token) bool {
	return a.Position.Line == b.Position.Line && a.Position.Column+1 == b.Position.Column
}

// plain reports whether a token is a text without quotes.
func plain(t *token.Token) bool {
	switch t.Type {
	case token.StringType, token.IntegerType, token.FloatType, token.BoolType, token.NullType, token.InfinityType, token.NanType,
		token.BinaryIntegerType, token.OctetIntegerType, token.HexIntegerType:
		return true
	}
	return false
}

// quotedOrEnd reports whether a token ends a key behind which a colon needs no blank.
func quotedOrEnd(t *token.Token) bool {
	switch t.Type {
	case token.SingleQuoteType, token.DoubleQuoteType, token.MappingEndType, token.SequenceEndType:
		return true
	}
	return false
}

// syntax notes an error of the library, at its token.
func (r *suiteReader) syntax(err error) {
	var e interface {
		GetToken() *token.Token
		GetMessage() string
	}
	line, column, msg := 1, 1, ""
	if !errors.As(err, &e) {
		msg = err.Error()
	} else {
		msg = e.GetMessage() // Error would print the file too
		if t := e.GetToken(); t != nil && t.Position != nil {
			line, column = t.Position.Line, t.Position.Column
		}
	}
	r.failAt(line, column, "no YAML: %s", strings.Join(strings.Fields(msg), " "))
}
