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
	if hook, ok := hookOf(op); ok && hook == rule.Forward { // who works on this host is not forwarded
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
		return p.matches(op)
	}
	return true
}

// hookOf is the hook at which a built-in chain stands. A table without it may
// have a chain of the admin's under the same name.
func hookOf(op *change.Op) (rule.Hook, bool) {
	layout := rule.FindLayout(op.Table)
	if layout == nil {
		return 0, false
	}
	b := layout.Builtin(op.Chain)
	if b == nil {
		return 0, false
	}
	return b.Hook, true
}

// matches reports whether an operation's rule may match one of the party's packets, in
// whatever state of its connection. In a user-defined chain it may meet those of
// both directions.
func (p *party) matches(op *change.Op) bool {
	x := portRuleOf(op)
	for i := range p.outline {
		o := &p.outline[i]
		if (o.Hook == rule.Input && x.in || o.Hook == rule.Output && x.out) && simulate.Match(op.Rule, o) != packet.No {
			return true
		}
	}
	return p.tells(x)
}
