package analyze

import (
	"moat/internal/rule"
	"moat/internal/simulate"
	"moat/internal/space"
)

// marks are rules and policies that a walk looks for. Such a walk gives only the
// packets that come to one of them and match, and follows them no further; nor
// does it follow packets that cannot come to one any more. nil marks are none.
type marks struct {
	rules    map[*rule.Rule]bool
	policies map[*modelChain]bool
	last     map[*modelChain]int // the last rule, from 0, that is marked or leads to one; -1 for none
}

func newMarks() *marks {
	return &marks{rules: map[*rule.Rule]bool{}, policies: map[*modelChain]bool{}, last: map[*modelChain]int{}}
}

// lastOf is the last rule of a chain that is marked or leads to a marked one.
func (k *marks) lastOf(c *modelChain) int {
	if n, ok := k.last[c]; ok {
		return n
	}
	k.last[c] = -1 // for chains that jump in circles
	last := -1
	for n := range c.rules {
		m := &c.rules[n]
		if k.rules[m.rule] || (m.action == jumps || m.action == goesTo) && k.lastOf(m.to) >= 0 {
			last = n
		}
	}
	k.last[c] = last
	return last
}

// has reports whether a rule is marked.
func (k *marks) has(m *modelRule) bool { return k != nil && k.rules[m.rule] }

// inBase reports whether a built-in chain leads to a mark.
func (k *marks) inBase(c *modelChain) bool {
	return c != nil && (k.policies[c] || k.lastOf(c) >= 0)
}

// onHook reports whether a station of a hook, from one on, leads to a mark.
func (k *marks) onHook(m *Model, h rule.Hook, from int) bool {
	for i := from; i < len(m.hooks[h]); i++ {
		if k.inBase(m.hooks[h][i].chain) {
			return true
		}
	}
	return false
}

// later reports whether a flow may come to a mark at stations that follow.
func (k *marks) later(m *Model, f *flow) bool {
	if k.onHook(m, f.hook(), f.at) {
		return true
	}
	ways := []simulate.Way{f.way}
	if f.phase == 0 && f.way != simulate.Out { // routing may send them another way
		ways = []simulate.Way{simulate.In, simulate.Through}
	}
	for _, w := range ways {
		for p := f.phase + 1; p < len(wayHooks[w]); p++ {
			if k.onHook(m, wayHooks[w][p], 0) {
				return true
			}
		}
	}
	return false
}

// outside reports whether a flow may come to a mark outside of the chain that it
// is in: in those that called it, by the policy, or later.
func (k *marks) outside(m *Model, f *flow) bool {
	if k.policies[f.base] || k.later(m, f) {
		return true
	}
	for _, s := range f.stack {
		if k.lastOf(s.chain) >= s.next {
			return true
		}
	}
	return false
}

// marks are the rules and policies of one of both rulesets that the other has
// not: the old one's, or with now the new one's.
func (a *alignment) marks(m *Model, now bool) *marks {
	k := newMarks()
	for _, p := range a.chains {
		c := p.old
		if now {
			c = p.now
		}
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			if same := a.kept[r] || a.same[r] != nil; !same {
				k.rules[r] = true
			}
		}
		if policyOf(p.old) != policyOf(p.now) {
			k.policies[m.chain(p.table, p.name)] = true
		}
	}
	return k
}

// policyOf is a chain's policy; one that is not there accepts.
func policyOf(c *rule.Chain) rule.Verdict {
	if c == nil || c.Base == nil {
		return rule.Accept
	}
	return c.Base.Policy
}

// affected is the packets of from that come to a rule or a policy which the other
// ruleset has not, under the old rules or the new ones. All others go the same way.
func (a *alignment) affected(before, after *Model, w simulate.Way, from space.Set) space.Set {
	var boxes []space.Box
	pile := &space.Pile{}
	for i, m := range [...]*Model{before, after} {
		wk := walker{m: m, way: w, marked: a.marks(m, i == 1)}
		wk.yield = func(c Class) bool {
			whole := true
			var left []space.Box
			if i == 1 { // what came to a mark under the old rules is taken already
				whole = pile.Left(&c.Packets, func(b space.Box) bool { left = append(left, b); return true })
			} else {
				pile.Add(&c.Packets)
				left = []space.Box{c.Packets}
			}
			boxes = append(boxes, left...)
			return whole
		}
		wk.walk(from)
	}
	return space.Disjoint(boxes)
}
