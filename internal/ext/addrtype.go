package ext

// addrtype: iptables-extensions(8), "addrtype".
// UAPI: linux/netfilter/xt_addrtype.h, revision 1; revision 0 (IPv4 only, without interfaces).

import (
	"net/netip"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// AddrType matches what the routing table says of the packet's addresses.
type AddrType struct {
	Src, Dst       uint16 // any of these types, bits of addrTypes; 0: not asked for
	NotSrc, NotDst bool
	In, Out        bool // look only at the packet's incoming or outgoing interface
}

var addrtype = Def{
	Name: "addrtype", Kind: Match, Families: Both,
	Summary: "type of the packet's addresses in the routing table",
	Options: []Option{
		{Name: "src-type", Value: "TYPE[,...]", Not: true, Help: "type of the source"},
		{Name: "dst-type", Value: "TYPE[,...]", Not: true, Help: "type of the destination"},
		{Name: "limit-iface-in", Excludes: []string{"limit-iface-out"}, Help: "only on the packet's incoming interface"},
		{Name: "limit-iface-out", Excludes: []string{"limit-iface-in"}, Help: "only on the packet's outgoing interface"},
	},
	AnyOf:     []string{"src-type", "dst-type"},
	Revisions: []Revision{{Rev: 0, Size: 12, Families: V4}, {Rev: 1, Size: 8}},
	New:       func(rule.Family) Ext { return &AddrType{} },
	HelpText:  func(rule.Family) string { return addrTypeHelp() },
}

func init() { register(&addrtype) }

// addrTypes are XT_ADDRTYPE_* by name, in the order of their bits.
var addrTypes = [...]flagName{
	{"UNSPEC", 1 << 0}, {"UNICAST", 1 << 1}, {"LOCAL", 1 << 2}, {"BROADCAST", 1 << 3}, {"ANYCAST", 1 << 4},
	{"MULTICAST", 1 << 5}, {"BLACKHOLE", 1 << 6}, {"UNREACHABLE", 1 << 7}, {"PROHIBIT", 1 << 8}, {"THROW", 1 << 9},
	{"NAT", 1 << 10}, {"XRESOLVE", 1 << 11},
}

func addrTypeHelp() string {
	var b strings.Builder
	b.WriteString("Valid types:\n")
	for _, t := range addrTypes {
		b.WriteString("                                " + t.name + "\n")
	}
	return b.String()
}

func (m *AddrType) Name() string { return "addrtype" }
func (m *AddrType) Def() *Def    { return &addrtype }

func (m *AddrType) Set(a *Arg) (err error) {
	switch a.Option.Name {
	case "src-type":
		m.NotSrc = a.Not
		m.Src, err = a.flagSet(addrTypes[:])
	case "dst-type":
		m.NotDst = a.Not
		m.Dst, err = a.flagSet(addrTypes[:])
	case "limit-iface-in":
		m.In = true
	case "limit-iface-out":
		m.Out = true
	}
	return err
}

func (m *AddrType) Save(p *Printer) {
	m.saveTypes(p, m.NotSrc, "src-type", m.Src)
	m.saveTypes(p, m.NotDst, "dst-type", m.Dst)
	if m.In {
		p.Option(false, "limit-iface-in")
	}
	if m.Out {
		p.Option(false, "limit-iface-out")
	}
}

func (m *AddrType) saveTypes(p *Printer, not bool, name string, set uint16) {
	if set == 0 {
		return
	}
	p.Option(not, name)
	p.Byte(' ')
	p.flagSet(set, addrTypes[:])
}

func (m *AddrType) List(p *Printer) {
	p.Str(" ADDRTYPE match")
	if m.Src != 0 {
		p.Str(" src-type ")
		p.notMark(m.NotSrc)
		p.flagSet(m.Src, addrTypes[:])
	}
	if m.Dst != 0 {
		p.Str(" dst-type ")
		p.notMark(m.NotDst)
		p.flagSet(m.Dst, addrTypes[:])
	}
	if m.In {
		p.Str(" limit-in")
	}
	if m.Out {
		p.Str(" limit-out")
	}
}

// Flags of struct xt_addrtype_info_v1: XT_ADDRTYPE_*.
const (
	xtAddrTypeNotSrc = 1
	xtAddrTypeNotDst = 2
	xtAddrTypeIn     = 4
	xtAddrTypeOut    = 8
	xtAddrTypeAll    = 15
)

// Info writes struct xt_addrtype_info_v1, or as revision 0 struct xt_addrtype_info.
func (m *AddrType) Info(w nft.Info, rev uint8, _ rule.Family) {
	w.Host16(m.Src)
	w.Host16(m.Dst)
	if rev == 0 {
		w.Host32(flag[uint32](m.NotSrc, 1))
		w.Host32(flag[uint32](m.NotDst, 1))
		return
	}
	w.Host32(flag[uint32](m.NotSrc, xtAddrTypeNotSrc) | flag[uint32](m.NotDst, xtAddrTypeNotDst) |
		flag[uint32](m.In, xtAddrTypeIn) | flag[uint32](m.Out, xtAddrTypeOut))
}

// Read reads struct xt_addrtype_info_v1, or as revision 0 struct xt_addrtype_info.
func (m *AddrType) Read(r *nft.InfoReader, rev uint8, _ rule.Family) error {
	m.Src, m.Dst = r.Host16(), r.Host16()
	if (m.Src|m.Dst)>>len(addrTypes) != 0 {
		return nft.ErrMalformed
	}
	if rev == 0 {
		m.NotSrc, m.NotDst = r.Host32() != 0, r.Host32() != 0
		return nil
	}
	flags := r.Host32()
	if flags&^xtAddrTypeAll != 0 {
		return nft.ErrMalformed
	}
	m.NotSrc, m.NotDst = flags&xtAddrTypeNotSrc != 0, flags&xtAddrTypeNotDst != 0
	m.In, m.Out = flags&xtAddrTypeIn != 0, flags&xtAddrTypeOut != 0
	return nil
}

// Bits of addrTypes. The routing table decides the last three of IPv6.
const (
	typeUnspec      = 1 << 0
	typeUnicast     = 1 << 1
	typeMulticast   = 1 << 5
	typesOfRouting6 = 1<<2 | 1<<4 | 1<<7 // LOCAL, ANYCAST, UNREACHABLE
)

// Match asks the host for the type of the addresses.
func (m *AddrType) Match(p *packet.Packet) packet.Answer {
	dev, known := "", true
	switch {
	case m.In:
		dev, known = p.In, !p.HiddenIn
	case m.Out:
		dev, known = p.Out, !p.HiddenOut
	}
	answer := packet.Yes
	if m.Src != 0 {
		answer = matchAddrType(p, p.Src, m.Src, dev, known).Invert(m.NotSrc)
	}
	if m.Dst != 0 && answer != packet.No {
		answer = answer.And(matchAddrType(p, p.Dst, m.Dst, dev, known).Invert(m.NotDst))
	}
	return answer
}

// matchAddrType answers whether an address has one of the types in set, seen
// from an interface; known tells whether that interface is.
func matchAddrType(p *packet.Packet, a netip.Addr, set uint16, dev string, known bool) packet.Answer {
	switch {
	case !a.IsValid():
		return packet.Unknown
	case a.Is6():
		if !meetsAddrType6(a, set) {
			return packet.No
		}
		if set &= typesOfRouting6; set == 0 {
			return packet.Yes
		}
	case a.IsMulticast():
		return packet.Of(set&typeMulticast != 0)
	}
	if p.Host == nil || !known {
		return packet.Unknown
	}
	t, known := p.Host.AddressType(a, dev)
	if !known || int(t) >= len(addrTypes) {
		return packet.Unknown
	}
	return packet.Of(set>>t&1 != 0)
}

// meetsAddrType6 answers for the types of an IPv6 address that need no routing
// table. Each of them in a set must be met, and one of those that do need it: on
// Linux 6.18 --dst-type UNICAST,LOCAL matches local addresses alone,
// MULTICAST,LOCAL none, and UNICAST also local ones.
func meetsAddrType6(a netip.Addr, set uint16) bool {
	switch {
	case set&typeMulticast != 0 && !a.IsMulticast(),
		set&typeUnicast != 0 && (a.IsMulticast() || a.IsUnspecified() || a.Is4In6()),
		set&typeUnspec != 0 && !a.IsUnspecified():
		return false
	}
	return true
}
