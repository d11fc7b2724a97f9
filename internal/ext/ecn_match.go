package ext

// ecn (the match): iptables-extensions(8), "ecn".
// UAPI: linux/netfilter/xt_ecn.h, struct xt_ecn_info, revision 0.

import (
	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// ECNMatch matches bits of explicit congestion notification, RFC 3168.
type ECNMatch struct {
	Given uint8 // xtECN* bits: the conditions asked for
	Not   uint8 // those of them that are inverted
	ECT   uint8 // 0 to 3
}

// The conditions: XT_ECN_OP_MATCH_*.
const (
	xtECNIP  = 0x01
	xtECNECE = 0x10
	xtECNCWR = 0x20
	xtECNAll = xtECNIP | xtECNECE | xtECNCWR
)

var ecnMatch = Def{
	Name: "ecn", Kind: Match, Families: Both,
	Summary: "congestion notification in the IP and TCP headers",
	Options: []Option{
		{Name: "ecn-tcp-cwr", Not: true, Help: "TCP's congestion window reduced bit is set"},
		{Name: "ecn-tcp-ece", Not: true, Help: "TCP's ECN echo bit is set"},
		{Name: "ecn-ip-ect", Value: "NUMBER", Not: true, Help: "the IP header's ECN bits are NUMBER, 0 to 3"},
	},
	AnyOf:     []string{"ecn-tcp-cwr", "ecn-tcp-ece", "ecn-ip-ect"},
	Revisions: []Revision{{Rev: 0, Size: 4}},
	New:       func(rule.Family) Ext { return &ECNMatch{} },
}

func init() { register(&ecnMatch) }

func (m *ECNMatch) Name() string { return "ecn" }
func (m *ECNMatch) Def() *Def    { return &ecnMatch }

func (m *ECNMatch) Set(a *Arg) error {
	bit := uint8(xtECNCWR)
	switch a.Option.Name {
	case "ecn-tcp-ece":
		bit = xtECNECE
	case "ecn-ip-ect":
		bit = xtECNIP
		n, err := a.Uint(0, 3)
		if err != nil {
			return err
		}
		m.ECT = uint8(n)
	}
	m.Given |= bit
	m.Not |= flag(a.Not, bit)
	return nil
}

func (m *ECNMatch) Save(p *Printer) {
	if m.Given&xtECNECE != 0 {
		p.Option(m.Not&xtECNECE != 0, "ecn-tcp-ece")
	}
	if m.Given&xtECNCWR != 0 {
		p.Option(m.Not&xtECNCWR != 0, "ecn-tcp-cwr")
	}
	if m.Given&xtECNIP != 0 {
		p.OptionUint(m.Not&xtECNIP != 0, "ecn-ip-ect", uint64(m.ECT))
	}
}

func (m *ECNMatch) List(p *Printer) {
	p.Str(" ECN match")
	if m.Given&xtECNECE != 0 {
		p.Byte(' ')
		p.notMark(m.Not&xtECNECE != 0)
		p.Str("ECE")
	}
	if m.Given&xtECNCWR != 0 {
		p.Byte(' ')
		p.notMark(m.Not&xtECNCWR != 0)
		p.Str("CWR")
	}
	if m.Given&xtECNIP != 0 {
		p.Byte(' ')
		p.notMark(m.Not&xtECNIP != 0)
		p.Str("ECT=")
		p.Uint(uint64(m.ECT))
	}
}

// Info writes struct xt_ecn_info. The kernel refuses TCP's bits without -p tcp.
func (m *ECNMatch) Info(w nft.Info, _ uint8, _ rule.Family) {
	w.U8(m.Given)
	w.U8(m.Not)
	w.U8(m.ECT)
}

// Read reads struct xt_ecn_info.
func (m *ECNMatch) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Given, m.Not, m.ECT = r.U8(), r.U8(), r.U8()
	if m.Given&^xtECNAll != 0 || m.Given == 0 || m.Not&^m.Given != 0 || m.ECT > 3 {
		return nft.ErrMalformed
	}
	return nil
}

// Match looks at the IP header's bits and then at TCP's.
func (m *ECNMatch) Match(p *packet.Packet) packet.Answer {
	answer := packet.Yes
	if m.Given&xtECNIP != 0 {
		ip := packet.Unknown
		if p.Has(packet.KnowTOS) {
			ip = packet.Of((p.TOS&3 == m.ECT) != (m.Not&xtECNIP != 0))
		}
		answer = answer.And(ip)
	}
	const ece, cwr = 0x40, 0x80 // in the byte of TCP's flags
	return answer.And(m.tcp(p, xtECNECE, ece)).And(m.tcp(p, xtECNCWR, cwr))
}

// tcp answers the condition of one TCP flag. What a later fragment has in its
// place is not a header, which the kernel does not mind; too little of it is no
// match, inverted or not.
func (m *ECNMatch) tcp(p *packet.Packet, bit, tcpFlag uint8) packet.Answer {
	flags := p.Transport.Flags
	switch b := laterFragment(p); {
	case m.Given&bit == 0:
		return packet.Yes
	case p.Fragment && p.Bytes == nil, !p.Fragment && !p.Has(packet.KnowFlags):
		return packet.Unknown
	case p.Fragment && len(b) < 20:
		return packet.No
	case p.Fragment:
		flags = b[13]
	}
	return packet.Of((flags&tcpFlag != 0) != (m.Not&bit != 0))
}

// Space is what Match lets through; what a fragment has in place of TCP's flags
// is an atom.
func (m *ECNMatch) Space(f rule.Family) space.Set {
	s := space.All()
	if m.Given&xtECNIP != 0 {
		s = within(space.TOS, space.Bytes(space.TOS, func(x uint8) bool { return (x&3 == m.ECT) != (m.Not&xtECNIP != 0) }))
	}
	const ece, cwr = 0x40, 0x80
	return s.And(m.tcpSpace(xtECNECE, ece, f)).And(m.tcpSpace(xtECNCWR, cwr, f))
}

func (m *ECNMatch) tcpSpace(bit, tcpFlag uint8, f rule.Family) space.Set {
	if m.Given&bit == 0 {
		return space.All()
	}
	flags := within(space.Flags, space.Bytes(space.Flags, func(x uint8) bool { return (x&tcpFlag != 0) != (m.Not&bit != 0) }))
	later := literals(atomOf(&ECNMatch{Given: bit, Not: m.Not & bit}, nil, f))
	return flags.And(notAFragment()).Or(later.Minus(notAFragment()))
}
