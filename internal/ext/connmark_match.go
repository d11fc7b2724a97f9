package ext

// connmark (the match): iptables-extensions(8), "connmark".
// UAPI: linux/netfilter/xt_connmark.h, struct xt_connmark_mtinfo1, revision 1.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// ConnMarkMatch matches the mark of the packet's connection: mark AND Mask equals Value.
type ConnMarkMatch struct {
	Value, Mask uint32
	Not         bool
}

var connmarkMatch = Def{
	Name: "connmark", Kind: Match, Families: Both,
	Summary: "the mark of the packet's connection",
	Options: []Option{
		{Name: "mark", Value: "VALUE[/MASK]", Not: true, Required: true, Help: "the connection's mark, ANDed with MASK, is VALUE"},
	},
	Revisions: []Revision{{Rev: 1, Size: 12}},
	New:       func(rule.Family) Ext { return &ConnMarkMatch{Mask: 1<<32 - 1} },
}

func init() { register(&connmarkMatch) }

func (m *ConnMarkMatch) Name() string { return "connmark" }
func (m *ConnMarkMatch) Def() *Def    { return &connmarkMatch }

func (m *ConnMarkMatch) Set(a *Arg) (err error) {
	m.Not = a.Not
	m.Value, m.Mask, err = a.UintMask()
	return err
}

func (m *ConnMarkMatch) Save(p *Printer) {
	p.Option(m.Not, "mark")
	p.Byte(' ')
	p.valueMask(m.Value, m.Mask)
}

func (m *ConnMarkMatch) List(p *Printer) {
	p.Str(" connmark match ")
	if m.Not {
		p.Byte('!')
	}
	p.Byte(' ')
	p.valueMask(m.Value, m.Mask)
}

// Info writes struct xt_connmark_mtinfo1.
func (m *ConnMarkMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host32(m.Value)
	w.Host32(m.Mask)
	w.Bool(m.Not)
}

// Read reads struct xt_connmark_mtinfo1.
func (m *ConnMarkMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Value, m.Mask, m.Not = r.Host32(), r.Host32(), r.Bool()
	return nil
}

// Match compares marks; a packet without a connection never matches, not even inverted.
func (m *ConnMarkMatch) Match(p *packet.Packet) packet.Answer {
	if none := untracked(p); none == packet.Yes {
		return packet.No
	}
	if !p.Has(packet.KnowConnMark) {
		return packet.Unknown
	}
	return packet.Of((p.Connection.Mark&m.Mask == m.Value) != m.Not)
}

// Space is what Match lets through.
func (m *ConnMarkMatch) Space(rule.Family) space.Set {
	return connected().And(space.Where(space.ConnMark, space.Num(m.Value), space.Num(m.Mask), false, m.Not))
}
