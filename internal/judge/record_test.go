package judge

import (
	"encoding/binary"
	"fmt"
	"net/netip"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// judgeTable is the table of the tests' own rules on the host.
const judgeTable = "judge"

// Priorities of its chains: before all tables of iptables, and behind them but
// before the kernel confirms connections (INT_MAX).
const (
	priorityFirst = -1000
	priorityLast  = 2147483000
)

// records are the sets into which the last chains write what came so far, by hook.
var records = [...]struct {
	set  string
	hook rule.Hook
}{{"input", rule.Input}, {"postrouting", rule.Postrouting}}

// addJudge makes the table: what comes to the end of INPUT or POSTROUTING is
// recorded and dropped, and of what the host sends only what has a socket of a
// program gets past the beginning of OUTPUT: no answers of the kernel's own.
func (h *host) addJudge() error {
	var b nft.Batch
	f := uint8(h.family)
	b.AddTable(0, &nft.Table{Family: f, Name: judgeTable})
	drop, accept := uint32(nft.NF_DROP), uint32(nft.NF_ACCEPT)
	b.AddChain(0, &nft.Chain{
		Family: f, Table: judgeTable, Name: "first", Type: "filter", Policy: &drop,
		Hook: &nft.Hook{Num: uint32(rule.Output), Priority: priorityFirst},
	})
	b.BeginRule(nft.RuleAppend, &nft.RuleHeader{Family: f, Table: judgeTable, Chain: "first"})
	b.ExprMeta(nft.NFT_META_SKUID) // breaks without a program's socket
	b.ExprVerdict(nft.NF_ACCEPT, "")
	b.EndRule()
	for i, r := range records {
		set := &nft.Set{
			Family: f, Table: judgeTable, Name: r.set, ID: uint32(i + 1), Size: 65535,
			Flags: nft.NFT_SET_EVAL, KeyLen: uint32(h.headerLen() + 8),
		}
		b.AddSet(0, set)
		b.AddChain(0, &nft.Chain{
			Family: f, Table: judgeTable, Name: r.set, Type: "filter", Policy: &accept,
			Hook: &nft.Hook{Num: uint32(r.hook), Priority: priorityLast},
		})
		for _, transport := range []bool{true, false} {
			h.record(&b, set, transport)
		}
	}
	if h.tracked {
		h.trackAll(&b)
	}
	return h.commit(&b)
}

// headerLen is the length of the network header without options.
func (h *host) headerLen() int {
	if h.family == rule.IPv6 {
		return 40
	}
	return 20
}

// record appends the rule that puts a packet's header, mark and first bytes of
// the transport header into a set and drops it. Packets that have no transport
// header break the first of both rules and get zeros from the second.
func (h *host) record(b *nft.Batch, set *nft.Set, transport bool) {
	n := uint32(h.headerLen())
	b.BeginRule(nft.RuleAppend, &nft.RuleHeader{Family: set.Family, Table: judgeTable, Chain: set.Name})
	load(&b.Buffer, nft.NFT_PAYLOAD_NETWORK_HEADER, n, nft.NFT_REG32_00)
	if transport {
		load(&b.Buffer, nft.NFT_PAYLOAD_TRANSPORT_HEADER, 4, nft.NFT_REG32_00+n/4)
	} else {
		raw(&b.Buffer, "immediate", func(d *nft.Buffer) {
			d.AttrBE32(nft.NFTA_IMMEDIATE_DREG, nft.NFT_REG32_00+n/4)
			at := d.Begin(nft.NFTA_IMMEDIATE_DATA)
			d.AttrBytes(nft.NFTA_DATA_VALUE, make([]byte, 4))
			d.End(at)
		})
	}
	raw(&b.Buffer, "meta", func(d *nft.Buffer) {
		d.AttrBE32(nft.NFTA_META_KEY, nft.NFT_META_MARK)
		d.AttrBE32(nft.NFTA_META_DREG, nft.NFT_REG32_00+n/4+1)
	})
	raw(&b.Buffer, "dynset", func(d *nft.Buffer) {
		d.AttrString(dynsetSetName, set.Name)
		d.AttrBE32(dynsetSetID, set.ID)
		d.AttrBE32(dynsetOp, 0) // NFT_DYNSET_OP_ADD
		d.AttrBE32(dynsetKeyReg, nft.NFT_REG32_00)
	})
	b.ExprVerdict(nft.NF_DROP, "")
	b.EndRule()
}

// Attributes of the dynset expression, NFTA_DYNSET_* of linux/netfilter/nf_tables.h.
const (
	dynsetSetName = 1
	dynsetSetID   = 2
	dynsetOp      = 3
	dynsetKeyReg  = 4
)

// load loads the first n bytes of a header into registers.
func load(b *nft.Buffer, base, n, reg uint32) {
	raw(b, "payload", func(d *nft.Buffer) {
		d.AttrBE32(nft.NFTA_PAYLOAD_DREG, reg)
		d.AttrBE32(nft.NFTA_PAYLOAD_BASE, base)
		d.AttrBE32(nft.NFTA_PAYLOAD_OFFSET, 0)
		d.AttrBE32(nft.NFTA_PAYLOAD_LEN, n)
	})
}

// raw appends an expression of which the codec has no form of its own.
func raw(b *nft.Buffer, name string, attrs func(*nft.Buffer)) {
	var d nft.Buffer
	attrs(&d)
	b.ExprRaw(name, d.Bytes())
}

// trackAll adds a chain that asks for the connection, which makes the kernel
// look each packet's connection up.
func (h *host) trackAll(b *nft.Batch) {
	f := uint8(h.family)
	b.AddChain(0, &nft.Chain{Family: f, Table: judgeTable, Name: "track"})
	b.BeginRule(nft.RuleAppend, &nft.RuleHeader{Family: f, Table: judgeTable, Chain: "track"})
	raw(&b.Buffer, "ct", func(d *nft.Buffer) {
		d.AttrBE32(nft.NFTA_CT_KEY, nft.NFT_CT_STATE)
		d.AttrBE32(nft.NFTA_CT_DREG, nft.NFT_REG_1)
	})
	b.EndRule()
}

func (h *host) commit(b *nft.Batch) error {
	if err := h.conn.Commit(b); err != nil {
		return fmt.Errorf("the tests' own table: %w", err)
	}
	return nil
}

// outcome is what the end of a hook saw of a packet.
type outcome struct {
	hook   rule.Hook
	header []byte // network header
	ports  uint32 // first four bytes of the transport header; zero without one
	mark   uint32
}

// number is the packet's number, which build puts into the header.
func (o *outcome) number() int {
	if len(o.header) == 40 {
		return int(binary.BigEndian.Uint32(o.header) & 0xfffff)
	}
	return int(binary.BigEndian.Uint16(o.header[4:]))
}

// fields are what rules may have changed.
func (o *outcome) fields() packet.Packet {
	b := o.header
	if len(b) == 40 {
		src, dst := netip.AddrFrom16([16]byte(b[8:])), netip.AddrFrom16([16]byte(b[24:]))
		return packet.Packet{Src: src, Dst: dst, TOS: b[0]<<4 | b[1]>>4, TTL: b[7], Mark: o.mark}
	}
	src, dst := netip.AddrFrom4([4]byte(b[12:])), netip.AddrFrom4([4]byte(b[16:]))
	return packet.Packet{Src: src, Dst: dst, TOS: b[1], TTL: b[8], Mark: o.mark}
}

// takeOutcomes gives the packets that came to an end of a hook since the last
// call, by their numbers.
func (h *host) takeOutcomes() (map[int]outcome, error) {
	got := map[int]outcome{}
	var b nft.Batch
	for _, r := range records {
		ref := nft.SetRef{Family: uint8(h.family), Table: judgeTable, Set: r.set}
		err := h.conn.DumpElements(ref, func(e *nft.Element) error {
			n := h.headerLen()
			o := outcome{hook: r.hook, header: append([]byte(nil), e.Key[:n]...)}
			o.ports, o.mark = binary.BigEndian.Uint32(e.Key[n:]), binary.NativeEndian.Uint32(e.Key[n+4:])
			if was, twice := got[o.number()]; twice {
				return fmt.Errorf("packet %d came to an end twice: %v and %v", o.number(), was, o)
			}
			got[o.number()] = o
			return nil
		})
		if err != nil {
			return nil, err
		}
		b.FlushElements(ref)
	}
	return got, h.commit(&b)
}
