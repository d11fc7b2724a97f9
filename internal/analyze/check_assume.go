package analyze

import (
	"maps"
	"slices"
	"strings"

	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
)

// modelKey is a ruleset under assumptions.
type modelKey struct {
	subject *Subject
	fixed   string
}

// model is the ruleset's model if its undecided matches answer as fixed says.
func (c *checker) model(s *Subject, fixed map[string]packet.Answer) *Model {
	if len(fixed) == 0 {
		return s.Model()
	}
	var words []string
	for _, name := range slices.Sorted(maps.Keys(fixed)) {
		words = append(words, name+"="+fixed[name].String())
	}
	key := modelKey{s, strings.Join(words, ",")}
	if c.models[key] == nil {
		c.models[key] = NewModel(assumed(s.Ruleset, fixed))
	}
	return c.models[key]
}

// assumed is a ruleset with rules in their places whose undecided matches have
// been answered: a match that says yes is left out, and a rule of which one says
// no matches nothing. Matches that packets decide stay.
func assumed(rs *rule.Ruleset, fixed map[string]packet.Answer) *rule.Ruleset {
	out := &rule.Ruleset{Family: rs.Family}
	for _, t := range rs.Tables {
		table := &rule.Table{Name: t.Name}
		for _, c := range t.Chains {
			chain := *c
			chain.Rules = make([]*rule.Rule, len(c.Rules))
			for i, r := range c.Rules {
				chain.Rules[i] = answered(r, fixed)
			}
			table.Chains = append(table.Chains, &chain)
		}
		out.Tables = append(out.Tables, table)
	}
	return out
}

// answered is a rule as assumed makes it; the same one if nothing is assumed of it.
func answered(r *rule.Rule, fixed map[string]packet.Answer) *rule.Rule {
	if !slices.ContainsFunc(r.Matches, func(m rule.Match) bool { return isFixed(m, fixed) }) {
		return r
	}
	n := *r
	n.Matches = nil
	for _, m := range r.Matches {
		switch {
		case !isFixed(m, fixed):
			n.Matches = append(n.Matches, m)
		case fixed[m.Name()] == packet.No:
			n.In = rule.Interface{Name: "+", Not: true} // no packet is on no interface
		}
	}
	return &n
}

// isFixed reports whether a match that no set of packets holds has an answer.
func isFixed(m rule.Match, fixed map[string]packet.Answer) bool {
	_, decided := m.(ext.Spacer)
	return !decided && fixed[m.Name()] != packet.Unknown
}
