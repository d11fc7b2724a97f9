package kernel

import (
	"bytes"
	"encoding/binary"
	"slices"

	"moat/internal/kernel/nft"
)

// loadCounted reads a chain's rules and notes, for those that have counted (or
// for rule number only, from 0), their expressions with the counter at zero.
func (p *plan) loadCounted(t *tableState, c *chainState, only, op int) error {
	if err := p.load(t, c, true); err != nil || c.was == "" {
		return err
	}
	place := map[uint64]*entry{}
	for at := range c.rules {
		if e := &c.rules[at]; e.handle != 0 && (only < 0 || at == only) {
			place[e.handle] = e
		}
	}
	if len(place) == 0 {
		return nil
	}
	return p.dump(t, c, func(v *nft.RuleView) error {
		e := place[v.Handle]
		if e == nil {
			return nil
		}
		list, counted, bound := zeroCounter(v.Expressions)
		switch {
		case !counted:
		case bound:
			e.reset = true
		default:
			e.zero, e.userdata, e.op = list, slices.Clone(v.Userdata), op
		}
		return nil
	})
}

// boundChain begins the name that the kernel gives to a chain without one,
// which belongs to the rule that jumps to it ("jump { … }" of nft).
const boundChain = "__chain"

// zeroCounter copies a list of expressions with its counters at zero. counted
// says whether one was not zero before; bound, that the rule refers to a set or
// owns a chain, of which a second reference may be refused, so that it cannot
// be replaced by its copy.
func zeroCounter(list []byte) (out []byte, counted, bound bool) {
	out = append([]byte(nil), list...)
	for x := nft.NewExprs(out); x.Next(); {
		e := x.Expr()
		switch e.Name {
		case "counter":
			packets, bytes := e.Counter()
			counted = counted || packets != 0 || bytes != 0
			for a := nft.NewAttrs(e.Data); a.Next(); {
				if v := a.Bytes(); len(v) == 8 {
					binary.BigEndian.PutUint64(v, 0)
				}
			}
		case "lookup", "dynset", "objref":
			bound = true
		case "immediate":
			bound = bound || bytes.Contains(e.Data, []byte(boundChain))
		}
	}
	return out, counted, bound
}
