package kernel

import (
	"moat/internal/change"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// flush applies -F: to one chain, or to the table.
func (p *plan) flush(t *tableState, op *change.Op, i int) error {
	if op.Chain != "" {
		c, err := p.need(t, op, i)
		if err != nil {
			return err
		}
		if c == nil {
			return fail(op, msgNoChain)
		}
		p.note(op, c.name)
		c.clear(i)
		return nil
	}
	if err := p.noteFlush(t, op, i); err != nil {
		return err
	}
	if err := p.ask(t); err != nil {
		return err
	}
	if t.exists && !t.replaced && !t.flushed {
		t.flushed, t.op = true, i
	}
	for _, c := range t.chains {
		c.clear(i)
		if !t.replaced {
			c.flush = 0 // the table's flush does it
		}
	}
	return nil
}

// newChain applies -N, and a ":CHAIN" line, which may name a chain that is there.
func (p *plan) newChain(t *tableState, op *change.Op, i int) error {
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	builtin := t.layout.Builtin(op.Chain)
	switch {
	case op.Kind == change.DeclareChain && c != nil:
		c.clear(i)
		return nil
	case c != nil, builtin != nil, t.holds(op.Chain, nil):
		return fail(op, msgChainExists)
	}
	if err := p.ask(t); err != nil {
		return err
	}
	p.read = true // a chain that somebody makes meanwhile must not be taken over
	p.create(t, op.Chain, nil, i)
	return nil
}

// deleteChain applies -X to one chain or to all.
func (p *plan) deleteChain(t *tableState, op *change.Op, i int) error {
	if op.Chain == "" {
		return p.deleteChains(t, op, i)
	}
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	if c == nil {
		return fail(op, msgNoChain)
	}
	if c.base != nil && !c.accepts() {
		return fail(op, msgNotEmpty)
	}
	p.note(op, c.name)
	return p.drop(t, c, i)
}

// deleteChains applies -X without a name: user-defined chains must be empty,
// and built-in ones go if nothing is in them and their policy is ACCEPT.
func (p *plan) deleteChains(t *tableState, op *change.Op, i int) error {
	if err := p.allChains(t); err != nil {
		return err
	}
	for _, c := range t.listed() {
		if c.base == nil {
			p.note(op, c.name)
			if err := p.drop(t, c, i); err != nil {
				return err
			}
			continue
		}
		idle, err := p.idle(t, c)
		if err != nil {
			return err
		}
		if idle && t.layout.Builtin(c.name) != nil {
			t.remove(c, i)
		}
	}
	return nil
}

// idle reports whether a base chain does what no chain would do: it has no
// rules and its policy is ACCEPT.
func (p *plan) idle(t *tableState, c *chainState) (bool, error) {
	if err := p.load(t, c, false); err != nil {
		return false, err
	}
	return c.accepts() && len(c.rules) == 0, nil
}

// accepts reports whether a base chain's policy is ACCEPT.
func (c *chainState) accepts() bool {
	if c.wants != nil {
		return c.wants.Policy == rule.Accept
	}
	return c.policy == nil || *c.policy == uint32(nft.NF_ACCEPT)
}

// setPolicy applies -P, and a ":CHAIN POLICY" line of a built-in chain.
func (p *plan) setPolicy(t *tableState, op *change.Op, i int) error {
	if t.layout.Builtin(op.Chain) == nil {
		return fail(op, msgBuiltin)
	}
	if t.name == "nat" && op.Policy == rule.Drop {
		return &Error{Code: ExitParameter, Op: op, Msg: change.NATDrop}
	}
	c, err := p.need(t, op, i)
	if err != nil {
		return err
	}
	if c.base == nil {
		return fail(op, msgBuiltin)
	}
	c.wants, c.zeroed = op, false
	return nil
}

// renameChain applies -E.
func (p *plan) renameChain(t *tableState, op *change.Op, i int) error {
	other, err := p.find(t, op.NewName)
	if err != nil {
		return err
	}
	if other != nil || t.layout.Builtin(op.NewName) != nil {
		return fail(op, msgFileExists)
	}
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	if c == nil {
		return fail(op, msgNoChain)
	}
	if t.holds(op.NewName, c) {
		return fail(op, msgFileExists)
	}
	p.read = true
	t.rename(c, op.NewName, i)
	return nil
}

// zero applies -Z to a rule, a chain or the table.
func (p *plan) zero(t *tableState, op *change.Op, i int) error {
	if op.Chain == "" {
		if err := p.allChains(t); err != nil {
			return err
		}
		for _, c := range t.listed() {
			p.note(op, c.name)
			if err := p.zeroChain(t, c, i); err != nil {
				return err
			}
		}
		return nil
	}
	c, err := p.find(t, op.Chain)
	if err != nil {
		return err
	}
	if op.Num != 0 {
		return p.zeroRule(t, c, op, i)
	}
	if c == nil {
		return fail(op, msgNoChain)
	}
	p.note(op, c.name)
	return p.zeroChain(t, c, i)
}

// zeroRule applies -Z CHAIN N; a number beyond the last rule does nothing, as
// with iptables-nft 1.8.9.
func (p *plan) zeroRule(t *tableState, c *chainState, op *change.Op, i int) error {
	if c == nil {
		return fail(op, msgBadRule)
	}
	if err := p.loadCounted(t, c, op.Num-1, i); err != nil {
		return err
	}
	if at := op.Num - 1; at < len(c.rules) {
		c.rules[at].zeroNew()
	}
	return nil
}

// zeroChain makes all counters of a chain zero.
func (p *plan) zeroChain(t *tableState, c *chainState, i int) error {
	if c.deleted {
		return nil
	}
	c.zeroed = c.base != nil
	if err := p.loadCounted(t, c, -1, i); err != nil {
		return err
	}
	for at := range c.rules {
		c.rules[at].zeroNew()
	}
	return nil
}

// zeroNew makes the counters of a rule that the transaction brings zero. The
// rule belongs to the script and may be applied again, so it is copied.
func (e *entry) zeroNew() {
	if e.handle == 0 && e.rule.Counters != (rule.Counters{}) {
		r := *e.rule
		r.Counters = rule.Counters{}
		e.rule = &r
	}
}
