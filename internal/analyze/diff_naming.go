package analyze

import (
	"strings"

	"moat/internal/ext"
	"moat/internal/rule"
	"moat/internal/text"
)

// naming says how a model's atoms name its rules, so that what is the same
// condition in two rulesets is the same atom. The zero naming names each rule by
// its number, and each match that no packet decides by its place among those of
// the same text.
type naming struct {
	seen    map[string]int       // matches of a text so far
	drawn   map[*rule.Rule][]int // the numbers that a rule's matches got
	numbers map[*rule.Rule]int   // where they are not a rule's own

	like *naming                   // of the other model; nil: none
	twin map[*rule.Rule]*rule.Rule // rules of the other model that say the same
	free map[string][]int          // numbers of the other model's matches whose rule has no twin
}

// ownNumbers is where numbers begin of rules that the other ruleset has not.
const ownNumbers = 1_000_000

// number is by which atoms name a rule whose number is n.
func (a *naming) number(r *rule.Rule, n int) int {
	if m, ok := a.numbers[r]; ok {
		return m
	}
	if a.like != nil {
		return ownNumbers + n
	}
	return n
}

// occurrence numbers the matches of a rule that no packet decides.
func (a *naming) occurrence(r *rule.Rule) func(text string) int {
	i := 0
	return func(text string) int {
		n := a.next(r, i, text)
		i++
		if a.drawn == nil {
			a.drawn = map[*rule.Rule][]int{}
		}
		a.drawn[r] = append(a.drawn[r], n)
		return n
	}
}

func (a *naming) next(r *rule.Rule, i int, text string) int {
	if t := a.twin[r]; t != nil {
		return a.like.drawn[t][i]
	}
	if list := a.free[text]; len(list) > 0 {
		a.free[text] = list[1:]
		return list[0]
	}
	if a.seen == nil {
		a.seen = map[string]int{}
	}
	a.seen[text]++
	return a.seen[text]
}

// chainPair is a chain that both rulesets have, or one of them: then the other
// is nil.
type chainPair struct {
	table, name string
	old, now    *rule.Chain
}

// alignment is which rules of two rulesets are the same.
type alignment struct {
	chains []*chainPair // those of the old ruleset, then what the new one adds
	// same are the rules of the new ruleset that stand unchanged in the order of
	// the old one, and twin also those that moved; both give the old one's rule.
	same, twin map[*rule.Rule]*rule.Rule
	kept       map[*rule.Rule]bool // rules of the old ruleset in same
	old, now   map[*rule.Rule]int  // numbers
}

// align finds what two rulesets have in common.
func align(old, now *rule.Ruleset) *alignment {
	a := &alignment{
		same: map[*rule.Rule]*rule.Rule{}, twin: map[*rule.Rule]*rule.Rule{},
		kept: map[*rule.Rule]bool{}, old: map[*rule.Rule]int{}, now: map[*rule.Rule]int{},
	}
	pairs := map[[2]string]*chainPair{}
	each := func(rs *rule.Ruleset, put func(p *chainPair, c *rule.Chain)) {
		for _, t := range rs.Tables {
			for _, c := range t.Chains {
				key := [2]string{t.Name, c.Name}
				if pairs[key] == nil {
					pairs[key] = &chainPair{table: t.Name, name: c.Name}
					a.chains = append(a.chains, pairs[key])
				}
				put(pairs[key], c)
			}
		}
	}
	each(old, func(p *chainPair, c *rule.Chain) { p.old = c })
	each(now, func(p *chainPair, c *rule.Chain) { p.now = c })
	for _, p := range a.chains {
		a.chain(p, old.Family)
	}
	return a
}

// chain aligns the rules of a chain.
func (a *alignment) chain(p *chainPair, f rule.Family) {
	var lists [2][]string
	var rules [2][]*rule.Rule
	for i, c := range [...]*rule.Chain{p.old, p.now} {
		if c == nil {
			continue
		}
		rules[i] = c.Rules
		for n, r := range c.Rules {
			lists[i] = append(lists[i], ruleText(r, f))
			[...]map[*rule.Rule]int{a.old, a.now}[i][r] = n + 1
		}
	}
	for _, c := range Common(lists[0], lists[1]) {
		o, n := rules[0][c.Old], rules[1][c.New]
		a.same[n], a.twin[n], a.kept[o] = o, o, true
	}
	moved := map[string][]*rule.Rule{}
	for i, o := range rules[0] {
		if !a.kept[o] {
			moved[lists[0][i]] = append(moved[lists[0][i]], o)
		}
	}
	for i, n := range rules[1] {
		if list := moved[lists[1][i]]; a.same[n] == nil && len(list) > 0 {
			a.twin[n], moved[lists[1][i]] = list[0], list[1:]
		}
	}
}

// ruleText is what a rule says, but for its comments: they do nothing.
func ruleText(r *rule.Rule, f rule.Family) string {
	p := ext.Printer{Family: f, Rule: r, Numeric: true}
	said := *r
	said.Matches = nil
	for _, m := range r.Matches {
		if _, ok := m.(*ext.Comment); !ok {
			said.Matches = append(said.Matches, m)
		}
	}
	text.AppendRule(&p, "", &said, text.NoCounters)
	return strings.TrimSpace(string(p.B))
}

// models works out both rulesets so that the same conditions are the same
// atoms: those of rules that are the same, and of others matches of the same text
// one after the other.
func (a *alignment) models(old, now *rule.Ruleset) (before, after *Model) {
	first := &naming{}
	before = newModel(old, first)
	second := &naming{like: first, twin: a.twin, seen: first.seen, numbers: map[*rule.Rule]int{}, free: a.free(old, first)}
	for n, o := range a.twin {
		second.numbers[n] = a.old[o]
	}
	a.numberTargets(second.numbers)
	return before, newModel(now, second)
}

// free lists the numbers of matches in rules of the old ruleset that have no twin,
// by the text of their atoms.
func (a *alignment) free(old *rule.Ruleset, first *naming) map[string][]int {
	paired := map[*rule.Rule]bool{}
	for _, o := range a.twin {
		paired[o] = true
	}
	list := map[string][]int{}
	for _, t := range old.Tables {
		for _, c := range t.Chains {
			for _, r := range c.Rules {
				if numbers := first.drawn[r]; !paired[r] && len(numbers) > 0 {
					i := 0
					ext.RuleSpace(r, old.Family, func(text string) int {
						list[text] = append(list[text], numbers[i])
						i++
						return numbers[i-1]
					})
				}
			}
		}
	}
	return list
}

// numberTargets lets rules that are no twins pass for the same in the names of
// atoms if they jump to the same chain, or have the same target extension, in the
// same chain: their conditions or the target's options changed. So where a packet
// is sent elsewhere, and its route is not told, both destinations are taken
// to be routed alike; that the packet is sent elsewhere is a change anyway.
func (a *alignment) numberTargets(numbers map[*rule.Rule]int) {
	for _, p := range a.chains {
		if p.old == nil || p.now == nil {
			continue
		}
		paired := map[*rule.Rule]bool{}
		for _, n := range p.now.Rules {
			paired[a.twin[n]] = true
		}
		free := map[string][]int{}
		for i, o := range p.old.Rules {
			if o.Target != nil && !paired[o] {
				free[o.Target.Name()] = append(free[o.Target.Name()], i+1)
			}
		}
		for _, n := range p.now.Rules {
			if n.Target == nil || a.twin[n] != nil {
				continue
			}
			if list := free[n.Target.Name()]; len(list) > 0 {
				numbers[n], free[n.Target.Name()] = list[0], list[1:]
			}
		}
	}
}
