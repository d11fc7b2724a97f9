package ext

// rt: iptables-extensions(8), "rt (IPv6-specific)".
// UAPI: linux/netfilter_ipv6/ip6t_rt.h, struct ip6t_rt, revision 0.

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"moat/internal/kernel/nft"
	"moat/internal/packet"
	"moat/internal/rule"
)

// Routing matches the IPv6 routing header.
type Routing struct {
	Given, Not uint8 // rt… bits; Not of the first three only
	Type       uint32
	Left       [2]uint32 // segments left: from, to
	Length     uint32    // of the header in bytes
	Addresses  []netip.Addr
}

// The conditions: IP6T_RT_* of the header.
const (
	rtType      = 1 << 0
	rtLeft      = 1 << 1
	rtLength    = 1 << 2
	rtReserved  = 1 << 3
	rtAddresses = 1 << 4
	rtNotStrict = 1 << 5
	rtInverts   = rtType | rtLeft | rtLength
	rtAll       = 1<<6 - 1
	rtMaxHops   = 16
)

var rt = Def{
	Name: "rt", Kind: Match, Families: V6,
	Summary: "IPv6 routing header",
	Options: []Option{
		{Name: "rt-type", Value: "TYPE", Not: true, Help: "type of the header (0-4294967295)"},
		{Name: "rt-segsleft", Value: "NUMBER[:NUMBER]", Not: true, Help: "segments left, or a range of them"},
		{Name: "rt-len", Value: "LENGTH", Not: true, Help: "length of the header in bytes"},
		{Name: "rt-0-res", Help: "the reserved field is zero (behind --rt-type 0)"},
		{Name: "rt-0-addrs", Value: "ADDRESS[,...]", Help: "these are the addresses, 16 at most (behind --rt-type 0)"},
		{Name: "rt-0-not-strict", Help: "there may be other addresses between them (behind --rt-0-addrs)"},
	},
	Revisions: []Revision{{Rev: 0, Size: 280}},
	New:       func(rule.Family) Ext { return &Routing{Left: [2]uint32{0, 1<<32 - 1}} },
}

func init() { register(&rt) }

func (m *Routing) Name() string { return "rt" }
func (m *Routing) Def() *Def    { return &rt }

func (m *Routing) Set(a *Arg) error {
	switch a.Option.Name {
	case "rt-type":
		return m.number(a, rtType, &m.Type)
	case "rt-len":
		return m.number(a, rtLength, &m.Length)
	case "rt-segsleft":
		from, to, _, err := a.numberRange(1<<32 - 1)
		m.Left = [2]uint32{uint32(from), uint32(to)}
		m.add(rtLeft, a.Not)
		return err
	case "rt-0-not-strict":
		if m.Given&rtAddresses == 0 {
			return a.Errorf("must stand behind --rt-0-addrs")
		}
		m.add(rtNotStrict, false)
		return nil
	}
	if m.Given&rtType == 0 || m.Type != 0 || m.Not&rtType != 0 {
		return a.Errorf("must stand behind --rt-type 0")
	}
	if a.Is("rt-0-res") {
		m.add(rtReserved, false)
		return nil
	}
	m.add(rtAddresses, false)
	return m.addresses(a)
}

func (m *Routing) add(bit uint8, not bool) {
	m.Given |= bit
	m.Not |= flag(not, bit)
}

func (m *Routing) number(a *Arg, bit uint8, to *uint32) error {
	n, err := a.Uint(0, 1<<32-1)
	*to = uint32(n)
	m.add(bit, a.Not)
	return err
}

func (m *Routing) addresses(a *Arg) error {
	for word := range strings.SplitSeq(a.Value, ",") {
		ip, err := a.addrOf(word)
		if err != nil {
			return err
		}
		if m.Addresses = append(m.Addresses, ip); len(m.Addresses) > rtMaxHops {
			return a.Errorf("takes at most %d addresses", rtMaxHops)
		}
	}
	return nil
}

// everySegment reports whether any number of segments will do.
func (m *Routing) everySegment() bool { return m.Left == [2]uint32{0, 1<<32 - 1} }

// Save leaves the full range of segments out, even inverted, as 1.8.9 does.
func (m *Routing) Save(p *Printer) {
	if m.Given&rtType != 0 {
		p.OptionUint(m.Not&rtType != 0, "rt-type", uint64(m.Type))
	}
	if !m.everySegment() {
		p.Option(m.Not&rtLeft != 0, "rt-segsleft")
		p.Byte(' ')
		p.fromTo(uint64(m.Left[0]), uint64(m.Left[1]))
	}
	if m.Given&rtLength != 0 {
		p.OptionUint(m.Not&rtLength != 0, "rt-len", uint64(m.Length))
	}
	if m.Given&rtReserved != 0 {
		p.Option(false, "rt-0-res")
	}
	if m.Given&rtAddresses != 0 {
		p.Option(false, "rt-0-addrs")
		m.printAddresses(p)
	}
	if m.Given&rtNotStrict != 0 {
		p.Option(false, "rt-0-not-strict")
	}
}

