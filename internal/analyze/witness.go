package analyze

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"

	"moat/internal/packet"
	"moat/internal/rule"
	"moat/internal/space"
)

// Witness is a packet of a box, with values that read well where the box leaves
// a choice: documentation addresses, eth0, port 40000. doubts are the box's atoms,
// which no packet can make true or false: a simulation of the packet hangs on
// them. ok is false if the box has no packet, as when it asks for a port of
// a protocol without ports.
func Witness(b space.Box, f rule.Family) (p packet.Packet, doubts []space.Literal, ok bool) {
	var at space.Point
	for _, l := range b.Literals() {
		if !l.IsMasked() {
			doubts = append(doubts, l)
		}
	}
	bare := b.WithoutLiterals()
	for _, proto := range protocols(&b, f) {
		for d := range space.NumDims {
			at.At[d] = choose(d, b.Values(d), likely(d, f))
		}
		at.At[space.Proto] = proto
		if !mendMasked(&b, &at) {
			continue
		}
		readableState(&b, &at, f)
		p = PacketAt(&at, f)
		if x := space.PointOf(&p); bare.Has(&x) && masksHold(&b, &x) {
			return p, doubts, true
		}
	}
	return packet.Packet{}, doubts, false
}

// protocols lists the box's protocols, those first that have the fields which it asks for.
func protocols(b *space.Box, f rule.Family) (list []space.Number) {
	icmp := uint8(packet.ProtoICMP)
	if f == rule.IPv6 {
		icmp = packet.ProtoICMPv6
	}
	first := []uint8{
		packet.ProtoTCP, packet.ProtoUDP, icmp, packet.ProtoSCTP, packet.ProtoDCCP, packet.ProtoUDPLite, packet.ProtoGRE, packet.ProtoESP,
	}
	if b.Values(space.ICMP) != nil {
		first = []uint8{icmp, packet.ProtoTCP, packet.ProtoUDP}
	}
	v := b.Values(space.Proto)
	for _, n := range first {
		if space.Has(v, space.Num(n)) {
			list = append(list, space.Num(n))
		}
	}
	for lo, hi := range space.Runs(v) {
		for n := lo.Lo; n <= hi.Lo; n++ {
			if !slices.Contains(list, space.Num(n)) {
				list = append(list, space.Num(n))
			}
		}
	}
	return list
}

// likely are the values of a dimension that read best, the best first.
func likely(d space.Dim, f rule.Family) []space.Number {
	switch d {
	case space.In, space.Out:
		return names(d)
	case space.Src:
		return addresses(f, "203.0.113.7", "198.51.100.7", "192.0.2.7", "8.8.8.8", "10.0.0.7", "192.168.1.7", "172.16.0.7",
			"2001:db8::7", "2001:db8:1::7", "fd00::7", "fe80::7")
	case space.Dst:
		return addresses(f, "198.51.100.2", "192.0.2.2", "203.0.113.2", "192.168.1.2", "10.0.0.2", "172.16.0.2",
			"2001:db8::2", "2001:db8:1::2", "fd00::2", "fe80::2")
	case space.SPort:
		return numbers(40000, 50000, 33000, 1024, 123, 53)
	case space.DPort:
		return numbers(443, 80, 22, 25, 53, 8080, 5432, 3306, 8443, 123)
	case space.ICMP:
		return numbers(8<<8, 128<<8, 0, 129<<8, 3<<8, 1<<8)
	case space.Flags:
		return numbers(2, 0x10, 0x12, 0x18, 0x11, 4)
	case space.State:
		return numbers(uint64(packet.New), uint64(packet.Established), uint64(packet.Related))
	case space.TTL:
		return numbers(64, 63, 128, 255)
	case space.Length:
		return numbers(60, 84, 100, 1400)
	}
	return numbers(0)
}

func numbers(list ...uint64) (out []space.Number) {
	for _, n := range list {
		out = append(out, space.Number{Lo: n})
	}
	return out
}

func names(d space.Dim) (out []space.Number) {
	list := []string{"eth0", "eth1", "wan0", "lan0", "ens3", "enp1s0", "wlan0", "ppp0", "tun0", "wg0", "br0", "docker0", "lo", ""}
	if d == space.Out {
		list[0], list[1] = list[1], list[0]
	}
	for _, name := range list {
		out = append(out, space.NameNumber(name))
	}
	return out
}

func addresses(f rule.Family, list ...string) (out []space.Number) {
	for _, s := range list {
		if a := netip.MustParseAddr(s); a.Is4() == (f == rule.IPv4) {
			out = append(out, space.AddrNumber(a))
		}
	}
	return out
}

// choose takes a likely value of v, or one that lies in it.
func choose(d space.Dim, v space.Values, first []space.Number) space.Number {
	for _, n := range first {
		if space.Has(v, n) {
			return n
		}
	}
	for lo, hi := range space.Runs(v) {
		switch {
		case d == space.In || d == space.Out:
			if name, ok := nameIn(v, lo); ok {
				return name
			}
		case d == space.Src || d == space.Dst:
			return hostOf(v, lo, hi)
		default:
			return lo
		}
	}
	for lo := range space.Runs(v) {
		return lo
	}
	return space.Number{}
}

