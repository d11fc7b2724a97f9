package ext

// ah for IPv6: iptables-extensions(8), "ah (IPv6-specific)".
// UAPI: linux/netfilter_ipv6/ip6t_ah.h, struct ip6t_ah, revision 0.

import (
	"encoding/binary"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// AH6 matches IPv6's authentication header, which may stand before any protocol.
type AH6 struct {
	SPI      NumberMatch
	Length   uint32 // of the header in bytes; 0: any
	NotLen   bool
	Reserved bool // the reserved field must be zero
}

var ah6 = Def{
	Name: "ah", Kind: Match, Families: V6,
	Summary:   "authentication header of IPv6",
	Protocols: []uint16{51},
	Options: []Option{
		{Name: "ahspi", Value: "SPI[:SPI]", Not: true, Help: "security parameter index or range"},
		{Name: "ahlen", Value: "BYTES", Not: true, Help: "length of the header in bytes"},
		{Name: "ahres", Help: "the reserved field is zero"},
	},
	Revisions: []Revision{{Rev: 0, Size: 16}},
	New:       func(rule.Family) Ext { return &AH6{SPI: anyNumber} },
}

func init() { register(&ah6) }

func (m *AH6) Name() string { return "ah" }
func (m *AH6) Def() *Def    { return &ah6 }

func (m *AH6) Set(a *Arg) error {
	switch a.Option.Name {
	case "ahspi":
		return m.SPI.set(a)
	case "ahlen":
		n, err := a.Uint(0, 1<<32-1)
		m.Length, m.NotLen = uint32(n), a.Not
		return err
	}
	m.Reserved = true
	return nil
}

func (m *AH6) Save(p *Printer) {
	m.SPI.save(p, "ahspi")
	if m.Length != 0 || m.NotLen {
		p.OptionUint(m.NotLen, "ahlen", uint64(m.Length))
	}
	if m.Reserved {
		p.Option(false, "ahres")
	}
}

// List has no blank before the length, as in 1.8.9.
func (m *AH6) List(p *Printer) {
	p.Str(" ah ")
	m.SPI.list(p, "spi")
	if m.Length != 0 || m.NotLen {
		p.Str("length:")
		p.notMark(m.NotLen)
		p.Uint(uint64(m.Length))
	}
	if m.Reserved {
		p.Str(" reserved")
	}
}

// Inversion bits of struct ip6t_ah: IP6T_AH_INV_*.
const (
	ip6AHInvSPI = 1
	ip6AHInvLen = 2
)

// Info writes struct ip6t_ah.
func (m *AH6) Info(w nft.Info, _ uint8, _ rule.Family) {
	m.SPI.info(w)
	w.Host32(m.Length)
	w.Bool(m.Reserved)
	w.U8(flag[uint8](m.SPI.Not, ip6AHInvSPI) | flag[uint8](m.NotLen, ip6AHInvLen))
}

// Read reads struct ip6t_ah.
func (m *AH6) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.SPI = readNumbers(r)
	m.Length, m.Reserved = r.Host32(), r.Bool()
	inv := r.U8()
	m.NotLen = inv&ip6AHInvLen != 0
	return m.SPI.readNot(inv&^ip6AHInvLen, ip6AHInvSPI)
}

// Match looks at the header; a packet without one never matches.
func (m *AH6) Match(p *packet.Packet) packet.Answer {
	h, found := extensionHeader(p, headerAH)
	switch {
	case h == nil:
		return found
	case len(h.Data) < 12:
		return packet.Unknown
	}
	length := (uint32(h.Data[1]) + 2) * 4
	return packet.Of(m.SPI.has(binary.BigEndian.Uint32(h.Data[4:])) &&
		(m.Length == 0 || (length == m.Length) != m.NotLen) &&
		(!m.Reserved || h.Data[2] == 0 && h.Data[3] == 0))
}
