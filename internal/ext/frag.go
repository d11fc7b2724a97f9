package ext

// frag: iptables-extensions(8), "frag".
// UAPI: linux/netfilter_ipv6/ip6t_frag.h, struct ip6t_frag, revision 0.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Frag matches IPv6's fragment header.
type Frag struct {
	ID     NumberMatch
	Length uint32 // what kernels since 2.6.10 do not look at, as the header's length is fixed
	NotLen bool
	Given  uint8 // ip6Frag* bits
}

// The conditions: IP6T_FRAG_*.
const (
	ip6FragID    = 0x01
	ip6FragLen   = 0x02
	ip6FragRes   = 0x04
	ip6FragFirst = 0x08
	ip6FragMore  = 0x10
	ip6FragLast  = 0x20
	ip6FragAll   = 0x3f
)

// fragFlags are the conditions without a value, in the order in which they are printed.
var fragFlags = [...]struct {
	option, word string
	bit          uint8
}{
	{"fragres", "reserved", ip6FragRes}, {"fragfirst", "first", ip6FragFirst},
	{"fragmore", "more", ip6FragMore}, {"fraglast", "last", ip6FragLast},
}

var frag = Def{
	Name: "frag", Kind: Match, Families: V6,
	Summary: "fragment header of IPv6",
	Options: []Option{
		{Name: "fragid", Value: "ID[:ID]", Not: true, Help: "identification or range"},
		{Name: "fraglen", Value: "BYTES", Not: true, Help: "length of the header (the kernel does not look)"},
		{Name: "fragres", Help: "the reserved fields are zero"},
		{Name: "fragfirst", Help: "the first fragment"},
		{Name: "fragmore", Excludes: []string{"fraglast"}, Help: "more fragments follow"},
		{Name: "fraglast", Excludes: []string{"fragmore"}, Help: "the last fragment"},
	},
	Revisions: []Revision{{Rev: 0, Size: 16}},
	New:       func(rule.Family) Ext { return &Frag{ID: anyNumber} },
}

func init() { register(&frag) }

func (m *Frag) Name() string { return "frag" }
func (m *Frag) Def() *Def    { return &frag }

func (m *Frag) Set(a *Arg) error {
	switch a.Option.Name {
	case "fragid":
		m.Given |= ip6FragID
		return m.ID.set(a)
	case "fraglen":
		m.Given |= ip6FragLen
		n, err := a.Uint(0, 1<<32-1)
		m.Length, m.NotLen = uint32(n), a.Not
		return err
	}
	for _, f := range fragFlags {
		if a.Is(f.option) {
			m.Given |= f.bit
		}
	}
	return nil
}

func (m *Frag) Save(p *Printer) {
	m.ID.save(p, "fragid")
	if m.Given&ip6FragLen != 0 {
		p.OptionUint(m.NotLen, "fraglen", uint64(m.Length))
	}
	for _, f := range fragFlags {
		if m.Given&f.bit != 0 {
			p.Option(false, f.option)
		}
	}
}

func (m *Frag) List(p *Printer) {
	p.Str(" frag ")
	m.ID.list(p, "id")
	if m.Given&ip6FragLen != 0 {
		p.Str(" length:")
		p.notMark(m.NotLen)
		p.Uint(uint64(m.Length))
	}
	for _, f := range fragFlags {
		if m.Given&f.bit != 0 {
			p.Byte(' ')
			p.Str(f.word)
		}
	}
}

// Info writes struct ip6t_frag.
func (m *Frag) Info(w nft.Info, _ uint8, _ rule.Family) {
	m.ID.info(w)
	w.Host32(m.Length)
	w.U8(m.Given)
	w.U8(flag[uint8](m.ID.Not, ip6FragID) | flag[uint8](m.NotLen, ip6FragLen))
}

// Read reads struct ip6t_frag.
func (m *Frag) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.ID = readNumbers(r)
	m.Length, m.Given = r.Host32(), r.U8()
	inv := r.U8()
	m.NotLen = inv&ip6FragLen != 0
	if m.Given&^ip6FragAll != 0 {
		return nft.ErrMalformed
	}
	return m.ID.readNot(inv&^ip6FragLen, ip6FragID)
}

// Match looks at the header; a packet without one never matches.
func (m *Frag) Match(p *packet.Packet) packet.Answer {
	h, found := extensionHeader(p, headerFragment)
	switch {
	case h == nil:
		return found
	case len(h.Data) < 8:
		return packet.Unknown
	}
	const more, reserved, offset = 1, 6, 0xfff8 // in the field of offset and flags
	field := binary.BigEndian.Uint16(h.Data[2:])
	return packet.Of(m.ID.has(binary.BigEndian.Uint32(h.Data[4:])) &&
		(m.Given&ip6FragRes == 0 || h.Data[1] == 0 && field&reserved == 0) &&
		(m.Given&ip6FragFirst == 0 || field&offset == 0) &&
		(m.Given&ip6FragMore == 0 || field&more != 0) &&
		(m.Given&ip6FragLast == 0 || field&more == 0))
}
