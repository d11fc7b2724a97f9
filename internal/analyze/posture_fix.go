package analyze

import (
	"fmt"
	"slices"

	"moat/internal/change"
	"moat/internal/netdb"
	"moat/internal/question"
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/text"
)

// ops reads commands without the program's name; nil if one is refused.
func (s *Subject) ops(lines ...string) (ops []change.Op) {
	for _, line := range lines {
		c, err := text.ParseCommand(s.Family, s.Family.Program(), text.SpecWords(line), &netdb.DB{})
		if err != nil {
			return nil
		}
		ops = append(ops, c.Ops...)
	}
	return ops
}

// fix gives the fix that commands are, if mended says so of the world after them.
func (w *world) fix(says string, mended func(after *world) bool, lines ...string) *Fix {
	ops := w.s.ops(lines...)
	if len(ops) == 0 {
		return nil
	}
	return w.s.Fix(says, ops, func(after *Subject) bool { return mended(w.after(after)) })
}

// before is the command that puts a rule before the one that decides, or at the
// end of the chain whose policy does.
func before(by simulate.Place, spec string) string {
	table := ""
	if by.Table != "filter" {
		table = "-t " + by.Table + " "
	}
	if by.Rule == 0 {
		return table + "-A " + by.Chain + " " + spec
	}
	return fmt.Sprintf("%s-I %s %d %s", table, by.Chain, by.Rule, spec)
}

// at gives a rule of the ruleset, by a place that a simulation named; nil for a policy.
func (s *Subject) at(p simulate.Place) *rule.Rule {
	if t := s.Table(p.Table); t != nil && p.Rule > 0 {
		if c := t.Chain(p.Chain); c != nil && p.Rule <= len(c.Rules) {
			return c.Rules[p.Rule-1]
		}
	}
	return nil
}

// isPolicy reports whether a place is the policy of a chain of table filter.
func isPolicy(p simulate.Place, chain string) bool {
	return p == simulate.Place{Table: "filter", Chain: chain} || p == simulate.Place{}
}

// rulesOf gives the rules that a packet may meet in a built-in chain of table
// filter, those of the chains that it calls among them.
func (s *Subject) rulesOf(chain string) (rules []*rule.Rule) {
	t := s.Table("filter")
	if t == nil {
		return nil
	}
	seen := map[*rule.Chain]bool{}
	var enter func(*rule.Chain)
	enter = func(c *rule.Chain) {
		if c == nil || seen[c] {
			return
		}
		seen[c] = true
		for _, r := range c.Rules {
			rules = append(rules, r)
			if j, ok := r.Target.(rule.Jump); ok {
				enter(t.Chain(j.Chain))
			}
		}
	}
	enter(t.Chain(chain))
	return rules
}

// shut reports whether a built-in chain of table filter lets nothing in but what
// the host sends to itself: somebody wants it so.
func (s *Subject) shut(chain string) bool {
	return !slices.ContainsFunc(s.rulesOf(chain), func(r *rule.Rule) bool {
		return r.Target == rule.Accept && (r.In.Name != "lo" || r.In.Not)
	})
}

// example gives the packet of a question as an example of a fate.
func (w *world) example(says string, q *question.Question, want ...simulate.Verdict) *Example {
	return w.s.Example(says, q, func(r simulate.Result) bool { return slices.Contains(want, r.Verdict) })
}

// next is the place of a rule further down in the same chain.
func next(p simulate.Place, by int) simulate.Place {
	p.Rule += by
	return p
}

// deleteNumber is the command that removes a rule by its number.
func deleteNumber(p simulate.Place) string {
	return fmt.Sprintf("-t %s -D %s %d", p.Table, p.Chain, p.Rule)
}

// replaceOp is the operation that puts another rule in the place of one.
func (s *Subject) replaceOp(p simulate.Place, r *rule.Rule) []change.Op {
	return []change.Op{{Kind: change.Replace, Table: p.Table, Chain: p.Chain, Num: p.Rule, Rule: r}}
}