func (m *Routing) printAddresses(p *Printer) {
	for i, ip := range m.Addresses {
		p.Byte(" ,"[min(i, 1)])
		p.Addr(ip)
	}
}

func (m *Routing) List(p *Printer) {
	p.Str(" rt")
	if m.Given&rtType != 0 { // signed, as 1.8.9 prints it
		p.Str(" type:")
		p.notMark(m.Not&rtType != 0)
		p.Str(strconv.Itoa(int(int32(m.Type))))
	}
	if !m.everySegment() || m.Not&rtLeft != 0 {
		p.Str(" segsleft")
		if m.Left[0] != m.Left[1] {
			p.Byte('s')
		}
		p.Byte(':')
		p.notMark(m.Not&rtLeft != 0)
		p.fromTo(uint64(m.Left[0]), uint64(m.Left[1]))
	}
	if m.Given&rtLength != 0 {
		p.Str(" length:")
		p.notMark(m.Not&rtLength != 0)
		p.Uint(uint64(m.Length))
	}
	if m.Given&rtReserved != 0 {
		p.Str(" reserved")
	}
	if m.Given&rtAddresses != 0 {
		p.Str(" 0-addrs")
		m.printAddresses(p)
	}
	if m.Given&rtNotStrict != 0 {
		p.Str(" 0-not-strict")
	}
}

// Info writes struct ip6t_rt.
func (m *Routing) Info(w nft.Info, _ uint8, _ rule.Family) {
	for _, n := range [...]uint32{m.Type, m.Left[0], m.Left[1], m.Length} {
		w.Host32(n)
	}
	w.U8(m.Given)
	w.U8(m.Not)
	w.Align(4)
	begin := w.Len()
	for _, ip := range m.Addresses {
		w.Bytes(ip.AsSlice())
	}
	w.PadTo(begin + 16*rtMaxHops)
	w.U8(uint8(len(m.Addresses)))
}

// Read reads struct ip6t_rt.
func (m *Routing) Read(r *nft.InfoReader, _ uint8, _ rule.Family) error {
	m.Type, m.Left, m.Length = r.Host32(), [2]uint32{r.Host32(), r.Host32()}, r.Host32()
	m.Given, m.Not = r.U8(), r.U8()
	r.Align(4)
	var hops [rtMaxHops]netip.Addr
	for i := range hops {
		hops[i], _ = netip.AddrFromSlice(r.Bytes(16))
	}
	n := r.U8()
	if m.Given&^rtAll != 0 || m.Not&^(m.Given&rtInverts) != 0 || n > rtMaxHops || (n > 0) != (m.Given&rtAddresses != 0) {
		return nft.ErrMalformed
	}
	if n > 0 {
		m.Addresses = append(m.Addresses, hops[:n]...)
	}
	if m.Given&rtType == 0 {
		m.Type = 0
	}
	if m.Given&rtLength == 0 {
		m.Length = 0
	}
	return nil
}

// Match looks at the routing header. A packet without one meets nothing, not
// even inverted conditions.
func (m *Routing) Match(p *packet.Packet) packet.Answer {
	h, there := extensionHeader(p, headerRouting)
	if there != packet.Yes {
		return there
	}
	if len(h.Data) < 8 {
		return packet.Unknown
	}
	length, left := (uint32(h.Data[1])+1)*8, uint32(h.Data[3])
	inLeft := left >= m.Left[0] && left <= m.Left[1]
	switch {
	case m.Given&rtType != 0 && (uint32(h.Data[2]) == m.Type) == (m.Not&rtType != 0),
		inLeft == (m.Not&rtLeft != 0),
		m.Given&rtLength != 0 && (length == m.Length) == (m.Not&rtLength != 0),
		m.Given&rtReserved != 0 && string(h.Data[4:8]) != "\x00\x00\x00\x00":
		return packet.No
	case m.Given&rtAddresses == 0:
		return packet.Yes
	}
	return m.matchAddresses(h.Data, int(length))
}

// matchAddresses compares the addresses of a header of type 0, in order; strict
// wants these and no others.
func (m *Routing) matchAddresses(data []byte, length int) packet.Answer {
	if len(data) < length {
		return packet.Unknown
	}
	var hops []netip.Addr
	for at := 8; at+16 <= length; at += 16 {
		ip, _ := netip.AddrFromSlice(data[at : at+16])
		hops = append(hops, ip)
	}
	if m.Given&rtNotStrict == 0 {
		return packet.Of(slices.Equal(hops, m.Addresses))
	}
	found := 0
	for _, ip := range hops {
		if found < len(m.Addresses) && ip == m.Addresses[found] {
			found++
		}
	}
	return packet.Of(found == len(m.Addresses))
}
