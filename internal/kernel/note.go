package kernel

import (
	"cmp"
	"slices"

	"moat/internal/change"
)

// Note is a line that -v prints: a rule that was put or found (Chain empty, the
// rule is the operation's), or a chain that Kind was done to.
type Note struct {
	Op    *change.Op
	Kind  change.Kind
	Chain string
}

func (p *plan) note(op *change.Op, chain string) {
	if p.notes != nil {
		*p.notes = append(*p.notes, Note{Op: op, Kind: op.Kind, Chain: chain})
	}
}

// listed gives the chains of a table in the order in which they are listed:
// built-in ones by hook, the kernel's others by name, then new ones as they came.
func (t *tableState) listed() []*chainState {
	var chains []*chainState
	for _, c := range t.chains {
		if !c.deleted {
			chains = append(chains, c)
		}
	}
	slices.SortStableFunc(chains, func(a, b *chainState) int {
		if a.order() != b.order() || a.order() == lastNew {
			return cmp.Compare(a.order(), b.order())
		}
		return cmp.Compare(a.name, b.name)
	})
	return chains
}

// lastUser and lastNew order chains behind the built-in ones, which have their hook's number.
const (
	lastUser = 100
	lastNew  = 101
)

func (c *chainState) order() int {
	switch {
	case c.base != nil:
		return int(c.base.Hook)
	case c.was != "":
		return lastUser
	}
	return lastNew
}

// noteFlush notes each chain that a flush of the whole table touches. For that,
// iptables-nft 1.8.9 makes the built-in chains that are not there.
func (p *plan) noteFlush(t *tableState, op *change.Op, i int) error {
	if p.notes == nil {
		return nil
	}
	if err := p.allChains(t); err != nil {
		return err
	}
	for j := range t.layout.Chains {
		if _, err := p.need(t, &change.Op{Table: op.Table, Chain: t.layout.Chains[j].Hook.Chain()}, i); err != nil {
			return err
		}
	}
	for _, c := range t.listed() {
		p.note(op, c.name)
	}
	return nil
}

// noteReplace notes the chains of a table that begins anew: all built-in ones
// and the user-defined ones are flushed, and those then deleted.
func (p *plan) noteReplace(t *tableState) error {
	if p.notes == nil {
		return nil
	}
	if err := p.allChains(t); err != nil {
		return err
	}
	var users []string
	for _, c := range t.listed() {
		if c.base == nil {
			users = append(users, c.name)
		}
	}
	for j := range t.layout.Chains {
		*p.notes = append(*p.notes, Note{Op: p.op, Kind: change.Flush, Chain: t.layout.Chains[j].Hook.Chain()})
	}
	for _, kind := range [...]change.Kind{change.Flush, change.DeleteChain} {
		for _, name := range users {
			*p.notes = append(*p.notes, Note{Op: p.op, Kind: kind, Chain: name})
		}
	}
	return nil
}
