package ext

// dccp: iptables-extensions(8), "dccp".
// UAPI: linux/netfilter/xt_dccp.h, struct xt_dccp_info, revision 0.

import (
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// DCCP matches ports, types and one option of DCCP packets.
type DCCP struct {
	Given    uint8 // xtDCCP* bits: the conditions asked for
	Not      uint8 // those of them that are inverted
	Src, Dst HostPorts
	Types    uint16 // a bit for each type
	Option   uint8
}

// The conditions: XT_DCCP_*.
const (
	xtDCCPSrc    = 1
	xtDCCPDst    = 2
	xtDCCPTypes  = 4
	xtDCCPOption = 8
	xtDCCPAll    = 15
)

var dccp = Def{
	Name: "dccp", Kind: Match, Families: Both,
	Summary:   "DCCP ports, packet types and options",
	Protocols: []uint16{33},
	Options: []Option{
		{Name: "source-port", Aliases: []string{"sport"}, Value: "PORT[:PORT]", Not: true, Help: "source port or range"},
		{Name: "destination-port", Aliases: []string{"dport"}, Value: "PORT[:PORT]", Not: true, Help: "destination port or range"},
		{Name: "dccp-types", Value: "TYPE[,...]", Not: true, Help: "REQUEST, RESPONSE, DATA, ACK, DATAACK, CLOSEREQ, CLOSE, RESET, SYNC, SYNCACK or INVALID"},
		{Name: "dccp-option", Value: "NUMBER", Not: true, Help: "DCCP option NUMBER, 1 to 255, is present"},
	},
	Revisions: []Revision{{Rev: 0, Size: 16}},
	New:       func(rule.Family) Ext { return &DCCP{} },
}

func init() { register(&dccp) }

// dccpTypes are the packet types by number, RFC 4340 section 5.1; all numbers from 10 on are INVALID.
var dccpTypes = [...]string{
	"REQUEST", "RESPONSE", "DATA", "ACK", "DATAACK", "CLOSEREQ", "CLOSE", "RESET", "SYNC", "SYNCACK", "INVALID",
}

// dccpInvalid are the bits of INVALID.
const dccpInvalid = 0xfc00

func (m *DCCP) Name() string { return "dccp" }
func (m *DCCP) Def() *Def    { return &dccp }

func (m *DCCP) Set(a *Arg) (err error) {
	var bit uint8
	switch a.Option.Name {
	case "source-port":
		bit = xtDCCPSrc
		m.Src, err = a.hostPorts()
	case "destination-port":
		bit = xtDCCPDst
		m.Dst, err = a.hostPorts()
	case "dccp-types":
		bit = xtDCCPTypes
		m.Types, err = a.dccpTypes()
	case "dccp-option":
		bit = xtDCCPOption
		var n uint64
		n, err = a.Uint(1, 255)
		m.Option = uint8(n)
	}
	m.Given |= bit
	m.Not |= flag(a.Not, bit)
	return err
}

// dccpTypes reads a comma list of names in any case, in which names may be missing.
func (a *Arg) dccpTypes() (set uint16, err error) {
next:
	for word := range strings.SplitSeq(a.Value, ",") {
		if word == "" {
			continue
		}
		for i, name := range dccpTypes {
			switch {
			case !strings.EqualFold(name, word):
			case name == "INVALID":
				set |= dccpInvalid
				continue next
			default:
				set |= 1 << i
				continue next
			}
		}
		return 0, a.Errorf("takes a comma list of %s, not %q", strings.Join(dccpTypes[:], ", "), word)
	}
	return set, nil
}

func (m *DCCP) Save(p *Printer) {
	m.savePorts(p, xtDCCPSrc, "sport", m.Src)
	m.savePorts(p, xtDCCPDst, "dport", m.Dst)
	if m.Given&xtDCCPTypes != 0 {
		p.Option(m.Not&xtDCCPTypes != 0, "dccp-types")
		p.Byte(' ')
		m.list(p, false)
	}
	if m.Given&xtDCCPOption != 0 {
		p.OptionUint(m.Not&xtDCCPOption != 0, "dccp-option", uint64(m.Option))
	}
}

func (m *DCCP) savePorts(p *Printer, bit uint8, name string, ports HostPorts) {
	if m.Given&bit == 0 {
		return
	}
	p.Option(m.Not&bit != 0, name)
	p.Byte(' ')
	p.fromTo(uint64(ports.From), uint64(ports.To))
}

// list prints the types with commas, by number or by name.
func (m *DCCP) list(p *Printer, numeric bool) {
	comma := false
	for i := range 16 {
		if m.Types>>i&1 == 0 || !numeric && i >= len(dccpTypes) {
			continue
		}
		if comma {
			p.Byte(',')
		}
		if numeric {
			p.Uint(uint64(i))
		} else {
			p.Str(dccpTypes[i])
		}
		comma = true
	}
}

func (m *DCCP) List(p *Printer) {
	p.Str(" dccp")
	if m.Given&xtDCCPSrc != 0 {
		PortMatch{Range(m.Src), m.Not&xtDCCPSrc != 0}.listPort(p, "spt", "dccp")
	}
	if m.Given&xtDCCPDst != 0 {
		PortMatch{Range(m.Dst), m.Not&xtDCCPDst != 0}.listPort(p, "dpt", "dccp")
	}
	if m.Given&xtDCCPTypes != 0 {
		p.Byte(' ')
		if m.Not&xtDCCPTypes != 0 {
			p.Str("! ")
		}
		m.list(p, p.Numeric)
	}
	if m.Given&xtDCCPOption != 0 {
		p.Str(" option=")
		p.notMark(m.Not&xtDCCPOption != 0)
		p.Uint(uint64(m.Option))
	}
}

// Info writes struct xt_dccp_info, whose first ports are the destination's.
// Without -p dccp the kernel refuses it.
func (m *DCCP) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, p := range [...]HostPorts{m.Dst, m.Src} {
		w.Host16(p.From)
		w.Host16(p.To)
	}
	w.Host16(uint16(m.Given))
	w.Host16(uint16(m.Not))
	w.Host16(m.Types)
	w.U8(m.Option)
}

