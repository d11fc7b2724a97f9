package kernel

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// commit writes the messages of the state and sends them. Their order makes
// each possible: tables; rules and then chains that go; renames; chains that
// come; rules that come; policies.
func (p *plan) commit() error {
	b := &nft.Batch{}
	if p.read {
		b.Generation = p.gen
	}
	for _, step := range [...]func(*nft.Batch, *tableState) error{
		p.putTable, p.putDeletions, p.putRenames, p.putChains, p.putRules, p.putPolicies,
	} {
		for _, t := range p.tables {
			if err := step(b, t); err != nil {
				return err
			}
		}
	}
	if p.dry {
		return nil
	}
	if b.Messages() > 0 {
		p.trace.sending(b)
		if err := p.k.send(b, p.leave); err != nil {
			return p.explain(err)
		}
	}
	return p.resetBound()
}

func (p *plan) putTable(b *nft.Batch, t *tableState) error {
	b.Tag(t.op)
	table := &nft.Table{Family: uint8(p.family), Name: t.name}
	if t.replaced && t.exists {
		b.DelTable(table)
	}
	if t.replaced && (t.exists || t.hasNew()) || t.wanted && !t.exists && t.hasNew() {
		b.AddTable(0, table)
	}
	if t.flushed && !t.replaced {
		b.FlushRules(uint8(p.family), t.name, "")
	}
	return nil
}

// hasNew reports whether the transaction makes a chain in the table, which
// needs the table to exist.
func (t *tableState) hasNew() bool {
	for _, c := range t.chains {
		if c.was == "" && !c.deleted {
			return true
		}
	}
	return false
}

func (p *plan) putDeletions(b *nft.Batch, t *tableState) error {
	for _, c := range t.chains {
		if c.flush != 0 && !t.flushed {
			b.Tag(c.flush - 1)
			b.FlushRules(uint8(p.family), t.name, c.was)
		}
		for _, e := range c.dead {
			b.Tag(e.op)
			b.DelRule(uint8(p.family), t.name, c.was, e.handle)
		}
	}
	for _, c := range t.drops {
		if c.was != "" {
			b.Tag(c.gone)
			b.DelChain(unix.NLM_F_NONREC, &nft.Chain{Family: uint8(p.family), Table: t.name, Name: c.was})
		}
	}
	return nil
}

func (p *plan) putRenames(b *nft.Batch, t *tableState) error {
	for _, c := range t.chains {
		if c.rename != 0 && !c.deleted && c.name != c.was {
			b.Tag(c.rename - 1)
			b.RenameChain(uint8(p.family), t.name, c.handle, c.name)
		}
	}
	return nil
}

// putChains makes the chains. A built-in one that somebody made meanwhile
// fails as stale rather than get its policy changed: the generation sees to it.
func (p *plan) putChains(b *nft.Batch, t *tableState) error {
	for _, c := range t.chains {
		if c.was != "" || c.deleted {
			continue
		}
		b.Tag(c.created - 1)
		flags := uint16(unix.NLM_F_EXCL) // nobody else's chain of that name is taken over
		ch := &nft.Chain{Family: uint8(p.family), Table: t.name, Name: c.name}
		if c.base != nil {
			policy := uint32(nft.NF_ACCEPT)
			ch.Hook = &nft.Hook{Num: uint32(c.base.Hook), Priority: c.base.Priority}
			ch.Type, ch.Policy = c.base.Type, &policy
			flags = 0
		}
		b.AddChain(flags, ch)
	}
	return nil
}

// putRules writes the rules that come into their places.
func (p *plan) putRules(b *nft.Batch, t *tableState) error {
	enc := &ext.Encoder{Buffer: &b.Buffer, Family: p.family, Kernel: p.k}
	for _, c := range t.chains {
		if c.deleted {
			continue
		}
		if err := p.putChainRules(b, enc, t, c); err != nil {
			return err
		}
	}
	return nil
}

// putChainRules writes new rules before the next rule that the kernel has, or at
// the end. Each goes directly before that rule, so they keep their order; at
// the head of a chain that was not read, the last goes first.
func (p *plan) putChainRules(b *nft.Batch, enc *ext.Encoder, t *tableState, c *chainState) error {
	if c.loaded {
		c.join()
	}
	for i := range c.head {
		if err := p.putRule(b, enc, t, c, &c.head[i], nft.RuleInsert, 0); err != nil {
			return err
		}
	}
	next := c.nextHandles()
	for i := range c.rules {
		e := &c.rules[i]
		var err error
		switch {
		case e.handle != 0 && e.zero != nil:
			p.putZero(b, t, c, e)
		case e.handle != 0:
		case next != nil && next[i] != 0:
			err = p.putRule(b, enc, t, c, e, nft.RuleInsert, next[i])
		default:
			err = p.putRule(b, enc, t, c, e, nft.RuleAppend, 0)
		}
		if err != nil {
			return err
		}
	}
	for i := range c.tail {
		if err := p.putRule(b, enc, t, c, &c.tail[i], nft.RuleAppend, 0); err != nil {
			return err
		}
	}
	return nil
}

// nextHandles gives, for each rule of a loaded chain, the handle of the first
// rule of the kernel at or after it, 0 if there is none; nil if there is none at all.
func (c *chainState) nextHandles() []uint64 {
	if c.was == "" {
		return nil
	}
	next := make([]uint64, len(c.rules))
	var handle uint64
	for i := len(c.rules) - 1; i >= 0; i-- {
		if c.rules[i].handle != 0 {
			handle = c.rules[i].handle
		}
		next[i] = handle
	}
	return next
}

