package ext

// mark (the match): iptables-extensions(8), "mark".
// UAPI: linux/netfilter/xt_mark.h, struct xt_mark_mtinfo1, revision 1, read only:
// iptables-nft 1.8.9 writes nf_tables expressions.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// MarkMatch matches the packet's mark: mark AND Mask equals Value.
type MarkMatch struct {
	Value, Mask uint32
	Not         bool
}

var markMatch = Def{
	Name: "mark", Kind: Match, Families: Both,
	Summary: "the packet's mark",
	Options: []Option{
		{Name: "mark", Value: "VALUE[/MASK]", Not: true, Required: true, Help: "the mark, ANDed with MASK, is VALUE"},
	},
	Revisions: []Revision{{Rev: 1, Size: 12}},
	New:       func(rule.Family) Ext { return &MarkMatch{Mask: 1<<32 - 1} },
	Native:    markNative,
}

func init() { register(&markMatch) }

func (m *MarkMatch) Name() string { return "mark" }
func (m *MarkMatch) Def() *Def    { return &markMatch }

func (m *MarkMatch) Set(a *Arg) (err error) {
	m.Not = a.Not
	m.Value, m.Mask, err = a.UintMask()
	return err
}

func (m *MarkMatch) Save(p *Printer) {
	p.Option(m.Not, "mark")
	p.Byte(' ')
	p.valueMask(m.Value, m.Mask)
}

// valueMask prints 0xVALUE, with /0xMASK unless the mask is all ones.
func (p *Printer) valueMask(value, mask uint32) {
	p.Hex(uint64(value))
	if mask != 1<<32-1 {
		p.Byte('/')
		p.Hex(uint64(mask))
	}
}

func (m *MarkMatch) List(p *Printer) {
	p.Str(" mark match ")
	if m.Not {
		p.Str("! ")
	}
	p.valueMask(m.Value, m.Mask)
}

// Encode writes meta mark, masked if need be, and a comparison.
func (m *MarkMatch) Encode(e *Encoder) bool {
	e.ExprMeta(nft.NFT_META_MARK)
	if m.Mask != 1<<32-1 {
		e.ExprBitwise(binary.NativeEndian.AppendUint32(nil, m.Mask))
	}
	e.ExprCmp(cmpOp(m.Not), binary.NativeEndian.AppendUint32(nil, m.Value))
	return true
}

// Info is not written by iptables-nft 1.8.9; it completes the XT form that is read.
func (m *MarkMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.Value)
	w.Host32(m.Mask)
	w.Bool(m.Not)
}

// Read reads struct xt_mark_mtinfo1.
func (m *MarkMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Value, m.Mask, m.Not = r.Host32(), r.Host32(), r.Bool()
	return nil
}

// markNative reads a comparison of the packet's mark.
func markNative(d *Decoder, _ *Def, t *nft.Term) bool {
	if t.Kind != nft.TermCompare || !t.Load.IsMeta(nft.NFT_META_MARK) || t.Op > nft.NFT_CMP_NEQ || len(t.Value) != 4 {
		return false
	}
	m := &MarkMatch{Value: binary.NativeEndian.Uint32(t.Value), Mask: 1<<32 - 1, Not: t.Op == nft.NFT_CMP_NEQ}
	if len(t.Load.Mask) == 4 {
		m.Mask = binary.NativeEndian.Uint32(t.Load.Mask)
	}
	d.Add(m)
	return true
}

// Match compares the mark. Bits of the value outside the mask never match, and
// a mask without bits asks for nothing: both need no mark of the packet.
func (m *MarkMatch) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowMark) && m.Mask != 0 && m.Value&^m.Mask == 0 {
		return packet.Unknown
	}
	return packet.Of((p.Mark&m.Mask == m.Value) != m.Not)
}

// Space is what Match lets through.
func (m *MarkMatch) Space(rule.Family) space.Set {
	return space.Where(space.Mark, space.Num(m.Value), space.Num(m.Mask), false, m.Not)
}
