package analyze

import (
	"strconv"
	"strings"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
)

// Fix is what mends a finding. The commands have been carried out on a copy of
// the ruleset, and the outcome looked at, before the fix is part of a finding.
type Fix struct {
	Ops      []change.Op
	Commands []string // Ops as one types them in a shell
	Says     string   // what they do, in a few words
}

// Fix gives the fix that operations are, if they do what they should: they can
// be carried out, and mended says so of the outcome. Otherwise nil.
func (s *Subject) Fix(says string, ops []change.Op, mended func(after *Subject) bool) *Fix {
	after := s.after(ops)
	if after == nil || !mended(after) {
		return nil
	}
	f := &Fix{Ops: ops, Says: says}
	for i := range ops {
		f.Commands = append(f.Commands, s.command(&ops[i]))
	}
	return f
}

// after is the ruleset as operations make it; nil if they are refused.
func (s *Subject) after(ops []change.Op) *Subject {
	rs, err := change.Apply(s.Ruleset, change.Script{Family: s.Family, Ops: ops})
	if err != nil {
		return nil
	}
	return &Subject{Ruleset: rs, Source: s.Source, host: s.host, interfaces: s.interfaces, before: s}
}

// remove is the operation that removes a rule: by its text, which stays right
// while other rules come and go, if it is the first such rule of its chain,
// otherwise by its number.
func (s *Subject) remove(table, chain string, number int) change.Op {
	rules := s.Table(table).Chain(chain).Rules
	r := rules[number-1]
	for _, before := range rules[:number-1] {
		if !before.Foreign && ext.EqualRules(before, r) {
			return change.Op{Kind: change.DeleteNum, Table: table, Chain: chain, Num: number}
		}
	}
	return change.Op{Kind: change.Delete, Table: table, Chain: chain, Rule: r}
}

// command is an operation as one types it.
func (s *Subject) command(op *change.Op) string {
	words := []string{s.Family.Program()}
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
	}
	if op.Rule != nil {
		words = append(words, specWords(s.RuleText("C", op.Rule))[2:]...) // without "-A C"
	}
	for i, w := range words {
		words[i] = shellWord(w)
	}
	return strings.Join(words, " ")
}

// specWords splits a rule in save format into words: at blanks, but for strings
// in quotation marks, in which a backslash stands before marks and backslashes.
func specWords(line string) (words []string) {
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

// isLast reports whether a rule ends its chain for every packet that gets there.
func isLast(r *rule.Rule) bool {
	if !r.Src.IsAny() || !r.Dst.IsAny() || !r.In.IsAny() || !r.Out.IsAny() || !r.Proto.IsAny() || r.Fragment != rule.AnyFragment {
		return false
	}
	for _, m := range r.Matches {
		if _, ok := m.(*ext.Comment); !ok {
			return false
		}
	}
	return true
}