// stored is the name by which the messages of a transaction know a chain: the
// kernel gives a renamed one its new name only when the transaction is done.
func (c *chainState) stored() string {
	if c.was != "" {
		return c.was
	}
	return c.name
}

// jumpsAsStored gives a rule whose jump names its chain as stored.
func (t *tableState) jumpsAsStored(r *rule.Rule) *rule.Rule {
	j, ok := r.Target.(rule.Jump)
	if !ok || !t.renamed {
		return r
	}
	c := t.index[j.Chain]
	if c == nil || c.stored() == j.Chain {
		return r
	}
	copied := *r
	copied.Target = rule.Jump{Chain: c.stored(), Goto: j.Goto}
	return &copied
}

func (p *plan) putRule(b *nft.Batch, enc *ext.Encoder, t *tableState, c *chainState, e *entry, flags uint16, position uint64) error {
	b.Tag(e.op)
	b.BeginRule(flags, &nft.RuleHeader{
		Family: uint8(p.family), Table: t.name, Chain: c.stored(), Position: position, Compat: compat(e.rule),
	})
	err := encodeRule(enc, t.jumpsAsStored(e.rule))
	b.EndRule()
	if err != nil {
		return &Error{Code: ExitParameter, Msg: err.Error(), Op: &p.script.Ops[e.op], Err: err}
	}
	return nil
}

// putZero replaces a rule by itself with its counter at zero.
func (p *plan) putZero(b *nft.Batch, t *tableState, c *chainState, e *entry) {
	b.Tag(e.op)
	b.AddRule(nft.RuleReplace, &nft.RuleHeader{
		Family: uint8(p.family), Table: t.name, Chain: c.stored(), Handle: e.handle, Compat: compat(e.rule), Userdata: e.userdata,
	}, e.zero)
}

// putPolicies sets policies and their counters last, so that a policy of DROP
// comes with the rules that it needs. (It is one transaction all the same.)
func (p *plan) putPolicies(b *nft.Batch, t *tableState) error {
	for _, c := range t.chains {
		if c.base == nil || c.deleted || c.wants == nil && !c.zeroed {
			continue
		}
		policy := c.policy
		counters := &nft.Counters{}
		if c.wants != nil {
			b.Tag(p.index(c.wants))
			code := policyCode(c.wants.Policy)
			policy = &code
			if n := c.wants.Counters; n != nil && !c.zeroed {
				counters.Packets, counters.Bytes = n.Packets, n.Bytes
			}
		}
		b.AddChain(0, &nft.Chain{
			Family: uint8(p.family), Table: t.name, Name: c.stored(),
			Hook: &nft.Hook{Num: uint32(c.base.Hook), Priority: c.base.Priority}, Type: c.base.Type,
			Policy: policy, Counters: counters,
		})
	}
	return nil
}

func policyCode(v rule.Verdict) uint32 {
	if v == rule.Drop {
		return uint32(nft.NF_DROP)
	}
	return uint32(nft.NF_ACCEPT)
}

// index is the place of an operation in the script.
func (p *plan) index(op *change.Op) int {
	for i := range p.script.Ops {
		if &p.script.Ops[i] == op {
			return i
		}
	}
	return 0
}

// resetBound resets, after the transaction, counters of rules that cannot be
// replaced because they refer to sets.
func (p *plan) resetBound() error {
	for _, t := range p.tables {
		for _, c := range t.chains {
			for i := range c.rules {
				if !c.rules[i].reset {
					continue
				}
				err := p.k.conn.ResetRule(uint8(p.family), t.name, c.name, c.rules[i].handle,
					func(*nft.RuleView) error { return nil })
				if err != nil && !nft.IsNotFound(err) {
					return err
				}
			}
		}
	}
	return nil
}

// explain gives the kernel's refusal iptables' words: which operation, on what.
func (p *plan) explain(err error) error { return explain(p.script, err) }

func explain(s *change.Script, err error) error {
	var c *nft.CommitError
	if !errors.As(err, &c) || nft.IsStale(err) || len(c.Errors) == 0 {
		return err
	}
	first := firstFailure(c)
	e := &Error{Code: ExitResource, Err: err, Failed: true, Op: blame(s, first)}
	if e.Op == nil {
		e.Msg = "the change was refused (" + errnoText(first.Errno) + ")"
		return e
	}
	name, what := verb(e.Op)
	e.Msg = fmt.Sprintf("%s failed (%s): %s", name, errnoText(first.Errno), what)
	return e
}

// firstFailure is the error of the earliest operation: messages have another
// order than operations.
func firstFailure(c *nft.CommitError) *nft.MessageError {
	first := &c.Errors[0]
	for i := range c.Errors {
		if e := &c.Errors[i]; e.Tag >= 0 && (first.Tag < 0 || e.Tag < first.Tag) {
			first = e
		}
	}
	return first
}

// blame finds the operation at fault. A loop of jumps, or too many nested ones,
// the kernel reports of the transaction as a whole: the last jump closed it.
func blame(s *change.Script, e *nft.MessageError) *change.Op {
	if e.Tag >= 0 && e.Tag < len(s.Ops) {
		return &s.Ops[e.Tag]
	}
	if len(s.Ops) == 1 {
		return &s.Ops[0]
	}
	if e.Errno != unix.ELOOP && e.Errno != unix.EMLINK {
		return nil
	}
	for i := len(s.Ops) - 1; i >= 0; i-- {
		if r := s.Ops[i].Rule; r != nil {
			if _, jumps := r.Target.(rule.Jump); jumps {
				return &s.Ops[i]
			}
		}
	}
	return nil
}
