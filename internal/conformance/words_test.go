package conformance

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// splitWords cuts a line into words as a shell does: blanks, '…', "…" and backslash, nothing else.
func splitWords(line string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord, quote, escaped := false, byte(0), false
	for i := 0; i < len(line); i++ {
		c := line[i]
		switch {
		case escaped:
			// Within "…" the shell keeps the backslash before what needs none.
			if quote == '"' && !strings.ContainsRune("\"\\$`", rune(c)) {
				word.WriteByte('\\')
			}
			word.WriteByte(c)
			escaped = false
		case c == '\\' && quote != '\'':
			escaped, inWord = true, true
		case quote != 0 && c == quote:
			quote = 0
		case quote != 0:
			word.WriteByte(c)
		case c == '\'' || c == '"':
			quote, inWord = c, true
		case c == ' ' || c == '\t':
			if inWord {
				words = append(words, word.String())
				word.Reset()
				inWord = false
			}
		default:
			word.WriteByte(c)
			inWord = true
		}
	}
	if quote != 0 || escaped {
		return nil, errors.New("quote or backslash without an end")
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

// quoteWords writes words so that a shell reads them back.
func quoteWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = w
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$`!*?[](){}<>|&;#~") && w != "!" {
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(quoted, " ")
}

func TestWordsAreCutAsAShellDoes(t *testing.T) {
	for _, c := range []struct {
		line string
		want []string
	}{
		{`a  b`, []string{"a", "b"}},
		{`a 'b c' "d e"`, []string{"a", "b c", "d e"}},
		{`a'b'c ''`, []string{"abc", ""}},
		{`"a\"b" 'a\b' "a\b" a\ b`, []string{`a"b`, `a\b`, `a\b`, "a b"}},
	} {
		got, err := splitWords(c.line)
		if err != nil || fmt.Sprintf("%q", got) != fmt.Sprintf("%q", c.want) {
			t.Errorf("splitWords(%s) = %q, %v, want %q", c.line, got, err, c.want)
		}
		again, err := splitWords(quoteWords(got))
		if err != nil || fmt.Sprintf("%q", again) != fmt.Sprintf("%q", got) {
			t.Errorf("%q quoted is %s and reads back as %q, %v", got, quoteWords(got), again, err)
		}
	}
	for _, bad := range []string{`'a`, `"a`, `a\`} {
		if got, err := splitWords(bad); err == nil {
			t.Errorf("splitWords(%s) = %q, want an error", bad, got)
		}
	}
}
