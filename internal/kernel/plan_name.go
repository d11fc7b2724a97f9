package kernel

import (
	"moat/internal/change"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// drop takes a chain out of the table, if nothing is in it and no rule jumps to
// it. Uses by sets are left to the kernel.
func (p *plan) drop(t *tableState, c *chainState, i int) error {
	busy, err := p.busy(t, c, i)
	if err != nil {
		return err
	}
	if busy {
		return &Error{Code: ExitResource, Failed: true, Op: p.op, Msg: change.Busy(c.name)}
	}
	t.remove(c, i)
	return nil
}

// remove takes a chain out of the table.
func (t *tableState) remove(c *chainState, i int) {
	t.index[c.name] = nil
	c.deleted, c.gone = true, i
	t.drops = append(t.drops, c)
}

// busy reports whether a chain is in use after the operations so far. The
// rules of the kernel are only read for it when some of them were taken out,
// so that the kernel's count of uses is no longer true.
func (p *plan) busy(t *tableState, c *chainState, i int) (bool, error) {
	if c.hasNew() || t.jumpsTo(c) {
		return true, nil
	}
	if c.inUse == 0 || !p.tookOut(t, i) {
		return c.inUse > 0, nil
	}
	if err := p.allChains(t); err != nil {
		return false, err
	}
	for _, other := range t.chains {
		if other.deleted {
			continue
		}
		if err := p.load(t, other, true); err != nil {
			return false, err
		}
	}
	return len(c.rules) > 0 || t.jumpsTo(c), nil
}

// tookOut reports whether an operation before number i took rules of the kernel
// out of a table.
func (p *plan) tookOut(t *tableState, i int) bool {
	for j := range i {
		op := &p.script.Ops[j]
		switch op.Kind {
		case change.Delete, change.DeleteNum, change.Replace, change.Flush, change.DeclareChain:
			if op.Table == t.name {
				return true
			}
		}
	}
	return false
}

// hasNew reports whether the script has put a rule into the chain.
func (c *chainState) hasNew() bool {
	if len(c.head) > 0 || len(c.tail) > 0 {
		return true
	}
	for i := range c.rules {
		if c.rules[i].handle == 0 {
			return true
		}
	}
	return false
}

// jumpsTo reports whether one of the rules in memory jumps to a chain.
func (t *tableState) jumpsTo(c *chainState) bool {
	found := false
	t.eachRule(func(e *entry) {
		j, ok := e.rule.Target.(rule.Jump)
		found = found || ok && j.Chain == c.name
	})
	return found
}

// eachRule gives f the rules in memory that are known whole, of all chains.
func (t *tableState) eachRule(f func(*entry)) {
	for _, c := range t.chains {
		if c.deleted {
			continue
		}
		for _, list := range [...][]entry{c.head, c.rules, c.tail} {
			for i := range list {
				if list[i].rule != nil {
					f(&list[i])
				}
			}
		}
	}
}

// holds reports whether a chain of the kernel other than c has a name until the
// transaction is done, though the script has renamed it.
func (t *tableState) holds(name string, c *chainState) bool {
	if !t.renamed {
		return false
	}
	for _, other := range t.chains {
		if other != c && other.was == name && other.name != name && !other.deleted {
			return true
		}
	}
	return false
}

// rename gives a chain another name; the jumps of rules in memory follow it.
func (t *tableState) rename(c *chainState, name string, i int) {
	from := c.name
	t.index[from] = nil
	c.name = name
	t.index[name] = c
	if c.was != "" {
		c.rename = i + 1
		t.renamed = true
	}
	t.eachRule(func(e *entry) { e.rule = jumpRenamed(e.rule, from, name) })
}

// jumpRenamed gives a rule that jumps to one chain as one that jumps to another.
func jumpRenamed(r *rule.Rule, from, to string) *rule.Rule {
	j, ok := r.Target.(rule.Jump)
	if !ok || j.Chain != from {
		return r
	}
	copied := *r
	copied.Target = rule.Jump{Chain: to, Goto: j.Goto}
	return &copied
}

// decode reads a rule of the kernel; its jump goes to the name that the script
// has given to the chain.
func (t *tableState) decode(f rule.Family, v *nft.RuleView) (*rule.Rule, error) {
	r, err := decodeRule(f, v)
	if err != nil || !t.renamed {
		return r, err
	}
	for _, c := range t.chains {
		if c.was != "" && c.was != c.name && !c.deleted {
			if j, ok := r.Target.(rule.Jump); ok && j.Chain == c.was {
				return jumpRenamed(r, c.was, c.name), nil
			}
		}
	}
	return r, nil
}
