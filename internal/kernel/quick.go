package kernel

import (
	"errors"

	"moat/internal/change"
	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// quick tries a script that only appends rules, or puts them first, without
// reading anything: one message a rule, in a transaction that depends on no
// generation. It reports false when the long way has to be gone: because the
// script does something else, or because the kernel refused, for which the long
// way finds the right words or makes the chain that was missing.
func (k *Kernel) quick(s *change.Script) (done bool, err error) {
	if len(s.Ops) == 0 || len(s.Ops) > maxQuick {
		return false, nil
	}
	for i := range s.Ops {
		op := &s.Ops[i]
		if op.Kind != change.Append && (op.Kind != change.Insert || op.Num > 1) ||
			op.Table != s.Ops[0].Table || op.Chain != s.Ops[0].Chain {
			return false, nil
		}
	}
	if ours, err := k.standsAsBuiltin(s.Family, &s.Ops[0]); !ours || err != nil {
		return err != nil, permission(err)
	}
	b := &nft.Batch{}
	enc := &ext.Encoder{Buffer: &b.Buffer, Family: s.Family, Kernel: k}
	for i := range s.Ops {
		op := &s.Ops[i]
		flags := uint16(nft.RuleAppend)
		if op.Kind == change.Insert {
			flags = nft.RuleInsert
		}
		b.Tag(i)
		b.BeginRule(flags, &nft.RuleHeader{Family: uint8(s.Family), Table: op.Table, Chain: op.Chain, Compat: compat(op.Rule)})
		err := encodeRule(enc, op.Rule)
		b.EndRule()
		if err != nil {
			return true, &Error{Code: ExitParameter, Msg: err.Error(), Op: op, Err: err}
		}
	}
	err = k.send(b, leave{})
	var refused *nft.CommitError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &refused) && !nft.IsPermission(err):
		return false, nil
	}
	return true, permission(err)
}

// standsAsBuiltin reports whether an operation's chain is there and, if it has
// the name of a built-in one, is that: iptables never appends to the base chain
// of somebody else.
func (k *Kernel) standsAsBuiltin(f rule.Family, op *change.Op) (bool, error) {
	layout := rule.FindLayout(op.Table)
	if layout == nil {
		return false, nil
	}
	c, err := k.conn.GetChain(uint8(f), op.Table, op.Chain)
	switch {
	case nft.IsNotFound(err):
		return false, nil
	case err != nil:
		return false, err
	}
	b := layout.Builtin(op.Chain)
	return b == nil && c.Hook == nil || b != nil && isBuiltin(b, &c), nil
}

// maxQuick bounds the quick way: a command has as many rules as its -s and -d
// lists make. Longer scripts lose nothing by the long way.
const maxQuick = 64
