package guard

import (
	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/simulate"
)

// harmless reports whether an operation can cut off nobody, whoever there is.
func harmless(op *change.Op) bool {
	if op.Chain == rule.Forward.Chain() { // who works on this host is not forwarded
		return true
	}
	switch op.Kind {
	case change.Append, change.Insert:
		return addsNoHarm(op.Table, op.Rule)
	case change.Delete:
		return takesNoHarm(op.Table, op.Rule)
	case change.SetPolicy:
		return op.Policy == rule.Accept
	case change.Replace, change.DeleteNum, change.Flush, change.DeclareChain, change.ReplaceTable:
		return false
	}
	return true
}

// addsNoHarm reports whether a new rule only lets packets through, or does
// nothing to them. In other tables than these two an ACCEPT keeps a packet from
// rules that it may need, such as a translation.
func addsNoHarm(table string, r *rule.Rule) bool {
	if !simulate.Changes(r) {
		return true
	}
	return r.Target == rule.Accept && (table == "filter" || table == "security")
}

// takesNoHarm reports whether a rule that goes did nothing but keep packets out.
func takesNoHarm(table string, r *rule.Rule) bool {
	if !simulate.Changes(r) {
		return true
	}
	if table == "nat" {
		return false
	}
	if e, ok := r.Target.(ext.Ender); ok {
		return e.Fate() == ext.Drops || e.Fate() == ext.Rejects
	}
	return r.Target == rule.Drop
}

// touches reports whether an operation that is not harmless can matter to a
// party: it reaches into the rules in a way that only the whole ruleset tells,
// or its rule may match one of the party's packets.
func (p *party) touches(op *change.Op) bool {
	switch op.Kind {
	case change.Append, change.Insert, change.Delete:
		return p.matches(op.Chain, op.Rule)
	}
	return true
}

// matches reports whether a rule may match one of the party's packets, in
// whatever state of its connection. In a user-defined chain it may meet those of
// both directions.
func (p *party) matches(chain string, r *rule.Rule) bool {
	in, out := true, true
	switch chain {
	case rule.Prerouting.Chain(), rule.Input.Chain():
		out = false
	case rule.Output.Chain(), rule.Postrouting.Chain():
		in = false
	}
	for i := range p.outline {
		o := &p.outline[i]
		if (o.Hook == rule.Input && in || o.Hook == rule.Output && out) && simulate.Match(r, o) != packet.No {
			return true
		}
	}
	return false
}
