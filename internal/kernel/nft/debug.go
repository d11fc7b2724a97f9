package nft

import (
	"encoding/binary"
	"strconv"
)

// The text form of objects and expressions is that of iptables-nft -vv and of
// nft --debug=netlink, found by experiment (libnftnl 1.2.4).

// AppendDebug appends the text form of each message of the batch. erased gives
// the text of a rule that is deleted by its handle, which is all the message has.
func (b *Batch) AppendDebug(out []byte, erased func(handle uint64) []byte) []byte {
	var at cursor
	for i := range b.count {
		p := at.find(b, i)
		if len(p) < headerLen+genHeaderLen {
			return out
		}
		m := Message{Type: uint8(binary.NativeEndian.Uint16(p[4:])), Family: p[headerLen], Attrs: p[headerLen+genHeaderLen:]}
		out = appendDebugMessage(out, m, erased)
	}
	return out
}

func appendDebugMessage(out []byte, m Message, erased func(uint64) []byte) []byte {
	switch m.Type {
	case NFT_MSG_NEWTABLE, NFT_MSG_DELTABLE:
		var t Table
		if t.Decode(m) == nil {
			out = append(out, "table "+t.Name+" "+FamilyName(m.Family)+" flags 0 use 0 handle 0\n"...)
		}
	case NFT_MSG_NEWCHAIN, NFT_MSG_DELCHAIN:
		var c Chain
		if c.Decode(m) == nil {
			out = AppendDebugChain(out, &c)
		}
	case NFT_MSG_NEWRULE:
		var r RuleView
		if r.Decode(m) == nil {
			out = AppendDebugRule(out, &r)
		}
	case NFT_MSG_DELRULE:
		var r RuleView
		switch {
		case r.Decode(m) != nil:
		case r.Handle != 0:
			out = append(out, erased(r.Handle)...)
		default:
			out = append(append(out, r.Table...), ' ')
			out = append(append(out, r.Chain...), "\n\n"...)
		}
	}
	return out
}

// AppendDebugChain appends the text form of a chain.
func AppendDebugChain(out []byte, c *Chain) []byte {
	out = append(out, FamilyName(c.Family)+" "+c.Table+" "+c.Name+" use "...)
	out = strconv.AppendUint(out, uint64(c.Use), 10)
	if c.Hook != nil {
		out = append(out, " type "+c.Type+" hook "+debugName(debugHooks[:], c.Hook.Num)+" prio "...)
		out = strconv.AppendInt(out, int64(c.Hook.Priority), 10)
		policy := " policy accept"
		if c.Policy != nil && *c.Policy == uint32(NF_DROP) {
			policy = " policy drop"
		}
		out = append(out, policy...)
		var n Counters
		if c.Counters != nil {
			n = *c.Counters
		}
		out = appendField(out, " packets ", n.Packets)
		out = appendField(out, " bytes ", n.Bytes)
	}
	if c.Flags != 0 {
		out = appendField(out, " flags ", uint64(c.Flags))
	}
	return append(out, '\n')
}

var debugHooks = [...]string{"prerouting", "input", "forward", "output", "postrouting", "ingress"}

// debugName is the name of a number, or "unknown".
func debugName(names []string, n uint32) string {
	if n < uint32(len(names)) && names[n] != "" {
		return names[n]
	}
	return "unknown"
}

func appendField(out []byte, name string, v uint64) []byte {
	return strconv.AppendUint(append(out, name...), v, 10)
}

// AppendDebugRule appends the text form of a rule: where it is, a line for each
// of its expressions, and an empty line.
func AppendDebugRule(out []byte, r *RuleView) []byte {
	out = append(out, FamilyName(r.Family)+" "...)
	out = append(append(out, r.Table...), ' ')
	out = append(out, r.Chain...)
	for _, n := range [...]uint64{r.Handle, r.Position} {
		if n != 0 {
			out = appendField(out, " ", n)
		}
	}
	out = append(out, '\n')
	for x := NewExprs(r.Expressions); x.Next(); {
		out = append(out, "  [ "...)
		out = appendDebugExpr(out, x.Expr())
		out = append(out, " ]\n"...)
	}
	return append(out, '\n')
}
