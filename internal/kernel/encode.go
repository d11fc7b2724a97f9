package kernel

import (
	"net/netip"

	"moat/internal/ext"
	"moat/internal/kernel/nft"
	"moat/internal/rule"
)

// encodeRule appends a rule's expressions in the order of iptables-nft 1.8.9:
// interfaces, protocol, addresses, fragment, matches, counter, target.
func encodeRule(e *ext.Encoder, r *rule.Rule) error {
	e.Rule = r
	putInterface(e.Buffer, nft.NFT_META_IIFNAME, r.In)
	putInterface(e.Buffer, nft.NFT_META_OIFNAME, r.Out)
	if !r.Proto.IsAny() {
		e.ExprMeta(nft.NFT_META_L4PROTO)
		e.ExprCmp(cmpOp(r.Proto.Not), []byte{uint8(r.Proto.Number)})
	}
	src, dst := addressOffsets(e.Family)
	putAddress(e.Buffer, src, r.Src)
	putAddress(e.Buffer, dst, r.Dst)
	putFragment(e.Buffer, r.Fragment)
	for _, m := range r.Matches {
		if err := e.Put(m.(ext.Ext)); err != nil {
			return err
		}
	}
	e.ExprCounter(r.Counters.Packets, r.Counters.Bytes)
	return putTarget(e, r.Target)
}

// cmpOp is "equal", or "not equal" when inverted.
func cmpOp(not bool) uint32 {
	if not {
		return nft.NFT_CMP_NEQ
	}
	return nft.NFT_CMP_EQ
}

// ifNameSize is IFNAMSIZ of linux/if.h.
const ifNameSize = 16

// noInterface is a name that no interface can have, which iptables-nft 1.8.9
// compares with for "! -i +": no packet matches.
const noInterface = "INVAL/D\x00"

// putInterface compares a name with its zero, or the part before '+' without.
// "+" alone loads the name and compares nothing, as iptables-nft does.
func putInterface(b *nft.Buffer, key uint32, i rule.Interface) {
	if i.Name == "" {
		return
	}
	b.ExprMeta(key)
	if n := len(i.Name) - 1; i.Name[n] == '+' {
		switch {
		case n > 0:
			b.ExprCmp(cmpOp(i.Not), []byte(i.Name[:n]))
		case i.Not:
			b.ExprCmp(nft.NFT_CMP_EQ, []byte(noInterface))
		}
		return
	}
	var name [ifNameSize + 1]byte
	n := copy(name[:ifNameSize], i.Name)
	b.ExprCmp(cmpOp(i.Not), name[:n+1])
}

// addressOffsets gives where source and destination lie in the network header
// (struct iphdr of linux/ip.h, struct ipv6hdr of linux/ipv6.h).
func addressOffsets(f rule.Family) (src, dst uint32) {
	if f == rule.IPv6 {
		return 8, 24
	}
	return 12, 16
}

// putAddress compares whole bytes of a prefix without a mask, anything else
// with one. "! 0/0" loads nothing, which the kernel refuses, as with iptables-nft.
func putAddress(b *nft.Buffer, offset uint32, a rule.Address) {
	if a.IsAny() {
		return
	}
	ip, mask := addrBytes(a.IP), addrBytes(a.Mask)
	if n := a.PrefixLen(); n >= 0 && n%8 == 0 {
		b.ExprPayload(nft.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(n/8))
		b.ExprCmp(cmpOp(a.Not), ip.b[:n/8])
		return
	}
	b.ExprPayload(nft.NFT_PAYLOAD_NETWORK_HEADER, offset, uint32(ip.n))
	b.ExprBitwise(mask.b[:mask.n])
	b.ExprCmp(cmpOp(a.Not), ip.b[:ip.n])
}

// addr is an address's bytes on the stack.
type addr struct {
	b [16]byte
	n int
}

func addrBytes(a netip.Addr) (out addr) {
	if a.Is4() {
		v := a.As4()
		out.n = copy(out.b[:], v[:])
		return out
	}
	return addr{b: a.As16(), n: 16}
}

// fragmentOffset is where struct iphdr has its fragment field, and
// fragmentMask the part of it that is not zero in second and further fragments.
const fragmentOffset = 6

var fragmentMask = [2]byte{0x1f, 0xff}

// putFragment asks for a fragment offset other than zero, or zero when inverted.
func putFragment(b *nft.Buffer, f rule.Fragment) {
	if f == rule.AnyFragment {
		return
	}
	b.ExprPayload(nft.NFT_PAYLOAD_NETWORK_HEADER, fragmentOffset, 2)
	b.ExprBitwise(fragmentMask[:])
	b.ExprCmp(cmpOp(f == rule.OnlyFragments), []byte{0, 0})
}

// putTarget appends what happens to a packet that got this far.
func putTarget(e *ext.Encoder, t rule.Target) error {
	switch t := t.(type) {
	case nil:
	case rule.Verdict:
		if t == rule.Queue {
			putQueue(e.Buffer)
			return nil
		}
		e.ExprVerdict(verdictCodes[t&3], "")
	case rule.Jump:
		code := nft.NFT_JUMP
		if t.Goto {
			code = nft.NFT_GOTO
		}
		e.ExprVerdict(code, t.Chain)
	default:
		return e.Put(t.(ext.Ext))
	}
	return nil
}

// putQueue asks for the xt target QUEUE, as iptables-nft 1.8.9 does. Kernels
// have no such target any more and refuse the rule.
func putQueue(b *nft.Buffer) {
	x := b.BeginTarget("QUEUE", 0)
	nft.NewInfo(b).Zero(4)
	b.EndXT(x)
}

// verdictCodes are the kernel's codes of the built-in targets, by rule.Verdict.
var verdictCodes = [4]int32{rule.Accept: nft.NF_ACCEPT, rule.Drop: nft.NF_DROP, rule.Queue: nft.NF_QUEUE, rule.Return: nft.NFT_RETURN}

// compat is what xt extensions are told of the rule's protocol
// (NFTA_RULE_COMPAT of linux/netfilter/nf_tables_compat.h).
func compat(r *rule.Rule) *nft.RuleCompat {
	c := &nft.RuleCompat{Proto: uint32(r.Proto.Number)}
	if r.Proto.Not {
		c.Flags = nft.NFT_RULE_COMPAT_F_INV
	}
	return c
}