// hostOf is an address of an interval that could be a host's: not the first of a network.
func hostOf(v space.Values, lo, hi space.Number) space.Number {
	for _, n := range [...]uint64{7, 2, 1} {
		if at := lo.Add(space.Number{Lo: n}); !hi.Less(at) && space.Has(v, at) {
			return at
		}
	}
	return lo
}

// nameIn is an interface name at the beginning of an interval that people would write.
func nameIn(v space.Values, lo space.Number) (space.Number, bool) {
	name := strings.TrimRightFunc(space.NameOf(lo), func(r rune) bool { return r <= ' ' || r > '~' })
	for _, end := range [...]string{"0", "", "1", "9", "a", "z", "x0"} {
		if n := space.NameNumber(name + end); len(name+end) <= 15 && name+end != "" && space.Has(v, n) {
			return n, true
		}
	}
	return space.Number{}, false
}

// mendMasked finds values for masked comparisons, if it must by trying.
func mendMasked(b *space.Box, at *space.Point) bool {
	if masksHold(b, at) {
		return true
	}
	var only space.Box
	for _, l := range b.Literals() {
		if l.IsMasked() {
			only, _ = only.With(l.Dim, b.Values(l.Dim))
		}
	}
	for _, l := range b.Literals() {
		if l.IsMasked() {
			only, _ = only.WithLiteral(l)
		}
	}
	return only.Sample(at, rand.New(rand.NewPCG(1, 2)))
}

// masksHold reports whether the box's masked comparisons hold.
func masksHold(b *space.Box, at *space.Point) bool {
	for _, l := range b.Literals() {
		if l.IsMasked() && at.Holds(l.Atom) == l.Not {
			return false
		}
	}
	return true
}

// readableState makes flags, status and ports what one sees in the packet's
// state, as far as the box leaves the choice.
func readableState(b *space.Box, at *space.Point, f rule.Family) {
	prefer := func(d space.Dim, list ...uint64) {
		for _, n := range list {
			if space.Has(b.Values(d), space.Number{Lo: n}) {
				at.At[d] = space.Number{Lo: n}
				return
			}
		}
	}
	if f == rule.IPv6 {
		prefer(space.ICMP, 128<<8, 129<<8)
	}
	switch packet.State(at.At[space.State].Lo) {
	case packet.New:
	case packet.Established:
		prefer(space.Flags, 0x10, 0x18, 0x12)
		prefer(space.Status, packet.StatusSeenReply|packet.StatusAssured|packet.StatusConfirmed, packet.StatusSeenReply|packet.StatusConfirmed)
	case packet.Related:
		prefer(space.Status, packet.StatusExpected, packet.StatusConfirmed)
	default:
		prefer(space.Flags, 0x10, 2)
	}
}

// PacketAt is the packet at a point, all of it told. Fields that the packet's
// protocol has not are left out: the packet is at another point then.
func PacketAt(at *space.Point, f rule.Family) packet.Packet {
	small := func(d space.Dim) uint32 { return uint32(at.At[d].Lo) }
	p := packet.Packet{
		Family: f, In: space.NameOf(at.At[space.In]), Out: space.NameOf(at.At[space.Out]),
		Src: space.AddrOf(at.At[space.Src], f), Dst: space.AddrOf(at.At[space.Dst], f), Proto: uint8(small(space.Proto)),
		Fragment: small(space.Fragment) == 1, TOS: uint8(small(space.TOS)), TTL: uint8(small(space.TTL)),
		Length: small(space.Length), Mark: small(space.Mark), PacketType: packet.PacketType(small(space.PktType)),
		Known: packet.KnowFragment | packet.KnowTOS | packet.KnowTTL | packet.KnowLength | packet.KnowMark | packet.KnowPacketType |
			packet.KnowState | packet.KnowStatus | packet.KnowConnMark | packet.KnowDirection,
	}
	p.Connection = packet.Connection{
		State: packet.State(small(space.State)), Status: small(space.Status), Mark: small(space.ConnMark), Reply: small(space.Dir) == 1,
	}
	if p.Fragment {
		return p
	}
	if packet.HasPorts(p.Proto) {
		p.Transport.Src, p.Transport.Dst = uint16(small(space.SPort)), uint16(small(space.DPort))
		p.Known |= packet.KnowPorts
	}
	switch p.Proto {
	case packet.ProtoTCP:
		p.Transport.Flags = uint8(small(space.Flags))
		p.Known |= packet.KnowFlags
	case packet.ProtoICMP, packet.ProtoICMPv6:
		p.Transport.Type, p.Transport.Code = uint8(small(space.ICMP)>>8), uint8(small(space.ICMP))
		p.Known |= packet.KnowICMP
	}
	return p
}
