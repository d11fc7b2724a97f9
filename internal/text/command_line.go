package text

import (
	"strconv"
	"strings"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
)

// CommandLine is an operation as one types it in a shell: "iptables -A INPUT …".
// Operations that only restore files have are written as the nearest command.
func CommandLine(f rule.Family, op *change.Op) string {
	words := []string{f.Program()}
	if op.Table != "filter" {
		words = append(words, "-t", op.Table)
	}
	switch op.Kind {
	case change.Append:
		words = append(words, "-A", op.Chain)
	case change.Insert:
		words = append(words, "-I", op.Chain)
		if op.Num > 1 {
			words = append(words, strconv.Itoa(op.Num))
		}
	case change.Replace:
		words = append(words, "-R", op.Chain, strconv.Itoa(op.Num))
	case change.Delete:
		words = append(words, "-D", op.Chain)
	case change.DeleteNum:
		words = append(words, "-D", op.Chain, strconv.Itoa(op.Num))
	case change.Flush:
		words = append(words, "-F", op.Chain)
	case change.NewChain:
		words = append(words, "-N", op.Chain)
	case change.DeleteChain:
		words = append(words, "-X", op.Chain)
	case change.SetPolicy:
		words = append(words, "-P", op.Chain, op.Policy.Name())
	case change.Rename:
		words = append(words, "-E", op.Chain, op.NewName)
	case change.Zero:
		words = append(words, "-Z", op.Chain)
	}
	if op.Rule != nil {
		p := ext.Printer{Family: f}
		AppendRule(&p, "C", op.Rule, NoCounters)
		words = append(words, SpecWords(strings.TrimSuffix(string(p.B), "\n"))[2:]...) // without "-A C"
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// SpecWords splits a rule in save format into words: at blanks, but for strings
// in quotation marks, in which a backslash stands before marks and backslashes.
func SpecWords(line string) (words []string) {
	var b strings.Builder
	inString, inWord := false, false
	for i := 0; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			inString, inWord = !inString, true
		case c == '\\' && inString && i+1 < len(line):
			i++
			b.WriteByte(line[i])
		case c == ' ' && !inString:
			if inWord {
				words = append(words, b.String())
			}
			b.Reset()
			inWord = false
		default:
			b.WriteByte(c)
			inWord = true
		}
	}
	if inWord {
		words = append(words, b.String())
	}
	return words
}

// shellWord quotes a word as sh(1) reads it, if it needs that.
func shellWord(w string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-_./:,+=@%", r)
	}
	if w == "!" || w != "" && strings.IndexFunc(w, func(r rune) bool { return !plain(r) }) < 0 {
		return w
	}
	if !strings.ContainsAny(w, "\"$`\\!") {
		return `"` + w + `"`
	}
	return "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
}
