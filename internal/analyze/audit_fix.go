package analyze

import (
	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/rule"
	"moat/internal/text"
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
func (s *Subject) command(op *change.Op) string { return text.CommandLine(s.Family, op) }

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
