package change

import (
	"cmp"
	"slices"

	"moat/internal/ext"
	"moat/internal/rule"
)

// Refused says which operation of a script cannot be done, and why.
type Refused struct {
	Op  *Op
	Msg string // one of the texts of this package
}

// Error is the text without the operation.
func (r *Refused) Error() string { return r.Msg }

// Apply gives what a script makes of a ruleset, or the *Refused with which it
// stops; rs stays as it is. It is what the kernel package does in a
// transaction, without a kernel: a rule that only the kernel can refuse (a
// target in a chain that is not for it, jumps in a circle) is taken.
//
// A built-in chain that is missing from its table is one that the kernel does
// not have: -Z, -R and -X refuse it. A name that the script takes from a chain
// is free for another one only after the transaction. The result has the tables of rs and those
// that the script makes something of, each with all its built-in chains.
func Apply(rs *rule.Ruleset, s Script) (*rule.Ruleset, error) {
	a := applier{tables: map[string]*tableChange{}}
	for _, t := range rs.Tables {
		a.tables[t.Name] = begin(t)
		a.order = append(a.order, t.Name)
	}
	for i := range s.Ops {
		op := &s.Ops[i]
		if msg := a.step(op); msg != "" {
			return nil, &Refused{Op: op, Msg: msg}
		}
	}
	out := &rule.Ruleset{Family: rs.Family}
	for _, name := range a.order {
		out.Tables = append(out.Tables, a.tables[name].finish())
	}
	return out, nil
}

// applier is the tables as the operations so far have made them.
type applier struct {
	tables map[string]*tableChange
	order  []string // their names, in the order of the result
}

// tableChange is one table in the making.
type tableChange struct {
	name   string
	layout *rule.Layout // nil for a table that iptables does not know
	chains map[string]*rule.Chain
	was    map[*rule.Chain]string // the names of the chains that were there before the script
}

// begin copies a table so far that its chains can change; the rules are shared.
func begin(t *rule.Table) *tableChange {
	out := &tableChange{name: t.Name, layout: rule.FindLayout(t.Name), chains: map[string]*rule.Chain{}, was: map[*rule.Chain]string{}}
	for _, c := range t.Chains {
		copied := *c
		if c.Base != nil {
			base := *c.Base
			copied.Base = &base
		}
		copied.Rules = slices.Clone(c.Rules)
		out.chains[c.Name] = &copied
		out.was[&copied] = c.Name
	}
	return out
}

// finish gives the table with its chains in the order in which they are listed.
func (t *tableChange) finish() *rule.Table {
	out := &rule.Table{Name: t.name}
	for _, c := range t.chains {
		out.Chains = append(out.Chains, c)
	}
	if t.layout != nil {
		for i := range t.layout.Chains {
			if b := &t.layout.Chains[i]; t.chains[b.Hook.Chain()] == nil {
				out.Chains = append(out.Chains, builtin(b))
			}
		}
	}
	slices.SortFunc(out.Chains, func(a, b *rule.Chain) int {
		return cmp.Or(cmp.Compare(listed(a), listed(b)), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// listed is a chain's place in a listing: built-in ones by hook, then the others.
func listed(c *rule.Chain) int {
	if c.Base == nil {
		return 1 + int(rule.Postrouting)
	}
	return int(c.Base.Hook)
}

func builtin(b *rule.Builtin) *rule.Chain {
	return &rule.Chain{Name: b.Hook.Chain(), Base: &rule.Base{Hook: b.Hook, Priority: b.Priority, Type: b.Type}}
}

// need gives a chain, and makes a built-in one that is not there.
func (t *tableChange) need(name string) *rule.Chain {
	if c := t.chains[name]; c != nil {
		return c
	}
	b := t.layout.Builtin(name)
	if b == nil {
		return nil
	}
	t.chains[name] = builtin(b)
	return t.chains[name]
}

// step does one operation and gives the text of its refusal, "" if it is done.
func (a *applier) step(op *Op) string {
	layout := rule.FindLayout(op.Table)
	if layout == nil {
		return NoTable(op.Table)
	}
	t := a.tables[op.Table]
	if t == nil {
		t = &tableChange{name: op.Table, layout: layout, chains: map[string]*rule.Chain{}}
		a.tables[op.Table] = t
		a.order = append(a.order, op.Table)
	}
	switch op.Kind {
	case OpenTable:
		return ""
	case OpenChain:
		t.need(op.Chain)
		return ""
	case ReplaceTable:
		t.chains = map[string]*rule.Chain{}
		return ""
	case Append, Insert, Replace, Delete, DeleteNum, Check:
		return t.rule(op)
	}
	return t.chain(op)
}

// rule does an operation on one rule.
func (t *tableChange) rule(op *Op) string {
	if op.Rule != nil {
		if j, ok := op.Rule.Target.(rule.Jump); ok && t.chains[j.Chain] == nil && t.layout.Builtin(j.Chain) == nil {
			return NoTarget(j.Chain)
		}
	}
	switch op.Kind {
	case Append, Insert:
		return t.add(op)
	case Delete, Check:
		return t.byRule(op)
	}
	return t.byNumber(op)
}

func (t *tableChange) add(op *Op) string {
	c := t.need(op.Chain)
	if c == nil {
		return NoChain
	}
	at := len(c.Rules)
	if op.Kind == Insert {
		at = max(op.Num, 1) - 1
	}
	if at > len(c.Rules) {
		return InsertTooBig
	}
	c.Rules = slices.Insert(c.Rules, at, op.Rule)
	return ""
}

// byRule does -D and -C of a rule by its text.
func (t *tableChange) byRule(op *Op) string {
	c := t.chains[op.Chain]
	if c == nil {
		return BadRule
	}
	at := slices.IndexFunc(c.Rules, func(r *rule.Rule) bool { return !r.Foreign && ext.EqualRules(r, op.Rule) })
	if at < 0 {
		return BadRule
	}
	if op.Kind == Delete {
		c.Rules = slices.Delete(c.Rules, at, at+1)
	}
	return ""
}

// byNumber does -R, and -D of a rule number.
func (t *tableChange) byNumber(op *Op) string {
	c := t.chains[op.Chain]
	if c == nil {
		return NoChain
	}
	at := op.Num - 1
	inside := at >= 0 && at < len(c.Rules)
	switch {
	case !inside && op.Kind == Replace:
		return ReplaceTooBig
	case !inside:
		return DeleteTooBig
	case op.Kind == Replace:
		c.Rules[at] = op.Rule
	default:
		c.Rules = slices.Delete(c.Rules, at, at+1)
	}
	return ""
}
