package ext

// length: iptables-extensions(8), "length".
// UAPI: linux/netfilter/xt_length.h, struct xt_length_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// Length matches the packet's length in bytes, its IP header included. A range
// that ends before it begins holds none.
type Length struct {
	From, To uint16
	Not      bool
}

var length = Def{
	Name: "length", Kind: Match, Families: Both,
	Summary: "length of the packet",
	Options: []Option{
		{Name: "length", Value: "LENGTH[:LENGTH]", Not: true, Required: true, Help: "length in bytes or a range of it, 0 to 65535, IP header included"},
	},
	Revisions: []Revision{{Rev: 0, Size: 6}},
	New:       func(rule.Family) Ext { return &Length{} },
}

func init() { register(&length) }

func (m *Length) Name() string { return "length" }
func (m *Length) Def() *Def    { return &length }

func (m *Length) Set(a *Arg) error {
	from, to, _, err := a.numberRange(1<<16 - 1)
	*m = Length{uint16(from), uint16(to), a.Not}
	return err
}

func (m *Length) Save(p *Printer) {
	p.Option(m.Not, "length")
	p.Byte(' ')
	p.fromTo(uint64(m.From), uint64(m.To))
}

func (m *Length) List(p *Printer) {
	p.Str(" length ")
	p.notMark(m.Not)
	p.fromTo(uint64(m.From), uint64(m.To))
}

// Info writes struct xt_length_info.
func (m *Length) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.Host16(m.From)
	w.Host16(m.To)
	w.Bool(m.Not)
}

// Read reads struct xt_length_info.
func (m *Length) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.From, m.To, m.Not = r.Host16(), r.Host16(), r.Bool()
	return nil
}

// Match compares the length.
func (m *Length) Match(p *packet.Packet) packet.Answer {
	if !p.Has(packet.KnowLength) {
		return packet.Unknown
	}
	return packet.Of((p.Length >= uint32(m.From) && p.Length <= uint32(m.To)) != m.Not)
}

// Space is what Match lets through.
func (m *Length) Space(rule.Family) space.Set { return spanSpace(space.Length, m.From, m.To, m.Not) }