// Read reads struct xt_dccp_info.
func (m *DCCP) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Dst = HostPorts{From: r.Host16(), To: r.Host16()}
	m.Src = HostPorts{From: r.Host16(), To: r.Host16()}
	given, not := r.Host16(), r.Host16()
	m.Given, m.Not = uint8(given), uint8(not)
	m.Types, m.Option = r.Host16(), r.U8()
	invalid := m.Types & dccpInvalid
	if given&^xtDCCPAll != 0 || not&^given != 0 || invalid != 0 && invalid != dccpInvalid {
		return nft.ErrMalformed
	}
	return nil
}

// Match compares ports and the type. Options are left undecided. A later
// fragment never matches.
func (m *DCCP) Match(p *packet.Packet) packet.Answer {
	if p.Proto != 33 || p.Fragment {
		return packet.No
	}
	answer := packet.Yes
	if m.Given&xtDCCPSrc != 0 {
		answer = PortMatch{Range(m.Src), m.Not&xtDCCPSrc != 0}.matchPort(sourcePort(p))
	}
	if m.Given&xtDCCPDst != 0 {
		answer = answer.And(PortMatch{Range(m.Dst), m.Not&xtDCCPDst != 0}.matchPort(destinationPort(p)))
	}
	if m.Given&xtDCCPTypes != 0 {
		one := packet.Unknown
		if b := transportBytes(p); len(b) >= 9 {
			one = packet.Of(m.Types>>(b[8]>>1&15)&1 == 1).Invert(m.Not&xtDCCPTypes != 0)
		}
		answer = answer.And(one)
	}
	if m.Given&xtDCCPOption != 0 {
		answer = answer.And(m.matchOption(transportBytes(p)))
	}
	return answer
}

// matchOption looks for the option in a DCCP header (RFC 4340, section 5).
func (m *DCCP) matchOption(b []byte) packet.Answer {
	if len(b) < 12 {
		return packet.Unknown
	}
	at, end := dccpHeaderLen(b), int(b[4])*4
	if end > len(b) {
		return packet.Unknown
	}
	for found := false; ; {
		if at >= end || found {
			return packet.Of(found).Invert(m.Not&xtDCCPOption != 0)
		}
		found = b[at] == m.Option
		switch {
		case b[at] < 32 || at+1 >= end:
			at++
		default:
			at += max(1, int(b[at+1]))
		}
	}
}

// dccpHeaderLen is the length of a DCCP header without its options.
func dccpHeaderLen(b []byte) int {
	n := 12
	if b[8]&1 != 0 { // long sequence numbers
		n = 16
	}
	switch b[8] >> 1 & 15 {
	case 0: // REQUEST
		return n + 4
	case 2: // DATA
		return n
	case 1, 7: // RESPONSE, RESET
		return n + 12
	}
	return n + 8
}
