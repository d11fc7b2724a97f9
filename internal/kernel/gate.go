package kernel

import (
	"errors"

	"moat/internal/change"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// Gate stands on the only way of a change to the kernel: nothing is sent that it
// was not asked about. Package guard has the one that keeps admins from cutting
// themselves off.
type Gate interface {
	// Watches is the cheap question, asked of a script alone: can it matter to
	// whom the gate protects? What it does not watch is made at once.
	Watches(s *change.Script) bool
	// Judge is asked of a change that the gate watches, with the tables of one
	// generation; the change is made only while they are as c says. An error
	// refuses the change, and is what Apply gives. made, unless it is nil, is
	// called once the change was made. Judge may be asked again about the same
	// script when another writer was faster.
	Judge(c *Change) (made func(), err error)
}

// Change is a change that is about to be made.
type Change struct {
	Script *change.Script
	// Before and After are all tables of the family that the kernel has, without
	// and with the change. References to sets are indexes, as in the kernel.
	Before, After *rule.Ruleset

	kernel *Kernel
}

// Predict gives what another script would make of a ruleset of the kernel, or
// the *change.Refused with which it stops.
func (c *Change) Predict(rs *rule.Ruleset, s *change.Script) (*rule.Ruleset, error) {
	return c.kernel.Predict(rs, s)
}

// Predict gives what Apply would make of tables that were read from the kernel:
// change.Apply with rules as the kernel gives them back, so that -D and -C find
// what was written in another way.
func (k *Kernel) Predict(rs *rule.Ruleset, s *change.Script) (*rule.Ruleset, error) {
	copied := change.Script{Family: s.Family, Ops: make([]change.Op, len(s.Ops))}
	for i, op := range s.Ops {
		if op.Rule != nil {
			counters := op.Rule.Counters
			if read := k.canonical(s.Family, op.Rule); read != op.Rule {
				op.Rule, read.Counters = read, counters
			}
		}
		copied.Ops[i] = op
	}
	return change.Apply(rs, copied)
}

// Unguarded is the gate that lets everything through: for a way back that must
// never be barred, and for tests.
var Unguarded Gate = unguarded{}

type unguarded struct{}

func (unguarded) Watches(*change.Script) bool   { return false }
func (unguarded) Judge(*Change) (func(), error) { return nil, nil }

// ErrReadOnly is the answer of a Kernel that was opened to read.
var ErrReadOnly = errors.New("the firewall was opened to read it, not to change it")

// leave is a gate's leave for one transaction.
type leave struct{ made func() }

// watches asks the cheap question.
func (k *Kernel) watches(s *change.Script) (bool, error) {
	if k.gate == nil {
		return false, ErrReadOnly
	}
	return k.gate.Watches(s), nil
}

// send is the only way of a transaction to the kernel.
func (k *Kernel) send(b *nft.Batch, l leave) error {
	if k.gate == nil {
		return ErrReadOnly
	}
	if err := k.conn.Commit(b); err != nil {
		return err
	}
	if l.made != nil {
		l.made()
	}
	return nil
}

// judge asks the gate about the plan, which has read all tables.
func (p *plan) judge(before *rule.Ruleset) error {
	now, err := p.k.conn.Generation()
	switch {
	case err != nil:
		return err
	case now != p.gen: // what was read may be of two states that never were one
		return nft.ErrInterrupted
	}
	p.leave.made, err = p.k.gate.Judge(&Change{Script: p.script, Before: before, After: p.ruleset(), kernel: p.k})
	return err
}

// Judge gives the gate's answer to a script, and the refusal of Check, without
// changing anything.
func (k *Kernel) Judge(s *change.Script) error {
	watched, err := k.watches(s)
	if err != nil {
		return err
	}
	return k.dry(s, watched)
}
