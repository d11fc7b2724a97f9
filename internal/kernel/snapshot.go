package kernel

import (
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// loadAll reads all tables of iptables into the plan, before its first
// operation: one dump of chains and one of rules a table. No operation reads
// anything again then, but for -Z, which needs the rules' expressions.
func (p *plan) loadAll() error {
	p.read = true
	names, err := p.k.Tables(p.family)
	if err != nil {
		return err
	}
	for i := range rule.Layouts {
		layout := &rule.Layouts[i]
		t := &tableState{name: layout.Table, layout: layout, asked: true, index: map[string]*chainState{}}
		for _, name := range names {
			t.exists = t.exists || name == t.name
		}
		if err := p.loadTable(t); err != nil {
			return err
		}
		p.known = append(p.known, t)
	}
	return nil
}

// loadTable reads the chains and rules of a table.
func (p *plan) loadTable(t *tableState) error {
	if err := p.allChains(t); err != nil || !t.exists {
		return err
	}
	d := newDecoder(p.family)
	var c *chainState
	err := p.k.conn.DumpRules(uint8(p.family), t.name, "", func(v *nft.RuleView) error {
		if c == nil || c.name != string(v.Chain) {
			c = t.index[string(v.Chain)]
		}
		if c == nil {
			return nil // of somebody else's base chain
		}
		r := &rule.Rule{}
		if err := d.read(v, r); err != nil {
			return err
		}
		c.rules = append(c.rules, entry{handle: v.Handle, rule: r, op: -1})
		return nil
	})
	for _, c := range t.chains {
		c.loaded = true
	}
	return err
}

// ruleset is the tables as the operations so far have made them; all rules are
// in memory.
func (p *plan) ruleset() *rule.Ruleset {
	rs := &rule.Ruleset{Family: p.family}
	for _, list := range [...][]*tableState{p.tables, p.known} {
		for _, t := range list {
			if t.exists || t.hasNew() {
				rs.Tables = append(rs.Tables, t.table())
			}
		}
	}
	return rs
}

// table is the table as it stands, with all its built-in chains.
func (t *tableState) table() *rule.Table {
	out := &rule.Table{Name: t.name}
	for i := range t.layout.Chains {
		b := &t.layout.Chains[i]
		if c := t.index[b.Hook.Chain()]; c != nil {
			out.Chains = append(out.Chains, c.chain())
		} else {
			missing := builtinChain(b)
			out.Chains = append(out.Chains, &missing)
		}
	}
	for _, c := range t.listed() {
		if c.base == nil {
			out.Chains = append(out.Chains, c.chain())
		}
	}
	return out
}

// chain is the chain as it stands.
func (c *chainState) chain() *rule.Chain {
	out := &rule.Chain{Name: c.name}
	if c.base != nil {
		*out = builtinChain(c.base)
		if !c.accepts() {
			out.Base.Policy = rule.Drop
		}
	}
	for i := len(c.head) - 1; i >= 0; i-- {
		out.Rules = append(out.Rules, c.head[i].rule)
	}
	for _, list := range [...][]entry{c.rules, c.tail} {
		for i := range list {
			out.Rules = append(out.Rules, list[i].rule)
		}
	}
	return out
}
