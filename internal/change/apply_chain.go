package change

import (
	"slices"

	"moat/internal/rule"
)

// chain does an operation on a chain, or on all chains of the table.
func (t *tableChange) chain(op *Op) string {
	switch op.Kind {
	case Flush:
		return t.flush(op)
	case Zero:
		return t.zero(op)
	case NewChain, DeclareChain:
		return t.newChain(op)
	case DeleteChain:
		return t.deleteChain(op)
	case SetPolicy:
		return t.setPolicy(op)
	}
	return t.rename(op)
}

func (t *tableChange) flush(op *Op) string {
	if op.Chain == "" {
		for _, c := range t.chains {
			c.Rules = nil
		}
		return ""
	}
	c := t.need(op.Chain)
	if c == nil {
		return NoChain
	}
	c.Rules = nil
	return ""
}

func (t *tableChange) zero(op *Op) string {
	if op.Chain == "" {
		for _, c := range t.chains {
			zeroChain(c)
		}
		return ""
	}
	c := t.chains[op.Chain]
	switch {
	case c == nil && op.Num != 0:
		return BadRule
	case c == nil:
		return NoChain
	case op.Num == 0:
		zeroChain(c)
	case op.Num <= len(c.Rules): // beyond the last rule, nothing happens
		c.Rules[op.Num-1] = zeroed(c.Rules[op.Num-1])
	}
	return ""
}

func zeroChain(c *rule.Chain) {
	c.Counters = rule.Counters{}
	for i, r := range c.Rules {
		c.Rules[i] = zeroed(r)
	}
}

// zeroed is a rule that has counted nothing.
func zeroed(r *rule.Rule) *rule.Rule {
	if r.Counters == (rule.Counters{}) {
		return r
	}
	copied := *r
	copied.Counters = rule.Counters{}
	return &copied
}

func (t *tableChange) newChain(op *Op) string {
	c := t.chains[op.Chain]
	switch {
	case c != nil && op.Kind == DeclareChain:
		c.Rules = nil
		return ""
	case c != nil, t.layout.Builtin(op.Chain) != nil, t.holds(op.Chain, nil):
		return ChainExists
	}
	t.chains[op.Chain] = &rule.Chain{Name: op.Chain}
	return ""
}

func (t *tableChange) deleteChain(op *Op) string {
	if op.Chain == "" {
		return t.deleteChains()
	}
	c := t.chains[op.Chain]
	switch {
	case c == nil:
		return NoChain
	case c.Base != nil && c.Base.Policy != rule.Accept:
		return NotEmpty
	case t.busy(c):
		return Busy(c.Name)
	}
	delete(t.chains, c.Name)
	return ""
}

// deleteChains deletes all user-defined chains, and the built-in ones that do
// what no chain would do. One that is in use forbids it.
func (t *tableChange) deleteChains() string {
	for _, c := range t.finish().Chains {
		if t.chains[c.Name] == nil {
			continue
		}
		idle := len(c.Rules) == 0 && (c.Base == nil || c.Base.Policy == rule.Accept)
		switch {
		case c.Base == nil && t.busy(c):
			return Busy(c.Name)
		case idle:
			delete(t.chains, c.Name)
		}
	}
	return ""
}

// busy reports whether a chain has rules or a rule jumps to it.
func (t *tableChange) busy(c *rule.Chain) bool {
	if len(c.Rules) > 0 {
		return true
	}
	for _, other := range t.chains {
		for _, r := range other.Rules {
			if j, ok := r.Target.(rule.Jump); ok && j.Chain == c.Name {
				return true
			}
		}
	}
	return false
}

func (t *tableChange) setPolicy(op *Op) string {
	if t.layout.Builtin(op.Chain) == nil {
		return NotBuiltin
	}
	if t.name == "nat" && op.Policy == rule.Drop {
		return NATDrop
	}
	c := t.need(op.Chain)
	if c.Base == nil {
		return NotBuiltin
	}
	c.Base.Policy = op.Policy
	c.Counters = rule.Counters{}
	if op.Counters != nil {
		c.Counters = *op.Counters
	}
	return ""
}

// rename does -E; jumps to the chain follow it.
func (t *tableChange) rename(op *Op) string {
	if t.chains[op.NewName] != nil || t.layout.Builtin(op.NewName) != nil {
		return FileExists
	}
	c := t.chains[op.Chain]
	if c == nil {
		return NoChain
	}
	if t.holds(op.NewName, c) {
		return FileExists
	}
	delete(t.chains, c.Name)
	for _, other := range t.chains {
		other.Rules = renamed(other.Rules, op.Chain, op.NewName)
	}
	c.Rules = renamed(c.Rules, op.Chain, op.NewName)
	c.Name = op.NewName
	t.chains[c.Name] = c
	return ""
}

// holds reports whether a chain other than c had a name before the script renamed it.
func (t *tableChange) holds(name string, c *rule.Chain) bool {
	for _, other := range t.chains {
		if was, old := t.was[other]; old && other != c && was == name && other.Name != name {
			return true
		}
	}
	return false
}

// renamed gives rules whose jumps to one chain go to another, in place.
func renamed(rules []*rule.Rule, from, to string) []*rule.Rule {
	for i, r := range rules {
		if j, ok := r.Target.(rule.Jump); ok && j.Chain == from {
			copied := *r
			copied.Target = rule.Jump{Chain: to, Goto: j.Goto}
			rules[i] = &copied
		}
	}
	return slices.Clip(rules)
}
